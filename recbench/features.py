"""What a user, an item and the two together looked like at a moment, from the past alone.

The past of a question (user, item, time) is every event strictly before `time`; events at the same moment are not in it,
and nothing later changes a bit of any feature. docs/features.md has the formula of each.

- Clocks: with `seconds` to `months`, times are days, and what the clock cannot resolve is left out: windows shorter than
  its tick, dwell above minutes, the hour above hours, the weekday above days. With `order` a user's own times are
  steps; positions of different users are not comparable as ages, so items have counts, means and rates but no times,
  and there is no window and no decay. With `none` there is no time at all: counts, means, rates, shares and prices.

Letters: E events, N questions, F features, B behaviours, I items, W windows.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from recbench.content import category_sets, search_matches
from recbench.data import ContextEvents, Interactions
from recbench.dataset import Dataset
from recbench.errors import RecbenchError
from recbench.params import Params, param
from recbench.parts import DAY
from recbench.past import Past

if TYPE_CHECKING:
    import pandas as pd

TICKS = {"seconds": 1, "minutes": 60, "days": DAY, "months": 31 * DAY}
Columns = Iterator[tuple[str, NDArray]]


@dataclass(frozen=True)
class FeatureParams(Params):
    """What is counted, how far back, and how fast it fades."""

    windows: str = param("1,7,30", "Trailing windows of the counts, numbers separated by commas.", unit="days")
    half_life_days: float = param(
        14.0, "Age at which an event counts half in an item's popularity.", low=0.01, high=3650
    )
    rate_events: float = param(10.0, "Events that the prior weighs in a smoothed rate.", low=0.01, high=1e6)
    dwell_cap_seconds: int = param(1800, "Longest time an event is taken to hold a user.", low=1, high=DAY)
    searches: int = param(3, "Last searches that are matched against the item's text.", low=1, high=100)
    categories: str = param(
        "category,product_category,department,brand,genres,author,maker,tags",
        "Columns of the item table that say what an item is; those it lacks are left out.",
    )

    @property
    def windows_days(self) -> tuple[float, ...]:
        """The windows as numbers; RecbenchError where the text is something else."""
        try:
            days = tuple(sorted({float(word) for word in self.windows.split(",") if word.strip()}))
        except ValueError:
            days = (0.0,)
        if not all(0 < d <= 36500 for d in days):
            raise RecbenchError(
                f"FeatureParams: windows must be days above 0 separated by commas, as in 1,7,30; given {self.windows!r}"
            )
        return days


@dataclass(frozen=True, eq=False)
class Features:
    """`values`: (N, F) float32, one row a question, NaN where nothing is known; `names`: F distinct words."""

    values: NDArray
    names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.values)


def rate_prior(train: Interactions) -> NDArray:
    """(B,) the share of each behaviour among the events of the training part, with one more event of each."""
    counts = np.bincount(train.behavior, minlength=len(train.behaviors)) + 1
    return counts / counts.sum()


def behaviour_features(
    dataset: Dataset,
    user_N: NDArray,
    item_N: NDArray,
    time_N: NDArray,
    params: FeatureParams | None = None,
    prior_B: NDArray | None = None,
) -> Features:
    """The features of N questions: row numbers of users and items, and the moments of asking in the log's unit.

    The data set's events may reach beyond the moments. `prior_B`: what the rates are drawn to, `rate_prior` of the
    training part; equal shares without it. RecbenchError where columns differ in length or a row number is out of range.
    """
    log = dataset.interactions
    user_N, item_N, time_N = (np.asarray(column, np.int64) for column in (user_N, item_N, time_N))
    lengths = [len(column) for column in (user_N, item_N, time_N)]
    if len(set(lengths)) != 1:
        raise RecbenchError(f"features need users, items and times of equal length; given {lengths}")
    for name, rows, n in (("user", user_N, log.n_users), ("item", item_N, log.n_items)):
        if len(rows) and (rows.min() < 0 or rows.max() >= n):
            raise RecbenchError(f"features: {name} must lie in 0..{n - 1}; given {rows.min()}..{rows.max()}")
    return features_of(Asked(dataset, log, dataset.context, user_N, item_N, time_N, params or FeatureParams()), prior_B)


def features_of(asked: Asked, prior_B: NDArray | None) -> Features:
    """Every column that the data have, for questions whose row numbers are known to be right."""
    n_behaviors = len(asked.log.behaviors)
    prior_B = np.full(n_behaviors, 1 / n_behaviors) if prior_B is None else prior_B
    parts = _of_log(asked, prior_B), _of_dwell(asked), _of_categories(asked), _of_context(asked), _of_moment(asked)
    names, values = zip(*((name, column.astype(np.float32)) for name, column in chain(*parts)), strict=True)
    return Features(np.column_stack(values), names)


@dataclass(frozen=True, eq=False)
class Asked:
    """The questions, (N,) each, and the data they are about.

    `log` and `context`: what the users of the questions did, by the numbers of `user_N`; what was done to an item stands
    in the data set's own log.
    """

    dataset: Dataset
    log: Interactions
    context: ContextEvents | None
    user_N: NDArray
    item_N: NDArray
    time_N: NDArray
    params: FeatureParams

    @property
    def tick(self) -> float:
        """Seconds the clock can tell apart, infinite where it tells no time of day or year."""
        return TICKS.get(self.dataset.info.clock, np.inf)

    @property
    def windows(self) -> dict[str, int]:
        """Seconds of each trailing window by its name; none is shorter than a tick."""
        seconds = {f"{days:g}d": round(days * DAY) for days in self.params.windows_days}
        return {name: length for name, length in seconds.items() if length >= self.tick}

    @cached_property
    def keys(self) -> dict[str, tuple[NDArray, NDArray]]:
        """What groups events, (E,), and what a question asks for, (N,), by the name of the group."""
        log, n = self.log, np.int64(self.log.n_items)
        pair = log.user * n + log.item, self.user_N * n + self.item_N
        return {"user": (log.user, self.user_N), "item": (self.log_of("item").item, self.item_N), "pair": pair}

    def log_of(self, group: str) -> Interactions:
        """The events that a group is made of."""
        return self.dataset.interactions if group == "item" else self.log

    @cached_property
    def log_price_I(self) -> NDArray:
        """(I,) the logarithm of each price, NaN where there is none above 0."""
        import pandas as pd

        cells = self.table("price")
        price_I = (
            np.full(self.log.n_items, np.nan) if cells is None else np.asarray(pd.to_numeric(cells, "coerce"), float)
        )
        return np.log(np.where((price_I > 0) & np.isfinite(price_I), price_I, np.nan))

    def past(self, group: str) -> Past:
        key_E, key_N = self.keys[group]
        return Past.of(key_E, self.log_of(group).time, key_N, self.time_N, tuple(self.windows.values()))

    def table(self, *names: str) -> pd.Series | None:
        """The first of these columns that the item table has."""
        items = self.dataset.items
        found = [name for name in names if items is not None and name in items]
        return items.loc[:, found[0]] if items is not None and found else None


def _of_log(asked: Asked, prior_B: NDArray) -> Columns:
    """Counts, recency, gaps, values, rates and popularity by behaviour; the item's price, and what the user paid before."""
    price_I, weight = asked.log_price_I, asked.params.rate_events
    for group in asked.keys:
        past, log = asked.past(group), asked.log_of(group)
        yield from _spans(f"{group}_{{}}_known", asked.time_N - past.first, asked, group)
        for b, behavior in enumerate(log.behaviors):
            mine, name = past.only(log.behavior == b), f"{group}_{behavior}"
            yield from _counts(group, behavior, mine, asked)
            yield f"{name}_mean_value", mine.mean(log.value)
            if group != "pair" and len(log.behaviors) > 1:
                yield f"{name}_rate", (mine.count + weight * prior_B[b]) / (past.count + weight)
            if group == "item" and np.isfinite(asked.tick):
                yield f"{name}_popularity", mine.decayed(asked.time_N, asked.params.half_life_days * DAY)
            if group == "user" and asked.table("price") is not None:
                paid = mine.only(np.isfinite(price_I)[log.item]).mean(np.nan_to_num(price_I)[log.item])
                yield f"{name}_price_ratio", price_I[asked.item_N] - paid
    if asked.table("price") is not None:
        yield "item_price", np.exp(price_I)[asked.item_N]


