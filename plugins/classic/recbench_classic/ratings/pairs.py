"""Values from what users gave to two items each: mean differences, and correlations of residuals.

Letters: Q questions, H distinct histories, U users, I items, C items of a chunk, N pairs of a user and an item,
E pairs of items of a chunk, M pairs of a question and a partner of its item that the history holds.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from recbench.data import Queries
from recbench.model import Context
from recbench.params import Params, param
from recbench_classic.matrices import CELLS
from recbench_classic.ratings.factors import MeanRatingParams
from recbench_classic.ratings.rated import Rated, Rater, item_levels, row_levels

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

    from recbench.dataset import Dataset

CHUNK = 512  # items whose partners are found at once


class PairRater(Rater):
    """Base: each item has partners, the entries of its row in `partner_II`, and those that the history holds answer.

    Where it holds none, mean and levels answer: those of `mean-rating`, found in ten rounds.
    """

    @abstractmethod
    def answer(self, rated: Rated, user_H: NDArray, met: tuple[NDArray, ...], value_Q: NDArray) -> NDArray:
        """(Q,) the values; `met`: (M,) question, pair of `rated`, entry of `partner_II`; `value_Q`: what the levels say."""

    def fit_levels(self, rated: Rated, damping: Params) -> None:
        """Levels of the items; the damping is kept for the users of histories."""
        self.damping_users, rest = np.array(damping.damping_users), damping.damping_items
        self.level_I = item_levels(rated, self.learned(rated), damping.damping_users, rest, rounds=10)

    def user_levels(self, rated: Rated) -> NDArray:
        """(H,) what each history lies above the mean and its items' levels."""
        return row_levels(rated, rated.value - self.mean - self.level_I[rated.item], float(self.damping_users))

    def pairs(self, queries: Queries, item_Q: NDArray) -> NDArray:
        rated, which_Q = Rated.of_histories(queries)
        user_H = self.user_levels(rated)
        value_Q = self.mean + self.level_I[item_Q] + user_H[which_Q]
        known = entry_rows(self.partner_II) * np.int64(rated.n_items) + self.partner_II.indices
        for rows in spans(rated.per_row[which_Q]):
            question, pair = rated.rows.take(which_Q[rows]).flat()
            wanted = item_Q[rows][question] * rated.n_items + rated.item[pair]
            at = np.searchsorted(known, wanted)
            found = np.append(known, -1)[at] == wanted
            value_Q[rows] = self.answer(rated, user_H, (question[found], pair[found], at[found]), value_Q[rows])
        return value_Q


def spans(count_Q: NDArray) -> Iterator[slice]:
    """Stretches of questions whose counts come to about CELLS / 8."""
    stretch_Q = np.cumsum(count_Q) // (CELLS // 8)
    bounds = np.r_[0, np.flatnonzero(np.diff(stretch_Q)) + 1, len(count_Q)]
    yield from (slice(begin, end) for begin, end in pairwise(bounds))


def entry_rows(matrix: csr_matrix) -> NDArray:
    """(E,) the row of each entry."""
    return np.repeat(np.arange(matrix.shape[0], dtype=np.int64), np.diff(matrix.indptr))


def strongest(group: NDArray, strength: NDArray, k: int) -> NDArray:
    """Rising positions of the k strongest of each group, equal ones as they come; groups stand together."""
    count = np.bincount(group)
    if count.max(initial=0) <= k:
        return np.arange(len(group))
    order = np.lexsort((-strength, group))
    place = np.arange(len(group)) - np.repeat(np.cumsum(count) - count, count)
    return np.sort(order[place < k])


def sorted_product(left_IU: csr_matrix, right_UI: csr_matrix, rows: slice) -> csr_matrix:
    """(C, I) with entries by row, then item; sums of 0 are none."""
    block_CI = left_IU[rows] @ right_UI
    block_CI.sort_indices()
    return block_CI


def item_chunks(n_items: int) -> Iterator[slice]:
    yield from (slice(begin, min(begin + CHUNK, n_items)) for begin in range(0, n_items, CHUNK))


