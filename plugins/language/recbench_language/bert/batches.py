"""Questions about posts in batches, in which few posts are asked about many times.

Letters: Q questions, B questions of a batch, L history length, T behaviours asked about.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from recbench.data import Queries, Ragged
from recbench.model import Team
from recbench.neural.batches import Buckets

N_AGES = 40  # classes of the time between an event and the question: 0, 1, 2 to 3, 4 to 7 and so on, in the log's unit


class Batch(NamedTuple):
    """`real_BL`: false at padding, which stands behind the events. `outcome_BT`: None where answers are asked for."""

    item_B: Tensor
    event_BL: Tensor
    real_BL: Tensor
    behavior_BL: Tensor
    age_BL: Tensor
    outcome_BT: Tensor | None = None

    def to(self, device: torch.device) -> Batch:
        """The batch on another device."""
        return Batch(*(None if column is None else column.to(device) for column in self))  # type: ignore[arg-type]


def batch_of(queries: Queries, max_length: int, outcome_QT: NDArray | None = None) -> Batch:
    """All the questions, with the newest `max_length` events of each history."""
    assert queries.item is not None
    items = queries.items.last(max_length)
    longest = int(items.lengths.max(initial=0))

    def padded(values: Ragged) -> NDArray:
        return values.last(max_length).padded(longest, 0).astype(np.int64)

    real_BL = np.arange(longest) < items.lengths[:, None]
    age_BL = np.frexp(np.where(real_BL, np.maximum(queries.time[:, None] - padded(queries.times), 0), 0))[1]
    columns = [
        queries.item.astype(np.int64),
        padded(items),
        real_BL,
        padded(queries.behaviors),
        age_BL.astype(np.int64),
    ]
    outcome = None if outcome_QT is None else torch.from_numpy(outcome_QT.astype(np.float32))
    return Batch(*map(torch.from_numpy, columns), outcome)


class Questions(Dataset):
    """The questions of a training part with their answers; an index is the questions of a whole batch."""

    def __init__(self, queries: Queries, outcome_QT: NDArray, max_length: int) -> None:
        self.queries, self.outcome_QT, self.max_length = queries, outcome_QT, max_length

    def __len__(self) -> int:
        return len(self.queries)

    def __getitem__(self, rows: NDArray) -> Batch:
        return batch_of(self.queries.take(rows), self.max_length, self.outcome_QT[rows])


def loader(questions: Questions, batch_size: int, seed: int, team: Team) -> DataLoader:
    """Batches of questions, or a process's share of each; those about one post come together, so that a batch encodes few."""
    assert questions.queries.item is not None
    return DataLoader(questions, batch_size=None, sampler=Buckets(questions.queries.item, batch_size, seed, team))
