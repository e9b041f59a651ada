"""Access logs, questionnaires and app events, from their lines to a log; every line is accounted for."""

from __future__ import annotations

import gzip
import json

import numpy as np
import pytest
from recbench_collect.access_log import parsed
from recbench_collect.answers import steps_of, value_of
from recbench_collect.app_events import AppEvents, AppEventsParams
from recbench_collect.survey import Survey, SurveyParams
from recbench_collect.web_log import WebLog, WebLogParams

from recbench.errors import RecbenchError

NOON = int(np.datetime64("2026-03-01T12:00:00").astype(int))
CHROME = "Mozilla/5.0 (X11; Linux x86_64) Chrome/140"


@pytest.fixture(autouse=True)
def cache(monkeypatch, tmp_path):
    monkeypatch.setenv("RECBENCH_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def line(
    target: str, second: int = 0, address: str = "203.0.113.9", status: int = 200, agent: str = CHROME, **how
) -> str:
    moment = np.datetime64("2026-03-01T13:00:00") + np.timedelta64(
        second, "s"
    )  # noon in UTC, an hour later on the wall
    stamp = f"{str(moment)[8:10]}/Mar/2026:{str(moment)[11:]} +0100"
    login, method = how.get("login", "-"), how.get("method", "GET")
    return f'{address} - {login} [{stamp}] "{method} {target} HTTP/1.1" {status} 512 "-" "{agent}"'


def web(tmp_path, lines: list[str], name: str = "access.log", **params) -> WebLog:
    path = tmp_path / name
    text = "".join(each + "\n" for each in lines).encode()
    path.write_bytes(gzip.compress(text) if name.endswith(".gz") else text)
    return WebLog(WebLogParams(path=str(path), **params))


def accounted(data, n_lines: int) -> None:
    """Rows read are the lines, and each is an event, a search, dropped or quarantined."""
    counts = data.cleaning
    assert counts["rows read"] == n_lines
    rest = sum(n for name, n in counts.items() if name.startswith(("dropped", "quarantined")))
    assert counts["events"] + counts["context events"] + rest == n_lines


def test_a_visit_is_read_off_the_log(tmp_path):
    lines = [
        line("/product/cup?ref=mail"),
        line("/static/site.css", 1),
        line("/search?lang=en&q=red+cup%21", 5),
        line("/product/pot", 9),
        line("/cart/add/pot", 12, status=302, method="POST"),
        line("/purchase/pot", 20, method="POST"),
        line("/about", 21),
        line("/product/gone", 22, status=404),
        line("/product/cup", 23, method="HEAD"),
        line("/product/cup", 24, agent="Googlebot/2.1"),
        line("/robots.txt", 25, address="198.51.100.7"),
        line("/product/cup", 26, address="198.51.100.7"),
        line("/product/cup", 30, address="198.51.100.8"),
    ]
    data = web(tmp_path, lines, "access.log.gz").load()
    log = data.interactions
    assert data.item_ids.tolist() == ["cup", "pot"] and data.n_users == 2
    said = [
        (str(data.item_ids[i]), log.behaviors[b], int(t))
        for i, b, t in zip(log.item, log.behavior, log.time, strict=True)
    ]
    assert said == [
        ("cup", "view", NOON),
        ("pot", "view", NOON + 9),
        ("pot", "cart", NOON + 12),
        ("pot", "purchase", NOON + 20),
        ("cup", "view", NOON + 30),
    ]
    assert len(set(log.user[:4])) == 1 and log.user[4] != log.user[0]
    assert data.context is not None and data.context.text.tolist() == ["red cup!"]
    assert data.context.time.tolist() == [NOON + 5] and data.context.behaviors == ("search",)
    dropped = {name.removeprefix("dropped: "): n for name, n in data.cleaning.items() if "dropped" in name}
    assert dropped == {"assets": 1, "methods": 1, "errors": 1, "bots": 3, "other_pages": 1}
    accounted(data, len(lines))
    assert data.info.clock == "seconds" and "203.0.113.9" not in "".join(map(str, data.user_ids))


