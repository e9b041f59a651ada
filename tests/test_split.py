"""Splits against tables cut by hand, against a second plain splitter, and against the laws every split keeps."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from split_by_hand import Empty, Event, Search, group, split_by_hand, splitmix

from recbench.data import ContextEvents, Interactions
from recbench.dataset import Dataset, DatasetInfo
from recbench.errors import RecbenchError
from recbench.parts import DAY
from recbench.plan import Board
from recbench.split import split

BEHAVIORS = ("buy", "view")
N_USERS, N_ITEMS = 14, 7
SPLITS = ("global_time", "leave_last_out", "random_pairs", "random_users", "cold_items", "given")


def shop(events, searches=None, clock="seconds", n_users=N_USERS, n_items=N_ITEMS):
    """A data set of `Event` and `Search` rows, in the order given as a file would have it."""
    user, item, time, behavior, value, part = (np.array(column) for column in zip(*events, strict=True))
    order = np.argsort(time, kind="stable")
    behavior = np.array([BEHAVIORS.index(name) for name in behavior])
    log = Interactions.sorted(
        user, item, time, n_users=n_users, n_items=n_items, behavior=behavior, value=value, behaviors=BEHAVIORS
    )
    context = None
    if searches is not None:
        rows = sorted(searches, key=lambda s: s.time)
        user, time, text = (np.array([row[c] for row in rows], d) for c, d in enumerate((np.int32, np.int64, object)))
        context = ContextEvents(user, time, np.zeros(len(rows), np.int8), text, ("search",))
    info = DatasetInfo("shop", "ecommerce", clock, "MIT", "by hand")
    return Dataset(info, log, np.arange(n_users), np.arange(n_items), context=context, part=part[order])


def window(**changes):
    fields = {"test_window_days": 2, "valid_window_days": 2, "repeat": "any", "candidates": "all"} | changes
    if fields.get("split") == "cold_items":  # has no known candidates and no minimum of training events
        filters = {name: least for name, least in fields.get("filters", {}).items() if name != "min_item_events"}
        fields |= {"candidates": fields["candidates"].replace("known", "held_out"), "filters": filters}
    return Board("shop", "shop", ("ndcg@10",), "ndcg@10", **fields)


def answers(holdout):
    return [sorted(holdout.truth[q].tolist()) for q in range(len(holdout.queries))]


def histories(holdout):
    return [holdout.queries.items[q].tolist() for q in range(len(holdout.queries))]


def days(holdout):
    return [float(t) / DAY for t in holdout.queries.time]


# Tables cut by hand. User, item, day; user 0 buys 0 1 | 2 | 1 3, user 1 buys 1 | 0 | 4 0; item 4 is new in the test.

ROWS = [(0, 0, 0), (0, 1, 1), (1, 1, 1), (0, 2, 4), (1, 0, 4), (0, 1, 6), (0, 3, 6), (1, 4, 6), (1, 0, 7)]
LOG = [Event(user, item, day * DAY) for user, item, day in ROWS]


def test_windows_of_time():
    parts = split(shop(LOG), window())
    assert parts.train.interactions.item.tolist() == [0, 1, 1]
    assert answers(parts.valid) == [[2], [0]] and answers(parts.test) == [[1, 3], [0, 4]]
    assert histories(parts.valid) == [[0, 1], [1]] and histories(parts.test) == [[0, 1, 2], [1, 0]]
    cut = 7 * DAY + 1 - 2 * DAY  # the window's opening, not the last event before it
    assert parts.test.queries.time.tolist() == [cut, cut]
    assert parts.valid.queries.time.tolist() == [cut - 2 * DAY, cut - 2 * DAY]
    assert parts.leakage["test_events_before_last_train_event"] == 0
    assert parts.leakage["test_pairs_also_in_train"] == 0.25  # (0, 1) of (0, 1), (0, 3), (1, 4), (1, 0)


def test_new_items_only_and_known_candidates_only():
    assert answers(split(shop(LOG), window(repeat="new")).test) == [[3], [4]]
    with pytest.raises(RecbenchError, match="the test holdout is empty"):
        split(shop(LOG), window(repeat="new", candidates="known"))
    parts = split(shop(LOG), window(candidates="known"))
    assert answers(parts.test) == [[1], [0]]
    assert parts.leakage["targets_outside_candidates"] == 0.5  # 3 and 4 of 1, 3, 4, 0


def test_refit_holds_the_validation_window():
    parts = split(shop(LOG), window(fit_on="train+valid"))
    assert len(parts.refit.interactions) == 5 and len(parts.train.interactions) == 3


# One long window: days 6 to 9 of user 0, after 0 1 2 on days 0 1 4; user 1 has something in every part, too.
LONG = [Event(0, 0, 0), Event(0, 1, DAY), Event(0, 2, 4 * DAY), Event(0, 1, 6 * DAY), Event(0, 3, 6 * DAY)]
LONG += [Event(0, 4, 7 * DAY, "view"), Event(0, 4, 8 * DAY), Event(0, 5, 9 * DAY), Event(0, 3, 9 * DAY)]
LONG += [Event(1, 1, 0), Event(1, 5, 4 * DAY)]
WINDOWS = [  # ask, target, repeat, then the day of each question, how much history it has, and its answers
    ("window_start", "all_in_window", "any", [(5, 3, [1, 3, 4, 5])]),
    ("window_start", "first", "any", [(5, 3, [1, 3])]),
    ("window_start", "next_k", "any", [(5, 3, [1, 3, 4])]),
    ("window_start", "all_in_window", "new", [(5, 3, [3, 4, 5])]),
    ("window_start", "first", "new", [(5, 3, [3])]),
    ("window_start", "next_k", "new", [(5, 3, [3, 4, 5])]),
    ("each_event", "all_in_window", "any", [(6, 3, [1, 3, 4, 5]), (8, 6, [3, 4, 5]), (9, 7, [3, 5])]),
    ("each_event", "first", "any", [(6, 3, [1, 3]), (8, 6, [4]), (9, 7, [3, 5])]),
    ("each_event", "next_k", "any", [(6, 3, [1, 3, 4]), (8, 6, [3, 4, 5]), (9, 7, [3, 5])]),
    ("each_event", "all_in_window", "new", [(6, 3, [3, 4, 5]), (9, 7, [5])]),  # on day 8 item 4 has been viewed
    ("each_event", "first", "new", [(6, 3, [3]), (9, 7, [5])]),
    ("each_event", "next_k", "new", [(6, 3, [3, 4, 5]), (9, 7, [5])]),
    ("last", "all_in_window", "any", [(9, 7, [3, 5])]),
    ("last", "first", "any", [(9, 7, [3, 5])]),
    ("last", "next_k", "any", [(9, 7, [3, 5])]),
    ("last", "all_in_window", "new", [(9, 7, [5])]),
    ("last", "first", "new", [(9, 7, [5])]),
    ("last", "next_k", "new", [(9, 7, [5])]),
]


@pytest.mark.parametrize(("ask", "target", "repeat", "expected"), WINDOWS)
def test_who_is_asked_when_and_what_counts(ask, target, repeat, expected):
    board = window(test_window_days=4, ask=ask, target=target, next_k=3, repeat=repeat, behaviors=("buy",))
    test = split(shop(LONG), board).test
    found = zip((int(day) for day in days(test)), test.queries.items.lengths.tolist(), answers(test), strict=True)
    assert list(found) == expected and set(test.queries.user.tolist()) == {0}


@pytest.mark.parametrize("ask", ["window_start", "each_event", "last"])
def test_leave_last_out_leaves_the_last_moment(ask):
    parts = split(shop(LOG), window(split="leave_last_out", ask=ask, target="first"))
    assert answers(parts.test) == [[1, 3], [0]] and answers(parts.valid) == [[2], [4]]
    assert histories(parts.test) == [[0, 1, 2], [1, 0, 4]] and histories(parts.valid) == [[0, 1], [1, 0]]
    assert days(parts.test) == [6, 7] and days(parts.valid) == [4, 6]
    assert parts.train.interactions.item.tolist() == [0, 1, 1, 0]


def test_leave_last_out_counts_moments_of_the_target_behaviour():
    # user 0: train up to day 7, the view included, then 4 on day 8, then 3 and 5; user 1 has too few moments
    more = [Event(1, 2, 5 * DAY, "view"), Event(2, 0, 0), Event(2, 1, DAY), Event(2, 2, 2 * DAY)]
    more += [Event(2, 3, 3 * DAY, "view"), Event(3, 0, 0), Event(3, 1, 0)]
    parts = split(shop(LONG + more), window(split="leave_last_out", behaviors=("buy",)))
    assert answers(parts.valid) == [[4], [1]] and answers(parts.test) == [[3, 5], [2]]
    assert days(parts.valid) == [8, 1] and days(parts.test) == [9, 2]
    log = parts.train.interactions
    of_user = [log.item[log.user == user].tolist() for user in range(4)]
    assert sorted(of_user[0]) == [0, 1, 1, 2, 3, 4] and of_user[1] == [1, 5, 2]
    assert of_user[2] == [0] and sorted(of_user[3]) == [
        0,
        1,
    ]  # the view on day 3 lies behind the test: nobody learns it


def test_leave_last_out_keeps_a_user_whose_answer_is_masked():
    log = [Event(0, item, day * DAY) for day, item in enumerate((0, 1, 2, 0))]
    board = window(split="leave_last_out", target="first", repeat="new")
    assert answers(split(shop(log), board).test) == [[0]]
    log += [Event(1, item, day * DAY) for day, item in enumerate((0, 1, 2, 3))]
    assert answers(split(shop(log), board).test) == [[0], [3]]
    assert answers(split(shop(log), replace(board, target="all_in_window")).test) == [[3]]


def test_given_parts_make_the_history_where_time_does_not():
    part = [0, 2, 0, 0, 1, 1, 2, 2, 0]
    log = [event._replace(part=p) for event, p in zip(LOG, part, strict=True)]
    parts = split(shop(log, clock="none"), window(split="given"))
    assert answers(parts.valid) == [[1], [0]] and answers(parts.test) == [[1, 3], [4]]
    assert [sorted(h) for h in histories(parts.valid)] == [[0, 2], [0, 1]]
    assert [sorted(h) for h in histories(parts.test)] == [[0, 1, 2], [0, 0, 1]]
    timed = split(shop(log), window(split="given"))
    assert histories(timed.test) == [[0, 2, 1], [1, 0, 0]]  # in time order, training and validation mixed
    assert timed.test.queries.time.tolist() == [6 * DAY + 1, 7 * DAY + 1]  # the history reaches behind the first target
    assert days(timed.valid) == [6, 7 + 1 / DAY]


def test_given_parts_asked_at_each_event():
    part = [0, 0, 0, 1, 1, 2, 2, 2, 2]
    log = [event._replace(part=p) for event, p in zip(LOG, part, strict=True)]
    test = split(shop(log), window(split="given", ask="each_event", target="first")).test
    assert answers(test) == [[1, 3], [4], [0]] and histories(test) == [[0, 1, 2], [1, 0], [1, 0, 4]]
    assert days(test) == [6, 6, 7]


EIGHT_OF_ELEVEN = [
    0,
    1,
    2,
    3,
    4,
    5,
    6,
    7,
    8,
    8,
    9,
]  # days of eleven events: the last fifth is two, a tie makes it three


def test_random_users_fold_in_four_fifths_and_never_cut_a_moment():
    log = [Event(u, n % N_ITEMS, d * DAY) for u in range(40) for n, d in enumerate(EIGHT_OF_ELEVEN)]
    parts = split(shop(log, n_users=40), window(split="random_users"))
    learned = set(parts.train.interactions.user.tolist())
    asked = [set(h.queries.user.tolist()) for h in (parts.valid, parts.test)]
    assert len(learned) + len(asked[0]) + len(asked[1]) == 40 == len(learned | asked[0] | asked[1])
    for holdout in (parts.valid, parts.test):
        assert answers(holdout) == [[1, 2, 3]] * len(holdout.queries) and set(days(holdout)) == {8}
        assert histories(holdout) == [[0, 1, 2, 3, 4, 5, 6, 0]] * len(holdout.queries)
    each = split(shop(log, n_users=40), window(split="random_users", ask="each_event", target="first")).test
    assert answers(each)[:2] == [[1, 2], [3]] and days(each)[:2] == [8, 9]
    unordered = split(shop(log, n_users=40, clock="none"), window(split="random_users")).test
    assert set(unordered.queries.items.lengths.tolist()) == {9} and max(unordered.truth.lengths) == 2


def test_cold_items_have_no_training_event_and_are_ranked_among_themselves():
    log = [Event(u, i, (u + i) * DAY) for u in range(4) for i in range(200)]
    parts = split(shop(log, n_items=200), window(split="cold_items", candidates="held_out", fit_on="train+valid"))
    learned, refit = (set(part.interactions.item.tolist()) for part in (parts.train, parts.refit))
    asked = [set(np.flatnonzero(h.queries.candidates).tolist()) for h in (parts.valid, parts.test)]
    assert [len(learned), *map(len, asked)] == [182, 8, 10]
    assert learned | asked[0] == refit and refit | asked[1] == set(range(200)) and not refit & asked[1]
    for holdout, items in zip((parts.valid, parts.test), asked, strict=True):
        assert answers(holdout) == [sorted(items)] * 4 and not items & set(holdout.queries.items[0].tolist())
    assert parts.leakage["test_items_unseen_in_train"] == 1 and parts.leakage["targets_outside_candidates"] == 0


def test_items_taken_out_of_training_stay_in_histories_and_answers():
    log = [Event(u, (3 * u + d) % 40, d * DAY) for u in range(40) for d in range(9)]
    board = window(split="leave_last_out", ask="last", target="first", fit_on="train+valid", candidates="all")
    whole, parts = (split(shop(log, n_users=40, n_items=40), replace(board, unmet_items=x)) for x in (0.0, 0.25))
    out = {i for i in range(40) if splitmix(0, i) / 2**64 < 0.25}
    assert 4 < len(out) < 16
    for learned, all_of_it in ((parts.train, whole.train), (parts.refit, whole.refit)):
        kept = [i for i in all_of_it.interactions.item.tolist() if i not in out]
        assert learned.interactions.item.tolist() == kept
    for holdout, same in ((parts.valid, whole.valid), (parts.test, whole.test)):
        assert (answers(holdout), histories(holdout)) == (answers(same), histories(same))
        assert holdout.unmet.tolist() == [right[0] in out for right in answers(holdout)] and same.unmet is None
        assert holdout.take(np.array([3, 1])).unmet.tolist() == holdout.unmet[[3, 1]].tolist()
    assert parts.fingerprint != whole.fingerprint
    assert parts.leakage["test_items_unseen_in_train"] == np.mean([r[0] in out for r in answers(parts.test)])


@pytest.mark.parametrize("wrong", [{"unmet_items": 1.0}, {"unmet_items": 0.1, "candidates": "known"}])
def test_items_taken_out_of_training_must_be_candidates(wrong):
    with pytest.raises(RecbenchError, match="unmet_items must be at least 0 and below 1, and needs candidates all or"):
        Board("shop", "shop", ("ndcg@10",), "ndcg@10", **{"split": "leave_last_out", "candidates": "all"} | wrong)


@pytest.mark.parametrize("wrong", [{"candidates": "known"}, {"filters": {"min_item_events": 2}}])
def test_cold_items_that_training_must_know_are_refused(wrong):
    with pytest.raises(RecbenchError, match="cold_items asks for items that training never met: set candidates all or"):
        Board("shop", "shop", ("ndcg@10",), "ndcg@10", **{"split": "cold_items", "candidates": "all"} | wrong)


def test_random_pairs_go_as_a_whole():
    log = [Event(u, i, d * DAY) for u in range(40) for d, i in enumerate((0, 1, 2, 3, 4, 5, 6, 0, 1))]
    parts = split(shop(log, n_users=40), window(split="random_pairs", repeat="new"))
    assert parts.leakage["test_pairs_also_in_train"] == 0 and len(parts.train.interactions) == 288
    assert sum(map(len, answers(parts.valid))) == 32 and sum(map(len, answers(parts.test))) == 16
    assert parts.test.queries.user[:3].tolist() == [2, 8, 10] and answers(parts.test)[:3] == [[6], [0], [1]]
    assert histories(parts.test)[:2] == [[0, 1, 2, 3, 4, 5, 0, 1], [1, 2, 3, 4, 5, 6, 1]]
    assert days(parts.test)[:2] == [8 + 1 / DAY] * 2  # one second after the history, which ends behind the target


# What cannot be split


@pytest.mark.parametrize(
    ("clock", "changes", "message"),
    [
        ("order", {}, "split global_time needs a clock; data=shop has order: use leave_last_out or random_pairs"),
        ("none", {"split": "leave_last_out"}, "split leave_last_out needs an order; data=shop has none"),
        ("none", {"split": "given", "ask": "last"}, "ask last needs an order; data=shop has none: use window_start"),
        ("days", {"behaviors": ("buys",)}, "data=shop has the behaviours buy, view; given 'buys'; did you mean 'buy'?"),
        ("days", {"test_window_days": 30}, "board shop: the training part is empty; shorten the windows"),
        ("days", {"valid_window_days": 0.5}, "board shop: the validation holdout is empty; lengthen its window"),
        ("days", {"filters": {"min_item_events": 9}}, "board shop: the training part is empty"),
    ],
)
def test_what_cannot_be_split_is_said(clock, changes, message):
    with pytest.raises(RecbenchError) as error:
        split(shop(LOG, clock=clock), window(**changes))
    assert message in str(error.value)


def test_given_needs_a_part_and_a_log_needs_events():
    with pytest.raises(RecbenchError, match="split given, but data=shop comes without one"):
        split(replace(shop(LOG), part=None), window(split="given"))
    data = shop(LOG)
    with pytest.raises(RecbenchError, match="data=shop holds no events"):
        split(replace(data, interactions=data.interactions.where(np.zeros(len(LOG), bool))), window())


# Searches

SEARCHES = [Search(0, 0, "a"), Search(0, 4 * DAY, "b"), Search(0, 5 * DAY, "c"), Search(0, 6 * DAY, "d")]
SEARCHES += [Search(1, 5 * DAY + 1, "e"), Search(1, 6 * DAY + 1, "f"), Search(2, DAY, "g"), Search(2, 9 * DAY, "h")]
REACH = [  # split, then the searches in train and in refit, and those of each question of validation and test
    ("global_time", "window_start", "ag", "abcg", ["a", ""], ["abc", ""]),  # e falls on the cut
    ("global_time", "each_event", "ag", "abcg", ["a", ""], ["abc", "e", "ef"]),
    ("leave_last_out", "last", "aegh", "abcegfh", ["a", "e"], ["abc", "ef"]),
    ("random_pairs", "window_start", "abcdefgh", "abcdefgh", None, None),
]


@pytest.mark.parametrize(("kind", "ask", "train", "refit", "valid", "test"), REACH)
def test_searches_end_before_the_question(kind, ask, train, refit, valid, test):
    board = window(split=kind, ask=ask, fit_on="train+valid")
    log = LOG if kind != "random_pairs" else [Event(u, i, DAY) for u in range(9) for i in range(N_ITEMS)]
    parts = split(shop(log, SEARCHES), board)
    assert sorted(parts.train.context.text) == sorted(train) and sorted(parts.refit.context.text) == sorted(refit)
    for holdout, expected in ((parts.valid, valid), (parts.test, test)):
        found = ["".join(read(holdout.queries, q)) for q in range(len(holdout.queries))]
        assert expected is None or found == expected
        assert set(holdout.queries.context.text) == set("".join(found))  # nothing else is in reach


def test_searches_of_held_out_users_are_not_learned():
    log = [Event(u, i, i * DAY) for u in range(40) for i in range(N_ITEMS)]
    data = shop(log, [Search(u, DAY, str(u)) for u in range(40)], n_users=40)
    parts = split(data, window(split="random_users", fit_on="train+valid"))
    for part in (parts.train, parts.refit):
        assert set(part.context.user.tolist()) == set(part.interactions.user.tolist())
    assert len(parts.train.context) < len(parts.refit.context) < 40
    asked = parts.test.queries
    assert [read(asked, q) for q in range(len(asked))] == [[str(u)] for u in asked.user]
    half = asked.take(slice(1, None))
    assert read(half, 0) == [str(asked.user[1])]


def read(queries, q):
    return queries.context.text[queries.searches[q]].tolist()


# Against the plain splitter


def same(data, events, searches, board, seed):
    """Compares the two splitters to the last event; True where there is a split, False where both refuse."""
    try:
        plain = split_by_hand(events, searches, board, data.info.clock, BEHAVIORS, N_USERS, N_ITEMS, seed)
    except Empty as empty:
        with pytest.raises(RecbenchError, match=f"the {empty} is empty"):
            split(data, board, seed)
        return False
    parts = split(data, board, seed)
    for part, log, words in (
        (parts.train, plain.train, plain.train_searches),
        (parts.refit, plain.refit, plain.refit_searches),
    ):
        assert rows(part.interactions) == [e[:5] for e in log]
        assert sorted(zip(part.context.user, part.context.text, strict=True)) == sorted((s.user, s.text) for s in words)
    for holdout, questions, candidates in (
        (parts.valid, plain.valid, plain.valid_candidates),
        (parts.test, plain.test, plain.test_candidates),
    ):
        asked = holdout.queries
        assert np.flatnonzero(asked.candidates).tolist() == sorted(candidates)
        assert list(zip(asked.user, asked.time, strict=True)) == [(q.user, q.time) for q in questions]
        for n, question in enumerate(questions):
            assert past(asked, n) == [e[1:5] for e in question.history]
            assert holdout.truth[n].tolist() == question.truth
            assert question.told == ([BEHAVIORS[b] for b in holdout.truth_behaviors[n]] if board.ordered else [])
            assert sorted(read(asked, n)) == sorted(s.text for s in question.searches)
        assert asked.seen_allowed == (board.repeat == "any")
        assert asked.steps == (board.next_k if board.ordered else 1)
        assert (holdout.truth_behaviors is not None) == board.ordered
    assert {name: parts.leakage[name] for name in plain.leakage} == pytest.approx(plain.leakage)
    assert parts.fingerprint == plain.fingerprint
    return True


def rows(log):
    names = [log.behaviors[b] for b in log.behavior]
    return list(zip(log.user, log.item, log.time, names, log.value, strict=True))


def past(queries, q):
    names = [BEHAVIORS[b] for b in queries.behaviors[q]]
    return list(zip(queries.items[q], queries.times[q], names, queries.values[q], strict=True))


def random_log(rng, n=40):
    """Events of nine users and fifteen searches of eleven, on a dozen moments."""
    times = rng.integers(-2, 10, size=n) * DAY // 2 + rng.integers(2, size=n)  # windows open one second past
    columns = (rng.integers(9, size=n), rng.integers(N_ITEMS, size=n), times)
    kinds, values, part = (rng.choice(x, n) for x in (BEHAVIORS, (1.0, 2.5), (0, 0, 1, 2)))
    events = [
        Event(*map(int, row[:3]), str(row[3]), float(row[4]), int(row[5]))
        for row in zip(*columns, kinds, values, part, strict=True)
    ]
    searches = [Search(int(rng.integers(11)), int(rng.integers(-2, 10) * DAY // 2), f"w{n}") for n in range(15)]
    return events, searches


SEEDS = [seed for seed in range(300) if len({group(splitmix(seed, user)) for user in range(9)}) == 3]  # all parts
COLD = [seed for seed in range(1500) if len({group(splitmix(seed, item), 0.9) for item in range(N_ITEMS)}) == 3]
FIELDS = {
    "ask": ("window_start", "each_event", "last"),
    "target": ("first", "all_in_window", "next_k"),
    "repeat": ("new", "any"),
    "candidates": ("known", "all", "held_out"),
    "behaviors": ((), ("buy",)),
}


@pytest.mark.parametrize("kind", SPLITS)
def test_every_combination_agrees_with_the_plain_splitter(kind):
    for number, values in enumerate(product(*FIELDS.values())):
        rng = np.random.default_rng(number)
        clocks = {"global_time": ("seconds",), "leave_last_out": ("seconds", "order")}.get(
            kind, ("seconds", "order", "none") if values[0] == "window_start" else ("seconds", "order")
        )
        for seed in COLD if kind == "cold_items" else SEEDS:
            events, searches = random_log(rng)
            filters = ({}, {}, {"min_item_events": 3, "min_user_events": 2})[rng.integers(3)]
            fit_on = ("train", "train+valid")[rng.integers(2)]
            fields = dict(zip(FIELDS, values, strict=True), filters=filters, fit_on=fit_on, next_k=2)
            board = window(split=kind, test_window_days=1.5, valid_window_days=1.5, **fields)
            if same(shop(events, searches, clocks[rng.integers(len(clocks))]), events, searches, board, seed):
                break
        else:
            raise AssertionError(f"{kind} {values}: no log could be split")


EVENTS = st.lists(
    st.builds(
        Event,
        st.integers(0, 8),
        st.integers(0, N_ITEMS - 1),
        st.tuples(st.integers(-2, 8), st.integers(0, 1)).map(lambda t: t[0] * DAY // 2 + t[1]),  # windows open 1 s past
        st.sampled_from(BEHAVIORS),
        st.sampled_from((1.0, 2.5)),
        st.sampled_from((0, 1, 2)),
    ),
    min_size=1,
    max_size=40,
)
WORDS = st.lists(st.tuples(st.integers(0, 10), st.integers(-3, 10)), max_size=8).map(
    lambda pairs: [Search(user, half * DAY // 2, f"w{n}") for n, (user, half) in enumerate(pairs)]
)
BOARDS = st.builds(
    window,
    split=st.sampled_from(SPLITS),
    test_window_days=st.sampled_from((0.5, 1, 2.25)),
    valid_window_days=st.sampled_from((0.5, 1, 2.25)),
    fit_on=st.sampled_from(("train", "train+valid")),
    next_k=st.integers(1, 3),
    filters=st.sampled_from(({}, {"min_item_events": 2}, {"min_user_events": 2, "min_item_events": 2})),
    **{name: st.sampled_from(values) for name, values in FIELDS.items()},
)


@settings(max_examples=150, deadline=None)
@given(EVENTS, WORDS, BOARDS, st.integers(0, 3))
def test_random_logs_agree_with_the_plain_splitter(events, searches, board, seed):
    same(shop(events, searches), events, searches, board, seed)


@pytest.mark.parametrize("kind", [kind for kind in SPLITS if kind != "random_pairs"])
def test_steps_and_their_behaviors_agree_with_the_plain_splitter(kind):
    ordered = {"target": "next_k", "ordered": True, "split": kind, "test_window_days": 1.5, "valid_window_days": 1.5}
    found = 0
    for number, (ask, repeat, candidates) in enumerate(product(*(FIELDS[n] for n in ("ask", "repeat", "candidates")))):
        rng = np.random.default_rng(number)
        events, searches = random_log(rng, 150)  # many, so that items come again inside a window
        board = window(ask=ask, repeat=repeat, candidates=candidates, next_k=int(rng.integers(2, 5)), **ordered)
        found += same(
            shop(events, searches), events, searches, board, (COLD if kind == "cold_items" else SEEDS)[number]
        )
    assert found > 9, f"{kind}: only {found} of 18 logs could be split"


# Laws


def splits(board_fields):
    """Splits of random logs that have one, with the events they come from."""
    for number in range(5):
        events, searches = random_log(np.random.default_rng(number))
        for kind in SPLITS:
            board = window(split=kind, test_window_days=1.5, valid_window_days=1.5, next_k=2, **board_fields)
            try:
                yield events, searches, board, split(shop(events, searches), board)
            except RecbenchError as error:
                assert "is empty" in str(error)


@pytest.mark.parametrize("ask", FIELDS["ask"])
@pytest.mark.parametrize("target", FIELDS["target"])
@pytest.mark.parametrize("repeat", FIELDS["repeat"])
def test_laws(ask, target, repeat):
    counted = 0
    for events, _, board, parts in splits({"ask": ask, "target": target, "repeat": repeat}):
        learned = {row[:4] for row in rows(parts.train.interactions)}
        for holdout in (parts.valid, parts.test):
            asked = holdout.queries
            ordered = board.split in ("global_time", "leave_last_out", "random_users")
            stays = board.split == "leave_last_out" and target == "first"
            for q in range(len(asked)):
                counted += 1
                user, truth, history = asked.user[q], holdout.truth[q].tolist(), past(asked, q)
                assert truth and len(set(truth)) == len(truth) and asked.candidates[truth].all()
                assert all(time < asked.time[q] for _, time, *_ in history)
                assert all(history[n][1] <= history[n + 1][1] for n in range(len(history) - 1))
                assert repeat == "any" or stays or not set(truth) & {item for item, *_ in history}
                times = [e.time for e in events if e.user == user and e.item in truth]
                assert max(times) > max((time for _, time, *_ in history), default=-DAY * 9) or not ordered
                if ask != "window_start":
                    assert asked.time[q] in times
                words = asked.context.time[asked.searches[q]]
                assert (words < asked.time[q]).all() and (asked.context.user[asked.searches[q]] == user).all()
                if board.split == "random_users":
                    assert user not in parts.train.interactions.user
                if board.split == "random_pairs":
                    assert not {(user, item) for item in truth} & {row[:2] for row in learned}
    assert counted > 50


@pytest.mark.parametrize("kind", SPLITS)
def test_the_files_order_and_the_future_decide_nothing(kind):
    rng = np.random.default_rng(5)
    board = window(split=kind, test_window_days=1.5, valid_window_days=1.5, target="next_k", next_k=1)
    for number in range(40):
        events, searches = random_log(np.random.default_rng(number))
        try:
            parts = split(shop(events, searches), board)
        except RecbenchError:
            continue
        other = split(shop([events[n] for n in rng.permutation(len(events))], searches[::-1]), board)
        assert parts.fingerprint == other.fingerprint and parts.leakage == other.leakage
        assert rows(parts.train.interactions) == rows(other.train.interactions)
        for one, two in ((parts.valid, other.valid), (parts.test, other.test)):
            assert answers(one) == answers(two) and one.queries.time.tolist() == two.queries.time.tolist()
            assert [past(one.queries, q) for q in range(len(one.queries))] == [
                past(two.queries, q) for q in range(len(two.queries))
            ]


def test_the_fingerprint_changes_with_one_event():
    parts = split(shop(LOG), window())
    assert parts.fingerprint == split(shop(LOG), window(ask="last", repeat="new")).fingerprint
    seen = {parts.fingerprint}
    for n, event in enumerate(LOG):
        for change in ({"item": 5}, {"user": 2}, {"time": event.time + 1}, {"behavior": "view"}):
            moved = [*LOG[:n], event._replace(**change), *LOG[n + 1 :]]
            seen.add(split(shop(moved), window(test_window_days=2.5, valid_window_days=2.5)).fingerprint)
    assert len(seen) == 1 + 4 * len(LOG)
    assert split(shop(LOG), window(test_window_days=0.5)).fingerprint not in seen  # other parts of the same events
    assert split(replace(shop(LOG), item_ids=np.arange(1, 8)), window()).fingerprint not in seen


def test_filters_are_fitted_on_the_training_part_alone():
    filters = {"min_item_events": 7, "min_user_events": 3}
    board = window(test_window_days=1.5, valid_window_days=1.5, filters=filters)
    compared = 0
    for number in range(40):
        rng = np.random.default_rng(number)
        events, searches = random_log(rng, 100)
        try:
            parts = split(shop(events, searches), board)
        except RecbenchError:
            continue
        cut = max(e.time for e in events) + 1 - 3 * DAY
        changed = [
            e._replace(item=int(rng.integers(N_ITEMS)), user=int(rng.integers(9))) if e.time >= cut else e
            for e in events
        ]
        try:
            other = split(shop(changed, searches), board)
        except RecbenchError as error:
            assert "holdout is empty" in str(error)
            continue
        compared += 1
        assert rows(parts.train.interactions) == rows(other.train.interactions)
        assert parts.test.queries.candidates.tolist() == other.test.queries.candidates.tolist()
        assert parts.leakage["items_filtered"] == other.leakage["items_filtered"] > 0
    assert compared > 10
