"""Factor models trained by the library implicit.

Letters: Q queries, U users, I items, R rows solved for, C columns that describe them, D factors, L history length.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property, partial
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from recbench.data import Queries
from recbench.model import Context, Recommender, Traits
from recbench.params import Params, param
from recbench_classic.matrices import history, padded_blocks, user_item
from recbench_classic.memory import refuse_larger
from recbench_classic.similarity import blocks

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

    from recbench.dataset import Dataset


ROWS_WORTH_A_CALL = 100  # columns that a call multiplies out, for each row, in the time that D more columns take


@dataclass(frozen=True)
class ALSParams(Params):
    """Size, weights and penalty, named as in the paper."""

    dim: int = param(64, "Factors of a user and of an item.", low=1, high=4096, unit="factors")
    alpha0: float = param(
        0.1, "Weight of a pair that was not met; of one that was: 1 more.", low=1e-3, high=10.0, log=True, tune=True
    )
    l2: float = param(0.003, "Penalty on the squared norms: lambda.", low=1e-4, high=10.0, log=True, tune=True)
    nu: float = param(
        1.0, "How the penalty grows with the weight of a user or an item; 0: it does not.", low=0.0, high=2.0
    )
    epochs: int = param(16, "Passes over users and items.", low=1, high=1000)
    init_std: float = param(
        0.1, "Standard deviation at the start times the square root of dim.", low=1e-4, high=10.0, log=True
    )


class ALS(Recommender):
    """Weighted matrix factorisation by alternating least squares (Hu, Koren, Volinsky, ICDM 2008; arXiv 2110.14037).

    Minimises sum over met pairs of (1 - x_u'y_i)^2 + alpha0 * sum over all pairs of (x_u'y_i)^2 + sum over users of
    l2 * (n_u + alpha0 * I)^nu * |x_u|^2 and the like over items, n_u the items of u (iALS as tuned by Rendle, Krichene,
    Zhang and Koren, RecSys 2022), in every pass the users first. `implicit` solves it as loss of weight 1 + 1/alpha0 on
    met pairs and 1 on the others with penalty / alpha0. One thing differs from the paper: the target of a met pair is 1 in
    its second term too, which gives, but for a constant factor, the paper's solution for l2 / (1 + alpha0).

    The solver is implicit's conjugate gradient, three steps a pass from the last solution. It takes one penalty for all
    rows, so with nu above 0 it is called for each penalty that many rows share; the other rows get theirs as `dim`
    orthogonal columns of target 0, weighted by the row's penalty: the same sum of squares. No user is stored: a query's
    vector is the exact solution for its history, so a new user is answered like any other. An empty history scores 0
    for every item. Any number of threads gives the same numbers.
    """

    Params = ALSParams
    traits = Traits(stochastic=True)
    small = {"dim": 8}
    fitted = ("item_ID", "gram_DD")

    def fit(self, train: Dataset, context: Context) -> None:
        """Alternate; keep the items' vectors."""
        p, seen_UI = self.params, user_item(train.interactions)
        n_users, n_items = seen_UI.shape
        refuse_larger(12 * p.dim * (n_users + n_items), f"als: {p.dim} factors", "give a smaller model.dim")
        rng = np.random.default_rng(context.seed)
        user_UD, item_ID = (
            rng.standard_normal((n, p.dim), np.float32) * np.float32(p.init_std / np.sqrt(p.dim))
            for n in (n_users, n_items)
        )
        user_UD, item_ID = factorised(seen_UI, user_UD, item_ID, p, context.threads)
        self.item_ID = np.ascontiguousarray(item_ID)
        self.gram_DD = item_ID.astype(np.float64).T @ item_ID
        self.__dict__.pop("axes", None)  # of a fit before
        self.n_parameters, self.stopped_by = user_UD.size + item_ID.size, "epochs"

    @cached_property
    def axes(self) -> tuple[NDArray, NDArray]:
        """(D,), (D, D) of the squares of all items: turned to these axes they are a diagonal."""
        square_D, axes_DD = np.linalg.eigh(self.gram_DD)
        return square_D, axes_DD

    def score(self, queries: Queries) -> NDArray:
        """(Q, I) float32 inner products of the query's vector, solved for its history, and the items'."""
        seen_QI = history(queries)
        met = np.unique(seen_QI.indices)
        seen_QI, length_Q = seen_QI[:, met], np.diff(seen_QI.indptr)
        square_D, axes_DD = self.axes
        item_ID, query_QD = self.item_ID[met] @ axes_DD, np.zeros((len(queries), self.params.dim))
        for block in padded_blocks(length_Q, self.params.dim, parts=8):  # so small they stay in the cache
            ridge_QD = square_D + penalties(length_Q[block], queries.n_items, self.params)[:, None]
            query_QD[block] = self._folded_in(seen_QI[block], item_ID, ridge_QD)
        return (query_QD @ axes_DD.T).astype(np.float32) @ self.item_ID.T

    def _folded_in(self, seen_QI: csr_matrix, item_ID: NDArray, ridge_QD: NDArray) -> NDArray:
        """(Q, D) float64 the least-squares vectors of histories that are not empty, along the axes of the items' squares.

        There (H + Z'Z / alpha0) x = Z'1 (1 + 1 / alpha0), H diagonal and Z the history's items. Where the histories are
        shorter than D, solved as x = H^-1 Z'w with (1 + Z H^-1 Z' / alpha0) w = 1 (1 + 1 / alpha0), which is as large as
        the history (the identity of Sherman, Morrison and Woodbury).
        """
        p, length_Q = self.params, np.diff(seen_QI.indptr)
        n, longest = len(length_Q), length_Q.max()
        q_N = np.repeat(np.arange(n), length_Q)
        items_QLD = np.zeros((n, longest, p.dim))
        items_QLD[q_N, np.arange(len(q_N)) - seen_QI.indptr[q_N]] = item_ID[seen_QI.indices]
        items_QDL = items_QLD.transpose(0, 2, 1)
        if longest < p.dim:
            scaled_QLD = items_QLD / ridge_QD[:, None, :]
            inner_QLL = scaled_QLD @ items_QDL / p.alpha0 + np.eye(longest)
            weight_QL1 = np.linalg.solve(inner_QLL, np.ones((n, longest, 1)))
            found_QD = (scaled_QLD.transpose(0, 2, 1) @ weight_QL1)[:, :, 0]
        else:
            outer_QDD = items_QDL @ items_QLD / p.alpha0
            outer_QDD[:, np.arange(p.dim), np.arange(p.dim)] += ridge_QD
            found_QD = np.linalg.solve(outer_QDD, items_QLD.sum(axis=1)[:, :, None])[:, :, 0]
        return found_QD * (1 + 1 / p.alpha0)


