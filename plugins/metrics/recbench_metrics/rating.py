"""How far predicted values lie from true ones, and whether they put a user's items in the right order.

Letters: Q questions, V users asked, k the metric's cut. r is the true value, p the predicted one.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from recbench.dataset import Dataset
from recbench.metric import Metric, Ratings


class RMSE(Metric):
    """Root of the mean squared error, sqrt(mean (p - r)^2) (Koren, Bell, Volinsky, Computer 2009)."""

    task = "rating"
    needs_k = False
    higher_is_better = False
    definition = "rmse/mean=questions/clipped=no/v1"

    def __call__(self, answers: Ratings, train: Dataset) -> NDArray:
        return (answers.predicted_Q - answers.true_Q) ** 2

    def of_mean(self, mean: float) -> float:
        return math.sqrt(mean)


class MAE(Metric):
    """Mean absolute error, mean |p - r| (Willmott and Matsuura, Climate Research 2005)."""

    task = "rating"
    needs_k = False
    higher_is_better = False
    definition = "mae/mean=questions/clipped=no/v1"

    def __call__(self, answers: Ratings, train: Dataset) -> NDArray:
        return np.abs(answers.predicted_Q - answers.true_Q)


class RatingNDCG(Metric):
    """DCG@k of a user's questions in the order of p over that in the order of r, with gain 2^r - 1 and discount
    1 / log2(place + 1) (Burges et al., ICML 2005); of equal p each order is equally likely (McSherry, Najork, ECIR 2008).

    Values below 0 gain nothing. Only the items asked about are ranked; a user without any gain has the value 0.
    """

    task = "rating"
    per_user = True
    definition = "ndcg/gain=2^r-1/discount=log2/among=asked/users=all/ties=expected/v1"

    def __call__(self, answers: Ratings, train: Dataset) -> NDArray:
        user_V, user_Q = np.unique(answers.user_Q, return_inverse=True)
        gain_Q = np.exp2(np.maximum(answers.true_Q, 0)) - 1
        given_V, ideal_V = (
            _dcg(user_Q, by_Q, gain_Q, self.k, len(user_V)) for by_Q in (answers.predicted_Q, answers.true_Q)
        )
        return np.divide(given_V, ideal_V, out=np.zeros(len(user_V)), where=ideal_V > 0)


def _dcg(user_Q: NDArray, by_Q: NDArray, gain_Q: NDArray, k: int, n_users: int) -> NDArray:
    """(V,) DCG@k of each user's gains in falling order of `by_Q`, tied ones at their mean gain."""
    order = np.lexsort((-by_Q, user_Q))
    user_Q, by_Q, gain_Q = user_Q[order], by_Q[order], gain_Q[order]
    place_Q = np.arange(len(user_Q)) - np.searchsorted(user_Q, user_Q)
    opens_Q = (np.diff(by_Q, prepend=np.nan) != 0) | (place_Q == 0)
    group_Q = np.cumsum(opens_Q) - 1
    mean_Q = (np.bincount(group_Q, gain_Q) / np.bincount(group_Q))[group_Q]
    discount_Q = np.where(place_Q < k, 1 / np.log2(place_Q + 2), 0)
    return np.bincount(user_Q, mean_Q * discount_Q, minlength=n_users)
