"""Questions about items, put to windows of histories: many questions of one user share a window, which is encoded once.

Letters: E events, W windows, B windows of a batch, L length, Q questions, T behaviours asked about, H histories,
K statistics.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from recbench.data import Interactions, Queries, Ragged
from recbench.holdout import Holdout
from recbench.neural.batches import Batch, Windows, question
from recbench.parts import NEVER


class Lesson(NamedTuple):
    """`windows`, and the questions put to them: `window_Q` to which, `place_Q` at which position, `item_Q` about which item,
    `gap_Q` how long after the newest event, in doublings of the log's unit. `statistics_QK`: None where none are read;
    `outcome_QT`: None where it is asked for."""

    windows: Batch
    window_Q: Tensor
    place_Q: Tensor
    item_Q: Tensor
    gap_Q: Tensor
    statistics_QK: Tensor | None = None
    outcome_QT: Tensor | None = None

    def to(self, device: torch.device) -> Lesson:
        """The lesson on another device."""
        return Lesson(*(None if part is None else part.to(device) for part in self))  # type: ignore[arg-type]


class Lessons(Windows):
    """The windows of a log with the questions that were asked of it, `asked`, in the order of the log by user.

    A window ends three quarters of its length behind the one before it, and a question is put to the first that reaches it:
    it knows a quarter of `max_length` events at least, or its whole history. Without `next_item` no event counts as a target,
    and windows without a question are left out.
    """

    def __init__(
        self,
        log: Interactions,
        asked: Holdout,
        max_length: int,
        next_item: bool,
        new_only: bool,
        since: int | None,
        reads: tuple[str, ...],
        statistics_QK: NDArray | None = None,
    ) -> None:
        queries = asked.queries
        assert queries.item is not None and asked.outcomes is not None
        row_Q = queries.items.stop.astype(np.int64)  # the event that comes next
        stride, since = 1 + 3 * max_length // 4, since if next_item else NEVER
        super().__init__(log, max_length, new_only, since, reads, stride, row_Q)
        self.row_Q, self.item_Q = row_Q, queries.item.astype(np.int64)
        self.gap_Q, self.outcome_QT = gaps(queries), asked.outcomes.astype(np.float32)
        self.statistics_QK = statistics_QK
        window_Q = np.searchsorted(self.stop, row_Q, side="right")
        count_W = np.bincount(window_Q, minlength=len(self.stop))
        ends_W = np.cumsum(count_W)
        self.questions = Ragged(np.argsort(window_Q, kind="stable"), ends_W - count_W, ends_W)

    def __getitem__(self, rows: NDArray) -> Lesson:
        """The windows `rows`, (B,), and their questions."""
        window_Q, asked_Q = self.questions.take(rows).flat()
        place_Q = self.row_Q[asked_Q] - self.start[rows][window_Q]
        parts = map(torch.from_numpy, (window_Q, place_Q, self.item_Q[asked_Q], self.gap_Q[asked_Q]))
        told_QK, outcome_QT = rows_of(self.statistics_QK, asked_Q), torch.from_numpy(self.outcome_QT[asked_Q])
        return Lesson(super().__getitem__(rows), *parts, told_QK, outcome_QT)


def rows_of(table: NDArray | None, rows: NDArray) -> Tensor | None:
    """The rows of a table, None where there is none."""
    return None if table is None else torch.from_numpy(table[rows])


def gaps(queries: Queries) -> NDArray:
    """(Q,) float32 log2(1 + time since the newest event of the history), 0 where it is empty."""
    last_Q = np.maximum(queries.items.stop - 1, 0)
    times = queries.times.values
    newest_Q = times[last_Q] if len(times) else queries.time
    gap_Q = np.where(queries.items.lengths > 0, queries.time - newest_Q, 0)
    return np.log2(1.0 + np.maximum(gap_Q, 0)).astype(np.float32)


def asked_in_batches(
    queries: Queries,
    max_length: int,
    reads: tuple[str, ...],
    positions: int,
    statistics_QK: NDArray | None = None,
) -> Iterator[tuple[NDArray, Lesson]]:
    """The rows of questions, and the lesson that asks them, of like length and at most about `positions` positions each:
    a history that many ask about at one moment is read once."""
    assert queries.item is not None
    key_Q3 = np.stack([queries.items.start, queries.items.stop, queries.time], axis=1)
    _, first_H, history_Q = np.unique(key_Q3, axis=0, return_index=True, return_inverse=True)
    histories, count_H = queries.take(first_H), np.bincount(history_Q.ravel(), minlength=len(first_H))
    ends_H = np.cumsum(count_H)
    questions = Ragged(np.argsort(history_Q.ravel(), kind="stable"), ends_H - count_H, ends_H)
    order_H = np.argsort(histories.items.lengths, kind="stable")
    longest = min(max_length, int(histories.items.lengths.max(initial=0)))
    n_rows, gap_Q = max(1, positions // (longest + 1)), gaps(queries)
    for at in range(0, len(order_H), n_rows):
        some = order_H[at : at + n_rows]
        windows = question(histories.take(some), max_length, reads)
        window_Q, asked_Q = questions.take(some).flat()
        window_Q, item_Q = torch.from_numpy(window_Q), torch.from_numpy(queries.item[asked_Q].astype(np.int64))
        parts = windows.last_B[window_Q], item_Q, torch.from_numpy(gap_Q[asked_Q])
        yield asked_Q, Lesson(windows, window_Q, *parts, rows_of(statistics_QK, asked_Q))
