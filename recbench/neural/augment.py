"""What is done to the windows of a batch before a network reads them: crop, reorder, and events that are hidden.

What comes out is a batch like any other: what holds of the positions of a window (see `batches`) holds afterwards, and
no target is asked where it, or what ties with it, has been read. The first column tells the start token.

Letters: B batch, L length.
"""

from __future__ import annotations

import torch
from torch import Tensor

from recbench.neural.batches import Batch
from recbench.neural.choices import TrainParams


def augmented(batch: Batch, params: TrainParams) -> Batch:
    """A training batch as `crop`, `reorder` and `item_dropout` change it, in this order; itself where all are 0."""
    last_B, zero_B = batch.last_B, torch.zeros_like(batch.last_B)
    if params.crop:
        lost_B = torch.where(chance(last_B, params.crop) & (last_B > 1), between(zero_B + 1, last_B - 1), 0)
        batch = cropped(batch, lost_B, last_B - lost_B)
        last_B = batch.last_B
    if params.reorder:
        size_B = torch.where(chance(last_B, params.reorder), between(zero_B + 2, last_B), 0)
        start_B = between(zero_B, last_B - size_B)
        batch = reordered(batch, start_B, torch.minimum(start_B + size_B, last_B))
    if params.item_dropout:
        batch = hidden(batch, torch.rand(batch.items_BL.shape, device=last_B.device) < params.item_dropout)
    return batch


def cropped(batch: Batch, lost_B: Tensor, kept_B: Tensor) -> Batch:
    """The windows without their oldest `lost_B` events, of which `kept_B` are read from there on.

    Targets among the lost leave, and of the rest those whose whole past is lost no longer count.
    """
    lost_B1, last_B1 = lost_B[:, None], batch.last_B[:, None]
    place_L = torch.arange(batch.items_BL.shape[1], device=lost_B.device)
    real_BL, start_token = place_L <= kept_B[:, None], batch.items_BL[:1, :1]
    from_BL = torch.minimum(place_L + lost_B1, last_B1)
    # The start token has the time of the first event that is left.
    read_BL = torch.where(place_L == 0, torch.minimum(lost_B1 + 1, last_B1), from_BL)
    asked_BL = batch.asked_BL.gather(1, from_BL)
    behaviors_BL = taken(batch.behaviors_BL, from_BL)
    return Batch(
        torch.where(real_BL & (place_L > 0), batch.items_BL.gather(1, from_BL), start_token),
        torch.where(real_BL, batch.targets_BL.gather(1, from_BL), start_token),
        torch.where(real_BL, (asked_BL - lost_B1).clamp(min=0), 0),
        batch.mask_BL.gather(1, from_BL) & real_BL & ((asked_BL > lost_B1) | (lost_B1 == 0)),
        kept_B,
        taken(batch.times_BL, read_BL),
        taken(batch.target_times_BL, from_BL),
        None if behaviors_BL is None else behaviors_BL.masked_fill(place_L == 0, 0),
        taken(batch.target_behaviors_BL, from_BL),
    )


def taken(values_BL: Tensor | None, from_BL: Tensor) -> Tensor | None:
    """(B, L) the values at the places `from_BL` of each row; None where there are none."""
    return None if values_BL is None else values_BL.gather(1, from_BL)


def reordered(batch: Batch, start_B: Tensor, stop_B: Tensor) -> Batch:
    """The windows with their events `start_B` to `stop_B` (exclusive) shuffled, which then are one moment: they are
    asked where the first of them is, so that what was read early tells of nothing that came before it.

    Behaviours go with their items; moments stay, for time must not run back.
    """
    start_B1, stop_B1 = start_B[:, None], stop_B[:, None]
    place_BL = torch.arange(batch.items_BL.shape[1], device=start_B.device).expand_as(batch.items_BL)
    drawn_BL = torch.rand(place_BL.shape, device=start_B.device)  # 0 to 1: between what is before and what is behind
    outside_BL = torch.where(place_BL < start_B1, place_BL - place_BL.shape[1], place_BL + 1)
    inside_BL = (place_BL >= start_B1) & (place_BL < stop_B1)
    from_BL = torch.where(inside_BL, drawn_BL, outside_BL).argsort(dim=1, stable=True)
    read_BL = torch.cat([torch.zeros_like(from_BL[:, :1]), from_BL[:, :-1] + 1], dim=1)  # behind the start token
    opens_B1, asked_BL = batch.asked_BL.gather(1, start_B1), batch.asked_BL.gather(1, from_BL)
    return batch._replace(
        items_BL=batch.items_BL.gather(1, read_BL),
        targets_BL=batch.targets_BL.gather(1, from_BL),
        asked_BL=torch.where((asked_BL > opens_B1) & (asked_BL < stop_B1), opens_B1, asked_BL),
        mask_BL=batch.mask_BL.gather(1, from_BL),
        behaviors_BL=taken(batch.behaviors_BL, read_BL),
        target_behaviors_BL=taken(batch.target_behaviors_BL, from_BL),
    )


def hidden(batch: Batch, hidden_BL: Tensor) -> Batch:
    """The windows in which the events read at `hidden_BL` are the start token, of behaviour 0, at the moment they had.

    They keep their places, so that positions, moments and targets stay as they are, and remain targets themselves.
    """
    behaviors_BL = batch.behaviors_BL
    return batch._replace(
        items_BL=torch.where(hidden_BL, batch.items_BL[:1, :1], batch.items_BL),
        behaviors_BL=None if behaviors_BL is None else behaviors_BL.masked_fill(hidden_BL, 0),
    )


def chance(like_B: Tensor, share: float) -> Tensor:
    """(B,) bool, true with this probability."""
    return torch.rand(like_B.shape, device=like_B.device) < share


def between(low_B: Tensor, high_B: Tensor) -> Tensor:
    """(B,) whole numbers from `low_B` to `high_B`, both included; `low_B` where nothing lies between."""
    room_B = (high_B - low_B).clamp(min=0)
    drawn_B = (torch.rand(low_B.shape, device=low_B.device) * (room_B + 1)).long()
    return low_B + torch.minimum(drawn_B, room_B)  # a product may be rounded up to the bound
