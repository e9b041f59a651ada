"""A training run that is killed or interrupted, and then resumed, ends as one that nothing stopped: through the command line."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from conftest import entries, environment, refused

EPOCHS = 25  # validation chooses a late one, so that the refit is long enough to be stopped as well
WORDS = (
    "model=transformer", "data=acme-beauty", "trainer.threads=1", f"model.epochs={EPOCHS}",
    f"model.patience={EPOCHS}", "model.dim=16", "model.batch_size=16", "model.learning_rate=1e-2", "model.loss=sampled", "model.schedule=cosine",
)  # fmt: skip
SAME = ("key", "scores", "artefacts", "valid_headline", "epochs", "stopped_by", "n_parameters", "split_fingerprint")


def result(folder: Path) -> tuple[dict, list[dict], Path]:
    """The entry of the one run in a folder, its curve and where it lies."""
    (entry,) = entries(folder)
    place = folder / entry["key"]
    return entry, [json.loads(line) for line in (place / "curve.jsonl").read_text().splitlines()], place


def assert_same(folder: Path, reference: Path) -> None:
    (mine, my_curve, my_place), (theirs, their_curve, place) = result(folder), result(reference)
    for name in SAME:
        assert mine[name] == theirs[name], name
    assert my_curve == their_curve
    for name in ("model/weights.safetensors", "select/best.safetensors"):
        assert (my_place / name).read_bytes() == (place / name).read_bytes(), name


@pytest.fixture(scope="module")
def whole(tmp_path_factory, data_dir, neural_forge):
    """The runs of a command that nothing stopped, in a process of its own; the forge gets ready meanwhile."""
    folder = tmp_path_factory.mktemp("whole")
    words = [sys.executable, "-m", "recbench", *WORDS]
    done = subprocess.run(words, cwd=folder, env=environment(data_dir), capture_output=True, text=True, timeout=120)
    assert done.returncode == 0 and done.stderr == "", done.stderr
    return folder / "runs"


def test_the_curve_has_each_epoch_once(whole):
    entry, curve, _ = result(whole)
    assert [line["step"] for line in curve] == list(range(1, EPOCHS + 1))
    best = max(curve, key=lambda line: line["headline"])
    assert (best["step"], best["headline"]) == (entry["epochs"], entry["valid_headline"])


def test_the_same_command_gives_the_same_scores_and_artefacts(neural_forge, whole, tmp_path):
    neural_forge.start(*WORDS, "out=again", cwd=tmp_path)
    assert neural_forge.end().returncode == 0
    assert_same(tmp_path / "again", whole)


def stop(forge, folder: Path, kind: int, stage: str):
    """Start the command and send it a signal in the middle of a stage: as soon as its first checkpoint is there."""
    process = forge.start(*WORDS, cwd=folder)
    deadline = time.monotonic() + 60
    while not list(folder.glob(f"runs/*/{stage}/last.ckpt")):
        assert time.monotonic() < deadline, f"no checkpoint in {stage}"
        time.sleep(0.002)
    os.kill(process, kind)
    return forge.end()


@pytest.mark.parametrize("stage", ["select", "refit"])
def test_a_killed_run_resumes_to_the_last_bit(neural_forge, whole, tmp_path, stage):
    done = stop(neural_forge, tmp_path, signal.SIGKILL, stage)
    assert done.returncode == -signal.SIGKILL and entries(tmp_path / "runs") == [], "it ended before it was killed"
    (curve,) = (tmp_path / "runs").glob("*/curve.jsonl")
    assert (len(curve.read_text().splitlines()) < EPOCHS) == (stage == "select")
    neural_forge.start(*WORDS, "resume=true", cwd=tmp_path)
    done = neural_forge.end()
    assert done.returncode == 0 and done.stderr == "", done.stderr
    assert_same(tmp_path / "runs", whole)


def test_ctrl_c_says_how_to_go_on_and_that_way_leads_to_the_same_end(neural_forge, whole, tmp_path):
    done = stop(neural_forge, tmp_path, signal.SIGINT, "select")
    assert done.returncode == 130 and entries(tmp_path / "runs") == []
    (line,) = done.stderr.splitlines()
    assert line.startswith("recbench: interrupted") and "resume=true" in line
    neural_forge.start(*WORDS, "resume=true", cwd=tmp_path)
    assert neural_forge.end().returncode == 0
    assert_same(tmp_path / "runs", whole)


def test_a_finished_run_that_is_resumed_stays_as_it_is(neural_forge, whole, tmp_path):
    (tmp_path / "runs").symlink_to(whole)
    before = result(whole)
    neural_forge.start(*WORDS, "resume=true", cwd=tmp_path)
    assert neural_forge.end().returncode == 0
    after = result(whole)
    assert after[1:] == before[1:] and all(after[0][name] == before[0][name] for name in SAME)


def test_what_stops_a_run_before_it_trains_costs_no_checkpoint(neural_forge, tmp_path):
    stop(neural_forge, tmp_path, signal.SIGKILL, "select")
    (checkpoint,) = tmp_path.glob("runs/*/select/last.ckpt")
    before = checkpoint.read_bytes()
    neural_forge.start(*WORDS, cwd=tmp_path, env={"RECBENCH_DATA_DIR": str(tmp_path)})
    assert "Beauty.txt not found" in neural_forge.end().stderr
    assert checkpoint.read_bytes() == before, "the data were missing, and resume=true was forgotten"


def test_a_selection_cut_within_its_first_epoch_is_not_fitted_again(recbench):
    done = recbench(*WORDS, "trainer.max_minutes=0")
    refused(done, "trainer.max_minutes=0 ended the selection within its first epoch", "give it more minutes")


def test_a_refit_that_is_cut_says_so(tmp_path):
    """And not how long selection went on."""
    from recbench_sequential.transformer import Transformer

    from recbench import run
    from recbench.model import Context
    from recbench.testing.worlds import chain

    parts, context = chain().split(), Context(seed=1)
    model = Transformer(Transformer.Params(**Transformer.small | {"epochs": 3}))
    model.fit(parts.train, context)
    prepared = run.Prepared(None, SimpleNamespace(refit=parts.train), [])
    whole, cut = (
        run._refit(
            run.Selected(model, 0.0, prepared, replace(context, max_minutes=minutes), None), tmp_path / str(minutes)
        )
        for minutes in (None, 0.0)
    )
    assert (whole.stopped_by, whole.chosen_epochs) == ("epochs", 3)
    assert (cut.stopped_by, cut.chosen_epochs) == ("max_minutes", 0)
