"""data=file and Dataset.from_frame: one road from a user's own tables to a data set, a board and a run."""

import gzip
import hashlib
import importlib
import json
import os

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from recbench_collect.file import File, FileParams

from recbench import Dataset, prepared
from recbench.errors import RecbenchError
from recbench.split import split
from recbench.testing import run_checks

DAY = 86400


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("RECBENCH_CACHE", str(tmp_path / "cache"))


def shop(n_users=30, days=120, seed=0):
    """Views and purchases of 12 products over `days`, and a search in ten."""
    rng = np.random.default_rng(seed)
    n = n_users * 12
    item = rng.integers(0, 12, n)
    searched = rng.random(n) < 0.1
    time = 1_577_836_800 + rng.integers(0, days * DAY, n)
    return pd.DataFrame(
        {
            "customer": [f"c{u:03}" for u in rng.integers(0, n_users, n)],
            "sku": [None if s else f"P-{i}" for i, s in zip(item, searched, strict=True)],
            "ts": pd.to_datetime(time, unit="s").strftime("%Y-%m-%dT%H:%M:%SZ"),
            "event": np.where(searched, "search", np.where(rng.random(n) < 0.3, "purchase", "view")),
            "qty": rng.integers(1, 4, n),
            "query": np.where(searched, "red shoes", ""),
        }
    )


PRODUCTS = pd.DataFrame(
    {
        "sku": ["P-0", "P-1", "P-1", "P-3", "P-99", None],
        "Product Name": ["Red shoe", "Blue hat", "again", "Sock, long", "never sold", "no id"],
        "unit_price": [10.5, 20, 21, 3, 4, 5],
        "description": ["For\nfeet", None, "", "Warm", "", ""],
        "tags": [["a", "b"], None, [], ["c"], [], []],
    }
)


def same(a, b):
    """Equal in everything that a model can see."""
    for name in ("user", "item", "time", "behavior", "value"):
        assert np.array_equal(getattr(a.interactions, name), getattr(b.interactions, name))
    assert a.interactions.behaviors == b.interactions.behaviors and a.info.clock == b.info.clock
    assert a.user_ids.tolist() == b.user_ids.tolist() and a.item_ids.tolist() == b.item_ids.tolist()
    assert (a.context is None) == (b.context is None) and a.cleaning == b.cleaning
    if a.context is not None:
        assert a.context.text.tolist() == b.context.text.tolist() and np.array_equal(a.context.user, b.context.user)
    assert (a.items is None) == (b.items is None)
    if a.items is not None:
        pd.testing.assert_frame_equal(a.items, b.items)


def load(path, **params):
    return File(FileParams(path=str(path), **params)).load()


def test_every_form_of_one_table_is_the_same_data_set(tmp_path, capsys):
    frame = shop()
    frame.to_csv(tmp_path / "e.csv", index=False)
    (tmp_path / "e.csv.gz").write_bytes(gzip.compress((tmp_path / "e.csv").read_bytes(), mtime=0))
    with pa.CompressedOutputStream(str(tmp_path / "e.tsv.zst"), "zstd") as out:
        out.write(frame.to_csv(index=False, sep="\t").encode())
    frame.to_parquet(tmp_path / "e.parquet")
    frame.to_json(tmp_path / "e.jsonl", orient="records", lines=True)
    (tmp_path / "parts").mkdir()
    frame[:100].to_csv(tmp_path / "parts" / "1.csv", index=False)
    frame[100:].iloc[:, ::-1].to_parquet(tmp_path / "parts" / "2.parquet")
    first = load(tmp_path / "e.csv")
    told = (
        "user=customer (guessed), item=sku (guessed), time=ts (guessed), behavior=event (guessed), value=qty (guessed)"
    )
    assert told in capsys.readouterr().err
    for name in ("e.csv.gz", "e.tsv.zst", "e.parquet", "e.jsonl", "parts"):
        same(first, load(tmp_path / name))
    same(first, Dataset.from_frame(frame))
    assert first.info.clock == "seconds" and first.cleaning["rows read"] == len(frame)
    assert (
        first.checksum
        == load(tmp_path / "e.csv.gz").checksum
        == hashlib.sha256((tmp_path / "e.csv").read_bytes()).hexdigest()
    )
    by_hand = frame[frame.sku.notna()].sort_values("ts", kind="stable")
    log = first.interactions
    assert first.user_ids[log.user].tolist() == by_hand.customer.tolist()
    assert first.item_ids[log.item].tolist() == by_hand.sku.tolist() and log.value.tolist() == by_hand.qty.tolist()
    assert [log.behaviors[b] for b in log.behavior] == by_hand.event.tolist() and len(
        first.context
    ) == frame.sku.isna().sum()


