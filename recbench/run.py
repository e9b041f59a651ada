"""The whole street: load, split, build, fit, answer, measure, entry."""

from __future__ import annotations

import json
import shlex
import shutil
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from recbench import __version__, registry
from recbench.artefacts import store
from recbench.calibrate import decide
from recbench.dataset import Dataset
from recbench.entry import Entry, write_atomically
from recbench.errors import RecbenchError
from recbench.evaluate import Answers, Score, answer, judge, measure
from recbench.machine import Clock, commit, description, forget_peak_memory, peak_memory_mb
from recbench.metric import Metric, Probabilities, metrics_of, refuse_one_behavior
from recbench.model import ALONE, Context, Recommender, Team, nothing
from recbench.origin import keyed, refuse_seen
from recbench.plan import Plan, answering, refuse_lacking
from recbench.prepared import load as load_prepared
from recbench.reliability import pictures
from recbench.split import Split, split
from recbench.track import Tracker

LIST_LENGTH = 10  # items a list has at least, also where no metric asks for one


@dataclass(frozen=True)
class Surroundings:
    """What may differ between two runs of one plan without changing a number."""

    out: Path = Path("runs")
    threads: int = 1
    progress: bool = False
    resume: bool = False
    command: str = ""
    trackers: Sequence[Tracker] = ()
    team: Team = ALONE
    tuning: Sequence[dict[str, Any]] = ()


@dataclass(frozen=True, eq=False)
class Prepared:
    """What all runs of one board share: the data, their split, and the board's metrics."""

    dataset: Dataset
    parts: Split
    metrics: list[Metric]


@dataclass(frozen=True, eq=False)
class Selected:
    """A model fitted on the training part and judged on validation; the test holdout is still shut."""

    model: Recommender
    headline: float
    prepared: Prepared
    context: Context
    clock: Clock


def execute(plan: Plan, around: Surroundings | None = None, prepared: Prepared | None = None) -> Entry:
    """Carry out one plan and leave `out/KEY/`; RecbenchError on anything a user can mend."""
    around = around or Surroundings()
    commit()
    plan = keyed(plan, around.out)
    folder = around.out / plan.key
    if plan.devices != around.team.size:
        raise RecbenchError(
            f"devices={plan.devices} needs as many processes, given {around.team.size}: use python -m recbench, which starts them"
        )
    try:
        return _answer(plan, around, folder, select(plan, around, prepared))
    except OSError as error:
        raise RecbenchError(
            f"cannot read or write under {folder}: {error.strerror or error}; free space or choose another folder with out=FOLDER"
        ) from error


def assist(plan: Plan, around: Surroundings) -> None:
    """What every other process of a team does: it learns and answers with the first, and writes nothing."""
    plan = keyed(plan, around.out)
    _learn_and_answer(plan, around.out / plan.key, select(plan, around))


def prepare(plan: Plan) -> Prepared:
    """Find the board's metrics, load the data and split them; RecbenchError where the model cannot use them."""
    cls = answering(plan)
    metrics = metrics_of(plan.board)
    source = registry.find("data", plan.data).load()
    dataset = load_prepared(source(source.Params.of(plan.data_params)))
    refuse_lacking(plan, cls, dataset)
    refuse_one_behavior(metrics, dataset.interactions.behaviors, f"data={plan.data}")
    return Prepared(dataset, split(dataset, plan.board), metrics)


def select(plan: Plan, around: Surroundings, prepared: Prepared | None = None) -> Selected:
    """Load, split, build, fit on the training part and judge on validation: all that tuning may see."""
    cls, folder, clock = answering(plan), around.out / plan.key, Clock()
    forget_peak_memory()
    if not around.team.number:
        write_atomically(folder / "plan.json", json.dumps(asdict(plan), indent=2, sort_keys=True) + "\n")
    prepared = prepared or prepare(plan)
    parts = prepared.parts
    headline = next(m for m in prepared.metrics if m.label == plan.board.headline)
    config = {"model": plan.model, "board": plan.board.name, "data": plan.data, "seed": plan.seed}
    for tracker in around.trackers:
        tracker.start(folder, config | plan.data_params | {"params": plan.model_params})
    clock.lap("data")
    if not around.resume and not around.team.number:  # or a later resume would go on from what another beginning left
        for stage in ("select", "refit"):
            shutil.rmtree(folder / stage, ignore_errors=True)

    def evaluate(model: Recommender) -> float:
        answers = answer(model, parts.valid, headline.k or LIST_LENGTH, around.team)
        mean = float(np.mean(headline(answers, parts.train), dtype=np.float64))
        return headline.merit(headline.of_mean(mean))

    def report(step: int, values: dict[str, float]) -> None:
        told = {name: headline.merit(value) if name == "headline" else value for name, value in values.items()}
        for tracker in around.trackers:
            tracker.log(step, told)

    context = Context(
        seed=plan.seed,
        threads=around.threads,
        device=plan.device,
        precision=plan.precision,
        compile=plan.compile,
        team=around.team,
        max_minutes=plan.max_minutes,
        progress=around.progress,
        resume=around.resume,
        folder=folder / "select",
        repeat=plan.board.repeat,
        board=plan.board,
        evaluate=evaluate,
        report=report,
        runs=around.out,
        vet=partial(refuse_seen, plan, prepared.dataset),
    )
    model = cls(cls.Params.of(plan.model_params))
    model.fit(parts.train, context)
    clock.lap("fit")
    reached = headline.merit(evaluate(model))
    clock.lap("select")
    return Selected(model, reached, prepared, context, clock)


