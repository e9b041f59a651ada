"""Features against a second plain implementation, against the future, and against the laws they keep."""

import random
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from features_by_hand import DAY, Event, Item, Search, features_by_hand
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from recbench.data import ContextEvents, Interactions
from recbench.dataset import CLOCKS, Dataset, DatasetInfo
from recbench.errors import RecbenchError
from recbench.features import FeatureParams, Features, behaviour_features, rate_prior
from recbench.past import place
from recbench.standard import Standard

BEHAVIORS, SEARCHES = ("view", "cart", "buy"), ("search", "login")
N_USERS, N_ITEMS = 4, 5
PARAMS = FeatureParams(
    windows="1,2.5,30", half_life_days=3, rate_events=4, dwell_cap_seconds=3 * 3600, searches=2, categories="brand,tags"
)
BY_HAND = {"windows": (1, 2.5, 30), "half_life_days": 3, "rate_events": 4, "dwell_cap_seconds": 3 * 3600, "searches": 2}
PRIOR = np.array([0.5, 0.3, 0.2])
GRID, VALUES = range(-60 * 3600, 72 * 3600, 12 * 3600), (1.0, 5.0, 0.1, -2.5, 1e6)
WORDS = ("red", "Blue shoe", "shoe, red!", "", "a shoe and a hat", "HAT", "...")

PRICES, BRANDS = (None, 0.0, 0.5, 2.0, 199.99), (None, "a", "b")
TAGS = (None, "", "x", "x|y", "y| z |y", ["z", "x"], [])

users, rows = st.integers(0, N_USERS - 1), st.integers(0, N_ITEMS - 1)
times = st.sampled_from(GRID) | st.integers(-40 * DAY, 40 * DAY)  # the first often tie
events = st.builds(Event, users, rows, times, st.sampled_from(BEHAVIORS), st.sampled_from(VALUES))
searches = st.builds(Search, users, times, st.sampled_from(WORDS) | st.none(), st.sampled_from(SEARCHES))
items = st.builds(Item, *map(st.sampled_from, (PRICES, BRANDS, TAGS, (*WORDS, None))))


def crowd(n, kind, *choices):
    """Many rows at once: what is drawn row by row stays too thin for repeats, ties and long histories."""

    def rows(seed):
        rng = random.Random(seed)
        return [kind(*map(rng.choice, choices)) for _ in range(n)]

    return st.integers(0, 10**6).map(rows)


logs = st.lists(events, max_size=25) | crowd(40, Event, range(3), range(4), GRID, BEHAVIORS, VALUES)
searched = st.none() | st.lists(searches, max_size=8) | crowd(12, Search, range(3), GRID, WORDS, SEARCHES)
shelves = crowd(N_ITEMS, Item, PRICES, BRANDS, TAGS, WORDS)
tables = st.none() | st.lists(items, min_size=N_ITEMS, max_size=N_ITEMS) | shelves
quiz = crowd(8, lambda *row: row, range(N_USERS), range(N_ITEMS), GRID[4:])
asked = st.lists(st.tuples(users, rows, times), min_size=1, max_size=8) | quiz


def world(events, searches=None, items=None, clock="seconds"):
    """A data set of rows in any order."""
    columns = zip(*events, strict=True) if events else [[]] * 5
    user, item, time, behavior, value = columns
    log = Interactions.sorted(
        np.array(user, np.int32),
        np.array(item, np.int32),
        np.array(time, np.int64),
        n_users=N_USERS,
        n_items=N_ITEMS,
        behavior=np.array([BEHAVIORS.index(b) for b in behavior], np.int8),
        value=np.array(value, np.float32),
        behaviors=BEHAVIORS,
    )
    context = None
    if searches is not None:
        said = sorted(searches, key=lambda s: s.time)
        user, time = (np.array([s[c] for s in said], d) for c, d in ((0, np.int32), (1, np.int64)))
        text, behavior = np.array([s.text for s in said], object), [SEARCHES.index(s.behavior) for s in said]
        context = ContextEvents(user, time, np.array(behavior, np.int8), text, SEARCHES)
    table = None if items is None else pd.DataFrame(items, columns=Item._fields).astype({"price": float})
    info = DatasetInfo("shop", "ecommerce", clock, "MIT", "by hand")
    return Dataset(info, log, np.arange(N_USERS), np.arange(N_ITEMS), table, context=context)


