"""Events and questions as frozen arrays, nothing else.

Letters: E events, U users, I items, Q queries, N rows of a ragged array, L history length.
Users and items are row numbers here; their ids live in `recbench.dataset.Dataset`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recbench.errors import RecbenchError

EARLIEST = -2208988800  # 1900-01-01 in seconds since 1970
LATEST = 9214646400  # 2262-01-01: nanosecond clocks end in that year


def freeze(array: NDArray, dtype: type | np.dtype) -> NDArray:
    """The array in `dtype`, contiguous and read-only."""
    frozen = np.ascontiguousarray(array, dtype=dtype)
    if frozen is array or frozen.base is not None:
        frozen = frozen.view()
    frozen.flags.writeable = False
    return frozen


def ascending(key: NDArray) -> tuple[NDArray, NDArray]:
    """(N,) the row numbers that put whole numbers in order, equal ones as they come; (N,) int64 those numbers.

    Sorting number and row as one is five times as fast as `np.argsort`.
    """
    n_bits, low = len(key).bit_length(), int(key.min()) if len(key) else 0
    if not len(key) or (int(key.max()) - low).bit_length() + n_bits > 63:
        order = np.argsort(key, kind="stable")
        return order, key[order]
    both = key.astype(np.int64)
    both -= low
    both <<= n_bits
    both |= np.arange(len(key))
    both.sort()
    order = both & ((1 << n_bits) - 1)
    both >>= n_bits
    both += low
    return order, both


@dataclass(frozen=True, eq=False)
class Interactions:
    """A log of events in time order.

    `user`, `item`: (E,) int32 row numbers. `time`: (E,) int64 seconds since 1970, never falling, negative allowed;
    the position inside the user where the data has an order only. `behavior`: (E,) int8 into `behaviors`.
    `value`: (E,) float32 rating, watch ratio or quantity; 1 where there is none.
    Raises RecbenchError where lengths, ranges or the order of time are broken.
    """

    user: NDArray
    item: NDArray
    time: NDArray
    behavior: NDArray
    value: NDArray
    behaviors: tuple[str, ...]
    n_users: int
    n_items: int

    def __post_init__(self) -> None:
        dtypes = {"user": np.int32, "item": np.int32, "time": np.int64, "behavior": np.int8, "value": np.float32}
        for name, dtype in dtypes.items():
            object.__setattr__(self, name, freeze(getattr(self, name), dtype))
        lengths = {name: len(getattr(self, name)) for name in dtypes}
        if len(set(lengths.values())) != 1:
            raise RecbenchError(f"interactions need columns of equal length; given {lengths}")
        if not len(self):
            return
        for name, limit in (("user", self.n_users), ("item", self.n_items), ("behavior", len(self.behaviors))):
            column = getattr(self, name)
            if column.min() < 0 or column.max() >= limit:
                raise RecbenchError(
                    f"interactions: {name} must lie in 0..{limit - 1}; given {column.min()}..{column.max()}"
                )
        if np.any(self.time[1:] < self.time[:-1]):
            raise RecbenchError("interactions must be sorted by time; sort them with Interactions.sorted(...)")

    def __len__(self) -> int:
        return len(self.user)

    @classmethod
    def sorted(
        cls,
        user: NDArray,
        item: NDArray,
        time: NDArray,
        *,
        n_users: int,
        n_items: int,
        behavior: NDArray | None = None,
        value: NDArray | None = None,
        behaviors: tuple[str, ...] = ("interact",),
    ) -> Interactions:
        """Interactions from columns in any order; equal times keep the order given."""
        order = np.argsort(time, kind="stable")
        behavior = np.zeros(len(order), np.int8) if behavior is None else behavior
        value = np.ones(len(order), np.float32) if value is None else value
        return cls(user[order], item[order], time[order], behavior[order], value[order], behaviors, n_users, n_items)

    @classmethod
    def trusted(cls, **fields: Any) -> Interactions:
        """Interactions from read-only columns that are known to keep the rules: nothing is copied and nothing checked."""
        log = object.__new__(cls)
        log.__dict__.update(fields)
        return log

    def where(self, keep: NDArray) -> Interactions:
        """The events selected by a boolean mask or by ascending row numbers, (E,) or shorter."""
        return replace(
            self,
            user=self.user[keep],
            item=self.item[keep],
            time=self.time[keep],
            behavior=self.behavior[keep],
            value=self.value[keep],
        )

    def by_user(self) -> tuple[NDArray, NDArray]:
        """Row numbers grouped by user and in time order inside, (E,), and where each user starts, (U + 1,)."""
        order, _ = ascending(self.user)
        starts = np.zeros(self.n_users + 1, np.int64)
        np.cumsum(np.bincount(self.user, minlength=self.n_users), out=starts[1:])
        return order, starts


@dataclass(frozen=True, eq=False)
class ContextEvents:
    """Events without an item, above all a search and its words: (E,) columns in time order."""

    user: NDArray
    time: NDArray
    behavior: NDArray
    text: NDArray
    behaviors: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.user)


@dataclass(frozen=True, eq=False)
class Ragged:
    """Rows of unequal length that share one array: row i is `values[start[i]:stop[i]]`."""

    values: NDArray
    start: NDArray
    stop: NDArray

    def __len__(self) -> int:
        return len(self.start)

    def __getitem__(self, row: int) -> NDArray:
        return self.values[self.start[row] : self.stop[row]]

    @property
    def lengths(self) -> NDArray:
        return self.stop - self.start

    @classmethod
    def from_rows(cls, rows: list, dtype: type = np.int32) -> Ragged:
        """A ragged array from a list of lists."""
        bounds = np.r_[0, np.cumsum([len(row) for row in rows], dtype=np.int64)].astype(np.int64)
        values = np.concatenate([np.asarray(row, dtype) for row in rows]) if rows else np.empty(0, dtype)
        return cls(values.astype(dtype), bounds[:-1], bounds[1:])

    def last(self, n: int) -> Ragged:
        """Each row cut to its last n values; nothing is copied."""
        return replace(self, start=np.maximum(self.start, self.stop - n))

    def take(self, rows: NDArray | slice) -> Ragged:
        """The chosen rows; nothing is copied."""
        return replace(self, start=self.start[rows], stop=self.stop[rows])

    def flat(self) -> tuple[NDArray, NDArray]:
        """(N,) row number and (N,) value of every element, row after row."""
        lengths = self.lengths
        row = np.repeat(np.arange(len(self)), lengths)
        offset = np.arange(len(row)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        return row, self.values[np.repeat(self.start, lengths) + offset]

    def padded(self, length: int, fill: int) -> NDArray:
        """(Q, length): each row's last values at the left, `fill` behind them."""
        cut = self.last(length)
        out = np.full((len(self), length), fill, dtype=self.values.dtype)
        row, value = cut.flat()
        column = np.arange(len(row)) - np.repeat(np.cumsum(cut.lengths) - cut.lengths, cut.lengths)
        out[row, column] = value
        return out


