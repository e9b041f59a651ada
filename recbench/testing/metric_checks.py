"""What every metric must keep, on lists whose value is known or can be averaged over all orders.

Letters: Q queries, K list length.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from recbench.metric import Metric, Ratings
from recbench.testing import probability_checks
from recbench.testing.common import Check, documented, loads_light
from recbench.testing.metric_lists import K, all_tied, empty_lists, every_order, extremes, random_lists, train, values
from recbench.testing.snapshot import changed, snapshot
from recbench.testing.worlds import cold


def chosen(cls: type[Metric]) -> list[Check]:
    """The checks that apply to a metric class: those on the truth only where it reads the truth."""
    checks: list[Check] = [loads_light, documented, definition_given]
    if cls.task == "rating":
        return [*checks, exact_values_are_best, worse_values_are_worse, order_of_questions_is_nothing]
    if cls.task == "behavior":
        return [*checks, *probability_checks.chosen(cls)]
    checks += [per_query_shape, finite_and_bounded, padding_handled, empty_lists_handled, does_not_touch_input]
    if reads_truth(cls):
        checks += [direction_holds, perfect_list_is_best, empty_lists_earn_nothing]
        checks += [] if cls.needs_order else [constant_scorer_equals_random]  # steps are judged in the order drawn
    return checks


def reads_truth(cls: type[Metric]) -> bool:
    """Whether the value changes with the right answers: then it measures accuracy."""
    try:
        lists = random_lists()
        none = {name: getattr(lists, name) * 0 - 1 for name in ("truth_QS", "truth_behaviors_QS")}
        wrong = replace(lists, relevant_QK=np.zeros_like(lists.relevant_QK), **none)
        return not np.array_equal(values(cls, lists), values(cls, wrong))
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
    shape, n = values(cls, lists).shape, len(lists.n_relevant_Q)
    assert shape in ((n,), (1,)), f"{cls.__name__}: must give shape ({n},) for {n} queries, or (1,); given {shape}"


def finite_and_bounded(cls: type[Metric]) -> None:
    """Values are finite; those of accuracy lie in 0..1 unless the class says otherwise by `bounds = (low, high)`."""
    low, high = getattr(cls, "bounds", (0.0, 1.0) if reads_truth(cls) else (-np.inf, np.inf))
    for k in (1, K, 8):
        for lists in (random_lists(), random_lists(allowed=3), *extremes()):
            found = values(cls, lists, k)
            assert np.isfinite(found).all(), f"{cls.__name__}: values hold NaN or infinity at k={k}"
            inside = low - 1e-9 <= found.min() and found.max() <= high + 1e-9
            assert inside, (
                f"{cls.__name__}: values {found.min():g}..{found.max():g} lie outside {low:g}..{high:g}; "
                "fix them or set `bounds`"
            )


def padding_handled(cls: type[Metric]) -> None:
    """Empty positions of short lists (-1) count as no item: padding and the names of items change nothing."""
    lists = random_lists(allowed=3)
    assert (lists.items_QK[:, K - 1] == -1).all()
    before = values(cls, lists)
    longer = values(cls, random_lists(k=12, allowed=3))
    assert np.allclose(before, longer), f"{cls.__name__}: padding behind position k changes the value"
    data, log, items = train(), train().interactions, train().items
    assert items is not None  # every world has a table
    order = np.arange(data.n_items)[::-1]
    place = np.argsort(order).astype(np.int32)
    rows = (np.asarray(row) for row in (lists.items_QK, lists.truth_QS))
    items_QK, truth_QS = (np.where(row >= 0, place[row], -1).astype(np.int32) for row in rows)
    renamed = replace(
        data,
        interactions=replace(log, item=place[log.item]),
        item_ids=data.item_ids[order],
        items=items.iloc[order].reset_index(drop=True),
    )
    again = values(cls, replace(lists, items_QK=items_QK, truth_QS=truth_QS), data=renamed)
    assert np.allclose(before, again), (
        f"{cls.__name__}: renumbering the items changes the value; is -1 read as the last item?"
    )


def empty_lists_handled(cls: type[Metric]) -> None:
    """Lists without any item have a finite value."""
    found = values(cls, empty_lists())
    assert np.isfinite(found).all(), f"{cls.__name__}: values of lists without any item hold NaN or infinity"


def does_not_touch_input(cls: type[Metric]) -> None:
    """Lists and training part are the same after the call: the next metric reads them too."""
    lists, data = random_lists(), cold().split().train
    before = snapshot(lists) | snapshot(data, "train")
    values(cls, lists, data=data)
    touched = changed(before, snapshot(lists) | snapshot(data, "train"))
    assert not touched, f"{cls.__name__}: changed {touched}; copy before you write"


def constant_scorer_equals_random(cls: type[Metric]) -> None:
    """A scorer that gives all items one score gets exactly the mean over all orders, not one lucky order."""
    for n_right in (1, 2, 3):
        expected = float(values(cls, every_order(n_right), 3).mean())
        given = float(values(cls, all_tied(n_right), 3).mean())
        assert abs(expected - given) < 1e-9, (
            f"{cls.__name__}: all items tied, {n_right} right: {given:.6f}, but the mean over all orders "
            f"is {expected:.6f}; use hit_QK, size_QK and start_QK"
        )


def direction_holds(cls: type[Metric]) -> None:
    """The best order has the better value than the worst, as `higher_is_better` says."""
    best, worst = (float(values(cls, lists).mean()) for lists in extremes())
    right = best > worst if cls.higher_is_better else best < worst
    assert right, (
        f"{cls.__name__}: the best order has {best:g}, the worst {worst:g}; "
        f"higher_is_better={cls.higher_is_better} says otherwise"
    )


def perfect_list_is_best(cls: type[Metric]) -> None:
    """No order of the catalogue has a better value than the one with every right answer first."""
    for n_right in (1, 2, 3):
        found = values(cls, every_order(n_right), 3)
        best = float(found.max() if cls.higher_is_better else found.min())
        assert abs(found[0] - best) < 1e-9, (
            f"{cls.__name__}: with {n_right} right, all first, the value is {found[0]:g}, but another order has {best:g}"
        )


def empty_lists_earn_nothing(cls: type[Metric]) -> None:
    """An empty list is worth no more than one with every right answer last: silence must not pay."""
    worst, empty = (float(values(cls, lists).mean()) for lists in (extremes()[1], empty_lists()))
    fair = empty <= worst + 1e-9 if cls.higher_is_better else empty >= worst - 1e-9
    assert fair, f"{cls.__name__}: lists without any item have {empty:g}, those with all right answers last {worst:g}"


def _of_values(cls: type[Metric], predicted_Q: NDArray, true_Q: NDArray, user_Q: NDArray) -> float:
    made = cls(cls.__name__.lower(), K if cls.needs_k else None)
    found = np.asarray(made(Ratings(predicted_Q, true_Q, user_Q), train()), dtype=np.float64)
    n = len(np.unique(user_Q)) if cls.per_user else len(user_Q)
    assert found.shape in ((n,), (1,)), f"{cls.__name__}: must give shape ({n},) or (1,); given {found.shape}"
    assert np.isfinite(found).all(), f"{cls.__name__}: values hold NaN or infinity"
    return made.of_mean(float(found.mean()))


def _stars() -> tuple[NDArray, NDArray]:
    """(Q,) true values of 12 users' questions, and whose they are."""
    rng = np.random.default_rng(0)
    user_Q = np.sort(rng.integers(12, size=90))
    return rng.integers(1, 6, size=90).astype(np.float64), user_Q


