"""Blocks of columns to rows that can be counted on: ids, seconds, numbers; what is broken goes to the quarantine.

Letters: E rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from recbench.reading.policy import MISSING, Cleaning, Columns
from recbench.reading.quarantine import Quarantine
from recbench.reading.times import Seconds
from recbench.reading.typed import kind_of, pc, plain, typed

LONGEST_ID = 256  # letters; beyond it lies a line that lost its way
LARGEST = float(np.finfo(np.float32).max)
NO_USER, NO_ITEM, NO_BEHAVIOR, LONG = "no user", "no item and no words", "no behavior", "an id of more than 256 letters"
EXACT = 2.0**53  # whole numbers up to here are told apart by a float
INEXACT = "an id beyond 2**53 that was stored as a float"
NO_NUMBER, OUTSIDE = "a value that is no finite number", "a value outside value_low and value_high"


@dataclass(frozen=True, eq=False)
class Rows:
    """Rows without a fault. `user`, `item`: arrow int64 or dictionary; an item is null where the row has words only.

    `time`: (E,) int64 seconds, or steps. `value`: (E,) float32, NaN where it is missing. None where there is no column.
    """

    user: pa.Array
    item: pa.Array
    time: NDArray | None
    behavior: pa.Array | None
    value: NDArray | None
    text: pa.Array | None
    n_clipped: int = 0

    def __len__(self) -> int:
        return len(self.user)


def rows_of(blocks: Iterable[Columns], policy: Cleaning, seconds: Seconds, quarantine: Quarantine) -> Iterator[Rows]:
    """The whole rows of each block, in their order."""
    for block in blocks:
        quarantine.seen(len(block))
        if len(block):
            yield _Judge(block, policy, quarantine).rows(seconds)


class _Judge:
    """Converts one block and keeps the first fault of each row."""

    def __init__(self, block: Columns, policy: Cleaning, quarantine: Quarantine) -> None:
        self.block, self.policy, self.quarantine = block, policy, quarantine
        self.sound = np.ones(len(block), bool)
        given = {role: values for role, values in block.columns.items() if values is not None}
        self.columns = {role: _column(values, kind_of(role, policy)) for role, values in given.items()}

    def rows(self, seconds: Seconds) -> Rows:
        user, item = ids_of(self.columns["user"]), ids_of(self.columns["item"])
        self._require(_known(user), NO_USER)
        text = self.columns.get("text")
        if text is not None:
            text = pc.utf8_trim_whitespace(text)
            said = _mask(pc.and_(pc.is_valid(text), pc.not_equal(text, "")))
            self._require(_known(item) | said, NO_ITEM)
        else:
            self._require(_known(item), NO_ITEM)
        for role, ids in (("user", user), ("item", item)):
            self._require(~_too_long(ids), LONG)
            self._require(~_inexact(self.columns[role]), INEXACT)
        time = behavior = value = None
        n_clipped = 0
        if "time" in self.columns:
            time, faults = seconds(self.columns["time"])
            for reason, faulty in faults.items():
                self._require(~faulty, reason)
        if "behavior" in self.columns:
            behavior = ids_of(_words(self.columns["behavior"]))
            self._require(_known(behavior), NO_BEHAVIOR)
            self._require(~_too_long(behavior), LONG)
        if "value" in self.columns:
            value, n_clipped = self._values()
        if self.sound.all():
            return Rows(user, item, time, behavior, value, text, n_clipped)
        keep = pa.array(self.sound)
        user, item, behavior, text = (c if c is None else c.filter(keep) for c in (user, item, behavior, text))
        time, value = (c if c is None else c[self.sound] for c in (time, value))
        return Rows(user, item, time, behavior, value, text, n_clipped)

    def _require(self, holds: NDArray, reason: str) -> None:
        """Set aside the rows that fail and have no earlier fault."""
        if holds.all():
            return
        for row in np.flatnonzero(self.sound & ~holds).tolist():
            self.quarantine.add(self.block.file, self.block.line_of(row), reason, self.block.raw_of(row))
        self.sound &= holds

    def _values(self) -> tuple[NDArray, int]:
        """(E,) float32, NaN where missing, and how many were clipped."""
        policy = self.policy
        value, known = numbers(self.columns["value"])
        self._require(~known | (np.abs(value) <= LARGEST), NO_NUMBER)  # of a NaN this is false
        if policy.value_low is None and policy.value_high is None:
            return np.where(known & self.sound, value, np.nan).astype(np.float32), 0
        inside = np.clip(value, policy.value_low, policy.value_high)
        beyond = known & (inside != value) & self.sound
        if policy.value_outside == "refuse":
            self._require(~beyond, OUTSIDE)
        return np.where(known & self.sound, inside, np.nan).astype(np.float32), int((beyond & self.sound).sum())


def _column(values: Any, kind: str) -> pa.Array:
    """A column of whatever form as arrow holds it, in the type that its kind needs."""
    array = plain(values)
    if kind == "text" or (pa.types.is_dictionary(array.type) and kind not in ("id", "word")):
        array = array.cast(pa.string())
    return typed(array, kind) if array.type == pa.string() else array


def _mask(array: pa.Array) -> NDArray:
    return np.asarray(array.to_numpy(zero_copy_only=False), bool)


def _known(ids: pa.Array) -> NDArray:
    return _mask(ids.is_valid()) if ids.null_count else np.ones(len(ids), bool)


def _words(column: pa.Array) -> pa.Array:
    return column if pa.types.is_dictionary(column.type) else column.cast(pa.string())


def ids_of(column: pa.Array) -> pa.Array:
    """Ids as int64, or as a dictionary of text without blanks around it; null where one is missing."""
    if pa.types.is_floating(column.type):
        column = _whole(column)
    if column.type == pa.int64():
        return column
    if not pa.types.is_dictionary(column.type):
        column = column.cast(pa.string()).dictionary_encode()
    words = pc.utf8_trim_whitespace(column.dictionary)
    words = pc.if_else(pc.is_in(words, value_set=pa.array(MISSING)), pa.scalar(None, words.type), words)
    if words.null_count:  # a null inside the dictionary is not one of the array
        return words.take(column.indices).dictionary_encode()
    return pa.DictionaryArray.from_arrays(column.indices, words)


def _whole(column: pa.Array) -> pa.Array:
    """Ids that were read as floats: whole where all are, else as written; a NaN is missing."""
    value = column.fill_null(np.nan).to_numpy(zero_copy_only=False)
    missing = np.isnan(value)
    if (missing | (value == np.floor(value))).all():
        return pa.array(np.where(np.abs(value) < EXACT, value, 0).astype(np.int64), mask=missing)
    return pa.array(
        [None if m else repr(v) for v, m in zip(value.tolist(), missing.tolist(), strict=True)], pa.string()
    )


def _inexact(column: pa.Array) -> NDArray:
    """Ids that a float can no longer tell from their neighbours."""
    if not pa.types.is_floating(column.type):
        return np.zeros(len(column), bool)
    return np.abs(column.fill_null(0).to_numpy(zero_copy_only=False)) >= EXACT


def _too_long(ids: pa.Array) -> NDArray:
    if ids.type == pa.int64() or not len(ids.dictionary):
        return np.zeros(len(ids), bool)
    long = _mask(pc.greater(pc.utf8_length(ids.dictionary), LONGEST_ID))
    if not long.any():
        return np.zeros(len(ids), bool)
    return long[ids.indices.fill_null(0).to_numpy()] & _known(ids)


def numbers(column: pa.Array) -> tuple[NDArray, NDArray]:
    """(E,) float64, NaN where a text is no number, and (E,) bool, whether there is anything at all."""
    known = _known(column)
    if pa.types.is_timestamp(column.type):
        return np.full(len(column), np.nan), known
    if column.type == pa.string():
        return np.array([_number(text) for text in column.to_pylist()], np.float64), known
    return column.fill_null(0).to_numpy(zero_copy_only=False).astype(np.float64), known


def _number(text: str | None) -> float:
    try:
        return float("nan" if text is None or "_" in text else text)
    except ValueError:
        return float("nan")
