"""What a network looks up: which row of one table of vectors stands for each user, item, category, hour and weekday.

Letters: N ids, U users, I items, C fields of an item, V rows of the table.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recbench.content import category_sets
from recbench.data import Interactions, Ragged
from recbench.dataset import Dataset
from recbench.features import TICKS
from recbench.parts import DAY, drawn_by

MOMENTS = {"hour": (3600, 24), "weekday": (DAY, 7)}  # seconds of a unit, and units of a round


@dataclass(frozen=True, eq=False)
class Fields:
    """The rows of all fields, one field after another; the first row of a field is that of all it has not learned.

    `user_U`: (U,) rows; None where users are no field. `items`: the rows of item i's field c are row `i * C + c`, one for
    an id and for each of its categories. `columns`: (C,) names of an item's fields. `begins`: the first row of each field
    by name, of hour and weekday too. `n_rows`: V. `collisions`: of each field that is hashed the share of its known ids that
    share a row with another.
    """

    user_U: NDArray | None
    items: Ragged
    columns: tuple[str, ...]
    begins: dict[str, int]
    n_rows: int
    collisions: dict[str, float]

    @property
    def moments(self) -> list[str]:
        """Which of hour and weekday are fields."""
        return [name for name in MOMENTS if name in self.begins]


def fields_of(train: Dataset, params: Any) -> Fields:
    """The fields that `params` (`FieldParams`) names and the data have.

    An id or a category that fewer than `min_events` events of the training part met is not learned.
    """
    log, begins, collisions, n_rows = train.interactions, {}, {}, 0

    def number(name: str, n: int, met_E: NDArray) -> NDArray:
        nonlocal n_rows
        row_N, size, collision = numbered(np.bincount(met_E, minlength=n) >= params.min_events, params.buckets)
        begins[name], n_rows = n_rows, n_rows + size
        if collision is not None:
            collisions[name] = round(collision, 4)
        return row_N + begins[name]

    user_U = number("user", log.n_users, log.user) if params.users else None
    rows = {}
    if params.items:
        every = np.arange(log.n_items)
        rows["item"] = Ragged(number("item", log.n_items, log.item), every, every + 1)
    for name, sets in _categories(train, params.categories):
        of_item, n = sets
        row_N = number(name, n, of_item.take(log.item).flat()[1])
        rows[name] = _or_unknown(Ragged(row_N[of_item.values], of_item.start, of_item.stop), begins[name])
    for name, (seconds, n_units) in MOMENTS.items():
        if params.moment and TICKS.get(train.info.clock, np.inf) <= seconds:
            begins[name], n_rows = n_rows, n_rows + n_units
    return Fields(user_U, _interleaved(list(rows.values()), log), tuple(rows), begins, n_rows, collisions)


def numbered(known_N: NDArray, buckets: int) -> tuple[NDArray, int, float | None]:
    """(N,) a row for each id, how many rows there are, and the share of known ids that share theirs; None unless hashed.

    Row 0 is that of all ids not known. Where more than `buckets` are known (0: no bound), they are hashed to as many rows
    (Weinberger et al., ICML 2009, arXiv 0902.2206).
    """
    row_N, n_known = np.zeros(len(known_N), np.int64), int(known_N.sum())
    if not buckets or n_known <= buckets:
        row_N[known_N] = np.arange(1, n_known + 1)
        return row_N, n_known + 1, None
    bucket = (drawn_by(0, np.flatnonzero(known_N)) % np.uint64(buckets)).astype(np.int64)
    row_N[known_N] = 1 + bucket
    return row_N, buckets + 1, collision_rate(bucket)


def collision_rate(bucket_N: NDArray) -> float:
    """The share of ids whose bucket holds another id too; 0 where there is none."""
    return float(np.mean(np.bincount(bucket_N)[bucket_N] > 1)) if len(bucket_N) else 0.0


def _categories(train: Dataset, named: str) -> list[tuple[str, tuple[Ragged, int]]]:
    """The columns of the item table that are named and there, and the numbers of each item's categories."""
    if train.items is None:
        return []
    names = dict.fromkeys(word.strip() for word in named.split(","))
    return [(name, category_sets(train.items[name])) for name in names if name in train.items]


def _or_unknown(rows: Ragged, unknown: int) -> Ragged:
    """The rows, and the one of the unknown where an item has none."""
    at = len(rows.values)
    none = rows.lengths == 0
    start, stop = np.where(none, at, rows.start), np.where(none, at + 1, rows.stop)
    return Ragged(np.append(rows.values, unknown), start, stop)


def _interleaved(fields: list[Ragged], log: Interactions) -> Ragged:
    """Ragged rows item after item, and of each item field after field."""
    if not fields:
        return Ragged(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.int64))
    bounds = np.cumsum([0, *(len(rows.values) for rows in fields)])
    values = np.concatenate([rows.values for rows in fields])
    start, stop = (
        np.stack([getattr(rows, side) + at for rows, at in zip(fields, bounds, strict=False)], axis=1).ravel()
        for side in ("start", "stop")
    )
    _, flat = Ragged(values, start, stop).flat()
    ends = np.cumsum(stop - start)
    return Ragged(flat, ends - (stop - start), ends)
