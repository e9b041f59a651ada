"""The best items of each query: what may not be recommended is masked, and ties are drawn, once for all models.

Letters: Q queries, K list length, I items, B columns of a block, W blocks, C columns that may hold the best.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recbench.data import Queries
from recbench.errors import RecbenchError

LEAST_BLOCK = 8  # columns that share a maximum when a row's k-th largest score is sought; fewer do not pay


@dataclass(frozen=True, eq=False)
class Recommendations:
    """`items_QK`: int32, best first, -1 behind the end of a short list; `scores_QK`: float32, never rising.

    Where the queries ask for several steps, place s is step s, and `behaviors_QK`, int8, says what the user does with
    its item: -1 where unknown, None where the model does not tell behaviours.
    """

    items_QK: NDArray
    scores_QK: NDArray
    behaviors_QK: NDArray | None = None


def mask(scores_QI: NDArray, queries: Queries) -> NDArray:
    """Scores as float32 with -inf at items that may not be recommended; RecbenchError on NaN, infinity or shape."""
    scores_QI = np.array(scores_QI, dtype=np.float32)
    if scores_QI.shape != (len(queries), queries.n_items):
        raise RecbenchError(f"scores must have shape {(len(queries), queries.n_items)}; given {scores_QI.shape}")
    with np.errstate(all="ignore"):  # no sum is finite where a score is not, and summing is the quickest look at all
        sum_Q = scores_QI @ np.ones(queries.n_items, np.float32)
    if not np.isfinite(sum_Q).all() and not np.isfinite(scores_QI).all():
        raise RecbenchError("scores hold NaN or infinity")
    if not queries.candidates.all():
        scores_QI += np.where(queries.candidates, np.float32(0), np.float32(-np.inf))
    if not queries.seen_allowed:
        scores_QI[queries.items.flat()] = -np.inf
    return scores_QI


def top_k(scores_QI: NDArray, k: int, seed: int = 0, query_Q: NDArray | None = None) -> Recommendations:
    """The k largest scores of each row; ties in a random order drawn by seed; -inf never enters a list.

    A draw depends on seed, item and the query's number in `query_Q` (none: its row), not on the other rows.
    """
    return top_k_and_tied(scores_QI, k, seed, query_Q)[0]


def top_k_and_tied(
    scores_QI: NDArray, k: int, seed: int = 0, query_Q: NDArray | None = None
) -> tuple[Recommendations, NDArray]:
    """The lists of `top_k`; (Q,) how many items of the row, listed or not, have the last score of a full list."""
    n_queries, n_items = scores_QI.shape
    query_Q, take = np.arange(n_queries) if query_Q is None else query_Q, min(k, n_items)
    items_QK = np.full((n_queries, k), -1, np.int32)
    items_QK[:, :take], least_Q1, open_Q = _best(scores_QI, take)
    n_tied = []
    for q in np.flatnonzero(open_Q):
        best, n = _drawn(scores_QI[q], least_Q1[q, 0], take, seed, query_Q[q])
        items_QK[q, : len(best)], items_QK[q, len(best) :] = best, -1
        n_tied.append(n)
    scores_QK = np.take_along_axis(scores_QI, items_QK, axis=1)
    tied_Q = (scores_QK[:, :take] == least_Q1).sum(1)
    tied_Q[open_Q] = n_tied
    scores_QK[items_QK < 0] = -np.inf
    order_QK = np.lexsort((lots(seed, query_Q[:, None], items_QK), -scores_QK), axis=1)
    items_QK, scores_QK = (np.take_along_axis(values, order_QK, axis=1) for values in (items_QK, scores_QK))
    return Recommendations(items_QK, scores_QK), tied_Q


def lots(seed: int, query: NDArray, item: NDArray) -> NDArray:
    """64 random bits for each pair of query and item; tied items stand in their order.

    SplitMix64 (Steele, Lea and Flood, OOPSLA 2014, doi 10.1145/2660193.2660195) of a weighted sum of the three numbers.
    """
    lot = query.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    lot = lot + item.astype(np.uint64) * np.uint64(0xD1342543DE82EF95)
    lot += np.uint64(int(seed) * 0xDA942042E4DD58B5 % 2**64)
    lot = (lot ^ (lot >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    lot = (lot ^ (lot >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return lot ^ (lot >> np.uint64(31))


def _best(scores_QI: NDArray, k: int) -> tuple[NDArray, NDArray, NDArray]:
    """(Q, K) the k best items in no order; (Q, 1) the k-th largest score; (Q,) rows whose items it leaves open: more
    than k reach it, or it is -inf.

    The best stand in the k blocks of columns whose largest scores are the largest, so that a row is read once. The blocks
    are of a size at which there are as many of them as columns in k.
    """
    n_queries, n_items = scores_QI.shape
    size = int(np.sqrt(n_items / k))
    width = n_items // size
    if size < LEAST_BLOCK:
        return _best_of(scores_QI, k)
    blocks_QBW = scores_QI[:, : size * width].reshape(n_queries, size, width)  # block w: columns w, w + W, ...
    largest_QW = blocks_QBW.max(axis=1)
    block_QK, _, tied_Q = _best_of(largest_QW, k)
    block_QK[tied_Q] = np.argpartition(largest_QW[tied_Q], width - k, axis=1)[:, width - k :]
    inside_QKB = blocks_QBW[np.arange(n_queries)[:, None], :, block_QK]
    few_QC = np.concatenate([inside_QKB.reshape(n_queries, -1), scores_QI[:, size * width :]], axis=1)
    column_QK, least_Q1, open_Q = _best_of(few_QC, k)
    open_Q |= (largest_QW >= least_Q1).sum(1) > k
    block, inside = np.divmod(column_QK, size)
    inside_QK = inside * width + np.take_along_axis(block_QK, np.minimum(block, k - 1), axis=1)
    return np.where(column_QK < size * k, inside_QK, column_QK + size * (width - k)), least_Q1, open_Q


def _best_of(scores_QC: NDArray, k: int) -> tuple[NDArray, NDArray, NDArray]:
    """What `_best` gives, of all columns."""
    n_queries, n = scores_QC.shape
    # From the large end, which is quick among many equal small ones too.
    least_Q1 = -np.partition(-scores_QC, k - 1, axis=1)[:, k - 1, None]
    chosen_QC = scores_QC >= least_Q1
    open_Q = (chosen_QC.sum(1) > k) | (least_Q1[:, 0] == -np.inf)
    chosen_QC[open_Q] = np.arange(n) < k  # any k, so that every row has as many
    # Flat, because nonzero of two dimensions takes six times as long.
    column_QK = np.flatnonzero(chosen_QC.ravel()).reshape(n_queries, k) - n * np.arange(n_queries)[:, None]
    return column_QK, least_Q1, open_Q


def _drawn(scores_I: NDArray, least: float, k: int, seed: int, query: int) -> tuple[NDArray, int]:
    """The k best items of a row in no order, fewer where the rest are -inf; how many have the k-th largest score: of
    those, as many as there is room for are drawn.
    """
    above = (scores_I > least).nonzero()[0]
    if least == -np.inf:
        return above, 0
    tied = (scores_I == least).nonzero()[0]
    n_tied, room = len(tied), k - len(above)
    if n_tied > room:
        tied = tied[np.random.default_rng((seed, query)).choice(n_tied, room, replace=False, shuffle=False)]
    return np.concatenate([above, tied]), n_tied
