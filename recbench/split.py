"""Cutting a log into training part and two holdouts, and measuring what leaks.

`parts` says which part an event belongs to, `holdout` what is asked of a part and what answers it.

Letters: E events, U users, I items.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from recbench.data import Interactions, ascending
from recbench.dataset import Dataset
from recbench.errors import RecbenchError, nearest
from recbench.holdout import Asked, Holdout, context_where, distinct, holdout_of
from recbench.parts import (
    ALWAYS,
    NEVER,
    TEST,
    TRAIN,
    UNUSED,
    VALID,
    cuts,
    drawn_by,
    drawn_order,
    kept,
    parts_of,
    ties,
    unmet,
)
from recbench.questions import behavior_holdout

if TYPE_CHECKING:
    from recbench.plan import Board

CHUNK = 1 << 17  # rows


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
    that every model and every seed of a model meets the same split. The order of the file's rows decides nothing.
    """
    _refuse(dataset, board)
    dataset = drawn_order(dataset, seed)
    log, part = dataset.interactions, parts_of(dataset, board, seed)
    keep_item, keep_user, filtered = kept(log, part, board)
    used = np.where(keep_item[log.item] & keep_user[log.user], part, np.int8(UNUSED))
    if dataset.context is not None:
        dataset = replace(dataset, context=context_where(dataset.context, keep_user[dataset.context.user]))
    met = np.where(unmet(log.n_items, board, seed)[log.item] & (used != TEST), np.int8(UNUSED), used)
    train = _learned(dataset, part, met, TRAIN, board)
    refit = train if board.fit_on == "train" else _learned(dataset, part, met, VALID, board)
    if not len(train.interactions):
        raise RecbenchError(
            f"board {board.name}: the training part is empty; shorten the windows or loosen the filters"
        )
    asked, questions = Asked.of(log, used), behavior_holdout if board.task == "behavior" else holdout_of
    valid, _ = questions(dataset, asked, used, VALID, board, keep_item)
    test, outside = questions(dataset, asked, used, TEST, board, keep_item)
    for name, holdout in (("validation", valid), ("test", test)):
        if not len(holdout.queries):
            raise RecbenchError(
                f"board {board.name}: the {name} holdout is empty; lengthen its window, loosen the filters or allow repeats"
            )
    if board.unmet_items:
        met_I = np.bincount(train.interactions.item, minlength=log.n_items) > 0
        valid, test = (replace(holdout, unmet=~_any(met_I, holdout)) for holdout in (valid, test))
    valid, test = drawn(valid, board.valid_questions), drawn(test, board.test_questions)
    pairs = _Pairs.of(log)
    leakage = _leakage(log, met, pairs) | {"targets_outside_candidates": outside} | filtered
    return Split(train, refit, valid, test, leakage, _fingerprint(dataset, log, met, pairs))


def _any(of_I: NDArray, holdout: Holdout) -> NDArray:
    """(Q,) whether any right answer is of these items."""
    row, item = holdout.truth.flat()
    return np.bincount(row, of_I[item], len(holdout.truth)) > 0


def drawn(holdout: Holdout, most: int) -> Holdout:
    """At most that many questions, 0 for all: each as likely as any other and in the order of all, the same for everybody.

    Questions are drawn and not users: as many answers say more the more users give them.
    """
    queries = holdout.queries
    if not 0 < most < len(queries):
        return holdout
    item = np.zeros(len(queries), np.int64) if queries.item is None else queries.item
    lot = drawn_by(0, queries.user, queries.time, item)
    return holdout.take(np.sort(np.argsort(lot, kind="stable")[:most]))


