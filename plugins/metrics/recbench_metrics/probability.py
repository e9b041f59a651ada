"""How far predicted probabilities are from what happens, over all questions that the users asked could have been asked:
those drawn have corrected probabilities and stand for 1 / rate questions each, so that with every question asked nothing is
changed.

Letters: Q questions, G groups of equal probabilities, C bins.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from recbench_metrics.behavior import BehaviorMetric, Column, ValueOf, mean_of

SURE = 1e-7  # probabilities are kept this far from 0 and 1 before their logarithm; below float32's step at 1
BINS = 15


class LogLoss(BehaviorMetric):
    """Mean of -log p of what happened, in nats (Good, Rational Decisions, JRSS B 1952)."""

    corrected = True
    higher_is_better = False
    definition = "log-loss/log=natural/clip=1e-7/weight=1 over rate/p=corrected by one rate/joint=mean/v2"

    def each(self, column: Column) -> NDArray:
        return _losses(column)


class NormalisedEntropy(BehaviorMetric):
    """Log loss over that of always saying the share that is true, which has the value 1.

    Source: He et al., ADKDD 2014, doi 10.1145/2648584.2648589.
    """

    corrected = True
    higher_is_better = False
    undefined = 1.0
    definition = "normalised-entropy/base=share of sample/one-class=1/clip=1e-7/weight=1 over rate/p=corrected by one rate/joint=mean/v2"

    def of(self, column: Column) -> ValueOf:
        loss_of, share_of = mean_of(_losses(column), column), mean_of(column.true_Q, column)

        def value(times_Q: NDArray) -> float:
            share = share_of(times_Q)
            if not 0 < share < 1:
                return math.nan
            return loss_of(times_Q) / -(share * math.log(share) + (1 - share) * math.log1p(-share))

        return value


def _losses(column: Column) -> NDArray:
    """(Q,) -log of the probability given to what happened."""
    happened_Q = np.where(column.true_Q, column.predicted_Q, 1 - column.predicted_Q)
    return -np.log(np.clip(happened_Q, SURE, 1 - SURE))


class Brier(BehaviorMetric):
    """Mean squared difference of probability and outcome, (p - y)^2 (Brier, Monthly Weather Review 1950)."""

    corrected = True
    higher_is_better = False
    definition = "brier/classes=one/weight=1 over rate/p=corrected by one rate/joint=mean/v2"

    def each(self, column: Column) -> NDArray:
        return (column.predicted_Q - column.true_Q) ** 2


class ECE(BehaviorMetric):
    """Expected calibration error: the mean of |mean p - share true| over 15 bins of equal mass, in the order of p.

    Source: Naeini et al., AAAI 2015; bins of equal mass as in Nixon et al., arXiv 1904.01685. A bin counts by its mass.
    Equal probabilities share a bin: the one in which the middle of their mass lies. It has no interval: chance adds
    to every gap, and once more in a resample, so that those of well calibrated answers lie above the value.
    """

    has_interval = False

    corrected = True
    higher_is_better = False
    definition = (
        "ece/bins=15/equal=mass/ties=bin of their middle/weight=1 over rate/p=corrected by one rate/joint=mean/v2"
    )

    def of(self, column: Column) -> ValueOf:
        order = np.argsort(column.predicted_Q, kind="stable")
        predicted_Q, weight_Q = column.predicted_Q[order], column.weight_Q[order]
        excess_Q = (predicted_Q - column.true_Q[order]) * weight_Q
        last_G = np.flatnonzero(np.diff(predicted_Q, append=np.nan))

        def value(times_Q: NDArray) -> float:
            times_Q = times_Q[order]
            mass_G = np.cumsum(times_Q * weight_Q)[last_G]
            middle_G = (mass_G + np.r_[0.0, mass_G[:-1]]) / 2
            border_C = np.searchsorted(middle_G, mass_G[-1] * np.arange(BINS + 1) / BINS)
            excess_G = np.r_[0.0, np.cumsum(times_Q * excess_Q)[last_G]]
            return float(np.abs(np.diff(excess_G[border_C])).sum() / mass_G[-1])

        return value