class Shared:
    """The pairs of items of a chunk and others that some user has rated both: (E,) `row`, `item` and `count` of users."""

    def __init__(self, met_IU: csr_matrix, met_UI: csr_matrix, rows: slice) -> None:
        block_CI = sorted_product(met_IU, met_UI, rows)
        self.rows, self.shape = rows, block_CI.shape
        self.row, self.item, self.count = entry_rows(block_CI), block_CI.indices, block_CI.data

    def sums(self, left_IU: csr_matrix, right_UI: csr_matrix) -> NDArray:
        """(E,) what the product of other values at the same pairs of user and item comes to."""
        block_CI, n_items = sorted_product(left_IU, right_UI, self.rows), self.shape[1]
        if block_CI.nnz == len(self.count):
            return block_CI.data
        sum_E, known_E = np.zeros(len(self.count)), self.row * n_items + self.item
        sum_E[np.searchsorted(known_E, entry_rows(block_CI) * n_items + block_CI.indices)] = block_CI.data
        return sum_E

    def partners(self, allowed_E: NDArray, strength_E: NDArray, k: int) -> NDArray:
        """Rising places of the k strongest allowed pairs of each item, none with itself, ties to the lower row number."""
        at = np.flatnonzero(allowed_E & (self.item != self.row + self.rows.start))
        return at[strongest(self.row[at], strength_E[at], k)]

    def picked(self, at: NDArray, data_E: NDArray) -> csr_matrix:
        """(C, I) float32 with the entries at these places alone."""
        from scipy.sparse import csr_matrix

        bounds = np.r_[0, np.cumsum(np.bincount(self.row[at], minlength=self.shape[0]))]
        return csr_matrix((data_E[at].astype(np.float32), self.item[at], bounds), shape=self.shape)


def stacked(blocks: list[csr_matrix], n_items: int) -> csr_matrix:
    from scipy.sparse import csr_matrix, vstack

    return vstack(blocks, format="csr") if blocks else csr_matrix((n_items, n_items), dtype=np.float32)


@dataclass(frozen=True)
class SlopeOneParams(Params):
    """Which pairs of items count."""

    min_support: int = param(
        1, "Users two items must share to tell of each other.", low=1, high=50, log=True, tune=True
    )
    partners: int = param(
        2000, "Partners kept for each item, those of most shared users; bounds the memory.", low=1, high=100_000
    )


class SlopeOne(PairRater):
    """Weighted Slope One: what the history's values and the mean differences of two items say (arXiv cs/0702144).

    p(u, i) = sum over j of n_ij (r_uj + d_ij) / sum of n_ij, with n_ij the users who rated both and d_ij the mean of
    r_i - r_j over them; j runs over the items of the history that are partners of i (Lemire and Maclachlan, SDM 2005).
    """

    Params = SlopeOneParams
    small = {}
    fitted = ("mean", "range_2", "level_I", "damping_users", "partner_II", "difference_II")

    def fit(self, train: Dataset, context: Context) -> None:
        """Sum differences and count shared users, chunk by chunk of items."""
        rated, p = Rated.of_log(train.interactions), self.params
        self.fit_levels(rated, MeanRatingParams())
        met_UI, value_UI = rated.matrix(np.ones(len(rated))), rated.matrix()
        met_IU, value_IU = met_UI.T.tocsr(), value_UI.T.tocsr()
        shared, difference = [], []
        for rows in item_chunks(train.n_items):
            both = Shared(met_IU, met_UI, rows)
            at = both.partners(both.count >= p.min_support, both.count, p.partners)
            shared.append(both.picked(at, both.count))
            difference.append(both.picked(at, both.sums(value_IU, met_UI) - both.sums(met_IU, value_UI)))
        self.partner_II, self.difference_II = (stacked(blocks, train.n_items) for blocks in (shared, difference))

    def answer(self, rated: Rated, user_H: NDArray, met: tuple[NDArray, ...], value_Q: NDArray) -> NDArray:
        question, pair, at = met
        shared_M = self.partner_II.data[at].astype(float)
        total = partial(np.bincount, question, minlength=len(value_Q))
        weight_Q = total(weights=shared_M)
        sum_Q = total(weights=shared_M * rated.value[pair] + self.difference_II.data[at])
        return np.where(weight_Q > 0, sum_Q / np.maximum(weight_Q, 1), value_Q)

    def score(self, queries: Queries) -> NDArray:
        """(Q, I) float32 the value of every item, by products of matrices."""
        rated, which_Q = Rated.of_histories(queries)
        met_HI = rated.matrix(np.ones(len(rated)))
        weight_HI = (met_HI @ self.partner_II.T).toarray()
        sum_HI = (rated.matrix() @ self.partner_II.T + met_HI @ self.difference_II.T).toarray()
        value_HI = self.mean + self.level_I + self.user_levels(rated)[:, None]
        value_HI = np.where(weight_HI > 0, sum_HI / np.maximum(weight_HI, 1), value_HI)
        return value_HI.astype(np.float32)[which_Q]


