"""Questions at exposures, and what came of them: what `recbench.questions` asks where a board asks `each_event`.

Letters: E events, U users, Q questions, B behaviours asked about, N exposures, T targets.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from recbench.dataset import Dataset
from recbench.holdout import Line, distinct, history_ends
from recbench.parts import ALWAYS, DAY, NEVER

if TYPE_CHECKING:
    from recbench.plan import Board

COLUMNS = ("user", "item", "time", "behavior", "value")  # of a line
PIECE = 1 << 18  # events of a line whose questions are found at once


class Exposed(NamedTuple):
    """What is asked: (Q,) users, items and moments, the rows of a line that are the history, (Q, B) what came of it, and
    (Q,) with which chance it came to be asked."""

    user: NDArray
    item: NDArray
    time: NDArray
    start: NDArray
    stop: NDArray
    outcomes: NDArray
    rates: NDArray

    @classmethod
    def of(cls, parts: Sequence[Exposed]) -> Exposed:
        """The questions of several parts, one after another."""
        return cls(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def target_numbers(board: Board, behaviors: tuple[str, ...]) -> NDArray:
    """(B,) the number that each behaviour asked about has among those of a log."""
    return np.array([behaviors.index(name) for name in board.behaviors])


def exposing(board: Board, behaviors: tuple[str, ...]) -> NDArray:
    return np.array([name in board.exposures for name in behaviors], bool)


def at_exposures(dataset: Dataset, line: Line, candidates: NDArray, board: Board, end: int) -> tuple[Exposed, float]:
    """A question at each exposure in the window of a line, of what is known before `end`.

    What is asked of a user follows from its own events, so that all is made for some users after others: what it takes to
    sort them does not grow with the log.
    """
    parts, n_outside, n_asked = [], 0, 0
    for first, stop in _by_users(line.starts):
        columns = {name: getattr(line, name)[first:stop] for name in (*COLUMNS, "window")}
        some = Line(line.n_items, **columns, starts=line.starts)
        row_N, stop_N = _exposures(dataset, some, board, end)
        known_N = candidates[some.item[row_N]]
        n_outside, n_asked = n_outside + int(np.sum(~known_N)), n_asked + len(known_N)
        row_N, stop_N = row_N[known_N], stop_N[known_N]
        outcomes_QB, user = _attributed(dataset, some, row_N, board), some.user[row_N]
        history = line.starts[user], stop_N + first
        rates = np.ones(len(row_N))
        parts.append(Exposed(user, some.item[row_N], some.time[row_N], *history, outcomes_QB, rates))
    return Exposed.of(parts), n_outside / max(1, n_asked)


def _by_users(starts: NDArray) -> Iterator[tuple[int, int]]:
    """Rows of a line, from and to, of some users after others: of about `PIECE` events, or of one user with more."""
    first, end = 0, int(starts[-1])
    while first < end or not end:
        stop = int(starts[np.searchsorted(starts, first + PIECE, side="right") - 1])
        if stop <= first:
            stop = int(starts[np.searchsorted(starts, first, side="right")]) if end else 0
        yield first, stop
        if stop == end:
            return
        first = stop


def _exposures(dataset: Dataset, line: Line, board: Board, end: int) -> tuple[NDArray, NDArray]:
    """(N,) the rows of a line that put a question, those of one pair at one moment once, and where their histories end."""
    behaviors = dataset.interactions.behaviors
    shown = exposing(board, behaviors)[line.behavior]
    row_N = np.flatnonzero(shown & line.window & (line.time < end - round(board.horizon_days * DAY)))
    stop_N = history_ends(line, row_N, board)
    _, once = np.unique(stop_N * np.int64(line.n_items) + line.item[row_N], return_index=True)
    row_N, stop_N = row_N[once], stop_N[once]
    if board.repeat == "new":
        is_target = np.isin(line.behavior, target_numbers(board, behaviors))
        new_N = _first_time(line, is_target, row_N) >= line.time[row_N]
        row_N, stop_N = row_N[new_N], stop_N[new_N]
    return row_N, stop_N


def _first_time(line: Line, is_target: NDArray, row_N: NDArray) -> NDArray:
    """(N,) when the pair of each row first shows a behaviour asked about; NEVER where it does not."""
    pair_T, time_T = line.pair[is_target], line.time[is_target]
    known = distinct(pair_T)
    first = np.full(len(known) + 1, NEVER)
    np.minimum.at(first, np.searchsorted(known, pair_T), time_T)
    pair_N = line.pair[row_N]
    at = np.searchsorted(known, pair_N)
    found = np.append(known, -1)[at] == pair_N
    return np.where(found, first[at], NEVER)


def _attributed(dataset: Dataset, line: Line, row_N: NDArray, board: Board) -> NDArray:
    """(N, B) which behaviours belong to each exposure: those of the pair from its moment on, up to the horizon and to the
    pair's next moment of exposure."""
    behaviors, horizon = dataset.interactions.behaviors, round(board.horizon_days * DAY)
    target_B, shown = target_numbers(board, behaviors), exposing(board, behaviors)[line.behavior]
    row_T = np.flatnonzero(np.isin(line.behavior, target_B))
    row = np.r_[np.flatnonzero(shown), row_T]
    is_target = np.arange(len(row)) >= len(row) - len(row_T)
    pair, time = line.pair[row], line.time[row]
    order = np.lexsort((is_target, time, pair))
    pair, time, is_target, row = pair[order], time[order], is_target[order], row[order]
    last = np.maximum.accumulate(np.where(is_target, -1, np.arange(len(row))))  # the exposure that stands last
    hit = is_target & (last >= 0)
    hit[hit] = (pair[last[hit]] == pair[hit]) & (time[hit] - time[last[hit]] <= horizon)
    # exposures of one pair at one moment are one: a question's own is found by pair and time
    moment = np.cumsum((np.diff(pair, prepend=-1) != 0) | (np.diff(time, prepend=ALWAYS) != 0))
    moment_of_row = np.zeros(len(line.user), np.int64)
    moment_of_row[row[~is_target]] = moment[~is_target]
    outcome = np.zeros((int(moment.max(initial=0)) + 1, len(target_B)), bool)
    for b, target in enumerate(target_B):
        mine = hit & (line.behavior[row] == target)
        outcome[moment[last[mine]], b] = True
    return outcome[moment_of_row[row_N]]