@dataclass(frozen=True, eq=False)
class Queries:
    """What a model may know when it answers, never the answer.

    `user`: (Q,) int32. `time`: (Q,) int64, the moment of asking. `items`, `behaviors`, `times`, `values`: the history
    before that moment, ragged and oldest first. `seen_allowed`: whether an item of the history may be recommended.
    `candidates`: (I,) bool, the items that may be recommended. `searches`: ragged row numbers into `context`, the
    events without an item that the user of each query had before that moment; what no row names is not to be read.
    `item`: (Q,) int32, the item asked about, for the behavior and rating tasks only. `steps`: how many next items are
    asked for in the order in which they come; 1 where the order of a list is its ranking.
    """

    user: NDArray
    time: NDArray
    items: Ragged
    behaviors: Ragged
    times: Ragged
    values: Ragged
    candidates: NDArray
    seen_allowed: bool
    context: ContextEvents | None = None
    searches: Ragged | None = None
    item: NDArray | None = None
    steps: int = 1

    def __len__(self) -> int:
        return len(self.user)

    @property
    def n_items(self) -> int:
        return len(self.candidates)

    def take(self, rows: NDArray | slice) -> Queries:
        """The chosen queries, in the order given; histories are not copied."""
        return replace(
            self,
            user=self.user[rows],
            time=self.time[rows],
            items=self.items.take(rows),
            behaviors=self.behaviors.take(rows),
            times=self.times.take(rows),
            values=self.values.take(rows),
            searches=None if self.searches is None else self.searches.take(rows),
            item=None if self.item is None else self.item[rows],
        )
