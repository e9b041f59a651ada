"""Broken files end in one line or in counted rows: never in another exception, never in a silent loss."""

import csv
import gzip
import io
import json
import os
import re
import shutil
from collections import Counter
from functools import cache

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from recbench_collect.file import File, FileParams

from recbench.errors import RecbenchError
from recbench.ingest import from_sequences
from recbench.reading import sources

N_ROWS = 30
NAMES = ("user", "item", "timestamp", "event", "rating", "query")
NASTY = (
    "", " ", "nan", "NaN", "inf", "1e400", "-1", "007", "0x1f", "1430.0", "9" * 25, "9223372036854775808", '"', '""', 'a"b',
    '"a', "2020-99-99", "2020-01-01", "31/12/2020", "1e18", "true", "[]", "{}", "null", "\\N", "\x00", "\r", "\n", "\t", ",",
    "é", "\ufeff", "\u2028", "x" * 300, "user", "1_000", "+5", "-0", "0.1", "\\ud800",
)  # fmt: skip
KINDS = ("flip", "insert", "delete", "truncate", "cut line", "double line", "join lines", "lose line")
BYTES = (0x00, 0x0A, 0x0D, 0x22, 0x2C, 0x09, 0x5C, 0x7B, 0x80, 0xC3, 0xFF, 0x20, 0x30, 0x2D)
LAW = settings(
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
params_of = cache(FileParams)
MORE = int(os.environ.get("RECBENCH_CORRUPTIONS", "1"))  # times as many cases, drawn anew, to look for new defects


def cases(n):
    return settings(LAW, max_examples=n * MORE, derandomize=MORE == 1)


def rows():
    """30 rows of six columns as text: a few users and items, a search without an item among them."""
    table = []
    for i in range(N_ROWS):
        search = i % 10 == 9
        item = "" if search else f"i{i * 7 % 11}"
        time, event = str(1_500_000_000 + i * 3601), "search" if search else "view" if i % 3 else "buy"
        table.append([str(100 + i % 7), item, time, event, str(i % 5 + 0.5), "red shoes" if search else ""])
    return table


def delimited(table, delimiter=",", quoted=False, end="\n"):
    cell = '"{}"'.format if quoted else str
    return "".join(delimiter.join(map(cell, row)) + end for row in [NAMES, *table]).encode("utf-8", "surrogatepass")


def json_lines(table):
    lines = []
    for user, item, time, event, rating, query in table:
        row = {"user": int(user) if user.isdecimal() else user, "item": item or None, "timestamp": time, "event": event}
        lines.append(json.dumps(row | {"rating": float(rating) if rating[:1].isdigit() and "." in rating else rating,
                                       "query": query}))  # fmt: skip
    return ("\n".join(lines) + "\n").encode()


def parquet(table):
    out = io.BytesIO()
    columns = {name: list(values) for name, values in zip(NAMES, zip(*table, strict=True), strict=True)}
    columns["timestamp"] = [int(t) if t.isdecimal() and len(t) < 19 else None for t in columns["timestamp"]]
    columns["item"] = [i or None for i in columns["item"]]
    pq.write_table(pa.table(columns), out, row_group_size=11, write_page_checksum=True)
    return out.getvalue()


@st.composite
def broken_bytes(draw, content):
    """The content with bytes replaced, put in or taken out, lines cut, doubled or taken, or its end lost."""
    content = bytearray(content)
    for _ in range(draw(st.integers(1, 3))):
        kind = draw(st.sampled_from(KINDS))
        at = draw(st.integers(0, max(len(content) - 1, 0)))
        byte = draw(st.one_of(st.sampled_from(BYTES), st.integers(0, 255)))
        start, end = content.rfind(b"\n", 0, at) + 1, content.find(b"\n", at) % (len(content) + 1)
        if kind == "flip" and content:
            content[at] = byte
        elif kind == "insert":
            content.insert(at, byte)
        elif kind == "delete":
            del content[at : at + draw(st.integers(1, 40))]
        elif kind == "truncate" and draw(st.booleans()):
            del content[at:]
        elif kind == "cut line":
            del content[at:end]
        elif kind == "double line":
            content[start:start] = content[start : end + 1]
        elif kind == "join lines":
            del content[end : end + 1]
        elif kind == "lose line":
            del content[start : end + 1]
    return bytes(content)


@st.composite
def broken_rows(draw):
    """The rows with values replaced by nasty ones, and columns swapped in some or all of them."""
    table = rows()
    for _ in range(draw(st.integers(0, 3))):
        row, column = draw(st.integers(0, N_ROWS - 1)), draw(st.integers(0, 5))
        table[row][column] = draw(st.sampled_from(NASTY))
    if draw(st.booleans()):
        a, b, first = draw(st.integers(0, 5)), draw(st.integers(0, 5)), draw(st.integers(0, N_ROWS - 1))
        for row in table[first : first + draw(st.sampled_from((1, 2, N_ROWS)))]:
            row[a], row[b] = row[b], row[a]
    for _ in range(draw(st.integers(0, 2))):
        table[draw(st.integers(0, N_ROWS - 1))] = list(table[draw(st.integers(0, N_ROWS - 1))])
    return table


@pytest.fixture(autouse=True, params=(300, 1 << 21), ids=("many blocks", "one block"))
def own_cache(tmp_path, monkeypatch, request):
    """A cache of its own, and files that are read in many blocks or in one: what one block shows is expected of the next."""
    monkeypatch.setenv("RECBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(sources, "BLOCK", request.param)


HEADS = tuple((d.join(NAMES) + end).encode() for d in ",\t" for end in ("\n", "\r\n"))


def lines_of(content):
    """How many rows a text holds besides its header, counted by hand."""
    return sum(1 for line in content.split(b"\n") if line.strip(b" \r"))


def accounted(tmp_path, name, content, count, **params):
    """Load a file; either one line says why not, or every one of `count()` rows is an event, a search, or counted."""
    path, aside = tmp_path / name, tmp_path / "cache" / "quarantine"
    shutil.rmtree(aside, ignore_errors=True)
    path.write_bytes(content)
    try:
        data = File(params_of(path=str(path), **params)).load()
    except RecbenchError as error:
        assert "\n" not in str(error) and len(str(error)) < 1000
        return "refused"
    cleaning = data.cleaning
    dropped = sum(n for step, n in cleaning.items() if step.startswith("dropped: "))
    n_aside = sum(n for step, n in cleaning.items() if step.startswith("quarantined: "))
    n_searches = 0 if data.context is None else len(data.context)
    assert cleaning["rows read"] == count()
    assert cleaning["rows read"] == len(data.interactions) + n_searches + n_aside + dropped
    kept = [json.loads(line) for file in aside.glob("*") for line in file.open("rb")]
    assert len(kept) == n_aside
    lost = {row["line"] for row in kept}
    if content.startswith(HEADS) and not dropped and not params.get("encoding"):
        assert Counter(users_by_hand(content, lost)) == Counter(map(whole, map(str, users_of(data))))
    return "read"


def users_of(data):
    """The user id of every event and search."""
    asked = [] if data.context is None else data.context.user.tolist()
    return data.user_ids[[*data.interactions.user.tolist(), *asked]]


def users_by_hand(content, lost):
    """The user id of every line that is not lost, in a delimited text whose header is whole."""
    for number, line in enumerate(content.split(b"\n"), 1):
        if number > 1 and number not in lost and line.strip(b" \r"):
            user = next(csv.reader([line.decode()], delimiter="\t" if b"\t" in content[:6] else ","))[0].strip()
            yield whole(user)


def whole(user):
    return re.sub(r"^(-?\d+)\.0+$", r"\1", user)


LIMITS = st.sampled_from((0.01, 0.2, 1.0))


@cases(80)
@given(st.data())
def test_csv_bytes(tmp_path, data):
    quoted, end = data.draw(st.booleans()), data.draw(st.sampled_from(("\n", "\r\n")))
    content = data.draw(broken_bytes(delimited(data.draw(broken_rows()), ",", quoted, end)))
    accounted(tmp_path, "e.csv", content, lambda: lines_of(content) - 1, max_broken=data.draw(LIMITS))


@cases(50)
@given(broken_rows(), LIMITS, st.sampled_from(("keep", "first", "count")), st.sampled_from(("one", "drop")))
def test_tsv_values(tmp_path, table, limit, duplicates, missing):
    content = delimited(table, "\t")
    given = {"max_broken": limit, "duplicates": duplicates, "missing_value": missing, "max_events_per_user_day": 5}
    accounted(tmp_path, "e.tsv", content, lambda: lines_of(content) - 1, **given)


@cases(70)
@given(st.data())
def test_json_lines(tmp_path, data):
    content = json_lines(data.draw(broken_rows()))
    content = data.draw(broken_bytes(content)) if data.draw(st.booleans()) else content
    accounted(tmp_path, "e.jsonl", content, lambda: lines_of(content), max_broken=data.draw(LIMITS))


@cases(30)
@given(st.data())
def test_parquet(tmp_path, data):
    content = (
        data.draw(broken_bytes(parquet(rows()))) if data.draw(st.booleans()) else parquet(data.draw(broken_rows()))
    )
    count = lambda: pq.ParquetFile(io.BytesIO(content)).metadata.num_rows  # noqa: E731
    accounted(tmp_path, "e.parquet", content, count, max_broken=data.draw(LIMITS))


def zstd(content):
    out = pa.BufferOutputStream()
    with pa.CompressedOutputStream(out, "zstd") as packed:
        packed.write(content)
    return out.getvalue().to_pybytes()


def unpacked(content):
    packing = {b"\x1f\x8b": "gzip", b"\x28\xb5": "zstd"}.get(content[:2])
    return pa.CompressedInputStream(pa.BufferReader(content), packing).read() if packing else content


@cases(30)
@given(st.data())
def test_packed(tmp_path, data):
    text = data.draw(st.sampled_from((delimited(rows()), json_lines(rows()))))
    pack = data.draw(st.sampled_from((gzip.compress, zstd)))
    content = data.draw(broken_bytes(pack(text)))
    name = ("e.csv" if text.startswith(b"user") else "e.jsonl") + (".gz" if pack is gzip.compress else ".zst")
    count = lambda: lines_of(unpacked(content)) - name.startswith("e.csv")  # noqa: E731
    accounted(tmp_path, name, content, count, max_broken=data.draw(LIMITS))


@cases(30)
@given(st.data())
def test_encodings(tmp_path, data):
    table = rows()
    for row in table:
        row[1] = row[1] and f"{row[1]}é"
    stored, read = data.draw(st.sampled_from((("latin-1", "latin-1"), ("latin-1", ""), ("utf-16", "utf-16"), ("utf-16", ""),
                                              ("utf-8-sig", ""), ("utf-8", "utf-16"), ("utf-8", "ascii"))))  # fmt: skip
    content = delimited(table).decode().encode(stored)
    content = data.draw(broken_bytes(content)) if data.draw(st.booleans()) else content
    text = lambda: content.decode(read or "utf-8", "replace").encode()  # noqa: E731
    given = {"encoding": read, "max_broken": data.draw(LIMITS)}
    accounted(tmp_path, "e.csv", content, lambda: lines_of(text()) - 1, **given)


PRODUCTS = b"item,title,price\n" + b"".join(b'i%d,"Product %d, new",%d.5\n' % (i, i, i) for i in range(0, 14))


@cases(30)
@given(st.data())
def test_items(tmp_path, data):
    """Rows of the table of items are counted too: kept, doubled, without an id or an event, or set aside."""
    (tmp_path / "e.csv").write_bytes(delimited(rows()))
    path = tmp_path / "p.csv"
    path.write_bytes(data.draw(broken_bytes(PRODUCTS)))
    params = params_of(path=str(tmp_path / "e.csv"), items=str(path), max_broken=data.draw(LIMITS))
    try:
        data = File(params).load()
    except RecbenchError as error:
        assert "\n" not in str(error)
        return
    steps = Counter(
        {step.removeprefix("items: "): n for step, n in data.cleaning.items() if step.startswith("items: ")}
    )
    n_read, n_bare = steps.pop("rows read"), steps.pop("with an event, but without a row", 0)
    assert n_read == sum(steps.values()) + data.n_items - n_bare
    assert len(data.items) == data.n_items


@cases(30)
@given(st.data())
def test_order_files(data):
    """A file of sequences is read whole or refused in one line; nothing in between."""
    content = data.draw(broken_bytes(b"".join(b"%d %d %d %d\n" % (u, u % 5, 7 + u % 3, u) for u in range(1, 21))))
    text = content.decode("utf-8", "replace")
    try:
        log, user_ids, item_ids = from_sequences(text)
    except ValueError as error:
        assert "\n" not in str(error)
        return
    words = [[int(word) for word in line.split()] for line in text.splitlines()]
    order, starts = log.by_user()
    read = {
        int(user_ids[u]): item_ids[log.item[order[starts[u] : starts[u + 1]]]].tolist() for u in range(len(user_ids))
    }
    assert read == {row[0]: row[1:] for row in words}
