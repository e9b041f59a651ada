"""Values as a sum of levels and a product of vectors; the user's part is always solved from a history.

Letters: Q questions, H distinct histories, R rows (users or histories), I items, N pairs of a row and an item,
K numbers of a vector, L the longest row of a block, B rows of a block.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from recbench.data import Queries
from recbench.model import Context, Traits
from recbench.params import Params, param
from recbench_classic.matrices import padded_blocks
from recbench_classic.ratings.rated import Rated, Rater, item_levels, row_levels

if TYPE_CHECKING:
    from recbench.dataset import Dataset


class FactorRater(Rater):
    """Base: value(h, i) = mean + bias_i + x_h . (1, vector_i), where x_h, 1 + K numbers, is the history's own part."""

    fitted = ("mean", "range_2", "bias_I", "vector_IK")

    @abstractmethod
    def rows(self, rated: Rated) -> NDArray:
        """(R, 1 + K) float64 the own part of each row."""

    @property
    def features_IF(self) -> NDArray:
        """(I, 1 + K) float64: 1, then the item's vector."""
        return np.column_stack([np.ones(len(self.vector_IK)), self.vector_IK])

    def pairs(self, queries: Queries, item_Q: NDArray) -> NDArray:
        rated, which_Q = Rated.of_histories(queries)
        own_HF = self.rows(rated)
        return self.mean + self.bias_I[item_Q] + np.einsum("qf,qf->q", own_HF[which_Q], self.features_IF[item_Q])

    def score(self, queries: Queries) -> NDArray:
        """(Q, I) float32 the value of every item."""
        rated, which_Q = Rated.of_histories(queries)
        return (self.mean + self.bias_I + self.rows(rated) @ self.features_IF.T).astype(np.float32)[which_Q]


@dataclass(frozen=True)
class MeanRatingParams(Params):
    """How much few values are doubted."""

    damping_items: float = param(
        5.0, "Values at the mean that an item is taken to have beside its own.", low=0.0, high=1000.0, tune=True
    )
    damping_users: float = param(
        5.0, "Values at the level of their items that a user is taken to have.", low=0.0, high=1000.0, tune=True
    )


class MeanRating(FactorRater):
    """Mean value, plus the item's level, plus the user's (the decoupled baseline of Koren, TKDD 2010, section 2.1).

    b_i is the sum of r - mean over the item's values, over their number plus `damping_items`; b_u that of r - mean - b_i
    over the history. The floor of its task: what knows neither taste nor time. One number for all would be a lower floor,
    which every model that knows anything passes; it is what large dampings come to.
    """

    Params = MeanRatingParams
    small = {}
    fitted = FactorRater.fitted

    def fit(self, train: Dataset, context: Context) -> None:
        """Take the means of the items."""
        rated = Rated.of_log(train.interactions)
        mean = self.learned(rated)
        self.bias_I = item_levels(rated, mean, self.params.damping_users, self.params.damping_items, rounds=1)
        self.vector_IK = np.empty((train.n_items, 0))

    def rows(self, rated: Rated) -> NDArray:
        return row_levels(rated, rated.value - self.mean - self.bias_I[rated.item], self.params.damping_users)[:, None]


@dataclass(frozen=True)
class RidgeParams(Params):
    """Width and penalty of what is solved for each row."""

    dim: int = param(20, "Length of the vectors.", low=1, high=256, log=True, tune=True)
    l2: float = param(15.0, "Penalty on the vectors of users and items.", low=0.01, high=100.0, log=True, tune=True)
    l2_bias: float = param(3.0, "Penalty on their levels.", low=0.01, high=100.0, log=True, tune=True)


