"""Cleaning and conversion against values worked out by hand and a second, naive pass over the rows."""

import json
from collections import Counter, defaultdict
from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recbench.errors import RecbenchError
from recbench.ingest import Cleaning, Columns, Quarantine, clean, from_sequences, log_of, positions, sessions


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("RECBENCH_CACHE", str(tmp_path_factory.mktemp("cache")))


def cleaned(user, item, prefix="data.", max_broken=1.0, blocks=None, **given):
    """Rows cleaned by the rules given; columns and rules are told apart by their names."""
    roles = {name: given.pop(name) for name in ("time", "behavior", "value", "text") if name in given}
    columns = [Columns({"user": user, "item": item} | roles, "rows")] if blocks is None else blocks
    return clean(columns, Cleaning(max_broken=max_broken, **given), Quarantine("test", "", max_broken), prefix)


def utc(text):
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())


NEW_YEAR = utc("2020-01-01")


@pytest.mark.parametrize(
    ("written", "expected", "clock"),
    [
        ([1577836800, 1577836861], [NEW_YEAR, NEW_YEAR + 61], "seconds"),
        ([1577836800123, 1577836861999], [NEW_YEAR, NEW_YEAR + 61], "seconds"),
        ([1577836800123456, 1577836861999999], [NEW_YEAR, NEW_YEAR + 61], "seconds"),
        ([1577836800123456789, 1577836861999999999], [NEW_YEAR, NEW_YEAR + 61], "seconds"),
        ([1577836800.5, 1577836861.25], [NEW_YEAR, NEW_YEAR + 61], "seconds"),
        (["1577836800", "1577836861.9"], [NEW_YEAR, NEW_YEAR + 61], "seconds"),
        ([-1577836860, 1577836800], [-1577836860, NEW_YEAR], "minutes"),
        (["2020-01-01T00:00:00Z", "2020-01-01T01:01:01+01:00"], [NEW_YEAR, NEW_YEAR + 61], "seconds"),
        (["2020-01-01 00:00:00 UTC", "2020-01-01 00:01:01 UTC"], [NEW_YEAR, NEW_YEAR + 61], "seconds"),
        (["2020-01-01T00:00:00.999", "2020-01-01 00:01:01"], [NEW_YEAR, NEW_YEAR + 61], "seconds"),
        (["1969-12-31T23:59:58.5", "2020-01-01"], [-2, NEW_YEAR], "seconds"),
        (["2020-01-01 00:00", "2020-01-02 03:04"], [NEW_YEAR, utc("2020-01-02 03:04")], "minutes"),
        (["2020-01-01", "2020-01-02"], [NEW_YEAR, NEW_YEAR + 86400], "days"),
        ([20200101, 20200229], [NEW_YEAR, utc("2020-02-29")], "days"),
        (["2020-01", "2020-03"], [NEW_YEAR, utc("2020-03-01")], "months"),
        (["2020-01-01", "2020-02-01"], [NEW_YEAR, utc("2020-02-01")], "months"),
        (["2020-01-01", "2020-01-01"], [NEW_YEAR, NEW_YEAR], "days"),
        (pd.to_datetime(["2020-01-01", "2020-01-02"]), [NEW_YEAR, NEW_YEAR + 86400], "days"),
        (pd.to_datetime(["2020-01-01T01:00+01:00", "2020-01-01T00:01:01+00:00"], utc=True, format="ISO8601"), [NEW_YEAR, NEW_YEAR + 61], "seconds"),
        (pa.array([18262, 18263], pa.date32()), [NEW_YEAR, NEW_YEAR + 86400], "days"),
    ],
)  # fmt: skip
def test_times_become_utc_seconds_and_the_clock_is_measured(written, expected, clock):
    found = cleaned(["u", "u"], ["a", "b"], time=written)
    assert found.log.time.tolist() == expected and found.clock == clock


