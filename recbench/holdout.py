"""The questions of a window, what each may know, and its right answers.

- A window is a user's events of the part asked about; for random_users the last fifth of them, at least one, where
  events of one moment stay together. Targets are its events of the board's behaviours; an answer counts once.
- ask: `window_start` puts one question a user, where the window opens; its history is all of the earlier parts (for
  random_users the first four fifths), in order of time. `each_event` asks at every moment with a target that counts,
  `last` at the last of them; their history is all strictly before that moment, the window's own events included, and
  nothing of a later part. In leave_last_out all three are one.
- target: `all_in_window` takes the targets from the moment of asking to the window's end, `next_k` the first k items
  among them, `first` those of the earliest moment. Events of one moment are one step: `first` takes all of it, and
  `next_k` cuts it in an order drawn by the seed.
- repeat `new`: what the question's history holds, under any behaviour, is no target, so `first` means the first new
  one. The one exception is leave_last_out with `first`, where published tables keep a user whose left-out item the
  mask forbids: the answer stays and cannot be hit.
- task rating: every target is a question of its own, for the value of its item, and `values` answers it.
- ordered: each of the `next_k` items is a step. Its behaviour is what it came to: the last target behaviour that the
  user shows with the item before the next step begins, or before the window ends. A user with fewer than k items left is
  asked for those: no model can know where a window ends.
- Moment of asking: the cut for window_start of global_time, else the first event of the window or of the step; where
  given and random parts overlap in time, one second after the history if that is later.

Letters: E events, U users, I items, Q queries, N targets, C context events, S steps. A row is a place in a Line.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from recbench.data import ContextEvents, Interactions, Queries, Ragged, ascending
from recbench.dataset import Dataset
from recbench.parts import ALWAYS, TEST, VALID, cuts, targeted

if TYPE_CHECKING:
    from recbench.plan import Board


@dataclass(frozen=True, eq=False)
class Holdout:
    """Questions and their right answers: row q of `truth` holds the distinct items that answer query q, as they come.

    `behaviors`: the names of the log's behaviours. `truth_behaviors`: of each answer, on a board that asks for an order.
    `values`: (Q,) float32 what the item asked about was worth, where values are asked for; `truth` then names the item.
    `outcomes`: (Q, B) bool whether the user showed each of the behaviours `targets`, where these are asked for; `truth`
    then names the item, and `rates`, (Q,) float64, with which chance the question came to be asked: below 1 for drawn ones.
    `unmet`: (Q,) bool whether training met none of the answers, on a board that takes items out of it.
    """

    queries: Queries
    truth: Ragged
    behaviors: tuple[str, ...] = ()
    truth_behaviors: Ragged | None = None
    values: NDArray | None = None
    outcomes: NDArray | None = None
    rates: NDArray | None = None
    targets: tuple[str, ...] = ()
    unmet: NDArray | None = None

    def take(self, rows: NDArray | slice) -> Holdout:
        """The chosen questions with their answers; histories are not copied."""
        told = None if self.truth_behaviors is None else self.truth_behaviors.take(rows)
        columns = {name: getattr(self, name) for name in ("values", "outcomes", "rates", "unmet")}
        columns = {name: None if column is None else column[rows] for name, column in columns.items()}
        truth = self.truth.take(rows)
        return replace(self, queries=self.queries.take(rows), truth=truth, truth_behaviors=told, **columns)


@dataclass(frozen=True, eq=False)
class Asked:
    """All events of the users that any holdout asks, user after user, a user's in order of time; (E,) columns of the log."""

    user: NDArray
    item: NDArray
    time: NDArray
    behavior: NDArray
    value: NDArray
    part: NDArray

    @classmethod
    def of(cls, log: Interactions, part: NDArray) -> Asked:
        """The events of users with one in the validation or the test part."""
        rows = np.flatnonzero(_users_of(log, (part == VALID) | (part == TEST)))
        rows = rows[ascending(log.user[rows])[0]]
        return cls(*(column[rows] for column in (log.user, log.item, log.time, log.behavior, log.value, part)))


def _users_of(events: Interactions | Asked, chosen: NDArray) -> NDArray:
    """(E,) bool: the events of all users that have a chosen one."""
    asked_U = np.zeros(events.user.max(initial=-1) + 1, bool)
    asked_U[events.user[chosen]] = True
    return asked_U[events.user]


