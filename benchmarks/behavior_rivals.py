"""What a contestant of benchmarks/behavior.py does to train, whoever it is, in a process and an interpreter of its own.

rivals/NAME.py has `behavior(model, shape, data, folder)`, which gives a `Trainee`; recbench's own is behavior_ours.py. All
get the same questions as arrays: `user`, `item`, `category`, `hour`, `weekday`, `label`, (N,) each; `history` and
`history_category`, (N, L) the newest events, padded with 0 behind them; `line`, (E,) the items of all events, user after
user, of which user u has `line[first[u]:first[u + 1]]` and a question the first `known` (N,). Items and categories are
counted from 1, the rest from 0; `n_users`, `n_items` and `n_categories` say how many there are.

Letters: N questions, L history length, E events.
"""

from __future__ import annotations

import importlib
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

RIVALS = {"fuxictr": "fuxictr", "rechub": "torch-rechub"}  # and their packages
EPOCHS = 2  # that are timed, behind one that is not


@dataclass(frozen=True)
class Trainee:
    """`epoch()`: a pass over all questions by the library's own trainer and loader. `batches()`: the loader's part alone."""

    epoch: Callable[[], Any]
    batches: Callable[[], Any]


def trainee(name: str, model: str, shape: dict[str, Any], path: Path, folder: Path) -> tuple[Trainee, int]:
    """The rival of that name, ready to train, and the number of questions."""
    with np.load(path) as arrays:
        data = SimpleNamespace(**{name: arrays[name] for name in arrays})
    made = importlib.import_module(f"rivals.{name}").behavior(model, shape, data, folder)
    return made, len(data.user)


def seconds(call: Callable[[], Any]) -> float:
    """CPU seconds of a call."""
    begun = time.process_time()
    call()
    return time.process_time() - begun


def training(made: Trainee, rows: int) -> dict[str, float]:
    """CPU seconds of a whole epoch, and of making its batches."""
    made.epoch()
    return {
        "rows": rows,
        "cpu": statistics.median(seconds(made.epoch) for _ in range(EPOCHS)),
        "batches": seconds(made.batches),
    }