@pytest.mark.parametrize("as_text", [True, False])
def test_local_times_follow_their_zone_through_the_year(as_text):
    """Berlin: an hour ahead in winter, two in summer; the hour that comes twice is the first, days stay days."""
    local = ["2020-01-01 12:00", "2020-07-01 12:00", "2020-10-25 02:30", "2020-10-25 03:30"]
    expected = [utc(t) for t in ("2020-01-01 11:00", "2020-07-01 10:00", "2020-10-25 00:30", "2020-10-25 02:30")]
    written = [*local[:3], "2020-10-25T02:30:00Z"] if as_text else pd.to_datetime(local)
    found = cleaned(["u"] * 4, list("abcd"), time=written, timezone="Europe/Berlin")
    assert found.log.time.tolist() == expected and found.clock == "minutes"
    found = cleaned(["u"] * 2, ["a", "b"], time=["2020-01-01", "2020-07-02"], timezone="America/New_York")
    assert found.clock == "days" and found.log.time.tolist() == [utc("2020-01-01 05:00"), utc("2020-07-02 04:00")]


def test_a_format_is_followed_and_asked_for():
    given = ["12/01/2010 8:26", "01/12/2010 08:27"]
    found = cleaned([1, 1], [2, 3], time=given, time_format="%d/%m/%Y %H:%M")
    assert found.log.time.tolist() == [utc("2010-01-12 08:26"), utc("2010-12-01 08:27")] and found.clock == "minutes"
    assert cleaned([1, 1], [2, 3], time=[201012, 201101], time_format="%Y%m").clock == "months"
    for format_given in ("", "%Y/%m/%d"):
        with pytest.raises(RecbenchError, match=r"the time '12/01/2010 8:26' is no.*write data.time_format as in %d"):
            cleaned([1, 1], [2, 3], time=given, time_format=format_given)
    with pytest.raises(RecbenchError, match="timezone=Mars/Base: no such zone"):
        cleaned([1], [1], time=["2020-01-01"], timezone="Mars/Base")


def test_without_a_clock_the_order_counts():
    found = cleaned([7, 8, 7, 7], list("abca"))
    assert found.clock == "order" and found.log.time.tolist() == [0, 0, 1, 2]
    steps = cleaned([7, 8, 7, 7], list("abca"), time=[30, 10, 30, 20])  # counts, not seconds: 30 comes twice
    assert steps.clock == "order" and steps.time_form == "steps"
    assert [(u, t) for u, t in zip(steps.log.user.tolist(), steps.log.time.tolist(), strict=True)] == [
        (1, 0), (0, 0), (0, 1), (0, 1)]  # fmt: skip
    assert cleaned([7, 8], [1, 2], time=[30, 10], clock="seconds").log.time.tolist() == [10, 30]
    with pytest.raises(RecbenchError, match=r"data\.clock=days needs times"):
        cleaned([7, 8], [1, 2], clock="days")


def test_a_search_is_a_context_event_and_counts_as_a_step():
    found = cleaned(
        [1, 1, 2, 1],
        ["a", None, "", "b"],
        text=[None, "red shoes ", "hat", ""],
        behavior=["view", "search", "search", "view"],
    )
    assert found.log.behaviors == ("view",) and found.context.behaviors == ("search",)
    assert found.context.text.tolist() == ["hat", "red shoes"] and found.context.time.tolist() == [0, 1]
    assert found.log.time.tolist() == [0, 2] and found.user_ids.tolist() == [1, 2]
    assert cleaned([1, 1], ["a", None], text=["", "x"]).context.behaviors == ("search",)
    beside = cleaned([1, 1], ["a", "b"], text=["x", ""])
    assert beside.context is None and beside.cleaning["noted: words beside an item, not kept"] == 1


def test_rows_without_what_they_need_are_set_aside():
    found = cleaned(
        [1, None, 1, 1, 1], ["a", "a", None, "a", "x" * 300], behavior=["v", "v", "v", "", "v"], text=[""] * 5
    )
    assert found.cleaning == {
        "rows read": 5, "quarantined: no user": 1, "quarantined: no item and no words": 1,
        "quarantined: an id of more than 256 letters": 1, "quarantined: no behavior": 1, "events": 1, "context events": 0,
    }  # fmt: skip