def _refuse(dataset: Dataset, board: Board) -> None:
    """RecbenchError where the data cannot carry the board."""
    name, clock, log = dataset.info.name, dataset.info.clock, dataset.interactions
    if board.split == "global_time" and clock in ("order", "none"):
        raise RecbenchError(
            f"split global_time needs a clock; data={name} has {clock}: use leave_last_out or random_pairs"
        )
    if board.split == "leave_last_out" and clock == "none":
        raise RecbenchError(f"split leave_last_out needs an order; data={name} has none: use random_pairs")
    if board.ask != "window_start" and clock == "none":
        raise RecbenchError(f"ask {board.ask} needs an order; data={name} has none: use window_start")
    if board.horizon_days and clock == "order":
        raise RecbenchError(
            f"board {board.name}: horizon_days needs a clock; data={name} has an order only: set it to 0"
        )
    if board.ordered and clock == "none":
        raise RecbenchError(f"board {board.name}: ordered needs an order; data={name} has none: leave it out")
    if board.split == "given" and dataset.part is None:
        raise RecbenchError(f"board {board.name}: split given, but data={board.data} comes without one")
    for behavior in (*board.behaviors, *board.exposures):
        if behavior not in log.behaviors:
            raise RecbenchError(
                f"board {board.name}: data={name} has the behaviours {', '.join(log.behaviors)}; "
                f"given {behavior!r}{nearest(behavior, log.behaviors)}"
            )
    if not len(log):
        raise RecbenchError(f"data={name} holds no events")


def _learned(dataset: Dataset, part: NDArray, used: NDArray, upto: int, board: Board) -> Dataset:
    """What a model learns from the parts up to `upto`; `part` is before the filters and `used` after them.

    Context events end where the window opens; in leave_last_out and given at the user's first held-out event. In
    random_users a held-out user has none, in random_pairs all are read: there nothing is before anything else.
    """
    log, context, until_U = dataset.interactions, dataset.context, np.full(dataset.n_users, NEVER)
    if context is not None:
        held = np.flatnonzero(part > upto)[::-1]
        if board.split == "global_time":
            until_U[:] = cuts(log, board)[0 if upto == VALID else 1]
        elif board.split != "random_pairs":
            until_U[log.user[held]] = ALWAYS if board.split == "random_users" else log.time[held]
        context = context_where(context, context.time < until_U[context.user])
    return replace(dataset, interactions=log.where(used <= upto), part=None, context=context)


@dataclass(frozen=True, eq=False)
class _Pairs:
    """Rows in the order of user and item: (E,) `order`, (E,) `pair` one number for each, `again` where it comes again."""

    order: NDArray
    pair: NDArray
    again: NDArray

    @classmethod
    def of(cls, log: Interactions) -> _Pairs:
        order, pair = ascending(log.user * np.int64(log.n_items) + log.item)
        return cls(order, pair, ties(pair))


def _leakage(log: Interactions, part: NDArray, pairs: _Pairs) -> dict[str, Any]:
    """What the split lets through, as shares; stored with every entry."""
    is_train, is_test = part == TRAIN, part == TEST
    shares = {"test_events_before_last_train_event": np.mean(log.time[is_test] < log.time[is_train].max())}
    for name, column, n in (("users", log.user, log.n_users), ("items", log.item, log.n_items)):
        known, tested = (np.bincount(column[rows], minlength=n) > 0 for rows in (is_train, is_test))
        shares[f"test_{name}_unseen_in_train"] = np.mean(~known[tested])
    again, part_of_again = pairs.pair[pairs.again], part[pairs.order[pairs.again]]
    in_both = np.intersect1d(again[part_of_again == TRAIN], again[part_of_again == TEST])
    n_tested = len(distinct(log.user[is_test] * np.int64(log.n_items) + log.item[is_test]))
    shares["test_pairs_also_in_train"] = len(in_both) / n_tested
    return {name: float(share) for name, share in shares.items()}


def _fingerprint(dataset: Dataset, log: Interactions, part: NDArray, pairs: _Pairs) -> str:
    """SHA-256 of the sorted (user, item, time, behaviour, part) rows and the ids behind them."""
    order, row = pairs.order.copy(), pairs.order[pairs.again]
    rest = ((log.time[row] - log.time[0]) * len(log.behaviors) + log.behavior[row]) * 4 + part[row]
    order[pairs.again] = row[np.lexsort((rest, pairs.pair[pairs.again]))]
    columns = (
        lambda at: pairs.pair[at] // log.n_items,
        lambda at: pairs.pair[at] % log.n_items,
        lambda at: log.time[order[at]],
        lambda at: log.behavior[order[at]],
        lambda at: part[order[at]],
    )
    digest = hashlib.sha256()
    for column in columns:
        for first in range(0, len(log), CHUNK):  # fresh memory costs more than the hash
            digest.update(column(slice(first, first + CHUNK)).astype(np.int64).data)
    for ids in (dataset.user_ids, dataset.item_ids):
        digest.update("\n".join(map(str, ids)).encode())
    return digest.hexdigest()
