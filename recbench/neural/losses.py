"""What a model is trained to make small: how far the target stands behind all items, or behind sampled ones.

Every loss compares states by dot product with item vectors, plus an item bias where the network has one, divided by
the temperature.

Letters: P positions that count, D width, I items, N shared negatives, M negatives of each position.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from recbench.neural.choices import SMALL_CATALOGUE, TrainParams
from recbench.neural.network import Asked, Network

CELLS = 1 << 23  # logits of the full softmax held at once, 32 MB: more would leave the cache


def loss_of(asked: Asked, network: Network, params: TrainParams, share_I: Tensor | None) -> Tensor:
    """The mean loss of the positions, by the rule `params.loss` names. `share_I`: the items' shares of the targets."""
    n_items = network.items.num_embeddings
    name = params.loss if params.loss != "auto" else "softmax" if n_items <= SMALL_CATALOGUE else "sampled"
    states_PD, target_P = asked.states_PD.float() / params.temperature, asked.target_P
    if not len(target_P):
        loss = states_PD.sum()
    elif name == "softmax":
        bias_I = None if network.item_bias is None else network.item_bias / params.temperature
        loss = full_softmax(states_PD, target_P, network.item_vectors().float(), bias_I, params.label_smoothing)
    elif name in ("sampled", "gbce"):
        negative_N = shared_negatives(target_P, n_items, params)
        positive_P, logits_PN = shared_logits(states_PD, target_P, negative_N, network, params.temperature)
        if name == "sampled":
            if params.sampling == "mixed" and share_I is not None:
                logits_PN = logits_PN - expected_count(negative_N, share_I, params.negatives).log()
            else:
                logits_PN = logits_PN - math.log(params.negatives / n_items)
            logits_PN = logits_PN.masked_fill(negative_N == target_P[:, None], -torch.inf)
            loss = sampled_softmax(positive_P, logits_PN, params.label_smoothing)
        else:
            hidden_PN = negative_N == target_P[:, None]
            loss = gbce(
                positive_P,
                logits_PN.masked_fill(hidden_PN, -torch.inf),
                params.negatives / (n_items - 1),
                params.gbce_t,
            )
    else:
        negative_PM = own_negatives(target_P, n_items, params.negatives)
        positive_P, logits_PM = own_logits(states_PD, target_P, negative_PM, network, params.temperature)
        loss = bce(positive_P, logits_PM) if name == "bce" else bpr(positive_P, logits_PM)
    return loss if asked.extra is None else loss + asked.extra


