"""A linear regression of values on what is known of user, item and history.

Letters: Q questions, N training events, D columns, I items, G categories.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from recbench.data import Queries
from recbench.errors import RecbenchError
from recbench.features import Features
from recbench.model import Context
from recbench.params import Params, param
from recbench.standard import Standard
from recbench_classic.ratings.design import Design
from recbench_classic.ratings.rated import Rated, Rater, item_levels

if TYPE_CHECKING:
    from recbench.dataset import Dataset

DESIGN = tuple(f.name for f in fields(Design))
RULES = tuple(f.name for f in fields(Standard))


@dataclass(frozen=True)
class LinearRegressionParams(Params):
    """Penalties, and what a training event knows."""

    l2: float = param(
        100.0, "Penalty on the weights of features, whose deviation is 1.", low=0.1, high=1e5, log=True, tune=True
    )
    l2_items: float = param(
        5.0, "Penalty on the weight of an item and of a category.", low=0.01, high=1000.0, log=True, tune=True
    )
    damping: float = param(
        5.0, "Values at the level of their items that a history is taken to have.", low=0.0, high=1000.0, tune=True
    )
    rows: str = param(
        "others",
        "A training event knows all events but those of its fold, or the past alone, as where questions come in time.",
        choices=("others", "past"),
        tune=True,
    )
    folds: int = param(10, "Folds of `others`.", low=2, high=100)


class LinearRegression(Rater):
    """Ridge regression of values on features of user, item and pair, the history, the item and its categories.

    Columns: `recbench.features` at the moment (docs/features.md), standardised; what the history's values lie above their
    items' levels, all and those of the asked item's categories; one for each item; one for each category. Weights least
    in squared error plus l2 w^2 (Hoerl and Kennard, Technometrics 1970), by scikit-learn's Ridge. A question's users are
    read from its history alone, items from all training events before its moment. With `rows=others` a training event is
    asked like a question of a board that draws pairs by lot: after the user's other events, a fold held out. Searches and
    texts are not read.
    """

    Params = LinearRegressionParams
    small = {"folds": 2}
    fitted = ("mean", "range_2", "intercept", "weight_D", "item_I", *DESIGN, *(f"rule_{name}" for name in RULES))

    def fit(self, train: Dataset, context: Context) -> None:
        """Ask every training event, standardise, and solve."""
        from scipy.sparse import csr_matrix, hstack
        from sklearn.linear_model import Ridge

        p, log, rated = self.params, train.interactions, Rated.of_log(train.interactions)
        if p.rows == "past" and train.info.clock == "none":
            raise RecbenchError("linear-regression: rows=past needs an order, and the data have none; set rows=others")
        mean = self.learned(rated)
        design = Design.of(train, mean + item_levels(rated, mean, p.damping, p.damping, rounds=10), p.damping)
        self.keep(design, "")
        raw = design.of_rows(log, p.rows == "past", p.folds, context.seed)
        self.keep(Standard.fit(raw), "rule_")
        values_ND = self.standard(raw).values.astype(float)
        block_IG = design.item_block() * np.sqrt(p.l2 / p.l2_items)  # larger columns: a smaller penalty
        x_ND = hstack([csr_matrix(values_ND), block_IG[log.item]], format="csr")
        solved = Ridge(alpha=p.l2, solver="sparse_cg", tol=1e-6).fit(x_ND, log.value.astype(float))
        n = values_ND.shape[1]
        self.weight_D, self.intercept = solved.coef_[:n], np.array(solved.intercept_)
        self.item_I = block_IG @ solved.coef_[n:]

    def keep(self, value: Design | Standard, prefix: str) -> None:
        """Hold a value's fields as arrays of the model, as files do."""
        for f in fields(value):
            setattr(self, prefix + f.name, np.asarray(getattr(value, f.name)))

    @property
    def design(self) -> Design:
        return Design(*(getattr(self, name) for name in DESIGN))

    def standard(self, raw: Features) -> Features:
        inputs, *rules = (getattr(self, f"rule_{name}") for name in RULES)
        return Standard(tuple(map(str, inputs)), *rules)(raw)

    def pairs(self, queries: Queries, item_Q: NDArray) -> NDArray:
        columns = self.standard(self.design.of_queries(queries, item_Q))
        return self.intercept + columns.values.astype(float) @ self.weight_D + self.item_I[item_Q]
