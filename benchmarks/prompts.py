"""A prompted language model against classical models that learn from as many questions, and from all of them.

    python benchmarks/prompts.py                     every row that is not yet recorded, then the page
    python benchmarks/prompts.py --only 'lora*' --again the rows so named, anew
    python benchmarks/prompts.py --report            the page alone

Run it from the repository root. All rows learn from the training part of the board video-like-small and answer the same
thousand questions. Rows of so many shots know what the prompts of the shots tell and nothing else: of each shot the history,
with what was liked of it, the film asked about, and the answer; `-histories` learns from what was liked of these histories as
from answers too. Predictions go to runs/prompts/, what is found to
benchmarks/prompts.json, from which docs/prompts.md is written.

Letters: Q questions, N shots, E events, L items of a history.
"""

from __future__ import annotations

import argparse
import fnmatch
import json
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sequential import machine

from recbench.boards import board
from recbench.data import Interactions
from recbench.dataset import Dataset
from recbench.entry import write_atomically
from recbench.evaluate import judge, measure
from recbench.holdout import Holdout
from recbench.metric import metric
from recbench.model import Context, Recommender
from recbench.prepared import load
from recbench.registry import find
from recbench.split import Split, split
from recbench.stats import resampled_interval

HERE = Path(__file__).resolve().parent
RECORD, PAGE, RUNS = HERE / "prompts.json", HERE.parent / "docs" / "prompts.md", Path("runs") / "prompts"
BOARD = board("video-like-small")
PROMPT: dict[str, Any] = {"noun": "movie", "text": "title"}
LISTS = PROMPT | {"form": "lists"}
IDS = {"statistics": False, "categories": "", "next_item_weight": 0.3}
FEW_IDS = IDS | {"max_length": 10}  # reads as many items as a prompt tells
SASREC = "causal Transformer of item ids alone (SASRec)"
ASKED = replace(BOARD, exposures=("asked",))  # puts a question at shots, and none at the events of their histories
SEED = 1  # of the shots: everybody gets the same


@dataclass(frozen=True)
class Row:
    """A line of the table. `shots`: how many questions it learns from; None: all. `meaning`: what it is, for the page.
    `histories`: each event of the histories is a question too. `blind`: of histories the items are read and not what was liked.
    """

    model: str
    meaning: str
    params: dict[str, Any] = field(default_factory=dict)
    shots: int | None = None
    histories: bool = False
    blind: bool = False


ROWS = {
    "prompt": Row("prompt-ranker", "SmolLM2-135M as it is", PROMPT, 0),
    "prompt-lists": Row("prompt-ranker", "SmolLM2-135M as it is, form=lists", LISTS, 0),
    "lora-64-lists": Row("prompt-ranker", "SmolLM2-135M tuned by LoRA, form=lists", LISTS | {"shots": 64}, 64),
    "lora-16": Row("prompt-ranker", "SmolLM2-135M tuned by LoRA", PROMPT | {"shots": 16}, 16),
    "lora-64": Row("prompt-ranker", "SmolLM2-135M tuned by LoRA", PROMPT | {"shots": 64}, 64),
    "lora-256": Row("prompt-ranker", "SmolLM2-135M tuned by LoRA", PROMPT | {"shots": 256}, 256),
    "sasrec-16": Row("transformer", SASREC, FEW_IDS, 16, blind=True),
    "sasrec-64": Row("transformer", SASREC, FEW_IDS, 64, blind=True),
    "sasrec-256": Row("transformer", SASREC, FEW_IDS, 256, blind=True),
    "liked-64": Row("transformer", "the same Transformer, told what was liked", FEW_IDS, 64),
    "liked-64-histories": Row("transformer", "told this, each event of the histories a question", FEW_IDS, 64, True),
    "transformer-64": Row("transformer", "told this, with statistics and genres", {"max_length": 10}, 64),
    "logistic-64": Row("logistic-regression", "logistic regression on statistics", {}, 64),
    "logistic-all": Row("logistic-regression", "logistic regression on statistics"),
    "transformer-all": Row("transformer", "Transformer with statistics and genres"),
}
PAIRS = (
    ("lora-64-lists", "prompt-lists"),
    ("lora-64-lists", "sasrec-64"),
    ("lora-64-lists", "liked-64"),
    ("prompt", "prompt-lists"),
    ("prompt", "sasrec-64"),
    ("prompt", "liked-64"),
    ("lora-64", "prompt"),
    ("lora-64", "sasrec-64"),
    ("lora-64", "liked-64"),
    ("logistic-all", "lora-64"),
)
INTRO = """# Prompts

Written by `benchmarks/prompts.py`, which says how to run it again. Board `video-like-small`: will the user like the film,
a thousand questions of MovieLens 100K. A causal language model is asked in words and answers Yes or No; beside it stand
models that learn from the very same questions, and from all of the training part.

    python -m recbench model=prompt-ranker board=video-like-small model.noun=movie model.text=title model.shots=64
    python -m recbench model=prompt-ranker board=video model.text=title model.model=ease model.candidates=20
    python -m recbench explain run=KEY user=ID noun=movie text=title

The second orders the best items of another model; the third lets the language model say why an item may suit a user, which
is made up and no metric. Rows of 16, 64 or 256 shots know what the prompts of the shots tell, and no more; what a language
model knows it has from its own training, and MovieLens was very likely in it (arXiv 2505.10212). Networks choose their
epochs on the board's validation, the language model on a quarter of its own shots. One seed draws the shots; intervals are
bootstraps over users.
"""


