"""What a model is trained to make small: how far the target stands behind all items, or behind sampled ones.

Every loss compares states by dot product with item vectors, plus an item bias where the network has one, divided by
the temperature.

Letters: P positions that count, D width, I items, N candidates that all positions share, M negatives of one position.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor
from torch.nn import functional as F

from recbench.errors import RecbenchError
from recbench.neural.choices import SMALL_CATALOGUE, TrainParams
from recbench.neural.fused import Compared, OwnRule, mean_loss, mean_own_loss, softmax_rule
from recbench.neural.network import Asked, Network


def loss_of(asked: Asked, network: Network, params: TrainParams, share_I: Tensor | None) -> Tensor:
    """The mean loss of the positions, by the rule `params.loss` names. `share_I`: the items' shares of the targets."""
    states_PD, target_P = precise(asked.states_PD) / params.temperature, asked.target_P
    name = params.loss
    if name == "auto":
        name = "softmax" if network.items.num_embeddings <= SMALL_CATALOGUE else "sampled"
    loss = LOSSES[name](states_PD, target_P, network, params, share_I) if len(target_P) else states_PD.sum()
    return loss if asked.extra is None else loss + asked.extra


def popular_bias(n_items: int, params: TrainParams, share_I: Tensor | None = None) -> Tensor:
    """(I,) the item bias at which an untrained network, whose vectors say nothing yet, has the least loss: it ranks by the
    items' shares of the targets. Softmax and BPR leave open on which level; in BCE and gBCE an item's odds are its chance
    as a target, times the weight of that, over its chance as a negative. From far off, all logits would travel first.
    """
    share_I = torch.full((n_items,), 1 / n_items) if share_I is None else share_I
    odds_I = share_I * n_items
    if params.loss in ("bce", "gbce"):
        rate = sampling_rate(params, n_items)
        weight = gbce_beta(rate, params.gbce_t) if params.loss == "gbce" else 1.0
        odds_I = share_I * weight / ((1 - share_I) * rate)
    return odds_I.log() * params.temperature


def sampling_rate(params: TrainParams, n_items: int) -> float:
    """How often an item that is not the target is expected among a position's own negatives."""
    return params.negatives / max(1, n_items - 1)


def precise(values: Tensor) -> Tensor:
    """The values in float32 at least: half precision is for products, not for sums."""
    return values.to(torch.promote_types(values.dtype, torch.float32))


def _softmax(
    states_PD: Tensor, target_P: Tensor, network: Network, params: TrainParams, share_I: Tensor | None
) -> Tensor:
    bias_I = None if network.item_bias is None else network.item_bias / params.temperature
    return full_softmax(states_PD, target_P, precise(network.item_vectors()), bias_I, params.label_smoothing)


def _sampled(
    states_PD: Tensor, target_P: Tensor, network: Network, params: TrainParams, share_I: Tensor | None
) -> Tensor:
    half = params.negatives // 2 if params.sampling == "mixed" and share_I is not None else 0
    item_N = shared_negatives(target_P, network.items.num_embeddings, params.negatives, half)
    count_N = expected_count(item_N, network.items.num_embeddings, params.negatives, half, share_I)
    compared = beside(states_PD, target_P, item_N, network, params.temperature)
    return sampled_softmax(compared, count_N, params.label_smoothing)


def _gbce(states_PD: Tensor, target_P: Tensor, network: Network, params: TrainParams, share_I: Tensor | None) -> Tensor:
    beta = gbce_beta(sampling_rate(params, network.items.num_embeddings), params.gbce_t)
    rule = partial(gbce, beta=beta)
    return _own(rule, states_PD, target_P, network, params, share_I)


def _own(
    rule: OwnRule,
    states_PD: Tensor,
    target_P: Tensor,
    network: Network,
    params: TrainParams,
    share_I: Tensor | None,
) -> Tensor:
    n_items = network.items.num_embeddings
    if n_items < 2:
        raise RecbenchError(f"loss={params.loss} compares with another item, and there is one in all; use loss=softmax")
    place_PM = torch.cat([target_P[:, None], own_negatives(target_P, n_items, params.negatives)], dim=1)
    item_N = None
    if place_PM.numel() < n_items:  # else to read all items costs less than to find the chosen ones
        item_N, place_PM = place_PM.unique(return_inverse=True)
    bias_N = network.item_bias
    if bias_N is not None:
        bias_N = (bias_N if item_N is None else bias_N[item_N]) / params.temperature
    return mean_own_loss(rule, states_PD, precise(network.item_vectors(item_N)), bias_N, place_PM)


def full_softmax(
    states_PD: Tensor, target_P: Tensor, vectors_ID: Tensor, bias_I: Tensor | None = None, label_smoothing: float = 0.0
) -> Tensor:
    """Mean cross-entropy over all items, exact, in bounded memory. Differentiable once."""
    bias_P = None if bias_I is None else bias_I[target_P]
    positive_P = dots(states_PD, F.embedding(target_P, vectors_ID), bias_P)
    compared = Compared(states_PD, vectors_ID, bias_I, positive_P, target_P)
    loss = mean_loss(softmax_rule, compared)
    return smoothed(loss, compared, vectors_ID.new_ones(len(vectors_ID)), label_smoothing)


