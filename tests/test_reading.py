"""Columns out of files: what is found, where each row comes from, what is set aside, and what is refused in one line."""

import gzip
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from recbench.errors import RecbenchError
from recbench.ingest import Cleaning, Quarantine, clean
from recbench.reading import sources
from recbench.reading.delimited import OPEN, QUOTE
from recbench.reading.roles import assign, id_of
from recbench.reading.sources import Layout, find
from recbench.reading.tables import blocks_of, names_of
from recbench.reading.typed import KINDS


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("RECBENCH_CACHE", str(tmp_path / "cache"))


def written(tmp_path, name, content):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def read(path, layout=None, max_broken=1.0, **columns):
    """The cleaned rows of one file and what was set aside."""
    layout, columns = layout or Layout(), columns or {"user": "user", "item": "item", "time": "time"}
    aside = Quarantine("test", str(path), max_broken)
    wanted = {role: (column, KINDS[role]) for role, column in columns.items()}
    found = clean(blocks_of([path], wanted, layout, aside), Cleaning(), aside)
    kept = [json.loads(line) for line in aside.path.open("rb")] if aside.path.exists() else []
    return found, kept


def events(found):
    """(user, item, time) of every event, in time order."""
    log = found.log
    ids = found.user_ids[log.user].tolist(), found.item_ids[log.item].tolist()
    return list(zip(*ids, log.time.tolist(), strict=True))


THREE = [(1, 10, 1_500_000_000), (2, 11, 1_500_000_060), (1, 11, 1_500_000_120)]
ROWS = "".join(f"{u},{i},{t}\n" for u, i, t in THREE)


@pytest.mark.parametrize(
    ("name", "content", "layout"),
    [
        ("e.csv", "user,item,time\n" + ROWS, Layout()),
        ("e.csv", "user;item;time\n" + ROWS.replace(",", ";"), Layout()),
        ("e.txt", "user|item|time\n" + ROWS.replace(",", "|"), Layout()),
        ("e.tsv", "user\titem\ttime\n" + ROWS.replace(",", "\t"), Layout()),
        ("e.csv", "user item time\n" + ROWS.replace(",", " "), Layout(delimiter="space")),
        ("e.csv", "user^item^time\n" + ROWS.replace(",", "^"), Layout(delimiter="^")),
        ("e.csv", "\ufeffuser,item,time\r\n" + ROWS.replace("\n", "\r\n"), Layout()),
        ("e.csv", "\n \nuser,item,time\n\n" + ROWS.replace("\n", "\n\n") + "  \n", Layout()),
        ("e.csv", ("user,item,time\n" + ROWS)[:-1], Layout()),
        ("e.csv", ' "user" , item,time\n'.replace(' "user" ', '"user"') + ROWS.replace("10", '"10"'), Layout()),
        ("e.inter", "user:token\titem:token\ttime:float\n" + ROWS.replace(",", "\t").replace("\n", ".0\n"), Layout()),
        ("e.csv", ROWS, Layout(columns=("user", "item", "time"))),
        ("e.csv", ("user,item,time\n" + ROWS).encode("utf-16"), Layout(encoding="utf-16")),
        ("e.csv", "extra,time,user,item,more\n" + "".join(f"é,{t},{u},{i},\n" for u, i, t in THREE), Layout()),
        ("e.csv.gz", gzip.compress(("user,item,time\n" + ROWS).encode(), mtime=0), Layout()),
        ("e.csv.gz", b"".join(gzip.compress(p, mtime=0) for p in (b"user,item,time\n", ROWS.encode())), Layout()),
        ("e.csv", "user,item,time\n" + ROWS, Layout(multiline=True)),
        ("e.jsonl", "".join(f'{{"user":{u},"item":"{i}","time":{t}}}\n' for u, i, t in THREE), Layout()),
        ("e.json", "".join(f'{{"time":"{t}","x":[1],"item":{i}.0,"user":"{u}"}}\r\n' for u, i, t in THREE), Layout()),
    ],
)
@pytest.mark.parametrize("block", [20, 1 << 21], ids=["many blocks", "one block"])
def test_one_log_from_every_form(tmp_path, monkeypatch, name, content, layout, block):
    monkeypatch.setattr(sources, "BLOCK", block)
    found, kept = read(written(tmp_path, name, content), layout)
    assert events(found) == THREE and not kept
    assert found.cleaning == {"rows read": 3, "events": 3, "context events": 0}


