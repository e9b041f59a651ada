"""What a contestant of benchmarks/classic.py does, whoever it is, in a process and an interpreter of its own.

rivals/NAME.py has `classic(model, options, data, folder)`, which gives a `Contestant`; recbench's own is
classic_ours.py. All get the same pairs as arrays: `data` has `user` and `item`, (N,) pairs in the order of time, `test`,
(U,) the item left out, -1 where the user is not asked, and `n_items`.

Letters: U users, N pairs, K list length.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

K = 10
HAS = {  # who has which model
    "implicit": ("item-knn", "als"),
    "rectools": ("item-knn", "ease", "als"),
    "lenskit": ("item-knn", "ease", "als"),
    "recbole": ("item-knn", "ease"),
    "cornac": ("item-knn", "ease"),
}


@dataclass(frozen=True)
class Contestant:
    """`fit()`; `recommend()` to all who are asked, what they have met left out, in whatever form the library answers;
    `lists(answer)` turns that into (U, K) items, -1 behind the end of a short list, outside the clock.
    """

    fit: Callable[[], Any]
    recommend: Callable[[], Any]
    lists: Callable[[Any], np.ndarray]


def made(name: str, model: str, options: dict[str, Any], data: SimpleNamespace, folder: Path) -> Contestant:
    """The contestant of that name, its data read in and nothing fitted."""
    module = "classic_ours" if name.startswith("recbench") else f"rivals.{name.split()[0]}"
    folder.mkdir()
    return importlib.import_module(module).classic(model, options, data, folder)


def practice(n_users: int = 60, n_items: int = 200, length: int = 12) -> SimpleNamespace:
    """Made-up pairs: fitted before the clock starts, so that imports and compiling are no part of what is timed."""
    rng = np.random.default_rng(0)
    item_UL = np.argsort(rng.random((n_users, n_items)), axis=1)[:, : length + 1]
    user_N = np.repeat(np.arange(n_users), length)
    return SimpleNamespace(user=user_N, item=item_UL[:, :-1].ravel(), test=item_UL[:, -1], n_items=n_items)


def padded(user_N: np.ndarray, item_N: np.ndarray, n_users: int) -> np.ndarray:
    """(U, K) from lists in long form, a user's best item first."""
    order = np.argsort(user_N, kind="stable")
    user_N, item_N = np.asarray(user_N)[order], np.asarray(item_N)[order]
    place_N = np.arange(len(user_N)) - np.searchsorted(user_N, user_N)
    lists_UK = np.full((n_users, K), -1, np.int64)
    listed = place_N < K
    lists_UK[user_N[listed], place_N[listed]] = item_N[listed]
    return lists_UK


def megabytes(field: str) -> float:
    """VmRSS, what is held now, or VmHWM, the most that was."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(field))


def timed(call: Callable[[], Any], limit: float) -> tuple[Any, float]:
    """What the call gives, and its CPU seconds; the process is ended where they would be more than the limit.

    By a thread of its own: under the system's limit of CPU seconds, the clock that tells them moves in steps of 4 ms.
    """
    ended = threading.Event()
    begun = time.process_time()

    def watch() -> None:
        while not ended.wait(0.1):
            if time.process_time() - begun > limit:
                os.kill(os.getpid(), signal.SIGXCPU)

    threading.Thread(target=watch, daemon=True).start()
    answer = call()
    seconds = time.process_time() - begun
    ended.set()
    return answer, seconds


def measure(name: str, task: dict[str, Any], folder: Path) -> None:
    """Prints a line of JSON after the fit and one after the lists, so that what was done before a stop is told."""
    with np.load(task["pairs"]) as arrays:
        data = SimpleNamespace(n_items=int(arrays["n_items"]), **{n: arrays[n] for n in ("user", "item", "test")})
    first = made(name, task["model"], task["options"][name], practice(), folder / "practice")
    first.fit()
    first.lists(first.recommend())
    contestant = made(name, task["model"], task["options"][name], data, folder / "data")
    Path("/proc/self/clear_refs").write_text("5")  # the peak counts from here
    before = megabytes("VmRSS")
    _, seconds = timed(contestant.fit, task["limit"])
    print(json.dumps({"fit": seconds, "fit_mb": megabytes("VmHWM")}), flush=True)
    answer, seconds = timed(contestant.recommend, task["limit"])
    peak = megabytes("VmHWM")
    print(json.dumps({"recommend": seconds, "mb": peak, "work_mb": peak - before}), flush=True)
    np.save(task["lists"], contestant.lists(answer))
