"""Models of ratings against scikit-surprise on one split: error, and CPU seconds of fitting and of predicting.

    bash benchmarks/make_rivals.sh FOLDER surprise
    python benchmarks/ratings.py --python FOLDER/surprise/bin/python [--data ml-100k] [--board video-rating]

Everybody learns from the board's training and validation events and predicts its test events, with the parameters that
are shipped; models that draw run with three seeds. Each side is a process of its own on one thread; imports and the
rivals' reading of the events into their own form are not counted. What is found is kept in benchmarks/ratings.json, and
docs/ratings.md is written from that.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from sequential import machine

HERE = Path(__file__).resolve().parent
RECORD, PAGE = HERE / "ratings.json", HERE.parent / "docs" / "ratings.md"
OURS = {"mean-rating": False, "linear-regression": False, "biased-mf": True, "svd++": True, "slope-one": False}
OURS |= {"item-knn-rating": False}  # name: whether a seed matters
RIVAL_OF = {
    "linear-regression": "BaselineOnly",
    "biased-mf": "SVD",
    "svd++": "SVDpp",
    "slope-one": "SlopeOne",
    "item-knn-rating": "KNNBaseline by items",
}
ALLOWED = 0.01  # of RMSE that a model may lie above its rival
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
INTRO = """# Ratings

Written by `benchmarks/ratings.py`, which says how to run it again. The models of values against scikit-surprise on one
split of each board: a tenth of all ratings for test, drawn by lot; all others are learned from. Everybody runs
with the parameters that are shipped, ours chosen on the validation part of `video-rating`; models that draw run with
three seeds, of which these are the means. CPU seconds of one thread, imports and the rivals' reading of the events
apart; other work may share the machine. Ours keep no vector of a user: predicting holds the solving of each user's part
from the history, which answers new users as well.
"""
PUBLISHED = """
## What others publish

