"""Rows of all blocks side by side: ids coded, values filled, bots and duplicates taken out; every step is counted.

Letters: E rows, U users, I items.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from recbench.data import ascending
from recbench.errors import RecbenchError
from recbench.reading.convert import Rows
from recbench.reading.typed import pc

DAY = 86400
DENSE = 4  # whole-number ids that span less than this many times the rows are coded by counting, not by sorting
MOST_BEHAVIORS = 127
FLOAT = re.compile(r"(-?\d+)\.0+")


@dataclass(frozen=True, eq=False)
class Table:
    """(E,) columns of rows. `user`, `item`, `behavior` are row numbers into the sorted ids; item is -1 where there is none.

    `value` is NaN where it is missing. `text`: arrow, or None.
    """

    user: NDArray
    item: NDArray
    time: NDArray
    behavior: NDArray
    value: NDArray
    text: Any
    user_ids: NDArray
    item_ids: NDArray
    behaviors: NDArray

    def __len__(self) -> int:
        return len(self.user)

    def where(self, keep: NDArray) -> Table:
        """The rows of a mask, or row numbers in their order."""
        text = self.text
        if text is not None:
            text = text.filter(pa.array(keep)) if keep.dtype == bool else text.take(pa.array(keep))
        columns = {name: getattr(self, name)[keep] for name in ("user", "item", "time", "behavior", "value")}
        return replace(self, text=text, **columns)

    def words(self) -> NDArray:
        """(E,) the text of every row."""
        return np.array([] if self.text is None else self.text.to_pylist(), object)


def joined(rows: Sequence[Rows], timed: bool) -> Table:
    """All rows one after another; without times, their place in the source."""
    n = sum(map(len, rows))
    user_ids, user = coded([r.user for r in rows])
    item_ids, item = coded([r.item for r in rows])
    behaviors, behavior = np.array(["interact"]), np.zeros(n, np.int8)
    if rows[0].behavior is not None:
        behaviors, behavior = coded([r.behavior for r in rows])
        if len(behaviors) > MOST_BEHAVIORS:
            some = ", ".join(map(str, behaviors[:5]))
            raise RecbenchError(f"the column of behaviors holds {len(behaviors)} of them ({some}, ...); name another")
    time = np.concatenate([r.time for r in rows if r.time is not None]) if timed else np.arange(n)
    value = [np.ones(len(r), np.float32) if r.value is None else r.value for r in rows]
    text = None if rows[0].text is None else pa.chunked_array([r.text for r in rows])
    return Table(user, item, time, behavior, np.concatenate(value), text, user_ids, item_ids, behaviors.astype(str))


def coded(chunks: Sequence[pa.Array]) -> tuple[NDArray, NDArray]:
    """The sorted distinct ids, and (E,) int32 which one, -1 where there is none.

    Whole numbers stay numbers where all are, also such as a table writes with an empty decimal: 1430.0 is 1430.
    """
    if all(chunk.type == pa.int64() for chunk in chunks):
        return _coded_numbers(np.concatenate([c.fill_null(0).to_numpy() for c in chunks]), _nulls(chunks))
    words = pa.dictionary(pa.int32(), pa.string())
    whole = pa.chunked_array(
        [(c.cast(pa.string()).dictionary_encode() if c.type == pa.int64() else c).cast(words) for c in chunks]
    ).unify_dictionaries()
    index = np.concatenate([chunk.indices.fill_null(-1).to_numpy() for chunk in whole.chunks])
    ids, which = np.unique(_tidied(whole.chunk(0).dictionary.to_pylist()), return_inverse=True)
    return ids, np.append(which, -1).astype(np.int32)[index]


def _nulls(chunks: Sequence[pa.Array]) -> NDArray | None:
    if not any(chunk.null_count for chunk in chunks):
        return None
    return np.concatenate([np.asarray(chunk.is_null().to_numpy(zero_copy_only=False), bool) for chunk in chunks])


def _coded_numbers(number: NDArray, null: NDArray | None) -> tuple[NDArray, NDArray]:
    known = number if null is None else number[~null]
    if not len(known):
        return known, np.full(len(number), -1, np.int32)
    low, span = int(known.min()), int(known.max()) - int(known.min()) + 1
    if span <= DENSE * len(known):
        present = np.zeros(span, bool)
        present[known - low] = True
        ids, code = np.flatnonzero(present) + low, (np.cumsum(present, dtype=np.int32) - 1)[known - low]
    else:
        ids, code = np.unique(known, return_inverse=True)
    if null is None:
        return ids, code.astype(np.int32, copy=False)
    every = np.full(len(number), -1, np.int32)
    every[~null] = code
    return ids, every


def _tidied(words: list[str]) -> NDArray:
    """Distinct ids as whole numbers where all can be, else as text."""
    cut = [FLOAT.sub(r"\1", word) if word.endswith("0") else word for word in words]
    if all(word.removeprefix("-").isdecimal() for word in cut):
        words = cut
        if all(str(int(word)) == word for word in words):
            try:
                return np.array([int(word) for word in words], np.int64)
            except OverflowError:
                pass
    return np.array(words, str)


def filled(table: Table, missing: str, counts: dict[str, int]) -> Table:
    """A missing value is 1, or takes its row with it."""
    lacking = np.isnan(table.value) & (table.item >= 0)
    if missing == "drop" and lacking.any():
        counts["dropped: no value"] = int(lacking.sum())
        table = table.where(~lacking)
    elif lacking.any():
        counts["noted: no value, taken as 1"] = int(lacking.sum())
    return replace(table, value=np.where(np.isnan(table.value), np.float32(1), table.value))


def without_bots(table: Table, most: int, clock: str, counts: dict[str, int]) -> Table:
    """The rows of users who never had more than `most` on one day; RecbenchError where there are no days."""
    if clock in ("order", "none"):
        raise RecbenchError(f"max_events_per_user_day={most} needs times; this source has {clock} only")
    if not len(table):
        return table
    day = table.time // DAY
    per_day = (table.user.astype(np.int64) * (day.max() - day.min() + 1)) + day - day.min()
    days, n = np.unique(per_day, return_counts=True)
    bot = np.zeros(len(table.user_ids), bool)
    bot[days[n > most] // (day.max() - day.min() + 1)] = True
    dropped = bot[table.user]
    if not dropped.any():
        return table
    counts["dropped: users with too many events on a day"] = int(dropped.sum())
    return table.where(~dropped)


def by_item(table: Table, counts: dict[str, int]) -> tuple[Table, Table]:
    """Events and, apart from them, what has words instead of an item; each in time order, ties as in the source."""
    if table.text is not None:
        beside = pc.and_(pc.not_equal(table.text, ""), pa.array(table.item >= 0))
        if n := pc.sum(beside).as_py():
            counts["noted: words beside an item, not kept"] = n
    events = _in_time(replace(table, text=None), np.flatnonzero(table.item >= 0))
    context = _in_time(table, np.flatnonzero(table.item < 0))
    if table.behaviors.tolist() == ["interact"]:
        context = replace(context, behaviors=np.array(["search"]))
    return events, context


def _in_time(table: Table, rows: NDArray) -> Table:
    return table.where(rows[ascending(table.time[rows])[0]])


def distinct(events: Table, policy: str, timed: bool, counts: dict[str, int]) -> Table:
    """Events equal in user, item, behavior and time (in a source without times, in the rest) by the policy."""
    time = events.time if timed else np.zeros(len(events), np.int64)
    tied = np.zeros(len(events) + 1, bool)
    tied[1:-1] = time[1:] == time[:-1]
    rows = np.flatnonzero(tied[1:] | tied[:-1])
    moment = time[rows]
    key = (events.user[rows].astype(np.int64) * len(events.item_ids) + events.item[rows]) * len(events.behaviors)
    key += events.behavior[rows]
    order, _ = ascending(key)
    key, moment, rows = key[order], moment[order], rows[order]
    again = np.r_[False, (key[1:] == key[:-1]) & (moment[1:] == moment[:-1])] if len(rows) else np.zeros(0, bool)
    if not again.any():
        return events
    if policy == "keep":
        counts["noted: duplicates, kept"] = int(again.sum())
        return events
    if policy == "count":
        group = np.cumsum(~again) - 1
        value = events.value.copy()
        value[rows[~again]] = np.bincount(group, events.value[rows])
        events = replace(events, value=value)
    counts[f"dropped: duplicates{', counted into the first' if policy == 'count' else ''}"] = int(again.sum())
    keep = np.ones(len(events), bool)
    keep[rows[again]] = False
    return events.where(keep)


def in_order(events: Table, context: Table) -> tuple[Table, Table]:
    """Times as steps inside the user, 0 the first, equal where the times were."""
    user, time = np.r_[events.user, context.user], np.r_[events.time, context.time]
    order = np.lexsort((time, user))
    new_user = np.r_[True, np.diff(user[order]) != 0][: len(order)]
    step = np.cumsum(new_user | np.r_[True, np.diff(time[order]) != 0][: len(order)])
    position = np.empty(len(order), np.int64)
    position[order] = step - np.maximum.accumulate(np.where(new_user, step, 0))
    cut = len(events)
    events, context = replace(events, time=position[:cut]), replace(context, time=position[cut:])
    return _in_time(events, np.arange(cut)), _in_time(context, np.arange(len(context)))


def used(ids: NDArray, *codes: NDArray) -> tuple[NDArray, ...]:
    """The ids that occur, and the codes into them."""
    occurs = np.zeros(len(ids), bool)
    for code in codes:
        occurs[code] = True
    if occurs.all():
        return ids, *codes
    new = (np.cumsum(occurs) - 1).astype(np.int32)
    return ids[occurs], *(new[code] for code in codes)
