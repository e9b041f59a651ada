"""Who, what and when as hashed columns of 0 and 1: fields of a question, and crosses of two of them.

Letters: Q questions, N values of a field (several of one question where an item has several categories), W columns.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from recbench.asked import Known
from recbench.content import category_sets
from recbench.data import Queries, Ragged
from recbench.parts import drawn_by

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

GROUPS = ("features", "fields", "crosses")  # each with those before it
CROSSED = (("item", "last_behavior"), ("item", "last_item"))  # and the next two with each category column
WITH_CATEGORY = ("user", "last_behavior")
SEED = 7  # of the hash: another one gives other collisions


class Values(NamedTuple):
    """(N,) rows of questions, rising, and the values that a field has there."""

    row: NDArray
    value: NDArray


@dataclass(frozen=True, eq=False)
class Fields:
    """Hashes fields of questions into `width` columns; `known`: whose item table says what categories an item has.

    Fields: user, item, the user's last item and its behaviour (-1 where there is none), each category column of the item.
    Crosses: item x last_behavior, item x last_item, user x category, last_behavior x category. A value goes to column
    splitmix64(field, value) mod W, and two that meet there share a weight (Weinberger et al., ICML 2009, arXiv 0902.2206);
    nothing is signed, so that weights can be read.
    """

    known: Known
    groups: str
    width: int
    names: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        single = ("user", "item", "last_behavior", "last_item", *self.categories)
        pairs = [*CROSSED, *((name, category) for category in self.categories for name in WITH_CATEGORY)]
        crosses = tuple(f"{a} x {b}" for a, b in pairs)
        chosen = {"features": (), "fields": single, "crosses": single + crosses}[self.groups]
        object.__setattr__(self, "names", chosen)

    @cached_property
    def categories(self) -> dict[str, Ragged]:
        """(I,) the numbers of each item's categories, by column."""
        items = self.known.dataset.items
        wanted = [] if items is None else [str(name) for name in items if name not in ("price", "text", "title")]
        return {name: category_sets(items[name])[0] for name in wanted} if items is not None else {}

    def keys(self, queries: Queries) -> Iterator[tuple[NDArray, NDArray]]:
        """For each name: (N,) rows of questions, and (N,) uint64 what stands there, hashed."""
        held = self.values(queries)
        for number, name in enumerate(self.names):
            first, *second = (held[part] for part in name.split(" x "))
            if not second:
                yield first.row, drawn_by(SEED, np.full(len(first.row), number), first.value)
            else:  # the first has one value a question
                row, value = second[0]
                yield row, drawn_by(SEED, np.full(len(row), number), first.value[row], value)

    def values(self, queries: Queries) -> dict[str, Values]:
        """What each field has."""
        assert queries.item is not None  # the task asks about an item
        every, held = np.arange(len(queries)), queries.items.lengths > 0
        single = {"user": queries.user, "item": queries.item}
        for name, rows in (("last_behavior", queries.behaviors), ("last_item", queries.items)):
            last = np.full(len(queries), -1, np.int64)
            last[held] = rows.values[rows.stop[held] - 1]
            single[name] = last
        several = {name: Values(*of_item.take(queries.item).flat()) for name, of_item in self.categories.items()}
        return {name: Values(every, value.astype(np.int64)) for name, value in single.items()} | several

    def columns(self, queries: Queries) -> csr_matrix:
        """(Q, W) float32."""
        from scipy.sparse import csr_matrix

        row, column = np.empty(0, np.int64), np.empty(0, np.int32)
        if self.names:
            rows, keys = zip(*self.keys(queries), strict=True)
            row, column = np.concatenate(rows), (np.concatenate(keys) % np.uint64(self.width)).astype(np.int32)
        order = np.argsort(row, kind="stable")
        bounds = np.r_[0, np.cumsum(np.bincount(row, minlength=len(queries)))]
        found = csr_matrix((np.ones(len(row), np.float32), column[order], bounds), shape=(len(queries), self.width))
        found.sum_duplicates()
        return found

    def collisions(self, parts: list[Queries]) -> float:
        """The share of distinct values that share their column with another one."""
        keys = [np.unique(np.concatenate([key for _, key in self.keys(queries)])) for queries in parts if self.names]
        if not keys:
            return 0.0
        column = np.unique(np.concatenate(keys)) % np.uint64(self.width)
        per_column = np.bincount(column.astype(np.int64))
        return float(np.mean(per_column[column.astype(np.int64)] > 1))
