"""The lists that metrics are tried on: by chance, best, worst, empty, and in every order.

Letters: Q queries, K list length, I items.
"""

from __future__ import annotations

import itertools
from functools import cache

import numpy as np
from numpy.typing import NDArray

from recbench.data import Queries, Ragged
from recbench.dataset import Dataset
from recbench.evaluate import rank
from recbench.holdout import Holdout
from recbench.metric import Metric, RankedLists
from recbench.model import Context, Recommender
from recbench.testing.worlds import cold

K = 5
SMALL = 5  # items of the world in which every order is tried
TRUTH = [[0], [3, 4], [5, 6, 7, 8, 9, 10, 11]]  # fewer right answers than K, and more


class Fixed(Recommender):
    """Answers with the scores it was given."""

    def __init__(self, scores_QI: NDArray) -> None:
        super().__init__()
        self.scores_QI = scores_QI

    def fit(self, train: Dataset, context: Context) -> None:
        """Nothing to learn."""

    def score(self, queries: Queries) -> NDArray:
        """(Q, I) the given scores."""
        return self.scores_QI


@cache
def train() -> Dataset:
    """A training part with item features, in which some items never come."""
    return cold().split().train


def values(cls: type[Metric], lists: RankedLists, k: int = K, data: Dataset | None = None) -> NDArray:
    """What the metric, made as a board would make it, says of the lists."""
    made = cls(cls.__name__.lower(), k if cls.needs_k else None)
    return np.asarray(made(lists, data or train()), dtype=np.float64)


def asked(truth: list[list[int]], n_items: int, allowed: int | None = None) -> Holdout:
    """A holdout without histories; the first `allowed` items may be recommended."""
    n = len(truth)
    candidates = np.arange(n_items) < (n_items if allowed is None else allowed)
    none = Ragged.from_rows([[] for _ in range(n)])
    queries = Queries(np.arange(n, dtype=np.int32), np.zeros(n, np.int64), none, none, none, none, candidates, True)
    return Holdout(queries, Ragged.from_rows(truth))


def random_lists(n_queries: int = 12, k: int = 8, allowed: int | None = None) -> RankedLists:
    """Lists of integer scores, so that some items tie; half of the queries with one right answer, half with several."""
    rng = np.random.default_rng(0)
    n_items = train().n_items
    reach = allowed or n_items
    truth = [rng.choice(reach, 1 + q % 2 * 2, replace=False).tolist() for q in range(n_queries)]
    scores_QI = rng.integers(8, size=(n_queries, n_items)).astype(np.float32)
    return rank(Fixed(scores_QI), asked(truth, n_items, allowed), k)


def extremes() -> tuple[RankedLists, RankedLists]:
    """Lists with every right answer first, and with every right answer last."""
    n_items = train().n_items
    holdout = asked(TRUTH, n_items)
    scores_QI = np.tile(np.arange(n_items, dtype=np.float32), (len(TRUTH), 1))
    query, item = holdout.truth.flat()
    best_QI, worst_QI = scores_QI.copy(), scores_QI.copy()
    best_QI[query, item] += 100
    worst_QI[query, item] -= 100
    return rank(Fixed(best_QI), holdout, 8), rank(Fixed(worst_QI), holdout, 8)


def empty_lists() -> RankedLists:
    """Lists without any item: nothing may be recommended."""
    n_items = train().n_items
    return rank(Fixed(np.zeros((len(TRUTH), n_items), np.float32)), asked(TRUTH, n_items, allowed=0), 8)


def every_order(n_right: int) -> RankedLists:
    """One query for each order of a small catalogue, the one with all right answers first at the top."""
    orders_QI = np.array(list(itertools.permutations(range(SMALL, 0, -1))), np.float32)
    return rank(Fixed(orders_QI), asked([list(range(n_right))] * len(orders_QI), SMALL), SMALL)


def all_tied(n_right: int) -> RankedLists:
    """The same question answered by a scorer that gives all items one score."""
    return rank(Fixed(np.zeros((1, SMALL), np.float32)), asked([list(range(n_right))], SMALL), SMALL)