def holdout_of(
    dataset: Dataset, asked: Asked, part: NDArray, which: int, board: Board, keep_item: NDArray
) -> tuple[Holdout, float]:
    """The questions of one part and their answers; also the share of its (user, item) targets that are no candidates."""
    log, line = dataset.interactions, line_of(dataset, asked, which, board)
    candidates = candidates_of(log, part, which, board, keep_item)
    row_N = np.flatnonzero(line.window & targeted(board, log.behaviors)[line.behavior])
    item_N, stop_N = line.item[row_N], history_ends(line, row_N, board)
    since_N = _first_rows(line, row_N, board)
    new_N = since_N >= stop_N
    pair = distinct(line.pair[row_N[new_N]])
    outside = float(np.mean(~candidates[pair % log.n_items])) if len(pair) else 0.0
    open_N = new_N & candidates[item_N]
    if board.ask == "last":
        last_U = np.zeros(dataset.n_users, np.int64)
        last_U[line.user[row_N[open_N]]] = stop_N[open_N]  # ascending in a user: the last is written last and stays
        open_N &= stop_N == last_U[line.user[row_N]]
    if board.task == "rating":
        stop, row = stop_N[open_N], row_N[open_N]
        truth, told, item, values = Ragged(line.item, row, row + 1), None, line.item[row], line.value[row]
    else:
        stop = distinct(stop_N[open_N])  # a question is the row at which its history ends
        truth, told = _answers(line, row_N, np.where(candidates[item_N], since_N, -1), stop, board)
        item = values = None
    user, start = line.user[stop], line.starts[line.user[stop]]
    time = np.maximum(line.time[stop], np.where(stop > start, line.time[stop - 1] + 1, ALWAYS))
    if board.split == "global_time" and board.ask == "window_start":
        time = np.full(len(stop), cuts(log, board)[0 if which == TEST else 1])
    queries = queries_of(dataset, line, user, time, start, stop, candidates, board, item)
    return Holdout(queries, truth, log.behaviors, told, values), outside


def candidates_of(log: Interactions, part: NDArray, which: int, board: Board, keep_item: NDArray) -> NDArray:
    """(I,) bool: the items that may be asked for in a part."""
    candidates = keep_item.copy()
    if board.candidates == "known":
        candidates &= np.bincount(log.item[part < which], minlength=log.n_items) > 0
    if board.candidates == "held_out":
        candidates &= np.bincount(log.item[part == which], minlength=log.n_items) > 0
    return candidates


def queries_of(
    dataset: Dataset,
    line: Line,
    user: NDArray,
    time: NDArray,
    start: NDArray,
    stop: NDArray,
    candidates: NDArray,
    board: Board,
    item: NDArray | None = None,
) -> Queries:
    """The questions of (Q,) users whose histories are rows `start` to `stop` of the line."""
    context, searches = _searches(dataset, user, time)
    return Queries(
        user,
        time,
        Ragged(line.item, start, stop),
        Ragged(line.behavior, start, stop),
        Ragged(line.time, start, stop),
        Ragged(line.value, start, stop),
        candidates,
        board.repeat == "any",
        context,
        searches,
        item,
        steps=board.next_k if board.ordered else 1,
    )


@dataclass(frozen=True, eq=False)
class Line:
    """The events that questions of one part may speak of, user after user, a user's in the order of asking; (E,).

    `window`: inside the window. `starts`: (U + 1,) where each user's events start.
    """

    n_items: int
    user: NDArray
    item: NDArray
    time: NDArray
    behavior: NDArray
    value: NDArray
    window: NDArray
    starts: NDArray

    @property
    def pair(self) -> NDArray:
        """(E,) int64 one number for each user and item."""
        return self.user * np.int64(self.n_items) + self.item


