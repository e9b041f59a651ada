"""Qualities beyond accuracy, of the lists as they stand: tied items are taken in the order listed.

Letters: Q queries, K list length, k the metric's cut, I items, E training events, N listed items or pairs, C columns.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from recbench.dataset import Dataset
from recbench.errors import RecbenchError
from recbench.metric import Metric, RankedLists

PAIR_CELLS = 2_000_000  # compared cells held in memory at once


def _users_I(train: Dataset) -> tuple[NDArray, int]:
    """(I,) the training users who interacted with each item, and how many users have any event."""
    log = train.interactions
    pair_N = np.unique(log.user.astype(np.int64) * log.n_items + log.item)
    user_N, item_N = np.divmod(pair_N, max(log.n_items, 1))
    return np.bincount(item_N, minlength=log.n_items), len(np.unique(user_N))


def _exposure_I(answers: RankedLists, k: int, n_items: int) -> NDArray:
    """(I,) how often each item stands in the first k."""
    items_QK = answers.items_QK[:, :k]
    return np.bincount(items_QK[items_QK >= 0], minlength=n_items)


def _mean_of_listed(answers: RankedLists, k: int, value_I: NDArray) -> NDArray:
    """(Q,) the mean of an item property over each list; 0 for an empty list."""
    items_QK = answers.items_QK[:, :k]
    listed_QK = items_QK >= 0
    total_Q = np.where(listed_QK, value_I[items_QK], 0.0).sum(axis=1)
    return total_Q / np.maximum(listed_QK.sum(axis=1), 1)


class Coverage(Metric):
    """Share of the catalogue that stands in at least one list, |union of lists@k| / I (Ge et al., RecSys 2010)."""

    definition = "coverage/share=distinct-listed-of-catalogue/users=all/ties=as-listed/v1"

    def __call__(self, answers: RankedLists, train: Dataset) -> NDArray:
        return np.array([np.count_nonzero(_exposure_I(answers, self.k, train.n_items)) / max(train.n_items, 1)])


class Gini(Metric):
    """Inequality of exposure: sum (2i - I - 1) x_i / (I sum x), x counts ascending (Fleder, Hosanagar, 2009)."""

    definition = "gini/of=exposure-over-catalogue/users=all/ties=as-listed/v1"
    higher_is_better = False

    def __call__(self, answers: RankedLists, train: Dataset) -> NDArray:
        count_I = np.sort(_exposure_I(answers, self.k, train.n_items))
        rank_I = 2.0 * np.arange(1, len(count_I) + 1) - len(count_I) - 1
        return np.array([rank_I @ count_I / max(len(count_I) * count_I.sum(), 1)])


class Novelty(Metric):
    """Mean -log2(share of training users who have the item, at least 1 user) of the list (Zhou et al., PNAS 2010)."""

    definition = "novelty/self-information=log2/share=training-users/floor=1-user/users=all/ties=as-listed/v1"

    def __call__(self, answers: RankedLists, train: Dataset) -> NDArray:
        users_I, n_users = _users_I(train)
        return _mean_of_listed(answers, self.k, np.log2(max(n_users, 1)) - np.log2(np.maximum(users_I, 1)))


class PopularityBias(Metric):
    """Mean popularity percentile, (items with fewer training users + half of those with as many) / I, of the list.

    A percentile form of average recommendation popularity (Abdollahpouri et al., FLAIRS 2019).
    """

    definition = "popularity-bias/percentile=mid-rank-of-training-users/users=all/ties=as-listed/v1"
    higher_is_better = False

    def __call__(self, answers: RankedLists, train: Dataset) -> NDArray:
        users_I, _ = _users_I(train)
        order_I = np.sort(users_I)
        below_I, upto_I = (np.searchsorted(order_I, users_I, side) for side in ("left", "right"))
        return _mean_of_listed(answers, self.k, (below_I + upto_I) / (2 * max(len(users_I), 1)))


class Diversity(Metric):
    """Mean 1 - Jaccard similarity of the (column, value) sets over all pairs of the list (Ziegler et al., WWW 2005)."""

    definition = "diversity/distance=1-jaccard-of-categories/empty-sets=equal/users=all/ties=as-listed/v1"

    def __call__(self, answers: RankedLists, train: Dataset) -> NDArray:
        code_IC = self._codes(train)
        items_QK = answers.items_QK[:, : self.k]
        step = max(1, PAIR_CELLS // max(items_QK.shape[1] * code_IC.shape[1], 1))
        parts = [self._distance(items_QK[at : at + step], code_IC) for at in range(0, len(items_QK), step)]
        return np.concatenate(parts) if parts else np.zeros(0)

    def _codes(self, train: Dataset) -> NDArray:
        """(I, C) category codes, -1 where unknown, of every column but `text` that holds no number and no time."""
        table = train.items
        if table is not None:
            table = table.drop(columns="text", errors="ignore").select_dtypes(exclude=["number", "datetime"])
        if table is None or not table.shape[1]:
            raise RecbenchError(
                f"metric {self.label}: data={train.info.name} has no categorical item features; choose another metric"
            )
        return np.column_stack([table[name].astype("category").cat.codes.to_numpy(np.int32) for name in table.columns])

    @staticmethod
    def _distance(items_QK: NDArray, code_IC: NDArray) -> NDArray:
        """(Q,) mean distance of the pairs of each list, 0 without pairs; one pass for each gap between positions."""
        listed_QK, code_QKC = items_QK >= 0, code_IC[items_QK]
        known_QKC = code_QKC >= 0
        size_QK = known_QKC.sum(axis=2)
        total_Q, pairs_Q = np.zeros(len(items_QK)), np.zeros(len(items_QK))
        for gap in range(1, items_QK.shape[1]):
            both_QN = listed_QK[:, :-gap] & listed_QK[:, gap:]
            shared_QN = ((code_QKC[:, :-gap] == code_QKC[:, gap:]) & known_QKC[:, gap:]).sum(axis=2)
            union_QN = size_QK[:, :-gap] + size_QK[:, gap:] - shared_QN
            differ_QN = (union_QN - shared_QN) / np.maximum(union_QN, 1)
            total_Q += np.where(both_QN, differ_QN, 0.0).sum(axis=1)
            pairs_Q += both_QN.sum(axis=1)
        return total_Q / np.maximum(pairs_Q, 1)
