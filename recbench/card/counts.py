"""What can be counted in a log: sizes, repeats, ties, concentration, and how all of it moves in time.

Letters: E events, U users, I items, B behaviours, T periods.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recbench.data import Interactions
from recbench.holdout import distinct
from recbench.parts import DAY

CLOCKED = ("seconds", "minutes", "days", "months")  # clocks whose times are dates
BY_LOT = 5  # draws of halves by lot that drift is compared with


@dataclass(frozen=True, eq=False)
class Counts:
    """Sizes of a log. Users and items count where they have an event.

    `by_behavior`: name -> events, users, distinct pairs. `repeats`: share of events whose pair came before;
    `repeats_alike`: under the same behaviour. `ties`: share of events at the same moment as another of their user, None
    without a clock. `lengths_U`: events of each user. `sizes_I`: events of each item, the largest first.
    """

    events: int
    users: int
    items: int
    pairs: int
    by_behavior: dict[str, tuple[int, int, int]]
    repeats: float
    repeats_alike: float
    ties: float | None
    lengths_U: NDArray
    sizes_I: NDArray

    @property
    def density(self) -> float:
        """Share of all pairs of a user and an item that occur."""
        return self.pairs / (self.users * self.items)


def top_share(counts: NDArray, part: float = 0.01) -> float:
    """What the largest `part` of the counts, at least one of them, hold of their sum."""
    falling = np.sort(counts)[::-1]
    return float(falling[: max(1, round(part * len(falling)))].sum() / falling.sum())


def gini(counts: NDArray) -> float:
    """0 where all counts are equal, towards 1 where one has everything."""
    rising, n = np.sort(counts), len(counts)
    return float(2 * (np.arange(1, n + 1) @ rising) / (n * rising.sum()) - 1 - 1 / n)


def counts_of(log: Interactions, clock: str) -> Counts:
    """The sizes of a log with at least one event."""
    pair = log.user * np.int64(log.n_items) + log.item
    by_behavior = {}
    for code, name in enumerate(log.behaviors):
        rows = log.behavior == code
        users = np.count_nonzero(np.bincount(log.user[rows], minlength=log.n_users))
        by_behavior[name] = (int(rows.sum()), int(users), len(distinct(pair[rows])))
    lengths_U, sizes_I = np.bincount(log.user), np.sort(np.bincount(log.item))[::-1]
    pairs, alike = len(distinct(pair)), sum(row[2] for row in by_behavior.values())
    return Counts(
        len(log),
        int(np.count_nonzero(lengths_U)),
        int(np.count_nonzero(sizes_I)),
        pairs,
        by_behavior,
        1 - pairs / len(log),
        1 - alike / len(log),
        _ties(log) if clock in CLOCKED else None,
        lengths_U[lengths_U > 0],
        sizes_I[sizes_I > 0],
    )


def _ties(log: Interactions) -> float:
    order, _ = log.by_user()
    user, time = log.user[order], log.time[order]
    same = np.zeros(len(log) + 1, bool)
    same[1:-1] = (np.diff(user) == 0) & (np.diff(time) == 0)
    return float(np.mean(same[1:] | same[:-1]))


@dataclass(frozen=True, eq=False)
class Activity:
    """The log by period. `starts_T`: datetime64[s]. `events_TB`. `new_T`: share of events on items that first occurred in
    that period, NaN in a period without events; the first period is all new by definition."""

    period: str
    starts_T: NDArray
    events_TB: NDArray
    new_T: NDArray

    @property
    def new_later(self) -> float:
        """Share of events on new items over all periods but the first."""
        weight_T = self.events_TB.sum(1)
        later = weight_T[1:] > 0
        return float(np.average(self.new_T[1:][later], weights=weight_T[1:][later])) if later.any() else 0.0


def activity_of(log: Interactions, clock: str) -> Activity:
    """Events by hour, day, week or month, whichever leaves some ten to a hundred periods and the clock can tell."""
    period, edges_T = _periods(int(log.time[0]), int(log.time[-1]), clock)
    period_E = np.searchsorted(edges_T, log.time, side="right") - 1
    n_periods, n_behaviors = len(edges_T), len(log.behaviors)
    events_TB = np.bincount(period_E * n_behaviors + log.behavior, minlength=n_periods * n_behaviors)
    first_I = np.zeros(log.n_items, np.int64)
    first_I[log.item[::-1]] = period_E[::-1]  # of several values for one item the one written last, the earliest, stays
    new_T = np.bincount(period_E[first_I[log.item] == period_E], minlength=n_periods)
    total_T = np.bincount(period_E, minlength=n_periods)
    share_T = np.where(total_T > 0, new_T / np.maximum(total_T, 1), np.nan)
    return Activity(period, edges_T.astype("datetime64[s]"), events_TB.reshape(n_periods, n_behaviors), share_T)


def _periods(first: int, last: int, clock: str) -> tuple[str, NDArray]:
    """The name of the period and the (T,) int64 seconds at which the periods begin."""
    span = last - first
    if clock == "months" or span > 180 * DAY:
        months = np.array([first, last], "datetime64[s]").astype("datetime64[M]")
        return "month", np.arange(months[0], months[1] + 1).astype("datetime64[s]").astype(np.int64)
    if span > 45 * DAY:
        monday = 4 * DAY  # 1970-01-05
        return "week", np.arange((first - monday) // (7 * DAY) * 7 * DAY + monday, last + 1, 7 * DAY)
    step, name = (DAY, "day") if clock == "days" or span > 3 * DAY else (3600, "hour")
    return name, np.arange(first // step * step, last + 1, step)


@dataclass(frozen=True)
class Drift:
    """How the popularity of items differs between the earlier and the later half of the events, and between halves that
    are dealt by lot: what only chance makes. `distance`: Jensen-Shannon, 0 equal to 1 disjoint. `correlation`: Spearman.
    """

    distance: float
    distance_by_lot: float
    correlation: float
    correlation_by_lot: float


def drift_of(log: Interactions, seed: int = 0) -> Drift | None:
    """The drift of a log whose times are dates; None where one event leaves no halves."""
    half = len(log) // 2
    if not half:
        return None
    count_I = np.bincount(log.item, minlength=log.n_items)
    count_I = count_I[count_I > 0].astype(np.int64)
    kept = np.unique(log.item, return_inverse=True)[1]
    early_I = np.bincount(kept[:half], minlength=len(count_I))
    rng = np.random.default_rng(seed)
    dealt = [rng.multivariate_hypergeometric(count_I, half, method="marginals") for _ in range(BY_LOT)]
    halves = [(early_I, count_I - early_I), *((one_I, count_I - one_I) for one_I in dealt)]
    distances = [jensen_shannon(a_I, b_I) for a_I, b_I in halves]
    ranks = [spearman(a_I, b_I) for a_I, b_I in halves]
    return Drift(distances[0], float(np.mean(distances[1:])), ranks[0], float(np.mean(ranks[1:])))


def jensen_shannon(a_I: NDArray, b_I: NDArray) -> float:
    """The Jensen-Shannon distance of two counts, base 2: the root of the divergence (Lin, IEEE Trans. IT 37(1), 1991)."""
    p_I, q_I = a_I / a_I.sum(), b_I / b_I.sum()
    middle_I = (p_I + q_I) / 2
    parts = [x_I[x_I > 0] @ np.log2(x_I[x_I > 0] / middle_I[x_I > 0]) for x_I in (p_I, q_I)]
    return float(np.sqrt(max(0.0, sum(parts) / 2)))


def spearman(a_I: NDArray, b_I: NDArray) -> float:
    """Rank correlation with mean ranks over ties; 0 where one side is constant."""
    a_I, b_I = _ranks(a_I), _ranks(b_I)
    a_I, b_I = a_I - a_I.mean(), b_I - b_I.mean()
    scale = np.sqrt((a_I @ a_I) * (b_I @ b_I))
    return float(a_I @ b_I / scale) if scale > 0 else 0.0


def _ranks(values: NDArray) -> NDArray:
    _, inverse, size = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(size) - (size - 1) / 2)[inverse]
