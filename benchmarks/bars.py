"""Reproduces published tables: every row and seed of an experiment file is one run, stored on its board and resumable.

    python benchmarks/bars.py                            all rows that are not on their boards yet, then the report
    python benchmarks/bars.py --row beauty --seed 1      one of them
    python benchmarks/bars.py --report                   the report alone

Run it from the repository root: runs go to runs/, entries to leaderboards/, the report to docs/published.md.
"""

from __future__ import annotations

import argparse
import shlex
import sys
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from scipy.stats import t as student

from recbench import leaderboard, registry
from recbench.boards import board
from recbench.entry import Entry, write_atomically
from recbench.errors import RecbenchError, nearest
from recbench.plan import Plan
from recbench.run import Surroundings, execute

ROOT = Path(__file__).parent.parent
EXPERIMENT = ROOT / "experiments" / "published-tables.yaml"
REPORT = ROOT / "docs" / "published.md"
BOARDS = Path("leaderboards")
INTRODUCTION = """# Published tables, reproduced

Leave-last-out, all items ranked, seen items masked; nothing is fitted on the validation item, which chooses the epoch.
Reached: mean over seeds with its 95% interval (Student's t over seeds). Floor: below it something is broken. Aim: the
published value unless a row says otherwise. CPU: seconds of one run's training and selection, one thread.
Rows are declared in `experiments/published-tables.yaml`; `make bars ROW=NAME SEED=N` runs one anew; entries, with
commands, are in `leaderboards/`.

| row | data | model | metric | published | floor | aim | reached | seeds | epochs | CPU s a run |
| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |
"""
TRIED = """
## Other settings that were tried

One seed each; where it was run, the setting of a row comes first, with the values of its first seed. Settings are compared on
validation; seeds of one setting lie up to .001 apart there. Test values chose nothing. "-": stopped before its end, with
the best epoch until then, or, of CPU seconds alone, run on a GPU or not kept.

| row | setting | epoch | validation NDCG@10 | test NDCG@10 | test recall@10 | CPU s |
| --- | --- | --- | --- | --- | --- | --- |
"""


def plan_of(row: dict[str, Any], seed: int) -> Plan:
    """The plan of one row and seed: the board's data, the model's defaults, and the row's own parameters."""
    asked, plugin = board(row["board"]), registry.find("model", row["model"])
    data = registry.find("data", asked.data).load()
    return Plan(
        board=asked,
        on_board=True,
        data=asked.data,
        data_params=data.Params(**asked.data_params).as_dict(),
        model=plugin.name,
        model_params=plugin.load().Params(**row.get("params", {})).as_dict(),
        distribution=plugin.distribution,
        version=plugin.version,
        seed=seed,
    )


def command_of(row: dict[str, Any], seed: int) -> str:
    """What a reader types to run it again."""
    params = [f"model.{name}={value}" for name, value in row.get("params", {}).items()]
    words = [f"model={row['model']}", f"board={row['board']}", *params, f"seed={seed}", "trainer.threads=1"]
    return shlex.join(["python", "-m", "recbench", *words])


def stored(plan: Plan) -> Path:
    """Where the entry of a plan stands once it is on its board."""
    return BOARDS / plan.board.name / f"{plan.model}-{plan.key}.json"


def run(row: dict[str, Any], seed: int) -> None:
    """Run one row and seed unless its entry is there; a run that was cut off goes on."""
    plan = plan_of(row, seed)
    if stored(plan).is_file():
        print(f"{row['name']} seed {seed}: {stored(plan)} is there", flush=True)
        return
    command = command_of(row, seed)
    print(f"{row['name']} seed {seed}: {command}  -> runs/{plan.key}", flush=True)
    entry = execute(plan, Surroundings(threads=1, progress=True, resume=True, command=command))
    leaderboard.submit(entry, plan.board, BOARDS)
    values = ", ".join(f"{label} {entry.scores[label]['value']:.4f}" for label in row["published"])
    print(f"{row['name']} seed {seed}: {values}, epoch {entry.epochs}, {entry.stopped_by}", flush=True)


