"""Cutting a log into training part and two holdouts, and measuring what leaks.

Letters: E events, U users, I items, Q queries.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from recbench.data import Interactions, Queries, Ragged
from recbench.dataset import Dataset
from recbench.errors import RecbenchError

if TYPE_CHECKING:
    from recbench.plan import Board

TRAIN, VALID, TEST, UNUSED = 0, 1, 2, 3
DAY = 86400


@dataclass(frozen=True, eq=False)
class Holdout:
    """Questions and their right answers: row q of `truth` holds the distinct items that answer query q."""

    queries: Queries
    truth: Ragged


@dataclass(frozen=True, eq=False)
class Split:
    """`train` to learn from, `refit` to answer the test with (equal to `train` unless the board refits), two holdouts."""

    train: Dataset
    refit: Dataset
    valid: Holdout
    test: Holdout
    leakage: dict[str, Any]
    fingerprint: str


def split(dataset: Dataset, board: Board, seed: int = 0) -> Split:
    """The split a board asks for; RecbenchError where the data's clock or length cannot carry it.

    The seed only orders events that tie in time inside a user, and draws the random splits; a board fixes it at 0, so
    that every model and every seed of a model meets the same split.
    """
    clock = dataset.info.clock
    if board.split == "global_time" and clock in ("order", "none"):
        raise RecbenchError(
            f"split global_time needs a clock; data={dataset.info.name} has {clock}: use leave_last_out or random_pairs"
        )
    if board.split == "leave_last_out" and clock == "none":
        raise RecbenchError(f"split leave_last_out needs an order; data={dataset.info.name} has none: use random_pairs")
    log, part = _shuffle_ties(dataset, seed)
    part = _parts(log, part, board, seed)
    keep_item, keep_user, filtered = _filters(log, part == TRAIN, board.filters)
    part = np.where(keep_item[log.item] & keep_user[log.user], part, UNUSED)
    train = replace(dataset, interactions=log.where(part == TRAIN), part=None)
    both = train if board.fit_on == "train" else replace(dataset, interactions=log.where(part <= VALID), part=None)
    if not len(train.interactions):
        raise RecbenchError(
            f"board {board.name}: the training part is empty; shorten the windows or loosen the filters"
        )
    valid, _ = _holdout(log, part, VALID, board, keep_item)
    test, dropped = _holdout(log, part, TEST, board, keep_item)
    for name, holdout in (("validation", valid), ("test", test)):
        if not len(holdout.queries):
            raise RecbenchError(
                f"board {board.name}: the {name} holdout is empty; lengthen its window or loosen the filters"
            )
    return Split(
        train, both, valid, test, _leakage(log, part, test, dropped, filtered), _fingerprint(dataset, log, part)
    )


def _shuffle_ties(dataset: Dataset, seed: int) -> tuple[Interactions, NDArray | None]:
    """The log with events of one user at one moment in an order drawn by seed, never the file's."""
    log = dataset.interactions
    if dataset.info.clock == "order":
        return log, dataset.part
    order = np.lexsort((np.random.default_rng(seed).random(len(log)), log.user, log.time))
    return log.where(order), None if dataset.part is None else dataset.part[order]


def _parts(log: Interactions, given: NDArray | None, board: Board, seed: int) -> NDArray:
    """(E,) the part of every event."""
    rng = np.random.default_rng(seed)
    if board.split == "given":
        if given is None:
            raise RecbenchError(f"board {board.name}: split given, but data={board.data} comes without one")
        return given.astype(np.int8)
    if board.split == "global_time":
        test_cut, valid_cut = cuts(log, board)
        return ((log.time >= valid_cut).astype(np.int8) + (log.time >= test_cut)).astype(np.int8)
    if board.split == "random_pairs":
        return rng.choice(np.array([TRAIN, VALID, TEST], np.int8), len(log), p=(0.8, 0.1, 0.1))
    order, starts = log.by_user()
    steps_from_end = _steps_from_end(log, order, starts)
    if board.split == "leave_last_out":
        first_step = np.zeros(log.n_users, np.int64)
        np.maximum.at(first_step, log.user, steps_from_end)
        part = np.where(steps_from_end == 0, TEST, np.where(steps_from_end == 1, VALID, TRAIN))
        return np.where(first_step[log.user] >= 2, part, TRAIN).astype(np.int8)
    group = rng.choice(np.array([TRAIN, VALID, TEST], np.int8), log.n_users, p=(0.8, 0.1, 0.1))
    return group[log.user]


