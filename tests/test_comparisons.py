"""The experiment of pairs: its rows compose, paired differences are those of a direct count, the page is what was found."""

import importlib.util
import json
import re
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml

from recbench.entry import Entry
from recbench.errors import RecbenchError

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def comparisons():
    sys.path.insert(0, str(ROOT / "benchmarks"))
    spec = importlib.util.spec_from_file_location("comparisons", ROOT / "benchmarks" / "comparisons.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    sys.path.remove(str(ROOT / "benchmarks"))
    return module


DECLARED = yaml.safe_load((ROOT / "experiments" / "comparisons.yaml").read_text())


def test_the_rows_of_a_pair_answer_one_board_by_different_plans(comparisons):
    rows = DECLARED["rows"]
    pairs = [pair for part in DECLARED["comparisons"].values() for pair in part["pairs"]]
    assert {name for pair in pairs for name in pair[:2]} <= set(rows)
    for a, b, *metric in pairs:
        plans = [comparisons.plan_of(comparisons.named(rows, name, 1), 1) for name in (a, b)]
        assert plans[0].board == plans[1].board and plans[0].key != plans[1].key
        assert comparisons.metric_of(rows, a, b, *metric) in plans[0].board.metrics


def test_a_row_may_name_the_run_of_another_with_its_seed(comparisons):
    rows = {
        "alone": {"board": "video", "model": "ease"},
        "both": {"board": "video", "model": "blend", "params": {"members": "run:{alone}+markov", "shortlist": 50}},
    }
    for seed in (1, 2):
        key = comparisons.plan_of(rows["alone"], seed).key
        assert comparisons.named(rows, "both", seed)["params"] == {"members": f"run:{key}+markov", "shortlist": 50}


def test_a_row_that_names_none_is_refused(comparisons):
    rows = {"alone": {"board": "video", "model": "ease"}, "both": {"board": "video", "model": "blend"}}
    rows["both"]["params"] = {"members": "run:{alone2}+markov"}
    told = r"no row is named 'alone2'; did you mean 'alone'\? Rows: alone, both"
    with pytest.raises(RecbenchError, match=told):
        comparisons.run(rows, "both", 1)


def test_a_row_that_is_declared_otherwise_was_not_run(comparisons):
    rows = {name: {"board": "video", "model": "markov", "params": {"window": n}} for n, name in enumerate("ab", 1)}
    found = {"a": 0.2, "b": 0.1, "low": 0.05, "high": 0.15, "seeds": [0.1], "better": "higher"}
    record = {comparisons.label_of(rows, "a", "b"): found}
    declared = {"rows": rows, "comparisons": {"Windows": {"text": "Which?", "pairs": [["a", "b"]]}}}
    line = "| video | ndcg@10 | `a` | `b` | 0.2000 | 0.1000 | +0.1000 [+0.0500, +0.1500] | +0.1000 | better |"
    assert line in comparisons.report(declared, record)
    by = {comparisons.label_of(rows, "a", "b", "recall@10"): found}
    declared["comparisons"]["Windows"]["pairs"] = [["a", "b", "recall@10"]]
    assert line.replace("ndcg@10", "recall@10") in comparisons.report(declared, by)
    assert "not run" in comparisons.report(declared, record)  # by the headline, not by this
    declared["comparisons"]["Windows"]["pairs"] = [["a", "b"]]
    rows["b"]["params"]["window"] = 3
    assert "| video | ndcg@10 | `a` | `b` |  |  | not run |  |  |" in comparisons.report(declared, record)


def test_the_page_is_what_was_declared_and_found(comparisons):
    record = json.loads(comparisons.RECORD.read_text()) if comparisons.RECORD.is_file() else {}
    assert comparisons.REPORT.read_text() == comparisons.report(DECLARED, record)


def test_the_row_that_the_usage_names_is_declared(comparisons):
    (begin,) = re.findall(r"--only (\S+)", comparisons.__doc__)
    assert any(name.startswith(begin) for name in DECLARED["rows"])


def run_folder(folder: Path, value_Q: list[float], user_Q: list[int], score: float | None = None) -> Path:
    """With the score of the entry, where it is not the mean."""
    folder.mkdir()
    np.savez(folder / "per_query.npz", **{"ndcg@10": np.array(value_Q)})
    np.savez(folder / "lists.npz", user=np.array(user_Q))
    score = float(np.mean(value_Q)) if score is None else score
    committed = next((ROOT / "leaderboards" / "ecommerce").glob("ease-*.json"))
    entry = json.loads(committed.read_text()) | {"scores": {"ndcg@10": {"value": score}}}
    (folder / "entry.json").write_text(Entry(**entry).to_json())
    return folder


def test_a_difference_is_over_seeds_and_its_interval_over_users(comparisons, tmp_path):
    user_Q = [7, 7, 8, 9]
    a = [run_folder(tmp_path / f"a{s}", value, user_Q) for s, value in enumerate(([1, 1, 0.5, 0.5], [1, 0, 0.5, 0.5]))]
    b = [run_folder(tmp_path / f"b{s}", [0, 0, 0.25, 0.25], user_Q) for s in (1, 2)]
    found = comparisons.compare(a, b, "ndcg@10")
    assert (found["a"], found["b"], found["seeds"]) == (0.625, 0.125, [0.625, 0.375])
    # users 8 and 9 gain .25 a query, user 7 .75 in the mean of two queries and two seeds: all of one, all of the other
    assert (found["low"], found["high"]) == (0.25, 0.75)
    assert comparisons.verdict(found) == "better"
    assert comparisons.verdict(comparisons.compare(b, a, "ndcg@10")) == "worse"
    assert comparisons.verdict(comparisons.compare(a, a, "ndcg@10")) == "not told apart"
    assert comparisons.verdict(found | {"better": "lower"}) == "worse"


def test_runs_that_were_asked_other_queries_have_no_difference(comparisons, tmp_path):
    a, b = run_folder(tmp_path / "a", [1, 0], [1, 2]), run_folder(tmp_path / "b", [1, 0], [1, 3])
    for folders_a, folders_b in (([a], [b]), ([a, b], [a, a]), ([a, a], [a, run_folder(tmp_path / "c", [1], [1])])):
        with pytest.raises(RecbenchError, match="were asked other queries"):
            comparisons.compare(folders_a, folders_b, "ndcg@10")


def test_a_score_that_is_no_mean_over_queries_has_no_difference(comparisons, tmp_path):
    a, b = run_folder(tmp_path / "a", [1, 3], [1, 2]), run_folder(tmp_path / "b", [1, 3], [1, 2], score=2**0.5)
    with pytest.raises(RecbenchError, match=r"^ndcg@10 of .*/b is no mean over queries; compare on a board whose .*$"):
        comparisons.compare([a], [b], "ndcg@10")
