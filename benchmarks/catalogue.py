"""A Transformer over a catalogue of a million items: memory, and cost against the number of interactions.

    python benchmarks/catalogue.py [--items 1000000] [--users 10000 20000 40000]

Each size is a simulated shop in a process of its own: one epoch of sampled softmax at width 64, then
the lists of 1,000 users over the whole catalogue. Kept in benchmarks/speed.json and shown in docs/speed.md.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import sequential
import sequential_page

USERS, ASKED, LIST = (10_000, 20_000, 40_000), 1000, 10


def measure(n_items: int, n_users: int) -> dict[str, float]:
    """CPU seconds and peak memory of one epoch and of so many users' lists."""
    import numpy as np

    from recbench import registry
    from recbench.evaluate import rank
    from recbench.holdout import Holdout
    from recbench.machine import peak_memory_mb
    from recbench.model import Context
    from recbench.split import split

    cls, source = (
        registry.find(kind, name).load() for kind, name in (("model", "transformer"), ("data", "ecommerce-sim"))
    )
    board = next(board for board in source.boards if board.name == "ecommerce-sim-next")
    dataset = source(source.Params(n_items=n_items, n_users=n_users)).load()
    parts = split(dataset, board)
    log = parts.train.interactions
    data_mb = peak_memory_mb()
    # At width 256 the table, its gradient, two moments and the average alone are 5 GB.
    model = cls(cls.Params(epochs=1, dim=64, vector_dropout=0.0, scale_read=False))
    stamps = [time.process_time()]
    with tempfile.TemporaryDirectory() as folder:
        context = Context(
            seed=1, repeat=board.repeat, folder=Path(folder), report=lambda *_: stamps.append(time.process_time())
        )
        model.fit(parts.train, context)
    fit_mb = peak_memory_mb()
    rows = np.arange(min(ASKED, len(parts.test.queries)))
    holdout = Holdout(parts.test.queries.take(rows), parts.test.truth.take(rows))
    begun = time.process_time()
    rank(model, holdout, LIST)
    ranking = time.process_time() - begun
    steps = -(-int((np.bincount(log.user) > 0).sum()) // model.params.batch_size)
    found = {"interactions": len(log), "steps": steps, "cpu": stamps[1] - stamps[0], "ranking": ranking}
    return found | {"asked": len(rows), "data_mb": data_mb, "fit_mb": fit_mb, "mb": peak_memory_mb()}


def main() -> None:
    options = argparse.ArgumentParser()
    options.add_argument("--items", type=int, default=1_000_000)
    options.add_argument("--users", type=int, nargs="+", default=USERS)
    options.add_argument("--json", type=Path, default=sequential.HERE / "speed.json")
    options.add_argument("--page", type=Path, default=sequential.HERE.parent / "docs" / "speed.md")
    options.add_argument("--child", type=int, help=argparse.SUPPRESS)
    given = options.parse_args()
    if given.child:
        print(json.dumps(measure(given.items, given.child)))
        return
    found: dict[str, Any] = {}
    for n_users in given.users:
        command = [sys.executable, __file__, "--items", str(given.items), "--child", str(n_users)]
        done = subprocess.run(
            command, stdout=subprocess.PIPE, text=True, env=os.environ | sequential.ONE_THREAD, check=True
        )
        found[str(n_users)] = json.loads(done.stdout.splitlines()[-1])
        print(f"{n_users:,} users: {found[str(n_users)]}", file=sys.stderr)
    kept = json.loads(given.json.read_text()) if given.json.is_file() else {}
    asked = {
        "job": "catalogue",
        "items": given.items,
        "found": found,
        "load": round(os.getloadavg()[0], 1),
        "rounds": 1,
    }
    versions = sequential.versions({"recbench": sys.executable})
    kept[f"catalogue {given.items}"] = asked | sequential.machine() | {"versions": versions}
    given.json.write_text(json.dumps(kept, indent=1) + "\n")
    given.page.write_text(sequential_page.page(kept))


if __name__ == "__main__":
    main()
