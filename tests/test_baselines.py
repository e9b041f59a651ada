"""The experiments of tuned models name what is installed, and each of their lines is a sweep of cells with equal budgets."""

import shlex
import subprocess
from dataclasses import fields
from pathlib import Path

import pytest

from recbench import registry
from recbench.boards import board

SCRIPTS = sorted((Path(__file__).parent.parent / "experiments").glob("*.sh"))
LINES = [shlex.split(line)[1:] for s in SCRIPTS for line in s.read_text().splitlines() if line.startswith("tune ")]


@pytest.mark.parametrize("line", LINES, ids=" ".join)
def test_a_line_names_a_board_models_and_their_parameters(line):
    name, models, *overrides = line
    assert board(name).budget_trials == {"ecommerce-purchase": 5}.get(name, 15)
    for model in models.split(","):
        cls = registry.find("model", model).load()
        assert board(name).task in cls.traits.tasks
        known = [f"model.{f.name}" for f in fields(cls.Params)]
        assert {override.partition("=")[0] for override in overrides} <= set(known)


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_a_word_that_no_board_holds_runs_nothing(script, tmp_path):
    done = subprocess.run(["bash", script, "nothing"], capture_output=True, text=True, cwd=tmp_path, check=False)
    assert (done.returncode, done.stdout, done.stderr, list(tmp_path.iterdir())) == (0, "", "", [])
