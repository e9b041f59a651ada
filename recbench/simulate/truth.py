"""What is true of a simulated world: its tables, its users, and the exact probability of everything they may do.

A user visits one item after another. The next item comes, with the weights of the recipe, from what is popular in this
period, from a favourite category, from a search for one, from the followers of the last item, or from the items visited
last. What else happens at a visit is drawn from logistic functions of taste, price and familiarity.

Every draw is SplitMix64 of (seed, who, counter): numpy's generators may change with its version, and a user's events
must not depend on who else is generated.

Letters: U users, I items, C categories, D periods, B behaviours, F followers, N rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from recbench.errors import RecbenchError
from recbench.simulate.recipe import Recipe, WorldParams

START = 1_704_067_200  # Monday, 1 January 2024
DAY = 86_400
REMEMBERED, FOLLOWERS, COMMUNITY, WORDINGS = 5, 3, 50, 4
ZIPF, WAVE, WAVE_DAYS = 0.9, 1.5, 35
FLOOR = 0.001  # what ageing leaves of an item's appeal
LARGEST = 200_000_000
GOLDEN = 0x9E3779B97F4A7C15
PER_STEP = 16  # counters of a user that one step may use; the first 16 are for what never changes
JOINED, RATE, SECOND, BUDGET = range(4)
RANK, PHASE, BORN, LEVEL, LENGTH, BRAND, FIRST, WORDS, FOLLOWER, USER, FRIEND = range(11)


def mixed(z: NDArray) -> NDArray:
    """The finaliser of SplitMix64 on (N,) uint64, in place."""
    z ^= z >> np.uint64(30)
    z *= np.uint64(0xBF58476D1CE4E5B9)
    z ^= z >> np.uint64(27)
    z *= np.uint64(0x94D049BB133111EB)
    z ^= z >> np.uint64(31)
    return z


def drawn(key: NDArray, counter: int) -> NDArray:
    """(N,) float64 uniform in [0, 1): draw number `counter` of each key."""
    return (mixed(key + np.uint64(counter * GOLDEN % 2**64)) >> np.uint64(11)) * 2.0**-53


def keys(seed: int, stream: int, index: NDArray) -> NDArray:
    """(N,) uint64: where the draws of each index of a stream begin."""
    base = mixed(np.array([seed * 2**16 + stream + 1], np.uint64))
    return mixed(base + (index.astype(np.uint64) + np.uint64(1)) * np.uint64(GOLDEN))


@dataclass(frozen=True, eq=False)
class Users:
    """Users and what only the oracle knows of them.

    `key`: of their draws. `favourites`: (2, N) categories, interest moves from the first to the second. `budget`: price
    level they pay gladly, -1 to 1. `joined`: when their first visit is, as a share of all activity. `rate`: mean further
    sessions while all of the activity passes.
    """

    key: NDArray
    favourites: NDArray
    budget: NDArray
    joined: NDArray
    rate: NDArray

    def where(self, keep: NDArray) -> Users:
        """The users that a boolean mask selects."""
        return Users(self.key[keep], self.favourites[:, keep], self.budget[keep], self.joined[keep], self.rate[keep])


@dataclass(frozen=True, eq=False)
class Truth:
    """The tables of a world, made from its recipe and parameters alone.

    `category`: (I,) ascending. `popularity`: (D, I) the share of each item in each period. `mass`: (D, C) of each
    category. `followers`: (F, I), each row a permutation. `level`: (I,) price level, -1 to 1. `born`: (I,) day of
    publication. `seconds`: (I,) how long it plays. `first`: (C,) first item of each category.
    """

    recipe: Recipe
    params: WorldParams

    def __post_init__(self) -> None:
        if self.params.n_items * self.n_periods > LARGEST:
            raise RecbenchError(
                f"a world of {self.params.n_items:,} items and {self.n_periods:,} periods of {self.recipe.period_days} days "
                f"is too large; items times periods may be {LARGEST:,}: lower n_items or days"
            )

    @property
    def n_periods(self) -> int:
        return -(-self.params.days // self.recipe.period_days)

    @property
    def n_categories(self) -> int:
        return min(self.params.n_categories, self.params.n_items)

    @property
    def n_communities(self) -> int:
        return -(-self.params.n_users // COMMUNITY)

    def item_draw(self, stream: int, counter: int = 0) -> NDArray:
        return drawn(keys(self.params.seed, stream, np.arange(self.params.n_items)), counter)

    @property
    def session_visits(self) -> float:
        return min(3.0, self.params.visits)

    @cached_property
    def category(self) -> NDArray:
        return (np.arange(self.params.n_items) * self.n_categories // self.params.n_items).astype(np.int32)

    @cached_property
    def first(self) -> NDArray:
        return np.searchsorted(self.category, np.arange(self.n_categories))

    @cached_property
    def born(self) -> NDArray:
        if not self.recipe.half_life_days:
            return np.zeros(self.params.n_items)
        born = np.floor((self.item_draw(BORN) * 1.2 - 0.2) * self.params.days)
        born[self.first] = np.floor(-0.2 * self.params.days)  # so that no category is ever empty
        return born

    @cached_property
    def level(self) -> NDArray:
        return 2 * self.item_draw(LEVEL) - 1

    @cached_property
    def seconds(self) -> NDArray:
        return np.floor(60 * 30 ** self.item_draw(LENGTH))

    @cached_property
    def followers(self) -> NDArray:
        return np.argsort([self.item_draw(FOLLOWER, f) for f in range(FOLLOWERS)], kind="stable", axis=1)

    @cached_property
    def popularity(self) -> NDArray:
        """A power law, times a slow wave of each item's own phase, times what age has left of it."""
        rank = np.argsort(np.argsort(self.item_draw(RANK), kind="stable"), kind="stable")
        day = np.arange(self.n_periods)[:, None] * float(self.recipe.period_days)
        phase = day / WAVE_DAYS + self.item_draw(PHASE)
        appeal = (rank + 1.0) ** -ZIPF * np.exp(WAVE * self.params.drift * np.sin(2 * np.pi * phase))
        if half_life := self.recipe.half_life_days:
            age = day - self.born
            appeal *= np.where(age >= 0, FLOOR + 0.5 ** (np.maximum(age, 0) / half_life), 0.0)
        return appeal / appeal.sum(1, keepdims=True)

    @cached_property
    def mass(self) -> NDArray:
        return np.add.reduceat(self.popularity, self.first, axis=1)

    @cached_property
    def _shelves(self) -> tuple[NDArray, NDArray, NDArray]:
        """Where each category begins and how wide it is, all items last, on running sums that go on over the periods."""
        sums = np.cumsum(self.popularity, axis=1)
        sums /= sums[:, -1:]
        bounds = np.concatenate([np.zeros((self.n_periods, 1)), sums[:, np.r_[self.first[1:], 0] - 1]], axis=1)
        low = np.concatenate([bounds[:, :-1], bounds[:, :1]], axis=1)
        width = np.concatenate([np.diff(bounds, axis=1), np.ones((self.n_periods, 1))], axis=1)
        period = np.arange(self.n_periods)[:, None]
        return (low + period).ravel(), width.ravel(), (sums + period).ravel()

    def users(self, user: NDArray) -> Users:
        """What is true of (N,) users; members of a community (equal modulo the number of communities) share a favourite."""
        p = self.params
        key = keys(p.seed, USER, user)
        first = drawn(keys(p.seed, FIRST, user % self.n_communities), 0)
        favourites = (np.stack([first, drawn(key, SECOND)]) * self.n_categories).astype(np.int32)
        sessions = (p.visits / self.session_visits - 1) / 0.7  # a user is there for 0.7 of the time in the mean
        rate = -np.log1p(-drawn(key, RATE)) * sessions
        return Users(key, favourites, 2 * drawn(key, BUDGET) - 1, 0.6 * drawn(key, JOINED), np.maximum(rate, 1e-9))

    def placed(self, period: NDArray, shelf: NDArray, place: NDArray) -> NDArray:
        """(N,) int32 the item that a uniform draw in [0, 1) falls on: in a category, or in all where shelf is C."""
        low, width, sums = self._shelves
        at = period * (self.n_categories + 1) + shelf
        found = np.searchsorted(sums, low[at] + place * width[at], side="right")
        return (found - period * self.params.n_items).astype(np.int32)

    def period(self, time: NDArray) -> NDArray:
        """(N,) number of the period in which popularity and tastes stand still."""
        return np.clip((time - START) // (self.recipe.period_days * DAY), 0, self.n_periods - 1)

    def moved(self, period: NDArray) -> NDArray:
        """(N,) share of the interest that the second favourite has."""
        passed = period / max(1, self.n_periods - 1)
        return 0.5 + self.params.drift * (passed - 0.5)

    def logistic(self, behavior: int, affinity: NDArray, over: NDArray, familiar: NDArray) -> NDArray:
        """The chance of a behaviour where its parent happened; for the visit the mean of its value.

        `affinity`: share of the user's interest in the item's category. `over`: by how much its price level exceeds the
        user's budget, 0 where it does not. `familiar`: whether it is among the items the user visited last.
        """
        constant, by_affinity, by_price, by_familiar = self.recipe.chances[behavior]
        return 1 / (1 + np.exp(-(constant + by_affinity * affinity + by_price * over + by_familiar * familiar)))

    def joint(self, affinity: NDArray, over: NDArray, familiar: NDArray) -> list[NDArray]:
        """For each behaviour the chance that it happens at a visit: its own times its parents'."""
        chances = [np.ones(np.broadcast_shapes(affinity.shape, over.shape, familiar.shape))]
        for b in range(1, len(self.recipe.behaviors)):
            chances.append(chances[self.recipe.parents[b]] * self.logistic(b, affinity, over, familiar))
        return chances

    def circumstances(self, user: NDArray, item: NDArray, time: NDArray) -> tuple[NDArray, NDArray]:
        """Affinity and excess of the price level, as `logistic` wants them; the three are broadcast against each other."""
        return self.regards(self.users(user), self.moved(self.period(time)), item)

    def regards(self, who: Users, moved: NDArray, item: NDArray) -> tuple[NDArray, NDArray]:
        """The same for users at hand whose interest has moved that far."""
        is_first, is_second = who.favourites == self.category[item]
        return is_first * (1 - moved) + is_second * moved, np.maximum(0, self.level[item] - who.budget)

    def probabilities(self, user: NDArray, item: NDArray, time: NDArray, familiar: NDArray | bool = False) -> NDArray:
        """(N, B): the chance of each behaviour, given that the user visits the item at that time (s since 1970).

        `familiar`: whether the item is among the last five that the user visited.
        """
        return np.stack(self.joint(*self.circumstances(user, item, time), np.asarray(familiar)), axis=-1)

    def mean_value(self, user: NDArray, item: NDArray, time: NDArray, familiar: NDArray | bool = False) -> NDArray:
        """(N,) the mean of a visit's value: the share watched where the recipe is `valued`, else 1."""
        affinity, over = self.circumstances(user, item, time)
        return self.logistic(0, affinity, over, np.asarray(familiar)) if self.recipe.valued else np.ones(affinity.shape)