@pytest.mark.parametrize("codec", ["zstd", "gzip"])
@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_packed_files_are_known_by_their_first_bytes(tmp_path, codec, kind):
    text = "user,item,time\n" + ROWS if kind == "csv" else f'{{"user":1,"item":10,"time":{THREE[0][2]}}}\n'
    with pa.CompressedOutputStream(str(tmp_path / f"e.{kind}"), codec) as out:
        out.write(text.encode())
    found, _ = read(tmp_path / f"e.{kind}")
    assert events(found)[0] == THREE[0]


TYPES = {
    "user": [pa.int8(), pa.uint64(), pa.float64(), pa.string(), pa.large_string(), pa.decimal128(20, 0), pa.binary(),
             pa.dictionary(pa.int8(), pa.string()), pa.dictionary(pa.int8(), pa.int64())],
    "time": [pa.int64(), pa.timestamp("s"), pa.timestamp("us", "Europe/Berlin"), pa.timestamp("ns"), pa.float64(),
             pa.string()],
}  # fmt: skip


@pytest.mark.parametrize(("column", "kind"), [(c, k) for c, kinds in TYPES.items() for k in kinds], ids=str)
def test_parquet_of_every_type_gives_the_same_log(tmp_path, column, kind):
    table = pa.table(dict(zip(("user", "item", "time"), map(list, zip(*THREE, strict=True)), strict=True)))
    values = table[column].combine_chunks()
    if pa.types.is_dictionary(kind):
        values = values.cast(kind.value_type).dictionary_encode()
    elif kind in (pa.binary(), pa.large_string()):
        values = values.cast(pa.string()).cast(kind)
    elif pa.types.is_timestamp(kind):
        values = values.cast(pa.timestamp("s")).cast(pa.timestamp(kind.unit)).cast(kind)
    else:
        values = values.cast(kind)
    pq.write_table(table.set_column(table.column_names.index(column), column, values), tmp_path / "e.parquet")
    assert events(read(tmp_path / "e.parquet")[0]) == THREE


@pytest.mark.parametrize(
    ("written_ids", "read_ids"),
    [
        (["7", "007", "8"], ["007", "7", "8"]),  # two codes, not one number
        (["7", "0x10", "16"], ["0x10", "16", "7"]),
        (["-9223372036854775808", "9223372036854775807", "9007199254740993"], [-(2**63), 2**53 + 1, 2**63 - 1]),
        (["9223372036854775808", "1", "2"], ["1", "2", "9223372036854775808"]),
        (["1430.0", "2.00", "3"], [2, 3, 1430]),
        (["1430.5", "2.0", "3"], ["1430.5", "2.0", "3"]),
        ([" a ", "a", "b"], ["a", "b"]),
        (["0", "-7", "-0"], ["-0", "-7", "0"]),
        (["+5", "5", "6"], ["+5", "5", "6"]),
        (["1e3", "1000", "2"], ["1000", "1e3", "2"]),
    ],
)
@pytest.mark.parametrize("block", [20, 1 << 21], ids=["many blocks", "one block"])
def test_ids_stay_what_they_are(tmp_path, monkeypatch, written_ids, read_ids, block):
    monkeypatch.setattr(sources, "BLOCK", block)
    for ids in (written_ids, written_ids[::-1]):
        rows = "".join(f"{user},{user},{1_500_000_000 + n}\n" for n, user in enumerate(ids))
        found, kept = read(written(tmp_path, "e.csv", "user,item,time\n" + rows))
        assert found.user_ids.tolist() == read_ids and found.item_ids.tolist() == read_ids and not kept
        assert [str(u).rstrip("0.") for u, _, _ in events(found)] == [u.strip().rstrip("0.") for u in ids]


BROKEN = b"""user,item,time
1,10,1500000000
2,11
1,12,1500000060,x
"3,10,1500000000
3"",10,1500000000
1,\xff,1500000060
1,1\x000,1500000060
1,1\r0,1500000060
user,item,time
,10,1500000000
1,nan,1500000000
1,10,
1,10,soon
1,10,-9999999999
1,10,99999999999
4,10,1500000120
"""
REASONS = [
    (3, "wrong number of fields"), (4, "wrong number of fields"), (5, OPEN),
    (6, QUOTE), (7, "not in the encoding of the file"), (8, "a NUL byte"),
    (9, "a carriage return inside the line"), (10, "the header once more"), (11, "no user"), (12, "no item and no words"),
    (13, "no time"), (14, "a time that cannot be read"), (15, "a time before 1900 or after 2261"),
    (16, "a time before 1900 or after 2261"),
]  # fmt: skip