def test_values_missing_refused_and_clipped():
    value = ["1.5", "", None, "9", "-3", "abc", "inf", "nan", "1e39"]
    rows = [1] * 9, list("abcdefghi")
    found = cleaned(*rows, value=value)
    assert found.log.value.tolist() == [1.5, 1, 1, 9, -3] and found.cleaning["noted: no value, taken as 1"] == 2
    assert found.cleaning["quarantined: a value that is no finite number"] == 4
    found = cleaned(*rows, value=value, missing_value="drop", value_low=0.0, value_high=5.0)
    assert found.log.value.tolist() == [1.5] and found.cleaning["dropped: no value"] == 2
    assert found.cleaning["quarantined: a value outside value_low and value_high"] == 2
    found = cleaned(*rows, value=value, value_low=0.0, value_high=5.0, value_outside="clip")
    assert found.log.value.tolist() == [1.5, 1, 1, 5, 0] and found.cleaning["noted: values clipped"] == 2


def test_an_id_that_a_float_has_lost_is_refused():
    found = cleaned(np.array([1.0, 2.0, np.nan, 2.0**53]), [1, 1, 1, 1])
    assert found.user_ids.tolist() == [1, 2] and found.user_ids.dtype == np.int64
    assert found.cleaning["quarantined: an id beyond 2**53 that was stored as a float"] == 1


def test_bots_are_users_of_one_day_too_many():
    day = 86400
    user, time = [1, 1, 1, 2, 2, 2, 3], NEW_YEAR + np.array([0, 1, 2, 0, 1, day, 0])
    found = cleaned(user, list("abcdefg"), time=time, max_events_per_user_day=2)
    assert found.user_ids.tolist() == [2, 3] and found.cleaning["dropped: users with too many events on a day"] == 3
    assert found.item_ids.tolist() == list("defg")
    with pytest.raises(RecbenchError, match="max_events_per_user_day=2 needs times"):
        cleaned(user, list("abcdefg"), max_events_per_user_day=2)


def test_behaviors_are_few():
    with pytest.raises(RecbenchError, match="the column of behaviors holds 128 of them"):
        cleaned([1] * 128, [1] * 128, behavior=[f"b{n}" for n in range(128)])


def test_nothing_left_is_an_error():
    for rules in (
        {"value": [None, None], "missing_value": "drop"},
        {"time": [NEW_YEAR, NEW_YEAR], "max_events_per_user_day": 1},
    ):
        with pytest.raises(RecbenchError, match="no event is left of 2 rows"):
            cleaned([1, 1], [1, 2], **rules)
    with pytest.raises(RecbenchError, match="none of 0 rows is left"):
        cleaned([], [])


def test_where_a_row_comes_from_is_kept(tmp_path):
    aside = Quarantine("shop", "key", 1.0)
    blocks = [
        Columns({"user": [1, None], "item": [1, 1]}, "a.log", [3, 9], ["x", "the text"].__getitem__),
        Columns({"user": [1, None], "item": [1, 5]}, "b.log", 20),
    ]
    clean(blocks, Cleaning(max_broken=0.5), aside)
    assert [tuple(json.loads(line).values()) for line in aside.path.open()] == [
        ("a.log", 9, "no user", "the text"), ("b.log", 21, "no user", "user=None, item=5")]  # fmt: skip


ROW = st.tuples(
    st.sampled_from(["1", "2", "03", "x", " x", ""]), st.sampled_from(["a", "b", "7", ""]),
    st.sampled_from([NEW_YEAR, NEW_YEAR + 7, NEW_YEAR + 86400]), st.sampled_from(["view", "buy"]),
    st.sampled_from([None, 1.0, 2.5]), st.sampled_from(["", "w"]),
)  # fmt: skip


