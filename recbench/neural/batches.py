"""Windows of histories, and batches of windows of like length in an order fixed by (seed, epoch).

A window is up to max_length + 1 events of one user. Its input is the start token and all events but the last, its
targets are all events: position p reads p events. A target is asked at the position that has read what came before
its moment: events of one user that tie in time are one step, and none of them may tell of the others. Item number I is
start token and padding.

Letters: W windows, B batch, L length, E events, Q queries.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from recbench.data import Interactions, Queries, Ragged
from recbench.model import ALONE, Team

POOL = 16  # batches that are sorted by length together: length and chance both keep a say in the order


class Batch(NamedTuple):
    """Padded at the right. `asked_BL`: the position at which each target is asked; `mask_BL`: targets that count in the
    loss; `last_B`: the last real position. `times_BL`, `behaviors_BL`: of the events read, the start token having the
    time of the first event and behaviour 0; `target_times_BL`, `target_behaviors_BL`: of the targets. These four are
    None unless the network reads them; in a question only the time of the last target, the moment of asking, is real.
    """

    items_BL: Tensor
    targets_BL: Tensor
    asked_BL: Tensor
    mask_BL: Tensor
    last_B: Tensor
    times_BL: Tensor | None = None
    target_times_BL: Tensor | None = None
    behaviors_BL: Tensor | None = None
    target_behaviors_BL: Tensor | None = None

    def to(self, device: torch.device) -> Batch:
        """The batch on another device."""
        return Batch(*(None if column is None else column.to(device) for column in self))  # type: ignore[arg-type]


class Windows(Dataset):
    """Histories cut into pieces from their end, so that only a user's first piece is short.

    `new_only`: only a user's first event with an item counts; pieces in which nothing counts are left out. `reads`:
    "times" and "behaviors" where batches are to hold them. `stride`: how many events lie between the ends of two pieces
    (none given: they do not overlap); those that an earlier piece ends with do not count again. `kept`: rows of the log by
    user whose piece is not left out.
    """

    def __init__(
        self,
        log: Interactions,
        max_length: int,
        new_only: bool,
        since: int | None = None,
        reads: Collection[str] = (),
        stride: int | None = None,
        kept: NDArray | None = None,
    ) -> None:
        order, starts = log.by_user()
        self.items = log.item[order].astype(np.int64)
        self.times = log.time[order] if "times" in reads else None
        self.behaviors = log.behavior[order].astype(np.int64) if "behaviors" in reads else None
        self.counts = first_events(log, order) if new_only else np.ones(len(order), bool)
        if since is not None:
            self.counts = self.counts & (log.time[order] >= since)
        self.start_token = log.n_items
        opens = np.ones(len(order), bool)
        opens[1:] = (np.diff(log.time[order]) != 0) | (np.diff(log.user[order]) != 0)
        self.moment = np.maximum.accumulate(np.where(opens, np.arange(len(order)), 0))  # the first event of each moment
        size, stride = max_length + 1, stride or max_length + 1
        pieces = -(-np.diff(starts) // stride)
        user = np.repeat(np.arange(log.n_users), pieces)
        back = np.cumsum(pieces)[user] - np.arange(len(user)) - 1
        stop = starts[user + 1] - back * stride
        start, own = (np.maximum(starts[user], stop - length) for length in (size, stride))
        useful_E = self.counts.copy()
        useful_E[[] if kept is None else kept] = True
        total = np.r_[0, np.cumsum(useful_E)]
        useful = total[stop] > total[own]
        self.start, self.own, self.stop = start[useful], own[useful], stop[useful]

    def __len__(self) -> int:
        return len(self.start)

    def __getitem__(self, rows: NDArray) -> Batch:
        """The batch of the windows `rows`, (B,); of none, as a share may be, a window in which nothing counts."""
        if not len(rows):
            blank = Windows.__getitem__(self, np.zeros(1, np.int64))
            return blank._replace(mask_BL=torch.zeros_like(blank.mask_BL))
        start_B1, stop_B1 = self.start[rows, None], self.stop[rows, None]
        row_BL = start_B1 + np.arange((stop_B1 - start_B1).max())
        real_BL = row_BL < stop_B1
        row_BL = np.minimum(row_BL, stop_B1 - 1)
        targets_BL = np.where(real_BL, self.items[row_BL], self.start_token)
        asked_BL = np.where(real_BL, np.maximum(self.moment[row_BL] - start_B1, 0), 0)
        mask_BL = self.counts[row_BL] & real_BL & (row_BL >= self.own[rows, None])
        start_token_B1 = np.full((len(rows), 1), self.start_token)
        columns: list[NDArray | None] = [shifted(targets_BL, start_token_B1), targets_BL, asked_BL, mask_BL]
        columns += [(stop_B1 - start_B1 - 1)[:, 0]]
        for values, fill in ((self.times, None), (self.behaviors, 0)):
            if values is None:
                columns += [None, None]
                continue
            values_BL = values[row_BL]
            columns += [shifted(values_BL, values_BL[:, :1] if fill is None else np.full((len(rows), 1), fill))]
            columns += [values_BL]
        return Batch(*(tensor(column) for column in columns))  # type: ignore[arg-type]


def shifted(values_BL: NDArray, first_B1: NDArray) -> NDArray:
    """(B, L) the values one place later, behind `first_B1`."""
    return np.concatenate([first_B1, values_BL[:, :-1]], axis=1)


def tensor(array: NDArray | None) -> Tensor | None:
    """The array as a tensor, in memory of its own kind."""
    return None if array is None else torch.from_numpy(np.ascontiguousarray(array))


class Buckets(Sampler):
    """Yields the windows of each batch, (B,); Lightning names the epoch by `set_epoch`, resumption the `skip`.

    The processes of a team make the same batches and take every n-th of their windows: shares of like length.
    A generator, because Lightning asks for the iterator before it names the epoch.
    """

    def __init__(self, lengths: NDArray, batch_size: int, seed: int, team: Team) -> None:
        self.lengths, self.batch_size, self.seed, self.team = lengths, batch_size, seed, team
        self.epoch = self.skip = 0

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __len__(self) -> int:
        return -(-len(self.lengths) // self.batch_size)

    def __iter__(self) -> Iterator[NDArray]:
        rng = np.random.default_rng((self.seed, self.epoch))
        order = rng.permutation(len(self.lengths))
        pool = POOL * self.batch_size
        chunks = [order[i : i + pool] for i in range(0, len(order), pool)]
        order = np.concatenate([chunk[np.argsort(self.lengths[chunk], kind="stable")] for chunk in chunks])
        batches = [order[i : i + self.batch_size] for i in range(0, len(order), self.batch_size)]
        skip, self.skip = self.skip, 0
        mine = slice(self.team.number, None, self.team.size)
        yield from [batches[b][mine] for b in rng.permutation(len(batches))][skip:]


def loader(windows: Windows, batch_size: int, seed: int, team: Team = ALONE) -> DataLoader:
    """Batches of the training windows, or a process's share of each; each index of the sampler is a whole batch."""
    return DataLoader(windows, batch_size=None, sampler=Buckets(windows.stop - windows.start, batch_size, seed, team))


