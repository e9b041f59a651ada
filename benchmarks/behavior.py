"""Models of behaviours on one thread: training beside two libraries, and memory where questions or the log are many.

    bash benchmarks/make_rivals.sh FOLDER fuxictr rechub
    python benchmarks/behavior.py --python fuxictr=FOLDER/fuxictr/bin/python --python rechub=FOLDER/rechub/bin/python
    python benchmarks/behavior.py --job scoring         # recbench alone: answers to a million questions
    python benchmarks/behavior.py --job large           # recbench alone: an epoch over a log of ten million events

All train on the same questions with the same fields and sizes; a contestant is a process of its own, and the unit is its
CPU seconds. Medians over rounds in which all run one after another. What is found is kept in benchmarks/behavior.json, and
docs/behavior-speed.md is written from that.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import behavior_page
import behavior_rivals
from classic import file_to_write, median, recorded, whole
from sequential import ONE_THREAD, joined, machine

HERE = Path(__file__).resolve().parent
SHAPE: dict[str, Any] = {
    "dim": 16,
    "width": 128,
    "layers": 2,
    "attention": 32,
    "length": 50,
    "dropout": 0.1,
    "rate": 1e-3,
}
SIZES = {"n_views": 40_000, "n_users": 1000, "n_items": 4000, "n_categories": 50}
BATCHES, TRAINED = (512, 4096), ("deepfm", "din")
SCORED: dict[str, dict[str, Any]] = {
    "logistic-sgd": {"epochs": 1, "statistics": False},
    "deepfm": {"epochs": 1, "statistics": False},
    "deepfm, statistics": {"epochs": 1, "statistics": True},
    "din": {"epochs": 1, "statistics": False},
    "logistic-regression": {"iterations": 20},
    "gbdt": {"trees": 20},
}
ASKED = (100_000, 1_000_000)
LOG = {"n_events": 10_000_000, "n_users": 200_000, "n_items": 100_000}
LARGE = {"epochs": 1, "statistics": False, "batch_size": 16_384, "max_length": 20}
OURS = ("recbench", "recbench as shipped")


def work(name: str, task: dict[str, Any], folder: Path) -> dict[str, float]:
    """One job of one contestant, in its own process."""
    if name not in OURS:
        made, rows = behavior_rivals.trainee(name, task["model"], task["shape"], Path(task["questions"]), folder)
        return behavior_rivals.training(made, rows)
    import behavior_ours as ours

    if task["job"] == "training":
        return ours.training(task["model"], task["shape"], task["sizes"], name != "recbench")
    if task["job"] == "scoring":
        return ours.scoring(task["model"].split(",")[0], task["shape"]["params"], task["sizes"], task["shape"]["asked"])
    path = folder / "events.parquet"
    ours.log_file(path, **task["sizes"])
    return ours.large(path, task["shape"], task["sizes"]["n_events"])


def lap(python: str, name: str, task: dict[str, Any]) -> dict[str, float] | None:
    """What the process of one contestant found; None and one line of the cause where it failed."""
    command = [python, str(HERE / "behavior.py"), "--child", name, json.dumps(task)]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | ONE_THREAD, check=False)
    if done.returncode:
        said = (done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[-1]
        print(f"{name} left out of {task['job']} {task['model']}: {said}", file=sys.stderr)
        return None
    return json.loads(done.stdout.splitlines()[-1])


def contest(pythons: dict[str, str], task: dict[str, Any], rounds: int) -> dict[str, Any]:
    """All in turn, round after round: medians of each contestant, and under what they were taken."""
    left, laps = dict(pythons), {}
    for _ in range(rounds):
        for name, python in list(left.items()):
            found = lap(python, name, task)
            print(f"{task['job']} {task['model']} {name}: {json.dumps(found)}", file=sys.stderr)
            if found is None:
                del left[name]
                laps.pop(name, None)
            else:
                laps.setdefault(name, []).append(found)
    medians = {name: median(mine) for name, mine in laps.items()}
    asked = {key: task[key] for key in ("job", "model", "shape", "sizes")} | {"limit": None}
    where = {"rounds": rounds, "load": round(os.getloadavg()[0], 1), "versions": versions(medians, pythons)}
    return asked | where | {"found": medians} | machine()


def versions(names: Any, pythons: dict[str, str]) -> dict[str, str]:
    """Of each library and its torch, as its interpreter tells."""
    found = {}
    for name in names:
        package = behavior_rivals.RIVALS.get(name, "recbench-behavior")
        ask = f"from importlib.metadata import version as v; print(v('{package}'), '(torch', v('torch') + ')')"
        done = subprocess.run([pythons[name], "-c", ask], capture_output=True, text=True, check=False)
        found[package.split("-behavior")[0]] = done.stdout.strip() or "?"
    return found


def tasks(given: argparse.Namespace, folder: Path) -> dict[str, dict[str, Any]]:
    """What is asked, by the name of its record; the questions are written beside."""
    found: dict[str, dict[str, Any]] = {}
    if given.job == "large":
        sizes = LOG | ({"n_events": given.events} if given.events else {})
        return {f"large {sizes['n_events']}": {"job": "large", "model": "deepfm", "shape": LARGE, "sizes": sizes}}
    if given.job == "scoring":
        for model in [model for model in SCORED if not given.model or model.split(",")[0] in given.model]:
            for n_asked in ASKED:
                task = {"job": "scoring", "model": model, "sizes": SIZES}
                found[f"scoring {model} {n_asked}"] = task | {"shape": {"params": SCORED[model], "asked": n_asked}}
        return found
    import behavior_ours as ours

    questions = folder / "questions.npz"
    ours.write(SIZES, SHAPE["length"], questions)
    for model in given.model or TRAINED:
        for batch in given.batch or BATCHES:
            task = {"job": "training", "model": model, "sizes": SIZES, "questions": str(questions)}
            found[f"training {model} {batch}"] = task | {"shape": SHAPE | {"batch": batch}}
    return found


def pair_of(word: str) -> tuple[str, str]:
    """NAME=INTERPRETER of --python."""
    name, _, python = word.partition("=")
    if name not in behavior_rivals.RIVALS or not Path(python).is_file():
        known = ", ".join(behavior_rivals.RIVALS)
        raise argparse.ArgumentTypeError(f"give NAME=INTERPRETER, NAME one of {known} and a file; given '{word}'")
    return name, python


def arguments() -> argparse.Namespace:
    options = argparse.ArgumentParser(prog="behavior", usage=argparse.SUPPRESS)
    options.add_argument("--job", choices=("training", "scoring", "large"), default="training")
    options.add_argument("--model", action="append", choices=tuple(dict.fromkeys(m.split(",")[0] for m in SCORED)))
    options.add_argument("--batch", action="append", type=whole)
    options.add_argument("--python", action="append", type=pair_of, default=[], help="NAME=INTERPRETER that has NAME")
    options.add_argument("--rounds", type=whole, help="3 of a training; 1 where memory is measured")
    options.add_argument("--events", type=whole, help="of --job large, in place of ten million")
    options.add_argument("--json", type=file_to_write, default=HERE / "behavior.json")
    options.add_argument("--page", type=file_to_write, default=HERE.parent / "docs" / "behavior-speed.md")
    options.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    given = options.parse_args()
    if given.job == "training" and set(given.model or ()) - set(TRAINED):
        options.error(f"--job training knows --model {', '.join(TRAINED)}")
    return given


def main() -> None:
    given = arguments()
    with tempfile.TemporaryDirectory() as folder:
        if given.child:
            found = work(given.child[0], json.loads(given.child[1]), Path(folder))
            print("\n" + json.dumps({name: float(value) for name, value in found.items()}))
            return
        os.environ.setdefault("RECBENCH_CACHE", str(Path(folder) / "cache"))
        compare(given, Path(folder))


def compare(given: argparse.Namespace, folder: Path) -> None:
    """Contest after contest; record and page are written after each."""
    from recbench.entry import write_atomically

    kept, rivals = recorded(given.json), dict(given.python) if given.job == "training" else {}
    pythons = dict.fromkeys(OURS if given.job == "training" else OURS[:1], sys.executable) | rivals
    rounds = given.rounds or (3 if given.job == "training" else 1)
    for key, task in tasks(given, folder).items():
        found = contest(pythons, task, rounds)
        if not found["found"]:  # why has been told
            continue
        kept[key] = joined(kept.get(key), found)
        page = behavior_page.page(kept)  # before anything is written
        write_atomically(given.json, json.dumps(kept, indent=1) + "\n")
        write_atomically(given.page, page)


if __name__ == "__main__":
    main()