def features(dataset, questions, params=PARAMS):
    return behaviour_features(dataset, *np.array(questions, np.int64).reshape(-1, 3).T, params, PRIOR)


def leaking(dataset, questions):
    """What a comparison with <= instead of < would give: whole seconds are at most t where they lie before t + 1."""
    return features(dataset, [(user, item, time + 1) for user, item, time in questions])


def counting_all(dataset, questions):
    """The popularity of the whole log beside the right features."""
    right, item = features(dataset, questions), np.array(questions)[:, 1]
    whole = np.bincount(dataset.interactions.item, minlength=N_ITEMS)[item]
    return Features(np.column_stack([right.values, whole]), (*right.names, "popularity"))


def alike(one, other):
    assert one.names == other.names
    np.testing.assert_array_equal(one.values, other.values)


def plain(questions):
    """Only what does not name the hour or the weekday of the moment."""
    clock = {"hour", "hour_sin", "hour_cos", "weekday", "weekend"}
    keep = [f for f, name in enumerate(questions.names) if name not in clock]
    return Features(questions.values[:, keep], tuple(questions.names[f] for f in keep))


# The second implementation.


@settings(max_examples=70, deadline=None)
@given(logs, searched, tables, asked, st.sampled_from(CLOCKS))
def test_equals_the_plain_implementation(events, searches, items, questions, clock):
    given = [e._replace(value=float(np.float32(e.value))) for e in events]
    found = features(world(events, searches, items, clock), questions)
    assert len(set(found.names)) == len(found.names)
    assert found.values.dtype == np.float32
    for row, question in zip(found.values, questions, strict=True):
        hand = features_by_hand(given, searches, items, clock, BEHAVIORS, SEARCHES, question, BY_HAND, PRIOR)
        assert sorted(hand) == sorted(found.names)
        expected = np.array([hand[name] for name in found.names], float)
        np.testing.assert_allclose(row, expected, rtol=1e-6, atol=1e-6, err_msg=str(found.names))


# The future.


def future_matters(compute, examples=60, phases=tuple(Phase)):
    """Computes features, lays any other future over the same past, and asks for the same bits."""

    @settings(max_examples=examples, deadline=None, phases=phases, database=None, report_multiple_bugs=False)
    @given(logs, searched, tables, asked, st.data(), st.sampled_from(CLOCKS))
    def check(events, searches, items, questions, data, clock):
        moments = [e.time for e in events] or [0]
        now = data.draw(st.sampled_from(moments) | times)
        questions = [(user, item, min(time, now)) for user, item, time in questions]
        past, past_searches = [e for e in events if e.time < now], [s for s in searches or [] if s.time < now]
        later = [e._replace(time=now + abs(e.time)) for e in data.draw(logs)]
        later_searches = [s._replace(time=now + abs(s.time)) for s in data.draw(searched) or []]
        known = {e.item for e in past} | {item for _, item, _ in questions}
        other = items and [
            row if i in known else new
            for i, (row, new) in enumerate(zip(items, data.draw(tables.filter(bool)), strict=True))
        ]
        said = searches if searches is None else past_searches + later_searches
        alike(
            compute(world(events, searches, items, clock), questions),
            compute(world(past + later, said, other, clock), questions),
        )

    check()


def test_no_feature_changes_when_the_future_changes():
    future_matters(features)


@pytest.mark.parametrize("leak", [leaking, counting_all])
def test_a_leak_is_found(leak):
    with pytest.raises(AssertionError):
        future_matters(leak, examples=400, phases=(Phase.generate,))


