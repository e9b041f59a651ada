"""Whether questions come true in the order of their probabilities, of which nothing but the order counts.

The questions are those asked, as they are.

Letters: Q questions, V users asked, G groups of equal probabilities, H those of them that hold what came true.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from recbench_metrics.behavior import BehaviorMetric, Column, ValueOf


class AUC(BehaviorMetric):
    """Chance that what came true had a higher probability than what did not, a tie counting half: area under the ROC.

    Source: Hanley and McNeil, Radiology 1982.
    """

    undefined = 0.5
    definition = "auc/ties=half/one-class=0.5/among=asked/joint=mean/v1"

    def of(self, column: Column) -> ValueOf:
        curve = _curve(column)

        def value(times_Q: NDArray) -> float:
            said_G, true_G = curve(times_Q)
            false_G = said_G - true_G
            pairs = false_G[-1] * true_G[-1]
            return float(np.trapezoid(true_G, false_G) / pairs) if pairs else math.nan

        return value


class PRAUC(BehaviorMetric):
    """Average precision: the sum over thresholds of the precision times what recall rises by there.

    No line is drawn between thresholds, as in scikit-learn's average_precision_score (Davis and Goadrich, ICML 2006).
    """

    undefined = 0.0
    definition = "pr-auc/average-precision/ties=said together/nothing-true=0/among=asked/joint=mean/v1"

    def of(self, column: Column) -> ValueOf:
        curve = _curve(column)
        gains_H = np.flatnonzero(np.diff(curve(np.ones(len(column.true_Q)))[1]))  # elsewhere recall never rises

        def value(times_Q: NDArray) -> float:
            said_G, true_G = curve(times_Q)
            hits_H = true_G[gains_H + 1]
            said_H = np.maximum(said_G[gains_H + 1], 1)  # whole numbers: 0 only without hits
            gained = (hits_H - true_G[gains_H]) @ (hits_H / said_H)
            return float(gained / true_G[-1]) if true_G[-1] else math.nan

        return value


def _curve(column: Column) -> Callable[[NDArray], tuple[NDArray, NDArray]]:
    """From a sample to the questions, all and those that came true, at or above each probability, from the highest on:
    (1 + G,) each, the first 0."""
    order = np.argsort(-column.predicted_Q, kind="stable")
    true_Q = column.true_Q[order].astype(np.float64)
    last_G = np.flatnonzero(np.diff(column.predicted_Q[order], append=np.nan))
    ties = len(last_G) < len(order)

    def curve(times_Q: NDArray) -> tuple[NDArray, NDArray]:
        times_Q = times_Q[order]
        said_G, true_G = np.zeros((2, 1 + len(last_G)))
        for counted_Q, sum_G in ((times_Q, said_G), (times_Q * true_Q, true_G)):
            if ties:
                sum_G[1:] = np.cumsum(counted_Q)[last_G]
            else:
                np.cumsum(counted_Q, out=sum_G[1:])
        return said_G, true_G

    return curve


class GAUC(BehaviorMetric):
    """Mean of the AUC of users, each counting as often as asked; users with one outcome alone are left out.

    Source: Zhou et al., KDD 2018, arXiv 1706.06978. A sample holds all questions of a user equally often, for users
    are what is drawn.
    """

    undefined = 0.5
    definition = "gauc/users=both-classes/weight=questions/ties=half/no-user=0.5/among=asked/joint=mean/v1"

    def of(self, column: Column) -> ValueOf:
        _, first_V, user_Q = np.unique(column.user_Q, return_index=True, return_inverse=True)
        auc_V, weight_V = _auc_of_users(user_Q, column.predicted_Q, column.true_Q)

        def value(times_Q: NDArray) -> float:
            weighted_V = times_Q[first_V] * weight_V
            total = weighted_V.sum()
            return float(weighted_V @ auc_V / total) if total else math.nan

        return value


def _auc_of_users(user_Q: NDArray, predicted_Q: NDArray, true_Q: NDArray) -> tuple[NDArray, NDArray]:
    """(V,) the AUC of each user, by ranks (Mann and Whitney, 1947), and the questions it stands for, 0 where there is none."""
    order = np.lexsort((predicted_Q, user_Q))
    user_Q, predicted_Q, true_Q = user_Q[order], predicted_Q[order], true_Q[order]
    opens_Q = (np.diff(predicted_Q, prepend=np.nan) != 0) | (np.diff(user_Q, prepend=-1) != 0)
    group_Q = np.cumsum(opens_Q) - 1
    size_V, n_true_V = np.bincount(user_Q), np.bincount(user_Q, true_Q)
    place_Q = np.arange(len(user_Q)) - (np.cumsum(size_V) - size_V)[user_Q]
    middle_Q = (np.bincount(group_Q, place_Q) / np.bincount(group_Q))[group_Q]  # of a tie
    won_V = np.bincount(user_Q, middle_Q * true_Q) - n_true_V * (n_true_V - 1) / 2
    pairs_V = n_true_V * (size_V - n_true_V)
    auc_V = np.divide(won_V, pairs_V, out=np.zeros(len(size_V)), where=pairs_V > 0)
    return auc_V, np.where(pairs_V > 0, size_V, 0)
