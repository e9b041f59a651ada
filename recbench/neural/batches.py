"""Windows of histories, and batches of windows of like length in an order fixed by (seed, epoch).

A window is up to max_length + 1 events of one user. Its input is the start token and all events but the last, its
targets are all events: position p reads p events. A target is asked at the position that has read what came before
its moment: events of one user that tie in time are one step, and none of them may tell of the others. Item number I is
start token and padding.

Letters: W windows, B batch, L length, E events, Q queries.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from recbench.data import Interactions, Ragged

POOL = 16  # batches that are sorted by length together: length and chance both keep a say in the order


class Batch(NamedTuple):
    """Padded at the right. `asked_BL`: the position at which each target is asked; `mask_BL`: targets that count in the
    loss; `last_B`: the last real position.
    """

    items_BL: Tensor
    targets_BL: Tensor
    asked_BL: Tensor
    mask_BL: Tensor
    last_B: Tensor


class Windows(Dataset):
    """Histories cut into pieces from their end, so that only a user's first piece is short.

    `new_only`: only a user's first event with an item counts; pieces in which nothing counts are left out.
    """

    def __init__(self, log: Interactions, max_length: int, new_only: bool, since: int | None = None) -> None:
        order, starts = log.by_user()
        self.items = log.item[order].astype(np.int64)
        self.counts = first_events(log, order) if new_only else np.ones(len(order), bool)
        if since is not None:
            self.counts = self.counts & (log.time[order] >= since)
        self.start_token = log.n_items
        opens = np.ones(len(order), bool)
        opens[1:] = (np.diff(log.time[order]) != 0) | (np.diff(log.user[order]) != 0)
        self.moment = np.maximum.accumulate(np.where(opens, np.arange(len(order)), 0))  # the first event of each moment
        size = max_length + 1
        pieces = -(-np.diff(starts) // size)
        user = np.repeat(np.arange(log.n_users), pieces)
        back = np.cumsum(pieces)[user] - np.arange(len(user)) - 1
        stop = starts[user + 1] - back * size
        start = np.maximum(starts[user], stop - size)
        total = np.r_[0, np.cumsum(self.counts)]
        useful = total[stop] > total[start]
        self.start, self.stop = start[useful], stop[useful]

    def __len__(self) -> int:
        return len(self.start)

    def __getitem__(self, rows: NDArray) -> Batch:
        """The batch of the windows `rows`, (B,)."""
        windows = Ragged(self.items, self.start[rows], self.stop[rows])
        longest = int(windows.lengths.max())
        targets = windows.padded(longest, self.start_token)
        items = np.concatenate([np.full((len(rows), 1), self.start_token), targets[:, :-1]], axis=1)
        moment = Ragged(self.moment, windows.start, windows.stop).padded(longest, 0)
        asked = np.maximum(moment - windows.start[:, None], 0)
        mask = Ragged(self.counts, windows.start, windows.stop).padded(longest, False)
        last = windows.lengths - 1
        return Batch(*(torch.from_numpy(np.ascontiguousarray(a)) for a in (items, targets, asked, mask, last)))


class Buckets(Sampler):
    """Yields the windows of each batch, (B,); Lightning names the epoch by `set_epoch`, resumption the `skip`.

    A generator, because Lightning asks for the iterator before it names the epoch.
    """

    def __init__(self, lengths: NDArray, batch_size: int, seed: int) -> None:
        self.lengths, self.batch_size, self.seed = lengths, batch_size, seed
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
        yield from [batches[b] for b in rng.permutation(len(batches))][skip:]


def loader(windows: Windows, batch_size: int, seed: int) -> DataLoader:
    """Batches of the training windows; each index of the sampler is a whole batch."""
    return DataLoader(windows, batch_size=None, sampler=Buckets(windows.stop - windows.start, batch_size, seed))


def first_events(log: Interactions, order: NDArray) -> NDArray:
    """(E,) in the order given: whether the event is its user's first with its item."""
    pair = log.user[order].astype(np.int64) * log.n_items + log.item[order]
    first = np.zeros(len(order), bool)
    first[np.unique(pair, return_index=True)[1]] = True
    return first


def question(histories: Ragged, max_length: int, start_token: int) -> Batch:
    """The batch that asks what follows each history, (Q,) rows; an empty one is the start token alone."""
    cut = histories.last(max_length)
    longest = int(cut.lengths.max(initial=0))
    items = np.full((len(cut), longest + 1), start_token, np.int64)
    items[:, 1:] = cut.padded(longest, start_token)
    tensor = torch.from_numpy(items)
    nothing = torch.zeros_like(tensor)
    return Batch(tensor, tensor, nothing, nothing.bool(), torch.from_numpy(cut.lengths))
