"""How alike two sets are, and the most similar of each row, in bounded memory.

Letters: R rows that are compared, S rows they are compared with, F features that rows hold, N stored pairs, M of them that
are kept, T of these that tie, L of a row.
Rows are items and features their users, or the other way round.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from recbench.params import Params, param

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

PAIRS = 2**22  # pairs of a block, about: what is held at once while rows are compared


@dataclass(frozen=True)
class SimilarityParams(Params):
    """Which rows are alike, and how many of them count."""

    neighbours: int = param(100, "Neighbours kept.", low=1, high=2000, log=True, tune=True)
    shrink: float = param(
        10.0, "Added to the denominator: doubts similarities of rare items.", low=0.0, high=1000.0, tune=True
    )
    similarity: str = param(
        "cosine",
        "By what the shared weight is divided.",
        choices=("cosine", "jaccard", "asymmetric", "dot"),
        tune=True,
        formerly="cosine",
    )
    alpha: float = param(
        0.5,
        "Of `asymmetric`: share of the norm's square that falls on what is scored; 0.5: cosine.",
        low=0.0,
        high=1.0,
        formerly=0.5,
    )
    k1: float = param(1.2, "Of `bm25`: how late repeats saturate.", low=0.0, high=200.0, formerly=1.2)
    b: float = param(0.75, "Of `bm25`: how much long rows are discounted.", low=0.0, high=1.0, formerly=0.75)


def rarity(count_RF: csr_matrix) -> NDArray:
    """(F,) float32 weight of a feature, log(1 + R / rows that hold it)."""
    holders_F = np.bincount(count_RF.indices, minlength=count_RF.shape[1])
    return np.log1p(count_RF.shape[0] / np.maximum(holders_F, 1)).astype(np.float32)


def weighed(
    count_RF: csr_matrix, rarity_F: NDArray, mean_length: float, params: SimilarityParams, kind: str
) -> csr_matrix:
    """(R, F) float32 weights of the features that rows hold.

    `tfidf`: the feature's rarity w. `bm25`: w * n * (k1 + 1) / (n + k1 * (1 - b + b * length / mean length)), n how often
    the row holds the feature and length the sum of its n (Robertson and Zaragoza, 2009, doi 10.1561/1500000019). Else 1.
    """
    weight_N = np.ones(count_RF.nnz, np.float32)
    if kind in ("tfidf", "bm25"):
        weight_N = rarity_F[count_RF.indices]
    if kind == "bm25":
        relative_R = np.asarray(count_RF.sum(axis=1)).ravel() / (mean_length or 1.0)
        floor_R = params.k1 * (1 - params.b + params.b * relative_R)
        floor_N = np.repeat(floor_R, np.diff(count_RF.indptr)).astype(np.float32)
        weight_N = weight_N * count_RF.data * np.float32(params.k1 + 1) / (count_RF.data + floor_N)
    return with_data(count_RF, weight_N)


def squares(weight_RF: csr_matrix) -> NDArray:
    """(R,) float64 squared norm of each row."""
    row_N = np.repeat(np.arange(weight_RF.shape[0]), np.diff(weight_RF.indptr))
    return np.bincount(row_N, weight_RF.data.astype(np.float64) ** 2, weight_RF.shape[0])


def similar(
    shared_RS: csr_matrix, square_R: NDArray, square_S: NDArray, params: SimilarityParams, alpha_R: float
) -> csr_matrix:
    """(R, S) float32 similarities from sums of products, in place, and squared norms; `alpha_R`: the exponent of the
    row's square.
    """
    if params.similarity == "dot":
        return shared_RS
    shared_N, column_N, length_R = shared_RS.data, shared_RS.indices, np.diff(shared_RS.indptr)
    if params.similarity == "jaccard":
        below_N = np.repeat(square_R.astype(np.float32), length_R) + square_S.astype(np.float32)[column_N] - shared_N
    else:
        alpha = alpha_R if params.similarity == "asymmetric" else 0.5
        norm_R, norm_S = ((square**a).astype(np.float32) for square, a in ((square_R, alpha), (square_S, 1 - alpha)))
        below_N = np.repeat(norm_R, length_R)
        below_N *= norm_S[column_N]
    below_N += np.float32(params.shrink)
    np.divide(shared_N, below_N, out=shared_N)
    return shared_RS


def products(left_RF: csr_matrix, right_FS: csr_matrix) -> Iterator[tuple[slice, csr_matrix]]:
    """left @ right in blocks of rows, each with its rows; a block holds a quarter of `PAIRS` at most, or is one row.

    A quarter, because a product is gone over a dozen times: so large it stays in the cache, and in memory once fetched.
    """
    for rows in blocks(4 * pairs_bound(left_RF, right_FS)):
        yield rows, left_RF[rows] @ right_FS


def pairs_bound(left_RF: csr_matrix, right_FS: csr_matrix) -> NDArray:
    """(R,) how many pairs a row of left @ right holds at most."""
    length_F = np.diff(right_FS.indptr).astype(np.float64)
    return with_data(left_RF, np.ones(left_RF.nnz)) @ length_F


def blocks(cost_R: NDArray) -> Iterator[slice]:
    """Successive rows whose costs add up to about `PAIRS`."""
    block_R = np.cumsum(cost_R) // PAIRS
    bounds = np.flatnonzero(np.diff(block_R, prepend=-1, append=np.inf))
    for begin, end in pairwise(bounds):
        yield slice(int(begin), int(end))


def strongest(value_RS: csr_matrix, k: int) -> csr_matrix:
    """The k largest entries above -inf of each row; of those that tie at the cut, the ones of the lowest columns."""
    value_N, start, length_R = value_RS.data, value_RS.indptr, np.diff(value_RS.indptr)
    cut_R = np.full(len(length_R), -np.inf, value_N.dtype)
    parted_N = value_N.copy()
    for r in np.flatnonzero(length_R > k):  # only long rows: each has many numbers to partition
        parted_L = parted_N[start[r] : start[r + 1]]
        parted_L.partition(len(parted_L) - k)
        cut_R[r] = parted_L[-k]
    least_R = np.maximum(cut_R, np.finfo(value_N.dtype).min)
    near_M = np.flatnonzero(value_N >= np.repeat(least_R, length_R))
    size_R = np.diff(np.searchsorted(near_M, start))
    row_M = np.repeat(np.arange(len(size_R)), size_R)
    tied = np.flatnonzero((size_R > k)[row_M])  # in rows of which too many reach the cut
    tied = tied[value_N[near_M[tied]] == cut_R[row_M[tied]]]
    tied = tied[np.lexsort((value_RS.indices[near_M[tied]], row_M[tied]))]
    row_T = row_M[tied]
    room_R = k - size_R + np.bincount(row_T, minlength=len(size_R))
    place_T = np.arange(len(tied)) - np.searchsorted(row_T, row_T)
    return chosen(value_RS, np.delete(near_M, tied[place_T >= room_R[row_T]]))


def kept(matrix: csr_matrix, keep_N: NDArray) -> csr_matrix:
    """The stored entries that a mask chooses."""
    return chosen(matrix, np.flatnonzero(keep_N))


def chosen(matrix: csr_matrix, at_M: NDArray) -> csr_matrix:
    """The stored entries at rising places."""
    start = np.searchsorted(at_M, matrix.indptr)
    return type(matrix)((matrix.data[at_M], matrix.indices[at_M], start), shape=matrix.shape)


def with_data(matrix: csr_matrix, data_N: NDArray) -> csr_matrix:
    """The same entries with other values."""
    return type(matrix)((data_N, matrix.indices, matrix.indptr), shape=matrix.shape)
