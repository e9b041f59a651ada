"""Training and full ranking of sequential models on one thread: recbench, a tight loop by hand, and its rivals, in turn.

    bash benchmarks/make_rivals.sh FOLDER               # RecTools, RePlay, RecBole, each in an environment of its own
    python benchmarks/sequential.py --python rectools=FOLDER/rectools/bin/python [--python ...] [--data ml-100k]
    python benchmarks/sequential.py --only recbench --only hand --batch 1024 --data amazon-beauty
    python benchmarks/sequential.py --job reach --data amazon-beauty --limit 1500 --python ...

All get the same histories, width, blocks, heads, dropout, batch, length and loss. A contestant is a process of its own;
the unit is its CPU seconds. Where an epoch takes minutes, a rival's is estimated from --steps steps; recbench and the
loop by hand, whose batches differ in length, run whole epochs. Medians over rounds in which all run one after another.
What is found is kept in benchmarks/speed.json, and docs/speed.md is written from that.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import sequential_page
import sequential_rivals

HERE = Path(__file__).resolve().parent
LENGTH = {"amazon-beauty": 50, "ml-100k": 50, "ml-1m": 200}
EPOCHS = {"amazon-beauty": 1, "ml-100k": 4, "ml-1m": 1}
STEPS = {"amazon-beauty": 6, "ml-100k": 16, "ml-1m": 4}
SHAPE: dict[str, Any] = {"width": 64, "blocks": 2, "heads": 2, "feed_forward": 64, "dropout": 0.2, "rate": 1e-3}
NEGATIVES = {"softmax": 1, "sampled": 512, "bce": 1}
OPTIONS: dict[str, dict[str, Any]] = {"recbench": {}, "bf16": {"precision": "bf16-mixed"}, "compile": {"compile": True}}
OURS = ("recbench", "shipped", "quick", "bf16", "compile", "hand")
PACKAGES = dict.fromkeys(OURS[:-1], "recbench-core") | {
    "rectools": "rectools",
    "replay": "replay-rec",
    "recbole": "recbole",
}
NARROW = {"dim": 64, "vector_dropout": 0.0, "scale_read": False}
QUICK = NARROW | {"loss": "sampled", "negatives": 256, "dropout": 0.2}
GOAL = 0.050
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"), "1")


def work(name: str, task: dict[str, Any], folder: Path) -> dict[str, float]:
    """One job of one contestant, in its own process."""
    job, data, shape = task["job"], task["data"], task["shape"]
    if job == "write" or name in OURS[:-1]:
        import sequential_ours as ours

        if job == "training":
            return ours.training(data, shape, task["epochs"], folder)
        if job == "options":
            return ours.training(data, shape, task["epochs"], folder, **OPTIONS[name])
        if job == "first":
            return ours.first(data, shape, folder, task["since"])
        if job == "reach":
            params = {"recbench": ours.params_of(shape) | {"patience": 1000}, "shipped": {}, "quick": QUICK}[name]
            return ours.reach(data, params, GOAL, task["limit"], folder)
        return ours.metrics() if job == "metrics" else ours.write(data, Path(task["histories"])) or {}
    if name == "hand":
        import reference_loop as hand

        drops = {"attention_dropout": shape["dropout"]}
        given = {field: shape[field] for field in shape if field not in ("loss", "negatives")}
        return hand.measure(hand.Histories.read(Path(task["histories"])), hand.Shape(**given | drops), task["epochs"])
    import numpy as np

    with np.load(task["histories"]) as arrays:
        histories = SimpleNamespace(**{name: arrays[name] for name in arrays})
    rival = sequential_rivals.rival(name, histories, shape, folder)
    if job == "first":
        return sequential_rivals.first(rival, task["since"])
    if job == "reach":
        return sequential_rivals.reach(rival, GOAL, task["limit"])
    return sequential_rivals.training(rival, task["steps"])


def measure(name: str, task: dict[str, Any]) -> None:
    """In the process of one contestant: the last line printed is what was found."""
    with tempfile.TemporaryDirectory() as folder:
        found = work(name, task, Path(folder))
    peak = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    print(json.dumps({"mb": int(peak[1]) / 1024 if peak else 0.0} | found))


def child(python: str, name: str, task: dict[str, Any]) -> dict[str, float] | None:
    """What the process of one contestant found; None and one line of the cause where it failed."""
    task = task | {"since": time.time()}
    command = [python, str(HERE / "sequential.py"), "--child", name, json.dumps(task)]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | ONE_THREAD, check=False)
    if done.returncode:
        said = (done.stderr.strip().splitlines() or [""])[-1]
        print(f"{name} left out of {task['job']} on {task['data']}: {said}", file=sys.stderr)
        return None
    return json.loads(done.stdout.splitlines()[-1])


def contest(pythons: dict[str, str], task: dict[str, Any], rounds: int) -> dict[str, Any]:
    """All in turn, round after round: medians of each contestant, and under what they were taken."""
    pythons, laps = dict(pythons), {}
    for _ in range(rounds):
        for name, python in list(pythons.items()):
            lap = child(python, name, task)
            if lap is None:
                del pythons[name]
                laps.pop(name, None)
                continue
            laps.setdefault(name, []).append(lap)
            print(f"{task['job']} {task['data']} {task['shape']['loss']} {name}: {json.dumps(lap)}", file=sys.stderr)
    medians = {n: {key: statistics.median(lap[key] for lap in m) for key in m[0]} for n, m in laps.items()}
    for name, found in medians.items():
        if "reached" in found:
            found["reached"] = all(lap["reached"] for lap in laps[name])
    asked = {key: task[key] for key in ("job", "data", "shape", "limit")}
    return asked | {"rounds": rounds, "load": round(os.getloadavg()[0], 1), "found": medians} | machine()


def machine() -> dict[str, Any]:
    """The processor by its numbers too: some hosts hide its name, and ratios differ between chips."""
    told = Path("/proc/cpuinfo").read_text()
    name, family, model = (
        found[1] if (found := re.search(rf"^{field}\s*: (.+)", told, re.M)) else "?"
        for field in ("model name", "cpu family", "model")
    )
    wide = "AVX-512" if "avx512f" in told else "AVX2"
    processor = f"{name} (family {family}, model {model}), {os.cpu_count()} cores, {wide}"
    return {"machine": processor, "python": ".".join(map(str, sys.version_info[:3])), "date": time.strftime("%Y-%m-%d")}


def versions(pythons: dict[str, str]) -> dict[str, str]:
    """Of torch and of each contestant, as its interpreter tells."""
    found = {}
    for name, python in pythons.items():
        ask = f"from importlib.metadata import version as v; print(v('torch'), v('{PACKAGES.get(name, 'torch')}'))"
        done = subprocess.run([python, "-c", ask], capture_output=True, text=True, check=False)
        torch, own = [*done.stdout.split(), "?", "?"][:2]
        found[name] = f"torch {torch}" if name == "hand" else f"{own} (torch {torch})"
    return found


def tasks(given: argparse.Namespace, data: str) -> list[dict[str, Any]]:
    """What is asked on one data set."""
    asked = []
    for loss in given.loss or ["softmax"]:
        for batch in given.batch or [128]:
            own = {"length": given.length or LENGTH.get(data, 50), "batch": batch}
            shape = SHAPE | own | {"loss": loss, "negatives": NEGATIVES[loss]}
            sizes = {"epochs": given.epochs or EPOCHS.get(data, 1), "steps": given.steps or STEPS.get(data, 6)}
            for job in given.job:
                more = {"epochs": max(2, sizes["epochs"])} if job == "options" else {}  # the first one compiles
                asked.append({"job": job, "data": data, "shape": shape, "limit": given.limit} | sizes | more)
    return asked


def choose(given: argparse.Namespace, task: dict[str, Any]) -> dict[str, str]:
    """Who can do this job, and under which interpreter."""
    rivals = dict(word.split("=", 1) for word in given.python)
    ours = {
        "training": ("recbench", "hand") if task["shape"]["loss"] == "softmax" else ("recbench",),
        "first": ("recbench",),
        "reach": ("recbench", "shipped", "quick"),
        "options": tuple(OPTIONS),
        "metrics": ("recbench",),
    }[task["job"]]
    everybody = dict.fromkeys(ours, sys.executable) | (rivals if task["job"] not in ("metrics", "options") else {})
    return {name: python for name, python in everybody.items() if not given.only or name in given.only}


def key(task: dict[str, Any]) -> str:
    """One record a question."""
    shape = task["shape"]
    return f"{task['job']} {task['data']} length {shape['length']} {shape['loss']} batch {shape['batch']}"


def joined(before: dict[str, Any] | None, now: dict[str, Any]) -> dict[str, Any]:
    """What was found now, and of before the contestants that were left out now, where task and machine are the same."""
    if before is None or any(before[field] != now[field] for field in ("shape", "limit", "machine")):
        return now
    days = sorted({*before["date"].split(" to "), now["date"]})
    merged = {field: before[field] | now[field] for field in ("found", "versions")}
    return now | merged | {"date": " to ".join(dict.fromkeys((days[0], days[-1])))}


def main() -> None:
    options = argparse.ArgumentParser()
    options.add_argument("--data", action="append", help=f"data with a leave-last-out board; none: {', '.join(LENGTH)}")
    options.add_argument("--job", action="append", choices=("training", "first", "reach", "options", "metrics"))
    options.add_argument("--loss", action="append", choices=tuple(NEGATIVES))
    options.add_argument("--batch", action="append", type=int)
    options.add_argument("--length", type=int)
    options.add_argument("--epochs", type=int, help="of recbench and the loop by hand")
    options.add_argument("--steps", type=int, help="of the rivals")
    options.add_argument("--rounds", type=int, default=2)
    options.add_argument("--limit", type=float, default=1500.0, help="CPU seconds after which reach gives up")
    options.add_argument("--python", action="append", default=[], help="NAME=INTERPRETER that has the rival NAME")
    options.add_argument("--only", action="append", choices=(*OURS, *sequential_rivals.RIVALS))
    options.add_argument("--json", type=Path, default=HERE / "speed.json")
    options.add_argument("--page", type=Path, default=HERE.parent / "docs" / "speed.md")
    options.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    given = options.parse_args()
    if given.child:
        measure(given.child[0], json.loads(given.child[1]))
        return
    given.job = given.job or ["training", "first", "metrics"]
    kept = json.loads(given.json.read_text()) if given.json.is_file() else {}
    with tempfile.TemporaryDirectory() as folder:
        os.environ.setdefault("RECBENCH_CACHE", str(Path(folder) / "cache"))
        for data in given.data or LENGTH:
            histories = {"histories": str(Path(folder) / f"{data}.npz")}
            for task in tasks(given, data):
                if not Path(histories["histories"]).is_file() and task["job"] != "metrics":
                    child(sys.executable, "recbench", task | histories | {"job": "write"})
                pythons = choose(given, task)
                found = contest(pythons, task | histories, given.rounds) | {"versions": versions(pythons)}
                kept[key(task)] = joined(kept.get(key(task)), found)
                page = sequential_page.page(kept)  # before anything is written
                given.json.write_text(json.dumps(kept, indent=1) + "\n")
                given.page.write_text(page)


if __name__ == "__main__":
    main()
