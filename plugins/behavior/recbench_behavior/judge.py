"""What all models of behaviours share: what they learn from, what they keep, and behaviours that training shows always or
never.

Letters: N questions learned from, Q questions, F features, B behaviours.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recbench.asked import Known, answered, lessons
from recbench.data import Queries
from recbench.dataset import Dataset
from recbench.features import Features
from recbench.model import Context, Recommender, Traits
from recbench.params import Params, param


@dataclass(frozen=True)
class JudgeParams(Params):
    """How much is learned from."""

    questions: int = param(
        1_000_000,
        "Most questions of the training part that are learned from, drawn by the seed; bounds the memory.",
        low=10,
        high=100_000_000,
    )


@dataclass(frozen=True, eq=False)
class Lesson:
    """Questions of the training part, their features, and (N, B) bool what came of them."""

    queries: list[Queries]
    features: Features
    outcomes_NB: NDArray

    @property
    def time(self) -> NDArray:
        """(N,) int64 the moments of asking."""
        return np.concatenate([part.time for part in self.queries])


class Judge(Recommender):
    """Base: `learn` fills `known` and `base_B` and gives the lesson; `answer` is the subclass's."""

    traits = Traits(tasks=("behavior",))
    fitted = ("base_B",)
    records = {"known": Known}

    def learn(self, train: Dataset, context: Context) -> Lesson:
        """The questions of the training part, with features as questions asked later will have them."""
        self.known = Known.of(train)
        queries, values, outcomes, names = [], [], [], ()
        for log, part in lessons(train, context.board, self.params.questions, context.seed):
            found = self.known.features(part.queries, log)
            queries.append(part.queries)
            values.append(found.values)
            outcomes.append(part.outcomes)
            names = found.names
        outcomes_NB = np.concatenate(outcomes)
        self.base_B = base_rates(outcomes_NB)
        return Lesson(queries, Features(np.concatenate(values), names), outcomes_NB)

    def predict(self, queries: Queries) -> NDArray:
        """(Q, B) float64, part after part."""
        return answered(self.answer, queries, len(self.base_B))

    def answer(self, queries: Queries) -> NDArray:
        """(Q, B) of so many questions that memory holds their features."""
        raise NotImplementedError


def base_rates(outcomes_NB: NDArray) -> NDArray:
    """(B,) float64 the share of questions with each behaviour, as if there were one more with half of it."""
    return (outcomes_NB.sum(0) + 0.5) / (len(outcomes_NB) + 1)


def decided(outcomes_NB: NDArray) -> NDArray:
    """(B,) bool: behaviours that came of all questions or of none, of which nothing can be learned but their rate."""
    return outcomes_NB.all(0) | ~outcomes_NB.any(0)
