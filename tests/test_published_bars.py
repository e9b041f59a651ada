"""The experiment of published tables: its rows compose, its report and the models' cards are what the files say."""

import importlib.util
import shlex
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
import yaml

from recbench import leaderboard
from recbench.plan import Plan

ROOT = Path(__file__).parent.parent


def script(path: str) -> ModuleType:
    """A script of the repository as a module."""
    spec = importlib.util.spec_from_file_location(Path(path).stem, ROOT / path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


bars, model_cards = script("benchmarks/bars.py"), script("docs/model_cards.py")
ROWS = [
    {"seeds": [1], **row, "name": name} for name, row in yaml.safe_load(bars.EXPERIMENT.read_text())["rows"].items()
]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["name"])
def test_every_row_is_a_plan_on_a_strict_board_with_a_floor_below_its_aim(row):
    plan = bars.plan_of(row, 1)
    assert plan.on_board and plan.board.fit_on == "train" and plan.board.split == "leave_last_out"
    assert set(row["floor"]) == set(row["published"]) <= set(plan.board.metrics)
    for label, published in row["published"].items():
        assert 0 < row["floor"][label] < row.get("aim", {}).get(label, published)


@pytest.mark.parametrize("row", [row for row in ROWS if "tried" in row], ids=lambda row: row["name"])
def test_every_setting_that_was_tried_is_another_plan(row):
    others = [{**row, "params": row.get("params", {}) | one["change"]} for one in row["tried"]]
    assert len({bars.plan_of(other, 1).key for other in [row, *others]}) == 1 + len(others)


def test_a_setting_is_told_with_what_is_known_of_it():
    whole = {"change": {"loss": "bce", "dim": 8}, "epoch": 7, "valid": 0.05, "test": [0.04, 0.0806], "cpu_s": 1234}
    cut = {"change": {"dim": 8}, "epoch": 3, "valid": 0.01}
    row = {
        "name": "acme",
        "board": "amazon-beauty-published",
        "model": "transformer",
        "seeds": [987],
        "tried": [whole, cut],
    }
    assert bars.tried_of(row) == [  # seed 987 was not run: no line of the row's own
        "| acme | loss=bce dim=8 | 7 | 0.0500 | 0.0400 | 0.0806 | 1,234 |",
        "| acme | dim=8 | 3 | 0.0100 | - | - | - |",
    ]
    assert bars.tried_of({key: value for key, value in row.items() if key != "tried"}) == []


def plan_by(command: str) -> Plan:
    """The plan that a command of one run composes to."""
    from hydra import compose, initialize_config_dir

    from recbench import config

    words = shlex.split(command)[3:]
    config.register()
    with initialize_config_dir(str(config.CONF), version_base="1.3"):
        composed = compose("config", overrides=words)
    return config.plan_of(composed, dict(word.split("=", 1) for word in words))


def test_the_command_of_a_row_composes_to_the_same_plan():
    row = next(row for row in ROWS if row["name"] == "ml-1m-gbce")
    assert plan_by(bars.command_of(row, 2)).key == bars.plan_of(row, 2).key


@pytest.mark.parametrize("name", sorted(path.name for path in (ROOT / "leaderboards").iterdir() if path.is_dir()))
def test_the_command_of_an_entry_on_a_board_still_asks_for_that_entry(name):
    """A default that has moved since must be in the command; one seed of each model and parameters shows it."""
    entries = {f"{e.model} {e.params}": e for e in leaderboard.read(ROOT / "leaderboards" / name) if not e.tuning}
    for entry in entries.values():
        assert plan_by(entry.command).key == entry.key, entry.command


def test_interval_is_students():
    assert bars.interval([0.05]) == "0.0500"
    # mean .2, deviation .1, t(.975, 2) = 4.3027: .1 / sqrt(3) * 4.3027 = .2484
    assert bars.interval([0.1, 0.2, 0.3]) == "0.2000 ± 0.2484"


def test_the_report_is_what_the_entries_say(tmp_path, monkeypatch):
    rows = [{"seeds": [1, 2, 3], **row} for row in ROWS]
    rows = [
        {**row, "seeds": yaml.safe_load(bars.EXPERIMENT.read_text())["rows"][row["name"]].get("seeds", [1, 2, 3])}
        for row in rows
    ]
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(bars, "REPORT", tmp_path / "published.md")
    monkeypatch.setattr(bars, "ROOT", tmp_path)
    bars.report(rows)
    assert (tmp_path / "published.md").read_text() == (ROOT / "docs" / "published.md").read_text()


def test_the_cards_of_the_models_are_what_their_classes_say():
    pages = model_cards.cards()
    assert {path.name for path in (ROOT / "docs" / "models").iterdir()} == set(pages)
    for name, page in pages.items():
        assert (ROOT / "docs" / "models" / name).read_text() == page, f"{name}: run python docs/model_cards.py"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--row", "beautty"), "--row beautty is unknown; did you mean 'beauty'?"),
        (("--row", "ml-1m-bert4rec", "--seed", "2"), "--seed 2 is not declared; seeds: 1\n"),
        (("--seed", "7"), "--seed 7 is not declared; seeds: 1, 2, 3\n"),
    ],
)
def test_what_is_not_declared_is_told(words, said):
    command = [sys.executable, "benchmarks/bars.py", *words]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.startswith(f"bars: {said}") and "Traceback" not in done.stderr
