"""The lists that metrics are tried on: by chance, best, worst, empty, and in every order.

Truths stand in the order asked for. Item i comes with behaviour i mod 3, and so it is told: who names the item is right.

Letters: Q queries, K list length, I items.
"""

from __future__ import annotations

import itertools
from dataclasses import replace
from functools import cache
from typing import Any

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
BEHAVIORS = ("view", "like", "share")
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
    """What the metric, made as a board would make it, says of the lists; only one that needs the steps is shown them."""
    if not cls.needs_order:
        lists = replace(lists, behaviors_QK=None, truth_QS=None, truth_behaviors_QS=None)
    made = cls(cls.__name__.lower(), k if cls.needs_k else None)
    return np.asarray(made(lists, data or train()), dtype=np.float64)


def asked(truth: list[list[int]], n_items: int, allowed: int | None = None) -> Holdout:
    """A holdout without histories that asks for an order; the first `allowed` items may be recommended."""
    n = len(truth)
    candidates = np.arange(n_items) < (n_items if allowed is None else allowed)
    none = Ragged.from_rows([[] for _ in range(n)])
    asking = (np.arange(n, dtype=np.int32), np.zeros(n, np.int64))
    queries = Queries(*asking, none, none, none, none, candidates, True, steps=max(2, *map(len, truth)))
    told = Ragged.from_rows([[_behavior(item) for item in row] for row in truth], np.int8)
    return Holdout(queries, Ragged.from_rows(truth), BEHAVIORS, told)


def _behavior(item: Any) -> Any:
    return item % len(BEHAVIORS)


def _ranked(scores_QI: NDArray, holdout: Holdout, k: int) -> RankedLists:
    """The lists of the scores, with the behaviour of each listed item."""
    lists = rank(Fixed(scores_QI), holdout, k)
    told_QK = np.where(lists.items_QK < 0, -1, _behavior(lists.items_QK)).astype(np.int8)
    return replace(lists, behaviors_QK=told_QK)


def random_lists(n_queries: int = 12, k: int = 8, allowed: int | None = None) -> RankedLists:
    """Lists of integer scores, so that some items tie; half of the queries with one right answer, half with several."""
    rng = np.random.default_rng(0)
    n_items = train().n_items
    reach = allowed or n_items
    truth = [rng.choice(reach, 1 + q % 2 * 2, replace=False).tolist() for q in range(n_queries)]
    scores_QI = rng.integers(8, size=(n_queries, n_items)).astype(np.float32)
    return _ranked(scores_QI, asked(truth, n_items, allowed), k)


def extremes() -> tuple[RankedLists, RankedLists]:
    """Lists with every right answer first, in the order asked for, and with every right answer last."""
    n_items = train().n_items
    holdout = asked(TRUTH, n_items)
    scores_QI = np.tile(np.arange(n_items, dtype=np.float32), (len(TRUTH), 1))
    query, item = holdout.truth.flat()
    best_QI, worst_QI = scores_QI.copy(), scores_QI.copy()
    best_QI[query, item] = 2 * n_items - item
    worst_QI[query, item] -= n_items
    return _ranked(best_QI, holdout, 8), _ranked(worst_QI, holdout, 8)


def empty_lists() -> RankedLists:
    """Lists without any item: nothing may be recommended."""
    n_items = train().n_items
    return _ranked(np.zeros((len(TRUTH), n_items), np.float32), asked(TRUTH, n_items, allowed=0), 8)


def every_order(n_right: int) -> RankedLists:
    """One query for each order of a small catalogue, the one with all right answers first at the top."""
    orders_QI = np.array(list(itertools.permutations(range(SMALL, 0, -1))), np.float32)
    return _ranked(orders_QI, asked([list(range(n_right))] * len(orders_QI), SMALL), SMALL)


def all_tied(n_right: int) -> RankedLists:
    """The same question answered by a scorer that gives all items one score."""
    return _ranked(np.zeros((1, SMALL), np.float32), asked([list(range(n_right))], SMALL), SMALL)
