"""Which part every event belongs to, and which items and users a board's filters keep.

Every event belongs to one part: train, valid, test, or unused where a filter took its item or user.
- global_time: two cuts in time, the same for everyone. leave_last_out: a user's last moment with a target behaviour
  opens the test, the one before it the validation, and each part holds all that follows up to the next opening; users
  without two such moments and an event before both stay in training. random_pairs: each (user, item) pair is drawn as
  a whole, 8:1:1. random_users: each user is. cold_items: each item is, 18:1:1. given: by the data set.
- Without a clock every time is 0, and a user's events are one step in drawn order.

Letters: E events, U users, I items, B behaviours.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from recbench.data import Interactions, ascending
from recbench.dataset import Dataset

if TYPE_CHECKING:
    from recbench.plan import Board

TRAIN, VALID, TEST, UNUSED = 0, 1, 2, 3
DAY = 86400
ALWAYS, NEVER = np.iinfo(np.int64).min, np.iinfo(np.int64).max


def drawn_order(dataset: Dataset, seed: int) -> Dataset:
    """The data with events of one user at one moment in an order drawn by seed, never the file's."""
    log, part, context = dataset.interactions, dataset.part, dataset.context
    if dataset.info.clock == "none":
        log = replace(log, time=np.zeros(len(log), np.int64))
        context = context and replace(context, time=np.full(len(context), -1))  # before every event, so no answer's
    place = ties(log.time)  # all other rows are where they belong
    step = np.cumsum(np.diff(log.time[place], prepend=log.time[:1]) != 0) * log.n_users + log.user[place]
    by_step, step = ascending(step)
    rows = place[by_step]
    at = ties(step)
    tied = rows[at]
    drawn = drawn_by(seed, *(c[tied] for c in (log.user, log.item, log.time, log.behavior, log.value.view(np.int32))))
    rows[at] = tied[np.lexsort((drawn, step[at]))]
    order = np.arange(len(log))
    order[place] = rows
    return replace(dataset, interactions=log.where(order), part=None if part is None else part[order], context=context)


def ties(values: NDArray) -> NDArray:
    """Where a value of an ordered array equals a neighbour."""
    same = np.zeros(len(values) + 1, bool)
    same[1:-1] = values[1:] == values[:-1]
    return np.flatnonzero(same[1:] | same[:-1])


def drawn_by(seed: int, *columns: NDArray) -> NDArray:
    """(E,) uint64 by splitmix64: follows from the seed and a row's content alone, so that no order of rows matters."""
    x = np.zeros(len(columns[0]), np.uint64)
    for column in (np.full(1, seed), *columns):
        x = (x ^ column.astype(np.int64).view(np.uint64)) + np.uint64(0x9E3779B97F4A7C15)
        x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        x ^= x >> np.uint64(31)
    return x


def parts_of(dataset: Dataset, board: Board, seed: int) -> NDArray:
    """(E,) int8, the part of every event, before any filter."""
    log = dataset.interactions
    if dataset.part is not None and board.split == "given":
        return dataset.part.astype(np.int8)
    if board.split == "global_time":
        test_cut, valid_cut = cuts(log, board)
        return (log.time >= valid_cut).astype(np.int8) + (log.time >= test_cut)
    if board.split == "leave_last_out":
        return _leave_last(log, targeted(board, log.behaviors)[log.behavior])
    if board.split == "random_pairs":
        return _groups(drawn_by(seed, log.user, log.item), 0.8)
    if board.split == "cold_items":
        return _groups(drawn_by(seed, np.arange(log.n_items)), 0.9)[log.item]
    return _groups(drawn_by(seed, np.arange(log.n_users)), 0.8)[log.user]


def unmet(n_items: int, board: Board, seed: int) -> NDArray:
    """(I,) bool: the items whose training events are taken out, drawn one by one."""
    return drawn_by(seed, np.arange(n_items)) / 2.0**64 < board.unmet_items


def _groups(drawn: NDArray, train: float) -> NDArray:
    """int8, a part for each drawn number: the share `train`, the rest in halves."""
    return np.searchsorted([train, (1 + train) / 2], drawn / 2.0**64, side="right").astype(np.int8)


def cuts(log: Interactions, board: Board) -> tuple[int, int]:
    """The moments at which the test and the validation window open, in seconds since 1970."""
    end = int(log.time[-1]) + 1
    test_cut = end - round(board.test_window_days * DAY)
    return test_cut, test_cut - round(board.valid_window_days * DAY)


def targeted(board: Board, behaviors: tuple[str, ...]) -> NDArray:
    """(B,) bool: behaviours that are targets."""
    return np.array([not board.behaviors or b in board.behaviors for b in behaviors], bool)


def _leave_last(log: Interactions, wanted: NDArray) -> NDArray:
    """(E,) int8: the test opens at each user's last moment with a wanted event, validation at the one before."""
    first_U, valid_U, test_U = np.full((3, log.n_users), ALWAYS)
    first_U[log.user[::-1]] = log.time[::-1]  # of several values for one user the one written last stays
    rows = slice(None) if wanted.all() else wanted
    test_U[log.user[rows]] = log.time[rows]
    earlier = wanted & (log.time < test_U[log.user])
    valid_U[log.user[earlier]] = log.time[earlier]
    part = (log.time >= valid_U[log.user]).astype(np.int8) + (log.time >= test_U[log.user])
    return part * (first_U < valid_U)[log.user]


def kept(log: Interactions, part: NDArray, board: Board) -> tuple[NDArray, NDArray, dict[str, int]]:
    """Items and users kept by iterated minimum counts, fitted on the training part alone.

    The held-out users of random_users have no event there: each must reach the minimum by its own events.
    """
    item_kept, user_kept = np.ones(log.n_items, bool), np.ones(log.n_users, bool)
    if not board.filters:
        return item_kept, user_kept, {}
    min_items, min_users = board.filters.get("min_item_events", 0), board.filters.get("min_user_events", 0)
    user, item = log.user[part == TRAIN], log.item[part == TRAIN]
    before, now = -1, log.n_items + log.n_users
    while before != now:
        alive = item_kept[item] & user_kept[user]
        item_kept &= np.bincount(item[alive], minlength=log.n_items) >= min_items
        user_kept &= np.bincount(user[alive], minlength=log.n_users) >= min_users
        before, now = now, int(item_kept.sum() + user_kept.sum())
    if board.split == "random_users":
        own = np.bincount(log.user[item_kept[log.item]], minlength=log.n_users) >= min_users
        user_kept = np.where(np.bincount(user, minlength=log.n_users) > 0, user_kept, own)
    return item_kept, user_kept, {"items_filtered": int((~item_kept).sum()), "users_filtered": int((~user_kept).sum())}