def ridge(rated: Rated, target_N: NDArray, features_IF: NDArray, penalty_RF: NDArray) -> NDArray:
    """(R, F) x with the least sum over a row of (target - x . features_item)^2, plus sum of penalty x^2; 0 for no items.

    `target_N`: (N,) of the pairs. `features_IF`: (I, F). `penalty_RF`: (R, F) above 0. Rows are solved in blocks of like
    length, padded with an item without features.
    """
    n_features, count_R, pairs = features_IF.shape[1], rated.per_row, rated.rows
    out_RF, diagonal = np.zeros((rated.n_rows, n_features)), np.arange(n_features)
    features_IF = np.r_[features_IF, np.zeros((1, n_features))]
    item_N, target_N = np.r_[rated.item, rated.n_items], np.r_[target_N, 0.0]  # the last is what a padded place reads
    for block in padded_blocks(count_R, n_features):
        at_BL = pairs.take(block).padded(count_R[block[-1]], len(rated))
        x_BLF = features_IF[item_N[at_BL]]
        x_BFL = x_BLF.transpose(0, 2, 1)
        gram_BFF = x_BFL @ x_BLF
        gram_BFF[:, diagonal, diagonal] += penalty_RF[block]
        out_RF[block] = np.linalg.solve(gram_BFF, x_BFL @ target_N[at_BL][:, :, None])[:, :, 0]
    return out_RF


@dataclass(frozen=True)
class BiasedMFParams(RidgeParams):
    """Width, penalties and sweeps."""

    penalty: str = param(
        "constant",
        "Penalties the same for all, or times the number of values of a user or item (ALS-WR): then below 1.",
        choices=("constant", "counts"),
    )
    sweeps: int = param(10, "Times that users and items are solved in turn.", low=1, high=200)


class BiasedMF(FactorRater):
    """Biased matrix factorisation, mean + b_u + b_i + p_u . q_i (Koren, Bell, Volinsky, Computer 2009), by alternating ridge.

    With the items fixed, level and vector of a user are a ridge regression of its values on (1, q_i), and the other way
    round; a sweep solves all users, then all items. With `penalty=counts` the penalties are multiplied by the number of
    values (ALS-WR; Zhou, Wilkinson, Schreiber, Pan, AAIM 2008). No vector of a user is kept: the same regression on the
    question's history gives it, so that a new user is answered like any other.
    """

    Params = BiasedMFParams
    traits = Traits(tasks=("rating", "ranking"), stochastic=True)
    small = {"dim": 4, "sweeps": 5}
    fitted = FactorRater.fitted

    def fit(self, train: Dataset, context: Context) -> None:
        """Begin with small drawn vectors and solve in turn."""
        rated = Rated.of_log(train.interactions)
        turned, mean = rated.turned(), self.learned(rated)
        self.bias_I = np.zeros(train.n_items)
        self.vector_IK = np.random.default_rng(context.seed).normal(0, 0.1, (train.n_items, self.params.dim))
        for _ in range(self.params.sweeps):
            own_UF = self.rows(rated)
            features_UF = np.column_stack([np.ones(len(own_UF)), own_UF[:, 1:]])
            own_IF = ridge(turned, turned.value - mean - own_UF[turned.item, 0], features_UF, self.penalties(turned))
            self.bias_I, self.vector_IK = own_IF[:, 0], own_IF[:, 1:]
        self.n_parameters = self.bias_I.size + self.vector_IK.size
        self.chosen_epochs, self.stopped_by = self.params.sweeps, "epochs"

    def rows(self, rated: Rated) -> NDArray:
        target_N = rated.value - self.mean - self.bias_I[rated.item]
        return ridge(rated, target_N, self.features_IF, self.penalties(rated))

    def penalties(self, rated: Rated) -> NDArray:
        """(R, 1 + K) what is added to the diagonal for each row: for its level, then for its vector."""
        own_F = np.r_[self.params.l2_bias, np.full(self.params.dim, self.params.l2)]
        count_R1 = np.maximum(rated.per_row, 1)[:, None]
        return own_F * (count_R1 if self.params.penalty == "counts" else np.ones_like(count_R1))
