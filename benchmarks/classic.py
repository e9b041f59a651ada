"""Classic models on one thread: recbench and the libraries that have the same model, on the same pairs, in turn.

    bash benchmarks/make_rivals.sh FOLDER implicit rectools lenskit recbole cornac
    python benchmarks/classic.py --python implicit=FOLDER/implicit/bin/python [--python ...] [--data ml-100k]
    python benchmarks/classic.py --model als --only recbench --only implicit --data amazon-beauty --python ...
    python benchmarks/classic.py --job size             # recbench alone on large catalogues

All learn the training and validation pairs of the leave-last-out board with the same parameters, then list 10 items for
every user, what was met left out. A contestant is a process of its own, which first fits a few made-up pairs; the unit is
its CPU seconds. Medians over rounds in which all run one after another. A contestant that takes more than --limit
CPU seconds to fit or to list is stopped. One implementation, recbench's, judges everybody's lists. What is found is kept
in benchmarks/classic.json, and docs/classic-speed.md is written from that.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import classic_page
import classic_rivals
import numpy as np
from sequential import ONE_THREAD, joined, machine

HERE = Path(__file__).resolve().parent
DATA = ("ml-100k", "amazon-beauty")
ALS: dict[str, Any] = {"dim": 64, "epochs": 16}
PARAMETERS: dict[str, dict[str, Any]] = {  # of the rivals
    "item-knn": {"neighbours": 100},
    "ease": {"l2": 250.0},
    "als": ALS | {"confidence": 11.0, "penalty": 0.03},
}
OURS: dict[str, dict[str, dict[str, Any]]] = {  # the same in recbench's words; others beside
    "item-knn": {
        "recbench": {"neighbours": 100, "shrink": 0.0},
        "recbench keep=row": {"neighbours": 100, "shrink": 0.0, "keep": "row"},
    },
    "ease": {"recbench": {"l2": 250.0, "max_items": 46_000}},
    "als": {"recbench": ALS | {"alpha0": 0.1, "l2": 0.003, "nu": 0.0}, "recbench as shipped": {}},
}
ALSO = {"als": {"implicit from histories": PARAMETERS["als"] | {"from_histories": True}}}  # rivals asked in another way
SIZES = {  # of a simulated log; the users who are asked
    "ease": {"n_items": 30_000, "n_users": 200_000, "length": 20, "n_asked": 1000},
    "item-knn": {"n_items": 1_000_000, "n_users": 1_000_000, "length": 10, "n_asked": 1000},
}
PACKAGES = {"rectools": "rectools", "recbole": "recbole"} | {n: n for n in ("implicit", "lenskit", "cornac")}
THREADS = ONE_THREAD | dict.fromkeys(("LK_NUM_THREADS", "LK_NUM_BACKEND_THREADS", "RAYON_NUM_THREADS"), "1")


def lap(python: str, name: str, task: dict[str, Any]) -> dict[str, Any] | None:
    """What the process of one contestant found, and what it did not do; None and one line of the cause where it failed."""
    lists = Path(task["lists"])
    lists.unlink(missing_ok=True)
    command = [python, str(HERE / "classic.py"), "--child", name, json.dumps(task)]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | THREADS, check=False)
    told = [json.loads(line) for line in done.stdout.splitlines() if line.startswith('{"')]
    found: dict[str, Any] = {key: value for line in told for key, value in line.items()}
    if done.returncode == -signal.SIGXCPU:
        return found | {"stopped": "recommend" if "fit" in found else "fit"}
    if done.returncode == 0 and "refused" in found:
        return found
    if done.returncode:
        said = (done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[-1]
        print(f"{name} left out of {task['model']} on {task['data']}: {said}", file=sys.stderr)
        return None
    from classic_ours import ndcg

    with np.load(task["pairs"]) as arrays:
        return found | {"ndcg": ndcg(np.load(lists), arrays["test"])}


def contest(pythons: dict[str, str], task: dict[str, Any], rounds: int) -> dict[str, Any]:
    """All in turn, round after round: medians of each contestant, and under what they were taken."""
    left, laps = dict(pythons), {name: [] for name in pythons}
    for _ in range(rounds):
        for name, python in list(left.items()):
            found = lap(python, name, task)
            print(f"{task['job']} {task['data']} {task['model']} {name}: {json.dumps(found)}", file=sys.stderr)
            if found is None or "stopped" in found or "refused" in found:
                del left[name]
            laps[name] = [] if found is None else [*laps[name], found]
    medians = {name: median(mine) for name, mine in laps.items() if mine}
    asked = {key: task[key] for key in ("job", "data", "model", "shape", "limit")}
    where = {"rounds": rounds, "load": round(os.getloadavg()[0], 1), "versions": versions(medians, pythons)}
    return asked | where | {"found": medians} | machine()


def median(laps: list[dict[str, Any]]) -> dict[str, Any]:
    """Of each number; what stopped a contestant counts whenever it did."""
    ended = [lap for lap in laps if "stopped" in lap or "refused" in lap]
    if ended:
        return ended[0]
    return {key: statistics.median(lap[key] for lap in laps) for key in laps[0]}


def versions(names: Any, pythons: dict[str, str]) -> dict[str, str]:
    """Of each library, as its interpreter tells."""
    found = {}
    for name in names:
        package = PACKAGES.get(name.split()[0], "recbench-classic")
        ask = f"from importlib.metadata import version as v; print(v('{package}'))"
        done = subprocess.run([pythons[name], "-c", ask], capture_output=True, text=True, check=False)
        found[package.split("-")[0]] = done.stdout.strip() or "?"
    return found


def choose(given: argparse.Namespace, model: str) -> dict[str, str]:
    """Who has this model and was asked for, and under which interpreter."""
    everybody = dict.fromkeys(OURS[model], sys.executable)
    if given.job == "speed":
        rivals = {name: python for name, python in given.python if model in classic_rivals.HAS[name]}
        also = {name: rivals[name.split()[0]] for name in ALSO.get(model, {}) if name.split()[0] in rivals}
        everybody |= rivals | also
    else:
        everybody = {"recbench": sys.executable}
    return {name: python for name, python in everybody.items() if not given.only or name.split()[0] in given.only}


def child(name: str, task: dict[str, Any]) -> None:
    """In the process of one contestant; where recbench refuses a size, its line is what was found."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            classic_rivals.measure(name, task, Path(folder))
        except Exception as error:
            if type(error).__name__ != "RecbenchError":  # rivals have no recbench to import it from
                raise
            print(json.dumps({"refused": str(error)}), flush=True)


