"""Sweeps: cells and trials through the command line, and the rules of a study against a model that is a formula."""

import json
import math
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

import pytest
from conftest import LIGHT, Forge, board_file, entries, refused

from recbench import tune
from recbench.config import space_of
from recbench.errors import RecbenchError
from recbench.plan import Board, Plan

BEAUTY = ("data=acme-beauty", "trainer.threads=1")
KNN = ("-m", "model=item-knn", *BEAUTY)
BOUNDS = {"low": 0.0, "high": 1.0, "log": False}
X = {"x": BOUNDS}


def plan_at(seed: int = 1, **params) -> Plan:
    board = Board("hill", "made-up", ("height",), "height", split="leave_last_out", seeds=(5, 6), budget_trials=7)
    return Plan(board, True, "made-up", {}, "hill", {"x": 0.5, "y": 0.5} | params, "recbench-hill", "1", seed)


@pytest.fixture
def calls() -> list:
    """The parameters that were judged, in order."""
    return []


@pytest.fixture
def searched(tmp_path, calls):
    """Runs `tune.spend` on a formula of the parameters."""

    def run(height=lambda p: -((p["x"] - 0.3) ** 2), space=X, out="out", plan=None, **options):
        def judge(params):
            calls.append(params)
            return height(params)

        return Found(*tune.spend(judge, plan or plan_at(), tmp_path / out, space, **options))

    return run


class Found(NamedTuple):
    params: dict
    tuning: list


def points(found: Found) -> list:
    return [trial["params"] for trial in found.tuning]


def test_the_best_trial_wins(searched, calls):
    found = searched()
    assert len(calls) == 7, "the board's budget"
    assert [t["trial"] for t in found.tuning] == list(range(7)) and {t["state"] for t in found.tuning} == {"complete"}
    assert found.tuning[0]["params"] == {"x": 0.5}, "trial 0 is the default"
    assert all(t["valid_headline"] == pytest.approx(-((t["params"]["x"] - 0.3) ** 2)) for t in found.tuning)
    best = max(found.tuning, key=lambda t: t["valid_headline"])
    assert found.params == {"y": 0.5} | best["params"], "y is no part of the space"


def test_the_earliest_of_equals_wins(searched):
    assert searched(lambda p: 1.0).params["x"] == 0.5


@pytest.mark.parametrize("kind", ["random", "bayes"])
def test_equal_seeds_give_equal_parameters_also_in_two_goes(searched, kind):
    whole = points(searched(kind=kind, trials=9))
    assert points(searched(kind=kind, trials=9, out="again")) == whole
    assert len({p["x"] for p in whole}) == 9 and all(0 <= p["x"] <= 1 for p in whole)
    searched(kind=kind, trials=4, out="halves")
    assert points(searched(kind=kind, trials=9, out="halves")) == whole, "more trials go on where fewer ended"
    assert points(searched(kind=kind, trials=9, plan=plan_at(seed=2)))[1:] != whole[1:]


def test_bayes_learns_and_random_does_not(searched):
    def reached(kind: str) -> float:
        runs = [searched(kind=kind, trials=20, plan=plan_at(seed=s), out=f"{kind}{s}") for s in range(2)]
        return sum(abs(trial["params"]["x"] - 0.3) for run in runs for trial in run.tuning[10:])

    assert reached("bayes") < 0.8 * reached("random")


def test_the_same_command_again_asks_nothing(searched, calls):
    first = searched(trials=3)
    calls.clear()
    assert points(searched(trials=3)) == points(first)
    assert calls == []


def test_a_failing_trial_is_recorded_and_spends_its_trial(searched):
    def height(p):
        if p["x"] > 0.5:
            raise ValueError("too far\nto the right")
        return math.nan if p["x"] < 0.2 else p["x"]

    said = []
    first = searched(height, trials=12, say=said.append)
    failed = [t for t in first.tuning if t["state"] == "fail"]
    assert len(first.tuning) == 12 and {"ValueError: too far to the right", "height is nan"} == {
        t["error"] for t in failed
    }
    assert all(t["valid_headline"] is None for t in failed) and first.params["x"] == 0.5
    assert sum("failed: ValueError: too far to the right" in line for line in said) > 0
    assert sum(line.startswith("trial ") for line in said) == 12, "a line a trial"


