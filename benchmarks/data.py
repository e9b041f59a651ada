"""From a file of 5 million rows to a split that a model can train on: recbench, a pass by hand, and its rivals, in turn.

    python benchmarks/data.py [--rows 5000000] [--rounds 3] [--python rectools=VENV/bin/python ...]
    python benchmarks/data.py --large 100000000     # how a log larger than memory streams from parquet instead

Each runs in a process of its own on one thread: CPU seconds of the work, of the whole process with its imports, and the
largest resident size; medians, and their ratio to recbench. A rival without an interpreter that has it is left out.
The last line is all of it as JSON. Everybody reads the file, takes each user's last two events away and makes what its
own models train on: sequences (recbench, RecTools, RePlay, RecBole), a matrix (LensKit, Cornac, which do not split here).
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import re
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import data_rivals

USERS, ITEMS = 138_000, 27_000
BAR = {"cpu": 6.0, "mb": 1500.0}
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"), "1")


def make(path: Path, rows: int) -> None:
    """A power law of items, log-normal lengths of at least 10, no pair twice, 90 days a user within ten years, shuffled."""
    import numpy as np
    import pyarrow as pa
    from pyarrow import csv

    rng = np.random.default_rng(7)
    users = max(1, USERS * rows // 5_000_000)
    weight_I = 1 / (np.arange(ITEMS) + 20)
    weight_U = rng.lognormal(size=users)
    n_U = np.maximum(10, weight_U / weight_U.sum() * rows * 1.15).astype(int)
    user = np.repeat(np.arange(users), n_U)
    item = np.searchsorted(np.cumsum(weight_I) / weight_I.sum(), rng.random(len(user)))
    pair = rng.permutation(np.unique(user * ITEMS + item))[:rows]
    user, item = np.divmod(pair, ITEMS)
    start_U = 1_000_000_000 + rng.integers(10 * 365 * 86400, size=users)
    time = start_U[user] + rng.integers(90 * 86400, size=len(pair))
    rating = rng.integers(1, 11, size=len(pair)) / 2
    table = pa.table({"user_id": user, "item_id": item, "rating": rating, "timestamp": time})
    csv.write_csv(table, path, csv.WriteOptions(delimiter="\t", quoting_style="none"))


def make_large(path: Path, rows: int) -> None:
    """Parquet with a power law of a million items, ten million users and three behaviours, in no order."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    rng = np.random.default_rng(7)
    cumulated_I = np.cumsum(1 / (np.arange(1_000_000) + 20))
    words = pa.array(["view", "cart", "purchase"])
    writer = None
    for first in range(0, rows, 2_000_000):
        n = min(2_000_000, rows - first)
        behavior = np.searchsorted([0.8, 0.95], rng.random(n)).astype(np.int8)
        columns = {
            "user_id": (10_000_000 * rng.random(n) ** 2).astype(np.int64),
            "item_id": np.searchsorted(cumulated_I, cumulated_I[-1] * rng.random(n)),
            "timestamp": 1_500_000_000 + rng.integers(3 * 365 * 86400, size=n),
            "behavior": pa.DictionaryArray.from_arrays(behavior, words),
            "rating": (rng.integers(1, 11, size=n) / 2).astype(np.float32),
        }
        table = pa.table(columns)
        writer = writer or pq.ParquetWriter(path, table.schema)
        writer.write_table(table, row_group_size=1_000_000)
    if writer:
        writer.close()


def hand(path: Path) -> Callable[[], int]:
    """Read, factorize, sort once, mark the last event of each user."""
    import numpy as np
    import pandas as pd

    def work() -> int:
        table = pd.read_csv(path, sep="\t")
        user, _ = pd.factorize(table["user_id"])
        item, _ = pd.factorize(table["item_id"])
        order = np.lexsort((table["timestamp"].to_numpy(), user))
        user, item = user[order], item[order]
        start_U = np.r_[0, np.cumsum(np.bincount(user))]
        last = np.zeros(len(user), bool)
        last[start_U[1:] - 1] = True
        return len(item[~last])

    return work


def recbench(path: Path) -> Callable[[], int]:
    """data=file and the split leave_last_out, as a run takes them, without the cache."""
    return _recbench(path, "leave_last_out")


def recbench_time(path: Path) -> Callable[[], int]:
    """The same with the split global_time."""
    return _recbench(path, "time_split", 28)


def _recbench(path: Path, protocol: str, *given: float) -> Callable[[], int]:
    from recbench import protocols, registry
    from recbench.split import split

    for name in ("pyarrow.csv", "pandas"):
        importlib.import_module(name)
    source = registry.find("data", "file").load()
    board = getattr(protocols, protocol)("file", "file", *given)

    def work() -> int:
        dataset = source(source.Params(path=str(path))).load()
        return len(split(dataset, board).train.interactions.by_user()[0])

    return work


