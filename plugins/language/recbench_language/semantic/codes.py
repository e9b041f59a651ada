"""Semantic ids: residual k-means of item vectors, and a last digit that tells apart items whose codes are the same.

Letters: I items, V width of a vector, S digits of an id, D width, N points, U users.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from recbench.data import Interactions

ROUNDED = 6  # decimals of a residual, in lengths of the vectors: the mean of equal rows is not quite equal to them


def residual_codes(vectors_IV: NDArray, levels: int, n_codes: int, seed: int, fitted_I: NDArray) -> NDArray:
    """(I, levels) the nearest centre of each vector, then of what that centre leaves of it, level after level.

    Centres by k-means with k-means++ on the items `fitted_I`, fewer than `n_codes` where fewer residuals differ. Residual
    quantisation for recommenders: TIGER (arXiv 2305.05065), with k-means in place of its autoencoder.
    """
    from sklearn.cluster import KMeans

    residual_IV = np.asarray(vectors_IV, np.float64)
    scale = np.sqrt(np.mean(np.sum(residual_IV[fitted_I] ** 2, axis=1))) if fitted_I.any() else 0.0
    residual_IV = residual_IV / (scale or 1.0)
    codes_IS = np.zeros((len(vectors_IV), levels), np.int64)
    for level in range(levels):
        residual_IV = residual_IV.round(ROUNDED)
        points_NV = residual_IV[fitted_I]
        n = min(n_codes, len(np.unique(points_NV, axis=0)))
        if not n:
            break
        means = KMeans(n, n_init=1, random_state=(seed + level) % 2**32).fit(points_NV)
        codes_IS[:, level] = means.predict(residual_IV)
        residual_IV = residual_IV - means.cluster_centers_[codes_IS[:, level]]
    return codes_IS


def with_digit(codes_IS: NDArray, count_I: NDArray) -> NDArray:
    """(I, S + 1) the codes and a digit behind them: the item's place among those of the same codes, the most met first."""
    order_I = np.lexsort((np.arange(len(codes_IS)), -count_I, *codes_IS.T[::-1]))
    sorted_IS = codes_IS[order_I]
    opens_I = np.r_[True, np.any(sorted_IS[1:] != sorted_IS[:-1], axis=1)]
    place_I = np.arange(len(order_I))
    digit_I = np.empty(len(order_I), np.int64)
    digit_I[order_I] = place_I - np.maximum.accumulate(np.where(opens_I, place_I, 0))
    return np.column_stack([codes_IS, digit_I])


def history_vectors(log: Interactions, dim: int, seed: int) -> NDArray:
    """(I, dim) float32 main directions of who met what; 0 for items that nobody met.

    Of the matrix of items and users, each entry divided by the square roots of both counts, less their mean, of mean square
    length 1.
    """
    from scipy.sparse import csr_matrix
    from sklearn.utils.extmath import randomized_svd

    pairs = np.unique(log.item.astype(np.int64) * log.n_users + log.user)
    item, user = np.divmod(pairs, log.n_users)
    count_I, count_U = np.bincount(item, minlength=log.n_items), np.bincount(user, minlength=log.n_users)
    weight = 1.0 / np.sqrt(count_I[item] * count_U[user])
    matrix_IU = csr_matrix((weight, (item, user)), shape=(log.n_items, log.n_users))
    n = min(dim, *matrix_IU.shape)
    left_ID, value_D, _ = randomized_svd(matrix_IU, n, random_state=seed % 2**32)
    vectors_ID = left_ID * value_D
    met_I = count_I > 0
    vectors_ID[met_I] -= vectors_ID[met_I].mean(axis=0)
    length = np.sqrt(np.mean(np.sum(vectors_ID[met_I] ** 2, axis=1)))
    return (vectors_ID / (length or 1.0)).astype(np.float32)


def told_of(codes_IS: NDArray) -> dict[str, Any]:
    """What an entry tells of ids: how many codes of each level are in use, the share of items whose codes are those of
    another too, and the most items of the same codes."""
    used = [len(np.unique(code_I)) for code_I in codes_IS.T[:-1]]
    _, counts = np.unique(codes_IS[:, :-1], axis=0, return_counts=True)
    collided = float(counts[counts > 1].sum() / max(1, counts.sum()))
    return {"used": used, "collisions": round(collided, 4), "largest_group": int(counts.max(initial=0))}