The README of scikit-surprise (github.com/NicolasHug/Surprise) has, for 5-fold cross-validation on MovieLens 100K with
its default parameters, RMSE .934 (SVD), .92 (SVD++), .946 (Slope One), .931 (k-NN baseline) and .944 (Baseline). The split
differs: a fold holds out a fifth of all ratings and the board a tenth, so that more is known here.
"""


def ours(data: str, board: str, seeds: int) -> Iterator[tuple[str, int, np.ndarray, float, float]]:
    """Name, seed, predictions of the test, CPU seconds of the fit and of predicting, of every model and seed."""
    import pandas  # noqa: F401 imports are not counted
    import scipy.sparse  # noqa: F401
    import sklearn.linear_model  # noqa: F401

    from recbench.evaluate import rate
    from recbench.model import Context
    from recbench.registry import find

    parts = split_of(data, board)
    for name, drawn in OURS.items():
        for seed in range(1, seeds + 1 if drawn else 2):
            model = find("model", name).load()()
            begun = time.process_time()
            model.fit(parts.refit, Context(seed=seed))
            fitted = time.process_time()
            answers = rate(model, parts.test)
            yield name, seed, answers.predicted_Q, fitted - begun, time.process_time() - fitted


def split_of(data: str, board: str) -> Any:
    """The split of the board."""
    from recbench.prepared import load
    from recbench.registry import find
    from recbench.split import split

    source = find("data", data).load()
    found = next((b for b in source.boards if b.name == board), None)
    if found is None:
        sys.exit(f"data={data} has no board {board}; it has {', '.join(b.name for b in source.boards)}")
    return split(load(source()), found)


def write(data: str, board: str, path: Path) -> None:
    """What rivals read: the events to learn from, and those to predict."""
    parts = split_of(data, board)
    log, queries = parts.refit.interactions, parts.test.queries
    learned = {f"train_{name}": getattr(log, name) for name in ("user", "item", "value")}
    asked = {"test_user": queries.user, "test_item": queries.item, "test_value": parts.test.values}
    np.savez(path, **learned, **asked)


def child(given: argparse.Namespace) -> None:
    """In the process of one side: a line of JSON for each model and seed."""
    with np.load(given.events) as arrays:
        events = SimpleNamespace(**{name: arrays[name] for name in arrays})
    if given.child == "recbench":
        found = ours(given.data, given.board, given.seeds)
    else:
        from rivals.surprise import measured

        found = measured(events, given.seeds)
    for name, seed, predicted, fit, answer in found:
        error = predicted - events.test_value
        measure = {"rmse": float(np.sqrt(np.mean(error**2))), "mae": float(np.mean(np.abs(error)))}
        print(json.dumps({"name": name, "seed": seed, "fit": fit, "answer": answer} | measure), flush=True)


def contest(given: argparse.Namespace) -> dict[str, Any]:
    """Both sides one after the other: of each model the means over its seeds."""
    found: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        events = Path(folder) / "events.npz"
        write(given.data, given.board, events)
        for side, python in (("recbench", sys.executable), ("surprise", given.python)):
            words = ["--data", given.data, "--board", given.board, "--seeds", str(given.seeds), "--events", str(events)]
            command = [python, str(HERE / "ratings.py"), "--child", side, *words]
            done = subprocess.run(command, stdout=subprocess.PIPE, text=True, env=os.environ | ONE_THREAD, check=True)
            laps = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
            for name in dict.fromkeys(lap["name"] for lap in laps):
                mine = [lap for lap in laps if lap["name"] == name]
                means = {key: float(np.mean([lap[key] for lap in mine])) for key in ("rmse", "mae", "fit", "answer")}
                found[name] = means | {"seeds": len(mine), "spread": float(np.ptp([lap["rmse"] for lap in mine]))}
    return {
        "data": given.data,
        "board": given.board,
        "found": found,
        "rival": version(given.python),
        "load": round(os.getloadavg()[0], 1),
    } | machine()


def version(python: str) -> str:
    """Of scikit-surprise, as its interpreter tells."""
    ask = "from importlib.metadata import version; print(version('scikit-surprise'))"
    return subprocess.run([python, "-c", ask], capture_output=True, text=True, check=True).stdout.strip()


def page(records: dict[str, dict[str, Any]]) -> str:
    """The page in Markdown, a function of the record alone."""
    lines = [INTRO]
    for board, record in records.items():
        found = record["found"]
        lines += [f"## {board} ({record['data']})", ""]
        lines += [
            "| model | rival | RMSE | of the rival | MAE | of the rival | fit, CPU s | of the rival | predict, CPU s | of the rival | held |"
        ]
        lines += ["| --- | --- |" + " ---: |" * 8 + " --- |"]
        for name in OURS:
            mine, rival = found[name], RIVAL_OF.get(name, "")
            cells = [name, rival]
            for key, form in (("rmse", ".4f"), ("mae", ".4f"), ("fit", ".2f"), ("answer", ".2f")):
                cells += [format(mine[key], form), format(found[rival][key], form) if rival else ""]
            held = "" if not rival else "yes" if mine["rmse"] <= found[rival]["rmse"] + ALLOWED else "**no**"
            lines += [f"| {' | '.join([*cells, held])} |"]
        other = [name for name in found if name not in OURS and name not in RIVAL_OF.values()]
        told = [f"{name} has RMSE {found[name]['rmse']:.4f} and MAE {found[name]['mae']:.4f}" for name in other]
        spread = max(found[name]["spread"] for name in found)
        lines += ["", f"Held: no more than {ALLOWED} of RMSE above the rival. {'; '.join(told)}."]
        lines += [f"Seeds lie within {spread:.4f} of RMSE of each other.", ""]
        where = f"{record['machine']}; Python {record['python']}; load average {record['load']} at the end"
        lines += [f"{where}; {record['date']}. scikit-surprise {record['rival']}.", ""]
    return "\n".join(lines).rstrip() + "\n" + PUBLISHED


def main() -> None:
    options = argparse.ArgumentParser()
    options.add_argument("--data", default="ml-100k")
    options.add_argument("--board", default="video-rating")
    options.add_argument("--python", default=sys.executable, help="the interpreter that has scikit-surprise")
    options.add_argument("--seeds", type=int, default=3)
    options.add_argument("--child", default="", help=argparse.SUPPRESS)
    options.add_argument("--events", default="", help=argparse.SUPPRESS)
    given = options.parse_args()
    if given.child:
        child(given)
        return
    from recbench.entry import write_atomically

    records = json.loads(RECORD.read_text()) if RECORD.is_file() else {}
    records[given.board] = contest(given)
    write_atomically(RECORD, json.dumps(records, indent=1, sort_keys=True) + "\n")
    write_atomically(PAGE, page(records))
    print(PAGE.read_text())


if __name__ == "__main__":
    main()
