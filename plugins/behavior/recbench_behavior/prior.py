"""Base rates.

Letters: N questions learned from, Q questions, R users or items, B behaviours.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from recbench.asked import lessons
from recbench.data import Queries
from recbench.model import Context, Recommender, Traits
from recbench.params import param
from recbench_behavior.judge import JudgeParams, base_rates

if TYPE_CHECKING:
    from recbench.dataset import Dataset


@dataclass(frozen=True)
class PriorParams(JudgeParams):
    """Whose rate it is, and how much few questions are doubted."""

    by: str = param("none", "Whose rate answers.", choices=("none", "item", "user"), tune=True)
    damping: float = param(
        20.0, "Questions at the overall rate that an item or a user is taken to have beside its own.",
        low=0.0, high=10_000.0, tune=True,
    )  # fmt: skip


class Prior(Recommender):
    """The rate of each behaviour among the questions of the training part: the floor, which knows no question.

    By item or user: (n with the behaviour + damping * rate overall) / (n + damping), n the questions about the item, or put
    to the user; whom training never asks has the rate overall. That is (n with + 1/2) / (n + 1).
    """

    Params = PriorParams
    traits = Traits(tasks=("behavior",))
    small = {"by": "item"}  # the rate overall cannot be better than the rate overall
    fitted = ("base_B", "rate_RB")

    def fit(self, train: Dataset, context: Context) -> None:
        """Count."""
        p = self.params
        parts = [part for _, part in lessons(train, context.board, p.questions, context.seed)]
        outcomes_NB = np.concatenate([part.outcomes for part in parts])
        self.base_B = base_rates(outcomes_NB)
        if p.by == "none":
            self.rate_RB = np.empty((0, len(self.base_B)))
            return
        row_N = np.concatenate([self.rows(part.queries) for part in parts])
        count_R1 = np.bincount(row_N)[:, None]
        with_RB = np.stack([np.bincount(row_N, column) for column in outcomes_NB.T], axis=1)
        known = (with_RB + p.damping * self.base_B) / np.maximum(count_R1 + p.damping, 1e-12)
        self.rate_RB = np.where(count_R1 > 0, known, self.base_B)

    def rows(self, queries: Queries) -> NDArray:
        """(Q,) whose rate answers each question."""
        assert queries.item is not None  # the task asks about an item
        return queries.item if self.params.by == "item" else queries.user

    def predict(self, queries: Queries) -> NDArray:
        """(Q, B) float64."""
        row_Q, table = self.rows(queries), np.vstack([self.rate_RB, self.base_B])
        return table[np.minimum(row_Q, len(table) - 1)]
