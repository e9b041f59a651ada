"""What somebody who knows a simulated world answers: the true distribution of what a user does next.

The user's favourites and budget are known here and nowhere else: a learner that has to find them out stays below.

Letters: Q queries, I items, K items remembered.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recbench.data import Queries
from recbench.errors import RecbenchError, nearest
from recbench.model import Context, Recommender, Traits
from recbench.simulate.truth import REMEMBERED, Truth
from recbench.simulate.words import category_searched

CELLS = 500_000  # of a (Q, I) array that are computed at once


def oracle_scores(truth: Truth, queries: Queries, behavior: str = "", ahead: int = 0) -> NDArray:
    """(Q, I): the true probability that the item is visited and that `behavior`, where given, follows.

    `ahead` 0: of the visit that happens at the moment of asking; a search just before it is read. `ahead` n: the mean over
    the n visits to come, with popularity and tastes as they stand. RecbenchError where the behaviour is unknown.
    """
    names = truth.recipe.behaviors
    if behavior and behavior not in names:
        raise RecbenchError(f"behavior must be one of {', '.join(names)}; given {behavior!r}{nearest(behavior, names)}")
    out_QI = np.empty((len(queries), truth.params.n_items))
    size = max(1, CELLS // truth.params.n_items)
    for start in range(0, len(queries), size):
        some = queries.take(slice(start, start + size))
        recent_QK = remembered(some)
        visits_QI = _next(truth, some, recent_QK) if ahead < 1 else _mean_ahead(truth, some, recent_QK, ahead)
        if behavior:
            visits_QI *= _follows(truth, some, recent_QK, names.index(behavior))
        out_QI[start : start + size] = visits_QI
    return out_QI


def visit_chances(truth: Truth, queries: Queries, behaviors: Sequence[str]) -> NDArray:
    """(Q, B): the true probability of each behaviour, given that the user visits the item asked about at that moment."""
    assert queries.item is not None
    familiar_Q = (remembered(queries) == queries.item[:, None]).any(1)
    names = truth.recipe.behaviors
    chances_QB = truth.probabilities(queries.user, queries.item, queries.time, familiar_Q)
    return chances_QB[:, [names.index(name) for name in behaviors]]


def remembered(queries: Queries) -> NDArray:
    """(Q, K) the items of the last visits before the moment of asking, the last one first, -1 where there were fewer."""
    query, item = queries.items.flat()
    visit = queries.behaviors.flat()[1] == 0
    query, item = query[visit], item[visit]
    back = np.cumsum(np.bincount(query, minlength=len(queries)))[query] - 1 - np.arange(len(query))
    recent_QK = np.full((len(queries), REMEMBERED), -1)
    late = back < REMEMBERED
    recent_QK[query[late], back[late]] = item[late]
    return recent_QK


def _next(truth: Truth, queries: Queries, recent_QK: NDArray) -> NDArray:
    """(Q, I): where the visit goes, given what was searched for, or that nothing was."""
    popular, favourite, search, follower, again = truth.recipe.weights
    popular_QI, favourite_QI, within_QI = _shelves(truth, queries)
    asked_Q, n_known_Q = searched(truth, queries), (recent_QK >= 0).sum(1)
    unasked_Q = np.where(asked_Q < 0, 1 / (1 - search), 0.0)  # nothing searched: the visit comes from elsewhere
    memory_Q = np.where(n_known_Q > 0, unasked_Q * (follower + again), 0.0)
    out_QI = (unasked_Q * (popular + follower + again) - memory_Q)[:, None] * popular_QI
    out_QI += (unasked_Q * favourite)[:, None] * favourite_QI
    out_QI += (asked_Q[:, None] == truth.category) * within_QI
    rows = np.flatnonzero(memory_Q)
    for to_I in truth.followers:
        out_QI[rows, to_I[recent_QK[rows, 0]]] += unasked_Q[rows] * follower / len(truth.followers)
    for item_Q in recent_QK.T:
        rows = np.flatnonzero((item_Q >= 0) & (memory_Q > 0))
        out_QI[rows, item_Q[rows]] += unasked_Q[rows] * again / n_known_Q[rows]
    return out_QI


def _mean_ahead(truth: Truth, queries: Queries, recent_QK: NDArray, ahead: int) -> NDArray:
    """(Q, I): mean over the next visits; what is remembered is carried along as a distribution, for all is linear in it."""
    popular, favourite, search, follower, again = truth.recipe.weights
    popular_QI, favourite_QI, _ = _shelves(truth, queries)
    steady_QI = popular * popular_QI + (favourite + search) * favourite_QI
    rows, n_known_Q = np.arange(len(queries)), (recent_QK >= 0).sum(1)
    memory = []
    for item_Q in recent_QK.T[::-1]:
        memory.append(np.zeros_like(steady_QI))
        memory[-1][rows[item_Q >= 0], item_Q[item_Q >= 0]] = 1
    for step in range(ahead):
        new_Q = n_known_Q + step == 0
        visits_QI = steady_QI + (follower + again) * new_Q[:, None] * popular_QI
        for to_I in truth.followers:
            visits_QI[:, to_I] += follower / len(truth.followers) * memory[-1]
        visits_QI += again * sum(memory[-REMEMBERED:]) / np.clip(n_known_Q + step, 1, REMEMBERED)[:, None]
        memory.append(visits_QI)
    return np.mean(memory[-ahead:], axis=0)


def _shelves(truth: Truth, queries: Queries) -> tuple[NDArray, NDArray, NDArray]:
    """(Q, I) the share of each item in all, in the favourites as the user's interest weighs them, and in its category."""
    period_Q = truth.period(queries.time)
    popular_QI = truth.popularity[period_Q]
    within_QI = popular_QI / truth.mass[period_Q][:, truth.category]
    return popular_QI, within_QI * _circumstances(truth, queries)[0], within_QI


