"""Models tried on worlds: worlds are split once and models fitted once, whatever number of checks asks.

Letters: Q queries, I items, K list length.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recbench.data import Queries, Ragged
from recbench.errors import one_line
from recbench.model import Context, Recommender
from recbench.split import Split
from recbench.testing.snapshot import snapshot
from recbench.testing.worlds import WORLDS


@cache
def world(name: str) -> Split:
    """The split of a world, made once."""
    return WORLDS[name]().split()


@cache
def fitted(cls: type[Recommender], name: str) -> Recommender:
    """The model fitted once on a world."""
    return fit(cls, name)


@cache
def second(cls: type[Recommender]) -> tuple[Split, dict[str, Any], Recommender]:
    """A second model on its own copy of the checkerboard, and what that copy held before the fit."""
    parts = WORLDS["checkerboard"]().split()
    before = given(parts)
    state = np.random.get_state()
    np.random.seed(12345)  # another global state than in the first fit: a model must not read it
    try:
        return parts, before, fit(cls, "checkerboard", parts)
    finally:
        np.random.set_state(state)


def fit(cls: type[Recommender], name: str, parts: Split | None = None, trouble: str = "fit fails") -> Recommender:
    """A small model, fitted with seed 1 on one thread by the board of a world; on `parts`, where they are not as made."""
    model, board = cls(cls.Params(**cls.small)), WORLDS[name]().board
    with told(cls, trouble):
        model.fit((parts or world(name)).train, Context(seed=1, threads=1, repeat=board.repeat, board=board))
    return model


def ranks_itself(cls: type[Recommender]) -> bool:
    """Whether a model answers with lists alone, as generative ones do, and has no scores."""
    return cls.score is Recommender.score and cls.recommend is not Recommender.recommend


def scores(model: Recommender, queries: Queries) -> NDArray:
    """(Q, I) scores; of a model that ranks by itself, minus the place in its list."""
    if not ranks_itself(type(model)):
        return np.array(model.score(queries), copy=True)
    items_QK = np.asarray(model.recommend(queries, queries.n_items).items_QK)
    out_QI = np.full((len(queries), queries.n_items), -queries.n_items - 1, np.float32)
    query, place = np.nonzero(items_QK >= 0)
    out_QI[query, items_QK[query, place]] = -place
    return out_QI


def given(parts: Split) -> dict[str, Any]:
    """Copies of everything a model is given."""
    return snapshot(parts.train, "train") | snapshot(parts.test.queries, "queries")


def row_of(queries: Queries, q: int) -> NDArray:
    """Positions of a query's history in the shared columns."""
    return np.arange(queries.items.start[q], queries.items.stop[q])


def with_histories(queries: Queries, rows: list[NDArray]) -> Queries:
    """The queries with the histories at `rows` of the shared columns, and no other event left in reach."""
    bounds = np.r_[0, np.cumsum([len(row) for row in rows], dtype=np.int64)].astype(np.int64)
    at = np.concatenate(rows).astype(np.int64)
    columns = {}
    for name in ("items", "behaviors", "times", "values"):
        columns[name] = Ragged(getattr(queries, name).values[at], bounds[:-1], bounds[1:])
    return replace(queries, **columns)


@contextmanager
def told(cls: type[Recommender], what: str) -> Iterator[None]:
    """Turns any error inside into a failed check that says what went wrong."""
    try:
        yield
    except AssertionError:
        raise
    except Exception as error:
        raise AssertionError(f"{cls.__name__}: {what}: {one_line(error)}") from error
