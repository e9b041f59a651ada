"""The page of results: rows found on a board, and paired differences equal to those of scikit-learn's AUC, resample by resample."""

import importlib.util
import json
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from recbench.boards import board
from recbench.errors import RecbenchError
from recbench.params import plain

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def results():
    sys.path.insert(0, str(ROOT / "benchmarks"))
    spec = importlib.util.spec_from_file_location("behavior_results", ROOT / "benchmarks" / "behavior_results.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    sys.path.remove(str(ROOT / "benchmarks"))
    return module


def test_what_is_compared_is_what_was_answered(results, quickly, tmp_path, monkeypatch):
    small = plain(board("social-sim-engagement")) | {"name": "tiny", "seeds": [1, 2], "budget_trials": 2}
    small["data_params"] = {"n_users": 120, "n_items": 40, "visits": 12}
    (tmp_path / "tiny.yaml").write_text(json.dumps(small))
    sweep = ("-m", "board=tiny.yaml", "sweep=random", "submit=true", "calibration=isotonic", "trainer.threads=1")
    for words in (
        ("model=prior",),
        ("model=mmoe", "model.epochs=1"),
        ("model=mmoe", "model.epochs=1", "model.apart=true"),
    ):
        done = quickly(*sweep, *words)
        assert done.returncode == 0, done.stderr
    monkeypatch.chdir(tmp_path)
    rows = results.rows_of("tiny")
    shared, apart = results.of(rows, "mmoe"), results.of(rows, "mmoe", apart=True)
    assert len(rows) == 3 and not shared.entries[0].params["apart"] and apart.entries[0].params["apart"]
    assert [what for what, *_ in results.pairs(rows)] == ["mmoe over its single-task self"]
    found = results.difference(Path("runs"), shared, apart)
    by_hand = {}
    for name, row in (("a", shared), ("b", apart)):
        told = results.answers(Path("runs"), row)
        by_hand[name] = np.mean([roc_auc_score(t.true_QB, t.predicted_QB, average="macro") for t in told])
        assert found[name] == pytest.approx(by_hand[name])
    assert found["low"] < by_hand["a"] - by_hand["b"] < found["high"] and len(found["seeds"]) == 2
    same = results.difference(Path("runs"), shared, shared)
    assert (same["low"], same["high"], results.verdict(same)) == (0, 0, "not told apart")
    with pytest.raises(RecbenchError, match=r"predictions.npz is missing; run bash experiments/behavior.sh tiny"):
        results.difference(Path("elsewhere"), shared, apart)


@pytest.mark.parametrize(("told", "alone"), [({}, False), ({"statistics": False}, True)])
def test_what_an_entry_leaves_out_is_as_it_always_was(results, told, alone):
    """The Transformer reads statistics, and an entry does not say so."""
    entry = SimpleNamespace(params=told, tuning=[{"params": {"statistics": not told}}])
    row = SimpleNamespace(model="transformer", entries=[entry])
    assert results.params_of(row)["statistics"] == (not alone) and results.of([row], "transformer") is row
    assert (results.fields_alone([row], "transformer") is row) == alone


def test_the_page_says_what_was_found(results, monkeypatch, tmp_path):
    monkeypatch.chdir(ROOT)
    found = {"a": 0.75, "b": 0.7, "low": 0.02, "high": 0.08, "seeds": [0.05]}
    record = {"video-like": {"pairs": {"din over bst": found}, "known": {"oracle": 0.4, "scholar": 0.41}}}
    page = results.report(record)
    assert "| din over bst | 0.7500 | 0.7000 | +0.0500 [+0.0200, +0.0800] | better |" in page
    assert "Log loss of the oracle 0.4000" in page and "0.4100 (+2.5%)" in page
