"""A second splitter, slow and plain: loops over each user's events, written from the definitions, sharing no code.

The definitions are in docs/architecture.md and at the top of recbench/split.py. `test_split.py` compares the two.
"""

import hashlib
import struct
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

DAY = 86400
TRAIN, VALID, TEST, UNUSED = 0, 1, 2, 3


class Event(NamedTuple):
    """One row of a log; `part` is read for given splits only."""

    user: int
    item: int
    time: int
    behavior: str = "buy"
    value: float = 1.0
    part: int = 0


class Search(NamedTuple):
    """One event without an item."""

    user: int
    time: int
    text: str


class Question(NamedTuple):
    """One question and its answers; `truth` is in the order in which the answers come, `told` what each came to."""

    user: int
    time: int
    history: list
    searches: list
    truth: list
    told: list


@dataclass
class Halves:
    """What a split gives, as lists."""

    train: list
    refit: list
    train_searches: list
    refit_searches: list
    valid: list
    test: list
    valid_candidates: set
    test_candidates: set
    leakage: dict
    fingerprint: str


class Empty(Exception):
    """A part without events or questions."""


@cache
def splitmix(seed, *numbers):
    """Steele, Lea, Flood (OOPSLA 2014) in whole numbers: what the seed draws for a row."""
    x = 0
    for number in (seed, *numbers):
        x = ((x ^ (number % 2**64)) + 0x9E3779B97F4A7C15) % 2**64
        x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) % 2**64
        x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) % 2**64
        x ^= x >> 31
    return x


def group(drawn, train=0.8):
    """Eight tenths train, or as told; half of the rest each validation and test."""
    share = drawn / 2**64
    return TRAIN if share < train else VALID if share < (1 + train) / 2 else TEST


def split_by_hand(events, searches, board, clock, behaviors, n_users, n_items, seed=0):
    """`events` and `searches` in any order; `Empty` where a part holds nothing."""
    if clock == "none":
        events = [e._replace(time=0) for e in events]
        searches = [s._replace(time=-1) for s in searches]

    def order(e):
        bits = struct.unpack("<i", struct.pack("<f", e.value))[0]
        return e.time, e.user, splitmix(seed, e.user, e.item, e.time, behaviors.index(e.behavior), bits)

    events = sorted(events, key=order)
    users = sorted({e.user for e in events} | {s.user for s in searches})
    targets = set(board.behaviors) or set(behaviors)
    cut = {}
    if board.split == "global_time":
        cut[TEST] = events[-1].time + 1 - round(board.test_window_days * DAY)
        cut[VALID] = cut[TEST] - round(board.valid_window_days * DAY)
    placed = []  # (event, part) before filters
    for user in users:
        mine = [e for e in events if e.user == user]
        placed += zip(mine, parts_of(mine, user, board, targets, cut, seed), strict=True)
    placed.sort(key=lambda pair: order(pair[0]))
    items, kept_users = filtered(placed, users, board, n_items)
    used = [(e, p) for e, p in placed if e.item in items and e.user in kept_users]

    def learned(upto):
        log = [e for e, p in used if p <= upto]
        return log, [s for s in searches if s.user in kept_users and may_learn(s, placed, upto, board, cut)]

    train, train_searches = learned(TRAIN)
    refit, refit_searches = learned(TRAIN if board.fit_on == "train" else VALID)
    if not train:
        raise Empty("training part")
    valid, valid_candidates, _ = holdout(VALID, used, searches, users, items, board, targets, cut, clock)
    test, test_candidates, pairs = holdout(TEST, used, searches, users, items, board, targets, cut, clock)
    if not valid or not test:
        raise Empty("test holdout" if valid else "validation holdout")
    leakage = shares(used)
    leakage["targets_outside_candidates"] = sum(item not in test_candidates for _, item in pairs) / len(pairs)
    unused = [(e, UNUSED) for e, _ in placed if not (e.item in items and e.user in kept_users)]
    table = sorted((e.user, e.item, e.time, behaviors.index(e.behavior), p) for e, p in used + unused)
    fingerprint = digest(table, n_users, n_items)
    words = train_searches, refit_searches
    return Halves(train, refit, *words, valid, test, valid_candidates, test_candidates, leakage, fingerprint)


def holdout(which, used, searches, users, items, board, targets, cut, clock):
    """The questions of one part, the candidates, and the distinct (user, item) targets."""
    known = {e.item for e, p in used if p < which}
    candidates = items & known if board.candidates == "known" else items
    if board.candidates == "held_out":
        candidates = items & {e.item for e, p in used if p == which}
    asked, pairs = [], set()
    for user in users:
        mine = [(e, p) for e, p in used if e.user == user and p <= which]
        questions, targeted = ask_user(mine, which, board, targets, candidates, cut, clock)
        words = [s for s in searches if s.user == user]
        asked += [q._replace(searches=[s for s in words if s.time < q.time]) for q in questions]
        pairs |= targeted
    return asked, candidates, pairs


