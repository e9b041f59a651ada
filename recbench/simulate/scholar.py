"""What can be known of a user of a simulated world from the history alone: Bayes' rule over what the world hides.

The scholar knows the world's laws and tables, and of the user only what a model is shown. Nobody who reads the same does
better in the mean, so what lies between scholar and oracle cannot be learned from a user's own history, and what lies
between a model and the scholar can. Other users are not read, nor friends, nor what share of a video was watched.

Letters: Q queries, V visits (those of the histories and the one asked about), B behaviours, K items remembered, C categories,
G budgets, X and Y: whether the first and the second favourite is the item's category.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recbench.data import Queries
from recbench.model import Context, Recommender, Traits
from recbench.simulate.truth import REMEMBERED, Truth
from recbench.simulate.words import category_searched

BUDGETS = 25  # of equal chance that stand for all
CELLS = 4_000_000  # of a (Q, C, C, G) array that are computed at once
NEVER = 1e-12  # of what the laws forbid


@dataclass(frozen=True, eq=False)
class Visits:
    """Visits in order of query and time, the last of each query the one asked about.

    `did_VB`: what followed. `recent_VK`: items visited before, the last one first, -1 where there were fewer. `searched_V`:
    the category of a search that led here, or -1.
    """

    query_V: NDArray
    item_V: NDArray
    time_V: NDArray
    did_VB: NDArray
    recent_VK: NDArray
    searched_V: NDArray


class Scholar(Recommender):
    """The chance of each behaviour given the history, for `evaluate.judge`."""

    traits = Traits(tasks=("behavior",))

    def __init__(self, truth: Truth, n_budgets: int = BUDGETS) -> None:
        super().__init__()
        self.truth = truth
        self.behaviors: tuple[str, ...] = truth.recipe.behaviors[1:]
        self.budget_G = 2 * (np.arange(n_budgets) + 0.5) / n_budgets - 1

    def fit(self, train: Any, context: Context) -> None:
        """Nothing is left to learn but what the board asks about."""
        self.behaviors = context.board.behaviors if context.board is not None else self.behaviors

    score = Recommender.score  # it answers questions about an item, and no list

    def predict(self, queries: Queries) -> NDArray:
        """(Q, B) the mean of the true chances over what the user may be, each as likely as the history makes it."""
        n, size = len(queries), max(1, CELLS // (self.truth.n_categories**2 * len(self.budget_G)))
        parts = [self._of(queries.take(slice(at, at + size))) for at in range(0, n, size)]
        return np.concatenate(parts) if parts else np.empty((0, len(self.behaviors)))

    def _of(self, queries: Queries) -> NDArray:
        visits = visits_of(self.truth, queries)
        category_V, likely_VXYG = self.truth.category[visits.item_V], self._likely(visits)
        log_QCCG = self._posterior(visits.query_V, category_V, likely_VXYG, len(queries))
        p_QCCG = np.exp(log_QCCG - log_QCCG.max((1, 2, 3), keepdims=True))
        p_QCCG /= p_QCCG.sum((1, 2, 3), keepdims=True)
        last = np.flatnonzero(np.append(np.diff(visits.query_V) > 0, True))
        rows, category_Q = np.arange(len(queries)), category_V[last]
        p_QXYG = np.zeros((len(queries), 2, 2, len(self.budget_G)))
        p_QXYG[:, 1, 1] = p_QCCG[rows, category_Q, category_Q]
        p_QXYG[:, 1, 0] = p_QCCG[rows, category_Q].sum(1) - p_QXYG[:, 1, 1]
        p_QXYG[:, 0, 1] = p_QCCG[rows, :, category_Q].sum(1) - p_QXYG[:, 1, 1]
        p_QXYG[:, 0, 0] = p_QCCG.sum((1, 2)) - p_QXYG.sum((1, 2))
        affinity, over, familiar = self._circumstances(visits, last)
        chances = self.truth.joint(affinity, over, familiar)
        asked = [chances[self.truth.recipe.behaviors.index(name)] for name in self.behaviors]
        return np.stack([(p_QXYG * chance).sum((1, 2, 3)) for chance in asked], axis=1)

    def _circumstances(self, visits: Visits, rows: NDArray) -> tuple[NDArray, NDArray, NDArray]:
        """Affinity (V, X, Y, 1), excess of price (V, 1, 1, G) and familiarity (V, 1, 1, 1), as `Truth.logistic` wants them."""
        moved_V = self.truth.moved(self.truth.period(visits.time_V[rows]))
        is_XY = np.arange(2)[:, None] * 1.0, np.arange(2)[None] * 1.0
        affinity_VXY = is_XY[0] * (1 - moved_V[:, None, None]) + is_XY[1] * moved_V[:, None, None]
        over_VG = np.maximum(0, self.truth.level[visits.item_V[rows]][:, None] - self.budget_G)
        familiar_V = (visits.recent_VK[rows] == visits.item_V[rows][:, None]).any(1)
        return affinity_VXY[..., None], over_VG[:, None, None], familiar_V[:, None, None, None]

    def _likely(self, visits: Visits) -> NDArray:
        """(V, X, Y, G) the log likelihood of each visit and of what followed it; what follows the last is not known."""
        truth, recipe, every = self.truth, self.truth.recipe, np.arange(len(visits.item_V))
        affinity, over, familiar = self._circumstances(visits, every)
        out_VXYG = np.log(self._visit(visits, affinity[..., 0]) + NEVER)[..., None] + np.zeros(len(self.budget_G))
        known_V = np.append(np.diff(visits.query_V) == 0, False)
        for b in range(1, len(recipe.behaviors)):
            chance = truth.logistic(b, affinity, over, familiar)
            did_V = visits.did_VB[:, b]
            follows_V = known_V & (visits.did_VB[:, recipe.parents[b]] | (recipe.parents[b] == 0))
            told = np.where(did_V[:, None, None, None], chance, 1 - chance)
            out_VXYG += np.where(follows_V[:, None, None, None], np.log(told), 0)
        return out_VXYG

    def _visit(self, visits: Visits, affinity_VXY: NDArray) -> NDArray:
        """(V, X, Y) the chance that the visit goes where it went, given a search or that there was none."""
        popular, favourite, _, follower, again = self.truth.recipe.weights
        period_V, item_V, recent_VK = self.truth.period(visits.time_V), visits.item_V, visits.recent_VK
        share_V = self.truth.popularity[period_V, item_V]
        within_V = share_V / self.truth.mass[period_V, self.truth.category[item_V]]
        n_V = (recent_VK >= 0).sum(1)
        follows_V = (self.truth.followers[:, recent_VK[:, 0]] == item_V).mean(0)
        again_V = (recent_VK == item_V[:, None]).sum(1) / np.maximum(n_V, 1)
        memory_V = np.where(n_V > 0, follower * follows_V + again * again_V, (follower + again) * share_V)
        unasked = (popular * share_V + memory_V)[:, None, None] + favourite * affinity_VXY * within_V[:, None, None]
        return np.where((visits.searched_V >= 0)[:, None, None], affinity_VXY * within_V[:, None, None], unasked)

    def _posterior(self, query_V: NDArray, category_V: NDArray, likely_VXYG: NDArray, n: int) -> NDArray:
        """(Q, C, C, G) the log of how likely each pair of favourites and budget is, up to a constant.

        A visit's likelihood depends on the favourites by whether they are its category, so that sums by category do.
        """
        n_categories = self.truth.n_categories
        neither, both = likely_VXYG[:, 0, 0], likely_VXYG[:, 1, 1]
        first, second = likely_VXYG[:, 1, 0] - neither, likely_VXYG[:, 0, 1] - neither
        place_V = query_V * n_categories + category_V

        def summed(values_VG: NDArray, place_V: NDArray, size: int) -> NDArray:
            return np.stack([np.bincount(place_V, column, size) for column in values_VG.T], axis=-1)

        shape = n, n_categories, len(self.budget_G)
        of_first, of_second, of_both = (
            summed(values, place_V, n * n_categories).reshape(shape)
            for values in (first, second, both - neither - first - second)
        )
        out_QCCG = of_first[:, :, None] + of_second[:, None] + summed(neither, query_V, n)[:, None, None]
        same = np.arange(n_categories)
        out_QCCG[:, same, same] += of_both
        return out_QCCG


def visits_of(truth: Truth, queries: Queries) -> Visits:
    """The visits of the histories, and behind them those that are asked about."""
    assert queries.item is not None
    n, n_behaviors = len(queries), len(truth.recipe.behaviors)
    (query, item), behavior, time = queries.items.flat(), queries.behaviors.flat()[1], queries.times.flat()[1]
    visit = behavior == 0
    order = np.argsort(np.r_[query[visit], np.arange(n)], kind="stable")
    query_V = np.r_[query[visit], np.arange(n)][order]
    item_V = np.r_[item[visit], queries.item][order]
    time_V = np.r_[time[visit], queries.time][order]
    place_E = np.cumsum(visit) - 1 + query  # of the visit that an event belongs to; each query before has one more
    did_VB = np.zeros((len(query_V), n_behaviors), bool)
    did_VB[place_E, behavior] = True
    recent_VK = np.full((len(query_V), REMEMBERED), -1)
    for back in range(1, REMEMBERED + 1):
        same = query_V[back:] == query_V[:-back]
        recent_VK[back:, back - 1][same] = item_V[:-back][same]
    return Visits(query_V, item_V, time_V, did_VB, recent_VK, _searched(truth, queries, query_V, time_V))


def _searched(truth: Truth, queries: Queries, query_V: NDArray, time_V: NDArray) -> NDArray:
    """(V,) the category of the last search since the visit before, -1 where there is none."""
    out_V = np.full(len(query_V), -1)
    if queries.searches is None or queries.context is None:
        return out_V
    query, event = queries.searches.flat()
    if not len(event):
        return out_V
    moment = queries.context.time[event]
    span = int(max(moment.max(), time_V.max())) + 2
    found_V = np.searchsorted(query * span + moment, query_V * span + time_V, side="right") - 1
    before_V = np.r_[-1, np.where(np.diff(query_V) == 0, time_V[:-1], -1)]
    open_V = (found_V >= 0) & (query[found_V] == query_V) & (moment[found_V] > before_V)
    out_V[open_V] = category_searched(truth, queries.context.text[event[found_V[open_V]]])
    return out_V
