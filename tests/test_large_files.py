"""data=file on more rows than memory should hold: the stream gives what the road in memory gives."""

import numpy as np
import pandas as pd
import pytest
from recbench_collect.file import File, FileParams

from recbench import streaming
from recbench.errors import RecbenchError
from recbench.testing.snapshot import changed, snapshot


@pytest.fixture
def events(tmp_path, monkeypatch):
    monkeypatch.setenv("RECBENCH_CACHE", str(tmp_path / "cache"))
    rng = np.random.default_rng(3)
    frame = pd.DataFrame(
        {
            "user_id": rng.integers(0, 40, 500),
            "item_id": [f"i{n}" for n in rng.integers(0, 30, 500)],
            "timestamp": 1_700_000_000 + rng.integers(0, 90 * 86400, 500),
            "event": rng.choice(["view", "buy"], 500),
        }
    )
    return frame, tmp_path / "events.parquet"


def load(path, **params):
    return File(FileParams(path=str(path), **params)).load()


@pytest.mark.parametrize("ticks", [1, 1_000, 1_000_000, 1_000_000_000])
def test_a_stream_gives_the_same_log(events, monkeypatch, ticks):
    frame, path = events
    frame.assign(timestamp=frame["timestamp"] * ticks).to_parquet(path)
    small = load(path)
    monkeypatch.setattr(streaming, "LARGE_ROWS", 10)
    large = load(path)
    assert large.cleaning["events"] == 500 and large.info.clock == "seconds"
    for name in ("interactions", "user_ids", "item_ids"):
        assert not changed(snapshot(getattr(small, name)), snapshot(getattr(large, name))), name
    assert not list((path.parent / "cache" / "streams").iterdir())


def test_incomplete_rows_are_counted_and_too_many_stop(events, monkeypatch):
    frame, path = events
    frame.loc[:3, "item_id"] = None
    frame.to_parquet(path)
    monkeypatch.setattr(streaming, "LARGE_ROWS", 10)
    assert load(path).cleaning == {"rows read": 500, "dropped: incomplete": 4, "events": 496}
    with pytest.raises(RecbenchError, match=r"4 of 500 rows lack a value of .* data\.max_broken=SHARE"):
        load(path, max_broken=0.001)


def test_what_a_stream_cannot_do_is_one_line(events, monkeypatch):
    frame, path = events
    frame.to_parquet(path)
    monkeypatch.setattr(streaming, "LARGE_ROWS", 10)
    with pytest.raises(
        RecbenchError, match=r"data\.duplicates, data\.value_low: a log of this size is read as a stream"
    ):
        load(path, duplicates="first", value_low=0.0)
