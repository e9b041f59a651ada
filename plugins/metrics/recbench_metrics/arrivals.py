"""Accuracy of ranked lists apart for queries whose right answers nobody met in training, and for all others.

Where a board takes no items out of training, all queries count in both. Letters: Q queries.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from recbench.dataset import Dataset
from recbench.metric import RankedLists
from recbench_metrics.accuracy import NDCG, Recall


def _among(value_Q: NDArray, counted_Q: NDArray) -> Callable[[NDArray], float]:
    """The mean of the values that count, of a sample that holds query q `times_Q[q]` times; NaN where none counts."""

    def value(times_Q: NDArray) -> float:
        weight_Q = times_Q * counted_Q
        return float(weight_Q @ value_Q / weight_Q.sum()) if weight_Q.any() else math.nan

    return value


class UnmetRecall(Recall):
    """recall@k over the queries none of whose right answers training met; 0 where there are none."""

    definition = "unmet-recall/divisor=relevant/queries=no-answer-met-in-training/ties=expected/v1"

    def __call__(self, answers: RankedLists, train: Dataset) -> NDArray:
        return np.nan_to_num([self.sampler(answers, train)(np.ones(len(answers.n_relevant_Q)))])

    def sampler(self, answers: RankedLists, train: Dataset) -> Callable[[NDArray], float]:
        """The mean over the queries of a sample that count."""
        value_Q = super().__call__(answers, train)
        return _among(value_Q, np.ones(len(value_Q), bool) if answers.unmet_Q is None else answers.unmet_Q)


class MetNDCG(NDCG):
    """ndcg@k over the queries with a right answer that training met; 0 where there are none."""

    definition = "met-ndcg/gain=binary/discount=log2/queries=an-answer-met-in-training/ties=expected/v1"

    def __call__(self, answers: RankedLists, train: Dataset) -> NDArray:
        return np.nan_to_num([self.sampler(answers, train)(np.ones(len(answers.n_relevant_Q)))])

    def sampler(self, answers: RankedLists, train: Dataset) -> Callable[[NDArray], float]:
        """The mean over the queries of a sample that count."""
        value_Q = super().__call__(answers, train)
        return _among(value_Q, np.ones(len(value_Q), bool) if answers.unmet_Q is None else ~answers.unmet_Q)
