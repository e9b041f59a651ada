"""A linear regression on what is known of user, item and history: of values, or of whether the user will do it.

Letters: Q questions, N rows learned from, D columns, I items, G categories, T targets: the value, or behaviours.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from recbench.asked import Known, answered, lessons
from recbench.data import Queries
from recbench.errors import RecbenchError
from recbench.features import Features
from recbench.model import Context, Traits
from recbench.params import Params, param
from recbench.standard import Standard
from recbench_classic.ratings.design import Design
from recbench_classic.ratings.rated import Rated, Rater, item_levels
from recbench_classic.ratings.ridge import ridge_regression

if TYPE_CHECKING:
    from recbench.dataset import Dataset


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
        "A rated event knows all events but those of its fold, or the past alone, as where questions come in time.",
        choices=("others", "past"),
        tune=True,
        task="rating",
    )
    folds: int = param(10, "Folds of `others`.", low=2, high=100)
    questions: int = param(
        1_000_000, "Most questions about behaviours that are learned from, drawn by the seed.", low=10, high=100_000_000
    )


class LinearRegression(Rater):
    """Ridge regression of values on features of user, item and pair, the history, the item and its categories.

    Columns: `recbench.features` at the moment (docs/features.md), standardised; what the history's values lie above their
    items' levels, all and those of the asked item's categories; one for each item; one for each category. Weights least
    in squared error plus l2 w^2 (Hoerl and Kennard, Technometrics 1970). A question's users are
    read from its history alone, items from all training events before its moment. With `rows=others` a training event is
    asked like a question of a board that draws pairs by lot: after the user's other events, a fold held out. Searches and
    texts are not read.

    On a board of task behavior the same columns of the training part's questions predict 0 or 1 for each behaviour, and
    the sum, clipped to 0..1, is the chance: the linear probability model.
    """

    Params = LinearRegressionParams
    traits = Traits(tasks=("rating", "ranking", "behavior"))
    small = {"folds": 2}
    fitted = ("mean", "range_2", "level_I", "intercept_T", "weight_DT", "item_IT")
    records = {"known": Known, "rules": Standard}

    def fit(self, train: Dataset, context: Context) -> None:
        """Ask every training event, or the training part's questions; standardise, and solve."""
        p, rated = self.params, Rated.of_log(train.interactions)
        mean = self.learned(rated)
        self.known = Known.of(train, searches=False)
        self.level_I = mean + item_levels(rated, mean, p.damping, p.damping, rounds=10)
        raw, item_N, y_NT = self.rows(train, context)
        self.rules = Standard.fit(raw)
        values_ND = self.rules(raw).values.astype(float)
        block_IG = self.design.item_block() * np.sqrt(p.l2 / p.l2_items)  # larger columns: a smaller penalty
        coef_DT, self.intercept_T = ridge_regression(values_ND, block_IG[item_N], y_NT.astype(float), p.l2)
        n = values_ND.shape[1]
        self.weight_DT, self.item_IT = coef_DT[:n], block_IG @ coef_DT[n:]

    def rows(self, train: Dataset, context: Context) -> tuple[Features, NDArray, NDArray]:
        """(N, D) columns, (N,) items and (N, T) targets of what is learned from."""
        p, log = self.params, train.interactions
        if context.board is not None and context.board.task == "behavior":
            self.range_2 = np.array([0.0, 1.0])
            parts = list(lessons(train, context.board, p.questions, context.seed))
            asked = [(known, part.queries, part.queries.item.astype(np.int64)) for known, part in parts]
            found = [self.design.of_queries(queries, item_N, known) for known, queries, item_N in asked]
            raw = Features(np.concatenate([part.values for part in found]), found[0].names)
            outcomes_NT = np.concatenate([part.outcomes for _, part in parts])
            return raw, np.concatenate([item_N for *_, item_N in asked]), outcomes_NT
        if p.rows == "past" and train.info.clock == "none":
            raise RecbenchError("linear-regression: rows=past needs an order, and the data have none; set rows=others")
        return self.design.of_rows(log, p.rows == "past", p.folds, context.seed), log.item, log.value[:, None]

    @property
    def design(self) -> Design:
        return Design(self.known, self.level_I, self.params.damping)

    def sums(self, queries: Queries, item_Q: NDArray) -> NDArray:
        """(Q, T) what the columns come to."""
        columns = self.rules(self.design.of_queries(queries, item_Q))
        return self.intercept_T + columns.values.astype(float) @ self.weight_DT + self.item_IT[item_Q]

    def pairs(self, queries: Queries, item_Q: NDArray) -> NDArray:
        return self.sums(queries, item_Q)[:, 0]

    def predict(self, queries: Queries) -> NDArray:
        """(Q, 1) values or (Q, B) chances, float64, from the history alone, so a new user needs no refit."""
        return answered(self.answer, queries, len(self.intercept_T))

    def answer(self, queries: Queries) -> NDArray:
        """(Q, B) of so many questions that memory holds their columns."""
        assert queries.item is not None  # both tasks ask about an item
        return np.clip(self.sums(queries, queries.item.astype(np.int64)), *self.range_2)
