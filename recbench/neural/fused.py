"""Losses of states against items, with the gradient computed on the way forward.

Logits, or vectors gathered for each position, exist in pieces of rows only: nothing is kept for the way back, nothing
computed twice, and memory never holds (positions x items). So these losses are differentiable once.

Letters: P positions, D width, I items, N items whose vectors are given, M items of one position or of a group, S groups,
G positions of a group, R positions of some groups.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

CELLS = 3 << 18  # numbers of a piece, 3 MB: more fall out of the caches, also when other runs share the processor
LEAST_ROWS = 256  # of a product with all items, whose gradient a piece passes over once more: fewer rows are slower
SPACE = 6 << 20  # but these hold no more numbers than this, 25 MB
DENSE = 24  # up to so many times a position's items in all, products with all of them cost less (measured)
LARGEST = 60.0  # up to here exponentials and their sums fit float32 without subtracting the largest logit first

OwnRule = Callable[[Tensor, Tensor], Tensor]  # logits of targets (P,) and of their negatives (P, M) -> losses (P,)

# Turns logits (P, N), in place, into their gradient but for one factor a position, given the target's logit (P,) and
# whether all logits are below LARGEST. Returns, each (P,): the loss, that factor, the derivative by the target's logit.
Rule = Callable[[Tensor, Tensor, bool], tuple[Tensor, Tensor, Tensor]]


def mean_loss(
    rule: Rule,
    states_PD: Tensor,
    vectors_ID: Tensor,
    bias_I: Tensor | None,
    positive_P: Tensor,
    weight_P: Tensor | None = None,
) -> Tensor:
    """The mean loss of positions of which each is compared with all items, times its weight where there are weights;
    `positive_P`: the logits of the targets. Under bfloat16 autocast products are in it, sums never."""
    return _Shared.apply(rule, states_PD, vectors_ID, bias_I, positive_P, weight_P)  # type: ignore[return-value]


def mean_group_loss(
    rule: Rule,
    states_PD: Tensor,
    vectors_ND: Tensor,
    bias_SM: Tensor,
    positive_P: Tensor,
    place_P: Tensor,
    place_SM: Tensor,
) -> Tensor:
    """The mean loss of positions of which each group, of neighbours, has candidates: rows `place_SM` of the vectors. A
    candidate that is a position's own target, row `place_P`, does not count there."""
    return _Grouped.apply(rule, states_PD, vectors_ND, bias_SM, positive_P, place_P, place_SM)  # type: ignore[return-value]


def mean_own_loss(
    rule: OwnRule, states_PD: Tensor, vectors_ND: Tensor, bias_N: Tensor | None, place_PM: Tensor
) -> Tensor:
    """The mean loss of positions that have items of their own: rows `place_PM` of the vectors, the target's first."""
    return _Own.apply(rule, states_PD, vectors_ND, bias_N, place_PM)  # type: ignore[return-value]


def softmax_rule(
    logits_PN: Tensor, positive_P: Tensor, bounded: bool, apart: bool = False
) -> tuple[Tensor, Tensor, Tensor]:
    """Cross-entropy; `apart`: the target is none of the candidates, so that its exponential joins theirs."""
    if not bounded:
        top_P = torch.maximum(logits_PN.amax(1), positive_P)
        logits_PN.sub_(top_P[:, None])
        positive_P = positive_P - top_P
    own_P = positive_P.exp() if apart else torch.zeros_like(positive_P)
    total_P = logits_PN.exp_().sum(1, dtype=positive_P.dtype) + own_P
    return total_P.log() - positive_P, 1 / total_P, own_P / total_P - 1


class _Fused(torch.autograd.Function):
    """Base of both: `forward` saves the gradients of the sum of losses, for each input or None."""

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        if torch.is_grad_enabled():  # the gradients kept do not know what they depend on
            raise RuntimeError("this loss is differentiable once; create_graph is not for it")
        scale = grads[0] / ctx.n_positions
        return tuple(None if x is None else x * scale for x in ctx.saved_tensors)


