"""Factors of which a part comes from what was rated, whatever the value.

Letters: R rows (users of a batch or histories), I items, N pairs of a row and an item, K numbers of a vector,
F = 1 + K.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from recbench.model import Context, Traits
from recbench.params import param
from recbench_classic.ratings.factors import FactorRater, RidgeParams, ridge
from recbench_classic.ratings.rated import Rated, item_levels

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

    from recbench.dataset import Dataset

FIRST, SECOND, TINY = 0.9, 0.999, 1e-8  # of Adam


@dataclass(frozen=True)
class SVDppParams(RidgeParams):
    """Width, penalties and training."""

    l2_implicit: float = param(
        50.0, "Penalty on the vectors of what was rated at all.", low=0.01, high=1000.0, log=True, tune=True
    )
    epochs: int = param(15, "Passes over the users.", low=1, high=200, log=True, tune=True)
    rate: float = param(0.02, "Step of Adam at the start; it falls to 0.", low=1e-3, high=0.3, log=True, tune=True)
    batch: int = param(64, "Users a step.", low=1, high=1 << 16)


class SVDpp(FactorRater):
    """SVD++, mean + b_u + b_i + q_i . (p_u + |N(u)|^-1/2 sum of y_j over N(u)), N(u) what u has rated (Koren, KDD 2008).

    Learned by Adam over batches of users: in each, b_u and p_u are the ridge regression of the users' residuals on
    (1, q_i), as when a question is answered, and the step is taken on b_i, q_i and y_j at these. Since b_u and p_u are at
    their least, that is the gradient of the error that a history alone allows (the envelope theorem). Koren's descent
    keeps a b_u and p_u of each user instead, which new users lack. Penalties are sums over users and over items.
    """

    Params = SVDppParams
    traits = Traits(tasks=("rating", "ranking"), stochastic=True)
    small = {"dim": 4, "epochs": 5}
    fitted = ("mean", "range_2", "bias_I", "vector_IK", "implicit_IK")

    def fit(self, train: Dataset, context: Context) -> None:
        """Begin with the items' levels and small drawn vectors, then descend."""
        rated, p, rng = Rated.of_log(train.interactions), self.params, np.random.default_rng(context.seed)
        mean = self.learned(rated)
        learned = [
            item_levels(rated, mean, p.l2_bias, p.l2_bias, rounds=10),
            rng.normal(0, 0.1, (train.n_items, p.dim)),
            np.zeros((train.n_items, p.dim)),
        ]
        self.bias_I, self.vector_IK, self.implicit_IK = learned
        users = np.flatnonzero(rated.per_row)
        steps = [users[begin : begin + p.batch] for begin in range(0, len(users), p.batch)]
        adam = Adam(learned, p.rate, p.epochs * len(steps))
        for _ in range(p.epochs):
            rng.shuffle(users)  # in place: the batches are views
            for batch in steps:
                adam.step(self.loss_and_gradients(rated.take(batch), len(batch) / len(users))[1])
        self.n_parameters = sum(array.size for array in learned)
        self.chosen_epochs, self.stopped_by = p.epochs, "epochs"

    def rows(self, rated: Rated) -> NDArray:
        """(R, F) b, then p + z, where z is the part of what was rated."""
        implied_RK = met(rated) @ self.implicit_IK
        return self.solved(rated, implied_RK) + np.column_stack([np.zeros(rated.n_rows), implied_RK])

    def solved(self, rated: Rated, implied_RK: NDArray) -> NDArray:
        """(R, F) b and p of each row by ridge regression of what the rest leaves."""
        p, features_IF = self.params, self.features_IF
        implied_N = np.einsum("nk,nk->n", implied_RK[rated.row], self.vector_IK[rated.item])
        penalty_F = np.r_[p.l2_bias, np.full(p.dim, p.l2)]
        target_N = rated.value - self.mean - self.bias_I[rated.item] - implied_N
        return ridge(rated, target_N, features_IF, np.broadcast_to(penalty_F, (rated.n_rows, len(penalty_F))))

    def loss_and_gradients(self, rated: Rated, share: float) -> tuple[float, list[NDArray]]:
        """Half the penalised squared error of some users, and its slopes in b_i, q_i and y_j; `share` of the items' penalty."""
        p, met_RI = self.params, met(rated)
        implied_RK = met_RI @ self.implicit_IK
        own_RF = self.solved(rated, implied_RK)
        user_RK = own_RF[:, 1:] + implied_RK
        told_N = self.mean + own_RF[rated.row, 0] + self.bias_I[rated.item]
        told_N += np.einsum("nk,nk->n", user_RK[rated.row], self.vector_IK[rated.item])
        error_RI = rated.matrix(told_N - rated.value)
        penalised = (
            (p.l2_bias, own_RF[:, :1]), (p.l2, own_RF[:, 1:]), (share * p.l2_bias, self.bias_I),
            (share * p.l2, self.vector_IK), (share * p.l2_implicit, self.implicit_IK),
        )  # fmt: skip
        loss = (error_RI.data**2).sum() + sum(weight * (array**2).sum() for weight, array in penalised)
        slopes = [
            np.asarray(error_RI.sum(axis=0)).ravel() + share * p.l2_bias * self.bias_I,
            error_RI.T @ user_RK + share * p.l2 * self.vector_IK,
            met_RI.T @ (error_RI @ self.vector_IK) + share * p.l2_implicit * self.implicit_IK,
        ]
        return float(loss) / 2, slopes


def met(rated: Rated) -> csr_matrix:
    """(R, I) |N|^-1/2 at each item that a row has rated."""
    return rated.matrix(1 / np.sqrt(rated.per_row[rated.row]))


class Adam:
    """Adam in place on float64 arrays (Kingma and Ba, ICLR 2015, arXiv 1412.6980); the rate falls to 0 along a line."""

    def __init__(self, arrays: list[NDArray], rate: float, steps: int) -> None:
        self.arrays, self.rate, self.steps, self.taken = arrays, rate, steps, 0
        self.mean, self.square = ([np.zeros_like(a) for a in arrays] for _ in range(2))

    def step(self, slopes: list[NDArray]) -> None:
        """One step down."""
        rate = self.rate * (1 - self.taken / self.steps)
        self.taken += 1
        for array, mean, square, slope in zip(self.arrays, self.mean, self.square, slopes, strict=True):
            mean += (1 - FIRST) * (slope - mean)
            square += (1 - SECOND) * (slope * slope - square)
            size = np.sqrt(square / (1 - SECOND**self.taken)) + TINY
            array -= rate / (1 - FIRST**self.taken) * mean / size