def test_items_are_aligned_described_and_counted(tmp_path):
    frame = shop()
    frame.to_csv(tmp_path / "e.csv", index=False)
    PRODUCTS.drop(columns="tags").to_csv(tmp_path / "p.csv", index=False)
    PRODUCTS.to_parquet(tmp_path / "p.parquet")
    PRODUCTS.to_json(tmp_path / "p.jsonl", orient="records", lines=True)
    of_csv = load(tmp_path / "e.csv", items=str(tmp_path / "p.csv"))
    steps = {step.removeprefix("items: "): n for step, n in of_csv.cleaning.items() if step.startswith("items: ")}
    assert steps == {"rows read": 6, "rows without an id": 1, "rows of an item that had one": 1,
                     "without an event, not kept": 1, "with an event, but without a row": 9}  # fmt: skip
    known = of_csv.items[of_csv.items.title.notna()].reset_index(drop=True)
    assert of_csv.item_ids[of_csv.items.title.notna()].tolist() == ["P-0", "P-1", "P-3"]
    assert known.title.tolist() == ["Red shoe", "Blue hat", "Sock, long"] and known.price.tolist() == [10.5, 20, 3]
    assert known.text.tolist() == ["Red shoe For\nfeet", "Blue hat", "Sock, long Warm"]
    assert of_csv.items.text[of_csv.items.title.isna()].eq("").all()
    for name in ("p.parquet", "p.jsonl"):
        other = load(tmp_path / "e.csv", items=str(tmp_path / name))
        assert other.items.tags.dropna().tolist() == ["a, b", "c"]
        pd.testing.assert_frame_equal(other.items.drop(columns="tags"), of_csv.items, check_dtype=False)
    pd.testing.assert_frame_equal(
        Dataset.from_frame(frame, items=PRODUCTS).items.drop(columns="tags"), of_csv.items, check_dtype=False
    )
    named = load(tmp_path / "e.csv", items=str(tmp_path / "p.csv"), items_id="sku", items_text="description:unit_price")
    assert named.items.text[named.items.title.notna()].tolist() == ["For\nfeet 10.5", "20.0", "Warm 3.0"]


def test_whole_number_ids_meet_however_they_are_written(tmp_path):
    (tmp_path / "e.csv").write_text("user,item,time\n1,10,1500000000\n1,20,1500000060\n")
    (tmp_path / "p.csv").write_text("item,title\n10.0,ten\n20.0,twenty\n30.0,thirty\n")
    assert load(tmp_path / "e.csv", items=str(tmp_path / "p.csv")).items.title.tolist() == ["ten", "twenty"]
    (tmp_path / "p.csv").write_text("item,title\n10,ten\nx,twenty\n")
    assert load(tmp_path / "e.csv", items=str(tmp_path / "p.csv")).items.text.tolist() == ["ten", ""]


def test_recbole_headers_and_a_file_without_one(tmp_path):
    (tmp_path / "e.inter").write_text(
        "user_id:token\titem_id:token\ttimestamp:float\tlabel:float\n1\t2\t1500000000.0\t1\n"
    )
    (tmp_path / "plain.csv").write_text("1,2,1500000000\n")
    assert load(tmp_path / "e.inter").interactions.time.tolist() == [1_500_000_000]
    same(load(tmp_path / "plain.csv", columns="user:item:time"), load(tmp_path / "e.inter"))
    with pytest.raises(RecbenchError, match=r"data.columns names 2 columns; .*plain.csv has 3"):
        load(tmp_path / "plain.csv", columns="user:item")


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"path": ""}, "data=file: say which file, as in data.path=events.csv"),
        ({"path": "absent.csv"}, "data.path=absent.csv: no such file or folder"),
        ({"user": "who"}, "data.user=who: no such column; there are: customer, sku"),
        ({"encoding": "klingon"}, "data.encoding=klingon: no such encoding"),
        ({"delimiter": "ab"}, "data.delimiter=ab: write one character, or comma"),
        ({"timezone": "Nowhere"}, "data.timezone=Nowhere: no such zone"),
        ({"time_format": "%d.%m.%Y"}, "write data.time_format as in"),
        ({"items": "absent.csv"}, "data.items=absent.csv: no such file"),
        ({"items_id": "code", "items": "p.csv"}, "data.items_id=code: no such column; write data.items_id=COLUMN"),
        ({"items_text": "blurb", "items": "p.csv"}, "data.items_text: no column blurb; there are: sku"),
        ({"time": "none", "clock": "days"}, "data.clock=days needs times"),
        ({"behavior": "ts", "time": "none"}, "the column of behaviors holds 2400"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(tmp_path, monkeypatch, params, message):
    monkeypatch.chdir(tmp_path)
    shop(200).to_csv("e.csv", index=False)
    PRODUCTS.drop(columns="tags").to_csv("p.csv", index=False)
    with pytest.raises(RecbenchError) as error:
        load(**{"path": "e.csv"} | params)
    assert message in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"user": "who"}, "user=who: no such column; there are: customer"),
        ({"items": [1]}, "from_frame needs items as a data frame; given list"),
        ({"max_broken": 2}, "max_broken must be in 0 to 1"),
        ({"tiem": "ts"}, "from_frame has no parameter 'tiem'; did you mean 'time'?"),
        ({"item": "lists"}, "column lists cannot be used"),
    ],
)
def test_a_frame_that_cannot_be_used_is_refused_in_one_line(given, message):
    frame = shop().assign(lists=[[1]] * len(shop()))
    with pytest.raises(RecbenchError) as error:
        Dataset.from_frame(frame, **given)
    assert message in str(error.value) and "\n" not in str(error.value)
    for wrong, said in (
        (frame[:0], "is empty"),
        ("x.csv", "given str"),
        (pd.concat([frame, frame.sku], axis=1), "more than one column sku"),
    ):
        with pytest.raises(RecbenchError, match=said):
            Dataset.from_frame(wrong)


