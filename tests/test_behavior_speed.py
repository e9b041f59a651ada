"""The contest of the models of behaviours: what its page says, that it runs from end to end, and its bounds of memory."""

import json
import os
import sys
from pathlib import Path

import pytest

HOME = Path(__file__).resolve().parent.parent / "benchmarks"
sys.path.insert(0, str(HOME))
import behavior  # noqa: E402
import behavior_page  # noqa: E402

FIXED = {"machine": "M", "python": "3", "load": 0, "rounds": 1, "date": "D", "limit": None, "versions": {}}
FEW = {"n_views": 600, "n_users": 40, "n_items": 30, "n_categories": 5}


def record(job: str, model: str, shape: dict, **found) -> dict:
    return FIXED | {"job": job, "model": model, "shape": shape, "sizes": behavior.SIZES, "found": found}


def bars(page: str) -> list[list[str]]:
    """The cells of the rows of the first table."""
    rows = page.split("## Bars")[1].split("\n## ")[0].splitlines()
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows if row.startswith("| ")][2:]


def test_the_page_is_what_its_record_says():
    kept = json.loads((HOME / "behavior.json").read_text())
    page = (HOME.parent / "docs" / "behavior-speed.md").read_text()
    assert page == behavior_page.page(kept), "run python benchmarks/behavior.py"


def test_a_bar_of_speed_is_held_by_whoever_reads_as_many_rows_a_second():
    found = {name: {"rows": 100, "cpu": cpu, "batches": 0.1} for name, cpu in (("recbench", 2.0), ("fuxictr", 2.0))}
    slower = record("training", "din", behavior.SHAPE | {"batch": 64}, **found, rechub=found["fuxictr"] | {"cpu": 1.9})
    page = behavior_page.page({"a": slower})
    assert bars(page) == [
        ["din, batch 64: rows a second beside FuxiCTR", "at least 1", "1.00", "yes"],
        ["din, batch 64: rows a second beside Torch-RecHub", "at least 1", "0.95", "**no**"],
    ]
    assert "| FuxiCTR | 100 | 2.00 | 0.10 | 50 | 1.00 |" in page


def test_answers_may_take_8_bytes_each_and_200_mb_more():
    def kept(mb: float) -> dict:
        found = {asked: {"asked": asked, "mb": mb if asked > 2**17 else 10.0, "cpu": 1.0} for asked in (2**17, 2**20)}
        shape = {"params": {}}
        return {str(n): record("scoring", "gbdt", shape, recbench=one) for n, one in found.items()}

    assert bars(behavior_page.page(kept(217.0)))[0][1:] == ["at most 207", "207", "yes"]
    assert bars(behavior_page.page(kept(218.0)))[0][1:] == ["at most 207", "208", "**no**"]


@pytest.mark.slow
@pytest.mark.parametrize("model", ["deepfm", "din"])
def test_a_training_runs_from_end_to_end(tmp_path, monkeypatch, model):
    """recbench alone, for nobody else is installed here."""
    monkeypatch.setattr(behavior, "SIZES", FEW)
    words = ["--model", model, "--batch", "64", "--rounds", "1", "--json", str(tmp_path / "a.json")]
    monkeypatch.setattr(sys, "argv", ["behavior.py", *words, "--page", str(tmp_path / "a.md")])
    behavior.main()
    (found,) = json.loads((tmp_path / "a.json").read_text()).values()
    assert set(found["found"]) == set(behavior.OURS)
    assert found["found"]["recbench"]["rows"] > 500
    assert f"## Training {model}, batch 64" in (tmp_path / "a.md").read_text()


def lap(job: str, model: str, shape: dict, sizes: dict) -> dict:
    found = behavior.lap(sys.executable, "recbench", {"job": job, "model": model, "shape": shape, "sizes": sizes})
    assert found is not None
    return found


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is read from /proc")
@pytest.mark.parametrize("model", ["deepfm, statistics", "din", "logistic-regression", "gbdt"])
def test_a_million_questions_take_no_more_memory_than_their_answers(model):
    sizes = {"n_views": 20_000, "n_users": 1000, "n_items": 500, "n_categories": 10}
    few, many = (
        lap("scoring", model, {"params": behavior.SCORED[model], "asked": n}, sizes) for n in (100_000, 1_000_000)
    )
    assert many["mb"] - few["mb"] < 900_000 * 8 / 2**20 + behavior_page.SCORING_MB


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is read from /proc")
def test_an_event_more_of_a_log_costs_its_bytes(tmp_path, monkeypatch):
    """Between logs of one and of three million events: what a network takes anyway is left out."""
    monkeypatch.setitem(os.environ, "RECBENCH_CACHE", str(tmp_path))
    sizes = [{"n_events": n, "n_users": 50_000, "n_items": 10_000} for n in (1_000_000, 3_000_000)]
    few, many = (lap("large", "deepfm", behavior.LARGE, size) for size in sizes)
    more = (many["fit_mb"] - few["fit_mb"]) * 2**20 / (many["train"] - few["train"])
    assert more < behavior_page.LARGE_BYTES
