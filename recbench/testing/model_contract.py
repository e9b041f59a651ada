"""What every recommender must keep, however well it recommends: form, memory, masks, files.

Letters: Q queries, I items, K list length.
"""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from recbench.data import Queries
from recbench.model import Recommendations, Recommender
from recbench.testing.model_trials import fit, fitted, given, row_of, scores, second, told, with_histories, world
from recbench.testing.snapshot import changed

STEPS = 5  # that a sequence is asked for


def scores_finite_and_shaped(cls: type[Recommender]) -> None:
    """Scores are float32 (Q, I) without NaN or infinity."""
    queries = world("checkerboard").test.queries
    _well_formed(cls, scores(fitted(cls, "checkerboard"), queries), queries, "checkerboard")


def does_not_touch_input(cls: type[Recommender]) -> None:
    """Neither `fit` nor `score` changes what it is given."""
    parts, before, model = second(cls)
    touched = changed(before, given(parts))
    assert not touched, f"{cls.__name__}: fit changed {touched}; copy before you write"
    scores(model, parts.test.queries)
    touched = changed(before, given(parts))
    assert not touched, f"{cls.__name__}: score changed {touched}; copy before you write"


def deterministic(cls: type[Recommender]) -> None:
    """The same seed gives the same scores, whatever the global random state is."""
    queries = world("checkerboard").test.queries
    first, again = scores(fitted(cls, "checkerboard"), queries), scores(second(cls)[2], queries)
    assert np.array_equal(first, again), (
        f"{cls.__name__}: two fits with seed 1 differ by up to {_gap(first, again)}; draw from context.seed alone"
    )
    twice = scores(fitted(cls, "checkerboard"), queries)
    assert np.array_equal(first, twice), (
        f"{cls.__name__}: one model answers the same queries in two ways; score must not draw or remember"
    )


def batch_equals_single(cls: type[Recommender]) -> None:
    """A query's scores do not depend on the batch it stands in."""
    model, queries = fitted(cls, "checkerboard"), world("checkerboard").test.queries
    together = scores(model, queries)
    rows = np.arange(0, len(queries), 9)
    alone = np.concatenate([scores(model, queries.take(np.array([row]))) for row in rows])
    assert _close(together[rows], alone), (
        f"{cls.__name__}: a query scores differently alone than in a batch, by up to {_gap(together[rows], alone)}"
    )


def history_only_of_query(cls: type[Recommender]) -> None:
    """A query's scores do not depend on the histories of the other queries."""
    model, queries = fitted(cls, "checkerboard"), world("checkerboard").test.queries
    half = len(queries) // 2
    others = np.r_[np.arange(half), np.full(len(queries) - half, half)]
    swapped = with_histories(queries, [row_of(queries, q) for q in others])
    before, after = scores(model, queries)[:half], scores(model, swapped)[:half]
    assert _close(before, after), (
        f"{cls.__name__}: a query's scores change with the histories of other queries, by up to {_gap(before, after)}"
    )


def knows_no_future(cls: type[Recommender]) -> None:
    """Scores depend on each query's own history only, never on events behind its moment or on earlier questions."""
    model, parts = fitted(cls, "checkerboard"), world("checkerboard")
    queries = parts.valid.queries
    before = scores(model, queries)
    cut = with_histories(queries, [row_of(queries, q) for q in range(len(queries))])
    without = scores(model, cut)
    assert _close(before, without), (
        f"{cls.__name__}: scores change, by up to {_gap(before, without)}, when events after the moment of "
        "asking are removed; read rows through Ragged"
    )
    scores(model, parts.test.queries)
    after = scores(model, queries)
    assert _close(before, after), (
        f"{cls.__name__}: answering the test queries changed the answers to the validation queries; score "
        "must not learn"
    )