def sampled_softmax(compared: Compared, count_N: Tensor, label_smoothing: float = 0.0) -> Tensor:
    """Mean cross-entropy of the target against negatives, each of which stands for 1 / count items: the expectation of
    its sum of exponentials is the full one. That is the logQ correction (Bengio and Senecal 2008,
    doi 10.1109/TNN.2007.912312).
    """
    count_N = count_N.to(compared.vectors_ND.dtype)
    bias_N = -count_N.log() if compared.bias_N is None else compared.bias_N - count_N.log()
    loss = mean_loss(partial(softmax_rule, apart=True), compared._replace(bias_N=bias_N))
    return smoothed(loss, compared, 1 / count_N, label_smoothing)


def smoothed(loss: Tensor, compared: Compared, weight_N: Tensor, share: float) -> Tensor:
    """The cross-entropy with a share of the target spread over the items: a mean of dot products is one dot product."""
    if not share:
        return loss
    weight_N = weight_N / weight_N.sum()
    mean = compared.states_PD.mean(0) @ (weight_N @ compared.vectors_ND)
    if compared.bias_N is not None:
        mean = mean + weight_N @ compared.bias_N
    return loss + share * (compared.positive_P.mean() - mean)


def gbce(positive_P: Tensor, logits_PM: Tensor, beta: float = 1.0) -> Tensor:
    """(P,) generalised binary cross-entropy, summed over target and negatives: the sigmoid of the target to the power
    `beta` undoes the overconfidence that sampling brings (gSASRec, arXiv 2308.07192, which takes the mean). 1: binary
    cross-entropy (SASRec, arXiv 1808.09781).
    """
    return -(beta * F.logsigmoid(positive_P) + F.logsigmoid(-logits_PM).sum(-1))


def gbce_beta(rate: float, t: float) -> float:
    """a (t (1 - 1/a) + 1/a) = 1 - t (1 - a), where a is the share of the other items that is sampled, at most 1."""
    return 1 - t * (1 - min(1.0, rate))


def bpr(positive_P: Tensor, logits_PM: Tensor) -> Tensor:
    """(P,) Bayesian personalised ranking: the target above each negative, mean over these (arXiv 1205.2618)."""
    return -F.logsigmoid(positive_P[:, None] - logits_PM).mean(-1)


LOSSES: dict[str, Callable[..., Tensor]] = {
    "softmax": _softmax,
    "sampled": _sampled,
    "gbce": _gbce,
    "bce": partial(_own, gbce),
    "bpr": partial(_own, bpr),
}


def own_negatives(target_P: Tensor, n_items: int, negatives: int) -> Tensor:
    """(P, M) uniform items other than the target."""
    drawn_PM = torch.randint(n_items - 1, (len(target_P), negatives), device=target_P.device)
    return drawn_PM + (drawn_PM >= target_P[:, None])


def shared_negatives(target_P: Tensor, n_items: int, negatives: int, half: int = 0) -> Tensor:
    """(N,) uniform items, but `half` of them from the targets themselves: a sample by popularity that costs nothing."""
    item_N = torch.randint(n_items, (negatives - half,), device=target_P.device)
    if not half:
        return item_N
    return torch.cat([item_N, target_P[torch.randint(len(target_P), (half,), device=target_P.device)]])


def expected_count(item_N: Tensor, n_items: int, negatives: int, half: int, share_I: Tensor | None) -> Tensor:
    """(N,) how often each item is expected among the shared negatives: N q, where q is its chance at one draw."""
    uniform = (negatives - half) / n_items
    if share_I is None or not half:
        return torch.full(item_N.shape, uniform, device=item_N.device)
    return half * share_I[item_N] + uniform


def beside(states_PD: Tensor, target_P: Tensor, item_N: Tensor, network: Network, temperature: float) -> Compared:
    """The states with the shared items: only these rows and those of the targets are read."""
    item, sizes = torch.cat([target_P, item_N]), [len(target_P), len(item_N)]
    target_PD, vectors_ND = precise(network.item_vectors(item)).split(sizes)
    bias_P = bias_N = None
    if network.item_bias is not None:
        bias_P, bias_N = (network.item_bias[item] / temperature).split(sizes)
    return Compared(states_PD, vectors_ND, bias_N, dots(states_PD, target_PD, bias_P), target_P, item_N)


def dots(states_PD: Tensor, target_PD: Tensor, bias_P: Tensor | None) -> Tensor:
    """(P,) the logit of each state with the vector beside it."""
    positive_P = (states_PD * target_PD).sum(-1)
    return positive_P if bias_P is None else positive_P + bias_P
