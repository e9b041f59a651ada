"""Teacher forcing: training windows are split into a history and the list behind it, each step told of those before it.

The list is what an ordered board asks for: the events behind the split that count, each item once, each with the
behaviour that it came to before the next step began. A window is split between two moments only, so that no history
tells of what ties in time with a target; inside the list each step may depend on all before it, those of its own moment
included, for so it is generated.

Letters: B batch, L length, K splits of a window, S steps, P steps that count, D width, I items.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from recbench.neural.batches import Batch
from recbench.neural.network import Asked, Network


class Splits(NamedTuple):
    """`read_BK`: the position whose event is the last of the history. `items_BKS`, `behaviors_BKS`: what each step is
    told, the start token and the steps before it. `mask_BKS`: steps that there are. `chosen_BK` is false where a window
    has fewer splits than others. Behaviours are None where the network does not read them.
    """

    read_BK: Tensor
    chosen_BK: Tensor
    items_BKS: Tensor
    targets_BKS: Tensor
    mask_BKS: Tensor
    behaviors_BKS: Tensor | None = None
    target_behaviors_BKS: Tensor | None = None

    def rows(self) -> tuple[Splits, Tensor]:
        """The chosen splits, at least one, as windows of one split each, and (P,) the window that each comes from."""
        chosen = self.chosen_BK.flatten().nonzero().squeeze(1)
        chosen = chosen if len(chosen) else chosen.new_zeros(1)
        flat = (None if x is None else x.flatten(0, 1)[chosen].unsqueeze(1) for x in self)
        return Splits(*flat), chosen // self.chosen_BK.shape[1]  # type: ignore[arg-type]


def split(batch: Batch, steps: int, splits: int, start_token: int) -> Splits:
    """Random points of every window, `splits` of them (0: one for every `steps` that qualify), all different.

    A point qualifies where a moment begins in which an event counts: there the next step is asked as in any training.
    """
    begin_BK, chosen_BK = points(batch, steps, splits)
    at_BKS, end_BKS = listed(batch, begin_BK, steps)
    mask_BKS = (at_BKS < batch.mask_BL.shape[1]) & chosen_BK.unsqueeze(-1)
    at_BKS = at_BKS.clamp(max=batch.mask_BL.shape[1] - 1)
    targets_BKS = taken(batch.targets_BL, at_BKS)
    read_BK = batch.asked_BL.gather(1, begin_BK)
    found = (read_BK, chosen_BK, told(targets_BKS, start_token), targets_BKS, mask_BKS)
    if batch.target_behaviors_BL is None:
        return Splits(*found)
    behaviors_BKS = taken(batch.target_behaviors_BL, outcomes(batch.targets_BL, at_BKS, end_BKS))
    return Splits(*found, told(behaviors_BKS, 0), behaviors_BKS)


def points(batch: Batch, steps: int, splits: int) -> tuple[Tensor, Tensor]:
    """(B, K) the first event that counts behind each split, and which of these splits there are."""
    asked_BL, mask_BL = batch.asked_BL, batch.mask_BL
    before_BL = F.pad(torch.where(mask_BL, asked_BL, -1).cummax(1).values[:, :-1], (1, 0), value=-1)
    fits_BL = mask_BL & (asked_BL > before_BL)
    fitting_B = fits_BL.sum(1)
    wanted_B = fitting_B.clamp(max=splits) if splits else (fitting_B + steps - 1) // steps
    drawn_BL = torch.rand(fits_BL.shape, device=fits_BL.device).masked_fill(~fits_BL, -1.0)
    begin_BK = drawn_BL.topk(max(1, int(wanted_B.max())), dim=1).indices
    return begin_BK, torch.arange(begin_BK.shape[1], device=begin_BK.device) < wanted_B[:, None]


def listed(batch: Batch, begin_BK: Tensor, steps: int) -> tuple[Tensor, Tensor]:
    """(B, K, S) the event of each step, and the event before which the step ends; L where there is none."""
    length = batch.mask_BL.shape[1]
    place_L = torch.arange(length, device=begin_BK.device)
    begin_BK1 = begin_BK.unsqueeze(-1)
    new_BKL = (earlier(batch.targets_BL)[:, None] < begin_BK1) & (place_L >= begin_BK1)
    place_BKL = torch.where(new_BKL & batch.mask_BL[:, None], place_L, length)
    place_BKL = F.pad(place_BKL, (0, max(0, steps + 1 - length)), value=length)
    at_BKS = place_BKL.topk(steps + 1, largest=False).values
    return at_BKS[..., :-1], at_BKS[..., 1:]


def earlier(items_BL: Tensor) -> Tensor:
    """(B, L) where the same item stood last before each place, -1 where it did not."""
    items_BN, place_BN = items_BL.sort(dim=1, stable=True)
    same_BN = F.pad(items_BN[:, 1:] == items_BN[:, :-1], (1, 0))
    return torch.empty_like(place_BN).scatter_(1, place_BN, torch.where(same_BN, place_BN.roll(1, 1), -1))


def outcomes(items_BL: Tensor, at_BKS: Tensor, end_BKS: Tensor) -> Tensor:
    """(B, K, S) the last event with each step's item before the step ends."""
    place_L = torch.arange(items_BL.shape[1], device=items_BL.device)
    inside_BKSL = (place_L >= at_BKS.unsqueeze(-1)) & (place_L < end_BKS.unsqueeze(-1))
    same_BKSL = items_BL[:, None, None] == taken(items_BL, at_BKS).unsqueeze(-1)
    return torch.where(inside_BKSL & same_BKSL, place_L, 0).amax(-1)


def taken(values_BL: Tensor, at_BKS: Tensor) -> Tensor:
    """(B, K, S) the values at the places of their window."""
    return values_BL.gather(1, at_BKS.flatten(1)).view(at_BKS.shape)


def told(values_BKS: Tensor, first: int) -> Tensor:
    """(B, K, S) what each step knows of the one before it; `first` before all."""
    return F.pad(values_BKS[..., :-1], (1, 0), value=first)


def compared(
    network: Network, behavior_head: nn.Linear | None, states_BKSD: Tensor, splits: Splits, weight: float
) -> Asked:
    """The steps that count with their items, and `weight` times the mean cross-entropy of their behaviours."""
    flat_P = splits.mask_BKS.flatten().nonzero().squeeze(1)
    states_PD, target_P = states_BKSD.flatten(0, 2).index_select(0, flat_P), splits.targets_BKS.flatten()[flat_P]
    if behavior_head is None or splits.target_behaviors_BKS is None or not weight or not len(flat_P):
        return Asked(states_PD, target_P)
    logits = behavior_head(torch.cat([states_PD, network.item_vectors(target_P)], dim=1)).float()
    behavior_P = splits.target_behaviors_BKS.flatten()[flat_P]
    return Asked(states_PD, target_P, weight * F.cross_entropy(logits, behavior_P))


def vectors(network: Network, start_D: Tensor, items: Tensor, behaviors: Tensor | None) -> Tensor:
    """(..., D) items, each with its behaviour's vector added where the network has a table of them; the start token,
    item number I, is `start_D`.
    """
    n_items = network.items.num_embeddings
    x = torch.where((items == n_items).unsqueeze(-1), start_D, network.items(items.clamp(max=n_items - 1)))
    table = getattr(network, "behaviors", None)
    return x if table is None or behaviors is None else x + table(behaviors)
