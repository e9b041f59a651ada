"""What all models of values share: who rated what how high, the levels of users and items, and the form of an answer.

Letters: Q questions, H distinct histories, R rows of a table (users or histories), I items, N pairs of a row and an item.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from recbench.data import Interactions, Queries, Ragged
from recbench.model import Recommender, Traits
from recbench_classic.matrices import CELLS, last_of_pair

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix


@dataclass(frozen=True, eq=False)
class Rated:
    """The value that each row gave to each of its items, the last one of several; (N,) columns, by row, then item."""

    row: NDArray
    item: NDArray
    value: NDArray
    n_rows: int
    n_items: int

    @classmethod
    def of(cls, row: NDArray, item: NDArray, value: NDArray, n_rows: int, n_items: int) -> Rated:
        """From columns in order of time inside each row."""
        last = last_of_pair(row, item, n_items)
        return cls(row[last].astype(np.int64), item[last].astype(np.int64), value[last].astype(float), n_rows, n_items)

    @classmethod
    def of_log(cls, log: Interactions) -> Rated:
        """One row a user."""
        return cls.of(log.user, log.item, log.value, log.n_users, log.n_items)

    @classmethod
    def of_histories(cls, queries: Queries) -> tuple[Rated, NDArray]:
        """One row a distinct history, and (Q,) which of them each question has."""
        first, which_Q = distinct_histories(queries)
        asked = queries.take(first)
        row, item = asked.items.flat()
        return cls.of(row, item, asked.values.flat()[1], len(first), queries.n_items), which_Q

    def __len__(self) -> int:
        return len(self.row)

    @cached_property
    def per_row(self) -> NDArray:
        """(R,) how many items each row has."""
        return np.bincount(self.row, minlength=self.n_rows)

    @cached_property
    def rows(self) -> Ragged:
        """(R,) the numbers of each row's pairs."""
        stop = np.cumsum(self.per_row)
        return Ragged(np.arange(len(self)), stop - self.per_row, stop)

    def take(self, rows: NDArray) -> Rated:
        """The chosen rows, in the order given."""
        row, at = self.rows.take(rows).flat()
        return Rated(row, self.item[at], self.value[at], len(rows), self.n_items)

    def turned(self) -> Rated:
        """The same with rows and items exchanged."""
        order = np.lexsort((self.row, self.item))
        columns = self.item[order], self.row[order], self.value[order]
        return Rated(*columns, self.n_items, self.n_rows)

    def matrix(self, value: NDArray | None = None) -> csr_matrix:
        """(R, I) float64, `value` (N,) or the rated one at each pair; a 0 is kept as an entry."""
        from scipy.sparse import csr_matrix

        bounds = np.r_[0, np.cumsum(self.per_row)]
        given = self.value if value is None else value
        return csr_matrix((given, self.item, bounds), shape=(self.n_rows, self.n_items))


def distinct_histories(queries: Queries) -> tuple[NDArray, NDArray]:
    """(H,) the first question of each distinct stretch of the shared columns, and (Q,) which of them a question has."""
    span = np.stack([queries.items.start, queries.items.stop], axis=1)
    _, first, which_Q = np.unique(span, axis=0, return_index=True, return_inverse=True)
    return first, which_Q.ravel()


def item_levels(rated: Rated, mean: float, damping_users: float, damping_items: float, rounds: int) -> NDArray:
    """(I,) what an item lies above the mean: residuals' sums over count plus damping, items and users in turn.

    Koren, TKDD 2010, section 2.1; one round takes the items' first and the users' from what is left.
    """
    item_I, user_N = np.zeros(rated.n_items), np.zeros(len(rated))
    turned = replace(rated, row=rated.item, n_rows=rated.n_items)  # of the columns, not of their order
    for _ in range(rounds):
        item_I = row_levels(turned, rated.value - mean - user_N, damping_items)
        user_N = row_levels(rated, rated.value - mean - item_I[rated.item], damping_users)[rated.row]
    return item_I


def row_levels(rated: Rated, residual_N: NDArray, damping: float) -> NDArray:
    """(R,) the sum of a row's residuals over its count plus damping; 0 where it has none."""
    return np.bincount(rated.row, residual_N, rated.n_rows) / np.maximum(rated.per_row + damping, 1e-12)


class Rater(Recommender):
    """Base of the models of values: a subclass gives `pairs`, and `learned` sets what is known of all values.

    Values asked for are clipped to the range of the training values, which no true value is expected to leave; scores are
    not clipped, for ties would say nothing.
    """

    traits = Traits(tasks=("rating", "ranking"))

    def learned(self, rated: Rated) -> float:
        """Remember the range of the values; their mean, 0 where there are none."""
        value = rated.value if len(rated) else np.zeros(1)
        self.range_2 = np.array([value.min(), value.max()])
        self.mean = np.array(value.mean())
        return float(self.mean)

    @abstractmethod
    def pairs(self, queries: Queries, item_Q: NDArray) -> NDArray:
        """(Q,) float64 the value of each question's item."""

    def predict(self, queries: Queries) -> NDArray:
        """(Q, 1) float64 from the history alone, so a new user needs no refit."""
        assert queries.item is not None  # the task rating asks about an item
        return np.clip(self.pairs(queries, queries.item.astype(np.int64)), *self.range_2)[:, None]

    def score(self, queries: Queries) -> NDArray:
        """(Q, I) float32 the value of every item, asked pair by pair."""
        n_items = queries.n_items
        scores_QI = np.empty((len(queries), n_items), np.float32)
        step = max(1, CELLS // (64 * n_items))
        for begin in range(0, len(queries), step):
            rows = np.arange(begin, min(begin + step, len(queries)))
            asked = queries.take(np.repeat(rows, n_items))
            scores_QI[rows] = self.pairs(asked, np.tile(np.arange(n_items), len(rows))).reshape(len(rows), n_items)
        return scores_QI
