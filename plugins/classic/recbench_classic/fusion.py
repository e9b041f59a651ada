"""Scores of different models on one scale, query by query, over all items of the catalogue.

Letters: Q queries, I items.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

FUSIONS = ("z-score", "rank", "min-max")
LATE = 60  # reciprocal ranks count 1 / (60 + rank), as in the paper
DEPTH = (
    1000  # ranks that are told apart: further down they would count less than 1 / 1060, and cost a sort of everything
)


def on_one_scale(scores_QI: NDArray, fusion: str) -> NDArray:
    """(Q, I) float32, each row by itself; equal scores stay equal and no order is turned.

    z-score: less the row's mean, by its standard deviation. min-max: 0 at the row's least and 1 at its largest.
    rank: 1 / (60 + rank), the best at rank 1, equal ones at their mean rank, and 0 behind the 1000th (Cormack, Clarke,
    Buettcher, SIGIR 2009, doi 10.1145/1571941.1572114). A row of equal scores says nothing and is 0.
    """
    if not scores_QI.size:
        return np.zeros(scores_QI.shape, np.float32)
    return {"z-score": standard, "rank": _reciprocal_ranks, "min-max": _min_max}[fusion](scores_QI)


def standard(scores_QI: NDArray, known_I: NDArray | None = None) -> NDArray:
    """(Q, I) float32 z-scores of each row, by the mean and the deviation of the items `known_I` (none: of all)."""
    scores_QI = scores_QI.astype(np.float64)
    among_QI = scores_QI if known_I is None else scores_QI[:, known_I]
    if not among_QI.size:
        return np.zeros(scores_QI.shape, np.float32)
    least_Q1, largest_Q1 = (end(axis=1, keepdims=True) for end in (among_QI.min, among_QI.max))
    scores_QI -= among_QI.mean(axis=1, keepdims=True)
    scores_QI /= np.where(largest_Q1 > least_Q1, among_QI.std(axis=1, keepdims=True), np.inf)
    return scores_QI.astype(np.float32)


def _reciprocal_ranks(scores_QI: NDArray) -> NDArray:
    from scipy.stats import rankdata

    out = max(0, scores_QI.shape[1] - DEPTH)
    best_QD = np.argpartition(scores_QI, out, axis=1)[:, out:]
    score_QD = np.take_along_axis(scores_QI, best_QD, axis=1)
    scaled_QI = np.zeros(scores_QI.shape)
    np.put_along_axis(scaled_QI, best_QD, 1 / (LATE + rankdata(-score_QD, axis=1)), axis=1)
    least_Q1 = score_QD.min(axis=1, keepdims=True)
    last_QI = scores_QI == least_Q1  # its equals may reach beyond the best
    rank_Q1 = (scores_QI > least_Q1).sum(axis=1, keepdims=True) + (last_QI.sum(axis=1, keepdims=True) + 1) / 2
    scaled_QI = np.where(last_QI, 1 / (LATE + rank_Q1), scaled_QI)
    scaled_QI[last_QI.all(axis=1)] = 0
    return scaled_QI.astype(np.float32)


def _min_max(scores_QI: NDArray) -> NDArray:
    scores_QI = scores_QI.astype(np.float64)
    least_Q1, largest_Q1 = (end(axis=1, keepdims=True) for end in (scores_QI.min, scores_QI.max))
    scores_QI -= least_Q1
    scores_QI /= np.where(largest_Q1 > least_Q1, largest_Q1 - least_Q1, np.inf)
    return scores_QI.astype(np.float32)