def test_broken_lines_are_set_aside_whole(tmp_path, cache):
    whole = [line(f"/product/{n}", n) for n in range(50)]
    broken = [
        "",
        'no log "at all',
        whole[3][:40],
        '{"remote_addr": "203.0.113.9"',
        line("/product/x").replace("Mar", "Foo"),
    ]
    data = web(tmp_path, [*whole[:20], *broken, *whole[20:]], max_broken=0.2).load()
    accounted(data, 54)  # a blank line is none
    (kept,) = (cache / "quarantine").glob("web-log-*.jsonl")
    rows = [json.loads(each) for each in kept.read_text().splitlines()]
    assert [row["raw"] for row in rows] == broken[1:] and [row["line"] for row in rows] == [22, 23, 24, 25]
    with pytest.raises(RecbenchError, match=r"4 of 54 rows are broken .* first line 22 of access\.log"):
        web(tmp_path, [*whole[:20], *broken, *whole[20:]]).load()


def test_json_logs_of_several_servers_say_the_same():
    nginx = {
        "remote_addr": "203.0.113.9",
        "time_iso8601": "2026-03-01T13:00:00+01:00",
        "request": "GET /product/cup HTTP/1.1",
        "status": "200",
        "http_user_agent": CHROME,
    }
    caddy = {
        "ts": NOON + 0.25,
        "request": {"remote_ip": "203.0.113.9", "method": "GET", "uri": "/product/cup"},
        "status": 200,
        "user_agent": CHROME,
    }
    balancer = {
        "client_ip": "203.0.113.9",
        "time": NOON * 1000,
        "method": "get",
        "url": "/product/cup",
        "status_code": 200,
        "agent": CHROME,
    }
    combined = parsed(line("/product/cup"))
    assert parsed(json.dumps(nginx)) == combined and parsed(json.dumps(caddy)) == combined
    assert parsed(json.dumps(balancer))._replace(method="GET") == combined
    assert parsed('h - ann [01/Mar/2026:12:00:00 +0000] "GET / HTTP/1.0" 200 -').login == "ann"


@pytest.mark.parametrize(
    "text",
    [
        '{"remote_addr": "h", "time": 1, "status": 200}',
        '{"remote_addr": "h", "time": "2026-03-01T13:00:00", "request": "GET / HTTP/1.1", "status": 200}',
        'h - - [01/Mar/2026:12:00:00 +0000] "\\x16\\x03" 400 0',
        'h - - [31/Feb/2026:12:00:00 +0000] "GET / HTTP/1.0" 200 -',
        "[1, 2]",
    ],
)
def test_what_is_no_request_is_refused(text):
    with pytest.raises((ValueError, AttributeError)):
        parsed(text)


def test_a_session_ends_by_absence(tmp_path):
    lines = [line("/product/a", 0), line("/product/b", 1799), line("/product/c", 1799 + 1801)]
    assert web(tmp_path, lines).load().n_users == 1
    data = web(tmp_path, lines, user="session").load()
    assert data.n_users == 2 and data.interactions.user.tolist() == [0, 0, 1]


def test_too_many_pages_make_a_bot(tmp_path):
    lines = [line(f"/product/{n}", n, address="198.51.100.7") for n in range(6)] + [line("/product/1", 9)]
    data = web(tmp_path, lines, most_a_day=5).load()
    assert len(data.interactions) == 1 and data.cleaning["dropped: bots"] == 6
    assert len(web(tmp_path, lines, most_a_day=6).load().interactions) == 7


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({"view": "^/x/(.*)"}, ["data.view=", "takes nothing out", "(?P<item>...)"]),
        ({"search": "^/x/(?P<item>.*)"}, ["data.search=", "(?P<words>...)"]),
        ({"cart": "("}, ["data.cart=(", "no regular expression"]),
        ({"view": "^/nowhere/(?P<item>.+)"}, ["none of 1 requests", "data.view="]),
    ],
)
def test_a_wrong_pattern_is_one_line(tmp_path, params, words):
    with pytest.raises(RecbenchError) as caught:
        web(tmp_path, [line("/product/a")], **params).load()
    assert all(word in str(caught.value) for word in words) and "\n" not in str(caught.value)


@pytest.mark.parametrize("cls", [WebLog, Survey, AppEvents])
def test_the_path_is_asked_for(cls, tmp_path):
    with pytest.raises(RecbenchError, match=r"needs data\.path=FILE"):
        cls().load()
    with pytest.raises(RecbenchError, match=r"no file at data\.path=.*absent"):
        cls(cls.Params(path=str(tmp_path / "absent"))).load()
    (tmp_path / "empty.txt").touch()
    with pytest.raises(RecbenchError, match="is empty"):
        cls(cls.Params(path=str(tmp_path / "empty.txt"))).load()


