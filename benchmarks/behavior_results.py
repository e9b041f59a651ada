"""What tuned models of behaviours reach on their boards, beside each other and beside what is true of simulated worlds.

    bash experiments/behavior.sh                          the tuned rows: hours, stored and resumable
    python benchmarks/behavior_results.py                 compares them, and writes docs/behavior-results.md

Run it from the repository root: the answers are read from runs/, the entries from leaderboards/; what is found is kept in
benchmarks/behavior_results.json, and with --report the page alone is written from it.

Letters: Q questions.
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from bars import BOARDS, ROOT
from numpy.typing import NDArray
from sequential_page import table

from recbench import leaderboard, registry
from recbench.boards import board
from recbench.entry import write_atomically
from recbench.errors import RecbenchError
from recbench.evaluate import judge, measure
from recbench.leaderboard import Row
from recbench.metric import Probabilities, metric
from recbench.model import Context
from recbench.plan import Board
from recbench.simulate import World
from recbench.split import Split, split
from recbench.stats import resampled_interval

RECORD, REPORT = ROOT / "benchmarks" / "behavior_results.json", ROOT / "docs" / "behavior-results.md"
NAMES = (
    "video-like",
    "social-engagement",
    "social-sim-engagement",
    "retailrocket-purchase",
    "ecommerce-purchase",
    "ecommerce-sim-purchase",
)
ORDER = [
    ("prior", "logistic-regression"),
    ("prior", "logistic-sgd"),
    ("logistic-regression", "fm"),
    ("logistic-sgd", "fm"),
]
ALONE = (
    "prior",
    "logistic-sgd",
    "fm",
)  # and a deep model: what each adds where fields and histories are all that is read
VARIED = ("apart", "max_length", "statistics")
DEEP = ("deepfm", "dcn-v2", "din", "bst", "transformer")
SEVERAL = ("mmoe", "ple", "esmm")
INTRODUCTION = """# What models of behaviours reach

Written by `benchmarks/behavior_results.py` from the tuned rows of the [boards](../leaderboards) (`bash experiments/behavior.sh`):
equal budgets of trials on validation, then three seeds, probabilities bent by the isotonic steps that validation finds, which
leave their order as it is. Values are means over seeds on the test part; differences are of these means, with the 95% interval of
a paired bootstrap over users. Where it holds 0 the two are not told apart. Trials of `video-like`, `social-engagement` and the
simulated boards ran in part on a second machine (16 cores, Python 3.12, torch 2.11); what meets the test ran on the machine that
the entries name. Rows that were not tuned have the parameters of the row they are compared with, but for what is named.
`apart=True` is a model's single-task self; that of `mmoe` and `ple` is the same network.

**Base rates, logistic regression, factorization machine, deep model**, each beyond the one before it, stand so on `video-like`,
where all read fields and histories alone (`without statistics` in the tables of differences), and on `ecommerce-purchase` with
statistics, among what is trained in batches (`logistic-sgd`). Elsewhere a link breaks, mostly between the middle two. By default
all read the statistics of [features](features.md): counts, rates and ages of user, item and pair. These are most of what products
of vectors would have to find from some ten thousand questions, so that logistic regression, which is given them and finds its one
optimum, stands beside factorization machines or above them. The deep model that validation chooses is beyond the machine on every
board but `social-engagement`, whose 3,600 questions of 880 readers do not tell the two apart. Without statistics the machine is
beyond logistic regression in both shops, and in the simulated one the Transformer, which learns what comes next as well, beyond
the machine. There it is the first link that breaks: base rates say of item and user all that adds up, and logistic regression over
the same fields finds no more.

**Several behaviours at once** gain a little over single-task selves in the simulated network, where one taste is behind all three;
elsewhere they are not told apart from them, and `esmm` in the simulated shop is worse.