def _counts(group: str, behavior: str, past: Past, asked: Asked) -> Columns:
    """How often, how lately and how regularly a group met one behaviour."""
    yield f"{group}_{behavior}_count", past.count
    for window, since in zip(asked.windows, past.since, strict=True):
        yield f"{group}_{behavior}_count_{window}", past.stop - since
    yield from _spans(f"{group}_{{}}_since_{behavior}", asked.time_N - past.last, asked, group)
    yield from _spans(f"{group}_{{}}_between_{behavior}", past.gap, asked, group)


def _spans(name: str, span_N: NDArray, asked: Asked, group: str) -> Columns:
    """A span of time in days or steps, where the clock gives the group a time."""
    if np.isfinite(asked.tick):
        yield name.replace("{}", "days"), span_N / DAY
    elif asked.dataset.info.clock == "order" and group != "item":
        yield name.replace("{}", "steps"), span_N


def _of_dwell(asked: Asked) -> Columns:
    """Seconds from an event to the user's next moment, known once that moment is past: the mean, capped."""
    if asked.tick > 60:
        return
    for group, (key_E, key_N) in asked.keys.items():
        row, left, seconds = _dwelt(asked.log_of(group), asked.params.dwell_cap_seconds)
        yield f"{group}_dwell_seconds", Past.of(key_E[row], left, key_N, asked.time_N).mean(seconds)


