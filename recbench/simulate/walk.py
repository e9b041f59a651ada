"""What the users of a simulated world do: all of a block take their next visit at once, until the last has left.

A visit is one item viewed, at a second of its own, with further behaviours within its dwell; a session is some visits in
a row; sessions begin by a Poisson process whose clock runs by the hour of the day and the day of the week.

Letters: N users still there, E events, S searches, K items remembered, H hours.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recbench.simulate.truth import FOLLOWERS, PER_STEP, REMEMBERED, START, WORDINGS, Truth, drawn

OPENS, GAP, SOURCE, FAVOURITE, PLACE, DWELL, WORDING, HAPPENS = range(8)
MEAN_DWELL = 40  # seconds
PAUSE, TYPING = 8, 3  # seconds between visits at least, and from a search to the visit it leads to


@dataclass(frozen=True, eq=False)
class Log:
    """(E,) columns of events, `time` in s since 1970, and (S,) columns of searches, `word` a number of the vocabulary."""

    user: NDArray
    item: NDArray
    time: NDArray
    behavior: NDArray
    value: NDArray
    search_user: NDArray
    search_time: NDArray
    search_word: NDArray


def log_of_users(truth: Truth, first: int, stop: int) -> Log:
    """The log of users `first` to `stop` - 1, in order of time and then user; the same whoever else is generated."""
    walk = _Walk(truth, np.arange(first, stop))
    while walk.goes_on():
        walk.visit()
    user, item, time, behavior, value = (np.concatenate(column) for column in zip(*walk.events, strict=True))
    asker, moment, word = (np.concatenate(column) for column in zip(*walk.searches, strict=True))
    order, late = _order(user, time), _order(asker, moment)
    return Log(
        user[order], item[order], time[order], behavior[order], value[order], asker[late], moment[late], word[late]
    )


def _order(user: NDArray, time: NDArray) -> NDArray:
    """The order of (time, user): nobody has two events in one second, so one number says both."""
    return np.argsort(time * (int(user.max(initial=0)) + 1) + user)


def busy(n_days: int) -> tuple[NDArray, NDArray]:
    """(H + 1,) seconds since 1970 at full hours, and the share of all activity that has passed then.

    Most happens at eight in the evening, least at eight in the morning, a third more at weekends.
    """
    hour = np.arange(n_days * 24)
    weight = (1 + 0.8 * np.cos(2 * np.pi * (hour - 20) / 24)) * np.where(hour // 24 % 7 >= 5, 4 / 3, 1.0)
    passed = np.r_[0.0, np.cumsum(weight)]
    return START + np.arange(n_days * 24 + 1) * 3600.0, passed / passed[-1]


class _Walk:
    """Users under way; whoever leaves is dropped from every array."""

    def __init__(self, truth: Truth, user: NDArray) -> None:
        self.truth, self.user, self.who = truth, user.astype(np.int32), truth.users(user)
        self.taken = 0  # visits, as many for each who is still there
        self.activity = self.who.joined.copy()  # share of all activity that has passed
        self.time = np.zeros(len(user), np.int64)  # when the next visit may be
        self.recent = np.full((REMEMBERED, len(user)), -1, np.int32)
        self.hours = busy(truth.params.days)
        self.events: list[tuple[NDArray, ...]] = []
        self.searches: list[tuple[NDArray, ...]] = []

    def draw(self, purpose: int, rows: NDArray | slice = slice(None)) -> NDArray:
        return drawn(self.who.key[rows], PER_STEP * (self.taken + 1) + purpose)

    def goes_on(self) -> bool:
        """Set the time of the next visit and drop whoever has none; whether anybody is left."""
        begins = np.arange(len(self.user))
        if self.taken:
            begins = np.flatnonzero(self.draw(OPENS) < 1 / self.truth.session_visits)
            self.activity[begins] -= np.log1p(-self.draw(GAP, begins)) / self.who.rate[begins]
        opening = np.interp(self.activity[begins], self.hours[1], self.hours[0]).astype(np.int64)
        self.time[begins] = np.maximum(self.time[begins], opening)
        stays = self.activity < 1
        if not stays.all():
            self.user, self.activity, self.time = self.user[stays], self.activity[stays], self.time[stays]
            self.who, self.recent = self.who.where(stays), self.recent[:, stays]
        return len(self.user) > 0

    def visit(self) -> None:
        """One visit of everybody: where it goes, what happens, and when it is over."""
        truth, recipe = self.truth, self.truth.recipe
        period = truth.period(self.time)
        moved = truth.moved(period)
        item = self.choose(period, moved)
        affinity, over = truth.regards(self.who, moved, item)
        familiar = (self.recent == item).any(0)
        value, dwell = self.watch(item, affinity, over, familiar)
        self.behave(item, value, 1 + dwell // len(recipe.behaviors), (affinity, over, familiar))
        self.time = self.time + dwell + (len(recipe.behaviors) + PAUSE)  # a new array: the log holds the old one
        self.recent = np.concatenate([item[None], self.recent[:-1]])
        self.taken += 1

    def choose(self, period: NDArray, moved: NDArray) -> NDArray:
        """(N,) the item visited; who searched for its category has said so a moment before."""
        truth = self.truth
        popular, favourite, search, follower, _ = truth.recipe.weights
        source = self.draw(SOURCE)
        shelf = np.full(len(source), truth.n_categories)  # behind the categories: the whole stock
        tasting = np.flatnonzero((source >= popular) & (source < popular + favourite + search))
        first, second = self.who.favourites[:, tasting]
        shelf[tasting] = np.where(self.draw(FAVOURITE, tasting) < moved[tasting], second, first)
        place = self.draw(PLACE)
        item = truth.placed(period, shelf, place)
        following = np.flatnonzero(source >= popular + favourite + search) if self.taken else np.empty(0, np.int64)
        again = source[following] >= popular + favourite + search + follower
        rows = following[~again]
        item[rows] = truth.followers[(place[rows] * FOLLOWERS).astype(np.int64), self.recent[0, rows]]
        rows = following[again]
        back = (place[rows] * min(self.taken, REMEMBERED)).astype(np.int64)
        item[rows] = self.recent[back, rows]
        asking = tasting[source[tasting] >= popular + favourite]
        word = shelf[asking] * WORDINGS + (self.draw(WORDING, asking) * WORDINGS).astype(np.int64)
        self.searches.append((self.user[asking], self.time[asking] - TYPING, word.astype(np.int32)))
        return item

    def watch(self, item: NDArray, *circumstances: NDArray) -> tuple[NDArray, NDArray]:
        """(N,) value of the visit and (N,) how many seconds it takes."""
        truth = self.truth
        if not truth.recipe.valued:
            dwell = -np.log1p(-self.draw(DWELL)) * MEAN_DWELL
            return np.ones(len(item), np.float32), dwell.astype(np.int64)
        mean = truth.logistic(0, *circumstances)
        value = (1 - self.draw(DWELL)) ** ((1 - mean) / mean)  # a power of a uniform draw that has this mean
        return value.astype(np.float32), (value * truth.seconds[item]).astype(np.int64)

    def behave(self, item: NDArray, value: NDArray, apart: NDArray, circumstances: tuple[NDArray, ...]) -> None:
        """The visit and what follows from it, each `apart` seconds after the one before."""
        recipe = self.truth.recipe
        happened = [np.arange(len(item))]
        self.events.append((self.user, item, self.time, np.zeros(len(item), np.int8), value))
        for b in range(1, len(recipe.behaviors)):
            rows = happened[recipe.parents[b]]
            chance = self.truth.logistic(b, *(about[rows] for about in circumstances))
            rows = rows[self.draw(HAPPENS + b, rows) < chance]
            happened.append(rows)
            behavior = np.full(len(rows), b, np.int8)
            ones = np.ones(len(rows), np.float32)
            self.events.append((self.user[rows], item[rows], self.time[rows] + b * apart[rows], behavior, ones))