def penalties(met_R: NDArray, n_columns: int, p: ALSParams) -> NDArray:
    """(R,) the weight of each row's squared norm, in units of the weight of a pair that was not met."""
    return p.l2 / p.alpha0 * (met_R + p.alpha0 * n_columns) ** p.nu


def factorised(
    seen_UI: csr_matrix, user_UD: NDArray, item_ID: NDArray, p: ALSParams, threads: int
) -> tuple[NDArray, NDArray]:
    """Users' and items' vectors after all epochs, from those given."""
    from implicit.cpu.als import AlternatingLeastSquares

    with one_blas_thread():
        model = AlternatingLeastSquares(
            factors=p.dim, regularization=p.l2 / p.alpha0, iterations=p.epochs, num_threads=threads, random_state=0
        )
        model.user_factors, model.item_factors = user_UD.copy(), item_ID.copy()
        confidence_UI = seen_UI * np.float32(1 + 1 / p.alpha0)
        if p.nu == 0:
            model.fit(confidence_UI, show_progress=False)
            return model.user_factors, model.item_factors
        solve = partial(model.solver, num_threads=threads)
        users = list(penalised(confidence_UI, p))
        items = list(penalised(confidence_UI.T.tocsr(), p))
        for _ in range(p.epochs):
            alternate(solve, users, model.user_factors, model.item_factors)
            alternate(solve, items, model.item_factors, model.user_factors)
    return model.user_factors, model.item_factors


def penalised(confidence_RC: csr_matrix, p: ALSParams) -> Iterator[tuple[NDArray, csr_matrix, float]]:
    """Rows, their confidences and their penalty: rows that share one together, where they are many.

    The others come in blocks with D columns more, where a negative confidence says how much a pair weighs whose target
    is 0, in units of the penalty given.
    """
    from scipy.sparse import csr_matrix, hstack

    penalty_R = penalties(np.diff(confidence_RC.indptr), confidence_RC.shape[1], p)
    values, value_R, n_rows = np.unique(penalty_R, return_inverse=True, return_counts=True)
    many = n_rows * ROWS_WORTH_A_CALL > confidence_RC.shape[1]
    for v in np.flatnonzero(many):
        rows = np.flatnonzero(value_R == v)
        yield rows, confidence_RC[rows], values[v]
    others = np.flatnonzero(~many[value_R])
    for block in blocks(np.diff(confidence_RC.indptr)[others] + p.dim):
        rows = others[block]
        least = penalty_R[rows].min()
        weight_RD = np.repeat(-penalty_R[rows, None] / least, p.dim, axis=1).astype(np.float32)
        yield rows, hstack([confidence_RC[rows], csr_matrix(weight_RD)], format="csr"), least


