"""How sure a mean over users is: percentile bootstrap intervals, paired where two systems answer the same queries.

Letters: Q queries, G groups (the users), B resamples.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from recbench.errors import RecbenchError

DRAWS = 2_000_000  # random draws held in memory at once


def bootstrap_interval(
    values_Q: NDArray, groups_Q: NDArray | None = None, seed: int = 0, n_resamples: int = 1000, level: float = 0.95
) -> tuple[float, float]:
    """Percentile bootstrap interval of the mean (Efron and Tibshirani, An Introduction to the Bootstrap, 1993, ch. 13).

    `groups_Q` names the user of each query; the queries of one user are drawn together, and the mean stays the one over
    queries. The same seed and order give the same interval. RecbenchError where values are missing or not finite.
    """
    values_Q = np.asarray(values_Q, np.float64)
    if values_Q.ndim != 1 or not len(values_Q) or not np.isfinite(values_Q).all():
        raise RecbenchError(f"an interval needs one finite value a query; given shape {values_Q.shape}")
    if n_resamples < 1 or not 0 < level < 1:
        raise RecbenchError(f"an interval needs n_resamples >= 1 and 0 < level < 1; given {n_resamples} and {level}")
    if groups_Q is None:
        sum_G, count_G = values_Q, None
    elif np.shape(groups_Q) != values_Q.shape:
        raise RecbenchError(f"an interval needs a group for each query; given {np.shape(groups_Q)}, {values_Q.shape}")
    else:
        group_Q = np.unique(groups_Q, return_inverse=True)[1]
        sum_G, count_G = np.bincount(group_Q, weights=values_Q), np.bincount(group_Q).astype(np.float64)

    rng = np.random.default_rng(seed)
    n_groups, mean_B = len(sum_G), np.empty(n_resamples)
    step = max(1, DRAWS // n_groups)
    for at in range(0, n_resamples, step):
        drawn_BG = rng.integers(n_groups, size=(min(step, n_resamples - at), n_groups), dtype=np.int32)
        size_B = n_groups if count_G is None else count_G[drawn_BG].sum(axis=1)
        mean_B[at : at + step] = sum_G[drawn_BG].sum(axis=1) / size_B
    low, high = np.quantile(mean_B, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def paired_interval(
    a_Q: NDArray,
    b_Q: NDArray,
    seed: int = 0,
    groups_Q: NDArray | None = None,
    n_resamples: int = 1000,
    level: float = 0.95,
) -> tuple[float, float]:
    """Bootstrap interval of mean(a - b) over the same queries; where it holds 0 the two cannot be told apart.

    Pairing as in Efron and Tibshirani, 1993, ch. 15; the arguments are those of `bootstrap_interval`.
    """
    a_Q, b_Q = np.asarray(a_Q, np.float64), np.asarray(b_Q, np.float64)
    if a_Q.shape != b_Q.shape:
        raise RecbenchError(f"a paired interval needs values of the same queries; given {a_Q.shape} and {b_Q.shape}")
    return bootstrap_interval(a_Q - b_Q, groups_Q, seed, n_resamples, level)