def cuts(log: Interactions, board: Board) -> tuple[int, int]:
    """The moments at which the test and the validation window open, in seconds since 1970."""
    end = int(log.time[-1]) + 1
    test_cut = end - round(board.test_window_days * DAY)
    return test_cut, test_cut - round(board.valid_window_days * DAY)


def _steps_from_end(log: Interactions, order: NDArray, starts: NDArray) -> NDArray:
    """(E,) how many later moments the user of each event has; events that tie in time share a step."""
    time, user = log.time[order], log.user[order]
    new = np.r_[True, (np.diff(time) != 0) | (np.diff(user) != 0)]
    step = np.cumsum(new) - 1
    filled = starts[1:] > starts[:-1]
    last = np.zeros(log.n_users, np.int64)
    last[filled] = step[starts[1:][filled] - 1]
    out = np.empty(len(log), np.int64)
    out[order] = last[user] - step
    return out


def _filters(log: Interactions, in_train: NDArray, filters: dict[str, int]) -> tuple[NDArray, NDArray, dict[str, int]]:
    """Items and users kept by iterated minimum counts, fitted on the training part alone."""
    item_kept, user_kept = np.ones(log.n_items, bool), np.ones(log.n_users, bool)
    if not filters:
        return item_kept, user_kept, {}
    user, item = log.user[in_train], log.item[in_train]
    while True:
        alive = item_kept[item] & user_kept[user]
        items = np.bincount(item[alive], minlength=log.n_items) >= filters.get("min_item_events", 0)
        users = np.bincount(user[alive], minlength=log.n_users) >= filters.get("min_user_events", 0)
        if (items & item_kept).sum() == item_kept.sum() and (users & user_kept).sum() == user_kept.sum():
            return (
                item_kept,
                user_kept,
                {"items_filtered": int((~item_kept).sum()), "users_filtered": int((~user_kept).sum())},
            )
        item_kept, user_kept = item_kept & items, user_kept & users


def _holdout(log: Interactions, part: NDArray, which: int, board: Board, keep_item: NDArray) -> tuple[Holdout, int]:
    """The questions of one part and their answers; also how many targets no candidate can match."""
    used = np.flatnonzero(part != UNUSED)
    log, part = log.where(used), part[used]
    order, starts = log.by_user()
    item, time, user, p = log.item[order], log.time[order], log.user[order], part[order]
    wanted = np.isin(log.behavior[order], [log.behaviors.index(b) for b in board.behaviors or log.behaviors])
    rows = np.flatnonzero((p == which) & wanted)
    ordered = board.split in ("global_time", "leave_last_out")
    if not ordered:  # without a cut in time only the part tells history from target
        rank = np.lexsort((np.arange(len(p)), p, user))
        order, item, time, user, p, wanted = order[rank], item[rank], time[rank], user[rank], p[rank], wanted[rank]
        rows = np.flatnonzero((p == which) & wanted)
    if board.split == "random_users":
        rows = _fold_in(rows, starts, user)
    key = np.stack([user[rows], time[rows] if board.ask == "each_event" else np.zeros(len(rows), np.int64)])
    new = np.r_[True, np.any(np.diff(key) != 0, axis=0)] if len(rows) else np.empty(0, bool)
    query = np.cumsum(new) - 1
    asked = rows[new]  # the first target row of each query: its history ends before the moment of that row
    start = starts[user[asked]]
    stop = asked.copy()
    if ordered:
        moment = np.r_[True, (np.diff(time) != 0) | (np.diff(user) != 0)]
        stop = np.maximum.accumulate(np.where(moment, np.arange(len(time)), 0))[asked]
        if board.ask == "window_start":
            stop = (starts[:-1] + np.bincount(user[p < which], minlength=log.n_users))[user[asked]]
    elif board.split != "random_users":
        stop = (starts[:-1] + np.bincount(user[p < which], minlength=log.n_users))[user[asked]]
    candidates = keep_item.copy()
    if board.candidates == "known":
        known = np.zeros(log.n_items, bool)
        known[log.item[part < which]] = True
        candidates &= known
    truth, kept, dropped = _truth(item, rows, query, start, stop, board, candidates)
    moment_of = (
        time[asked]
        if board.ask != "window_start" or not ordered
        else np.full(len(asked), _window_open(log, part, which))
    )
    b, v = log.behavior[order], log.value[order]
    start, stop = start[kept], stop[kept]
    queries = Queries(
        user[asked][kept],
        moment_of[kept],
        Ragged(item, start, stop),
        Ragged(b, start, stop),
        Ragged(time, start, stop),
        Ragged(v, start, stop),
        candidates,
        board.repeat == "any",
    )
    return Holdout(queries, truth), dropped