def survey(tmp_path, text: str, **params) -> Survey:
    (tmp_path / "answers.csv").write_text(text)
    return Survey(SurveyParams(path=str(tmp_path / "answers.csv"), **params))


WIDE = 'respondent,cup,pot,spoon,remarks\na,5,Agree,don\'t know,"I collect\ncups"\nb,★★,strongly  disagree,4,\nc,4 - good,,n/a,\n'


def test_a_wide_table_becomes_ratings(tmp_path):
    data = survey(tmp_path, WIDE, scale="agreement", remarks="remarks").load()
    log = data.interactions
    given = {
        (str(data.user_ids[u]), str(data.item_ids[i])): float(v)
        for u, i, v in zip(log.user, log.item, log.value, strict=True)
    }
    assert given == {
        ("a", "cup"): 5,
        ("a", "pot"): 4,
        ("b", "cup"): 2,
        ("b", "pot"): 1,
        ("b", "spoon"): 4,
        ("c", "cup"): 4,
    }
    assert data.users is not None and data.users["text"].tolist() == ["I collect cups", "", ""]
    assert data.cleaning["dropped: not answered"] == 3 and data.info.clock == "none" and log.behaviors == ("rate",)
    accounted(data, 9)


def test_a_long_table_says_the_same(tmp_path):
    rows = "respondent,item,answer\na,cup,5\na,pot,agree\na,spoon,don't know\nb,cup,★★\nb,pot,strongly disagree\nb,spoon,4\nc,cup,4\nc,pot,\nc,spoon,n/a\n"
    long = survey(tmp_path, rows, layout="long", scale="agreement").load()
    wide = survey(tmp_path, WIDE, scale="agreement", remarks="remarks").load()
    pairs = [
        sorted(zip(d.interactions.user, d.interactions.item, d.interactions.value, strict=True)) for d in (long, wide)
    ]
    assert pairs[0] == pairs[1]


@pytest.mark.parametrize(
    ("answer", "value"),
    [
        ("4", 4),
        ("4.5", 4.5),
        ("3,5", 3.5),
        ("4/5", 4),
        ("★★★☆☆", 3),
        ("⭐️⭐️", 2),
        ("2 stars", 2),
        ("  YES ", 3),
        ("maybe", 2),
    ],
)
def test_answers_are_numbers_stars_or_words(answer, value):
    assert value_of(answer, steps_of("no|maybe|yes")) == value


@pytest.mark.parametrize("answer", ["", " ", "N/A", "Don’t know", "-", "prefer not to say"])
def test_no_answer_is_missing_not_zero(answer):
    assert value_of(answer, {}) is None


@pytest.mark.parametrize("answer", ["perhaps", "★ x", "nan?", "inf", "a 4"])
def test_what_is_no_rating_is_refused(answer):
    with pytest.raises(ValueError, match="is no rating"):
        value_of(answer, {})


@pytest.mark.parametrize(
    ("text", "params", "words"),
    [
        (WIDE, {"scale": "agrement"}, ["data.scale=agrement", "did you mean 'agreement'"]),
        (WIDE, {"respondent": "respondant"}, ["no column 'respondant'", "did you mean 'respondent'"]),
        (WIDE, {"remarks": "notes"}, ["no column 'notes'", "It has: respondent"]),
        ("a,a\n1,2\n", {}, ["no header of distinct columns"]),
        (WIDE, {"scale": "agreement"}, ["1 of 12 rows are broken", "remarks: 'I collect"]),
        ("respondent,cup\na,often\n", {}, ["no answer that is a rating", "data.scale="]),
    ],
)
def test_a_wrong_questionnaire_is_one_line(tmp_path, text, params, words):
    with pytest.raises(RecbenchError) as caught:
        survey(tmp_path, text, **params).load()
    assert all(word in str(caught.value) for word in words), str(caught.value)
    assert "\n" not in str(caught.value)


def track(event: str, second: int, properties: dict, user: str = "7") -> dict:
    stamp = str(np.datetime64("2026-03-01T12:00:00") + np.timedelta64(second, "s")) + "Z"
    return {"type": "track", "event": event, "userId": user, "timestamp": stamp, "properties": properties}


def ga4(name: str, second: int, items: list[dict] | None = None, **params) -> dict:
    told = [{"key": key, "value": {"string_value": value}} for key, value in params.items()]
    moment = str((NOON + second) * 1_000_000)
    return {
        "event_name": name,
        "event_timestamp": moment,
        "user_pseudo_id": "7",
        "items": items or [],
        "event_params": told,
    }