class _FullSoftmax(torch.autograd.Function):
    """The gradient is computed on the way forward, piece by piece, so that logits are never kept nor computed twice."""

    @staticmethod
    def forward(ctx: Any, states_PD: Tensor, weight_ID: Tensor, bias_I: Tensor | None, target_P: Tensor, smooth: float):
        n, n_items = len(target_P), len(weight_ID)
        states_PD, weight_ID = states_PD.detach(), weight_ID.detach()
        grad_PD, grad_ID = torch.empty_like(states_PD), torch.zeros_like(weight_ID)
        grad_I = None if bias_I is None else torch.zeros_like(bias_I)
        loss = torch.zeros((), dtype=torch.float64, device=states_PD.device)
        rows = min(n, max(1, CELLS // n_items))
        buffer = states_PD.new_empty(rows, n_items)
        for at in range(0, n, rows):
            part_PD, right_P = states_PD[at : at + rows], target_P[at : at + rows]
            every_P = torch.arange(len(right_P), device=right_P.device)
            logits_PI = torch.mm(part_PD, weight_ID.T, out=buffer[: len(right_P)])
            if bias_I is not None:
                logits_PI += bias_I
            loss -= (1 - smooth) * logits_PI[every_P, right_P].double().sum()
            if smooth:
                loss -= smooth * logits_PI.mean(1).double().sum()
            top_P1 = logits_PI.amax(1, keepdim=True)
            total_P1 = logits_PI.sub_(top_P1).exp_().sum(1, keepdim=True)
            loss += (total_P1.double().log() + top_P1.double()).sum()
            logits_PI.mul_(1 / (total_P1 * n))  # from here on the gradient of the logits
            if smooth:
                logits_PI.sub_(smooth / (n * n_items))
            logits_PI[every_P, right_P] -= (1 - smooth) / n
            torch.mm(logits_PI, weight_ID, out=grad_PD[at : at + rows])
            grad_ID.addmm_(logits_PI.T, part_PD)
            if grad_I is not None:
                grad_I += logits_PI.sum(0)
        ctx.save_for_backward(grad_PD, grad_ID, grad_I)
        return (loss / n).to(states_PD.dtype)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor):
        grad_PD, grad_ID, grad_I = ctx.saved_tensors
        (scale,) = grads
        return grad_PD * scale, grad_ID * scale, None if grad_I is None else grad_I * scale, None, None


def full_softmax(
    states_PD: Tensor, target_P: Tensor, weight_ID: Tensor, bias_I: Tensor | None = None, label_smoothing: float = 0.0
) -> Tensor:
    """Mean cross-entropy over all items, exact; memory never holds more than `CELLS` logits. Differentiable once."""
    return _FullSoftmax.apply(states_PD, weight_ID, bias_I, target_P, label_smoothing)  # type: ignore[return-value]


def shared_negatives(target_P: Tensor, n_items: int, params: TrainParams) -> Tensor:
    """(N,) items drawn uniformly, or half of them from the targets themselves: a sample by popularity that costs nothing."""
    half = params.negatives // 2 if params.sampling == "mixed" and params.loss != "gbce" else 0
    negative_N = torch.randint(n_items, (params.negatives - half,), device=target_P.device)
    if not half:
        return negative_N
    return torch.cat([negative_N, target_P[torch.randint(len(target_P), (half,), device=target_P.device)]])


def expected_count(negative_N: Tensor, share_I: Tensor, negatives: int) -> Tensor:
    """(N,) how often each negative is expected among `negatives` mixed ones, N q: the logQ correction divides by it
    (Bengio, Senecal 2008, doi 10.1109/TNN.2007.912312).
    """
    half = negatives // 2
    return half * share_I[negative_N] + (negatives - half) / len(share_I)


def shared_logits(
    states_PD: Tensor, target_P: Tensor, negative_N: Tensor, network: Network, temperature: float
) -> tuple[Tensor, Tensor]:
    """(P,) logits of the targets and (P, N) of the negatives."""
    chosen = torch.cat([target_P, negative_N])
    target_PD, negative_ND = network.item_vectors(chosen).to(states_PD.dtype).split([len(target_P), len(negative_N)])
    positive_P, logits_PN = (states_PD * target_PD).sum(-1), states_PD @ negative_ND.T
    if network.item_bias is not None:
        positive_P = positive_P + network.item_bias[target_P] / temperature
        logits_PN = logits_PN + network.item_bias[negative_N] / temperature
    return positive_P, logits_PN


def own_negatives(target_P: Tensor, n_items: int, negatives: int) -> Tensor:
    """(P, M) uniform items other than the target."""
    drawn_PM = torch.randint(n_items - 1, (len(target_P), negatives), device=target_P.device)
    return drawn_PM + (drawn_PM >= target_P[:, None])


def own_logits(
    states_PD: Tensor, target_P: Tensor, negative_PM: Tensor, network: Network, temperature: float
) -> tuple[Tensor, Tensor]:
    """(P,) logits of the targets and (P, M) of each target's own negatives."""
    item_PM = torch.cat([target_P[:, None], negative_PM], dim=1)
    logits_PM = torch.einsum("pd,pmd->pm", states_PD, network.item_vectors(item_PM).to(states_PD.dtype))
    if network.item_bias is not None:
        logits_PM = logits_PM + network.item_bias[item_PM] / temperature
    return logits_PM[:, 0], logits_PM[:, 1:]


def sampled_softmax(positive_P: Tensor, logits_PN: Tensor, label_smoothing: float = 0.0) -> Tensor:
    """Mean cross-entropy of the target against the negatives, whose logits are already corrected by their counts."""
    total_P = torch.logaddexp(positive_P, logits_PN.logsumexp(-1))
    if not label_smoothing:
        return (total_P - positive_P).mean()
    real_PN = logits_PN.isfinite()
    mean_P = logits_PN.masked_fill(~real_PN, 0).sum(-1) / real_PN.sum(-1).clamp(min=1)
    return (total_P - (1 - label_smoothing) * positive_P - label_smoothing * mean_P).mean()


def gbce(positive_P: Tensor, logits_PN: Tensor, sampling_rate: float, t: float) -> Tensor:
    """Generalised BCE: sigmoid of the target to the power beta, which undoes the overconfidence that sampling negatives
    brings; per target, as in gSASRec (arXiv 2308.07192).
    """
    beta = sampling_rate * (t * (1 - 1 / sampling_rate) + 1 / sampling_rate)
    return -(beta * F.logsigmoid(positive_P) + F.logsigmoid(-logits_PN).sum(-1)).mean()


def bce(positive_P: Tensor, logits_PM: Tensor) -> Tensor:
    """Binary cross-entropy of target against its negatives, as in SASRec (arXiv 1808.09781)."""
    return -(F.logsigmoid(positive_P) + F.logsigmoid(-logits_PM).sum(-1)).mean()


def bpr(positive_P: Tensor, logits_PM: Tensor) -> Tensor:
    """Bayesian personalised ranking: the target above each negative (arXiv 1205.2618)."""
    return -F.logsigmoid(positive_P[:, None] - logits_PM).mean()
