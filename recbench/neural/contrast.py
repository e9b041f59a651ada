"""Contrastive losses beside the main one: states of two views of one history are to be alike, of two histories not.

Letters: B batch, L length, D width, R states, two of each history.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from recbench.neural.augment import between, cropped, hidden, reordered
from recbench.neural.batches import Batch
from recbench.neural.choices import TrainParams

if TYPE_CHECKING:
    from recbench.neural.network import Network

CROP, MASK, REORDER = range(3)
KEPT, HIDDEN, SHUFFLED = 0.6, 0.3, 0.6  # shares of a history that the three leave, hide and shuffle
NEVER = -1e9  # a logit that adds nothing, and whose gradient is 0 even where a row has no other


def contrast(network: Network, batch: Batch, params: TrainParams) -> Tensor:
    """The loss that `params.ssl` names, not yet weighted; 0 where fewer than two histories can be told apart.

    cl4srec (arXiv 2010.14395): two views of a window's history, by two of crop, mask and reorder, drawn for each window.
    duorec (arXiv 2110.05730): the history before one drawn target of each window, read twice under dropout; the
    histories of one target in the batch are alike as well, and none of them is a negative of another.
    """
    if params.ssl == "cl4srec":
        asked = history(batch, batch.asked_BL.gather(1, batch.last_B[:, None])[:, 0])
        group_B = torch.arange(len(batch.last_B), device=batch.last_B.device)
        operation_B = torch.randint(3, group_B.shape, device=group_B.device)
        other_B = (operation_B + torch.randint(1, 3, group_B.shape, device=group_B.device)) % 3
        views = (view(asked, operation_B), view(asked, other_B))
    else:
        counts_BL = batch.mask_BL & (batch.asked_BL > 0)
        drawn_B1 = torch.rand(counts_BL.shape, device=counts_BL.device).masked_fill(~counts_BL, -1).argmax(1)[:, None]
        asked = history(batch, batch.asked_BL.gather(1, drawn_B1)[:, 0])
        group_B, views = batch.targets_BL.gather(1, drawn_B1)[:, 0], (asked, asked)
    told_B = asked.last_B > 0  # an empty history has no view but itself
    if int(told_B.sum()) < 2:
        return network.items.weight.new_zeros(())
    states_RD = network.last(stacked(*views, told_B))
    return info_nce(states_RD.float(), group_B[told_B].repeat(2), params.ssl_temperature)


def stacked(one: Batch, two: Batch, keep_B: Tensor) -> Batch:
    """The rows kept of one batch, and below them those of the other."""
    pairs = zip(one, two, strict=True)
    return Batch(*(None if a is None or b is None else torch.cat([a[keep_B], b[keep_B]]) for a, b in pairs))  # type: ignore[arg-type]


def history(batch: Batch, length_B: Tensor) -> Batch:
    """The question what follows the first `length_B` events that each window reads, in the form of `batches.question`."""
    behind_BL = torch.arange(batch.items_BL.shape[1], device=length_B.device) > length_B[:, None]
    items_BL = torch.where(behind_BL, batch.items_BL[:1, :1], batch.items_BL)
    nothing_BL, times_BL, moment_BL = torch.zeros_like(items_BL), batch.times_BL, batch.target_times_BL
    if times_BL is not None and moment_BL is not None:
        moment_BL = moment_BL.gather(1, length_B[:, None]).expand_as(items_BL)
        times_BL = torch.where(behind_BL, moment_BL, times_BL)
    behaviors_BL = None if batch.behaviors_BL is None else batch.behaviors_BL.masked_fill(behind_BL, 0)
    told_BL = None if behaviors_BL is None else nothing_BL
    return Batch(
        items_BL, items_BL, nothing_BL, nothing_BL.bool(), length_B, times_BL, moment_BL, behaviors_BL, told_BL
    )


def view(asked: Batch, operation_B: Tensor) -> Batch:
    """The histories, each changed by its operation: a piece of `KEPT` of it is left, of its events `HIDDEN` are hidden,
    or a stretch of `SHUFFLED` is shuffled; shares are rounded down, and a crop leaves one event.
    """
    length_B, zero_B = asked.last_B, torch.zeros_like(asked.last_B)
    kept_B = torch.where(operation_B == CROP, (length_B * KEPT).long().clamp(min=1).minimum(length_B), length_B)
    size_B = torch.where(operation_B == REORDER, (length_B * SHUFFLED).long(), 0)
    start_B = between(zero_B, length_B - size_B)
    n_hidden_B = torch.where(operation_B == MASK, (length_B * HIDDEN).long(), 0)
    place_L = torch.arange(asked.items_BL.shape[1], device=length_B.device)
    event_BL = (place_L > 0) & (place_L <= length_B[:, None])
    drawn_BL = torch.rand(event_BL.shape, device=length_B.device).masked_fill(~event_BL, 2)
    hidden_BL = drawn_BL.argsort(dim=1).argsort(dim=1) < n_hidden_B[:, None]
    changed = hidden(reordered(asked, start_B, start_B + size_B), hidden_BL)
    return cropped(changed, between(zero_B, length_B - kept_B), kept_B)


def info_nce(states_RD: Tensor, group_R: Tensor, temperature: float) -> Tensor:
    """Mean over states, and over the others p of a state's group, of -log(exp(s_p) / (exp(s_p) + sum_n exp(s_n))),
    where n runs over the states of all other groups and s is the dot product divided by the temperature.
    """
    logits_RR = states_RD @ states_RD.T / temperature
    alike_RR = group_R[:, None] == group_R
    positive_RR = alike_RR & ~torch.eye(len(group_R), dtype=torch.bool, device=group_R.device)
    others_R1 = logits_RR.masked_fill(alike_RR, NEVER).logsumexp(1, keepdim=True)
    loss_RR = torch.nn.functional.softplus(others_R1 - logits_RR)
    return (loss_RR.masked_fill(~positive_RR, 0).sum(1) / positive_RR.sum(1)).mean()