def app(tmp_path, records: list, **params) -> AppEvents:
    path = tmp_path / "export.jsonl"
    path.write_text("".join((r if isinstance(r, str) else json.dumps(r)) + "\n" for r in records))
    return AppEvents(AppEventsParams(path=str(path), **params))


def test_both_formats_say_the_same(tmp_path):
    cup, pot = {"name": "Red cup", "category": "cups", "price": 9.5}, {"name": "Pot", "category": "pots", "price": 20}
    segment = [
        track("Product Viewed", 0, {"product_id": "cup", **cup}),
        track("Products Searched", 3, {"query": "pot"}),
        track("Product Added", 5, {"product_id": "pot", **pot, "quantity": 2}),
        track(
            "Order Completed",
            9,
            {"products": [{"product_id": "pot", "quantity": 2}, {"product_id": "cup", "price": 8}]},
        ),
        track("Signed Up", 10, {}),
        {"type": "page", "userId": "7"},
    ]
    named = {
        "cup": {"item_name": "Red cup", "item_category": "cups"},
        "pot": {"item_name": "Pot", "item_category": "pots"},
    }
    google = [
        ga4("view_item", 0, [{"item_id": "cup", **named["cup"], "price": 9.5}]),
        ga4("search", 3, search_term="pot"),
        ga4("add_to_cart", 5, [{"item_id": "pot", **named["pot"], "price": 20, "quantity": 2}]),
        ga4("purchase", 9, [{"item_id": "pot", "quantity": 2}, {"item_id": "cup", "price": 8}]),
        ga4("session_start", 10),
        ga4("user_engagement", 11),
    ]
    for records in (segment, google):
        data = app(tmp_path, records).load()
        log = data.interactions
        assert data.item_ids.tolist() == ["cup", "pot"] and data.user_ids.tolist() == [7]
        assert log.time.tolist() == [NOON, NOON + 5, NOON + 9, NOON + 9]
        assert [log.behaviors[b] for b in log.behavior] == ["view", "cart", "purchase", "purchase"]
        assert log.value.tolist() == [1, 2, 2, 1]
        assert data.context is not None and data.context.text.tolist() == ["pot"]
        assert data.items is not None and data.items["text"].tolist() == ["Red cup cups", "Pot pots"]
        assert data.items["price"].tolist() == [9.5, 20]  # the first told, not the one of the sale
        assert data.cleaning["dropped: other events"] == 2
        accounted(data, 7)  # the order holds two products


def test_own_events_are_named(tmp_path):
    records = [track("Played", 0, {"product_id": "song"}), track("Product Viewed", 1, {"product_id": "cup"})]
    data = app(tmp_path, records, events="Played=listen").load()
    assert data.interactions.behaviors == ("listen",) and data.cleaning["dropped: other events"] == 1


def test_broken_records_are_set_aside(tmp_path, cache):
    good = [track("Product Viewed", n, {"product_id": f"p{n}"}) for n in range(20)]
    bad = [
        "{",
        "[]",
        '{"a": 1}',
        track("Product Viewed", 0, {}),
        track("Products Searched", 0, {}),
        track("Product Viewed", 0, {"product_id": "x"}) | {"timestamp": "2026-03-01T12:00:00"},
        track("Product Viewed", 0, {"product_id": "x"}, user=""),
        ga4("view_item", 0, [{"item_id": "x", "quantity": "two"}]),
        "[" * 100_000,
    ]
    data = app(tmp_path, [*good, *bad], max_broken=0.5).load()
    assert len(data.interactions) == 20
    accounted(data, 29)
    (kept,) = (cache / "quarantine").glob("app-events-*.jsonl")
    assert [json.loads(row)["line"] for row in kept.read_text().splitlines()] == list(range(21, 30))


@pytest.mark.parametrize(
    ("records", "params", "words"),
    [
        ([track("Signed Up", 0, {})], {}, ["no record", "data.events="]),
        ([track("Signed Up", 0, {})], {"events": "Signed Up"}, ["write NAME=behavior"]),
        (["{"] * 3 + [track("Product Viewed", 0, {"product_id": "x"})], {}, ["3 of 4 rows are broken", "no record"]),
    ],
)
def test_a_wrong_export_is_one_line(tmp_path, records, params, words):
    with pytest.raises(RecbenchError) as caught:
        app(tmp_path, records, **params).load()
    assert all(word in str(caught.value) for word in words) and "\n" not in str(caught.value)
