"""What a rival of benchmarks/sequential.py is asked, whoever it is; each runs under an interpreter that has it.

rivals/NAME.py has a function that takes the histories, the shape of the network and a folder to write into, and gives a
`Rival`. All train on the newest length + 1 events of each user, RecBole on each prefix with one target (its only way);
all rank every item for every user, with what the user has seen left out.

Letters: U users, K list length.
"""

from __future__ import annotations

import contextlib
import importlib
import logging
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

K = 10
RIVALS = ("rectools", "replay", "recbole")
WARM = 2  # steps before the clock starts
RARELY = {"enable_progress_bar": False, "enable_model_summary": False, "enable_checkpointing": False, "logger": False}


class Enough(Exception):
    """Ends a training that has shown what was asked."""


@dataclass(frozen=True)
class Rival:
    """`train(epochs, on_step, judge)` tells each step, and each epoch's validation NDCG@10 where `judge` is given.
    `rank()`: NDCG@10 of the test item. `targets`: of an epoch. `rows`: what an epoch deals in batches of `batch`.
    """

    targets: int
    rows: int
    batch: int
    train: Callable[[int, Callable[[], None], Callable[[float], None] | None], None]
    rank: Callable[[], float]

    @property
    def steps(self) -> int:
        """Of an epoch; the last is smaller."""
        return -(-self.rows // self.batch)

    def size(self, step: int) -> int:
        """Rows of a step, counted from 0 on."""
        return min(self.batch, self.rows - step % self.steps * self.batch)


def cut(data: SimpleNamespace, length: int) -> list[np.ndarray]:
    """(U,) the newest length + 1 training events of each user."""
    start_U, stop_U = data.start[:-1], data.start[1:]
    return [data.items[max(a, b - length - 1) : b] for a, b in zip(start_U, stop_U, strict=True)]


def targets_of(rows: list[np.ndarray]) -> int:
    """The first event of a row has nothing before it."""
    return sum(max(0, len(row) - 1) for row in rows)


def ndcg(user: np.ndarray, item: np.ndarray, truth_U: np.ndarray) -> float:
    """From lists in long form, a user's best item first."""
    first = np.r_[0, np.flatnonzero(np.diff(user)) + 1]
    place = np.arange(len(user)) - np.repeat(first, np.diff(np.r_[first, len(user)]))
    return float((1 / np.log2(place[item == truth_U[user]] + 2)).sum() / len(truth_U))


def quiet() -> None:
    warnings.filterwarnings("ignore")
    for name in ("pytorch_lightning", "lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.ERROR)


def rival(name: str, data: SimpleNamespace, shape: dict[str, Any], folder: Path) -> Rival:
    """The rival of that name, ready to train."""
    return importlib.import_module(f"rivals.{name}").rival(data, shape, folder)


def training(rival: Rival, steps: int) -> dict[str, float]:
    """CPU seconds of an epoch, from so many steps behind those that warm up, and of ranking all items for all users.
    The cost of the timed steps is that of their rows: an epoch's last batch is smaller.
    """
    stamps: list[float] = []

    def on_step() -> None:
        stamps.append(time.process_time())
        if len(stamps) > WARM + steps:
            raise Enough

    with contextlib.suppress(Enough):
        rival.train(-(-(WARM + steps + 1) // rival.steps), on_step, None)
    rows = sum(rival.size(step) for step in range(WARM + 1, len(stamps)))
    each = (stamps[-1] - stamps[WARM]) / (len(stamps) - 1 - WARM)
    found = {
        "targets": rival.targets,
        "steps": rival.steps,
        "timed": steps,
        "cpu": (stamps[-1] - stamps[WARM]) * rival.rows / rows,
        "ms": 1000 * each,
    }
    begun = time.process_time()
    ndcg = rival.rank()
    return found | {"ranking": time.process_time() - begun, "ndcg": ndcg}


def first(rival: Rival, since: float) -> dict[str, float]:
    """From the command to the end of the first training step."""
    found: dict[str, float] = {}

    def on_step() -> None:
        found.update(cpu=time.process_time(), seconds=time.time() - since)
        raise Enough

    with contextlib.suppress(Enough):
        rival.train(1, on_step, None)
    return found


def reach(rival: Rival, goal: float, limit: float) -> dict[str, float]:
    """CPU seconds from nothing to the epoch whose validation NDCG@10 is the goal, or to the limit."""
    scores: list[float] = [0.0]

    def on_step() -> None:
        if time.process_time() > limit:
            raise Enough

    def judge(ndcg: float) -> None:
        scores.append(ndcg)
        if ndcg >= goal:
            raise Enough

    with contextlib.suppress(Enough):
        rival.train(1000, on_step, judge)
    best = max(scores)
    return {"cpu": time.process_time(), "valid": best, "epochs": len(scores) - 1, "reached": best >= goal}
