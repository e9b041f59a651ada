"""A log streamed from parquet equals the log made in memory, array by array."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from recbench.errors import RecbenchError
from recbench.ingest import log_of
from recbench.streaming import is_large, stream

pytest.importorskip("duckdb", reason="duckdb is an extra of recbench-core")
ROLES = {"user": "user", "item": "item", "time": "time", "behavior": "behavior", "value": "value"}


def events(n: int, seed: int = 0, text: bool = False) -> pd.DataFrame:
    """Few users, items and moments, so that most rows tie in time; in no order."""
    rng = np.random.default_rng(seed)
    names = np.array(["", "a", "B", "b", "ü", "é", "z10", "z9", "\U0001f600", "\uffee", "A long name"])
    user, item = rng.integers(len(names), size=n), rng.integers(7, size=n)
    return pd.DataFrame(
        {
            "user": names[user] if text else user * 2**40 - 3,
            "item": np.array(["x", "X", "y", "10", "9", "-1", "x "])[item] if text else item - 3,
            "time": rng.integers(-5, 5, size=n) * 10,
            "behavior": np.array(["view", "buy", "Love's"])[rng.integers(3, size=n)],
            "value": np.arange(n, dtype=np.float32),
        }
    )


def written(frame: pd.DataFrame, folder: Path, n_files: int = 1, rows: int = 100) -> list[Path]:
    """The frame as parquet files in small groups of rows; the files' order is not that of their names."""
    paths = [folder / f"part {n_files - i} [a]*.parquet" for i in range(n_files)]
    cuts = np.linspace(0, len(frame), n_files + 1).astype(int)
    for path, low, high in zip(paths, cuts, cuts[1:], strict=False):
        frame.iloc[low:high].to_parquet(path, row_group_size=rows, index=False)
    return paths


def in_memory(frame: pd.DataFrame, roles=ROLES):
    """The same log by numpy."""
    columns = {}
    if "behavior" in roles:
        behaviors, columns["behavior"] = np.unique(frame["behavior"].to_numpy(str), return_inverse=True)
        columns["behaviors"] = tuple(behaviors.tolist())
    if "value" in roles:
        columns["value"] = frame["value"].to_numpy()
    ids = [frame[c].to_numpy(str) if frame[c].dtype == "str" else frame[c].to_numpy() for c in ("user", "item")]
    return log_of(*ids, frame["time"].to_numpy() if "time" in roles else None, **columns)


def same(streamed, expected) -> None:
    (log, *ids), (right, *right_ids) = streamed[:3], expected
    for name in ("user", "item", "time", "behavior", "value"):
        column = getattr(log, name)
        assert column.dtype == getattr(right, name).dtype and not column.flags.writeable
        np.testing.assert_array_equal(column, getattr(right, name), name)
    assert (log.behaviors, log.n_users, log.n_items) == (right.behaviors, right.n_users, right.n_items)
    for found, wanted in zip(ids, right_ids, strict=True):
        assert found.dtype == wanted.dtype and found.tolist() == wanted.tolist()


@pytest.mark.parametrize("text", [False, True])
@pytest.mark.parametrize("given", [(), ("time",), ("behavior", "value"), ("time", "behavior", "value")])
def test_equal_to_the_log_made_in_memory(given, text, tmp_path):
    roles = {role: ROLES[role] for role in ("user", "item", *given)}
    frame = events(10_000, text=text)
    paths = written(frame, tmp_path, n_files=3)
    streamed = stream(paths, roles, tmp_path / "out", threads=4)
    same(streamed, in_memory(frame, roles))
    assert streamed[3] == {"rows read": 10_000, "dropped: incomplete": 0, "events": 10_000}


def test_ties_keep_the_order_of_the_files_under_many_threads(tmp_path):
    frame = events(400_000).assign(time=7)
    frame["value"] = np.arange(len(frame), dtype=np.float32)
    log = stream(written(frame, tmp_path, n_files=5, rows=3000), ROLES, tmp_path / "out", threads=8)[0]
    np.testing.assert_array_equal(log.value, frame["value"])


def test_more_rows_than_the_memory_may_hold(tmp_path):
    """DuckDB sorts 2 million rows in some 100 MB: with less it has to write some of them out."""
    frame = pd.concat([events(250_000, seed) for seed in range(8)])
    paths = written(frame, tmp_path, n_files=2, rows=50_000)
    same(stream(paths, ROLES, tmp_path / "out", memory_limit="70MB", threads=2), in_memory(frame))
    assert not list((tmp_path / "out" / "spill").glob("*"))


def test_incomplete_rows_are_counted_and_a_missing_value_is_one(tmp_path):
    frame = events(12)
    for row, column in enumerate(ROLES):
        frame[column] = frame[column].astype(object)
        frame.loc[row, column] = None
    frame = frame.astype({"user": "Int64", "item": "Int64", "time": "Int64", "value": "Float32"})
    paths = written(frame, tmp_path)
    streamed = stream(paths, ROLES, tmp_path / "out")
    right = frame.fillna({"value": 1}).dropna().astype({"user": int, "item": int, "time": int, "value": np.float32})
    same(streamed, in_memory(right.assign(behavior=right["behavior"].astype("str"))))
    assert streamed[3] == {"rows read": 12, "dropped: incomplete": 4, "events": 8}


