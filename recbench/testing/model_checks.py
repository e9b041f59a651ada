"""What every recommender must do, on worlds whose answer is known.

Letters: Q queries, I items, K list length.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recbench.data import Queries, Ragged
from recbench.dataset import Dataset
from recbench.model import Context, Recommender, mask
from recbench.split import Holdout, Split
from recbench.testing.common import documented, loads_light, params_declared
from recbench.testing.worlds import WORLDS

CLOSE = {"rtol": 1e-4, "atol": 1e-5}  # two orders of the same float32 sum
NOISE = 4.0  # standard errors that a skill may lie below chance before it counts as wrong


def chosen(cls: type[Recommender]) -> list[Callable[[Any], None]]:
    """The checks that apply to a model class, by its traits."""
    checks: list[Callable[[Any], None]] = [loads_light, documented, params_declared]
    if "ranking" not in cls.traits.tasks:
        return checks
    checks += [
        scores_finite_and_shaped,
        does_not_touch_input,
        deterministic,
        batch_equals_single,
        history_only_of_query,
        knows_no_future,
        answers_empty_history,
        k_larger_than_catalogue,
        save_load_round_trip,
        beats_random_on_checkerboard,
        scores_cold_items,
    ]
    if cls.traits.needs_clock:
        checks.append(beats_random_on_fashion)
    if cls.traits.needs_text:
        checks.append(beats_random_on_cold)
    if cls.traits.sequential:
        checks.append(learns_chain)
    return checks


def scores_finite_and_shaped(cls: type[Recommender]) -> None:
    """Scores are float32 (Q, I) without NaN or infinity."""
    queries = world("checkerboard").test.queries
    _well_formed(cls, scores(fitted(cls, "checkerboard"), queries), queries, "checkerboard")


def does_not_touch_input(cls: type[Recommender]) -> None:
    """Neither `fit` nor `score` changes what it is given."""
    parts, before, model = second(cls)
    changed = _changed(parts, before)
    assert not changed, f"{cls.__name__}: fit changed {changed}; copy before you write"
    scores(model, parts.test.queries)
    changed = _changed(parts, before)
    assert not changed, f"{cls.__name__}: score changed {changed}; copy before you write"


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
    assert np.allclose(together[rows], alone, **CLOSE), (
        f"{cls.__name__}: a query scores differently alone than in a batch, by up to {_gap(together[rows], alone)}"
    )


def history_only_of_query(cls: type[Recommender]) -> None:
    """A query's scores do not depend on the histories of the other queries."""
    model, queries = fitted(cls, "checkerboard"), world("checkerboard").test.queries
    half = len(queries) // 2
    others = np.r_[np.arange(half), np.full(len(queries) - half, half)]
    swapped = _with_histories(queries, [_row(queries, q) for q in others])
    before, after = scores(model, queries)[:half], scores(model, swapped)[:half]
    assert np.allclose(before, after, **CLOSE), (
        f"{cls.__name__}: a query's scores change with the histories of other queries, by up to {_gap(before, after)}"
    )


def knows_no_future(cls: type[Recommender]) -> None:
    """Scores depend on each query's own history only, never on events behind its moment or on earlier questions."""
    model, parts = fitted(cls, "checkerboard"), world("checkerboard")
    queries = parts.valid.queries
    before = scores(model, queries)
    cut = _with_histories(queries, [_row(queries, q) for q in range(len(queries))])
    without = scores(model, cut)
    assert np.allclose(before, without, **CLOSE), (
        f"{cls.__name__}: scores change, by up to {_gap(before, without)}, when events after the moment of "
        "asking are removed; read rows through Ragged"
    )
    scores(model, parts.test.queries)
    after = scores(model, queries)
    assert np.allclose(before, after, **CLOSE), (
        f"{cls.__name__}: answering the test queries changed the answers to the validation queries; score "
        "must not learn"
    )


def answers_empty_history(cls: type[Recommender]) -> None:
    """A user without history gets finite scores too."""
    queries = world("checkerboard").test.queries.take(np.arange(5))
    empty = _with_histories(queries, [np.empty(0, np.int64)] * 5)
    with _named(cls, "cannot answer a query with an empty history"):
        found = scores(fitted(cls, "checkerboard"), empty)
    _well_formed(cls, found, empty, "an empty history")


