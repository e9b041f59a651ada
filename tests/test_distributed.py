"""Several processes that carry out one run end as one process does: real processes, which talk by gloo."""

import json
import os
import signal
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from conftest import entries, refused
from hypothesis import given, settings
from hypothesis import strategies as st

from recbench.data import Interactions, Queries, Ragged
from recbench.errors import RecbenchError
from recbench.evaluate import rank
from recbench.holdout import Holdout
from recbench.model import Recommender, Team
from recbench.plan import Plan
from recbench.run import Surroundings, execute

# 40 users in batches of 13: the last batch of an epoch has one window, so that one process has none.
WORDS = (
    "model=transformer", "data=acme-beauty", "trainer.threads=1", "model.epochs=6", "model.patience=6", "model.dim=16",
    "model.batch_size=13", "model.learning_rate=1e-2", "model.dropout=0", "model.vector_dropout=0", "model.loss=softmax",
    "model.clip=0.5",
)  # fmt: skip
COLUMNS = ("items_QK", "scores_QK", "start_QK", "size_QK", "relevant_QK", "n_relevant_Q")
linux = pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="finds processes in /proc")


def arrays(folder: Path, name: str) -> dict[str, np.ndarray]:
    """An artefact of the one run in a folder."""
    (path,) = folder.glob(f"*/{name}")
    with np.load(path) as held:
        return dict(held)


def curve(folder: Path) -> list[dict]:
    (path,) = folder.glob("*/curve.jsonl")
    return [json.loads(line) for line in path.read_text().splitlines()]


def carried_out(forge, folder: Path, *words: str) -> Path:
    forge.start(*WORDS, *words, cwd=folder)
    done = forge.end()
    assert done.returncode == 0 and done.stderr == "", done.stderr
    return folder / "runs"


@pytest.fixture(scope="module")
def one(neural_forge, tmp_path_factory) -> Path:
    return carried_out(neural_forge, tmp_path_factory.mktemp("one"))


@pytest.fixture(scope="module")
def two(neural_forge, tmp_path_factory) -> Path:
    return carried_out(neural_forge, tmp_path_factory.mktemp("two"), "trainer.devices=2")


def test_two_processes_learn_and_answer_as_one(one, two):
    mine, theirs = curve(two), curve(one)
    assert [line["step"] for line in mine] == [line["step"] for line in theirs] == list(range(1, 7))
    for name in ("loss", "headline"):
        np.testing.assert_allclose([line[name] for line in mine], [line[name] for line in theirs], rtol=1e-5)
    (entry,), (single,) = entries(two), entries(one)
    assert entry["epochs"] == single["epochs"] and entry["n_queries"] == single["n_queries"] == 40
    for label, score in entry["scores"].items():
        assert score["value"] == pytest.approx(single["scores"][label]["value"], rel=1e-6), label
    lists, expected = arrays(two, "lists.npz"), arrays(one, "lists.npz")
    assert sorted(lists["user"].tolist()) == list(range(40)) and np.array_equal(lists["user"], expected["user"])
    np.testing.assert_allclose(lists["scores"], expected["scores"], rtol=1e-4, atol=1e-5)
    for label, values in arrays(two, "per_query.npz").items():
        np.testing.assert_allclose(values, arrays(one, "per_query.npz")[label], rtol=1e-6, err_msg=label)


def test_the_first_process_alone_leaves_files(one, two):
    (folder,), (single,) = two.iterdir(), one.iterdir()
    assert {p.relative_to(folder) for p in folder.rglob("*")} == {p.relative_to(single) for p in single.rglob("*")}
    (entry,) = entries(two)
    assert entry["key"] != entries(one)[0]["key"], "sums in another order are another run"
    assert entry["command"].endswith("trainer.devices=2") and folder.name == entry["key"]


