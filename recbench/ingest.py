"""From columns of ids, or a source's raw rows, to a log of row numbers; every step of cleaning is counted.

A plugin that reads a user's own data hands its rows to `clean` as blocks of `Columns`, with file and line, and takes its
parameters from `Cleaning`.

Letters: E events, U users, I items.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from recbench.data import ContextEvents, Interactions
from recbench.errors import RecbenchError, nearest
from recbench.reading.policy import ROLES, Cleaning, Columns
from recbench.reading.quarantine import Quarantine

if TYPE_CHECKING:
    import pandas as pd

    from recbench.reading.convert import Rows

__all__ = ["Cleaned", "Cleaning", "Columns", "Quarantine", "clean", "from_sequences", "log_of", "positions", "sessions"]


def log_of(user: Any, item: Any, time: Any = None, **columns: Any) -> tuple[Interactions, NDArray, NDArray]:
    """The log of (E,) id columns in any order, with the sorted distinct user ids (U,) and item ids (I,) behind it.

    Without `time` the position inside the user stands for it. `columns`: behavior, value, behaviors as in `Interactions`.
    """
    user_ids, user = np.unique(np.asarray(user), return_inverse=True)
    item_ids, item = np.unique(np.asarray(item), return_inverse=True)
    time = positions(user) if time is None else np.asarray(time)
    log = Interactions.sorted(user, item, time, n_users=len(user_ids), n_items=len(item_ids), **columns)
    return log, user_ids, item_ids


def positions(user: NDArray) -> NDArray:
    """(E,) how many earlier rows have the same user: the order of a file that has no clock."""
    order = np.argsort(user, kind="stable")
    starts = np.r_[0, np.cumsum(np.bincount(user))[:-1]]
    position = np.empty(len(user), np.int64)
    position[order] = np.arange(len(user)) - np.repeat(starts, np.bincount(user))
    return position


def from_sequences(text: str) -> tuple[Interactions, NDArray, NDArray]:
    """The log of lines `user item item ...`, whole numbers, each line's items in the order of time.

    ValueError names the line that holds something else, no item, or a user that an earlier line had.
    """
    rows = []
    for number, line in enumerate(text.splitlines(), 1):
        try:
            rows.append(np.array(line.split(), dtype=np.int64))
        except (ValueError, OverflowError):
            raise ValueError(f"line {number} must hold whole numbers only") from None
        if len(rows[-1]) < 2:
            raise ValueError(f"line {number} holds no user and item")
    if not rows:
        raise ValueError("it is empty")
    users = np.array([row[0] for row in rows])
    _, first = np.unique(users, return_index=True)
    if len(first) < len(users):
        again = np.setdiff1d(np.arange(len(users)), first)[0]
        raise ValueError(f"line {again + 1} repeats user {users[again]}")
    lengths = np.array([len(row) - 1 for row in rows])
    position = np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    return log_of(np.repeat(users, lengths), np.concatenate([row[1:] for row in rows]), position)


def sessions(user: NDArray, time: NDArray, gap_minutes: float) -> NDArray:
    """(E,) int64 session of each event, numbered by user and time: a new one where the user was away for longer."""
    order = np.lexsort((time, user))
    away = np.diff(time[order]) > gap_minutes * 60
    number = np.empty(len(order), np.int64)
    number[order] = np.cumsum(np.r_[0, away | (np.diff(user[order]) != 0)]) if len(order) else 0
    return number


@dataclass(frozen=True, eq=False)
class Cleaned:
    """What is left of the rows: the log, its sorted ids (U,) and (I,), events without an item, the measured clock.

    `cleaning` counts every step: rows read = events + context events + all that is quarantined or dropped.
    `time_form` says how times were written.
    """

    log: Interactions
    user_ids: NDArray
    item_ids: NDArray
    context: ContextEvents | None
    clock: str
    cleaning: dict[str, int]
    time_form: str = ""


def clean(blocks: Iterable[Columns], policy: Cleaning, quarantine: Quarantine, prefix: str = "data.") -> Cleaned:
    """The log of a source's rows, block after block, by the rules of `policy`; broken rows go to `quarantine`.

    Each block holds the roles user and item, and may hold time, behavior, value and text. A row without an item but
    with text is a context event. RecbenchError where too much is broken, or nothing is left; `prefix` is how the
    parameters are addressed.
    """
    from recbench.reading.convert import rows_of
    from recbench.reading.times import Seconds

    seconds = Seconds(policy, prefix)
    try:
        rows = list(rows_of(blocks, policy, seconds, quarantine))
        quarantine.done()
    finally:
        quarantine.discard()
    counts = {"rows read": quarantine.n_rows} | {f"quarantined: {k}": n for k, n in quarantine.counts.most_common()}
    if not rows:
        raise RecbenchError(f"{quarantine.name}: none of {quarantine.n_rows} rows is left; see {quarantine.path}")
    timed = all(r.time is not None for r in rows)
    clock = seconds.clock if timed else "order"
    if policy.clock not in ("auto", "order", "none", clock):
        raise RecbenchError(f"{prefix}clock={policy.clock} needs times; name their column, or leave {prefix}clock out")
    return _log_of_rows(rows, policy, clock, timed, counts, seconds.form)


def _log_of_rows(
    rows: list[Rows], policy: Cleaning, clock: str, timed: bool, counts: dict[str, int], form: str
) -> Cleaned:
    """Whole rows to a log: ids coded, values filled, bots and duplicates out, sorted by time."""
    from recbench.reading import table as steps

    table = steps.joined(rows, timed)
    if clipped := sum(r.n_clipped for r in rows):
        counts["noted: values clipped"] = clipped
    table = steps.filled(table, policy.missing_value, counts)
    if policy.max_events_per_user_day:
        table = steps.without_bots(table, policy.max_events_per_user_day, clock, counts)
    events, context = steps.by_item(table, counts)
    events = steps.distinct(events, policy.duplicates, timed, counts)
    if clock in ("order", "none"):
        events, context = steps.in_order(events, context)
    counts |= {"events": len(events), "context events": len(context)}
    if not len(events):
        raise RecbenchError(f"no event is left of {counts['rows read']} rows: {counts}")
    user_ids, user, asker = steps.used(table.user_ids, events.user, context.user)
    item_ids, item = steps.used(table.item_ids, events.item)
    behaviors, behavior = steps.used(table.behaviors, events.behavior)
    n_users, n_items = len(user_ids), len(item_ids)
    log = Interactions(user, item, events.time, behavior, events.value, tuple(behaviors.tolist()), n_users, n_items)
    others, other = steps.used(context.behaviors, context.behavior)
    asked = ContextEvents(asker, context.time, other, context.words(), tuple(others.tolist())) if len(context) else None
    return Cleaned(log, user_ids, item_ids, asked, clock, counts, form)


def of_frame(
    frame: Any, items: Any, items_id: str, name: str, given: dict[str, Any]
) -> tuple[Cleaned, pd.DataFrame | None, str]:
    """A frame of events cleaned, the table of items aligned, and the SHA-256 of both."""
    from recbench.reading.frames import blocks, digest_of, pandas_of
    from recbench.reading.roles import assign, id_of
    from recbench.reading.tables import described
    from recbench.reading.typed import kind_of

    known = (*ROLES, *(field.name for field in fields(Cleaning)))
    if unknown := [word for word in given if word not in known]:
        hint = nearest(unknown[0], known) or "."
        raise RecbenchError(f"from_frame has no parameter '{unknown[0]}'{hint} It has: {', '.join(known)}")
    frame, columns = pandas_of(frame, "events"), {role: str(given.get(role) or "") for role in ROLES}
    policy = Cleaning(**{word: value for word, value in given.items() if word not in ROLES})
    found, _ = assign(list(frame.columns), columns, prefix="")
    digest = digest_of(frame[list(dict.fromkeys(found.values()))])
    aside = Quarantine(name, digest, policy.max_broken, "max_broken=SHARE")
    cleaned = clean(
        blocks(frame, {r: (c, kind_of(r, policy)) for r, c in found.items()}, name), policy, aside, prefix=""
    )
    if items is None:
        return cleaned, None, digest
    items = pandas_of(items, "items")
    column = id_of(list(items.columns), items_id, found["item"], prefix="")
    kinds = {c: (c, "id" if c == column else "any") for c in items.columns}
    aside = Quarantine(f"{name}-items", digest_of(items), policy.max_broken, "max_broken=SHARE")
    table, counts = described(blocks(items, kinds, f"{name}, items"), column, (), cleaned.item_ids, aside)
    cleaned.cleaning.update(counts)
    return cleaned, table, hashlib.sha256((digest + digest_of(items)).encode()).hexdigest()