def test_where_every_trial_fails_there_is_no_winner(searched, calls):
    with pytest.raises(RecbenchError, match="no trial of model=hill succeeded; the last one: ZeroDivisionError"):
        searched(lambda p: 1 / 0, trials=3)
    assert len(calls) == 3


def test_ctrl_c_stops_and_the_same_command_asks_the_lost_trial_again(searched, calls, tmp_path):
    def interrupted(p):
        if len(calls) == 4:
            raise KeyboardInterrupt
        return p["x"]

    with pytest.raises(KeyboardInterrupt):
        searched(interrupted, trials=6)
    first = searched(lambda p: p["x"], trials=6)
    assert [t["trial"] for t in first.tuning] == [0, 1, 2, 4, 5, 6], "trial 4 is trial 3 once more"
    (path,) = (tmp_path / "out").glob("study-*.journal")
    states = [trial.state.name for trial in tune._study(path).trials]
    assert states == ["COMPLETE"] * 3 + ["FAIL"] + ["COMPLETE"] * 3, "no trial runs for ever"
    assert points(first) == points(searched(lambda p: p["x"], trials=6, out="whole"))


def test_workers_alive_are_left_alone_and_dead_ones_are_not():
    here = socket.gethostname()
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    assert tune._alive(f"{here}:{os.getppid()}") and tune._alive(f"{here}-other:{gone.pid}")
    assert not tune._alive(f"{here}:{gone.pid}")
    assert not tune._alive(f"{here}:{os.getpid()}"), "a process does not wait for itself"
    assert not tune._alive("")


def test_a_grid_is_every_combination_once_with_the_default_first(searched):
    space = {"x": {"choices": [0.1, 0.5]}, "y": {"choices": [0.2, 0.5, 0.9]}}
    tried = points(searched(lambda p: p["x"] * p["y"], space=space, kind="grid", trials=50))
    assert tried[0] == {"x": 0.5, "y": 0.5}
    assert sorted((p["x"], p["y"]) for p in tried) == [(x, y) for x in (0.1, 0.5) for y in (0.2, 0.5, 0.9)]
    with pytest.raises(RecbenchError, match=r"has 6 points, the sweep 5 trials; write sweep\.trials=6"):
        searched(space=space, kind="grid", trials=5)


def test_a_default_outside_the_ranges_moves_to_the_nearest_point(searched):
    space = {
        "x": {"low": 0.7, "high": 0.9, "log": False}, "y": {"choices": [10, 20, 30]}, "word": {"choices": ["b", "c"]},
        "power": {"choices": [2, 4, 16]},
        "none": {"low": 1.0, "high": 9.0, "log": True}, "empty": {"choices": [None, 3]},
    }  # fmt: skip
    plan = plan_at(y=27, word="a", power=3, none=None, empty=None)
    tried = points(searched(lambda p: 0.0, space=space, plan=plan))
    assert tried[0] == {"x": 0.7, "y": 30, "word": "b", "power": 2, "none": None, "empty": None}
    assert all(p["none"] is not None and 1 <= p["none"] <= 9 for p in tried[1:]), "only the default stays outside"
    assert {p["y"] for p in tried} <= {10, 20, 30} and {p["power"] for p in tried} <= {2, 4, 16}


def test_where_lower_is_better_the_lowest_wins(searched):
    found = searched(lambda p: (p["x"] - 0.3) ** 2, lower_is_better=True, trials=6)
    best = min(found.tuning, key=lambda trial: trial["valid_headline"])
    assert (
        found.params["x"] == best["params"]["x"] != max(found.tuning, key=lambda t: t["valid_headline"])["params"]["x"]
    )