def test_no_rows(tmp_path):
    for text in (False, True):
        log, user_ids, item_ids, counts = stream(written(events(0, text=text), tmp_path), ROLES, tmp_path / f"{text}")
        assert (len(log), log.n_users, len(user_ids), len(item_ids), counts["events"]) == (0, 0, 0, 0, 0)


MOMENTS = [-(10**9) - 1, -1, 0, 1, 1_700_000_000_999]  # milliseconds
SECONDS = [-1_000_001, -1, 0, 0, 1_700_000_000]
TIMES = {
    "milliseconds": (MOMENTS, 1000),
    "milliseconds as floats": ([float(t) for t in MOMENTS], 1000),
    "nanoseconds": ([t * 1_000_000 + 999_999 for t in MOMENTS], 10**9),
    "seconds with a fraction": ([t / 1000 for t in MOMENTS], 1),
    "dates": (pd.to_datetime(MOMENTS, unit="ms").as_unit("ms"), 1),
    "dates by the nanosecond": (pd.to_datetime(MOMENTS, unit="ms").as_unit("ns"), 1),
    "dates with a zone": (pd.to_datetime(MOMENTS, unit="ms", utc=True).tz_convert("Asia/Tokyo").as_unit("us"), 1),
}


@pytest.mark.parametrize("form", TIMES)
def test_times_become_whole_seconds(form, tmp_path):
    time, per_second = TIMES[form]
    frame = pd.DataFrame({"user": 1, "item": 2, "time": time})
    roles = {role: role for role in frame}
    log = stream(written(frame, tmp_path), roles, tmp_path / "out", per_second=per_second)[0]
    assert log.time.tolist() == SECONDS


def test_the_types_of_ids(tmp_path):
    frame = pd.DataFrame({"user": np.array([3, 1], np.uint8), "item": np.array([2**64 - 1, 5], np.uint64)})
    _, user_ids, item_ids, _ = stream(written(frame, tmp_path), {"user": "user", "item": "item"}, tmp_path / "out")
    assert user_ids.tolist() == [1, 3] and user_ids.dtype == np.int64
    assert item_ids.tolist() == [5, 2**64 - 1] and item_ids.dtype == np.uint64


BAD = {
    "no such column": ({"item": "sku"}, {}, r"has no column 'sku'; it has: user, item, time, behavior, value"),
    "float ids": (
        {},
        {"item": [1.5, 2.5]},
        r'column "item" cannot be item: it holds DOUBLE, where whole numbers or text',
    ),
    "words as times": ({}, {"time": ["a", "b"]}, r'"time" cannot be time: it holds VARCHAR, where dates or numbers'),
    "words as values": ({}, {"value": ["a", "b"]}, r'"value" cannot be value: it holds VARCHAR, where numbers'),
    "times beyond int64": ({}, {"time": [1e300, 1.0]}, r"cannot be read as a stream: .*ConversionException"),
}


@pytest.mark.parametrize("case", BAD)
def test_errors_are_one_line(case, tmp_path):
    roles, columns, message = BAD[case]
    paths = written(events(2).assign(**columns), tmp_path)
    with pytest.raises(RecbenchError, match=message) as error:
        stream(paths, ROLES | roles, tmp_path / "out")
    assert "\n" not in str(error.value)


def test_too_many_behaviors(tmp_path):
    frame = events(200).assign(behavior=[f"b{i}" for i in range(200)])
    with pytest.raises(RecbenchError, match="holds 200 of them"):
        stream(written(frame, tmp_path), ROLES, tmp_path / "out")


def test_a_broken_file_is_one_line(tmp_path):
    (path,) = written(events(1000), tmp_path)
    for content in (path.read_bytes()[:-50], b"PAR1" + path.read_bytes()[4:2000], b""):
        path.write_bytes(content)
        with pytest.raises(RecbenchError, match="cannot be read as a stream") as error:
            stream([path], ROLES, tmp_path / "out")
        assert "\n" not in str(error.value)


def test_without_duckdb_the_command_that_installs_it_is_named(tmp_path):
    code = f"""
import sys
sys.modules["duckdb"] = None
from pathlib import Path
from recbench.streaming import stream
stream([Path("x.parquet")], {{}}, Path({str(tmp_path)!r}))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "python -m pip install 'recbench-core[large]'" in done.stderr.splitlines()[-1]


def test_large_is_told_by_the_number_of_rows(tmp_path, monkeypatch):
    paths = written(events(30), tmp_path, n_files=3)
    assert not is_large(paths)
    monkeypatch.setattr("recbench.streaming.LARGE_ROWS", 29)
    assert is_large(paths) and not is_large(paths[:2]) and not is_large([*paths, tmp_path / "events.csv"])
    paths[0].write_bytes(b"PAR1 broken")
    assert not is_large(paths)
