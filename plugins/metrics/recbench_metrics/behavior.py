"""Whether predicted behaviour comes true: the frame of such metrics, and decisions at a threshold.

Every metric is a property of one column, the answers about one behaviour; without `@behaviour` it is the mean over the
columns. The order of probabilities is judged in `recbench_metrics.discrimination`, what they say in
`recbench_metrics.probability`.

Letters: Q questions.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from recbench.dataset import Dataset
from recbench.errors import RecbenchError
from recbench.metric import Metric, Probabilities

ValueOf = Callable[[NDArray], float]  # from how often a sample holds each question, (Q,), to the value, NaN without one


@dataclass(frozen=True, eq=False)
class Column:
    """The answers about one behaviour: (Q,) probabilities, what came of them, whose they are, for how many they stand."""

    predicted_Q: NDArray
    true_Q: NDArray
    user_Q: NDArray
    weight_Q: NDArray
    threshold: float


class BehaviorMetric(Metric):
    """Base of the metrics of a column. One that is a mean over questions writes `each`, any other writes `of`.

    `corrected`: it speaks of all questions there are, by `corrected_QB` and `weight_Q`, not of those asked alone.
    `undefined`: the value where there is none; a resample without a value is left out. `has_interval`: whether resamples
    of the questions tell how sure the value is.
    """

    task = "behavior"
    needs_k = False
    corrected: ClassVar[bool] = False
    undefined: ClassVar[float] = 0.0
    has_interval: ClassVar[bool] = True

    def __call__(self, answers: Probabilities, train: Dataset) -> NDArray:
        columns = self._columns(answers)
        each = [self.each(column) for column in columns]
        if each[0] is not None and np.all(columns[0].weight_Q == 1):
            return np.mean(each, axis=0)
        return np.array([self._of_all(answers)(np.ones(len(answers.user_Q)))])

    def sampler(self, answers: Probabilities, train: Dataset) -> ValueOf | None:
        """The value of a sample; None where resamples are of another kind than the sample."""
        return self._of_all(answers) if self.has_interval else None

    def _of_all(self, answers: Probabilities) -> ValueOf:
        """The value of a sample; what takes a sort is done once. A column without a value is `undefined` in each."""
        once_Q = np.ones(len(answers.user_Q))
        values_of = [self.of(column) for column in self._columns(answers)]
        known = [value_of for value_of in values_of if not math.isnan(value_of(once_Q))]
        rest = (len(values_of) - len(known)) * self.undefined
        return lambda times_Q: (sum(value_of(times_Q) for value_of in known) + rest) / len(values_of)

    def each(self, column: Column) -> NDArray | None:
        """(Q,) the values whose mean the metric is; None where it is no mean."""
        return None

    def of(self, column: Column) -> ValueOf:
        """What the value of a sample is found with: the mean of `each`, unless the metric is no mean."""
        return mean_of(self.each(column), column)

    def _columns(self, answers: Probabilities) -> list[Column]:
        predicted_QB = answers.corrected_QB if self.corrected else answers.predicted_QB
        weight_Q = answers.weight_Q if self.corrected else np.ones(len(answers.user_Q))
        asked = range(len(answers.behaviors)) if self.behavior is None else [answers.behaviors.index(self.behavior)]
        if self.needs_threshold and np.isnan(answers.threshold_B[list(asked)]).any():
            raise RecbenchError(
                f"metric '{self.label}' judges decisions, and no threshold was decided: let "
                "recbench.calibrate.decide find one on validation and give the metric what it makes of the answers"
            )
        rest = answers.user_Q, weight_Q
        return [Column(predicted_QB[:, b], answers.true_QB[:, b], *rest, float(answers.threshold_B[b])) for b in asked]


def mean_of(values_Q: NDArray, column: Column) -> ValueOf:
    """The weighted mean."""
    weighted_Q, weight_Q = values_Q * column.weight_Q, column.weight_Q
    return lambda times_Q: float(times_Q @ weighted_Q / (times_Q @ weight_Q))


class Accuracy(BehaviorMetric):
    """Share of the decisions that came true; to be read beside `majority-accuracy`."""

    needs_threshold = True
    definition = "accuracy/said=p>=threshold/among=asked/joint=mean/v1"

    def each(self, column: Column) -> NDArray:
        return (_said(column) == column.true_Q).astype(np.float64)


class MajorityAccuracy(BehaviorMetric):
    """The accuracy of always saying what is true of most questions: what `accuracy` must exceed."""

    definition = "majority-accuracy/class=commoner of sample/among=asked/joint=mean/v1"

    def of(self, column: Column) -> ValueOf:
        share_of = mean_of(column.true_Q, column)
        return lambda times_Q: max(share_of(times_Q), 1 - share_of(times_Q))


class Precision(BehaviorMetric):
    """Share of what was said to happen that did: tp / (tp + fp)."""

    needs_threshold = True
    definition = "precision/said=p>=threshold/nothing-said=0/among=asked/joint=mean/v1"

    def of(self, column: Column) -> ValueOf:
        return _of_counts(column, lambda hits, said, true: hits / said if said else 0.0)


class Recall(BehaviorMetric):
    """Share of what happened that was said to: tp / (tp + fn)."""

    needs_threshold = True
    definition = "recall/said=p>=threshold/nothing-true=0/among=asked/joint=mean/v1"

    def of(self, column: Column) -> ValueOf:
        return _of_counts(column, lambda hits, said, true: hits / true if true else 0.0)


class F1(BehaviorMetric):
    """Harmonic mean of precision and recall: 2 tp / (2 tp + fp + fn) (van Rijsbergen, Information Retrieval, 1979)."""

    needs_threshold = True
    definition = "f1/said=p>=threshold/nothing-said-or-true=0/among=asked/joint=mean/v1"

    def of(self, column: Column) -> ValueOf:
        return _of_counts(column, lambda hits, said, true: 2 * hits / (said + true) if said + true else 0.0)


def _said(column: Column) -> NDArray:
    return column.predicted_Q >= column.threshold


def _of_counts(column: Column, formula: Callable[[float, float, float], float]) -> ValueOf:
    """What the formula makes of the questions said and true, said, and true."""
    said_Q, true_Q = _said(column), column.true_Q
    counted = np.stack([said_Q & true_Q, said_Q, true_Q]).astype(np.float64)
    return lambda times_Q: formula(*(counted @ times_Q).tolist())
