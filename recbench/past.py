"""What lay strictly before a moment, group by group: counts, means and times, in O((E + N) log E).

Nothing that comes later changes a bit of an answer: sums run over whole numbers, because a running sum of floats would
carry the rounding of other groups' future into this group's past, and the decayed sum never crosses a group.

Letters: E events, N questions, W windows.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recbench.holdout import distinct

FIXED = 2.0**20  # sums are exact to half of 1 / FIXED an event while their size stays below 2**43
LARGEST = 2.0**23


@dataclass(frozen=True, eq=False)
class Past:
    """Events of the groups asked about, group after group in time order; `start` and `stop` (N,) bound each past.

    `row`: (E,) where each event stands in the columns given. `group`, `time`: (E,). `since`: (W, N) where the trailing
    windows start.
    """

    row: NDArray
    group: NDArray
    time: NDArray
    start: NDArray
    stop: NDArray
    since: NDArray

    @classmethod
    def of(cls, key_E: NDArray, time_E: NDArray, key_N: NDArray, time_N: NDArray, windows: tuple = ()) -> Past:
        """The past of each (key, time): events of that key at strictly earlier times. `windows` in the unit of time."""
        keys = distinct(key_N)
        group_N, (at, asked) = np.searchsorted(keys, key_N), place(keys, key_E)
        row = np.flatnonzero(asked)
        group, time = at[row], time_E[row]
        first, end = (int(time.min()), int(time.max()) + 1) if len(row) else (0, 0)

        def stamp(group: NDArray, time: NDArray) -> NDArray:
            return group * np.int64(end - first + 1) + (np.clip(time, first, end) - first)

        stamp_E, stamp_N = stamp(group, time), stamp(group_N, time_N)
        order = np.argsort(stamp_E, kind="stable")
        stamp_E, by_stamp = stamp_E[order], np.argsort(stamp_N)  # a search for sorted values stays in the cache

        def rows_before(stamp_N: NDArray) -> NDArray:
            found = np.empty(len(stamp_N), np.int64)
            found[by_stamp] = np.searchsorted(stamp_E, stamp_N[by_stamp])
            return found

        since = [rows_before(stamp(group_N, time_N - w)) for w in windows]
        start = np.searchsorted(group[order], np.arange(len(keys)))[group_N]
        since = np.array(since, np.int64).reshape(len(windows), len(key_N))
        return cls(row[order], group[order], time[order], start, rows_before(stamp_N), since)

    def only(self, keep_E: NDArray) -> Past:
        """The same past, made of the events alone that `keep_E` selects."""
        kept = keep_E[self.row]
        at = _running(kept)
        return Past(self.row[kept], self.group[kept], self.time[kept], at[self.start], at[self.stop], at[self.since])

    @property
    def count(self) -> NDArray:
        """(N,) number of past events."""
        return self.stop - self.start

    @property
    def first(self) -> NDArray:
        """(N,) float64 time of the first past event, NaN where there is none."""
        return self._time_at(self.start)

    @property
    def last(self) -> NDArray:
        """(N,) float64 time of the last past event, NaN where there is none."""
        return self._time_at(self.stop - 1)

    @property
    def gap(self) -> NDArray:
        """(N,) mean time between successive moments with an event, NaN where there are fewer than two."""
        new = np.ones(len(self.time), bool)
        new[1:] = (np.diff(self.time) != 0) | (np.diff(self.group) != 0)
        moments = _running(new)
        steps = moments[self.stop] - moments[self.start] - 1
        return np.where(steps > 0, (self.last - self.first) / np.maximum(steps, 1), np.nan)

    def mean(self, value_E: NDArray) -> NDArray:
        """(N,) mean of a column over the past, to 1e-6; NaN where there is none; what is beyond `LARGEST` counts as it."""
        whole = np.rint(np.clip(value_E, -LARGEST, LARGEST) * FIXED).astype(np.int64)
        total = _running(whole[self.row])
        mean = (total[self.stop] - total[self.start]) / (FIXED * np.maximum(self.count, 1))
        return np.where(self.count > 0, mean, np.nan)

    def decayed(self, time_N: NDArray, half_life: float) -> NDArray:
        """(N,) sum over the past of 2 ** -(age / half_life)."""
        weight = np.zeros(len(self.time))  # from an event to the one before, 0 where a group starts
        weight[1:] = np.exp2(np.maximum(np.diff(self.time), 0) / -half_life) * (np.diff(self.group) == 0)
        total, step = np.ones(len(self.time)), 1
        while step < len(total) and weight.any():  # a scan by doubling: each pass reaches twice as far back
            total[step:] += weight[step:] * total[:-step]
            weight[step:] *= weight[:-step]
            step *= 2
        age = np.where(self.count > 0, time_N - self.last, 0)
        return np.where(self.count > 0, np.append(total, 0)[self.stop - 1] * np.exp2(age / -half_life), 0)

    def _time_at(self, row_N: NDArray) -> NDArray:
        return np.where(self.count > 0, np.append(self.time, 0)[np.minimum(row_N, len(self.time))], np.nan)


def place(known: NDArray, values: NDArray) -> tuple[NDArray, NDArray]:
    """Where each value, a whole number from 0, stands among the sorted known ones, and whether it is one of them."""
    size = 1 + max(known[-1], values.max()) if len(known) and len(values) else 0
    if 0 < size < 4 * len(values):  # a table is several times faster than a search, where it is small
        table = np.full(size, len(known))
        table[known] = np.arange(len(known))
        return table[values], table[values] < len(known)
    at = np.searchsorted(known, values)
    return at, np.append(known, -1)[at] == values


def _running(values: NDArray) -> NDArray:
    """(E + 1,) the sum of all values before each row, in whole numbers."""
    sums = np.zeros(len(values) + 1, np.int64)
    np.cumsum(values, out=sums[1:])
    return sums