@dataclass(frozen=True)
class ItemKNNRatingParams(MeanRatingParams):
    """Neighbourhood, similarity and levels."""

    neighbours: int = param(
        40, "Items of the history that answer at most, the most similar ones.", low=1, high=1000, log=True, tune=True
    )
    shrink: float = param(
        100.0, "Doubts correlations of few users: times (n - 1) / (n - 1 + shrink).", low=0.0, high=1000.0, tune=True
    )
    min_support: int = param(2, "Users two items must share to be partners.", low=2, high=1000)
    partners: int = param(
        2000, "Partners kept for each item, the most similar ones; bounds the memory.", low=1, high=100_000
    )


class ItemKNNRating(PairRater):
    """Levels, and the residuals of the most similar items of the history (Koren, TKDD 2010, section 2.2).

    p(u, i) = b_ui + sum of s_ij (r_uj - b_uj) / sum of s_ij over the `neighbours` items j of the history most similar to i,
    where b_ui = mean + level of u + level of i. With residuals e = r - b, correlation is sum e_ui e_uj / sqrt(sum e_ui^2
    sum e_uj^2), all over the n users who rated both, and s_ij is (n - 1) / (n - 1 + shrink) times it. Only s_ij > 0
    counts, ties to the lower row number.
    """

    Params = ItemKNNRatingParams
    small = {}
    fitted = ("mean", "range_2", "level_I", "damping_users", "partner_II")

    def fit(self, train: Dataset, context: Context) -> None:
        """Correlate residuals, chunk by chunk of items."""
        rated, p = Rated.of_log(train.interactions), self.params
        self.fit_levels(rated, p)
        left_N = rated.value - self.mean - self.level_I[rated.item] - self.user_levels(rated)[rated.row]
        once_UI, left_UI, square_UI = (rated.matrix(data) for data in (np.ones(len(rated)), left_N, left_N**2))
        once_IU, left_IU, square_IU = (matrix.T.tocsr() for matrix in (once_UI, left_UI, square_UI))
        blocks = []
        for rows in item_chunks(train.n_items):
            both = Shared(once_IU, once_UI, rows)
            size_E = np.sqrt(both.sums(square_IU, once_UI) * both.sums(once_IU, square_UI))
            doubt_E = (both.count - 1) / np.maximum(both.count - 1 + p.shrink, 1)
            similar_E = both.sums(left_IU, left_UI) / np.maximum(size_E, 1e-12) * doubt_E
            allowed_E = (similar_E > 0) & (both.count >= p.min_support)
            blocks.append(both.picked(both.partners(allowed_E, similar_E, p.partners), similar_E))
        self.partner_II = stacked(blocks, train.n_items)

    def answer(self, rated: Rated, user_H: NDArray, met: tuple[NDArray, ...], value_Q: NDArray) -> NDArray:
        question, pair, at = met
        similar_M = self.partner_II.data[at].astype(float)
        kept = strongest(question, similar_M, self.params.neighbours)
        question, pair, similar_M = question[kept], pair[kept], similar_M[kept]
        left_M = rated.value[pair] - self.mean - self.level_I[rated.item[pair]] - user_H[rated.row[pair]]
        total = partial(np.bincount, question, minlength=len(value_Q))
        return value_Q + total(weights=similar_M * left_M) / np.maximum(total(weights=similar_M), 1e-12)