def test_huge_values_of_others_leave_a_mean_alone():
    """A running sum of floats over all users would lose the small values behind the large one."""
    mine = [Event(1, 0, t, "view", 0.25 + t / 1000) for t in range(10)]
    loud = [Event(0, 0, 0, "view", 8e6) for _ in range(1000)]
    question = [(1, 0, 100)]
    one, other = features(world(mine), question), features(world(mine + loud), question)
    column = one.names.index("user_view_mean_value")
    assert one.values[0, column] == other.values[0, column] == np.float32(0.2545)


# Laws.


@settings(max_examples=20, deadline=None)
@given(logs, searched, tables, asked, st.integers(-(10**9), 10**9))
def test_only_the_hour_and_the_weekday_know_the_date(events, searches, items, questions, shift):
    moved = [e._replace(time=e.time + shift) for e in events]
    words = searches and [s._replace(time=s.time + shift) for s in searches]
    later = [(user, item, time + shift) for user, item, time in questions]
    before, after = features(world(events, searches, items), questions), features(world(moved, words, items), later)
    alike(plain(before), plain(after))


@settings(max_examples=20, deadline=None)
@given(logs, searched, tables, asked, st.randoms())
def test_rows_follow_their_questions(events, searches, items, questions, random):
    dataset, order = world(events, searches, items), list(range(len(questions)))
    random.shuffle(order)
    whole = features(dataset, questions)
    alike(features(dataset, [questions[n] for n in order]), replace(whole, values=whole.values[order]))
    alike(features(dataset, questions[:1]), replace(whole, values=whole.values[:1]))


@settings(max_examples=20, deadline=None)
@given(logs, searched, tables, asked, st.randoms())
def test_the_order_of_the_file_is_nothing(events, searches, items, questions, random):
    before = features(world(events, searches, items), questions)
    random.shuffle(events)
    random.shuffle(searches or [])
    alike(before, features(world(events, searches, items), questions))


@settings(max_examples=30, deadline=None)
@given(st.sets(st.integers(0, 30)), st.lists(st.integers(0, 30)), st.integers(1, 100))
def test_a_value_is_found_where_it_stands(known, values, scale):
    """By the table where the numbers are small for their count, by search where they are not."""
    known, values = np.array(sorted(known), np.int64) * scale, np.array(values, np.int64) * scale
    at, found = place(known, values)
    assert found.tolist() == np.isin(values, known).tolist()
    assert known[at[found]].tolist() == values[found].tolist()


def test_no_question_has_no_row():
    found = features(world([Event(0, 0, 5)]), [])
    assert found.values.shape == (0, len(found.names)) and len(found) == 0


# By hand, and at size.

STORY = [
    Event(0, 1, -2 * DAY, "view"),
    Event(0, 1, 0, "view"),
    Event(0, 2, 100, "buy", 3),
    Event(1, 1, 100, "view"),
    Event(0, 1, 4 * DAY, "buy"),
    Event(0, 1, 5 * DAY, "view"),
]
SHELF = [
    Item(None, None, None, ""),
    Item(8.0, "a", "x", "a red shoe"),
    Item(2.0, "b", "y", "hat"),
    Item(1.0, "a", None, ""),
    Item(1.0, None, "x|y", None),
]


def test_a_story_told_by_hand():
    found = features(
        world(STORY, [Search(0, 1, "Red hat"), Search(0, 2, "shoe")], SHELF), [(0, 1, 5 * DAY), (0, 4, 5 * DAY)]
    )
    known = dict(zip(found.names, found.values[0].tolist(), strict=True))
    expected = {
        "user_view_count": 2, "user_buy_count": 2, "user_buy_count_1d": 1, "user_buy_count_2.5d": 1,
        "user_days_known": 7, "user_days_since_view": 5, "user_days_between_view": 2, "user_buy_mean_value": 2,
        "user_buy_rate": (2 + 4 * 0.2) / 8, "user_buy_price_ratio": np.log(8.0) - np.log(4.0), "item_price": 8,
        "item_view_count": 3, "pair_buy_count": 1, "pair_days_since_buy": 1, "pair_days_between_view": 2,
        "item_buy_popularity": 2 ** (-1 / 3), "same_brand_share": 3 / 4, "same_brand_days_since": 1,
        "user_dwell_seconds": (3 * 3600 * 2 + 100) / 3, "item_dwell_seconds": (3 * 3600 + 100) / 2,
        "context_search_count": 2, "search_match_last": 1, "search_match_best": 1, "hour": 0, "weekday": 1,
    }  # fmt: skip
    assert {name: known[name] for name in expected} == pytest.approx(expected, rel=1e-6)
    second = dict(zip(found.names, found.values[1].tolist(), strict=True))
    assert (second["same_tags_share"], second["same_tags_days_since"]) == (1 / 2, 1)  # x was met three times, y once
    assert np.isnan(known["item_days_between_buy"]) and np.isnan(known["pair_days_since_cart"])


