"""The features a second time, slow and plain: loops over the events before the moment, written from docs/features.md,
sharing no code. `test_features.py` compares the two."""

import itertools
import math
import re
from typing import NamedTuple

DAY = 86400
TICK = {"seconds": 1, "minutes": 60, "days": DAY, "months": 31 * DAY}
NAN = math.nan


class Event(NamedTuple):
    """One row of a log."""

    user: int
    item: int
    time: int
    behavior: str = "view"
    value: float = 1.0


class Search(NamedTuple):
    """One event without an item; `text` may be None."""

    user: int
    time: int
    text: str | None
    behavior: str = "search"


class Item(NamedTuple):
    """One row of the item table; `tags` is a list, text split at |, or None."""

    price: float | None
    brand: str | None
    tags: object
    text: str | None


def features_by_hand(events, searches, items, clock, behaviors, search_behaviors, question, params, prior):
    """The features of one (user, item, time), by name. `items` and `searches` may be None."""
    user, item, now = question
    past = [e for e in events if e.time < now]
    groups = {
        "user": [e for e in past if e.user == user],
        "item": [e for e in past if e.item == item],
        "pair": [e for e in past if e.user == user and e.item == item],
    }
    out = {}
    for group, mine in groups.items():
        spans(out, f"{group}_*_known", now - min(e.time for e in mine) if mine else NAN, clock, group)
        for b, behavior in enumerate(behaviors):
            same = [e for e in mine if e.behavior == behavior]
            counts(out, group, behavior, [e.time for e in same], now, clock, params)
            out[f"{group}_{behavior}_mean_value"] = mean([e.value for e in same])
            if group != "pair" and len(behaviors) > 1:
                drawn = len(same) + params["rate_events"] * prior[b]
                out[f"{group}_{behavior}_rate"] = drawn / (len(mine) + params["rate_events"])
            if group == "item" and clock in TICK:
                half_life = params["half_life_days"] * DAY
                out[f"item_{behavior}_popularity"] = sum(2 ** -((now - e.time) / half_life) for e in same)
            if group == "user" and items is not None:
                paid = [math.log(items[e.item].price) for e in same if priced(items[e.item])]
                known = bool(paid) and priced(items[item])
                ratio = math.log(items[item].price) - mean(paid) if known else NAN
                out[f"user_{behavior}_price_ratio"] = ratio
    if items is not None:
        out["item_price"] = items[item].price if priced(items[item]) else NAN
    if clock in ("seconds", "minutes"):
        dwell(out, past, user, item, params["dwell_cap_seconds"])
    if items is not None:
        for column, of in (("brand", lambda i: names(items[i].brand)), ("tags", lambda i: names(items[i].tags))):
            same_category(out, column, of, groups["user"], item, now, clock)
    if searches is not None:
        said = [s for s in searches if s.user == user and s.time < now]
        for behavior in search_behaviors:
            counts(out, "context", behavior, [s.time for s in said if s.behavior == behavior], now, clock, params)
        if items is not None:
            matches(out, said, items[item].text, params["searches"])
    moment(out, now, clock)
    return out


def counts(out, group, behavior, times, now, clock, params):
    out[f"{group}_{behavior}_count"] = len(times)
    for days in params["windows"]:
        if days * DAY >= TICK.get(clock, math.inf):
            out[f"{group}_{behavior}_count_{days:g}d"] = len([t for t in times if t >= now - days * DAY])
    spans(out, f"{group}_*_since_{behavior}", now - max(times) if times else NAN, clock, group)
    moments = sorted(set(times))
    gaps = [later - earlier for earlier, later in itertools.pairwise(moments)]
    spans(out, f"{group}_*_between_{behavior}", mean(gaps), clock, group)


def spans(out, name, span, clock, group):
    if clock in TICK:
        out[name.replace("*", "days")] = span / DAY
    if clock == "order" and group != "item":
        out[name.replace("*", "steps")] = span


def dwell(out, past, user, item, cap):
    held = {"user": [], "item": [], "pair": []}
    for e in past:
        later = [o.time for o in past if o.user == e.user and o.time > e.time]
        if later:
            seconds = min(min(later) - e.time, cap)
            held["user"] += [seconds] * (e.user == user)
            held["item"] += [seconds] * (e.item == item)
            held["pair"] += [seconds] * (e.user == user and e.item == item)
    for group, seconds in held.items():
        out[f"{group}_dwell_seconds"] = mean(seconds)


def same_category(out, column, of, mine, item, now, clock):
    shares, times = [], []
    for category in of(item):
        met = [e.time for e in mine if category in of(e.item)]
        shares.append(len(met) / len(mine) if mine else NAN)
        times += met
    out[f"same_{column}_share"] = mean(shares)
    spans(out, f"same_{column}_*_since", now - max(times) if times else NAN, clock, "user")


def matches(out, said, text, n):
    worded = sorted((s for s in said if words(s.text)), key=lambda s: (s.time, s.text))
    held = words(text)
    shares = [len(words(s.text) & held) / len(words(s.text)) for s in worded[-n:]]
    out["search_match_last"] = shares[-1] if shares else NAN
    out["search_match_best"] = max(shares, default=NAN)


def moment(out, now, clock):
    if clock in ("seconds", "minutes"):
        out["hour"] = hour = (now % DAY) / 3600
        out["hour_sin"], out["hour_cos"] = math.sin(2 * math.pi * hour / 24), math.cos(2 * math.pi * hour / 24)
    if clock in ("seconds", "minutes", "days"):
        out["weekday"] = (now // DAY + 3) % 7
        out["weekend"] = out["weekday"] in (5, 6)


def priced(item):
    return item.price is not None and item.price > 0


def names(cell):
    """The distinct categories of a cell."""
    cells = cell if isinstance(cell, list) else [] if cell is None else cell.split("|")
    return {word.strip() for word in cells if word.strip()}


def words(text):
    return set(re.findall(r"\w+", (text or "").lower()))


def mean(values):
    return sum(values) / len(values) if values else NAN
