"""Trackers: a W&B run on disk without account, network or question; a broken W&B costs a warning and no number."""

import json
import os
import pty
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from conftest import entries, environment

pytest.importorskip("wandb")
BEAUTY = ("model=popular", "data=acme-beauty")
QUIET = {"PYTHONWARNINGS": "default,ignore::ResourceWarning"}  # W&B leaves temporary folders to the end
OURS = ("WANDB_MODE", "WANDB_API_KEY", "WANDB_DIR", "WANDB_DATA_DIR", "WANDB_CACHE_DIR", "WANDB_BASE_URL")


@pytest.fixture(autouse=True)
def nobody(monkeypatch, tmp_path_factory):
    """A user who has never heard of W&B."""
    for name in OURS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path_factory.mktemp("home")))


@pytest.fixture
def trap():
    """Counts whoever asks for the network: the address of a proxy, and the list of callers."""
    server, callers = socket.create_server(("127.0.0.1", 0)), []

    def listen():
        while True:
            try:
                caller, _ = server.accept()
            except OSError:
                return
            callers.append(caller.recv(200))
            caller.close()

    threading.Thread(target=listen, daemon=True).start()
    address = f"http://127.0.0.1:{server.getsockname()[1]}"
    yield dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"), address), callers
    server.close()


def records(place: Path) -> list[dict]:
    """What W&B's own reader finds in a run."""
    wandb = [sys.executable, "-m", "wandb", "leet", "inspect", "--json", str(place)]
    done = subprocess.run(wandb, capture_output=True, text=True, check=True, timeout=60)
    return [json.loads(line) for line in done.stdout.splitlines()]


def kept(found: list[dict], kind: str) -> list[dict]:
    return [record[kind] for record in found if record["type"] == kind]


def summary(found: list[dict]) -> dict:
    merged = {}
    for part in kept(found, "summary"):
        merged |= part["update"]
    return merged


def place_of(folder: Path) -> Path:
    (place,) = folder.glob("runs/*/wandb/offline-run-*")
    return place


def test_a_run_lies_on_disk_with_everything_in_it(neural_forge, trap, tmp_path):
    """Also one that was killed and resumed: the curve in W&B begins with the first epoch."""
    proxy, callers = trap
    words = ("model=transformer", "data=acme-beauty", "model.epochs=12", "model.patience=12", "model.dim=8")
    words += ("model.batch_size=4", "trainer.threads=1")
    process = neural_forge.start(*words, cwd=tmp_path)
    deadline = time.monotonic() + 60
    while not list(tmp_path.glob("runs/*/select/last.ckpt")):
        assert time.monotonic() < deadline
        time.sleep(0.002)
    os.kill(process, signal.SIGKILL)
    assert neural_forge.end().returncode == -signal.SIGKILL
    neural_forge.start(*words, "resume=true", "track=wandb", cwd=tmp_path, env=QUIET | proxy)
    done = neural_forge.end()
    assert done.returncode == 0 and done.stderr == "", done.stderr
    assert callers == [], "nothing asks for the network"
    place = place_of(tmp_path)
    *_, title, view, upload = done.stdout.splitlines()
    assert title == "W&B run, kept offline"
    assert view.split()[1:] == ["wandb", "leet", str(place.relative_to(tmp_path))]
    assert upload.split()[1:] == ["wandb", "sync", str(place.relative_to(tmp_path))]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["runs"], "nothing lies outside the folder of the runs"

    (entry,) = entries(tmp_path / "runs")
    found = records(place)
    (run,) = kept(found, "run")
    config = run["config"]["update"]
    assert config["model"] == "transformer" and config["params"]["epochs"] == 12 and config["board"] == "acme-beauty"
    lines = [json.loads(line) for line in (place.parents[1] / "curve.jsonl").read_text().splitlines()]
    history = [part["item"] | {"step": part["step"]["num"]} for part in kept(found, "history")]
    curve = [{name: row[name] for name in line} for row, line in zip(history, lines, strict=False)]
    assert curve == lines and len(lines) == 12
    figures = summary(found)
    for label, score in entry["scores"].items():
        assert figures[f"test/{label}"] == score["value"]
        assert figures.get(f"test/{label}/low") == score["low"] and figures.get(f"test/{label}/high") == score["high"]
    assert figures["valid/ndcg@10"] == entry["valid_headline"] and figures["board._type"] == "table-file"
    (table,) = (place / "files" / "media" / "table").glob("board*.json")
    rows = json.loads(table.read_text())
    assert "ndcg@10" in rows["columns"] and rows["data"][0][rows["columns"].index("model")].startswith("transformer")
    machine = {name for part in kept(found, "stats") for name in part["item"]}
    assert {"cpu", "memory_percent", "proc.memory.rssMB"} <= machine, machine