def few(train: Dataset, n: int, seed: int, blind: bool) -> Dataset:
    """A training part that holds `n` shots alone: each as a user of its own, with the items that its prompt tells, and the one
    asked about as an event `asked` and one that answers. `blind`: what was liked of the history is left out."""
    from recbench_language.prompts.prompt_ranker import PromptRankerParams
    from recbench_language.prompts.shots import drawn_shots

    shots = drawn_shots("benchmark", train, BOARD, n, seed)
    queries, log, names = shots.queries, train.interactions, train.interactions.behaviors
    like, watch, last = names.index("like"), names.index("watch"), PromptRankerParams().history
    rows: list[tuple[Any, ...]] = []
    for number in range(n):
        columns = (getattr(queries, name)[number][-last:] for name in ("items", "times", "behaviors", "values"))
        items, times, behaviors, values = columns
        told = np.full(len(items), watch) if blind else behaviors
        rows += [(number, *event) for event in zip(items, times, told, values, strict=True)]
        shot = number, queries.item[number], queries.time[number]
        rows += [(*shot, len(names), 1.0), (*shot, like if shots.true_N[number] else watch, 1.0)]
    user, item, when, behavior, value = (np.array(column) for column in zip(*rows, strict=True))
    size = {"n_users": log.n_users, "n_items": log.n_items}
    told = Interactions.sorted(user, item, when, behavior=behavior, value=value, behaviors=(*names, "asked"), **size)
    return replace(train, interactions=told)


def measured(row: Row, parts: Split, seed: int) -> tuple[dict[str, Any], NDArray]:
    """What a row comes to, and (Q,) its probabilities."""
    model: Recommender = find("model", row.model).load()
    model = model(model.Params(**row.params))
    train, asks = parts.train, BOARD
    if row.shots is not None and row.model != "prompt-ranker":
        train, asks = few(parts.train, row.shots, SEED, row.blind), BOARD if row.histories else ASKED
    if row.blind:
        parts = replace(parts, valid=blinded(parts.valid), test=blinded(parts.test))
    told = {"evaluate": lambda m: auc_of(m, parts.valid, parts.train)} if row.model == "transformer" else {}
    begun = time.process_time()
    model.fit(train, Context(seed=seed, board=asks, **told))
    fitted = time.process_time()
    answers = judge(model, parts.test)
    answered = time.process_time()
    score = measure(answers, parts.test, [metric("auc", "behavior")], parts.train)[0]
    found = {"auc": score.value, "low": score.low, "high": score.high, "fit_cpu_s": fitted - begun}
    found |= {"per_1000_cpu_s": 1000 * (answered - fitted) / len(parts.test.queries), "epochs": model.chosen_epochs}
    return found | {"notes": dict(model.notes)}, answers.predicted_QB[:, 0]


def blinded(holdout: Holdout) -> Holdout:
    """The questions without what was liked of the histories."""
    rows = holdout.queries.behaviors
    return replace(
        holdout, queries=replace(holdout.queries, behaviors=replace(rows, values=np.zeros_like(rows.values)))
    )


def auc_of(model: Recommender, holdout: Holdout, train: Dataset) -> float:
    """The headline on a holdout."""
    return measure(judge(model, holdout), holdout, [metric("auc", "behavior")], train)[0].value


