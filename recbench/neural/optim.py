"""The rule of the update, and the learning rate of a step: a function of the step and of the curve, so that nothing
needs to be kept for resuming."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial

from torch import nn
from torch.optim import SGD, Adagrad, Adam, AdamW, Optimizer

from recbench.neural.choices import FitParams
from recbench.neural.network import Network

MOMENTUM = 0.9  # of sgd, after Nesterov: without it embeddings of rare items hardly move
RULES = {"adamw": AdamW, "adam": Adam, "adagrad": Adagrad, "sgd": partial(SGD, momentum=MOMENTUM, nesterov=True)}


def optimizer(network: nn.Module, params: FitParams, fused: bool = True) -> Optimizer:
    """The optimizer of the network's weights. Only matrices decay: biases and the gains of norms have no scale to lose.

    A group's `rate` is the part of the learning rate that its weights move at. `fused`: the whole update in one pass over
    the weights, where the rule has that on the network's device.
    """
    rate_of = network.rate if isinstance(network, Network) else lambda _: 1.0
    groups: dict[tuple[float, bool], list[nn.Parameter]] = {}
    for is_matrix in (True, False):
        for name, weight in network.named_parameters():
            if weight.requires_grad and (weight.dim() > 1) == is_matrix:
                groups.setdefault((rate_of(name), is_matrix), []).append(weight)
    on_cpu = all(weight.device.type == "cpu" for weights in groups.values() for weight in weights)
    decays = {True: params.weight_decay, False: 0.0}
    told = [{"params": g, "rate": rate, "weight_decay": decays[kind]} for (rate, kind), g in groups.items()]
    fused = fused and (params.optimizer != "adagrad" or on_cpu)
    return RULES[params.optimizer](told, lr=params.learning_rate, fused=fused)


def share_of_rate(params: FitParams, step: int, n_steps: int, n_falls: int = 0) -> float:
    """The part of `learning_rate` that holds at a step, counted from 0.

    `n_steps`: of `params.epochs` epochs, where cosine ends; `n_falls`: how often plateau has halved the rate so far.
    """
    schedule, warmup = params.schedule, params.warmup_steps
    if schedule == "constant":
        return 1.0
    if schedule == "plateau":
        return 0.5**n_falls
    if step < warmup:
        return (step + 1) / warmup
    if schedule == "inverse-sqrt":
        return math.sqrt(max(1, warmup) / (step + 1))
    if schedule == "cosine":
        return 0.5 * (1 + math.cos(math.pi * min(1.0, (step - warmup) / max(1, n_steps - warmup))))
    return 1.0


def falls(headlines: Sequence[float], patience: int) -> tuple[int, ...]:
    """The epochs, from 1, after which plateau halves the rate: those that end `patience` epochs in a row without a
    better headline; the row begins anew behind each."""
    best, without, fallen = -math.inf, 0, []
    for epoch, headline in enumerate(headlines, 1):
        best, without = (headline, 0) if headline > best else (best, without + 1)
        if without == patience:
            fallen.append(epoch)
            without = 0
    return tuple(fallen)