def k_larger_than_catalogue(cls: type[Recommender]) -> None:
    """A list longer than the catalogue holds each allowed item at most once and -1 behind them."""
    model, queries = fitted(cls, "checkerboard"), world("checkerboard").test.queries.take(np.arange(9))
    k = queries.n_items + 5
    with _named(cls, "recommend fails for k larger than the catalogue"):
        answer = model.recommend(queries, k)
    items_QK = np.asarray(answer.items_QK)
    shapes = (items_QK.shape, np.asarray(answer.scores_QK).shape)
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
        assert not np.isin(real, queries.items[q]).any(), (
            f"{cls.__name__}: a list holds an item of the history where seen items are not allowed"
        )


def save_load_round_trip(cls: type[Recommender]) -> None:
    """The model that was saved and loaded answers exactly like the one in memory."""
    model, queries = fitted(cls, "checkerboard"), world("checkerboard").test.queries
    with tempfile.TemporaryDirectory() as name, _named(cls, "cannot be saved and loaded"):
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


def beats_random_on_checkerboard(cls: type[Recommender]) -> None:
    """Where even users like even items, a model is at least as good as chance, up to noise."""
    _at_least_chance(cls, "checkerboard")


def beats_random_on_fashion(cls: type[Recommender]) -> None:
    """Where a wave runs through the items, a model that reads the clock is at least as good as chance, up to noise."""
    _at_least_chance(cls, "fashion")


def beats_random_on_cold(cls: type[Recommender]) -> None:
    """Where only the text tells the colour of new items, a model that reads text is at least as good as chance."""
    _at_least_chance(cls, "cold")


def scores_cold_items(cls: type[Recommender]) -> None:
    """Items never met in training get finite scores."""
    queries = world("cold").test.queries
    with _named(cls, "fails where items never came in training"):
        found = scores(fitted(cls, "cold"), queries)
    _well_formed(cls, found, queries, "items never met in training")


def learns_chain(cls: type[Recommender]) -> None:
    """A sequential model finds the next item of i -> i + 1 for at least half of the users; chance is 1 in 12."""
    holdout = world("chain").test
    scores_QI = mask(scores(fitted(cls, "chain"), holdout.queries), holdout.queries)
    target_Q = holdout.truth.values[holdout.truth.start]
    at_target_Q1 = scores_QI[np.arange(len(target_Q)), target_Q][:, None]
    share = float(np.mean(1 / (scores_QI >= at_target_Q1).sum(1) * ((scores_QI > at_target_Q1).sum(1) == 0)))
    assert share >= 0.5, (
        f"{cls.__name__}: only {share:.2f} of the chain's next items come first, order-blind models reach "
        "0.08; is the order read?"
    )


@cache
def world(name: str) -> Split:
    """The split of a world, made once."""
    return WORLDS[name]().split()


@cache
def fitted(cls: type[Recommender], name: str) -> Recommender:
    """The model fitted once on a world."""
    return fit(cls, world(name), repeat=WORLDS[name]().board.repeat)


@cache
def second(cls: type[Recommender]) -> tuple[Split, dict[str, NDArray], Recommender]:
    """A second model on its own copy of the checkerboard, and what that copy held before the fit."""
    parts = WORLDS["checkerboard"]().split()
    before = _arrays(parts)
    state = np.random.get_state()
    np.random.seed(12345)  # another global state than in the first fit: a model must not read it
    try:
        return parts, before, fit(cls, parts)
    finally:
        np.random.set_state(state)


def fit(cls: type[Recommender], parts: Split, repeat: str = "new") -> Recommender:
    """A small model, fitted with seed 1 on one thread."""
    model = cls(cls.Params(**cls.small))
    with _named(cls, "fit fails"):
        model.fit(parts.train, Context(seed=1, threads=1, repeat=repeat))
    return model


def scores(model: Recommender, queries: Queries) -> NDArray:
    """(Q, I) scores; of a model that ranks by itself, minus the place in its list."""
    if type(model).score is not Recommender.score or type(model).recommend is Recommender.recommend:
        return np.array(model.score(queries), copy=True)
    items_QK = np.asarray(model.recommend(queries, queries.n_items).items_QK)
    out_QI = np.full((len(queries), queries.n_items), -queries.n_items - 1, np.float32)
    query, place = np.nonzero(items_QK >= 0)
    out_QI[query, items_QK[query, place]] = -place
    return out_QI


