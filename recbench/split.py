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

from recbench.data import Interactions
from recbench.dataset import Dataset
from recbench.errors import RecbenchError, nearest
from recbench.holdout import Holdout, context_where, distinct, holdout_of
from recbench.parts import ALWAYS, NEVER, TEST, TRAIN, UNUSED, VALID, cuts, drawn_order, kept, parts_of

if TYPE_CHECKING:
    from recbench.plan import Board


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
    train = _learned(dataset, part, used, TRAIN, board)
    refit = train if board.fit_on == "train" else _learned(dataset, part, used, VALID, board)
    if not len(train.interactions):
        raise RecbenchError(
            f"board {board.name}: the training part is empty; shorten the windows or loosen the filters"
        )
    valid, _ = holdout_of(dataset, used, VALID, board, keep_item)
    test, outside = holdout_of(dataset, used, TEST, board, keep_item)
    for name, asked in (("validation", valid), ("test", test)):
        if not len(asked.queries):
            raise RecbenchError(
                f"board {board.name}: the {name} holdout is empty; lengthen its window, loosen the filters or allow repeats"
            )
    leakage = _leakage(log, used) | {"targets_outside_candidates": outside} | filtered
    return Split(train, refit, valid, test, leakage, _fingerprint(dataset, log, used))


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
    if board.split == "given" and dataset.part is None:
        raise RecbenchError(f"board {board.name}: split given, but data={board.data} comes without one")
    for behavior in board.behaviors:
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


def _leakage(log: Interactions, part: NDArray) -> dict[str, Any]:
    """What the split lets through, as shares; stored with every entry."""
    is_train, is_test = part == TRAIN, part == TEST
    shares = {"test_events_before_last_train_event": np.mean(log.time[is_test] < log.time[is_train].max())}
    for name, column, n in (("users", log.user, log.n_users), ("items", log.item, log.n_items)):
        known, tested = (np.bincount(column[rows], minlength=n) > 0 for rows in (is_train, is_test))
        shares[f"test_{name}_unseen_in_train"] = np.mean(~known[tested])
    pair = log.user * np.int64(log.n_items) + log.item
    learned, tested = np.sort(pair[is_train]), distinct(pair[is_test])
    at = np.minimum(np.searchsorted(learned, tested), len(learned) - 1)
    shares["test_pairs_also_in_train"] = np.mean(learned[at] == tested)
    return {name: float(share) for name, share in shares.items()}


def _fingerprint(dataset: Dataset, log: Interactions, part: NDArray) -> str:
    """SHA-256 of the sorted (user, item, time, behaviour, part) rows and the ids behind them."""
    pair = log.user * np.int64(log.n_items) + log.item
    rest = ((log.time - log.time[0]) * len(log.behaviors) + log.behavior) * 4 + part
    order = np.lexsort((rest, pair))  # two keys instead of five: three times as fast
    digest = hashlib.sha256()
    for column in (log.user, log.item, log.time, log.behavior, part):
        digest.update(column[order].astype(np.int64).tobytes())
    for ids in (dataset.user_ids, dataset.item_ids):
        digest.update("\n".join(map(str, ids)).encode())
    return digest.hexdigest()