class _Shared(_Fused):
    @staticmethod
    def forward(
        ctx: Any,
        rule: Rule,
        states_PD: Tensor,
        vectors_ID: Tensor,
        bias_I: Tensor | None,
        positive_P: Tensor,
        weight_P: Tensor | None,
    ) -> Tensor:
        grad_PD, grad_ID, grad_P = (torch.zeros_like(x) for x in (states_PD, vectors_ID, positive_P))
        grad_I = None if bias_I is None else torch.zeros_like(bias_I)
        loss_P, kind = torch.empty_like(positive_P), product_type(states_PD)
        table_ID, plus_I = vectors_ID.to(kind), None if bias_I is None else bias_I.to(kind)
        bounded = largest_logit(states_PD, vectors_ID, bias_I, positive_P) < LARGEST
        rows = rows_at_once(len(states_PD), len(vectors_ID), LEAST_ROWS)
        buffer_PI = states_PD.new_empty(rows, len(vectors_ID), dtype=kind)
        with torch.autocast(states_PD.device.type, enabled=False):
            for at in range(0, len(states_PD), rows):
                part = slice(at, at + rows)
                part_PD = states_PD[part]
                logits_PI = products(part_PD.to(kind), table_ID, plus_I, buffer_PI[: len(part_PD)])
                loss_P[part], factor_P, grad_P[part] = rule(logits_PI, positive_P[part], bounded)
                if weight_P is not None:
                    factor_P = factor_P * weight_P[part]
                grad_PD[part] = torch.mm(logits_PI, table_ID) * factor_P[:, None]
                add_product(grad_ID, logits_PI.T, part_PD * factor_P[:, None])
                if grad_I is not None:
                    add_product(grad_I[:, None], logits_PI.T, factor_P[:, None])
        if weight_P is not None:
            loss_P, grad_P = loss_P * weight_P, grad_P * weight_P
        ctx.save_for_backward(None, grad_PD, grad_ID, grad_I, grad_P, None)
        ctx.n_positions = len(states_PD)
        return loss_P.mean()