**Calibration errors above .03** stand where a behaviour has become more or less frequent since validation: the shares below say
so. On `ecommerce-purchase` they cannot be large, since a household buys one in some 2,000 of the pairs that the error is
averaged over; the normalised entropy tells models apart there.
"""


def rows_of(name: str) -> list[Row]:
    """The rows of a board, best first."""
    return leaderboard.rows(leaderboard.read(BOARDS / name)) if (BOARDS / name).is_dir() else []


def params_of(row: Row) -> dict[str, Any]:
    """All parameters of a row, those too that an entry leaves out because they are as they always were."""
    return asdict(registry.find("model", row.model).load().Params.of(row.entries[0].params))


def settled(row: Row) -> dict[str, Any]:
    """What of `VARIED` a model has, and its value; None where it was searched."""
    searched = {name for trial in row.entries[0].tuning for name in trial["params"]}
    told = params_of(row)
    return {name: None if name in searched else told[name] for name in VARIED if name in told}


def of(rows: list[Row], model: str, **fixed: Any) -> Row | None:
    """The row of a model for which these parameters were fixed, and the others of `VARIED` are as shipped or searched."""
    shipped = asdict(registry.find("model", model).load().Params())
    for row in (row for row in rows if row.model == model):
        told = settled(row).items()
        if all(value == fixed[name] if name in fixed else value in (None, shipped[name]) for name, value in told):
            return row
    return None


def fields_alone(rows: list[Row], model: str) -> Row | None:
    """The row of a model without statistics, whether they were left out or found to be no help; of `prior` the row."""
    row = of(rows, model)
    alone = row is not None and not params_of(row).get("statistics", False)
    return row if alone else of(rows, model, statistics=False)


def answers(runs: Path, row: Row) -> list[Probabilities]:
    """What the runs of a row answered, one a seed; RecbenchError where a run is not there."""
    out = []
    for entry in row.entries:
        path = runs / entry.key / "predictions.npz"
        if not path.is_file():
            raise RecbenchError(
                f"{path} is missing; run bash experiments/behavior.sh {entry.board} in its folder first"
            )
        with np.load(path) as told:
            columns = told["predicted"], told["true"], told["user"], told["rate"]
            out.append(Probabilities(*columns, tuple(told["behaviors"].tolist()), told["threshold"]))
    return out


def difference(runs: Path, a: Row, b: Row, label: str = "auc") -> dict[str, Any]:
    """What a has over b: values, their difference's interval over users, and the difference of each seed."""
    asked = metric(label, "behavior")
    sides = [[(told, asked.sampler(told, None)) for told in answers(runs, row)] for row in (a, b)]  # type: ignore[arg-type]
    told = [one for side in sides for one, _ in side]
    if any(not np.array_equal(told[0].true_QB, other.true_QB) for other in told):
        raise RecbenchError(f"{a.model} and {b.model} were asked other questions")

    def value_of(times_Q: NDArray) -> float:
        means = [np.mean([value(times_Q) for _, value in side if value is not None]) for side in sides]
        return float(means[0] - means[1])

    low, high = resampled_interval(value_of, told[0].user_Q)
    values = a.mean(label), b.mean(label)
    seeds = [x.scores[label]["value"] - y.scores[label]["value"] for x, y in zip(a.entries, b.entries, strict=False)]
    return {"a": values[0], "b": values[1], "low": low, "high": high, "seeds": seeds}


def pairs(rows: list[Row]) -> list[tuple[str, Row, Row]]:
    """What is compared, in words, and the two rows."""
    order = [*ORDER, *(("fm", row.model) for row in best(of(rows, name) for name in DEEP))]
    found = [(f"{b} over {a}", of(rows, b), of(rows, a)) for a, b in order]
    alone = [*ALONE, *(row.model for row in best(fields_alone(rows, name) for name in DEEP))]
    for a, b in itertools.pairwise(alone):
        found.append((f"{b} over {a}, without statistics", fields_alone(rows, b), fields_alone(rows, a)))
    for name in ("din", "bst"):
        without = of(rows, name, max_length=0, statistics=False)
        found.append((f"{name} over itself without history and statistics", of(rows, name), without))
    found += [(f"{name} over its single-task self", of(rows, name), of(rows, name, apart=True)) for name in SEVERAL]
    return [(what, a, b) for what, a, b in found if a is not None and b is not None]


def best(rows: Iterable[Row | None]) -> list[Row]:
    """The row that validation, not the test, finds best; none where there are none."""
    return sorted((row for row in rows if row is not None), key=on_validation)[-1:]


def on_validation(row: Row) -> float:
    """The best headline that a trial of the row reached; of a row that was not tuned the least there is."""
    reached = [t["valid_headline"] for t in row.entries[0].tuning if t["valid_headline"] is not None]
    return max(reached, default=-np.inf)


def rates(parts: Split) -> dict[str, list[float]]:
    """Of each behaviour the share of the questions that it followed, on validation and on test."""
    assert parts.valid is not None and parts.valid.outcomes is not None and parts.test.outcomes is not None
    each = zip(parts.valid.outcomes.mean(0).tolist(), parts.test.outcomes.mean(0).tolist(), strict=True)
    return {name: list(shares) for name, shares in zip(parts.test.targets, each, strict=True)}


def known(parts: Split, world: World, asked: Board) -> dict[str, float]:
    """Log loss of who knows a simulated world, and of who knows its laws and reads the history."""
    out = {}
    for who, model in (("oracle", world.oracle()), ("scholar", world.scholar())):
        model.fit(parts.train, Context(board=asked))
        told = judge(model, parts.test)
        (score,) = measure(told, parts.test, [metric("log-loss", "behavior")], parts.train)
        out[who] = score.value
    return out