def _dwelt(log: Interactions, cap_seconds: int) -> tuple[NDArray, NDArray, NDArray]:
    """The rows of events after which their user had another moment, when that was, and how many seconds later, capped."""
    row, _ = log.by_user()
    user, time = log.user[row], log.time[row]
    new = np.ones(len(row), bool)
    new[1:] = (np.diff(user) != 0) | (np.diff(time) != 0)
    following = np.append(np.flatnonzero(new), len(row))[np.cumsum(new)]  # the first row of the next moment
    ends = np.flatnonzero(np.append(user, -1)[following] == user)
    left = time[following[ends]]
    return row[ends], left, np.minimum(left - time[ends], cap_seconds)


def _of_categories(asked: Asked) -> Columns:
    """The share of the user's events that met the item's categories, the mean over these, and when the last of them was."""
    log, total_N = asked.log, asked.past("user").count
    for name in dict.fromkeys(word.strip() for word in asked.params.categories.split(",")):
        cells = asked.table(name)
        if cells is None:
            continue
        of_item, n = category_sets(cells)
        row, category_E = of_item.take(log.item).flat()
        question, category = of_item.take(asked.item_N).flat()
        key_E, key = log.user[row] * np.int64(n) + category_E, asked.user_N[question] * np.int64(n) + category
        past = Past.of(key_E, log.time[row], key, asked.time_N[question])
        share = np.bincount(question, past.count, len(asked.time_N)) / np.maximum(of_item.lengths[asked.item_N], 1)
        known = (total_N > 0) & (of_item.lengths[asked.item_N] > 0)
        yield f"same_{name}_share", np.where(known, share / np.maximum(total_N, 1), np.nan)
        last = np.full(len(asked.time_N), np.nan)
        np.fmax.at(last, question, past.last)
        yield from _spans(f"same_{name}_{{}}_since", asked.time_N - last, asked, "user")


def _of_context(asked: Asked) -> Columns:
    """Events without an item: their counts and times, and how well the last words searched match the item's text."""
    context = asked.context
    if context is None:
        return
    past = Past.of(context.user, context.time, asked.user_N, asked.time_N, tuple(asked.windows.values()))
    for b, behavior in enumerate(context.behaviors):
        yield from _counts("context", behavior, past.only(context.behavior == b), asked)
    text = asked.table("text", "title")
    if text is not None:
        best = last = np.full(len(asked.time_N), np.nan)
        questions = asked.user_N, asked.item_N, asked.time_N
        for back, share in enumerate(search_matches(context, text, *questions, asked.params.searches)):
            last, best = last if back else share, np.fmax(best, share)
        yield "search_match_last", last
        yield "search_match_best", best


def _of_moment(asked: Asked) -> Columns:
    """The hour and the weekday of the moment, UTC, Monday first."""
    if asked.tick <= 3600:
        hour = asked.time_N % DAY / 3600
        yield "hour", hour
        yield "hour_sin", np.sin(hour * np.pi / 12)
        yield "hour_cos", np.cos(hour * np.pi / 12)
    if asked.tick <= DAY:
        weekday = (asked.time_N // DAY + 3) % 7  # 1970 began on a Thursday
        yield "weekday", weekday
        yield "weekend", weekday >= 5