def test_fifty_years_of_a_large_log():
    """Counts and fading sums of 200,000 events, where weights span more powers of two than a float has."""
    rng = np.random.default_rng(0)
    n, span = 200_000, 50 * 365 * DAY
    user, item = (np.minimum(rng.zipf(1.5, n) - 1, top - 1) for top in (3000, 500))
    log = Interactions.sorted(user, item, rng.integers(-span // 2, span // 2, n), n_users=3000, n_items=500)
    dataset = replace(world([]), interactions=log, user_ids=np.arange(3000), item_ids=np.arange(500))
    at = rng.integers(n, size=40)
    found = behaviour_features(dataset, log.user[at], log.item[at], log.time[at], replace(PARAMS, half_life_days=0.5))
    for row, n in zip(found.values, at, strict=True):
        known, past = dict(zip(found.names, row, strict=True)), log.time < log.time[n]
        mine = past & (log.item == log.item[n])
        age = (log.time[n] - log.time[mine]) / DAY
        assert known["item_interact_count"] == mine.sum() == known["item_interact_count_30d"] + (age > 30).sum()
        assert known["item_interact_popularity"] == pytest.approx(np.exp2(-age / 0.5).sum(), rel=1e-6, abs=1e-30)
        assert known["pair_interact_count"] == (mine & (log.user == log.user[n])).sum()


@pytest.mark.parametrize(
    ("clock", "there", "absent"),
    [
        ("seconds", "user_dwell_seconds hour weekday user_view_count_1d item_view_popularity", "user_steps_known"),
        ("minutes", "user_dwell_seconds hour weekday user_view_count_1d item_view_popularity", "user_steps_known"),
        ("days", "weekday user_view_count_1d item_view_popularity user_days_since_view", "hour user_dwell_seconds"),
        ("months", "item_view_popularity user_days_since_view", "hour weekday user_view_count_1d user_view_count_30d"),
        ("order", "user_steps_since_view pair_steps_known item_view_count",
         "item_steps_since_view item_view_popularity user_view_count_1d hour user_days_known"),
        ("none", "user_view_count item_view_rate pair_view_count user_view_mean_value",
         "user_steps_since_view user_days_known item_view_popularity hour"),
    ],
)  # fmt: skip
def test_what_a_clock_cannot_tell_is_left_out(clock, there, absent):
    names = set(features(world([Event(0, 0, 5)], clock=clock), [(0, 0, 9)]).names)
    assert set(there.split()) <= names and not names & set(absent.split())


def test_one_behaviour_has_no_rate():
    log = replace(world([]).interactions, behaviors=("view",))
    names = behaviour_features(replace(world([]), interactions=log), *np.zeros((3, 1), int)).names
    assert "user_view_count" in names and not [name for name in names if name.endswith("_rate")]


def test_the_prior_of_the_rates_is_the_share_of_each_behaviour():
    prior = rate_prior(world([Event(0, 0, 1), Event(0, 0, 2), Event(0, 0, 3, "buy")]).interactions)
    assert prior.tolist() == [3 / 6, 1 / 6, 2 / 6]


@pytest.mark.parametrize(
    ("questions", "windows", "fragment"),
    [
        (([0], [N_ITEMS], [0]), "1", "item must lie in 0..4; given 5..5"),
        (([-1], [0], [0]), "1", "user must lie in 0..3; given -1..-1"),
        (([0, 1], [0, 1], [0]), "1", "equal length; given [2, 2, 1]"),
        (([0], [0], [0]), "1,week", "windows must be days above 0 separated by commas, as in 1,7,30; given '1,week'"),
        (([0], [0], [0]), "0", "given '0'"),
        (([0], [0], [0]), "nan", "given 'nan'"),
    ],
)
def test_wrong_questions_are_one_line(questions, windows, fragment):
    with pytest.raises(RecbenchError) as error:
        behaviour_features(world([Event(0, 0, 5)]), *questions, FeatureParams(windows=windows))
    assert fragment in str(error.value) and "\n" not in str(error.value)


# Standard.


def raw(**columns):
    return Features(np.column_stack([np.array(c, np.float32) for c in columns.values()]), tuple(columns))


NONE = np.nan
TRAIN = raw(
    tall=[0, 0, 0, 0, 0, 99],
    flat=[-2, -1, 0, 0, 1, 2],
    holed=[NONE, 1, 2, 3, NONE, 3],
    twin=[NONE, 5, 4, 3, NONE, 4],
    fixed=[7] * 6,
    empty=[NONE] * 6,
    mostly=[4, NONE, 4, 4, 4, 4],
)


def test_standard_follows_rules_fitted_on_training():
    standard = Standard.fit(TRAIN)
    assert standard.names == ("tall", "flat", "holed", "twin", "holed_missing", "mostly_missing")
    out = standard(TRAIN)
    assert out.names == standard.names and not np.isnan(out.values).any() and out.values.dtype == np.float32
    np.testing.assert_allclose(out.values[:, :4].mean(0), 0, atol=1e-6)
    np.testing.assert_allclose(out.values[:, :4].std(0), 1, atol=1e-6)
    logged = np.log1p([0, 0, 0, 0, 0, 99.0])
    np.testing.assert_allclose(out.values[:, 0], (logged - logged.mean()) / logged.std(), rtol=1e-6)
    filled = np.array([2.5, 1, 2, 3, 2.5, 3])
    np.testing.assert_allclose(out.values[:, 2], (filled - filled.mean()) / filled.std(), rtol=1e-6)
    assert out.values[:, 4:].T.tolist() == [[1, 0, 0, 0, 1, 0], [0, 1, 0, 0, 0, 0]]


def test_standard_never_looks_at_what_it_is_given():
    """A row comes out the same whatever stands beside it, also far outside the training part and below zero."""
    standard = Standard.fit(TRAIN)
    far = replace(TRAIN, values=np.full((2, 7), [[-5], [1e6]], np.float32))
    both = standard(replace(TRAIN, values=np.r_[TRAIN.values, far.values]))
    np.testing.assert_array_equal(both.values, np.r_[standard(TRAIN).values, standard(far).values])
    assert both.values[6, 0] == both.values[0, 0]  # where the logarithm is taken, less than 0 counts as 0
    missing = standard(replace(TRAIN, values=np.full((1, 7), NONE, np.float32)))
    np.testing.assert_allclose(missing.values[0, 1], 0, atol=1e-6)  # the median of flat is its mean
    assert missing.values[0, 4:].tolist() == [1, 1]


def test_standard_refuses_other_features():
    standard = Standard.fit(TRAIN)
    with pytest.raises(RecbenchError, match="differ in extra; compute both"):
        standard(Features(np.zeros((1, 8), np.float32), (*TRAIN.names, "extra")))
    with pytest.raises(RecbenchError, match="differ in their order"):
        standard(replace(TRAIN, names=TRAIN.names[::-1]))
    with pytest.raises(RecbenchError, match="at least one row"):
        Standard.fit(replace(TRAIN, values=TRAIN.values[:0]))


def test_standard_of_nothing_but_constants_is_empty():
    fixed = raw(fixed=[7, 7], empty=[NONE, NONE])
    assert Standard.fit(fixed)(fixed).values.shape == (2, 0)


@settings(max_examples=20, deadline=None)
@given(logs, searched, tables, asked)
def test_standard_takes_any_features(events, searches, items, questions):
    raw = features(world(events, searches, items), questions)
    assert np.isfinite(Standard.fit(raw)(raw).values).all()