def difference(a_Q: NDArray, b_Q: NDArray, parts: Split) -> list[float]:
    """The difference of two AUCs on the test, and its interval over users."""
    from sklearn.metrics import roc_auc_score

    true_Q = parts.test.outcomes[:, 0]

    def value(times_Q: NDArray) -> float:
        return float(
            roc_auc_score(true_Q, a_Q, sample_weight=times_Q) - roc_auc_score(true_Q, b_Q, sample_weight=times_Q)
        )

    return [value(np.ones(len(true_Q))), *resampled_interval(value, parts.test.queries.user)]


def page(record: dict[str, Any]) -> str:
    """The page in Markdown, a function of the record alone."""
    lines = [INTRO]
    lines += [
        "| row | model | shots | AUC | 95% interval | epochs | fit, CPU s | 1000 questions, CPU s | tokens per CPU s |"
    ]
    lines += ["| --- | --- | ---: | ---: | --- | ---: | ---: | ---: | ---: |"]
    for name, row in ROWS.items():
        if (found := record["rows"].get(name)) is None:
            continue
        shots = "all" if row.shots is None else str(row.shots)
        cells = [f"`{name}`", row.meaning, shots, f"{found['auc']:.3f}", f"{found['low']:.3f} to {found['high']:.3f}"]
        cells += [str(found["epochs"] or ""), f"{found['fit_cpu_s']:.0f}", f"{found['per_1000_cpu_s']:.1f}"]
        cells += [f"{found['notes'].get('tokens_per_cpu_second', '')}"]
        lines += [f"| {' | '.join(cells)} |"]
    lines += ["", "| a | b | AUC of a less that of b | 95% interval | a is |", "| --- | --- | ---: | --- | --- |"]
    for pair, (gap, low, high) in record["pairs"].items():
        a, b = pair.split(" ")
        verdict = "not told apart" if low <= 0 <= high else "better" if low > 0 else "worse"
        lines += [f"| `{a}` | `{b}` | {gap:+.3f} | {low:+.3f} to {high:+.3f} | {verdict} |"]
    prompts = {found["notes"]["prompt"][0] for found in record["rows"].values() if "prompt" in found["notes"]}
    language = next(found["notes"]["language"] for found in record["rows"].values() if "prompt" in found["notes"])
    lines += ["", "The prompts, behind which Yes is compared with No as the next token:", ""]
    lines += [f"- `{json.dumps(prompt)[1:-1]}`" for prompt in sorted(prompts)]
    lines += [
        "",
        f"{language['model']}: {language['revision']}, {language['licence']}; contamination: {language['contamination']}.",
    ]
    where = f"{record['machine']}; Python {record['python']}; {record['date']}"
    return "\n".join([*lines, "", f"CPU seconds of one thread; other work may share the machine. {where}.", ""])


def recorded() -> dict[str, Any]:
    """What has been found so far."""
    return json.loads(RECORD.read_text()) if RECORD.is_file() else {"rows": {}, "pairs": {}}


def main() -> None:
    options = argparse.ArgumentParser()
    options.add_argument("--only", default="*")
    options.add_argument("--again", action="store_true")
    options.add_argument("--report", action="store_true")
    given = options.parse_args()
    if not given.report:
        parts = split(load(find("data", BOARD.data).load()()), BOARD)
        for name in fnmatch.filter(ROWS, given.only):
            if name in recorded()["rows"] and not given.again:
                continue
            found, predicted_Q = measured(ROWS[name], parts, SEED)
            record = recorded()  # read anew: another process may have written meanwhile
            record["rows"][name] = found
            write_atomically(RUNS / f"{name}.json", json.dumps(predicted_Q.round(6).tolist()))
            kept = {p.stem: np.array(json.loads(p.read_text())) for p in RUNS.glob("*.json")}
            pairs = {f"{a} {b}": (a, b) for a, b in PAIRS if a in kept and b in kept}
            record["pairs"] |= {pair: difference(kept[a], kept[b], parts) for pair, (a, b) in pairs.items()}
            record |= machine()
            write_atomically(RECORD, json.dumps(record, indent=1, sort_keys=True) + "\n")
            print(name, record["rows"][name], flush=True)
    write_atomically(PAGE, page(recorded()))
    print(PAGE.read_text())


if __name__ == "__main__":
    main()