def test_a_frame_keeps_its_rules_and_counts_its_broken_rows():
    frame = pd.DataFrame(
        {"user": [1, 1, 1.0, None], "item": [5, 5, "x", 5], "time": [3e8, 3e8, 4e8, 5e8], "rating": [1, 2, 3, 4]}
    )
    data = Dataset.from_frame(frame, duplicates="count", max_broken=0.3, name="mine")
    assert data.info.name == "mine" and data.interactions.value.tolist() == [3, 3]
    assert data.cleaning == {"rows read": 4, "quarantined: no user": 1, "dropped: duplicates, counted into the first": 1,
                             "events": 2, "context events": 0}  # fmt: skip
    other = Dataset.from_frame(frame.assign(rating=1), duplicates="count", max_broken=0.3, name="mine")
    assert len(data.checksum) == 64 and data.checksum != other.checksum


def test_the_boards_divide_what_they_fit_and_name_another_where_not(tmp_path):
    shop().to_csv(tmp_path / "e.csv", index=False)
    with_clock, without = load(tmp_path / "e.csv"), load(tmp_path / "e.csv", time="none")
    assert without.info.clock == "order"
    for board in File.boards:
        parts = split(with_clock, board)
        assert min(len(parts.train.interactions), len(parts.valid.queries), len(parts.test.queries)) > 0
        if board.split != "global_time":
            assert len(split(without, board).test.queries) > 0
    with pytest.raises(RecbenchError, match="leave_last_out"):
        split(without, File.boards[0])


MINE = """
from dataclasses import dataclass
from recbench.params import param
from recbench_collect.file import File, FileParams

@dataclass(frozen=True)
class MineParams(FileParams):
    'Where mine is.'

    path: str = param({path!r}, "The events.")

class Mine(File):
    'My shop.'

    Params = MineParams
"""


def test_the_kit_passes_a_data_set_made_of_a_file(tmp_path, monkeypatch):
    shop().to_csv(tmp_path / "e.csv", index=False)
    (tmp_path / "my_shop.py").write_text(MINE.format(path=str(tmp_path / "e.csv")))
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)
    cls = importlib.import_module("my_shop").Mine
    assert [(name, wrong) for name, wrong in run_checks(cls) if wrong] == []


def test_what_is_prepared_once_is_anew_where_the_file_changed(tmp_path):
    path, items = tmp_path / "e.csv", tmp_path / "p.csv"
    shop().to_csv(path, index=False)
    PRODUCTS.drop(columns="tags").to_csv(items, index=False)
    source = File(FileParams(path=str(path), items=str(items)))
    assert source.paths() == [path, items]
    first, again = prepared.load(source), prepared.load(source)
    same(first, again)
    shop(seed=1).to_csv(path, index=False)
    os.utime(path, (1, 1))
    assert prepared.load(source).checksum != first.checksum


def test_a_run_from_the_command_line(tmp_path, recbench):
    frame = shop().rename(columns={"customer": "who", "sku": "what"})
    frame.loc[3, "ts"] = "yesterday"
    frame.to_csv(tmp_path / "events.csv", index=False)
    words = ("model=popular", "data=file", "data.path=events.csv", "data.user=who", "data.item=what", "out=runs")
    done = recbench(*words, env={"RECBENCH_CACHE": str(tmp_path / "cache")})
    assert done.returncode == 0 and "user=who, item=what, time=ts (guessed)" in done.stderr
    entry = json.loads(next((tmp_path / "runs").glob("*/entry.json")).read_text())
    assert entry["cleaning"]["quarantined: a time that cannot be read"] == 1 and entry["board"] == "file"
    assert entry["cleaning"]["rows read"] == len(frame) and not (tmp_path / "cache" / "quarantine").match("*.part")