def others(folder: Path) -> list[int]:
    """The processes that a run in `folder` has started."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            mine = b"RECBENCH_PLACE=" in (process / "environ").read_bytes()
            found += [int(process.name)] if mine and os.readlink(process / "cwd") == str(folder) else []
        except OSError:  # it has ended, or is another user's
            continue
    return found


def until(condition, what: str) -> None:
    deadline = time.monotonic() + 90
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.005)


def begun(forge, folder: Path, stage: str, *words: str) -> tuple[int, int]:
    """The two processes of a run, in the middle of a stage."""
    before = {path: path.stat().st_mtime_ns for path in folder.glob(f"runs/*/{stage}/last.ckpt")}

    def written() -> bool:
        paths = folder.glob(f"runs/*/{stage}/last.ckpt")
        return any(path.stat().st_mtime_ns != before.get(path) for path in paths)

    process = forge.start(*WORDS, "trainer.devices=2", "model.epochs=200", "model.patience=200", *words, cwd=folder)
    until(written, f"no checkpoint in {stage}")
    (other,) = others(folder)
    return process, other


@linux
def test_ctrl_c_stops_both(neural_forge, tmp_path):
    process, _ = begun(neural_forge, tmp_path, "select")
    os.kill(process, signal.SIGINT)
    done = neural_forge.end()
    assert done.returncode == 130 and done.stderr.startswith("recbench: interrupted") and others(tmp_path) == []
    assert 0 < len(curve(tmp_path / "runs")) < 200


@linux
@pytest.mark.slow
def test_the_end_of_either_is_the_end_of_both(neural_forge, tmp_path):
    process, _ = begun(neural_forge, tmp_path, "select")
    os.kill(process, signal.SIGKILL)
    assert neural_forge.end().returncode == -signal.SIGKILL
    until(lambda: others(tmp_path) == [], "the other process goes on alone")

    _, other = begun(neural_forge, tmp_path, "select", "resume=true")
    os.kill(other, signal.SIGKILL)
    refused(neural_forge.end(), "process 2 of 2 ended before the run did: exit status -9")
    assert entries(tmp_path / "runs") == []


@pytest.mark.slow
def test_a_team_that_was_killed_resumes_to_the_last_bit(neural_forge, two, tmp_path):
    process = neural_forge.start(*WORDS, "trainer.devices=2", cwd=tmp_path)
    until(lambda: list(tmp_path.glob("runs/*/select/last.ckpt")), "no checkpoint")
    os.kill(process, signal.SIGKILL)
    assert neural_forge.end().returncode == -signal.SIGKILL and entries(tmp_path / "runs") == []
    again = carried_out(neural_forge, tmp_path, "trainer.devices=2", "resume=true")
    assert curve(again) == curve(two) and entries(again)[0]["artefacts"] == entries(two)[0]["artefacts"]
    (mine,), (theirs,) = (tuple(folder.glob("*/model/weights.safetensors")) for folder in (again, two))
    assert mine.read_bytes() == theirs.read_bytes()


def test_what_cannot_be_shared_out_is_refused_before_anything_starts(quickly, tmp_path):
    refused(quickly("model=ease", "data=acme-beauty", "trainer.devices=2"), "trainer.devices=2", "model=ease has none")
    done = quickly("-m", "model=transformer", "data=acme-beauty", "sweep=random", "trainer.devices=2")
    assert "trainer.devices=2 is for one run, and a sweep tries many" in done.stderr
    refused(quickly("model=transformer", "data=acme-beauty", "trainer.devices=0"), "devices must be in")
    assert not list(tmp_path.glob("runs/*/plan.json"))


def test_a_plan_for_two_needs_two():
    from recbench.boards import board

    plan = Plan(
        board("acme-beauty"), True, "acme-beauty", {}, "transformer", {}, "recbench-sequential", "0", 1, devices=2
    )
    with pytest.raises(RecbenchError, match=r"devices=2 needs as many processes, given 1: use python -m recbench"):
        execute(plan, Surroundings())


class Given(Recommender):
    """Answers with a table of scores, one row a user."""

    def __init__(self, scores_UI):
        super().__init__()
        self.scores_UI = scores_UI

    def fit(self, train, context): ...

    def score(self, queries):
        return self.scores_UI[queries.user]


def in_threads(size: int, work) -> list:
    """What each member of a team returns, where threads stand for processes."""
    held, out, barrier = [None] * size, [None] * size, threading.Barrier(size)

    def gather(number, value):
        held[number] = value
        barrier.wait()
        return list(held)

    def member(number: int) -> None:
        out[number] = work(Team(number, size, lambda value: gather(number, value)))

    threads = [threading.Thread(target=member, args=(number,)) for number in range(size)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return out


@given(st.integers(1, 6), st.integers(1, 12), st.integers(0, 10**6))
@settings(max_examples=30, deadline=None)
def test_shared_out_queries_are_answered_once_each_and_in_their_order(size, n, seed):
    rng = np.random.default_rng(seed)
    scores = rng.integers(0, 4, size=(n, 9)).astype(np.float32)
    rows = Ragged.from_rows([rng.choice(9, rng.integers(0, 6), replace=False).tolist() for _ in range(n)])
    queries = Queries(np.arange(n), np.zeros(n, np.int64), rows, rows, rows, rows, np.ones(9, bool), False)
    holdout = Holdout(queries, Ragged.from_rows([[int(i)] for i in rng.integers(9, size=n)]))
    alone = rank(Given(scores), holdout, 4)
    for lists in in_threads(size, lambda team: rank(Given(scores), holdout, 4, team=team)):
        for name in COLUMNS:
            assert np.array_equal(getattr(lists, name), getattr(alone, name)), name


torch = pytest.importorskip("torch")

from recbench.neural.batches import Windows, loader  # noqa: E402
from recbench.neural.team import _joined, add_up_gradients  # noqa: E402


@pytest.mark.parametrize("size", [2, 3])
def test_the_shares_of_a_batch_are_the_batch(size):
    user = np.repeat(np.arange(7), np.arange(2, 9))
    log = Interactions.sorted(user, np.arange(len(user)) % 5, np.arange(len(user)), n_users=7, n_items=5)
    windows = Windows(log, 4, False)
    whole = list(loader(windows, 4, 1).sampler)
    shares = [list(loader(windows, 4, 1, Team(number, size)).sampler) for number in range(size)]
    assert len({len(share) for share in shares}) == 1 and sum(map(len, whole)) == len(windows)
    for batch, *parts in zip(whole, *shares, strict=True):
        assert sorted(np.concatenate(parts).tolist()) == sorted(batch.tolist())
        assert max(map(len, parts)) - min(map(len, parts)) <= 1
    blank = windows[np.zeros(0, np.int64)]
    assert blank.items_BL.shape[0] == 1 and not blank.mask_BL.any()


def test_gradients_are_added_up_and_what_none_has_stays_none(tmp_path):
    network = torch.nn.ModuleList([torch.nn.Linear(2, 3), torch.nn.Linear(3, 1)])
    network[0](torch.ones(1, 2)).sum().backward()
    with _joined(0, 1, "cpu", tmp_path) as team:
        add_up_gradients(network)
        assert team.gather("mine") == ["mine"]
    assert torch.equal(network[0].weight.grad, torch.ones(3, 2)) and network[1].weight.grad is None
