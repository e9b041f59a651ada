"""Questions about items in batches: ids as they come, histories padded to the longest of a batch, items once each.

Letters: Q questions, B questions of a batch, L history length, N distinct items of a batch, T behaviours asked about,
K statistics.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from recbench.data import Queries
from recbench.model import Team
from recbench.neural.batches import Buckets

N_GAPS = 40  # classes of the time between an event and the question: 0, 1, 2 to 3, 4 to 7 and so on, in the log's unit


class Rows(NamedTuple):
    """`item_N`: the distinct items of the batch; `target_B`, `event_BL` are places in it. `real_BL`: false at padding,
    which stands behind the events. `gap_BL`: classes of time. `statistics_BK`, `outcome_BT`: None where there are none."""

    user_B: Tensor
    time_B: Tensor
    item_N: Tensor
    target_B: Tensor
    event_BL: Tensor
    real_BL: Tensor
    behavior_BL: Tensor
    gap_BL: Tensor
    statistics_BK: Tensor | None = None
    outcome_BT: Tensor | None = None

    def to(self, device: torch.device) -> Rows:
        """The rows on another device."""
        return Rows(*(None if column is None else column.to(device) for column in self))  # type: ignore[arg-type]


def rows_of(
    queries: Queries, max_length: int, statistics_QK: NDArray | None = None, outcome_QT: NDArray | None = None
) -> Rows:
    """A batch of all the questions, with the newest `max_length` events of each history."""
    assert queries.item is not None
    cut = queries.items.last(max_length)
    lengths = cut.lengths
    real_BL = np.arange(int(lengths.max(initial=0))) < lengths[:, None]
    row, item = cut.flat()
    _, behavior = queries.behaviors.last(max_length).flat()
    _, time = queries.times.last(max_length).flat()
    gap = np.maximum(queries.time[row] - time, 0)
    item_N, place = _places(np.concatenate([queries.item, item]), queries.n_items)
    columns = [queries.user, queries.time, item_N, place[: len(queries)]]
    columns += [_padded(column, real_BL) for column in (place[len(queries) :], behavior, np.frexp(gap)[1])]
    columns.insert(5, real_BL)
    tensors = [torch.from_numpy(column if column.dtype == bool else column.astype(np.int64)) for column in columns]
    floats = (statistics_QK, outcome_QT)
    return Rows(*tensors, *(None if x is None else torch.from_numpy(x.astype(np.float32)) for x in floats))


def _places(item: NDArray, n_items: int) -> tuple[NDArray, NDArray]:
    """The distinct items, rising, and where each item is among them."""
    met_I = np.zeros(n_items, bool)
    met_I[item] = True
    item_N, place_I = np.flatnonzero(met_I), np.empty(n_items, np.int64)
    place_I[item_N] = np.arange(len(item_N))
    return item_N, place_I[item]


def _padded(values: NDArray, real_BL: NDArray) -> NDArray:
    """(B, L) the values, row after row, where `real_BL` is true; 0 elsewhere."""
    out_BL = np.zeros(real_BL.shape, np.int64)
    out_BL[real_BL] = values
    return out_BL


class Questions(Dataset):
    """The questions of a training part with their answers; an index is the questions of a whole batch."""

    def __init__(
        self, queries: Queries, outcome_QT: NDArray, max_length: int, statistics_QK: NDArray | None = None
    ) -> None:
        self.queries, self.outcome_QT, self.max_length = queries, outcome_QT, max_length
        self.statistics_QK = statistics_QK

    def __len__(self) -> int:
        return len(self.queries)

    def __getitem__(self, rows: NDArray) -> Rows:
        statistics = None if self.statistics_QK is None else self.statistics_QK[rows]
        return rows_of(self.queries.take(rows), self.max_length, statistics, self.outcome_QT[rows])


def loader(questions: Questions, batch_size: int, seed: int, team: Team) -> DataLoader:
    """Batches of questions with histories of like length, or a process's share of each."""
    lengths = np.minimum(questions.queries.items.lengths, questions.max_length)
    return DataLoader(questions, batch_size=None, sampler=Buckets(lengths, batch_size, seed, team))
