"""What every metric must keep, on lists whose value is known or can be averaged over all orders.

Letters: Q queries, K list length, I items.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recbench.data import Queries, Ragged
from recbench.dataset import Dataset
from recbench.evaluate import rank
from recbench.metric import Metric, RankedLists
from recbench.model import Context, Recommender
from recbench.split import Holdout
from recbench.testing.common import documented, loads_light
from recbench.testing.worlds import cold

K = 5
SMALL = 5  # items of the world in which every order is tried


def chosen(cls: type[Metric]) -> list[Callable[[Any], None]]:
    """The checks that apply to a metric class: those on the truth only where it reads the truth."""
    checks: list[Callable[[Any], None]] = [loads_light, documented, definition_given]
    if cls.task != "ranking":
        return checks
    checks += [per_query_shape, finite_and_bounded, padding_handled, does_not_touch_input]
    if reads_truth(cls):
        checks += [constant_scorer_equals_random, direction_holds]
    return checks


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


def made(cls: type[Metric], k: int = K) -> Metric:
    """The metric as a board would make it."""
    return cls(cls.__name__.lower(), k if cls.needs_k else None)


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


def reads_truth(cls: type[Metric]) -> bool:
    """Whether the value changes with the right answers: then it measures accuracy."""
    try:
        lists = random_lists()
        wrong = replace(lists, relevant_QK=np.zeros_like(lists.relevant_QK))
        return not np.array_equal(_values(cls, lists), _values(cls, wrong))
    except Exception:
        return False  # the other checks say what is broken


def definition_given(cls: type[Metric]) -> None:
    """`definition` names gain, discount, ideal and users; it is stored with every score."""
    text = getattr(cls, "definition", "")
    assert isinstance(text, str) and text.strip(), (
        f"{cls.__name__}: definition must name what is computed, as in 'recall/divisor=relevant/v1'"
    )
    assert "\n" not in text, f"{cls.__name__}: definition must be one line"


def per_query_shape(cls: type[Metric]) -> None:
    """One float a query, or a single one for all lists together."""
    lists = random_lists()
    values = _values(cls, lists)
    n = len(lists.n_relevant_Q)
    assert values.shape in ((n,), (1,)), (
        f"{cls.__name__}: must give shape ({n},) for {n} queries, or (1,); given {values.shape}"
    )


def finite_and_bounded(cls: type[Metric]) -> None:
    """Values are finite; those of accuracy lie in 0..1 unless the class says otherwise by `bounds = (low, high)`."""
    low, high = getattr(cls, "bounds", (0.0, 1.0) if reads_truth(cls) else (-np.inf, np.inf))
    for k in (1, K, 8):
        for lists in (random_lists(), random_lists(allowed=3), *_extremes()):
            values = _values(cls, lists, k)
            assert np.isfinite(values).all(), f"{cls.__name__}: values hold NaN or infinity at k={k}"
            inside = low - 1e-9 <= values.min() and values.max() <= high + 1e-9
            assert inside, (
                f"{cls.__name__}: values {values.min():g}..{values.max():g} lie outside {low:g}..{high:g}; "
                "fix them or set `bounds`"
            )


def padding_handled(cls: type[Metric]) -> None:
    """Empty positions of short lists (-1) count as no item: padding and the names of items change nothing."""
    lists = random_lists(allowed=3)
    assert (lists.items_QK[:, K - 1] == -1).all()
    values = _values(cls, lists)
    longer = _values(cls, random_lists(k=12, allowed=3))
    assert np.allclose(values, longer), f"{cls.__name__}: padding behind position k changes the value"
    order = np.arange(train().n_items)[::-1]
    place = np.argsort(order).astype(np.int32)
    items_QK = np.where(lists.items_QK >= 0, place[lists.items_QK], -1).astype(np.int32)
    data, log = train(), train().interactions
    renamed = replace(
        data,
        interactions=replace(log, item=place[log.item]),
        item_ids=data.item_ids[order],
        items=data.items.iloc[order].reset_index(drop=True),
    )
    again = np.asarray(made(cls)(replace(lists, items_QK=items_QK), renamed))
    assert np.allclose(values, again), (
        f"{cls.__name__}: renumbering the items changes the value; is -1 read as the last item?"
    )


def does_not_touch_input(cls: type[Metric]) -> None:
    """The lists are the same after the call: the next metric reads them too."""
    lists = random_lists()
    before = {name: array.copy() for name, array in vars(lists).items()}
    _values(cls, lists)
    changed = [name for name, array in vars(lists).items() if not np.array_equal(array, before[name])]
    assert not changed, f"{cls.__name__}: changed {', '.join(changed)}; copy before you write"


def constant_scorer_equals_random(cls: type[Metric]) -> None:
    """A scorer that gives all items one score gets exactly the mean over all orders, not one lucky order."""
    orders = list(itertools.permutations(range(SMALL)))
    for truth in ([0], [0, 1], [0, 1, 2]):
        scores_QI = np.array(orders, np.float32)
        value = _values(cls, rank(Fixed(scores_QI), asked([truth] * len(orders), SMALL), SMALL), 3)
        tied = _values(cls, rank(Fixed(np.zeros((1, SMALL), np.float32)), asked([truth], SMALL), SMALL), 3)
        expected, given = float(value.mean()), float(tied.mean())
        assert abs(expected - given) < 1e-9, (
            f"{cls.__name__}: all items tied, {len(truth)} right: {given:.6f}, but the mean over all orders "
            f"is {expected:.6f}; use hit_QK, size_QK and start_QK"
        )


def direction_holds(cls: type[Metric]) -> None:
    """The best order has the better value than the worst, as `higher_is_better` says."""
    best, worst = (float(_values(cls, lists).mean()) for lists in _extremes())
    right = best > worst if cls.higher_is_better else best < worst
    assert right, (
        f"{cls.__name__}: the best order has {best:g}, the worst {worst:g}; "
        f"higher_is_better={cls.higher_is_better} says otherwise"
    )


def _extremes() -> tuple[RankedLists, RankedLists]:
    """Lists with every right answer first, and with every right answer last."""
    n_items = train().n_items
    holdout = asked([[0], [3, 4], [5, 6, 7, 8, 9, 10, 11]], n_items)
    scores_QI = np.tile(np.arange(n_items, dtype=np.float32), (3, 1))
    query, item = holdout.truth.flat()
    best_QI, worst_QI = scores_QI.copy(), scores_QI.copy()
    best_QI[query, item] += 100
    worst_QI[query, item] -= 100
    return rank(Fixed(best_QI), holdout, 8), rank(Fixed(worst_QI), holdout, 8)


def _values(cls: type[Metric], lists: RankedLists, k: int = K) -> NDArray:
    return np.asarray(made(cls, k)(lists, train()), dtype=np.float64)
