"""Times as they are written to seconds since 1970 in UTC, and how fine their clock is.

Letters: E rows.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from recbench.data import EARLIEST, LATEST
from recbench.errors import RecbenchError
from recbench.reading.policy import Cleaning

UNITS = {"seconds": 1, "milliseconds": 10**3, "microseconds": 10**6, "nanoseconds": 10**9}
BOUND = 10**11  # seconds: the year 5138; what is larger counts something smaller
STEPS = 10**8  # seconds: the year 1973, from when no log of behaviour is; what is smaller counts steps
PER = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
DAY, QUARTER = 86400, 900
NO_TIME, UNREADABLE, OUT_OF_RANGE = "no time", "a time that cannot be read", "a time before 1900 or after 2261"
MONTH, NUMBER = re.compile(r"\d{4}-\d{2}"), re.compile(r"[+-]?\d+(\.\d*)?([eE][+-]?\d+)?")
EPOCH, SECOND = datetime(1970, 1, 1, tzinfo=UTC), timedelta(seconds=1)


class Seconds:
    """Turns column after column of one source into seconds; the first one decides what numbers stand for.

    `form` says in words how times are written. RecbenchError where the zone is unknown or most times are unreadable.
    """

    def __init__(self, policy: Cleaning, prefix: str = "data.") -> None:
        self.policy, self.prefix, self.form = policy, prefix, ""
        self.zone = _zone(policy.timezone, prefix)
        self._whole = dict.fromkeys((60, DAY), True)
        self._months, self._span = True, (np.iinfo(np.int64).max, np.iinfo(np.int64).min)

    @property
    def clock(self) -> str:
        """The resolution asked for, else the coarsest that all times so far keep to."""
        if self.policy.clock != "auto":
            return self.policy.clock
        if self.form in ("", "steps"):
            return "order"
        if self._whole[DAY]:
            return "months" if self._months and self._span[0] < self._span[1] else "days"
        return "minutes" if self._whole[60] else "seconds"

    def __call__(self, column: pa.Array) -> tuple[NDArray, dict[str, NDArray]]:
        """(E,) int64 seconds, or steps, and which rows have which fault."""
        if self.policy.time_format and pa.types.is_integer(column.type):
            column = column.cast(pa.string())
        known = np.asarray(column.is_valid().to_numpy(zero_copy_only=False), bool)
        if pa.types.is_timestamp(column.type):
            self.form, readable = self.form or "dates", known
            raw = column.cast(pa.timestamp(column.type.unit)).cast(pa.int64()).fill_null(0).to_numpy()
            wall = raw // PER[column.type.unit]
            time = wall if column.type.tz else _utc(wall, self.zone)
        elif pa.types.is_integer(column.type) or pa.types.is_floating(column.type):
            time, readable = self._numbers(column.fill_null(0).to_numpy(), known)
            wall = time
        else:
            time, wall, readable = self._texts(column, known)
        outside = (time < EARLIEST) | (time >= LATEST) if self.form != "steps" else np.zeros(len(time), bool)
        self._measure(wall, readable & ~outside)
        return time, {NO_TIME: ~known, UNREADABLE: known & ~readable, OUT_OF_RANGE: readable & outside}

    def _numbers(self, value: NDArray, known: NDArray) -> tuple[NDArray, NDArray]:
        finite = known & np.isfinite(value) & (np.abs(value) < 2.0**63)
        value = np.where(finite, value, 0)
        if self.form not in (*UNITS, "steps", "YYYYMMDD") and finite.any():
            self.form = self._meaning(value[finite])
        if self.form == "YYYYMMDD":
            time, legal = _calendar(value.astype(np.int64))
            return time, finite & legal
        return np.floor_divide(value, UNITS.get(self.form, 1)).astype(np.int64), finite

    def _meaning(self, value: NDArray) -> str:
        """What numbers stand for, by their size."""
        typical = np.median(np.abs(value))
        if typical < STEPS and _calendar(value.astype(np.int64))[1].mean() > 0.5:
            return "YYYYMMDD"
        if self.policy.clock == "order" or (self.policy.clock == "auto" and typical < STEPS and not self.form):
            return "steps"
        return next((name for name, per in UNITS.items() if typical < BOUND * per), "nanoseconds")

    def _texts(self, column: pa.Array, known: NDArray) -> tuple[NDArray, NDArray, NDArray]:
        """Text by its distinct values: numbers if most are, else dates; a number among dates cannot be read."""
        coded = column if pa.types.is_dictionary(column.type) else column.dictionary_encode()
        words = [(text or "").strip() for text in coded.dictionary.to_pylist()] or [""]
        number = np.array([bool(NUMBER.fullmatch(text)) and not self.policy.time_format for text in words])
        time, readable = np.zeros(len(words), np.int64), np.zeros(len(words), bool)
        if number.mean() > 0.5 or (self.form and self.form != "dates"):
            value = np.array([float(text) if is_number else 0.0 for text, is_number in zip(words, number, strict=True)])
            time, readable = self._numbers(value, number)
        wall = time.copy()
        for row in np.flatnonzero(~number) if self.form != "steps" else ():
            if date := self._date(words[row]):
                time[row], wall[row], readable[row] = *date, True
        at = coded.indices.fill_null(0).to_numpy()
        read = known & readable[at]
        if not self.form and read.sum() * 2 < known.sum():
            wrong = words[at[np.flatnonzero(known & ~read)[0]]]
            how = f"not written as {self.policy.time_format}" if self.policy.time_format else "no ISO 8601 and no epoch"
            raise RecbenchError(
                f"the time {wrong[:40]!r} is {how}; write {self.prefix}time_format as in %d/%m/%Y %H:%M"
            )
        self.form = self.form or ("dates" if read.any() else "")
        return time[at], wall[at], read

    def _date(self, text: str) -> tuple[int, int] | None:
        """Seconds of a date in UTC and on the wall, None where it is none."""
        try:
            if self.policy.time_format:
                moment = datetime.strptime(text, self.policy.time_format)
            else:
                text = f"{text}-01" if MONTH.fullmatch(text) else re.sub(" UTC$", "Z", text)
                moment = datetime.fromisoformat(text)
            local = moment if moment.tzinfo else moment.replace(tzinfo=self.zone)
            utc = (local - EPOCH) // SECOND
            return utc, utc if moment.tzinfo else (moment.replace(tzinfo=UTC) - EPOCH) // SECOND
        except (ValueError, OverflowError):
            return None

    def _measure(self, local: NDArray, counted: NDArray) -> None:
        """Learn from times on a clock on the wall whether it shows minutes, days or months only."""
        local = local if counted.all() else local[counted]
        if not len(local):
            return
        for length, whole in self._whole.items():
            self._whole[length] = whole and not np.any(local % length)
        if self._whole[DAY]:
            self._span = min(self._span[0], int(local.min())), max(self._span[1], int(local.max()))
            date = local.astype("M8[s]")
            self._months = self._months and bool((date.astype("M8[M]").astype("M8[s]") == date).all())


def _zone(name: str, prefix: str) -> tzinfo:
    try:
        return UTC if name == "UTC" else ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:
        raise RecbenchError(f"{prefix}timezone={name}: no such zone; write one as Europe/Berlin or UTC") from error


def _utc(local: NDArray, zone: Any) -> NDArray:
    """Seconds of clocks on the wall of a zone to UTC; a moment that comes twice a year is the first one."""
    if zone is UTC:
        return local
    quarters, which = np.unique(local // QUARTER, return_inverse=True)
    offset = np.zeros(len(quarters), np.int64)
    for row, quarter in enumerate(quarters.tolist()):
        try:
            moment = datetime(1970, 1, 1) + timedelta(seconds=quarter * QUARTER)
        except OverflowError:
            continue  # out of range, and refused as such
        offset[row] = zone.utcoffset(moment) // SECOND
    return local - offset[which]


def _calendar(number: NDArray) -> tuple[NDArray, NDArray]:
    """(E,) seconds of 20240131 and the like, and (E,) bool, which are days of the calendar from 1900 to 2261."""
    year, month, day = number // 10000, number // 100 % 100, number % 100
    legal = (year >= 1900) & (year < 2262) & (month >= 1) & (month <= 12) & (day >= 1)
    months = np.where(legal, (year - 1970) * 12 + month - 1, 0).astype("M8[M]")
    date = months.astype("M8[D]") + np.where(legal, day - 1, 0)
    legal &= date.astype("M8[M]") == months
    return date.astype("M8[s]").astype(np.int64), legal
