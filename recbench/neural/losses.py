"""What a model is trained to make small: how far the target stands behind all items, or behind sampled ones.

Every loss compares states by dot product with item vectors, plus an item bias where the network has one, divided by
the temperature.

Letters: P positions that count, D width, I items, N items whose vectors are read, M negatives of one position, S groups
of neighbouring positions.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional as F

from recbench.errors import RecbenchError
from recbench.neural.choices import SMALL_CATALOGUE, LossParams
from recbench.neural.fused import OwnRule, mean_group_loss, mean_loss, mean_own_loss, softmax_rule

if TYPE_CHECKING:
    from recbench.neural.network import Asked, Network

# Neighbouring positions that share negatives. A batch that shares them pushes few items down, hard, and learns at a third
# of the pace; each position with its own learns as these do, an epoch costs five times as much (Beauty, 256 negatives).
GROUP = 8


def loss_of(asked: Asked, network: Network, params: LossParams, share_I: Tensor | None) -> Tensor:
    """The mean loss of the positions, by the rule `params.loss` names. `share_I`: the items' shares of the targets."""
    states_PD, target_P = precise(asked.states_PD) / params.temperature, asked.target_P
    loss = (
        LOSSES[chosen(params, network)](states_PD, target_P, network, params, share_I)
        if len(target_P)
        else states_PD.sum()
    )
    return loss if asked.extra is None else loss + asked.extra


def chosen(params: LossParams, network: Network) -> str:
    """The name of the loss, where `params.loss` leaves it open by the size of the catalogue."""
    if params.loss != "auto":
        return params.loss
    return "softmax" if network.items.num_embeddings <= SMALL_CATALOGUE else "sampled"


def popular_bias(n_items: int, params: LossParams, share_I: Tensor | None = None) -> Tensor:
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


def sampling_rate(params: LossParams, n_items: int) -> float:
    """How often an item that is not the target is expected among a position's own negatives."""
    return params.negatives / max(1, n_items - 1)


def precise(values: Tensor) -> Tensor:
    """The values in float32 at least: half precision is for products, not for sums."""
    return values.to(torch.promote_types(values.dtype, torch.float32))


def _softmax(
    states_PD: Tensor, target_P: Tensor, network: Network, params: LossParams, share_I: Tensor | None
) -> Tensor:
    bias_I = None if network.item_bias is None else network.item_bias / params.temperature
    return full_softmax(states_PD, target_P, precise(network.compared()), bias_I, params.label_smoothing)