def answers_empty_history(cls: type[Recommender]) -> None:
    """A user without history gets finite scores too."""
    queries = world("checkerboard").test.queries.take(np.arange(5))
    empty = with_histories(queries, [np.empty(0, np.int64)] * 5)
    with told(cls, "cannot answer a query with an empty history"):
        found = scores(fitted(cls, "checkerboard"), empty)
    _well_formed(cls, found, empty, "an empty history")


def leaves_masks_alone(cls: type[Recommender]) -> None:
    """Scores do not depend on what may be recommended: the framework masks, once for all models."""
    model, queries = fitted(cls, "checkerboard"), world("checkerboard").test.queries
    before, after = scores(model, queries), scores(model, _open_to_odd(replace(queries, seen_allowed=True)))
    assert np.array_equal(before, after), (
        f"{cls.__name__}: scores change, by up to {_gap(before, after)}, with `candidates` and `seen_allowed`; "
        "masking is not the model's business"
    )


def k_larger_than_catalogue(cls: type[Recommender]) -> None:
    """A list longer than the catalogue holds each allowed item at most once, best first, and -1 behind them."""
    model = fitted(cls, "checkerboard")
    queries = _open_to_odd(world("checkerboard").test.queries.take(np.arange(9)))
    k = queries.n_items + 5
    with told(cls, "recommend fails for k larger than the catalogue"):
        answer = model.recommend(queries, k)
    _allowed_lists(cls, answer, queries, k)


def lists_of_steps_valid(cls: type[Recommender]) -> None:
    """Where the next steps are asked for in order, a list names a new allowed item for each, whatever k is."""
    model, asked = fitted(cls, "checkerboard"), world("checkerboard").test.queries.take(np.arange(9))
    for queries in (replace(asked, steps=STEPS), replace(asked, steps=STEPS, seen_allowed=True)):
        for k in (STEPS - 2, STEPS, STEPS + 3):
            with told(cls, f"recommend fails where {STEPS} steps are asked for and k={k}"):
                answer = model.recommend(queries, k)
            _allowed_lists(cls, answer, queries, k)
            named = np.all(answer.items_QK[:, :STEPS] >= 0)
            assert named, f"{cls.__name__}: a step of {STEPS} has no item though more are allowed"
            told_QK = np.full((len(queries), k), -1) if answer.behaviors_QK is None else np.asarray(answer.behaviors_QK)
            legal = told_QK.shape == (len(queries), k) and np.isin(told_QK, (-1, 0)).all()
            assert legal, f"{cls.__name__}: behaviors_QK must hold a behaviour of the data, or -1, for each place"


def steps_know_no_future(cls: type[Recommender]) -> None:
    """The steps named depend on each query's own history only, never on events behind its moment."""
    model, parts = fitted(cls, "checkerboard"), world("checkerboard")
    queries = replace(parts.valid.queries, steps=STEPS)
    cut = with_histories(queries, [row_of(queries, q) for q in range(len(queries))])
    before, without = (model.recommend(asked, STEPS).items_QK for asked in (queries, cut))
    assert np.array_equal(before, without), (
        f"{cls.__name__}: the steps change when events after the moment of asking are removed; read rows through Ragged"
    )


def _allowed_lists(cls: type[Recommender], answer: Recommendations, queries: Queries, k: int) -> None:
    """Lists of length k hold each allowed item at most once, best first, and -1 behind them."""
    items_QK, scores_QK = np.asarray(answer.items_QK), np.asarray(answer.scores_QK)
    shapes = (items_QK.shape, scores_QK.shape)
    assert shapes == ((len(queries), k),) * 2, (
        f"{cls.__name__}: recommend with k={k} must give two arrays of shape {(len(queries), k)}; given {shapes}"
    )
    for q, row in enumerate(items_QK):
        real = row[row >= 0]
        assert np.all(row[len(real) :] == -1) and np.all(row[: len(real)] >= 0), (
            f"{cls.__name__}: -1 may stand only behind the end of a list"
        )
        assert len(set(real.tolist())) == len(real), f"{cls.__name__}: a list holds an item twice"
        assert real.max(initial=-1) < queries.n_items, f"{cls.__name__}: a list holds an item outside the catalogue"
        assert queries.seen_allowed or not np.isin(real, queries.items[q]).any(), (
            f"{cls.__name__}: a list holds an item of the history where seen items are not allowed"
        )
        assert queries.candidates[real].all(), f"{cls.__name__}: a list holds an item that is no candidate"
        assert np.all(np.diff(scores_QK[q, : len(real)]) <= 0), f"{cls.__name__}: the scores of a list must never rise"