class _Grouped(_Fused):
    @staticmethod
    def forward(
        ctx: Any,
        rule: Rule,
        states_PD: Tensor,
        vectors_ND: Tensor,
        bias_SM: Tensor,
        positive_P: Tensor,
        place_P: Tensor,
        place_SM: Tensor,
    ) -> Tensor:
        (n, width), (groups, m) = states_PD.shape, place_SM.shape
        each = -(-n // groups)
        fill = each * groups - n  # positions that make the last group whole; they ask for nothing
        states_SGD = F.pad(states_PD, (0, 0, 0, fill)).view(groups, each, width)
        place_SG, positive_SG = (
            F.pad(place_P, (0, fill)).view(groups, -1),
            F.pad(positive_P, (0, fill)).view(groups, -1),
        )
        counts_SG = F.pad(torch.ones_like(positive_P), (0, fill)).view(groups, -1)
        grad_SGD, grad_SG, loss_SG = (torch.zeros_like(x) for x in (states_SGD, positive_SG, positive_SG))
        grad_ND, grad_SM = torch.zeros_like(vectors_ND), torch.zeros_like(bias_SM)
        bounded, kind = largest_logit(states_PD, vectors_ND, bias_SM, positive_P) < LARGEST, product_type(states_PD)
        rows = rows_at_once(groups, m * max(width, each))
        with torch.autocast(states_PD.device.type, enabled=False):
            for at in range(0, groups, rows):
                part = slice(at, at + rows)
                part_SGD, places_SM = states_SGD[part], place_SM[part]
                vectors_SMD = F.embedding(places_SM, vectors_ND).to(kind)
                logits_SGM = torch.baddbmm(bias_SM[part, None].to(kind), part_SGD.to(kind), vectors_SMD.transpose(1, 2))
                logits_SGM.masked_fill_(places_SM[:, None] == place_SG[part, :, None], -torch.inf)
                loss_R, factor_R, grad_R = rule(logits_SGM.view(-1, m), positive_SG[part].flatten(), bounded)
                loss_SG[part], grad_SG[part] = loss_R.view(-1, each), grad_R.view(-1, each)
                factor_SG1 = (factor_R.view(-1, each) * counts_SG[part])[..., None]
                grad_SGD[part] = torch.bmm(logits_SGM, vectors_SMD) * factor_SG1
                scaled_SGD = (part_SGD * factor_SG1).to(kind)
                grad_SMD = torch.bmm(logits_SGM.transpose(1, 2), scaled_SGD)
                grad_ND.index_add_(0, places_SM.flatten(), grad_SMD.flatten(0, 1).to(grad_ND.dtype))
                grad_SM[part] = torch.bmm(logits_SGM.transpose(1, 2), factor_SG1.to(kind)).squeeze(2)
        grad_PD, grad_P = grad_SGD.view(-1, width)[:n], grad_SG.flatten()[:n]
        ctx.save_for_backward(None, grad_PD, grad_ND, grad_SM, grad_P, None, None)
        ctx.n_positions = n
        return loss_SG.flatten()[:n].mean()


class _Own(_Fused):
    """Where a position has many items of its own beside all of them, products with all and a choice among these cost
    less than vectors gathered for each position."""

    @staticmethod
    def forward(
        ctx: Any, rule: OwnRule, states_PD: Tensor, vectors_ND: Tensor, bias_N: Tensor | None, place_PM: Tensor
    ) -> Tensor:
        grad_PD, grad_ND = torch.zeros_like(states_PD), torch.zeros_like(vectors_ND)
        grad_N = None if bias_N is None else torch.zeros_like(bias_N)
        loss_P = states_PD.new_empty(len(states_PD))
        compare, width, least = _by_gathering, place_PM.shape[1] * states_PD.shape[1], 1
        if len(vectors_ND) <= DENSE * place_PM.shape[1]:
            compare, width, least = _by_choice, len(vectors_ND), LEAST_ROWS
        rows = rows_at_once(len(place_PM), width, least)
        with torch.autocast(states_PD.device.type, enabled=False):
            for at in range(0, len(states_PD), rows):
                part = slice(at, at + rows)
                logits_PM, spread = compare(states_PD[part], vectors_ND, place_PM[part])
                if bias_N is not None:
                    logits_PM += bias_N[place_PM[part]]
                with torch.enable_grad():
                    logits_PM.requires_grad_()
                    part_P = rule(logits_PM[:, 0], logits_PM[:, 1:])
                loss_P[part] = part_P.detach()
                (grad_PM,) = torch.autograd.grad(part_P, logits_PM, torch.ones_like(part_P))
                grad_PD[part] = spread(grad_PM, grad_ND)
                if grad_N is not None:
                    grad_N.index_add_(0, place_PM[part].flatten(), grad_PM.flatten())
        ctx.save_for_backward(None, grad_PD, grad_ND, grad_N, None)
        ctx.n_positions = len(states_PD)
        return loss_P.mean()


# Given the gradient by the logits (P, M): adds that by the vectors to the second, returns that by the states (P, D).
Spread = Callable[[Tensor, Tensor], Tensor]


def _by_choice(states_PD: Tensor, vectors_ND: Tensor, place_PM: Tensor) -> tuple[Tensor, Spread]:
    logits_PN = states_PD @ vectors_ND.T

    def spread(grad_PM: Tensor, grad_ND: Tensor) -> Tensor:
        grad_PN = logits_PN.zero_().scatter_add_(1, place_PM, grad_PM)
        grad_ND.addmm_(grad_PN.T, states_PD)
        return grad_PN @ vectors_ND

    return logits_PN.gather(1, place_PM), spread


def _by_gathering(states_PD: Tensor, vectors_ND: Tensor, place_PM: Tensor) -> tuple[Tensor, Spread]:
    vectors_PMD = vectors_ND[place_PM.flatten()].view(*place_PM.shape, -1)

    def spread(grad_PM: Tensor, grad_ND: Tensor) -> Tensor:
        grad_PD = vectors_PMD.mul_(grad_PM[..., None]).sum(1)
        grad_ND.index_add_(0, place_PM.flatten(), (grad_PM[..., None] * states_PD[:, None]).flatten(0, 1))
        return grad_PD

    return (states_PD[:, None] * vectors_PMD).sum(-1), spread


def product_type(states_PD: Tensor) -> torch.dtype:
    """bfloat16 under its autocast, else that of the states: float16 holds neither exponentials nor their inverses."""
    device = states_PD.device.type
    if torch.is_autocast_enabled(device) and torch.get_autocast_dtype(device) == torch.bfloat16:
        return torch.bfloat16
    return states_PD.dtype


def rows_at_once(n: int, width: int, least: int = 1) -> int:
    """Rows of a piece where `n` rows of `width` numbers fall into pieces of like size, each within `CELLS`, or of `least`
    rows where these are within `SPACE`."""
    most = max(1, CELLS // width, min(least, SPACE // width))
    return -(-n // -(-n // most))


def largest_logit(states_PD: Tensor, vectors_ND: Tensor, bias_N: Tensor | None, positive_P: Tensor) -> float:
    """No logit is larger, by the inequality of Cauchy and Schwarz."""
    state, vector = (torch.linalg.vector_norm(x, dim=1).amax() for x in (states_PD, vectors_ND))
    bias = 0.0 if bias_N is None else bias_N.abs().amax()
    return float(torch.maximum(state * vector + bias, positive_P.abs().amax()))


def products(states_PD: Tensor, vectors_ND: Tensor, bias_N: Tensor | None, out: Tensor) -> Tensor:
    """(P, N) logits, written into `out`."""
    if bias_N is None:
        return torch.mm(states_PD, vectors_ND.T, out=out)
    return torch.addmm(bias_N, states_PD, vectors_ND.T, out=out)


def add_product(total: Tensor, left: Tensor, right: Tensor) -> None:
    """total += left @ right, in one step where the types are equal."""
    if left.dtype == total.dtype:
        total.addmm_(left, right)
    else:
        total += left @ right.to(left.dtype)