def test_where_there_is_nothing_to_tune_one_trial_suffices(searched):
    assert points(searched(space={}, trials=5)) == [{}]


def test_a_broken_journal_is_one_line(searched, tmp_path):
    searched(trials=1)
    (path,) = (tmp_path / "out").glob("study-*.journal")
    path.write_text("no journal\n" * 3)
    with pytest.raises(RecbenchError, match=rf"{path.name} is not a study .*; delete it"):
        searched(trials=1)


def test_a_cell_of_other_words_is_another_study(searched, tmp_path):
    searched(trials=1)
    searched(trials=1, plan=plan_at(y=0.6))
    searched(trials=1, kind="random")
    searched(trials=1, space={"x": BOUNDS | {"high": 0.9}})
    searched(trials=2)
    assert len(list((tmp_path / "out").glob("study-*.journal"))) == 4, "the number of trials names no study"


ALIKE = {"similarity": {"choices": ["cosine", "jaccard", "asymmetric", "dot"]}}


@pytest.mark.parametrize(("words", "expected"), [
    ((), ALIKE | {"neighbours": {"low": 1, "high": 2000, "log": True}, "weighting": {"choices": ["cosine", "tfidf", "bm25"]},
          "shrink": {"low": 0.0, "high": 1000.0, "log": False}}),
    (("model.neighbours=50", "model.weighting=cosine"), ALIKE | {"shrink": {"low": 0.0, "high": 1000.0, "log": False}}),
    (("model.neighbours=interval(5,50)", "model.shrink=tag(log,interval(1,9))", "model.weighting=choice(tfidf)"),
     ALIKE | {"neighbours": {"low": 5, "high": 50, "log": True}, "shrink": {"low": 1.0, "high": 9.0, "log": True},
              "weighting": {"choices": ["tfidf"]}}),
    (("model.neighbours=range(5,50,20)", "model.shrink=choice(1,2.5,1)", "model.weighting='tfidf'",
      "model.min_support=choice(1,2)", "model.similarity=jaccard"),
     {"neighbours": {"choices": [5, 25, 45]}, "shrink": {"choices": [1.0, 2.5]}, "min_support": {"choices": [1, 2]}}),
], ids=["own", "fixed", "intervals", "lists"])  # fmt: skip
def test_words_narrow_or_replace_the_plugin_s_own_space(words, expected):
    space = space_of("item-knn", words, "bayes")
    assert space == expected
    for name, axis in space.items():
        kinds = {type(value) for value in axis.get("choices", [axis.get("low"), axis.get("high")])}
        assert kinds <= {{"shrink": float, "weighting": str, "similarity": str}.get(name, int)}, (
            "an int and its float are two plans"
        )


HILL = '''
"""A model that hangs at fit number HANG, and fails where x is large."""
import os
import time
from dataclasses import dataclass

import numpy as np

from recbench import Params, Recommender, param


@dataclass(frozen=True)
class HillParams(Params):
    """Where the hill stands."""

    x: float = param(0.5, "Its place.", low=0.0, high=1.0, tune=True)


class Hill(Recommender):
    """Items near x come first."""

    Params, fitted, fits = HillParams, ("score_I",), 0

    def fit(self, train, context):
        Hill.fits += 1
        if Hill.fits == int(os.environ.get("HANG", 0)):
            print("asleep", flush=True)
            for _ in range(600):
                time.sleep(0.1)  # short: a signal that comes just before a sleep begins is seen after it
        if self.params.x > 0.7:
            raise ValueError("x is too large")
        n = train.interactions.n_items
        self.score_I = -np.abs(np.arange(n, dtype=np.float32) / n - np.float32(self.params.x))

    def score(self, queries):
        return np.tile(self.score_I, (len(queries), 1))
'''