def save_load_round_trip(cls: type[Recommender]) -> None:
    """The model that was saved and loaded answers exactly like the one in memory."""
    model, queries = fitted(cls, "checkerboard"), world("checkerboard").test.queries
    with tempfile.TemporaryDirectory() as name, told(cls, "cannot be saved and loaded"):
        model.save(Path(name) / "model")
        loaded = cls.load(Path(name) / "model")
        after = scores(loaded, queries)
    assert loaded.params == model.params, (
        f"{cls.__name__}: the loaded model has other parameters: {loaded.params}, not {model.params}"
    )
    before = scores(model, queries)
    assert np.array_equal(before, after), (
        f"{cls.__name__}: the loaded model scores differently, by up to {_gap(before, after)}; name every "
        "learned array in `fitted`"
    )


def scores_cold_items(cls: type[Recommender]) -> None:
    """Items never met in training get finite scores."""
    queries = world("cold").test.queries
    with told(cls, "fails where items never came in training"):
        found = scores(fitted(cls, "cold"), queries)
    _well_formed(cls, found, queries, "items never met in training")


def answers_items_without_text(cls: type[Recommender]) -> None:
    """Items whose text is empty or missing get finite scores, like all others."""
    _answers_holes(cls, "text", ("text",))


def answers_items_without_attributes(cls: type[Recommender]) -> None:
    """Items whose category or price is missing get finite scores, like all others."""
    _answers_holes(cls, "attributes", ("category", "price"))


def _answers_holes(cls: type[Recommender], what: str, columns: tuple[str, ...]) -> None:
    """Every fourth cell of a column of words is empty, and every fourth of any column is missing."""
    parts = world("cold")
    items, queries, trouble = parts.train.items, parts.test.queries, f"fails where items lack {what}"
    assert items is not None  # every world has a table
    cells = {}
    for column in columns:
        empty = "" if isinstance(items[column][0], str) else None
        cells[column] = [empty if i % 4 == 0 else None if i % 4 == 1 else cell for i, cell in enumerate(items[column])]
    holed = replace(parts, train=replace(parts.train, items=items.assign(**cells)))
    model = fit(cls, "cold", holed, trouble)
    with told(cls, trouble):
        found = scores(model, queries)
    _well_formed(cls, found, queries, f"items of which some have no {what}")


def _open_to_odd(queries: Queries) -> Queries:
    """The queries with odd items alone as candidates."""
    return replace(queries, candidates=np.arange(queries.n_items) % 2 == 1)


def _well_formed(cls: type[Recommender], scores_QI: NDArray, queries: Queries, where: str) -> None:
    shape = (len(queries), queries.n_items)
    assert scores_QI.shape == shape, (
        f"{cls.__name__}: scores for {where} must have shape {shape}; given {scores_QI.shape}"
    )
    assert scores_QI.dtype == np.float32, f"{cls.__name__}: scores must be float32; given {scores_QI.dtype}"
    assert np.isfinite(scores_QI).all(), f"{cls.__name__}: scores for {where} hold NaN or infinity"


def _close(a: NDArray, b: NDArray) -> bool:
    """Equal up to two orders of the same float32 sum."""
    return np.allclose(a, b, rtol=1e-4, atol=1e-5)


def _gap(a: NDArray, b: NDArray) -> str:
    return f"{np.abs(a.astype(np.float64) - b).max():g}"