def _circumstances(truth: Truth, queries: Queries) -> tuple[NDArray, NDArray]:
    """(Q, I) affinity and excess of price of every item."""
    return truth.circumstances(queries.user[:, None], np.arange(truth.params.n_items), queries.time[:, None])


def _follows(truth: Truth, queries: Queries, recent_QK: NDArray, behavior: int) -> NDArray:
    """(Q, I): the chance of the behaviour at a visit to each item."""
    rows, familiar_QI = np.arange(len(queries)), np.zeros((len(queries), truth.params.n_items), bool)
    for item_Q in recent_QK.T:
        familiar_QI[rows[item_Q >= 0], item_Q[item_Q >= 0]] = True
    return truth.joint(*_circumstances(truth, queries), familiar_QI)[behavior]


def searched(truth: Truth, queries: Queries) -> NDArray:
    """(Q,) the category of a search that no visit has answered before the moment of asking, -1 where there is none."""
    out_Q = np.full(len(queries), -1)
    if queries.searches is None or queries.context is None:
        return out_Q
    asked = np.flatnonzero(queries.searches.lengths > 0)
    event = queries.searches.values[queries.searches.stop[asked] - 1]
    seen = np.full(len(queries), np.iinfo(np.int64).min)
    past = np.flatnonzero(queries.times.lengths > 0)
    seen[past] = queries.times.values[queries.times.stop[past] - 1]
    open_ = queries.context.time[event] > seen[asked]
    out_Q[asked[open_]] = category_searched(truth, queries.context.text[event[open_]])
    return out_Q


class Oracle(Recommender):
    """The world's own answers as a recommender, so that `evaluate.rank` and a board's metrics score it as any other."""

    traits = Traits(tasks=("ranking", "behavior"))

    def __init__(self, truth: Truth, behavior: str = "", ahead: int = 0) -> None:
        super().__init__()
        self.truth, self.behavior, self.ahead = truth, behavior, ahead
        self.behaviors: tuple[str, ...] = (behavior,) if behavior else ()

    def fit(self, train: Any, context: Context) -> None:
        """Nothing is left to learn but what the board asks about."""
        self.behaviors = context.board.behaviors if context.board is not None else self.behaviors

    def score(self, queries: Queries) -> NDArray:
        return oracle_scores(self.truth, queries, self.behavior, self.ahead)

    def predict(self, queries: Queries) -> NDArray:
        """(Q, B) the true chance that each behaviour of the board follows the visit to the item at the moment of asking."""
        return visit_chances(self.truth, queries, self.behaviors)
