"""What every model of values must keep, and that it learns who rates high and what is rated high.

Letters: Q questions.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from recbench.data import Queries
from recbench.model import Recommender
from recbench.testing.common import Check
from recbench.testing.model_trials import fit, fitted, row_of, told, with_histories, world
from recbench.testing.snapshot import changed, snapshot
from recbench.testing.worlds import ratings


def chosen() -> list[Check]:
    """The checks of the task rating."""
    return [
        values_finite_and_shaped,
        values_deterministic,
        values_of_batch_equal_single,
        values_know_own_history_only,
        values_know_no_future,
        values_for_empty_history,
        values_leave_input_alone,
        values_survive_save_and_load,
        beats_mean_on_ratings,
    ]


def values_finite_and_shaped(cls: type[Recommender]) -> None:
    """Values are (Q, 1) numbers without NaN or infinity."""
    queries = world("ratings").test.queries
    _well_formed(cls, _values(cls, queries), queries, "the ratings")


def values_deterministic(cls: type[Recommender]) -> None:
    """The same seed gives the same values, whatever the global random state is."""
    queries, state = world("ratings").test.queries, np.random.get_state()
    np.random.seed(12345)
    try:
        again = fit(cls, "ratings").predict(queries)
    finally:
        np.random.set_state(state)
    assert np.array_equal(_values(cls, queries), again), (
        f"{cls.__name__}: two fits with seed 1 give different values; draw from context.seed alone"
    )


def values_of_batch_equal_single(cls: type[Recommender]) -> None:
    """A question's value does not depend on the batch it stands in."""
    queries = world("ratings").test.queries
    together, rows = _values(cls, queries), np.arange(0, len(queries), 9)
    alone = np.concatenate([_values(cls, queries.take(np.array([row]))) for row in rows])
    assert _close(together[rows], alone), f"{cls.__name__}: a question has another value alone than in a batch"


def values_know_own_history_only(cls: type[Recommender]) -> None:
    """A question's value does not depend on the histories of the other questions."""
    queries = world("ratings").test.queries
    half = len(queries) // 2
    others = np.r_[np.arange(half), np.full(len(queries) - half, half)]
    swapped = with_histories(queries, [row_of(queries, q) for q in others])
    assert _close(_values(cls, queries)[:half], _values(cls, swapped)[:half]), (
        f"{cls.__name__}: a question's value changes with the histories of other questions"
    )


def values_know_no_future(cls: type[Recommender]) -> None:
    """Values depend on each question's own history, never on what lies behind its moment in the same columns."""
    queries = world("ratings").valid.queries
    cut = with_histories(queries, [row_of(queries, q) for q in range(len(queries))])
    assert _close(_values(cls, queries), _values(cls, cut)), (
        f"{cls.__name__}: values change when events after the moment of asking are removed; read rows through Ragged"
    )


def values_for_empty_history(cls: type[Recommender]) -> None:
    """A user without history gets a finite value too."""
    queries = world("ratings").test.queries.take(np.arange(5))
    empty = with_histories(queries, [np.empty(0, np.int64)] * 5)
    with told(cls, "cannot answer a question with an empty history"):
        found = _values(cls, empty)
    _well_formed(cls, found, empty, "an empty history")


def values_leave_input_alone(cls: type[Recommender]) -> None:
    """Neither `fit` nor `predict` changes what it is given."""
    parts = ratings().split()
    before = snapshot(parts.train, "train") | snapshot(parts.test.queries, "queries")
    fit(cls, "ratings", parts).predict(parts.test.queries)
    touched = changed(before, snapshot(parts.train, "train") | snapshot(parts.test.queries, "queries"))
    assert not touched, f"{cls.__name__}: fit or predict changed {touched}; copy before you write"


def values_survive_save_and_load(cls: type[Recommender]) -> None:
    """The model that was saved and loaded gives exactly the values of the one in memory."""
    model, queries = fitted(cls, "ratings"), world("ratings").test.queries
    with tempfile.TemporaryDirectory() as name, told(cls, "cannot be saved and loaded"):
        model.save(Path(name) / "model")
        after = cls.load(Path(name) / "model").predict(queries)
    assert np.array_equal(model.predict(queries), after), (
        f"{cls.__name__}: the loaded model gives other values; name every learned array in `fitted`"
    )


def beats_mean_on_ratings(cls: type[Recommender]) -> None:
    """Where users and items have levels of their own, the error is below that of one number for all."""
    parts = world("ratings")
    holdout, log = parts.test, parts.train.interactions
    assert holdout.values is not None  # the world's board asks for values
    error = np.sqrt(np.mean((_values(cls, holdout.queries)[:, 0] - holdout.values) ** 2))
    floor = np.sqrt(np.mean((log.value.mean() - holdout.values) ** 2))
    assert error < floor, f"{cls.__name__}: the RMSE is {error:.3f}, one number for all has {floor:.3f}"


def _values(cls: type[Recommender], queries: Queries) -> NDArray:
    return np.array(fitted(cls, "ratings").predict(queries), copy=True)


def _well_formed(cls: type[Recommender], values_Q1: NDArray, queries: Queries, where: str) -> None:
    shape = (len(queries), 1)
    assert values_Q1.shape == shape, (
        f"{cls.__name__}: values for {where} must have shape {shape}; given {values_Q1.shape}"
    )
    assert np.isfinite(values_Q1).all(), f"{cls.__name__}: values for {where} hold NaN or infinity"


def _close(a: NDArray, b: NDArray) -> bool:
    """Equal up to two orders of the same float32 sum."""
    return np.allclose(a, b, rtol=1e-4, atol=1e-5)