def _window_open(log: Interactions, part: NDArray, which: int) -> int:
    """The first moment of the window: one second after the last event before it."""
    before = log.time[part < which]
    return int(before[-1]) + 1 if len(before) else int(log.time[0])


def _fold_in(rows: NDArray, starts: NDArray, user: NDArray) -> NDArray:
    """The last fifth of each held-out user's events, at least one: the rest is their history."""
    length = starts[user[rows] + 1] - starts[user[rows]]
    return rows[rows - starts[user[rows]] >= length - np.maximum(1, length // 5)]


def _truth(
    item: NDArray, rows: NDArray, query: NDArray, start: NDArray, stop: NDArray, board: Board, candidates: NDArray
) -> tuple[Ragged, NDArray, int]:
    """Distinct right answers a query, which queries keep one, and how many targets were outside the candidates."""
    n_items = len(candidates)
    target = item[rows].astype(np.int64)
    keep = candidates[target]
    if board.repeat == "new" and board.target != "first":
        row, seen = Ragged(item, start, stop).flat()
        keep_new = ~np.isin(query * n_items + target, row * n_items + seen.astype(np.int64))
        dropped = int((keep_new & ~keep).sum())
        keep &= keep_new
    else:
        dropped = int((~keep).sum())
    _, first = np.unique(query[keep] * n_items + target[keep], return_index=True)
    chosen = np.flatnonzero(keep)[np.sort(first)]
    if board.target == "next_k":
        position = np.arange(len(chosen)) - np.searchsorted(query[chosen], query[chosen])
        chosen = chosen[position < board.next_k]
    counts = np.bincount(query[chosen], minlength=len(start))
    kept = np.flatnonzero(counts)
    stops = np.cumsum(counts[kept])
    return Ragged(item[rows[chosen]], stops - counts[kept], stops), kept, dropped


def _leakage(log: Interactions, part: NDArray, test: Holdout, dropped: int, filtered: dict[str, int]) -> dict[str, Any]:
    """What the split lets through, as shares; stored with every entry."""
    is_train, is_test = part == TRAIN, part == TEST
    known_user = np.zeros(log.n_users, bool)
    known_user[log.user[is_train]] = True
    known_item = np.zeros(log.n_items, bool)
    known_item[log.item[is_train]] = True
    pair = log.user.astype(np.int64) * log.n_items + log.item
    n_targets = int(test.truth.lengths.sum())
    return {
        "test_events_before_last_train_event": float(np.mean(log.time[is_test] < log.time[is_train].max())),
        "test_users_unseen_in_train": float(np.mean(~known_user[np.unique(log.user[is_test])])),
        "test_items_unseen_in_train": float(np.mean(~known_item[np.unique(log.item[is_test])])),
        "test_pairs_also_in_train": float(np.mean(np.isin(np.unique(pair[is_test]), pair[is_train]))),
        "targets_outside_candidates": dropped / max(1, dropped + n_targets),
        **filtered,
    }


def _fingerprint(dataset: Dataset, log: Interactions, part: NDArray) -> str:
    """SHA-256 of the sorted (user, item, time, behaviour, part) rows and the ids behind them."""
    table = np.stack([log.user, log.item, log.time, log.behavior, part]).astype(np.int64)
    digest = hashlib.sha256(np.ascontiguousarray(table[:, np.lexsort(table[::-1])]).tobytes())
    for ids in (dataset.user_ids, dataset.item_ids):
        digest.update("\n".join(map(str, ids)).encode())
    return digest.hexdigest()