def _answer(plan: Plan, around: Surroundings, folder: Path, chosen: Selected) -> Entry:
    """Refit where the board says so, answer the test holdout, measure, and write the entry last."""
    parts, clock = chosen.prepared.parts, chosen.clock
    model, answers, decided = _learn_and_answer(plan, folder, chosen)
    scores = measure(answers, parts.test, chosen.prepared.metrics, parts.train)
    artefacts = store(folder, answers, scores, parts.test)
    if isinstance(answers, Probabilities):
        for name, picture in pictures(answers, f"{plan.model} on {plan.board.name}").items():
            write_atomically(folder / f"{name}.png", picture.png)
    model.save(folder / "model")
    clock.lap("measure")
    entry = _entry(plan, around, chosen, model, scores, artefacts, decided)
    write_atomically(folder / "entry.json", entry.to_json())
    return entry


def _learn_and_answer(plan: Plan, folder: Path, chosen: Selected) -> tuple[Recommender, Answers, dict[str, Any]]:
    """The model that the board fits at last, its answers to the test, and what validation decided of these."""
    parts, metrics, clock = chosen.prepared.parts, chosen.prepared.metrics, chosen.clock
    decided = None
    if parts.valid.outcomes is not None:
        decided = decide(judge(chosen.model, parts.valid, chosen.context.team), plan.calibration)
        clock.lap("select")
    model = chosen.model if plan.board.fit_on == "train" else _refit(chosen, folder)
    clock.lap("fit")
    answers = answer(model, parts.test, max([m.k or 0 for m in metrics] + [LIST_LENGTH]), chosen.context.team)
    clock.lap("answer")
    if decided is None or not isinstance(answers, Probabilities):
        return model, answers, {}
    return model, decided(answers), decided.told()


def _refit(chosen: Selected, folder: Path) -> Recommender:
    """The chosen model anew on training part and validation together, for the number of epochs that validation chose."""
    model = type(chosen.model)(chosen.model.params)
    epochs = chosen.model.chosen_epochs
    if epochs == 0 and chosen.model.stopped_by == "max_minutes":
        raise RecbenchError(
            f"trainer.max_minutes={chosen.context.max_minutes:g} ended the selection within its first epoch: there is no "
            "number of epochs to fit again with; give it more minutes"
        )
    model.fit(
        chosen.prepared.parts.refit,
        replace(
            chosen.context,
            evaluate=None,
            report=nothing,
            epochs=epochs,
            rate_falls=chosen.model.rate_falls,
            chosen=chosen.model.chosen,
            folder=folder / "refit",
        ),
    )
    if model.stopped_by != "max_minutes":  # else it has seen less than was chosen, and the entry says so
        model.stopped_by, model.chosen_epochs = chosen.model.stopped_by, epochs
    model.chosen = chosen.model.chosen
    return model


def _entry(
    plan: Plan,
    around: Surroundings,
    chosen: Selected,
    model: Recommender,
    scores: list[Score],
    artefacts: dict[str, str],
    decided: dict[str, Any],
) -> Entry:
    return Entry(
        key=plan.key,
        board=plan.board.name,
        board_version=plan.board.version,
        protocol_hash=plan.board.protocol_hash,
        on_board=plan.on_board,
        task=plan.board.task,
        data=plan.data,
        data_checksum=chosen.prepared.dataset.checksum,
        split_fingerprint=chosen.prepared.parts.fingerprint,
        leakage=chosen.prepared.parts.leakage,
        cleaning=chosen.prepared.dataset.cleaning,
        model=plan.model,
        distribution=plan.distribution,
        version=plan.version,
        params=plan.model_params,
        seed=plan.seed,
        headline=plan.board.headline,
        scores={s.label: s.told() for s in scores},
        valid_headline=chosen.headline,
        n_queries=len(chosen.prepared.parts.test.queries),
        artefacts=artefacts,
        seconds=chosen.clock.laps,
        peak_memory_mb=peak_memory_mb(),
        cpu_seconds=round(chosen.clock.cpu["fit"] + sum(m.cpu_before for m in {chosen.model, model}), 1),
        n_parameters=model.n_parameters,
        stopped_by=model.stopped_by,
        epochs=model.chosen_epochs or 0,
        threads=around.threads,
        machine=description(),
        recbench_version=__version__,
        commit=commit(),
        command=around.command or shlex.join(sys.argv),
        date=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        tuning=list(around.tuning),
        chosen=dict(model.chosen) | decided,
        notes=dict(model.notes),
    )
