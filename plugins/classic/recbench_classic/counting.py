"""Recommenders that count, and the one that does not even count.

Letters: Q queries, U users, I items, E events, N pairs of a query and an item of its history.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from recbench.data import Queries
from recbench.model import Context, Recommender, Traits
from recbench.params import Params, param
from recbench_classic.matrices import DAY, last_of_pair

if TYPE_CHECKING:
    from recbench.dataset import Dataset

GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def splitmix(x: NDArray) -> NDArray:
    """The splitmix64 finaliser, one-to-one on uint64 (Steele, Lea, Flood, OOPSLA 2014)."""
    x = x + GOLDEN
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


class Random(Recommender):
    """Orders the items by a hash of seed, user and time (splitmix64; Steele, Lea, Flood, OOPSLA 2014).

    The score is the item's place in that order, so no two items tie and an answer never depends on its batch.
    """

    Params = Params
    traits = Traits(stochastic=True)
    small = {}
    fitted = ("seed",)

    def fit(self, train: Dataset, context: Context) -> None:
        """Remember the seed."""
        self.seed = np.array(context.seed % 2**64, np.uint64)

    def score(self, queries: Queries) -> NDArray:
        """(Q, I) float32: each row holds 0..I-1 once."""
        key_Q = splitmix(self.seed.reshape(1))
        for part_Q in (queries.user, queries.time):
            key_Q = splitmix(key_Q ^ part_Q.astype(np.int64).view(np.uint64))
        number_I = np.arange(queries.n_items, dtype=np.uint64)
        low = np.uint64(2 ** queries.n_items.bit_length() - 1)
        scores_QI = np.empty((len(queries), queries.n_items), np.float32)
        place_I = np.arange(queries.n_items, dtype=np.float32)
        for q in range(len(queries)):
            hashed_I = splitmix(key_Q[q] + number_I * GOLDEN) & ~low | number_I
            hashed_I.sort()  # with the item in the low bits: much faster than argsort
            scores_QI[q, (hashed_I & low).astype(np.int64)] = place_I
        return scores_QI


@dataclass(frozen=True)
class PopularParams(Params):
    """What popularity counts."""

    count: str = param("users", "Count each user once an item, or each event.", choices=("users", "events"), tune=True)


@dataclass(frozen=True)
class RecentPopularParams(PopularParams):
    """Popularity and how fast it fades."""

    half_life_days: float = param(
        14.0, "Time after which an event counts half.", low=1.0, high=365.0, log=True, tune=True, unit="days"
    )


@dataclass(frozen=True)
class PersonalPopularParams(PopularParams):
    """Popularity as the tie-break, and how fast the own history fades."""

    half_life_days: float | None = param(
        None,
        "Time after which an own event counts half; none: all count alike. Needs a clock.",
        low=1.0,
        high=365.0,
        log=True,
        tune=True,
        unit="days",
    )


def popularity(train: Dataset, count: str, half_life_days: float | None = None) -> NDArray:
    """(I,) float64: users or events an item; with a half-life each counts by its age at the last training event.

    Of a user's events with an item, `users` counts the latest.
    """
    log = train.interactions
    chosen = last_of_pair(log.user, log.item, log.n_items) if count == "users" else np.arange(len(log))
    weight = None
    if half_life_days is not None and len(log):
        weight = np.exp2((log.time[chosen] - log.time[-1]) / (DAY * half_life_days))
    return np.bincount(log.item[chosen], weights=weight, minlength=log.n_items).astype(np.float64)


class Popular(Recommender):
    """Ranks items by how many users met them (the MostPop baseline; Cremonesi, Koren, Turrin, RecSys 2010)."""

    Params = PopularParams
    traits = Traits()
    small = {}
    fitted = ("popularity_I",)

    def fit(self, train: Dataset, context: Context) -> None:
        """Count."""
        self.popularity_I = popularity(train, self.params.count).astype(np.float32)

    def score(self, queries: Queries) -> NDArray:
        """(Q, I) float32: the same counts for everyone."""
        return np.tile(self.popularity_I, (len(queries), 1))


class RecentPopular(Popular):
    """Popularity that fades exponentially with age (DecayPop; Ji, Sun, Zhang, Li, SIGIR 2020, arXiv 2005.13829).

    The age is measured from the last training event, once for all queries.
    """

    Params = RecentPopularParams
    traits = Traits(needs_clock=True)

    def fit(self, train: Dataset, context: Context) -> None:
        """Count, each event by its age."""
        faded = popularity(train, self.params.count, self.params.half_life_days)
        self.popularity_I = faded.astype(np.float32)


class PersonalPopular(Recommender):
    """Ranks the user's own items by how often they came, then the rest by popularity (GP-TopFreq; arXiv 2109.14233).

    Other items score their popularity divided by one more than its maximum. Own items score 1, 2, 3, ... in rising
    order of their count, which fades with age where `half_life_days` is set; popularity breaks ties of the count, and
    what ties in both shares a score. So every own item stands above every other one, and no faded count is lost to
    rounding.
    """

    Params = PersonalPopularParams
    traits = Traits()
    small = {}
    fitted = ("popularity_I",)

    def fit(self, train: Dataset, context: Context) -> None:
        """Count for the tie-break."""
        counts_I = popularity(train, self.params.count)
        self.popularity_I = (counts_I / (counts_I.max(initial=0) + 1)).astype(np.float32)

    def score(self, queries: Queries) -> NDArray:
        """(Q, I) float32 from the history alone, so a new user needs no refit."""
        scores_QI = np.tile(self.popularity_I, (len(queries), 1))
        row, item = queries.items.flat()
        if not len(row):
            return scores_QI
        weight = np.ones(len(row))
        if self.params.half_life_days is not None:
            age = np.maximum(queries.time[row] - queries.times.flat()[1], 0)
            weight = np.exp2(-age / (DAY * self.params.half_life_days))
        pair_N, inverse = np.unique(row * np.int64(queries.n_items) + item, return_inverse=True)
        weight_N = np.bincount(inverse, weights=weight)
        row_N, item_N = pair_N // queries.n_items, pair_N % queries.n_items
        order = np.lexsort((self.popularity_I[item_N], weight_N, row_N))
        row_N, item_N, weight_N = row_N[order], item_N[order], weight_N[order]
        popular_N = self.popularity_I[item_N]
        first_N = np.diff(row_N, prepend=-1) != 0
        step_N = np.cumsum(first_N | (np.diff(weight_N, prepend=-1) != 0) | (np.diff(popular_N, prepend=-1) != 0))
        before_N = step_N[first_N][np.cumsum(first_N) - 1]
        scores_QI[row_N, item_N] = step_N - before_N + 1
        return scores_QI