@pytest.mark.parametrize("block", [20, 60, 1 << 21])
def test_every_broken_line_is_set_aside_with_file_line_reason_and_text(tmp_path, monkeypatch, block):
    monkeypatch.setattr(sources, "BLOCK", block)
    content = BROKEN.replace(b'3"",', b'"3"x,')
    found, kept = read(written(tmp_path, "e.csv", content))
    assert events(found) == [(1, 10, 1_500_000_000), (4, 10, 1_500_000_120)]
    assert sorted((row["line"], row["reason"]) for row in kept) == REASONS
    raw = {row["line"]: row["raw"] for row in kept}
    lines = content.decode("utf-8", "backslashreplace").split("\n")
    assert raw == {line: lines[line - 1] for line, _ in REASONS} and {row["file"] for row in kept} == {"e.csv"}
    assert found.cleaning["rows read"] == 16 == 2 + sum(n for k, n in found.cleaning.items() if k.startswith("quar"))


def test_a_quote_swallows_no_line(tmp_path):
    content = "user,item,time\n" + ROWS + '5,"10,1500000001\n' + ROWS + '6,10",1500000001\n'
    found, kept = read(written(tmp_path, "e.csv", content))
    assert len(found.log) == 7 and [row["line"] for row in kept] == [5]
    found, kept = read(written(tmp_path, "m.csv", 'user,item,time\n5,"1\n0",1500000001\n'), Layout(multiline=True))
    assert events(found) == [(5, "1\n0", 1_500_000_001)] and not kept


def test_json_lines_set_aside(tmp_path):
    good = '{"user":1,"item":"a","time":1500000000}\n'
    bad = ['{"user":1,"item":"a"', "[1]", '{"user":1}{"user":2}', '{"user":[1],"item":"a","time":1}', "\\", "[" * 9999,
           '{"user":"\\ud800","item":"a","time":1}', '{"user":true,"item":"a","time":1500000000}']  # fmt: skip
    found, kept = read(written(tmp_path, "e.jsonl", good * 3 + "\n".join(bad) + "\n" + good))
    assert len(found.log) == 4 and [row["line"] for row in kept] == list(range(4, 12))
    assert [row["raw"] for row in kept] == bad


def test_past_the_threshold_the_run_stops_and_names_the_first_broken_line(tmp_path):
    path = written(tmp_path, "e.csv", "user,item,time\n" + ROWS * 33 + "1,2\n" + "3\n")
    with pytest.raises(RecbenchError) as error:
        read(path, max_broken=0.01)
    text = str(error.value)
    assert "2 of 101 rows are broken (2.0%, allowed 1.0%), first line 101 of e.csv: wrong number of fields" in text
    aside = text.partition("all of them are in ")[2].partition(":")[0]
    assert "\n" not in text and len(Path(aside).read_text().splitlines()) == 2
    assert read(path, max_broken=0.02)[0].cleaning["quarantined: wrong number of fields"] == 2


def test_the_quarantine_of_a_mended_source_goes(tmp_path):
    path = written(tmp_path, "e.csv", "user,item,time\n" + ROWS + "1,2\n")
    assert len(read(path)[1]) == 1
    written(tmp_path, "e.csv", "user,item,time\n" + ROWS)
    assert read(path)[1] == [] and not list((tmp_path / "cache" / "quarantine").iterdir())


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("e.csv", b"", "is empty"),
        ("e.csv", b"\xef\xbb\xbf\n \n", "is empty"),
        ("e.csv.gz", gzip.compress(b"", mtime=0), "is empty"),
        ("e.csv", b"user,item,time\n", "none of 0 rows is left"),
        ("e.csv", bytes(range(256)) * 40 + b"\0" * 900, "is not text"),
        ("e.csv", "user,item,time\n1,2,3\n".encode("utf-16"), "is not UTF-8 but UTF-16; write data.encoding=utf-16"),
        ("e.csv", "user,item,time\n1,2,3\n".encode("utf-16-le"), "write data.encoding=utf-16"),
        ("e.csv", b"user item time\n1 2 3\n", "has a single column, 'user item time'"),
        ("e.csv", b"user,user,item,time\n1,1,2,3\n", "has more than one column user"),
        ("e.csv", b'"user,item,time\n1,2,3\n', "line 1 is no header"),
        ("e.csv.gz", gzip.compress(b"user,item,time\n1,2,3\n" * 99, mtime=0)[:-9], "is damaged"),
        ("e.jsonl", b"[\n", "must hold one JSON object a line"),
        ("e.parquet", b"PAR1" + b"x" * 90, "cannot be read"),
        ("e.parquet", b"", "cannot be read"),
    ],
)
def test_what_is_no_table_is_refused_in_one_line(tmp_path, name, content, message):
    path = written(tmp_path, name, content)
    with pytest.raises(RecbenchError) as error:
        names_of(path, Layout())
        read(path)
    assert message in str(error.value) and "\n" not in str(error.value)
    assert name in str(error.value) or message.startswith("none")