@pytest.fixture(scope="module")
def forge(tmp_path_factory, data_dir):
    """The forge of conftest, with Optuna loaded and the hill installed."""
    site = tmp_path_factory.mktemp("hill")
    info = site / "acme_hill-0.1.dist-info"
    info.mkdir()
    (site / "acme_hill.py").write_text(HILL)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-hill\nVersion: 0.1\n")
    (info / "entry_points.txt").write_text("[recbench.model]\nhill = acme_hill:Hill\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(site), prepend=os.pathsep)
        ready = Forge(f"{LIGHT}, optuna, scipy.sparse", data_dir, tmp_path_factory.mktemp("forge"))
        yield ready
    ready.close()


COMMA = ("model.neighbours=5,10", "cells", "model.neighbours=choice(5,10)", "leave sweep= out")


@pytest.mark.parametrize(("words", "fragments"), [
    ((*KNN[1:], "sweep=bayes"), ("sweep=bayes", "add -m")),
    ((*KNN, "sweep=bayes", "model.neighbours=5,10"), COMMA),
    ((*KNN, "sweep=bayes", "seed=1,2"), ("seed=1,2", "the board's seeds", "one seed")),
    ((*KNN, "sweep=bayes", "sweep.trials=5,6"), ("sweep.trials=5,6", "model, data, board", "one value")),
    ((*KNN, "sweep=bayes,grid"), ("sweep=bayes,grid", "one value")),
    ((*KNN, "sweep=bayes", "trainer.max_minutes=interval(1,2)"), ("trainer.max_minutes", "only model.* is searched")),
    ((*KNN, "sweep=bayse"), ("'bayse'", "grid, random, bayes", "did you mean 'bayes'?")),
    ((*KNN, "sweep=bayes", "sweep.trial=5"), ("'trial'", "did you mean 'trials'?")),
    ((*KNN, "sweep=bayes", "sweep.trials=0"), ("trials", "1 to 100000", "given 0")),
    ((*KNN, "sweep.trials=5"), ("sweep.trials=5", "add sweep=grid, random or bayes")),
    ((*KNN, "sweep=bayes", "model.neighbours=interval(0,50)"), ("neighbours", "1 to 2000", "given 0")),
    ((*KNN, "sweep=bayes", "model.neighbours=choice(5,2001)"), ("neighbours", "1 to 2000", "given 2001")),
    ((*KNN, "sweep=bayes", "model.neighbours=interval(1.5,50)"), ("neighbours", "whole number", "1.5")),
    ((*KNN, "sweep=bayes", "model.shrink=interval(9,2)"), ("shrink=interval(9,2)", "interval(LOW,HIGH)")),
    ((*KNN, "sweep=bayes", "model.shrink=tag(log,interval(0,2))"), ("LOW above 0", "log")),
    ((*KNN, "sweep=bayes", "model.neighbours=range(5,5)"), ("range(5,5)", "no value")),
    ((*KNN, "sweep=bayes", "model.neighbours=range(1,9,0)"), ("range(1,9,0)", "range(START,STOP,STEP)")),
    ((*KNN, "sweep=bayes", "model.neighbours=range(1,1000000000)"), ("1 to 2000", "given 2001")),
    ((*KNN, "sweep=bayes", "+model.neigbours=choice(1,5)"), ("'neigbours'", "did you mean 'neighbours'?")),
    ((*KNN, "sweep=bayes", "model.weighting=choice(cosine,bm52)"), ("weighting", "cosine, tfidf, bm25", "'bm52'")),
    ((*KNN, "sweep=bayes", "model.neigbours=interval(1,5)"), ("'neigbours'", "did you mean 'neighbours'?")),
    (("-m", "model=ease,popular", *BEAUTY, "sweep=bayes", "model.l2=interval(1,5)"), ("model=popular", "'l2'")),
    ((*KNN, "sweep=grid"), ("neighbours, shrink", "model.neighbours=choice(...) model.shrink=choice(...)")),
    ((*KNN, "sweep=grid", "model.neighbours=5", "model.shrink=interval(0,9)"), ("values for shrink", "to fix it")),
    ((*KNN, "model.shrink=interval(0,9)"), ("interval(0,9)", "add sweep=random or bayes")),
    ((*KNN, "sweep=bayes", "out=blocked"), ("blocked", "choose another folder")),
], ids=lambda part: " ".join(part)[-60:])  # fmt: skip
def test_what_a_sweep_cannot_do_is_one_line_before_anything_runs(quickly, tmp_path, words, fragments):
    (tmp_path / "blocked").write_text("")
    refused(quickly(*words), *fragments)
    assert [path.name for path in tmp_path.iterdir()] == ["blocked"]


def test_cells_times_trials_become_tuned_rows(quickly, tmp_path):
    (tmp_path / "mine.yaml").write_text(
        board_file(name="mine", metrics=["recall@3"], headline="recall@3", seeds=[1, 2], budget_trials=4)
    )
    words = (*BEAUTY, "board=mine.yaml")
    done = quickly("-m", "model=ease,item-knn", *words, "sweep=bayes", "submit=true")
    assert done.returncode == 0 and done.stderr == "", done.stderr
    assert sum(line.startswith("trial ") for line in done.stdout.splitlines()) == 8
    folders = [path for path in (tmp_path / "runs").iterdir() if path.is_dir()]
    found = entries(tmp_path / "runs")
    near = {"neighbours": 100, "shrink": 10.0, "similarity": "cosine", "weighting": "cosine"}
    defaults = {"ease": {"l2": 250.0}, "item-knn": near}
    for model, default in defaults.items():
        mine = sorted((e for e in found if e["model"] == model), key=lambda e: e["seed"])
        assert [e["seed"] for e in mine] == [1, 2] and len({json.dumps(e["tuning"]) for e in mine}) == 1
        history = mine[0]["tuning"]
        assert len(history) == 4 and history[0]["params"] == default
        best = max(history, key=lambda t: t["valid_headline"])
        assert best["params"].items() <= mine[0]["params"].items()
        assert best["valid_headline"] == mine[0]["valid_headline"], "the trial and the run measure the same thing"
        assert f"-m model={model} data=acme-beauty" in mine[0]["command"] and "space" not in mine[0]["command"]
    shut = [f for f in folders if not (f / "entry.json").exists()]
    assert len(found) == 4 and len(folders) == 2 * (4 + 1), "seed 1 of a winner is its trial's folder"
    assert not [path for f in shut for path in f.iterdir() if path.name != "plan.json"], "no trial opened the test"
    page = (tmp_path / "leaderboards" / "mine" / "README.md").read_text().splitlines()
    assert [line.split("|")[-4].strip() for line in page if "| ease |" in line or "| item-knn |" in line] == ["yes"] * 2

    penalty = next(e["params"]["l2"] for e in found if e["model"] == "ease")
    plain = quickly("model=ease", *words, f"model.l2={penalty}", "seed=2", "out=plain")
    assert plain.returncode == 0, plain.stderr
    (entry,) = entries(tmp_path / "plain")
    assert not entry["tuning"] and entry["key"] in {e["key"] for e in found}, "a plan has one key, searched for or not"


def test_a_grid_with_a_seed_of_the_user_s(quickly, tmp_path):
    words = ("model.neighbours=choice(3,9)", "model.shrink=range(0,3)", "model.weighting=tfidf", "seed=4")
    words = (*words, "model.similarity=cosine")
    done = quickly(*KNN, "sweep=grid", *words)
    assert done.returncode == 0, done.stderr
    (entry,) = entries(tmp_path / "runs")
    assert entry["seed"] == 4 and entry["params"]["weighting"] == "tfidf"
    tried = {tuple(t["params"].values()) for t in entry["tuning"]}
    assert tried == {(n, s) for n in (3, 9) for s in (0.0, 1.0, 2.0)}
    assert "'model.neighbours=choice(3,9)'" in entry["command"], "the command as the user would write it"


def test_a_parameter_younger_than_the_first_entries_is_searched_like_any(quickly, tmp_path):
    """What an entry leaves out because it is as it was formerly is in the space, and the winner has the key of a plain run."""
    fixed = ("model.learning_rate=0.01", "model.blocks=1", "model.dropout=0")
    words = (*BEAUTY, *fixed, "model.epochs=1", "model.dim=8", "model.vector_dropout=0", "seed=4")
    done = quickly("-m", "model=transformer", *words, "model.input_norm=choice(false,true)", "sweep=grid")
    assert done.returncode == 0, done.stderr
    (tuned,) = entries(tmp_path / "runs")
    assert [trial["params"] for trial in tuned["tuning"]] == [{"input_norm": False}, {"input_norm": True}]
    best = max(tuned["tuning"], key=lambda trial: trial["valid_headline"])["params"]["input_norm"]
    assert tuned["params"].get("input_norm", False) == best and "vector_dropout" not in tuned["params"]
    done = quickly("model=transformer", *words, f"model.input_norm={best}", "out=again")
    assert done.returncode == 0, done.stderr
    (untuned,) = entries(tmp_path / "again")
    assert untuned["key"] == tuned["key"] and untuned["scores"] == tuned["scores"]
    for folder, entry in (("runs", tuned), ("again", untuned)):  # what was made is what the entry says
        saved = json.loads((tmp_path / folder / entry["key"] / "model" / "params.json").read_text())
        assert saved == entry["params"]


def test_without_sweep_a_multirun_is_a_product(quickly, tmp_path):
    done = quickly("-m", "model=popular", *BEAUTY, "model.count=users,events", "seed=3")
    assert done.returncode == 0, done.stderr
    found = entries(tmp_path / "runs")
    assert {(e["params"]["count"], e["seed"]) for e in found} == {("users", 3), ("events", 3)}
    assert not any(e["tuning"] for e in found)


def test_a_cell_that_cannot_run_spares_the_others(quickly, tmp_path):
    done = quickly("-m", "model=recent-popular,popular", *BEAUTY, "sweep=random", "sweep.trials=2", "seed=1")
    refused(done, "model=recent-popular", "timestamps")
    assert len(list((tmp_path / "runs").glob("study-*.journal"))) == 1, "a cell that is refused leaves no study"
    assert [e["model"] for e in entries(tmp_path / "runs")] == ["popular"]


def test_killed_in_the_middle_the_same_command_finishes_as_if_nothing_had_been(forge, tmp_path):
    words = ("-m", "model=hill", *BEAUTY, "sweep=bayes", "sweep.trials=9", "seed=1")
    forge.start(*words, "out=whole", cwd=tmp_path)
    assert forge.end().returncode == 0
    worker = forge.start(*words, cwd=tmp_path, env={"HANG": "5"})
    stdout, deadline = forge.streams[0], time.monotonic() + 30
    while not (stdout.exists() and "asleep" in stdout.read_text()):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    os.kill(worker, signal.SIGKILL)
    assert forge.end().returncode == -signal.SIGKILL and not entries(tmp_path / "runs")
    forge.start(*words, cwd=tmp_path)
    done = forge.end()
    assert done.returncode == 0, done.stderr
    (killed,), (whole,) = entries(tmp_path / "runs"), entries(tmp_path / "whole")
    assert [t["trial"] for t in killed["tuning"]] == [0, 1, 2, 3, 5, 6, 7, 8, 9], "trial 5 is trial 4 once more"
    for name in ("params", "valid_headline", "state", "error"):
        assert [t[name] for t in killed["tuning"]] == [t[name] for t in whole["tuning"]]
    assert (killed["key"], killed["scores"]) == (whole["key"], whole["scores"])
    failed = [t for t in whole["tuning"] if t["params"]["x"] > 0.7]
    assert failed and all((t["state"], t["error"]) == ("fail", "ValueError: x is too large") for t in failed)
    assert len(list(Path(tmp_path, "runs").glob("study-*.journal"))) == 1