def skill(scores_QI: NDArray, holdout: Holdout) -> tuple[float, float]:
    """The mean chance that a right answer stands above a wrong allowed item (0.5: random), and its standard error."""
    scores_QI = mask(scores_QI, holdout.queries)
    values = []
    for q in range(len(scores_QI)):
        right = np.zeros(scores_QI.shape[1], bool)
        right[holdout.truth[q]] = True
        wrong = scores_QI[q][~right & (scores_QI[q] > -np.inf)]
        good = scores_QI[q][right][:, None]
        if wrong.size:
            values.append(np.mean((good > wrong) + 0.5 * (good == wrong)))
    return float(np.mean(values)), float(np.sqrt(1 / 12 / len(values)))


def _at_least_chance(cls: type[Recommender], name: str) -> None:
    holdout = world(name).valid
    value, error = skill(scores(fitted(cls, name), holdout.queries), holdout)
    assert value >= 0.5 - NOISE * error, (
        f"{cls.__name__}: on the {name} a right item stands above a wrong one with probability {value:.2f}, "
        "chance is 0.50; is the sign right?"
    )


def _well_formed(cls: type[Recommender], scores_QI: NDArray, queries: Queries, where: str) -> None:
    shape = (len(queries), queries.n_items)
    assert scores_QI.shape == shape, (
        f"{cls.__name__}: scores for {where} must have shape {shape}; given {scores_QI.shape}"
    )
    assert scores_QI.dtype == np.float32, f"{cls.__name__}: scores must be float32; given {scores_QI.dtype}"
    assert np.isfinite(scores_QI).all(), f"{cls.__name__}: scores for {where} hold NaN or infinity"


def _gap(a: NDArray, b: NDArray) -> str:
    return f"{np.abs(a.astype(np.float64) - b).max():g}"


def _row(queries: Queries, q: int) -> NDArray:
    """Positions of a query's history in the shared columns."""
    return np.arange(queries.items.start[q], queries.items.stop[q])


def _with_histories(queries: Queries, rows: list[NDArray]) -> Queries:
    """The queries with the histories at `rows` of the shared columns, and no other event left in reach."""
    bounds = np.r_[0, np.cumsum([len(row) for row in rows], dtype=np.int64)].astype(np.int64)
    at = np.concatenate(rows).astype(np.int64)
    columns = {}
    for name in ("items", "behaviors", "times", "values"):
        columns[name] = Ragged(getattr(queries, name).values[at], bounds[:-1], bounds[1:])
    return replace(queries, **columns)


def _arrays(parts: Split) -> dict[str, NDArray]:
    """Copies of everything a model is given."""
    found = _of_dataset(parts.train)
    queries = parts.test.queries
    found |= {f"queries.{name}": getattr(queries, name).copy() for name in ("user", "time", "candidates")}
    for name in ("items", "behaviors", "times", "values"):
        found[f"queries.{name}"] = getattr(queries, name).values.copy()
    return found


def _changed(parts: Split, before: dict[str, NDArray]) -> str:
    after = _arrays(parts)
    same = {name for name in before if name in after and np.array_equal(after[name], before[name])}
    return ", ".join(sorted((set(before) | set(after)) - same))


def _of_dataset(train: Dataset) -> dict[str, NDArray]:
    log = train.interactions
    found = {f"train.{name}": getattr(log, name).copy() for name in ("user", "item", "time", "behavior", "value")}
    found |= {"train.user_ids": train.user_ids.copy(), "train.item_ids": train.item_ids.copy()}
    if train.items is not None:
        found |= {f"train.items.{name}": train.items[name].to_numpy(copy=True) for name in train.items.columns}
        found["train.items columns"] = np.array(train.items.columns, dtype=str)
    return found


@contextmanager
def _named(cls: type[Recommender], what: str) -> Iterator[None]:
    try:
        yield
    except AssertionError:
        raise
    except Exception as error:
        text = " ".join(str(error).split())
        raise AssertionError(f"{cls.__name__}: {what}: {type(error).__name__}: {text}") from error
