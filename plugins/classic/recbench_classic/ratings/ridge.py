"""Ridge regression on some dense columns beside many sparse ones.

Letters: N rows, K dense columns, S sparse columns, D = K + S, T targets.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

TOLERANCE = 1e-8  # of the residual, as a share of the right-hand side
STEPS = 1000


def ridge_regression(dense_NK: NDArray, sparse_NS: csr_matrix, y_NT: NDArray, l2: float) -> tuple[NDArray, NDArray]:
    """(D, T) weights and (T,) intercepts, least in squared error plus l2 w^2.

    Conjugate gradients on the normal equations, preconditioned by the exact inverse of the dense block and the diagonal of
    the sparse one: features that say nearly the same cost hundreds of steps without it, and a copy of each in a sparse
    matrix costs more than the arithmetic.
    """
    from scipy.linalg import cho_factor, cho_solve
    from scipy.sparse.linalg import LinearOperator, cg

    n, n_dense = dense_NK.shape
    mean_D = np.r_[dense_NK.mean(0), np.asarray(sparse_NS.mean(0)).ravel()]
    gram_KK = dense_NK.T @ dense_NK - n * np.outer(mean_D[:n_dense], mean_D[:n_dense])
    factor = cho_factor(gram_KK + l2 * np.eye(n_dense))
    squares_S = np.asarray(sparse_NS.multiply(sparse_NS).sum(0)).ravel() - n * mean_D[n_dense:] ** 2 + l2

    def back(of_N: NDArray) -> NDArray:
        return np.r_[dense_NK.T @ of_N, sparse_NS.T @ of_N] - mean_D * of_N.sum()

    def normal(w_D: NDArray) -> NDArray:
        of_N = dense_NK @ w_D[:n_dense] + sparse_NS @ w_D[n_dense:]
        return back(of_N - mean_D @ w_D) + l2 * w_D

    def nearly_solved(r_D: NDArray) -> NDArray:
        return np.r_[cho_solve(factor, r_D[:n_dense]), r_D[n_dense:] / squares_S]

    shape = len(mean_D), len(mean_D)
    equations, near = LinearOperator(shape, normal, dtype=float), LinearOperator(shape, nearly_solved, dtype=float)
    y_mean_T = y_NT.mean(0)
    found = [cg(equations, back(y_N), rtol=TOLERANCE, maxiter=STEPS, M=near)[0] for y_N in (y_NT - y_mean_T).T]
    weight_DT = np.column_stack(found)
    return weight_DT, y_mean_T - mean_D @ weight_DT