def test_pictures_of_probabilities_are_media_of_the_run(recbench, tmp_path):
    small = ("data.n_users=120", "data.n_items=40", "data.visits=12")
    done = recbench("model=prior", "data=social-sim", "board=social-sim-engagement", *small, "track=wandb", env=QUIET)
    assert done.returncode == 0, done.stderr
    pictures = (place_of(tmp_path) / "files" / "media" / "images").glob("*.png")
    assert sorted(path.name.partition("_")[0] for path in pictures) == ["reliability", "thresholds"]
    assert {"reliability", "thresholds"} <= {name.partition(".")[0] for name in summary(records(place_of(tmp_path)))}


def test_of_a_multirun_each_run_keeps_its_own_and_a_failure_spares_the_next(recbench, tmp_path):
    words = ("-m", "model=random,recent-popular,popular", "data=acme-beauty", "track=wandb")
    done = recbench(*words, env=QUIET)
    assert done.returncode == 1 and len(done.stderr.splitlines()) == 1, done.stderr
    found = sorted(entries(tmp_path / "runs"), key=lambda entry: entry["model"])
    assert [entry["model"] for entry in found] == ["popular", "random"]
    for entry in found:
        folder = tmp_path / "runs" / entry["key"]
        assert list((folder / "wandb-data").rglob("staging/*")), "what an upload needs lies in the run folder"
        (place,) = folder.glob("wandb/offline-run-*")
        assert summary(records(place))["test/ndcg@10"] == entry["scores"]["ndcg@10"]["value"]


def test_online_without_login_asks_nothing_and_stays_offline(data_dir, trap, tmp_path):
    """In a terminal, where W&B would put a question and wait."""
    proxy, callers = trap
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "recbench", *BEAUTY, "track=wandb", "track.mode=online"], cwd=tmp_path,
        env=environment(data_dir) | proxy | QUIET, stdin=theirs, stdout=theirs, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    os.close(theirs)
    said = b""
    try:
        while part := os.read(ours, 4096):
            said += part
    except OSError:  # the terminal closes with its last user
        pass
    errors = process.communicate(timeout=60)[1]
    os.close(ours)
    assert process.returncode == 0, errors
    assert "nobody is logged in" in errors and len(errors.splitlines()) == 1, errors
    assert b"kept offline" in said and b"Enter your choice" not in said and callers == []
    assert place_of(tmp_path).is_dir()


@pytest.mark.slow
def test_online_without_network_stays_offline(recbench, trap, tmp_path):
    """W&B waits before it gives up. The calls that the trap counts here are those that must be none elsewhere."""
    proxy, callers = trap
    key = {"WANDB_API_KEY": "a" * 40}
    done = recbench(*BEAUTY, "track=wandb", "track.mode=online", env=QUIET | proxy | key)
    assert done.returncode == 0 and len(done.stderr.splitlines()) == 1, done.stderr
    assert "the run is kept offline" in done.stderr and place_of(tmp_path).is_dir() and callers


@pytest.fixture(scope="module")
def plain(forge, tmp_path_factory):
    """The entry of the run without W&B."""
    folder = tmp_path_factory.mktemp("plain")
    forge.start(*BEAUTY, cwd=folder)
    assert forge.end().returncode == 0
    return entries(folder / "runs")[0]


BROKEN = {
    "at import": "raise RuntimeError('broken on purpose')",
    "at log": """
from types import SimpleNamespace
def fail(*_, **__): raise SystemExit('broken on purpose')
def init(**_): return SimpleNamespace(log=fail, summary={}, dir='x/files', finish=fail)
Table = Settings = dict
""",
}


@pytest.mark.parametrize("how", BROKEN)
def test_a_broken_wandb_is_a_warning_and_no_number_moves(recbench, plain, tmp_path, how):
    fake = tmp_path / "fake"
    fake.mkdir()
    (fake / "wandb.py").write_text(BROKEN[how])
    path = os.pathsep.join([str(fake), os.environ.get("PYTHONPATH", "")])
    done = recbench(*BEAUTY, "track=wandb", env={"PYTHONPATH": path})
    assert done.returncode == 0 and "Traceback" not in done.stderr
    (line,) = done.stderr.splitlines()
    assert line.startswith("recbench: W&B: left out of this run, it failed: "), line
    assert "wandb leet" not in done.stdout
    (entry,) = entries(tmp_path / "runs")
    assert entry["scores"] == plain["scores"] and entry["artefacts"] == plain["artefacts"]


def test_a_place_that_cannot_be_written_is_no_obstacle(recbench, plain, tmp_path):
    (tmp_path / "file").write_text("a file where W&B would like a folder")
    places = {name: str(tmp_path / "file") for name in ("WANDB_DIR", "WANDB_DATA_DIR", "WANDB_CACHE_DIR")}
    done = recbench(*BEAUTY, "track=wandb", env=places)
    assert done.returncode == 0 and "Traceback" not in done.stderr, done.stderr
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("recbench: ")]  # W&B's server adds its own
    assert "left out of this run" in line and "WANDB_DATA_DIR" in line
    assert entries(tmp_path / "runs")[0]["scores"] == plain["scores"]


def test_an_unknown_mode_is_one_line(quickly):
    done = quickly(*BEAUTY, "track=wandb", "track.mode=onlin")
    assert done.returncode == 1 and "offline or online" in done.stderr and len(done.stderr.splitlines()) == 1