def first_events(log: Interactions, order: NDArray) -> NDArray:
    """(E,) in the order given: whether the event is its user's first with its item."""
    pair = log.user[order].astype(np.int64) * log.n_items + log.item[order]
    first = np.zeros(len(order), bool)
    first[np.unique(pair, return_index=True)[1]] = True
    return first


def question(queries: Queries, max_length: int, reads: Collection[str] = ()) -> Batch:
    """The batch that asks what follows each history, (Q,) rows; an empty one is the start token alone."""
    cut = queries.items.last(max_length)
    longest, start_token = int(cut.lengths.max(initial=0)), queries.n_items

    def read(values: Ragged, fill: int) -> NDArray:
        values_QL = np.full((len(cut), longest + 1), fill, np.int64)
        values_QL[:, 1:] = values.last(max_length).padded(longest, fill)
        return values_QL

    items_QL = read(queries.items, start_token)
    nothing_QL = np.zeros_like(items_QL)
    columns: list[NDArray | None] = [items_QL, items_QL, nothing_QL, nothing_QL.astype(bool), cut.lengths]
    if "times" in reads:
        times_QL, asked_QL = read(queries.times, 0), np.repeat(queries.time[:, None], longest + 1, axis=1)
        behind_QL = np.arange(longest + 1) > cut.lengths[:, None]
        times_QL = np.where(behind_QL, asked_QL, times_QL)
        times_QL[:, 0] = times_QL[:, 1] if longest else queries.time
        columns += [times_QL, asked_QL]
    else:
        columns += [None, None]
    columns += [read(queries.behaviors, 0), nothing_QL] if "behaviors" in reads else [None, None]
    return Batch(*(tensor(column) for column in columns))  # type: ignore[arg-type]