def by_hand(rows, duplicates, most, missing):
    """(events, searches) as sorted tuples of text: the same rules, row after row."""
    rows = [(u.strip(), i, t, b, v, w) for u, i, t, b, v, w in rows]
    rows = [row for row in rows if row[0] and (row[1] or row[5])]
    rows = [row for row in rows if missing == "one" or row[4] is not None or not row[1]]
    per_day = Counter((u, t // 86400) for u, _, t, *_ in rows)
    bots = {u for (u, _), n in per_day.items() if most and n > most}
    rows = [row for row in rows if row[0] not in bots]
    events = defaultdict(list)
    for n, (u, i, t, b, v, _) in enumerate(rows):
        if i:
            events[(u, i, t, b, n if duplicates == "keep" else 0)].append(1.0 if v is None else v)
    values = {key: sum(v) if duplicates == "count" else v[0] for key, v in events.items()}
    searches = [(u, t, b, w) for u, i, t, b, _, w in rows if not i]
    return sorted((*key[:4], value) for key, value in values.items()), sorted(searches)


@settings(max_examples=150, deadline=None, derandomize=True, database=None)
@given(
    st.lists(ROW, min_size=1, max_size=25), st.sampled_from(["keep", "first", "count"]), st.sampled_from([0, 2]),
    st.sampled_from(["one", "drop"]), st.integers(1, 25),
)  # fmt: skip
def test_cleaning_equals_a_naive_pass(rows, duplicates, most, missing, size):
    roles = ("user", "item", "time", "behavior", "value", "text")
    parts = [rows[at : at + size] for at in range(0, len(rows), size)]
    blocks = [Columns(dict(zip(roles, map(list, zip(*part, strict=True)), strict=True))) for part in parts]
    events, searches = by_hand(rows, duplicates, most, missing)
    rules = {"duplicates": duplicates, "max_events_per_user_day": most, "missing_value": missing}
    if not events:
        with pytest.raises(RecbenchError, match="is left"):
            cleaned([], [], blocks=blocks, **rules)
        return
    found = cleaned([], [], blocks=blocks, **rules)
    log, asked = found.log, found.context
    names = found.user_ids[log.user].tolist(), found.item_ids[log.item].tolist()
    words = [log.behaviors[b] for b in log.behavior]
    read = sorted(zip(*names, log.time.tolist(), words, log.value.tolist(), strict=True))
    assert [tuple(map(str, row)) for row in read] == [tuple(map(str, row)) for row in events]
    kept = [] if asked is None else sorted(zip(found.user_ids[asked.user].tolist(), asked.time.tolist(),
                                               [asked.behaviors[b] for b in asked.behavior], asked.text.tolist(), strict=True))  # fmt: skip
    assert [tuple(map(str, row)) for row in kept] == [tuple(map(str, row)) for row in searches]
    lost = sum(n for step, n in found.cleaning.items() if step.startswith(("quarantined: ", "dropped: ")))
    assert found.cleaning["rows read"] == len(rows) == len(events) + len(searches) + lost
    assert len(found.user_ids) == len({row[0] for row in [*events, *searches]}) == log.n_users


@settings(max_examples=60, deadline=None, derandomize=True, database=None)
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 200)), max_size=30), st.sampled_from([0.5, 1, 2]))
def test_sessions_equal_a_walk(rows, gap):
    """Within a user, in time order, a new one after each longer absence; numbered user after user."""
    user, time = (np.array(column, np.int64) for column in zip(*rows, strict=True)) if rows else (np.empty(0, int),) * 2
    expected, number, last = np.empty(len(rows), np.int64), -1, None
    for row in sorted(range(len(rows)), key=lambda r: (user[r], time[r])):
        number += last is None or last[0] != user[row] or time[row] - last[1] > gap * 60
        expected[row], last = number, (user[row], time[row])
    assert sessions(user, time, gap).tolist() == expected.tolist()


def test_log_of_positions_and_sequences():
    log, user_ids, item_ids = log_of(["b", "a", "b"], [30, 10, 10], behavior=np.array([0, 0, 1]), behaviors=("v", "w"))
    assert user_ids.tolist() == ["a", "b"] and item_ids.tolist() == [10, 30]
    assert positions(np.array([4, 2, 4, 4, 2])).tolist() == [0, 0, 1, 2, 1]
    assert (log.user.tolist(), log.item.tolist(), log.time.tolist()) == ([1, 0, 1], [1, 0, 0], [0, 0, 1])
    log, user_ids, item_ids = from_sequences("7 5 3\n2 3\n")
    assert user_ids.tolist() == [2, 7] and item_ids.tolist() == [3, 5] and log.time.tolist() == [0, 0, 1]
    for text, message in (("", "it is empty"), ("1 2\n3\n", "line 2 holds no"), ("1 2\n1 3\n", "line 2 repeats user 1"),
                          ("1 x\n", "line 1 must hold whole"), ("1 99999999999999999999\n", "line 1 must hold")):  # fmt: skip
        with pytest.raises(ValueError, match=message):
            from_sequences(text)