def _sampled(
    states_PD: Tensor, target_P: Tensor, network: Network, params: LossParams, share_I: Tensor | None
) -> Tensor:
    """Cross-entropy of the target against negatives, each of which stands for 1 / count items: the expectation of their
    sum of exponentials is the full one. That is the logQ correction (Bengio and Senecal 2008,
    doi 10.1109/TNN.2007.912312). The target, which is not drawn, stands for itself alone; corrected as well, the network
    ends lower (Beauty, 256 uniform negatives, dropout .2: validation NDCG@10 .060 instead of .065).
    """
    n_items, groups = network.items.num_embeddings, -(-len(target_P) // GROUP)
    half = params.negatives // 2 if params.sampling == "mixed" and share_I is not None else 0
    item_SM = group_negatives(target_P, n_items, groups, params.negatives, half)
    count_SM = expected_count(item_SM, n_items, params.negatives, half, share_I).to(states_PD.dtype)
    (place_P, place_SM), vectors_ND, bias_N = rows_of(network, params, target_P, item_SM)
    positive_P = dots(states_PD, F.embedding(place_P, vectors_ND), None if bias_N is None else bias_N[place_P])
    bias_SM = -count_SM.log() if bias_N is None else bias_N[place_SM] - count_SM.log()
    rule = partial(softmax_rule, apart=True)
    loss = mean_group_loss(rule, states_PD, vectors_ND, bias_SM, positive_P, place_P, place_SM)
    if not params.label_smoothing:
        return loss
    weight_N = torch.zeros_like(vectors_ND[:, 0]).index_add(0, place_SM.flatten(), 1 / count_SM.flatten())
    return smoothed(loss, states_PD, vectors_ND, bias_N, positive_P, weight_N, params.label_smoothing)


def _gbce(states_PD: Tensor, target_P: Tensor, network: Network, params: LossParams, share_I: Tensor | None) -> Tensor:
    beta = gbce_beta(sampling_rate(params, network.items.num_embeddings), params.gbce_t)
    rule = partial(gbce, beta=beta)
    return _own(rule, states_PD, target_P, network, params, share_I)


def _own(
    rule: OwnRule,
    states_PD: Tensor,
    target_P: Tensor,
    network: Network,
    params: LossParams,
    share_I: Tensor | None,
) -> Tensor:
    n_items = network.items.num_embeddings
    if n_items < 2:
        raise RecbenchError(f"loss={params.loss} compares with another item, and there is one in all; use loss=softmax")
    item_PM = torch.cat([target_P[:, None], own_negatives(target_P, n_items, params.negatives)], dim=1)
    (place_PM,), vectors_ND, bias_N = rows_of(network, params, item_PM)
    return mean_own_loss(rule, states_PD, vectors_ND, bias_N, place_PM)


def rows_of(network: Network, params: LossParams, *items: Tensor) -> tuple[tuple[Tensor, ...], Tensor, Tensor | None]:
    """The vectors (N, D) and biases (N,) of the items that occur, and where in them each is. Of many, all are read: that
    costs less than to find those that occur."""
    item_N, places = None, items
    sizes = [item.numel() for item in items]
    if sum(sizes) < network.items.num_embeddings:
        item_N, place = torch.cat([item.flatten() for item in items]).unique(return_inverse=True)
        places = tuple(part.view_as(item) for part, item in zip(place.split(sizes), items, strict=True))
    bias_N = network.item_bias
    if bias_N is not None:
        bias_N = (bias_N if item_N is None else bias_N[item_N]) / params.temperature
    return places, precise(network.compared(item_N)), bias_N


def full_softmax(
    states_PD: Tensor, target_P: Tensor, vectors_ID: Tensor, bias_I: Tensor | None = None, label_smoothing: float = 0.0
) -> Tensor:
    """Mean cross-entropy over all items, exact, in bounded memory. Differentiable once."""
    positive_P = dots(states_PD, F.embedding(target_P, vectors_ID), None if bias_I is None else bias_I[target_P])
    loss = mean_loss(softmax_rule, states_PD, vectors_ID, bias_I, positive_P)
    if not label_smoothing:
        return loss
    return smoothed(loss, states_PD, vectors_ID, bias_I, positive_P, torch.ones_like(vectors_ID[:, 0]), label_smoothing)


def smoothed(
    loss: Tensor,
    states_PD: Tensor,
    vectors_ND: Tensor,
    bias_N: Tensor | None,
    positive_P: Tensor,
    weight_N: Tensor,
    share: float,
) -> Tensor:
    """The cross-entropy with a share of the target spread over the items: a mean of dot products is one dot product."""
    weight_N = weight_N / weight_N.sum()
    mean = states_PD.mean(0) @ (weight_N @ vectors_ND)
    if bias_N is not None:
        mean = mean + weight_N @ bias_N
    return loss + share * (positive_P.mean() - mean)


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


def group_negatives(target_P: Tensor, n_items: int, groups: int, negatives: int, half: int = 0) -> Tensor:
    """(S, M) uniform items, but `half` of each group's from the targets: a sample by popularity that costs nothing."""
    item_SM = torch.randint(n_items, (groups, negatives - half), device=target_P.device)
    if not half:
        return item_SM
    return torch.cat([item_SM, target_P[torch.randint(len(target_P), (groups, half), device=target_P.device)]], dim=1)


def expected_count(item: Tensor, n_items: int, negatives: int, half: int, share_I: Tensor | None) -> Tensor:
    """How often each item, of any shape, is expected among a group's negatives: M q, where q is its chance at a draw."""
    uniform = (negatives - half) / n_items
    if share_I is None or not half:
        return torch.full(item.shape, uniform, device=item.device)
    return half * share_I[item] + uniform


def dots(states_PD: Tensor, target_PD: Tensor, bias_P: Tensor | None) -> Tensor:
    """(P,) the logit of each state with the vector beside it."""
    positive_P = (states_PD * target_PD).sum(-1)
    return positive_P if bias_P is None else positive_P + bias_P
