"""How sure a mean over users is: percentile bootstrap intervals, paired where two systems answer the same queries.

Letters: Q queries, M columns of values, G groups (the users), B resamples.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from recbench.errors import RecbenchError


def bootstrap_intervals(
    values_QM: NDArray, groups_Q: NDArray | None = None, seed: int = 0, n_resamples: int = 1000, level: float = 0.95
) -> NDArray:
    """(M, 2) percentile bootstrap intervals of the means of M columns over the same resamples.

    `groups_Q` names the user of each query; the queries of one user are drawn together, and the mean stays the one over
    queries. The same seed and order give the same intervals. RecbenchError where values are missing or not finite.
    Source: Efron and Tibshirani, An Introduction to the Bootstrap, 1993, ch. 13.
    """
    values_QM = np.asarray(values_QM, np.float64)
    if values_QM.ndim != 2 or not len(values_QM) or not np.isfinite(values_QM).all():
        raise RecbenchError(f"an interval needs one finite value a query; given shape {values_QM.shape}")
    if n_resamples < 1 or not 0 < level < 1:
        raise RecbenchError(f"an interval needs n_resamples >= 1 and 0 < level < 1; given {n_resamples} and {level}")
    if groups_Q is not None and np.shape(groups_Q) != (len(values_QM),):
        raise RecbenchError(f"an interval needs a group for each query; given {np.shape(groups_Q)}, {values_QM.shape}")
    group_Q = np.arange(len(values_QM)) if groups_Q is None else np.unique(groups_Q, return_inverse=True)[1]
    n_groups = int(group_Q.max()) + 1
    columns = [np.bincount(group_Q, weights=column, minlength=n_groups) for column in values_QM.T]
    sums_GM, size_G = np.stack(columns, axis=1), np.bincount(group_Q).astype(np.float64)

    rng = np.random.default_rng(seed)
    means_BM = np.empty((n_resamples, sums_GM.shape[1]))
    for b in range(n_resamples):
        times_G = np.bincount(rng.integers(n_groups, size=n_groups), minlength=n_groups).astype(np.float64)
        means_BM[b] = times_G @ sums_GM / (times_G @ size_G)
    return np.quantile(means_BM, [(1 - level) / 2, (1 + level) / 2], axis=0).T


def resampled_interval(
    value_of: Callable[[NDArray], float],
    groups_Q: NDArray,
    seed: int = 0,
    n_resamples: int = 1000,
    level: float = 0.95,
) -> tuple[float, float]:
    """The percentile bootstrap interval of what is no mean, over the same resamples of users as `bootstrap_intervals`.

    `value_of`: from how often each query is in a resample, (Q,) float64, to the value; a resample without one, NaN, is left
    out. Source: Efron and Tibshirani, 1993, ch. 13.
    """
    group_Q = np.unique(groups_Q, return_inverse=True)[1]
    n_groups = int(group_Q.max()) + 1
    rng = np.random.default_rng(seed)
    values_B = np.empty(n_resamples)
    for b in range(n_resamples):
        times_G = np.bincount(rng.integers(n_groups, size=n_groups), minlength=n_groups).astype(np.float64)
        values_B[b] = value_of(times_G[group_Q])
    if np.isnan(values_B).all():
        return float("nan"), float("nan")
    low, high = np.nanquantile(values_B, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def bootstrap_interval(
    values_Q: NDArray, groups_Q: NDArray | None = None, seed: int = 0, n_resamples: int = 1000, level: float = 0.95
) -> tuple[float, float]:
    """The interval of one column; the arguments are those of `bootstrap_intervals`."""
    low, high = bootstrap_intervals(np.asarray(values_Q)[..., None], groups_Q, seed, n_resamples, level)[0]
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

    Pairing as in Efron and Tibshirani, 1993, ch. 15; the arguments are those of `bootstrap_intervals`.
    """
    a_Q, b_Q = np.asarray(a_Q, np.float64), np.asarray(b_Q, np.float64)
    if a_Q.shape != b_Q.shape:
        raise RecbenchError(f"a paired interval needs values of the same queries; given {a_Q.shape} and {b_Q.shape}")
    return bootstrap_interval(a_Q - b_Q, groups_Q, seed, n_resamples, level)