def exact_values_are_best(cls: type[Metric]) -> None:
    """No prediction has a better value than the truth."""
    true_Q, user_Q = _stars()
    best, rng = _of_values(cls, true_Q, true_Q, user_Q), np.random.default_rng(1)
    for _ in range(20):
        other = _of_values(cls, rng.normal(3, 1, len(true_Q)), true_Q, user_Q)
        right = best >= other - 1e-9 if cls.higher_is_better else best <= other + 1e-9
        assert right, f"{cls.__name__}: the truth has {best:g}, a wrong prediction {other:g}"


def worse_values_are_worse(cls: type[Metric]) -> None:
    """The truth turned upside down has a worse value, as `higher_is_better` says."""
    true_Q, user_Q = _stars()
    best, worst = _of_values(cls, true_Q, true_Q, user_Q), _of_values(cls, 6 - true_Q, true_Q, user_Q)
    right = best > worst if cls.higher_is_better else best < worst
    assert right, f"{cls.__name__}: the truth has {best:g}, its opposite {worst:g}; is the direction right?"


def order_of_questions_is_nothing(cls: type[Metric]) -> None:
    """The same questions in another order come to the same value."""
    true_Q, user_Q = _stars()
    rng = np.random.default_rng(2)
    predicted_Q, order = rng.normal(3, 1, len(true_Q)).round(), rng.permutation(len(true_Q))
    before = _of_values(cls, predicted_Q, true_Q, user_Q)
    after = _of_values(cls, predicted_Q[order], true_Q[order], user_Q[order])
    assert abs(before - after) < 1e-9, f"{cls.__name__}: the order of the questions changes {before:g} to {after:g}"