def shares(used):
    """The leakage report, counted."""
    train, test = [e for e, p in used if p == TRAIN], [e for e, p in used if p == TEST]
    last = max(e.time for e in train)
    known = {e.user for e in train}, {e.item for e in train}, {e[:2] for e in train}
    users, items, pairs = {e.user for e in test}, {e.item for e in test}, {e[:2] for e in test}
    return {
        "test_events_before_last_train_event": sum(e.time < last for e in test) / len(test),
        "test_users_unseen_in_train": len(users - known[0]) / len(users),
        "test_items_unseen_in_train": len(items - known[1]) / len(items),
        "test_pairs_also_in_train": len(pairs & known[2]) / len(pairs),
    }


def digest(table, n_users, n_items):
    """SHA-256 of the sorted rows, column after column in eight bytes a number, then of the ids."""
    numbers = [number for column in zip(*table, strict=True) for number in column]
    sha = hashlib.sha256(struct.pack(f"<{len(numbers)}q", *numbers))
    for n in (n_users, n_items):
        sha.update("\n".join(map(str, range(n))).encode())
    return sha.hexdigest()


def parts_of(mine, user, board, targets, cut, seed):
    """The part of each event of one user, in order."""
    if board.split == "given":
        return [e.part for e in mine]
    if board.split == "global_time":
        return [TEST if e.time >= cut[TEST] else VALID if e.time >= cut[VALID] else TRAIN for e in mine]
    if board.split == "random_pairs":
        return [group(splitmix(seed, user, e.item)) for e in mine]
    if board.split == "random_users":
        return [group(splitmix(seed, user))] * len(mine)
    if board.split == "cold_items":
        return [group(splitmix(seed, e.item), 0.9) for e in mine]
    moments = sorted({e.time for e in mine if e.behavior in targets})
    if len(moments) < 2 or mine[0].time >= moments[-2]:
        return [TRAIN] * len(mine)
    return [TEST if e.time >= moments[-1] else VALID if e.time >= moments[-2] else TRAIN for e in mine]


def filtered(placed, users, board, n_items):
    """Items and users that reach the minima, counted in the training part until nothing changes."""
    items, kept = set(range(n_items)), set(users)
    train = [e for e, p in placed if p == TRAIN]
    trained = {e.user for e in train}
    least_item, least_user = board.filters.get("min_item_events", 0), board.filters.get("min_user_events", 0)
    while True:
        alive = [e for e in train if e.item in items and e.user in kept]
        good_items = {i for i in items if len([e for e in alive if e.item == i]) >= least_item}
        good_users = {u for u in kept if len([e for e in alive if e.user == u]) >= least_user}
        if good_items == items and good_users == kept:
            break
        items, kept = good_items, good_users
    if board.split == "random_users":
        for u in set(users) - trained:
            own = [e for e, _ in placed if e.user == u and e.item in items]
            kept = kept | {u} if len(own) >= least_user else kept - {u}
    return items, kept


def may_learn(search, placed, upto, board, cut):
    """May a model that learns from the parts up to `upto` read this search?"""
    if board.split == "random_pairs":
        return True
    if board.split == "global_time":
        return search.time < cut[upto + 1]
    held = [e.time for e, p in placed if e.user == search.user and p > upto]
    if board.split == "random_users":
        return not held
    return not held or search.time < min(held)


def came_to(truth):
    """For each item the last behaviour before a new item comes."""
    told = {}
    for e in truth:
        if e.item not in told:
            current = e.item
        if e.item == current:
            told[e.item] = e.behavior
    return told


def ask_user(mine, which, board, targets, candidates, cut, clock):
    """The questions put to one user, and the distinct targets of the user's window, candidates or not."""
    own = [e for e, p in mine if p == which]
    before = [e for e, p in mine if p < which]
    if board.split == "random_users":
        at = len(own) - max(1, len(own) // 5)
        window = own[at:] if clock == "none" or not own else [e for e in own if e.time >= own[at].time]
        before = [e for e in own if e not in window] if clock != "none" else own[:at]
    else:
        window = own
    everything = [e for e, _ in mine]
    wanted = [e for e in window if e.behavior in targets]
    stays = board.split == "leave_last_out" and board.target == "first"

    def right(e, history):
        seen = e.item in {h.item for h in history}
        return board.repeat == "any" or stays or not seen

    moments = []  # (time, history, targets from there on)
    if board.ask == "window_start":
        if wanted:
            time = window[0].time
            if board.split == "global_time":
                time = cut[which]
            elif before:
                time = max(time, before[-1].time + 1)
            moments = [(time, before, wanted)]
    else:
        for time in sorted({e.time for e in wanted}):
            history = [e for e in everything if e.time < time]
            if any(e.time == time and e.item in candidates and right(e, history) for e in wanted):
                moments.append((time, history, [e for e in wanted if e.time >= time]))
        if board.ask == "last":
            moments = moments[-1:]
    questions = []
    for time, history, ahead in moments:
        truth = [e for e in ahead if e.item in candidates and right(e, history)]
        if board.target == "first":
            truth = [e for e in truth if e.time == truth[0].time]
        items = list(dict.fromkeys(e.item for e in truth))
        if board.target == "next_k":
            items = items[: board.next_k]
        if items:
            told = [came_to(truth)[item] for item in items] if board.ordered else []
            questions.append(Question(mine[0][0].user, time, history, [], items, told))
    targeted = set()
    for e in wanted:
        history = before if board.ask == "window_start" else [h for h in everything if h.time < e.time]
        if right(e, history):
            targeted.add((e.user, e.item))
    return questions, targeted
