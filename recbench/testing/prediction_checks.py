"""What every model that predicts must keep, values and probabilities alike: form, memory, files.

Letters: Q questions, T numbers a question: the value, or a probability for each behaviour asked about.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from recbench.data import Queries
from recbench.model import Recommender
from recbench.testing.common import Check
from recbench.testing.model_trials import fit, fitted, row_of, told, with_histories, world
from recbench.testing.snapshot import changed, snapshot
from recbench.testing.worlds import WORLDS

WORLD_OF = {"rating": "ratings", "behavior": "acts"}  # by task


def chosen() -> list[Check]:
    """The checks of models that predict."""
    return [
        predictions_finite_and_shaped,
        predictions_deterministic,
        predictions_of_batch_equal_single,
        predictions_know_own_history_only,
        predictions_know_no_future,
        predictions_for_empty_history,
        predictions_leave_input_alone,
        predictions_survive_save_and_load,
    ]


def predictions_finite_and_shaped(cls: type[Recommender]) -> None:
    """Predictions are (Q, 1) values, or (Q, B) probabilities, without NaN or infinity."""
    for name, queries in _asked(cls):
        _well_formed(cls, predictions(cls, name, queries), queries, name, f"the {name}")


def predictions_deterministic(cls: type[Recommender]) -> None:
    """The same seed gives the same predictions, whatever the global random state is."""
    for name, queries in _asked(cls):
        state = np.random.get_state()
        np.random.seed(12345)
        try:
            again = fit(cls, name).predict(queries)
        finally:
            np.random.set_state(state)
        assert np.array_equal(predictions(cls, name, queries), again), (
            f"{cls.__name__}: two fits with seed 1 predict differently; draw from context.seed alone"
        )


def predictions_of_batch_equal_single(cls: type[Recommender]) -> None:
    """What is predicted for a question does not depend on the batch it stands in."""
    for name, queries in _asked(cls):
        together, rows = predictions(cls, name, queries), np.arange(0, len(queries), max(1, len(queries) // 40))
        alone = np.concatenate([predictions(cls, name, queries.take(np.array([row]))) for row in rows])
        assert _close(together[rows], alone), (
            f"{cls.__name__}: a question is answered otherwise alone than in a batch ({name})"
        )


def predictions_know_own_history_only(cls: type[Recommender]) -> None:
    """What is predicted for a question does not depend on the histories of the other questions."""
    for name, queries in _asked(cls):
        half = len(queries) // 2
        others = np.r_[np.arange(half), np.full(len(queries) - half, half)]
        swapped = with_histories(queries, [row_of(queries, q) for q in others])
        assert _close(predictions(cls, name, queries)[:half], predictions(cls, name, swapped)[:half]), (
            f"{cls.__name__}: what is predicted for a question changes with the histories of others ({name})"
        )


def predictions_know_no_future(cls: type[Recommender]) -> None:
    """Predictions depend on each question's own history, never on what lies behind its moment in the same columns."""
    for name, _ in _asked(cls):
        queries = world(name).valid.queries
        cut = with_histories(queries, [row_of(queries, q) for q in range(len(queries))])
        assert _close(predictions(cls, name, queries), predictions(cls, name, cut)), (
            f"{cls.__name__}: predictions change when events after the moment of asking are removed ({name}); read rows "
            "through Ragged"
        )


def predictions_for_empty_history(cls: type[Recommender]) -> None:
    """A user without history gets a finite prediction too."""
    for name, queries in _asked(cls):
        empty = with_histories(queries.take(np.arange(5)), [np.empty(0, np.int64)] * 5)
        with told(cls, "cannot answer a question with an empty history"):
            found = predictions(cls, name, empty)
        _well_formed(cls, found, empty, name, "an empty history")


def predictions_leave_input_alone(cls: type[Recommender]) -> None:
    """Neither `fit` nor `predict` changes what it is given."""
    for name, _ in _asked(cls):
        parts = WORLDS[name]().split()
        before = snapshot(parts.train, "train") | snapshot(parts.test.queries, "queries")
        fit(cls, name, parts).predict(parts.test.queries)
        touched = changed(before, snapshot(parts.train, "train") | snapshot(parts.test.queries, "queries"))
        assert not touched, f"{cls.__name__}: fit or predict changed {touched}; copy before you write"


def predictions_survive_save_and_load(cls: type[Recommender]) -> None:
    """The model that was saved and loaded predicts exactly what the one in memory does."""
    for name, queries in _asked(cls):
        model = fitted(cls, name)
        with tempfile.TemporaryDirectory() as folder, told(cls, "cannot be saved and loaded"):
            model.save(Path(folder) / "model")
            after = cls.load(Path(folder) / "model").predict(queries)
        assert np.array_equal(model.predict(queries), after), (
            f"{cls.__name__}: the loaded model predicts otherwise ({name}); name every learned array in `fitted`"
        )


def predictions(cls: type[Recommender], name: str, queries: Queries) -> NDArray:
    """What the model fitted on a world predicts."""
    return np.array(fitted(cls, name).predict(queries), copy=True)


def _asked(cls: type[Recommender]) -> Iterator[tuple[str, Queries]]:
    """The world of each task that the model predicts in, and its test questions."""
    for task, name in WORLD_OF.items():
        if task in cls.traits.tasks:
            yield name, world(name).test.queries


def _well_formed(cls: type[Recommender], found_QT: NDArray, queries: Queries, name: str, where: str) -> None:
    outcomes = world(name).test.outcomes
    shape = (len(queries), 1 if outcomes is None else outcomes.shape[1])
    assert found_QT.shape == shape, (
        f"{cls.__name__}: predictions for {where} must have shape {shape}; given {found_QT.shape}"
    )
    assert np.isfinite(found_QT).all(), f"{cls.__name__}: predictions for {where} hold NaN or infinity"


def _close(a: NDArray, b: NDArray) -> bool:
    """Equal up to two orders of the same float32 sum."""
    return a.shape == b.shape and np.allclose(a, b, rtol=1e-4, atol=1e-5)