def test_a_parquet_with_nested_ids_or_lost_rows_is_refused(tmp_path):
    pq.write_table(pa.table({"user": [[1], [2]], "item": [1, 2], "time": [1, 2]}), tmp_path / "e.parquet")
    with pytest.raises(RecbenchError, match="a column of list"):
        read(tmp_path / "e.parquet")


def test_folders_and_paths(tmp_path):
    for name in ("b.csv", "a.csv"):
        written(tmp_path, name, f"user,item,time\n{name[0]},1,1500000000\n")
    for name in ("notes.md", "_SUCCESS", ".part.csv"):
        written(tmp_path, name, "x")
    tables, others = find(tmp_path, "data.path")
    assert [p.name for p in tables] == ["a.csv", "b.csv"] and [p.name for p in others] == ["notes.md"]
    for path, message in ((tmp_path / "no", "no such file or folder"), (tmp_path / "notes.md", "a table ends in .csv")):
        with pytest.raises(RecbenchError, match=message):
            find(path, "data.path")
    (tmp_path / "bare").mkdir()
    with pytest.raises(RecbenchError, match="the folder holds no table"):
        find(tmp_path / "bare", "data.path")
    written(tmp_path, "c.csv", "item,user,when\n9,9,1500000000\n")
    aside = Quarantine("test", "", 1.0)
    with pytest.raises(RecbenchError, match=r"c\.csv has no column time, which a\.csv has"):
        list(blocks_of(find(tmp_path, "")[0], {"time": ("time", "time")}, Layout(), aside))


def test_roles_are_guessed_where_names_are_clear():
    nothing = dict.fromkeys(("user", "item", "time", "behavior", "value", "text"), "")
    found, guessed = assign(["timestamp", "visitorid", "event", "itemid", "transactionid"], nothing)
    assert found == {"user": "visitorid", "item": "itemid", "time": "timestamp", "behavior": "event"}
    assert set(guessed) == set(found)
    found, guessed = assign(["customer", "sku", "date", "time", "x"], nothing | {"item": "x", "time": "none"})
    assert found == {"user": "customer", "item": "x"} and guessed == ["user"]
    assert assign(["User_ID", "session", "movieId"], nothing)[0] == {"user": "User_ID", "item": "movieId"}
    assert id_of(["sku", "product"], "", "sku") == "sku" and id_of(["id", "x"], "", "sku") == "id"


@pytest.mark.parametrize(
    ("columns", "given", "message"),
    [
        ("a b c", {}, "cannot tell which column is the user and the item; write data.user=COLUMN data.item=COLUMN; "
                      "there are: a, b, c"),
        ("user b", {}, "cannot tell which column is the item; write data.item=COLUMN"),
        ("user customer item", {}, "user and customer could each be the user; write data.user=user; there are"),
        ("user item rating quantity", {}, "write data.value=rating, or data.value=none; there are"),
        ("user item", {"time": "tmie"}, "data.time=tmie: no such column"),
        ("customer item", {"user": "custmer"}, "no such column; did you mean 'customer'?"),
    ],
)  # fmt: skip
def test_what_is_not_clear_lists_the_columns_and_says_what_to_write(columns, given, message):
    nothing = dict.fromkeys(("user", "item", "time", "behavior", "value", "text"), "")
    with pytest.raises(RecbenchError) as error:
        assign(columns.split(), nothing | given)
    assert message in str(error.value)


def test_blocks_of_one_row_or_all_rows_are_the_same_columns(tmp_path, monkeypatch):
    """Random rows of numbers and words: the log does not depend on where blocks end."""
    rng = np.random.default_rng(0)
    ids = rng.choice(["1", "2", "03", "é", "x y", '"q"', "5.0"], (60, 2))
    frame = pd.DataFrame(ids, columns=["user", "item"]).assign(time=rng.integers(1.4e9, 1.6e9, 60))
    path = written(tmp_path, "e.csv", frame.to_csv(index=False))
    logs = []
    for block in (10, 100, 1 << 21):
        monkeypatch.setattr(sources, "BLOCK", block)
        logs.append(events(read(path)[0]))
    expected = frame.sort_values("time", kind="stable")
    assert logs[0] == logs[1] == logs[2] == list(expected.itertuples(index=False, name=None))