def interval(values: list[float]) -> str:
    """Mean and the 95% interval of the mean over seeds; the mean alone where there is one seed."""
    if len(values) < 2:
        return f"{values[0]:.4f}"
    half = student.ppf(0.975, len(values) - 1) * np.std(values, ddof=1) / len(values) ** 0.5
    return f"{np.mean(values):.4f} ± {half:.4f}"


def entries_of(row: dict[str, Any]) -> list[Entry]:
    """Of its seeds that were run."""
    paths = [stored(plan_of(row, seed)) for seed in row["seeds"]]
    return [Entry.read(path) for path in paths if path.is_file()]


def lines_of(row: dict[str, Any]) -> list[str]:
    """The lines of the report that belong to a row, one a metric."""
    entries, data, lines = entries_of(row), board(row["board"]).data, []
    for label, published in row["published"].items():
        floor, aim = row["floor"].get(label), row.get("aim", {}).get(label, published)
        cells = [row["name"], data, row["model"], label, f"{published:.4f}", f"{floor:.4f}", f"{aim:.4f}"]
        if entries:
            mean = float(np.mean([e.scores[label]["value"] for e in entries]))
            reached = interval([e.scores[label]["value"] for e in entries])
            mark = "" if mean >= aim else " (below the aim)" if mean >= floor else " (**below the floor**)"
            epochs = ", ".join(str(e.epochs) for e in entries)
            seeds = ", ".join(str(e.seed) for e in entries)
            cpu = float(np.mean([e.cpu_seconds for e in entries]))
            cells += [reached + mark, seeds, epochs, f"{cpu:,.0f}"]
        else:
            cells += ["not run", "", "", ""]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def tried_of(row: dict[str, Any]) -> list[str]:
    """The lines of the other settings of a row, under its own; none where it has no list of them."""
    lines = []
    if "tried" in row and (entries := entries_of(row)):
        entry = entries[0]
        scores = [f"{entry.scores[label]['value']:.4f}" for label in ("ndcg@10", "recall@10")]
        cells = [row["name"], "the row's", str(entry.epochs), f"{entry.valid_headline:.4f}", *scores]
        lines.append(f"| {' | '.join([*cells, f'{entry.cpu_seconds:,.0f}'])} |")
    for one in row.get("tried", []):
        change = " ".join(f"{name}={value}" for name, value in one["change"].items())
        scores = [f"{value:.4f}" for value in one["test"]] if "test" in one else ["-", "-"]
        cpu = f"{one['cpu_s']:,}" if "cpu_s" in one else "-"
        cells = [row["name"], change, str(one["epoch"]), f"{one['valid']:.4f}", *scores, cpu]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def report(rows: list[dict[str, Any]]) -> None:
    """Write the table, and under it what each row compares with."""
    lines = [line for row in rows for line in lines_of(row)]
    sources = [f"- `{row['name']}`: {row['source']}. `{command_of(row, row['seeds'][0])}`" for row in rows]
    tried = [line for row in rows for line in tried_of(row)]
    parts = [INTRODUCTION + "\n".join(lines), "", *sources, *([TRIED + "\n".join(tried)] if tried else [])]
    write_atomically(REPORT, "\n".join(parts) + "\n")
    print(f"wrote {REPORT.relative_to(ROOT)}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--row", default="", help="name of a row; none: all")
    parser.add_argument("--seed", type=int, help="one seed; none: all of the row")
    parser.add_argument("--report", action="store_true", help="only write the report")
    given = parser.parse_args()
    declared = yaml.safe_load(EXPERIMENT.read_text())["rows"]
    rows = [{"seeds": [1, 2, 3], **row, "name": name} for name, row in declared.items()]
    try:
        if given.row and given.row not in declared:
            raise RecbenchError(
                f"--row {given.row} is unknown{nearest(given.row, declared)}; rows: {', '.join(declared)}"
            )
        chosen = [row for row in rows if given.row in ("", row["name"])]
        seeds = sorted({seed for row in chosen for seed in row["seeds"]})
        if given.seed is not None and given.seed not in seeds:
            raise RecbenchError(f"--seed {given.seed} is not declared; seeds: {', '.join(map(str, seeds))}")
        for row in chosen if not given.report else []:
            for seed in row["seeds"]:
                if given.seed in (None, seed):
                    run(row, seed)
        report(rows)
    except RecbenchError as error:
        print(f"bars: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