def calibration(rows: list[Row]) -> list[list[str]]:
    """Of each row the joint calibration error, and the largest of a behaviour."""
    out = []
    for label, row in zip(leaderboard.labels(rows), rows, strict=True):
        each = [(row.mean(name), name.partition("@")[2]) for name in row.entries[0].scores if name.startswith("ece@")]
        worst, behavior = max(each, default=(row.mean("ece"), ""))
        out.append([f"`{label}`", f"{row.mean('ece'):.4f}", f"{worst:.4f} {behavior}".strip()])
    return out


def report(record: dict[str, Any]) -> str:
    """The page."""
    lines = [INTRODUCTION]
    for name in NAMES:
        if not (rows := rows_of(name)):
            continue
        asked = board(name)
        lines += [f"## {name}", "", f"{asked.meaning} ({', '.join(asked.behaviors)})", ""]
        head = [
            "model",
            "AUC",
            "log loss",
            "normalised entropy",
            "F1",
            "accuracy",
            "of the majority",
            "calibration error",
            "CPU s",
        ]
        worst = {cells[0]: cells[2] for cells in calibration(rows)}
        body = []
        for label, row in zip(leaderboard.labels(rows), rows, strict=True):
            low, high = row.interval("auc") or (np.nan, np.nan)
            cells = [f"`{label}`", f"{row.mean('auc'):.4f} [{low:.4f}, {high:.4f}]"]
            cells += [
                f"{row.mean(m):.4f}" for m in ("log-loss", "normalised-entropy", "f1", "accuracy", "majority-accuracy")
            ]
            cells += [
                f"{row.mean('ece'):.4f}; {worst[f'`{label}`']}",
                f"{np.mean([e.cpu_seconds for e in row.entries]):.0f}",
            ]
            body.append(cells)
        lines += [table(head, body), ""]
        if shares := record.get(name, {}).get("rates"):
            told = [f"{behavior} {valid:.3f} and {test:.3f}" for behavior, (valid, test) in shares.items()]
            lines += [f"Share of the questions that it follows, on validation and on test: {', '.join(told)}.", ""]
        if world := record.get(name, {}).get("known"):
            first = min(rows, key=lambda row: row.mean("log-loss"))
            above = {who: f"{first.mean('log-loss') / loss - 1:+.1%}" for who, loss in world.items()}
            lines += [
                f"Log loss of the oracle {world['oracle']:.4f}; of the scholar, who knows the world's laws and reads the same "
                f"histories, {world['scholar']:.4f} ({world['scholar'] / world['oracle'] - 1:+.1%}): what lies between them a "
                f"user's own history does not tell. Best model: {first.model}, {first.mean('log-loss'):.4f}, "
                f"{above['oracle']} of the oracle, {above['scholar']} of the scholar.",
                "",
            ]
        if found := record.get(name, {}).get("pairs"):
            body = [
                [
                    what,
                    f"{d['a']:.4f}",
                    f"{d['b']:.4f}",
                    f"{d['a'] - d['b']:+.4f} [{d['low']:+.4f}, {d['high']:+.4f}]",
                    verdict(d),
                ]
                for what, d in found.items()
            ]
            lines += [table(["AUC of", "it", "the other", "difference", "it is"], body), ""]
    return "\n".join(lines)


def verdict(d: dict[str, Any]) -> str:
    """What the first is beside the second, in a word."""
    return "not told apart" if d["low"] <= 0 <= d["high"] else "better" if d["low"] > 0 else "worse"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="folder of the runs")
    parser.add_argument("--only", default="", help="boards whose names hold this word; none: all")
    parser.add_argument("--report", action="store_true", help="write the page alone")
    given = parser.parse_args()
    record = json.loads(RECORD.read_text()) if RECORD.is_file() else {}
    try:
        for name in [name for name in NAMES if given.only in name and not given.report]:
            rows, found = rows_of(name), {}
            for what, a, b in pairs(rows):
                found[what] = difference(given.runs, a, b)
                print(f"{name}: {what}: {found[what]['a'] - found[what]['b']:+.4f}, {verdict(found[what])}", flush=True)
            asked = board(name)
            source = registry.find("data", asked.data).load()()
            parts = split(source.load(), asked)
            record[name] = {"pairs": found, "rates": rates(parts)}
            if hasattr(source, "world"):
                record[name]["known"] = known(parts, source.world(), asked)
            write_atomically(RECORD, json.dumps(record, indent=1) + "\n")
    except RecbenchError as error:
        print(f"behavior_results: {error}", file=sys.stderr)
        return 1
    write_atomically(REPORT, report(record))
    print(f"wrote {REPORT.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