def alternate(solve, parts: list[tuple[NDArray, csr_matrix, float]], row_RD: NDArray, column_CD: NDArray) -> None:
    """Solve for the rows in place, the columns being known; a penalty is a pull to 0 along each factor."""
    axes_DD = np.eye(column_CD.shape[1], dtype=np.float32)
    for rows, confidence, penalty in parts:
        found_RD = row_RD[rows]
        if confidence.shape[1] == len(column_CD):
            solve(confidence, found_RD, column_CD, penalty)
        else:
            solve(confidence, found_RD, np.concatenate([column_CD, axes_DD * np.float32(np.sqrt(penalty))]), 0.0)
        row_RD[rows] = found_RD


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """implicit brings threads of its own, and the sums of several BLAS threads differ from run to run."""
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1, "blas"):
        yield


@dataclass(frozen=True)
class BPRParams(Params):
    """Size, steps and penalty."""

    dim: int = param(64, "Factors of a user and of an item, beside the item's bias.", low=1, high=4096, unit="factors")
    epochs: int = param(100, "Passes over the training pairs.", low=1, high=10000)
    learning_rate: float = param(0.01, "Step of the gradient descent.", low=1e-3, high=0.3, log=True, tune=True)
    l2: float = param(0.01, "Penalty on the squared norms.", low=1e-5, high=1.0, log=True, tune=True)


class BPR(Recommender):
    """Matrix factorisation that ranks met items above others (Rendle et al., UAI 2009, arXiv 1205.2618), by `implicit`.

    Gradient descent over met pairs, each with a random item that its user did not meet. It runs on one thread whatever
    `trainer.threads` says: implicit's threads write over each other, and no two such runs would be equal.

    A user who was met in training is answered by the vector learned there, as implicit does: later events do not move
    it. BPR has no solution for another history, so a new user gets the vector that a linear map, fitted on the training
    users by least squares, reads off the mean item vector of the history; an empty history stands for the average one.
    """

    Params = BPRParams
    traits = Traits(stochastic=True)
    small = {"dim": 8, "epochs": 40, "learning_rate": 0.1}
    fitted = ("user_UD", "known_U", "item_ID", "map_DD", "average_D")

    def fit(self, train: Dataset, context: Context) -> None:
        """Descend; then learn to guess a user's vector from its history."""
        from implicit.cpu.bpr import BayesianPersonalizedRanking

        p, seen_UI = self.params, user_item(train.interactions)
        self.known_U = np.diff(seen_UI.indptr) > 0
        refuse_larger(12 * p.dim * sum(seen_UI.shape), f"bpr: {p.dim} factors", "give a smaller model.dim")
        self.user_UD, self.item_ID = (np.zeros((n, p.dim + 1), np.float32) for n in seen_UI.shape)
        if seen_UI.nnz:
            model = BayesianPersonalizedRanking(
                factors=p.dim,
                learning_rate=p.learning_rate,
                regularization=p.l2,
                iterations=p.epochs,
                num_threads=1,
                random_state=context.seed,
            )
            model.fit(seen_UI, show_progress=False)
            self.user_UD, self.item_ID = model.user_factors, model.item_factors
        mean_UD = self._mean(seen_UI[self.known_U])
        self.average_D = mean_UD.sum(axis=0) / max(1, len(mean_UD))
        with_one_UD = np.c_[mean_UD, np.ones(len(mean_UD))]
        target_UD = with_one_UD.T @ self.user_UD[self.known_U]
        self.map_DD = np.linalg.lstsq(with_one_UD.T @ with_one_UD, target_UD)[0]
        self.n_parameters, self.stopped_by = self.user_UD.size + self.item_ID.size, "epochs"

    def _mean(self, seen_QI: csr_matrix) -> NDArray:
        """(Q, D) float64 mean vector of each row's items; 0 where there are none."""
        return (seen_QI @ self.item_ID.astype(np.float64)) / np.maximum(np.diff(seen_QI.indptr), 1)[:, None]

    def score(self, queries: Queries) -> NDArray:
        """(Q, I) float32 inner products, the item's bias among them."""
        query_QD = self.user_UD[queries.user]
        new_Q = np.flatnonzero(~self.known_U[queries.user])
        if len(new_Q):
            seen_QI = history(queries.take(new_Q))
            mean_QD = np.where(np.diff(seen_QI.indptr)[:, None] > 0, self._mean(seen_QI), self.average_D)
            query_QD[new_Q] = np.c_[mean_QD, np.ones(len(new_Q))] @ self.map_DD
        return query_QD @ self.item_ID.T