def line_of(dataset: Dataset, asked: Asked, which: int, board: Board) -> Line:
    """Events of this part and earlier ones of its users; asked at the window's start, the window comes last whatever its
    times."""
    rows = _users_of(asked, asked.part == which) & (asked.part <= which)
    if board.ask == "window_start":
        rows = np.flatnonzero(rows)
        place = asked.user[rows] * np.int64(2) + (asked.part[rows] == which)
        rows = rows[ascending(place)[0]] if np.any(place[1:] < place[:-1]) else rows
    elif rows.all():
        rows = slice(None)  # nothing to copy
    user, time, window = asked.user[rows], asked.time[rows], asked.part[rows] == which
    starts = np.r_[0, np.cumsum(np.bincount(user, minlength=dataset.n_users))]
    if board.split == "random_users":
        cut_U = starts[1:] - np.maximum(1, np.diff(starts) // 5)
        timed = dataset.info.clock != "none"
        window &= time >= time[cut_U[user]] if timed else np.arange(len(user)) >= cut_U[user]
    item, behavior, value = asked.item[rows], asked.behavior[rows], asked.value[rows]
    return Line(dataset.n_items, user, item, time, behavior, value, window, starts)


def history_ends(line: Line, row_N: NDArray, board: Board) -> NDArray:
    """(N,) the row at which the history ends if the question is put for this target."""
    if board.ask == "window_start":
        before_U = np.bincount(line.user[~line.window], minlength=len(line.starts) - 1)
        return (line.starts[:-1] + before_U)[line.user[row_N]]
    new = (line.time[1:] != line.time[:-1]) | (line.user[1:] != line.user[:-1])
    step = np.flatnonzero(np.r_[True, new])
    return step[np.searchsorted(step, row_N, side="right") - 1]


def _first_rows(line: Line, row_N: NDArray, board: Board) -> NDArray:
    """(N,) the first row with a target's user and item: new is what starts no earlier than the question."""
    stays = board.split == "leave_last_out" and board.target == "first"
    if board.repeat == "any" or stays or not len(row_N):
        return np.full(len(row_N), len(line.user))
    pair = line.pair
    known = distinct(pair[row_N])
    at = np.searchsorted(known, pair)
    row = np.flatnonzero(known[np.minimum(at, len(known) - 1)] == pair)[::-1]
    first = np.empty(len(known), np.int64)
    first[at[row]] = row  # backwards: of several rows of one pair the first is written last and stays
    return first[at[row_N]]


def _answers(line: Line, row_N: NDArray, since_N: NDArray, stop: NDArray, board: Board) -> tuple[Ragged, Ragged | None]:
    """(Q,) the distinct items that answer each question, and where an order is asked for their behaviours; a target
    counts where `since_N` is not before the question.

    Memory grows with the targets that lie ahead of each question: for `each_event` with another target than `first`
    with the square of a user's window.
    """
    low, high = np.searchsorted(row_N, stop), np.searchsorted(row_N, line.starts[line.user[stop] + 1])
    if board.target == "first":
        high = np.minimum(high, np.append(low[1:], len(row_N)))  # the next question stands behind the first step
    query, n = Ragged(np.arange(len(row_N)), low, high).flat()
    keep = since_N[n] >= stop[query]
    query, row = query[keep], row_N[n[keep]]
    _, once = np.unique(query * line.n_items + line.item[row], return_index=True)
    once.sort()
    behavior_S = _outcomes(line, row, once) if board.ordered else None
    query, row = query[once], row[once]
    first = np.searchsorted(query, query)  # where the answers of the same question begin
    if board.target == "first":
        keep = line.time[row] == line.time[row[first]]
    else:
        keep = np.arange(len(row)) - first < (board.next_k if board.target == "next_k" else len(row))
    counts = np.bincount(query[keep], minlength=len(stop))
    stops = np.cumsum(counts)
    starts = stops - counts
    told = None if behavior_S is None else Ragged(behavior_S[keep], starts, stops)
    return Ragged(line.item[row[keep]], starts, stops), told


def _outcomes(line: Line, row: NDArray, once: NDArray) -> NDArray:
    """(S,) the behaviour of each step; `row`: the targets, question after question, of which `once` begin a step."""
    begins = np.zeros(len(row), bool)
    begins[once] = True
    step = np.cumsum(begins) - 1  # the one that has begun last
    of_step = line.item[row] == line.item[row[once]][step]
    behavior_S = np.empty(len(once), np.int8)
    behavior_S[step[of_step]] = line.behavior[row[of_step]]  # of several the last is written last and stays
    return behavior_S


def _searches(dataset: Dataset, user: NDArray, time: NDArray) -> tuple[ContextEvents | None, Ragged | None]:
    """The context events that some question may read, and (Q,) which: the user's, strictly before the moment."""
    context = dataset.context
    if context is None:
        return None, None
    last_U = np.full(dataset.n_users, ALWAYS)
    np.maximum.at(last_U, user, time)
    context = context_where(context, context.time < last_U[context.user])
    is_event = np.arange(len(context) + len(user)) < len(context)
    order = np.lexsort((is_event, np.r_[context.time, time], np.r_[context.user, user]))  # a question before its ties
    stop = np.empty(len(user), np.int64)
    stop[order[~is_event[order]] - len(context)] = np.cumsum(is_event[order])[~is_event[order]]
    row = order[is_event[order]]
    return context, Ragged(row, np.searchsorted(context.user[row], user), stop)


def context_where(context: ContextEvents, keep: NDArray) -> ContextEvents:
    columns = {name: getattr(context, name)[keep] for name in ("user", "time", "behavior", "text")}
    return replace(context, **columns)


def distinct(values: NDArray) -> NDArray:
    """The sorted distinct values; np.unique hashes instead and takes twenty times as long."""
    values = np.sort(values)
    return values[np.diff(values, prepend=values[:1] - 1) != 0]
