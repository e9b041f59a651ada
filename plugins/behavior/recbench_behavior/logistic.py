"""Logistic regression on features, and on hashed fields and crosses.

Letters: N questions learned from, Q questions, K standardised features, W hashed columns, D both, M of them that are met,
B behaviours.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from recbench.asked import Known
from recbench.data import Queries
from recbench.model import Context
from recbench.params import param
from recbench.standard import Standard
from recbench_behavior.hashed import GROUPS, Fields
from recbench_behavior.judge import Judge, JudgeParams, Lesson, decided

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

    from recbench.dataset import Dataset


@dataclass(frozen=True)
class LogisticRegressionParams(JudgeParams):
    """Columns and penalties."""

    columns: str = param(
        "crosses",
        "What is read: features alone, fields beside them, or crosses of fields too.",
        choices=GROUPS,
        tune=True,
    )
    l2: float = param(
        10.0, "Penalty on the weights of features, whose deviation is 1.", low=1e-3, high=1e5, log=True, tune=True
    )
    l2_fields: float = param(
        100.0, "Penalty on the weights of fields and crosses.", low=1.0, high=1e5, log=True, tune=True
    )
    bits: int = param(18, "Fields and crosses are hashed into 2 ** bits columns.", low=4, high=26)
    iterations: int = param(200, "Most steps of L-BFGS.", low=1, high=10_000)


class LogisticRegression(Judge):
    """Logistic regression on features and hashed fields, one for each behaviour, by scikit-learn's L-BFGS.

    Columns: `recbench.features` at the moment (docs/features.md), standardised, then hashed fields and crosses (see
    `hashed.py`), as for clicks in McMahan et al., KDD 2013 (doi 10.1145/2487575.2488200). Weights least in summed log loss
    plus l2 / 2 w^2; L2 keeps the weight of what training never met at 0. Float32 and sparse: memory is about 8 bytes for each
    feature and field of a question learned from, so `questions` bounds it. `chosen` tells the share of hashed values that
    share a column with another one.
    """

    Params = LogisticRegressionParams
    small = {"bits": 12, "iterations": 50}
    fitted = ("base_B", "intercept_B", "feature_KB", "field_WB")
    records = {"known": Known, "rules": Standard}

    def fit(self, train: Dataset, context: Context) -> None:
        """Standardise, hash, and solve behaviour by behaviour."""
        p, lesson = self.params, self.learn(train, context)
        self.rules = Standard.fit(lesson.features)
        x_ND, fields = self.matrix(lesson), self.fields
        n_features, (_, n_columns) = len(self.rules.names), x_ND.shape
        coef_DB, self.intercept_B = np.zeros((n_columns, len(self.base_B))), np.log(self.base_B / (1 - self.base_B))
        met_D = np.flatnonzero(np.bincount(x_ND.indices, minlength=n_columns))  # all other weights are 0
        x_NM, steps = x_ND[:, met_D], 0
        for b in np.flatnonzero(~decided(lesson.outcomes_NB)):
            coef_DB[met_D, b], self.intercept_B[b], taken = self.solved(x_NM, lesson.outcomes_NB[:, b], context.threads)
            steps = max(steps, taken)
        self.feature_KB, self.field_WB = coef_DB[:n_features], coef_DB[n_features:] * self.field_scale
        self.n_parameters, self.chosen_epochs = coef_DB.size + self.intercept_B.size, steps
        self.stopped_by = "iterations" if steps >= p.iterations else "convergence"
        self.chosen = {"field_collisions": round(fields.collisions(lesson.queries), 4)}

    def solved(self, x_NM: csr_matrix, true_N: NDArray, threads: int) -> tuple[NDArray, float, int]:
        """(M,) weights, intercept, and steps taken."""
        from sklearn import linear_model
        from sklearn.exceptions import ConvergenceWarning
        from threadpoolctl import threadpool_limits

        p = self.params
        with threadpool_limits(threads), warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # `stopped_by` says so
            found = linear_model.LogisticRegression(C=1 / p.l2, max_iter=p.iterations).fit(x_NM, true_N)
        return found.coef_[0], found.intercept_[0], int(found.n_iter_[0])

    @property
    def fields(self) -> Fields:
        return Fields(self.known, self.params.columns, 2**self.params.bits if self.params.columns != "features" else 0)

    @property
    def field_scale(self) -> float:
        """Larger columns have a smaller penalty."""
        return float(np.sqrt(self.params.l2 / self.params.l2_fields))

    def matrix(self, lesson: Lesson) -> csr_matrix:
        """(N, K + W) float32 what is learned from."""
        from scipy.sparse import csr_matrix, hstack, vstack

        columns = self.fields.columns
        hashed = vstack([columns(queries) for queries in lesson.queries], format="csr") * np.float32(self.field_scale)
        return hstack([csr_matrix(self.rules(lesson.features).values), hashed], format="csr", dtype=np.float32)

    def answer(self, queries: Queries) -> NDArray:
        """(Q, B) float64; a user whom training never met is known by features and item."""
        from scipy.special import expit

        columns = self.rules(self.known.features(queries)).values.astype(np.float64)
        return expit(self.intercept_B + columns @ self.feature_KB + self.fields.columns(queries) @ self.field_WB)

    def coefficients(self, behavior: int) -> dict[str, float]:
        """The weight of each standardised feature by name, of the behaviour with this number, and `intercept`.

        Fields: `field_WB`, at the columns that `fields.keys` gives.
        """
        found = dict(zip(self.rules.names, self.feature_KB[:, behavior].tolist(), strict=True))
        return found | {"intercept": float(self.intercept_B[behavior])}
