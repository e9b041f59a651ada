"""Accuracy of ranked lists: the exact expected value over every order of tied items, never one drawn order.

Letters: Q queries, K list length, k the metric's cut, N picked queries or picked entries of (Q, K).
R is the number of right answers of a query. A list shorter than k counts its missing positions as wrong.
Closed forms for tie groups: McSherry and Najork, Computing Information Retrieval Performance Measures Efficiently in
the Presence of Tied Scores, ECIR 2008. A query with R = 0 has the value 0; the caller asks only queries with R > 0.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from recbench.dataset import Dataset
from recbench.metric import Metric, RankedLists


def _expected(answers: RankedLists, k: int, gain_k: NDArray) -> NDArray:
    """(Q,) the expected sum of the gains of the first k positions that are right."""
    row_N, position_N, chance_N = answers.hits
    first_N = position_N < k
    gain_N = gain_k[position_N[first_N]] * chance_N[first_N]
    return np.bincount(row_N[first_N], weights=gain_N, minlength=len(answers.items_QK))


def _expected_hits(answers: RankedLists, k: int) -> NDArray:
    """(Q,) the expected number of right answers in the first k positions."""
    return _expected(answers, k, np.ones(k))


def _at_least_one(n_Q: NDArray) -> NDArray:
    """(Q,) a divisor that keeps 0 / 0 at 0."""
    return np.maximum(n_Q, 1)


def _split(answers: RankedLists, k: int) -> tuple[NDArray, NDArray, NDArray]:
    """(Q,) bool: the first k may hold a right answer; (Q,) its earliest position; (N,) queries where a tie blurs it."""
    row_N, position_N, chance_N = answers.hits
    opens_N = (position_N < k) & (np.diff(row_N, prepend=-1) > 0)  # positions ascend inside a row
    found_Q, first_Q = np.zeros(len(answers.items_QK), bool), np.zeros(len(answers.items_QK), np.int64)
    found_Q[row_N[opens_N]], first_Q[row_N[opens_N]] = True, position_N[opens_N]
    return found_Q, first_Q, row_N[opens_N & (chance_N < 1)]


def _none_right(answers: RankedLists, rows_N: NDArray, k: int) -> NDArray:
    """(N, k) the probability that positions 0..p hold no right answer.

    Inside a group of g items with r right ones it falls by (g - r - j) / (g - j) at the group's position j, the
    hypergeometric chain; groups are independent.
    """
    size_NK, relevant_NK = answers.size_QK[rows_N, :k], answers.relevant_QK[rows_N, :k]
    left_NK = size_NK - (np.arange(size_NK.shape[1]) - answers.start_QK[rows_N, :k])
    return np.cumprod(np.maximum(left_NK - relevant_NK, 0) / left_NK, axis=1)


class Recall(Metric):
    """Share of the right answers found in the first k, hits@k / R (Järvelin and Kekäläinen, TOIS 2002)."""

    definition = "recall/divisor=relevant/users=with-relevant/ties=expected/v1"

    def __call__(self, answers: RankedLists, train: Dataset) -> NDArray:
        return _expected_hits(answers, self.k) / _at_least_one(answers.n_relevant_Q)


class Precision(Metric):
    """Share of the first k positions that are right, hits@k / k (Järvelin and Kekäläinen, TOIS 2002)."""

    definition = "precision/divisor=k/users=with-relevant/ties=expected/v1"

    def __call__(self, answers: RankedLists, train: Dataset) -> NDArray:
        return _expected_hits(answers, self.k) / self.k


class F1(Metric):
    """Harmonic mean 2PR / (P + R) of the query's expected precision@k and recall@k (van Rijsbergen, 1979)."""

    definition = "f1/of=expected-precision-and-recall/divisor=k/users=with-relevant/ties=expected/v1"

    def __call__(self, answers: RankedLists, train: Dataset) -> NDArray:
        # 2PR / (P + R) = 2 hits / (k + R), free of 0 / 0
        return 2 * _expected_hits(answers, self.k) / (self.k + answers.n_relevant_Q)


class HitRate(Metric):
    """Probability of at least one right answer in the first k (Deshpande and Karypis, TOIS 2004)."""

    definition = "hit-rate/users=with-relevant/ties=expected/v1"

    def __call__(self, answers: RankedLists, train: Dataset) -> NDArray:
        found_Q, _, rows_N = _split(answers, self.k)
        value_Q = found_Q.astype(np.float64)
        value_Q[rows_N] = 1 - _none_right(answers, rows_N, self.k)[:, -1]
        return value_Q


class NDCG(Metric):
    """DCG@k / ideal DCG@k, DCG = sum of 1 / log2(p + 1) over right places p <= k (Järvelin, Kekäläinen, TOIS 2002)."""

    definition = "ndcg/gain=binary/discount=log2/ideal=min(k,relevant)/users=with-relevant/ties=expected/v1"

    def __call__(self, answers: RankedLists, train: Dataset) -> NDArray:
        discount_k = 1 / np.log2(np.arange(self.k) + 2)
        ideal_Q = np.cumsum(discount_k)[np.minimum(_at_least_one(answers.n_relevant_Q), self.k) - 1]
        return _expected(answers, self.k, discount_k) / ideal_Q


class MRR(Metric):
    """Expected 1 / p of the first right position p <= k, 0 where there is none (Voorhees, TREC-8, 1999)."""

    definition = "mrr/first-right-within=k/users=with-relevant/ties=expected/v1"

    def __call__(self, answers: RankedLists, train: Dataset) -> NDArray:
        found_Q, first_Q, rows_N = _split(answers, self.k)
        value_Q = found_Q / (first_Q + 1)
        none_NK = _none_right(answers, rows_N, self.k)
        first_NK = -np.diff(none_NK, axis=1, prepend=1)
        value_Q[rows_N] = first_NK @ (1 / np.arange(1, first_NK.shape[1] + 1))
        return value_Q


class MAP(Metric):
    """Expected AP@k = sum over right positions p <= k of precision@p, / min(k, R) (McSherry and Najork, ECIR 2008)."""

    definition = "map/divisor=min(k,relevant)/users=with-relevant/ties=expected/v1"

    def __call__(self, answers: RankedLists, train: Dataset) -> NDArray:
        start_QK, relevant_QK = answers.start_QK[:, : self.k], answers.relevant_QK[:, : self.k]
        row_N, position_N, _ = answers.hits
        row_N, position_N = row_N[position_N < self.k], position_N[position_N < self.k]
        start_N, right_N = start_QK[row_N, position_N], relevant_QK[row_N, position_N].astype(np.float64)
        size_N = answers.size_QK[row_N, position_N]
        # right answers in the groups before: each group counted once, at its first position
        opened_N = np.cumsum(np.where(start_N == position_N, right_N, 0))
        ends_Q = np.cumsum(np.bincount(row_N, minlength=len(relevant_QK)))
        total_Q = np.r_[0, opened_N][np.r_[0, ends_Q[:-1]]] if len(ends_Q) else np.zeros(0)
        before_N = opened_N - total_Q[row_N] - right_N
        # given that p is right, the j = p - start positions of its group before it hold j (r - 1) / (g - 1) right ones
        inside_N = (position_N - start_N) * (right_N - 1) / np.maximum(size_N - 1, 1)
        gain_N = right_N / size_N * (1 + before_N + inside_N) / (position_N + 1)
        gain_Q = np.bincount(row_N, weights=gain_N, minlength=len(relevant_QK))
        return gain_Q / np.minimum(_at_least_one(answers.n_relevant_Q), self.k)
