"""From columns of ids to a log of row numbers.

Letters: E events, U users, I items.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from recbench.data import Interactions


def log_of(user: Any, item: Any, time: Any = None, **columns: Any) -> tuple[Interactions, NDArray, NDArray]:
    """The log of (E,) id columns in any order, with the sorted distinct user ids (U,) and item ids (I,) behind it.

    Without `time` the position inside the user stands for it. `columns`: behavior, value, behaviors as in `Interactions`.
    """
    user_ids, user = np.unique(np.asarray(user), return_inverse=True)
    item_ids, item = np.unique(np.asarray(item), return_inverse=True)
    time = positions(user) if time is None else np.asarray(time)
    log = Interactions.sorted(user, item, time, n_users=len(user_ids), n_items=len(item_ids), **columns)
    return log, user_ids, item_ids


def positions(user: NDArray) -> NDArray:
    """(E,) how many earlier rows have the same user: the order of a file that has no clock."""
    order = np.argsort(user, kind="stable")
    starts = np.r_[0, np.cumsum(np.bincount(user))[:-1]]
    position = np.empty(len(user), np.int64)
    position[order] = np.arange(len(user)) - np.repeat(starts, np.bincount(user))
    return position


def from_sequences(text: str) -> tuple[Interactions, NDArray, NDArray]:
    """The log of lines `user item item ...`, whole numbers, each line's items in the order of time.

    ValueError names the line that holds something else, no item, or a user that an earlier line had.
    """
    rows = []
    for number, line in enumerate(text.splitlines(), 1):
        try:
            rows.append(np.array(line.split(), dtype=np.int64))
        except (ValueError, OverflowError):
            raise ValueError(f"line {number} must hold whole numbers only") from None
        if len(rows[-1]) < 2:
            raise ValueError(f"line {number} holds no user and item")
    if not rows:
        raise ValueError("it is empty")
    users = np.array([row[0] for row in rows])
    _, first = np.unique(users, return_index=True)
    if len(first) < len(users):
        again = np.setdiff1d(np.arange(len(users)), first)[0]
        raise ValueError(f"line {again + 1} repeats user {users[again]}")
    lengths = np.array([len(row) - 1 for row in rows])
    position = np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    return log_of(np.repeat(users, lengths), np.concatenate([row[1:] for row in rows]), position)
