"""The experiment of tuned baselines names what is installed, and each of its lines is a sweep of cells with equal budgets."""

import shlex
import subprocess
from dataclasses import fields
from pathlib import Path

import pytest

from recbench import registry
from recbench.boards import board

SCRIPT = Path(__file__).parent.parent / "experiments" / "baselines.sh"
LINES = [shlex.split(line)[1:] for line in SCRIPT.read_text().splitlines() if line.startswith("tune ")]


@pytest.mark.parametrize("line", LINES, ids=" ".join)
def test_a_line_names_a_board_models_and_their_parameters(line):
    name, models, *overrides = line
    assert board(name).budget_trials == 15
    for model in models.split(","):
        known = [f"model.{f.name}" for f in fields(registry.find("model", model).load().Params)]
        assert {override.partition("=")[0] for override in overrides} <= set(known)


def test_a_word_that_no_board_holds_runs_nothing(tmp_path):
    done = subprocess.run(["bash", SCRIPT, "nothing"], capture_output=True, text=True, cwd=tmp_path, check=False)
    assert (done.returncode, done.stdout, done.stderr, list(tmp_path.iterdir())) == (0, "", "", [])