def pair_of(word: str) -> tuple[str, str]:
    """NAME=INTERPRETER of --python."""
    name, _, python = word.partition("=")
    if name not in classic_rivals.HAS or not Path(python).is_file():
        known = ", ".join(classic_rivals.HAS)
        raise argparse.ArgumentTypeError(f"give NAME=INTERPRETER, NAME one of {known} and a file; given '{word}'")
    return name, python


def above_0(word: str, number: type[int] | type[float] = float) -> Any:
    """A finite number above 0; with int, a whole one."""
    try:
        found = number(word)
    except ValueError:
        found = 0
    if not 0 < found < float("inf"):
        whole = "whole " if number is int else ""
        raise argparse.ArgumentTypeError(f"give a {whole}number above 0; given '{word}'")
    return found


def whole(word: str) -> int:
    """A whole number above 0."""
    return above_0(word, int)


def file_to_write(word: str) -> Path:
    """A path in a folder that there is: found out before anything is measured."""
    if not Path(word).parent.is_dir() or Path(word).is_dir():
        raise argparse.ArgumentTypeError(f"give a file in a folder that exists; given '{word}'")
    return Path(word)


def arguments() -> argparse.Namespace:
    """What the command line asks; what is wrong in it is told in one line."""
    options = argparse.ArgumentParser(prog="classic", usage=argparse.SUPPRESS)
    options.add_argument("--job", choices=("speed", "size"), default="speed")
    options.add_argument("--data", action="append", help=f"with a leave-last-out board; none: {', '.join(DATA)}")
    options.add_argument("--model", action="append", choices=tuple(OURS), help="none: all")
    options.add_argument("--only", action="append", choices=("recbench", *classic_rivals.HAS))
    options.add_argument("--python", action="append", type=pair_of, default=[], help="NAME=INTERPRETER that has NAME")
    options.add_argument("--rounds", type=whole, default=3)
    options.add_argument("--limit", type=above_0, default=300.0, help="CPU seconds of a fit, and of all lists")
    options.add_argument("--items", type=whole, help="of --job size, in place of its own numbers")
    options.add_argument("--json", type=file_to_write, default=HERE / "classic.json")
    options.add_argument("--page", type=file_to_write, default=HERE.parent / "docs" / "classic-speed.md")
    options.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    given = options.parse_args()
    rivals = dict(given.python) if given.job == "speed" else {}
    for name in set(given.only or []) - {"recbench", *rivals}:
        options.error(f"--only {name} needs --python {name}=INTERPRETER, and no --job size")
    return given


def tasks(given: argparse.Namespace, folder: Path) -> list[dict[str, Any]]:
    """What is asked, in order; the pairs are written beside."""
    import classic_ours as ours

    found = []
    models = [model for model in OURS if not given.model or model in given.model]
    for data in given.data or DATA if given.job == "speed" else ("simulated",):
        for model in models if given.job == "speed" else [model for model in models if model in SIZES]:
            shape = PARAMETERS[model] if given.job == "speed" else dict(SIZES[model])
            pairs = folder / f"{data if given.job == 'speed' else model}.npz"
            if given.job == "size":
                shape |= {"n_items": given.items} if given.items else {}
                ours.simulate(pairs, **shape)
            elif not pairs.is_file():
                ours.write(data, pairs)
            options = dict.fromkeys(classic_rivals.HAS, PARAMETERS[model]) | OURS[model] | ALSO.get(model, {})
            files = {"pairs": str(pairs), "lists": str(folder / "lists.npy"), "options": options}
            asked = {"job": given.job, "data": data, "model": model, "shape": shape, "limit": given.limit}
            found.append(asked | files)
    return found


def main() -> None:
    given = arguments()
    if given.child:
        child(given.child[0], json.loads(given.child[1]))
        return
    from recbench.errors import RecbenchError

    try:
        compare(given)
    except RecbenchError as error:
        raise SystemExit(f"classic: {error}") from None


def compare(given: argparse.Namespace) -> None:
    """Contest after contest; record and page are written after each."""
    from recbench.entry import write_atomically

    kept = recorded(given.json)
    with tempfile.TemporaryDirectory() as folder:
        for task in tasks(given, Path(folder)):
            if not (pythons := choose(given, task["model"])):
                continue
            found = contest(pythons, task, given.rounds)
            if not found["found"]:  # why has been told
                continue
            key = f"{task['job']} {task['data']} {task['model']}"
            kept[key] = joined(kept.get(key), found)
            page = classic_page.page(kept)  # before anything is written
            write_atomically(given.json, json.dumps(kept, indent=1) + "\n")
            write_atomically(given.page, page)


def recorded(path: Path) -> dict[str, Any]:
    """What earlier runs found."""
    try:
        return json.loads(path.read_text()) if path.is_file() else {}
    except ValueError:
        raise SystemExit(f"classic: {path} is no record of this benchmark; give --json another file") from None


if __name__ == "__main__":
    main()