def recbench_again(path: Path) -> Callable[[], int]:
    """A later run: the data comes mapped from the cache."""
    from recbench import prepared, protocols, registry
    from recbench.split import split

    source = registry.find("data", "file").load()
    source = source(source.Params(path=str(path)))
    prepared.load(source)
    board = protocols.leave_last_out("file", "file")
    return lambda: len(split(prepared.load(source), board).train.interactions.by_user()[0])


def stream(path: Path) -> Callable[[], int]:
    """A log larger than memory, from parquet to mapped arrays."""
    from recbench.streaming import stream

    roles = {"user": "user_id", "item": "item_id", "time": "timestamp", "behavior": "behavior", "value": "rating"}
    return lambda: len(stream([path], roles, path.parent / "streamed", memory_limit="1500MB")[0])


OURS = {"recbench": recbench, "recbench, by time": recbench_time, "recbench, prepared": recbench_again, "by hand": hand}
MAKERS = {"make": make, "make_large": make_large}


def cpu() -> float:
    both = (resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN))
    return sum(used.ru_utime + used.ru_stime for used in both)


def measure(name: str, path: Path) -> dict[str, float]:
    """In the process of one contestant."""
    work = (OURS | data_rivals.RIVALS | {"stream": stream})[name](path)
    begun, used = time.perf_counter(), cpu()
    rows = work()
    seconds, used = time.perf_counter() - begun, cpu() - used
    peak = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    return {"cpu": used, "whole": cpu(), "seconds": seconds, "mb": int(peak[1]) / 1024 if peak else 0, "rows": rows}


def child(python: str, name: str, path: Path, *options: str) -> dict[str, float] | None:
    """What the process of one contestant found; None and one line of the cause where it failed."""
    command = [python, str(Path(__file__).resolve()), *options, "--child", name, str(path)]
    environment = os.environ | ONE_THREAD
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    said = (done.stderr.strip().splitlines() or [""])[-1]
    if done.returncode:
        print(f"{name} left out: {said}", file=sys.stderr)
        return None
    return json.loads(done.stdout.splitlines()[-1])


def table(found: dict[str, dict[str, float]]) -> str:
    """Markdown, a row a contestant."""
    base = next(iter(found.values()))
    lines = ["| | CPU s | ratio | with imports | wall s | peak MB | ratio | rows to train on |", "|---|" + "---:|" * 7]
    for name, m in found.items():
        lines.append(
            f"| {name} | {m['cpu']:.2f} | {m['cpu'] / base['cpu']:.1f} | {m['whole']:.2f} | {m['seconds']:.2f} "
            f"| {m['mb']:.0f} | {m['mb'] / base['mb']:.1f} | {m['rows']:.0f} |"
        )
    return "\n".join(lines)


def main() -> None:
    options = argparse.ArgumentParser()
    options.add_argument("--rows", type=int, default=5_000_000)
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--large", type=int, default=0, help="stream so many rows instead")
    options.add_argument("--path", type=Path, help="a tab-separated file user_id, item_id, rating, timestamp")
    options.add_argument("--python", action="append", default=[], help="NAME=INTERPRETER that has the rival NAME")
    options.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    given = options.parse_args()
    if given.child:
        name, path = given.child
        found = MAKERS[name](Path(path), given.large or given.rows) if name in MAKERS else measure(name, Path(path))
        print(json.dumps(found))
        return
    pythons = dict.fromkeys(OURS, sys.executable) | dict(word.split("=", 1) for word in given.python)
    with tempfile.TemporaryDirectory() as folder:
        os.environ["RECBENCH_CACHE"] = str(Path(folder) / "cache")
        path = given.path or Path(folder) / ("rows.parquet" if given.large else "rows.tsv")
        if not given.path:
            size = f"--large={given.large}" if given.large else f"--rows={given.rows}"
            child(sys.executable, "make_large" if given.large else "make", path, size)
        if given.large:
            pythons = {"stream": sys.executable}
        contest(pythons, path, given.rounds)


def contest(pythons: dict[str, str], path: Path, rounds: int) -> None:
    """All in turn, round after round; a table, the bar and the JSON are printed."""
    laps: dict[str, list[dict[str, float]]] = {}
    for _ in range(rounds):
        for name, python in list(pythons.items()):
            lap = child(python, name, path)
            if lap is None:
                del pythons[name]
            else:
                laps.setdefault(name, []).append(lap)
    for name in sorted(data_rivals.RIVALS.keys() - pythons.keys()) if "by hand" in pythons else ():
        print(f"{name} not measured: give --python {name}=INTERPRETER", file=sys.stderr)
    median = {n: {key: statistics.median(lap[key] for lap in m) for key in m[0]} for n, m in laps.items()}
    print(table(median))
    print(json.dumps({"load_average": os.getloadavg()[0], "bar": BAR, "medians": median, "rounds": rounds}))


if __name__ == "__main__":
    main()
