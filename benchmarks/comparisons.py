"""Pairs of models on one board: every row and seed is one run, stored on its board and resumable; then the paired differences.

    python benchmarks/comparisons.py                              all comparisons, then the report
    python benchmarks/comparisons.py --only ciao --seed 1         the runs of those with a row whose name begins so
    python benchmarks/comparisons.py --report                     the report alone

Run it from the repository root: runs go to runs/, entries to leaderboards/, what is found to benchmarks/comparisons.json,
from which docs/comparisons.md is written.

Letters: Q queries.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from bars import BOARDS, ROOT, command_of, plan_of, stored
from numpy.typing import NDArray

from recbench import leaderboard
from recbench.boards import board
from recbench.entry import Entry, write_atomically
from recbench.errors import RecbenchError, nearest
from recbench.plan import digest
from recbench.run import Surroundings, execute
from recbench.stats import paired_interval

EXPERIMENT = ROOT / "experiments" / "comparisons.yaml"
RECORD = ROOT / "benchmarks" / "comparisons.json"
REPORT = ROOT / "docs" / "comparisons.md"
RUNS = Path("runs")
NAMED = r"\{([^}]+)\}"  # {ROW} in a parameter
INTRODUCTION = """# Comparisons

Written by `benchmarks/comparisons.py` from `experiments/comparisons.yaml`. Two models answer the same queries of one
board; the difference is that of the means over seeds, its 95% interval a paired bootstrap over users. Where the interval
holds 0, the two cannot be told apart. Seeds: the difference with each. No parameter was chosen on test values.
"""


def named(rows: dict[str, Any], name: str, seed: int) -> dict[str, Any]:
    """The row of a name, for a seed: where a parameter says run:{ROW} it is the key of that row's run with this seed.
    RecbenchError where there is no such row."""
    if name not in rows:
        raise RecbenchError(f"no row is named {name!r}{nearest(name, rows) or '.'} Rows: {', '.join(rows)}")
    row = {**rows[name], "name": name}

    def key(found: re.Match[str]) -> str:
        return plan_of(named(rows, found[1], seed), seed).key

    params = row.get("params", {}).items()
    row["params"] = {p: re.sub(NAMED, key, v) if isinstance(v, str) else v for p, v in params}
    return row


def run(rows: dict[str, Any], name: str, seed: int) -> Path:
    """The folder of the run of a row and seed, carried out unless it is there; rows that it names come first."""
    row = named(rows, name, seed)
    for value in rows[name].get("params", {}).values():
        for other in re.findall(NAMED, value) if isinstance(value, str) else ():
            run(rows, other, seed)
    plan = plan_of(row, seed)
    folder = RUNS / plan.key
    if not (folder / "entry.json").is_file():
        command = command_of(row, seed)
        print(f"{name} seed {seed}: {command}  -> {folder}", flush=True)
        execute(plan, Surroundings(out=RUNS, threads=1, progress=True, resume=True, command=command))
    entry = Entry.read(folder / "entry.json")
    if not stored(plan).is_file():
        leaderboard.submit(entry, plan.board, BOARDS)
    label = plan.board.headline
    print(f"{name} seed {seed}: {label} {entry.scores[label]['value']:.4f}, {entry.cpu_seconds:.0f} CPU s", flush=True)
    return folder


def compare(folders_a: list[Path], folders_b: list[Path], label: str) -> dict[str, Any]:
    """Means, their difference and its interval over users, and the difference of each seed; one folder a seed.

    RecbenchError where queries differ, or where a score is no mean over queries, as RMSE is none.
    """
    users_Q = asked(folders_a[0])
    for folder in (*folders_a, *folders_b):
        if not np.array_equal(users_Q, asked(folder)):
            raise RecbenchError(f"{folders_a[0]} and {folder} were asked other queries")
        if not np.isclose(per_query(folder, label).mean(), Entry.read(folder / "entry.json").scores[label]["value"]):
            raise RecbenchError(
                f"{label} of {folder} is no mean over queries; compare on a board whose headline is one"
            )
    a_SQ, b_SQ = (np.stack([per_query(folder, label) for folder in folders]) for folders in (folders_a, folders_b))
    low, high = paired_interval(a_SQ.mean(0), b_SQ.mean(0), groups_Q=users_Q)
    per_seed = [float(d) for d in (a_SQ - b_SQ).mean(1)]
    better = Entry.read(folders_a[0] / "entry.json").scores[label].get("better", "higher")
    values = {"a": float(a_SQ.mean()), "b": float(b_SQ.mean()), "low": low, "high": high}
    return values | {"seeds": per_seed, "better": better}


def per_query(folder: Path, label: str) -> NDArray:
    """(Q,) the value of each query."""
    with np.load(folder / "per_query.npz") as arrays:
        return arrays[label]


def asked(folder: Path) -> NDArray:
    """(Q,) the user of each query."""
    name = next(name for name in ("lists.npz", "predictions.npz") if (folder / name).is_file())
    with np.load(folder / name) as arrays:
        return arrays["user"]


def metric_of(rows: dict[str, Any], a: str, b: str, metric: str = "") -> str:
    """What a pair is compared by: the headline of its board, unless another metric is named behind the two."""
    return metric or board(rows[a]["board"]).headline


def label_of(rows: dict[str, Any], a: str, b: str, metric: str = "") -> str:
    """What a pair is recorded under: its names and the keys of its runs, so that rows declared otherwise were not run."""
    keys = [plan_of(named(rows, name, seed), seed).key for name in (a, b) for seed in board(rows[name]["board"]).seeds]
    return " ".join([a, b, digest(keys)[:12], *([metric] if metric else [])])


def verdict(found: dict[str, Any]) -> str:
    """What a is beside b, in a word."""
    if found["low"] <= 0 <= found["high"]:
        return "not told apart"
    return "better" if (found["low"] > 0) == (found["better"] == "higher") else "worse"


def report(declared: dict[str, Any], record: dict[str, Any]) -> str:
    """The page, a function of the declaration and of what was found."""
    lines = [INTRODUCTION]
    for section, part in declared["comparisons"].items():
        lines += [f"## {section}", "", part["text"].strip(), ""]
        lines += ["| board | metric | a | b | a's value | b's value | difference | seeds | a is |"]
        lines += ["| --- | --- | --- | --- | ---: | ---: | --- | --- | --- |"]
        for pair in part["pairs"]:
            a, b = pair[:2]
            found = record.get(label_of(declared["rows"], *pair))
            cells = [declared["rows"][a]["board"], metric_of(declared["rows"], *pair), f"`{a}`", f"`{b}`"]
            if found is None:
                cells += ["", "", "not run", "", ""]
            else:
                spread = f"{found['a'] - found['b']:+.4f} [{found['low']:+.4f}, {found['high']:+.4f}]"
                cells += [f"{found['a']:.4f}", f"{found['b']:.4f}", spread]
                cells += [", ".join(f"{d:+.4f}" for d in found["seeds"]), verdict(found)]
            lines.append(f"| {' | '.join(cells)} |")
        lines.append("")
    lines += ["## Commands", ""]
    for name in declared["rows"]:
        row = named(declared["rows"], name, 1)
        lines.append(f"- `{name}`: `{command_of(row, 1)}`")
    return "\n".join(lines) + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="pairs with a row whose name begins with this; none: all")
    parser.add_argument("--seed", type=int, help="run one seed alone; none: all of the board")
    parser.add_argument("--report", action="store_true", help="only write the report")
    given = parser.parse_args()
    declared = yaml.safe_load(EXPERIMENT.read_text())
    rows, record = declared["rows"], json.loads(RECORD.read_text()) if RECORD.is_file() else {}
    try:
        pairs = [pair for part in declared["comparisons"].values() for pair in part["pairs"]]
        chosen = [pair for pair in pairs if any(name.startswith(given.only) for name in pair[:2])]
        if not chosen:
            raise RecbenchError(f"--only {given.only} begins no row's name; rows: {', '.join(rows)}")
        for pair in chosen if not given.report else []:
            seeds = [given.seed] if given.seed is not None else board(rows[pair[0]]["board"]).seeds
            folders = [[run(rows, name, seed) for seed in seeds] for name in pair[:2]]
            if given.seed is None:
                record[label_of(rows, *pair)] = compare(*folders, metric_of(rows, *pair))
                write_atomically(RECORD, json.dumps(record, indent=1) + "\n")
        write_atomically(REPORT, report(declared, record))
        print(f"wrote {REPORT.relative_to(ROOT)}")
    except RecbenchError as error:
        print(f"comparisons: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
