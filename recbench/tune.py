"""The study of one cell: Optuna asks, selection on validation answers, the winner meets the test. Only here is Optuna known."""

from __future__ import annotations

import itertools
import math
import os
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recbench.entry import Entry
from recbench.errors import RecbenchError, one_line
from recbench.model import nothing
from recbench.plan import Plan, answering, digest
from recbench.run import Surroundings, execute, prepare, select

if TYPE_CHECKING:
    from optuna import Study, Trial
    from optuna.samplers import BaseSampler
    from optuna.trial import FrozenTrial

Space = dict[str, dict[str, Any]]  # parameter -> choices, or low, high and log
STARTUP = 5  # trials before TPE models anything: Optuna's 10 would leave a board's budget of 15 all but random


def search(
    plan: Plan,
    around: Surroundings,
    space: Space,
    kind: str = "bayes",
    trials: int | None = None,
    seeds: Sequence[int] = (),
    say: Callable[[str], None] = nothing,
) -> Iterator[Entry]:
    """Spend the trials on validation, then run the winner once a seed: only then is the test holdout opened."""
    prepared = prepare(plan)
    quiet = replace(around, trackers=(), progress=False)
    params = answering(plan).Params
    default = asdict(params.of(plan.model_params))
    start = replace(plan, model_params=plan.model_params | {name: default[name] for name in space})

    def tried(values: dict[str, Any]) -> Plan:
        return replace(plan, model_params=params.of(values).as_dict())

    def judge(values: dict[str, Any]) -> float:
        return select(tried(values), quiet, prepared).headline

    lower = not next(m for m in prepared.metrics if m.label == plan.board.headline).higher_is_better
    best, history = spend(judge, start, around.out, space, kind, trials, say, lower)
    for seed in seeds or plan.board.seeds:
        yield execute(replace(tried(best), seed=seed), replace(around, tuning=history), prepared)


def spend(
    judge: Callable[[dict[str, Any]], float],
    plan: Plan,
    out: Path,
    space: Space,
    kind: str = "bayes",
    trials: int | None = None,
    say: Callable[[str], None] = nothing,
    lower_is_better: bool = False,
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The parameters that `judge` values best, and every trial; the study in `out` goes on where it was left."""
    points, budget = _known(plan, space, kind), trials or plan.board.budget_trials
    if kind == "grid" or not space:
        if len(points) > budget:
            raise RecbenchError(
                f"the grid of model={plan.model} has {len(points)} points, the sweep {budget} trials; "
                f"write sweep.trials={len(points)}, or fewer values"
            )
        budget = len(points)
    path = out / f"study-{digest([plan.key, space, kind])[:12]}.journal"  # a larger budget goes on with it
    say(f"recbench: model={plan.model} board={plan.board.name} sweep={kind}, {budget} trials -> {path}")
    try:
        study = _study(path, lower_is_better)
        _enqueue_lost(study)
        while (spent := len(_counted(study))) < budget:
            trial, tried = _ask(study, plan.seed, space, kind, points)
            outcome = _try(study, trial, lambda tried=tried: judge(plan.model_params | tried), plan.board.headline)
            say(f"trial {trial.number} ({spent + 1} of {budget}): {outcome}: {_short(tried)}")
    except OSError as error:
        raise RecbenchError(
            f"cannot read or write {path}: {error.strerror or error}; free space or choose another folder with out=FOLDER"
        ) from error
    history, best = _history(study, plan, space), _best(study)
    if best is None:
        why = history[-1]["error"] if history else "still running in another process"
        raise RecbenchError(f"no trial of model={plan.model} succeeded; the last one: {why}")
    say(f"recbench: trial {best.number} is the best; its parameters now meet the test holdout: {_short(best.params)}")
    return plan.model_params | best.params, history


def _ask(
    study: Study, seed: int, space: Space, kind: str, points: list[dict[str, Any]]
) -> tuple[Trial, dict[str, Any]]:
    """The next trial and its parameters: one that was lost, one known in advance, or the sampler's."""
    trials = study.get_trials(deepcopy=False)
    asked = sum("retry_of" not in t.user_attrs for t in trials)
    if asked < len(points) and all(t.state.name != "WAITING" for t in trials):
        study.enqueue_trial(points[asked], user_attrs={"only": list(points[asked])})
    study.sampler = _sampler(kind, int(digest([seed, asked])[:8], 16))
    trial = study.ask()
    trial.set_user_attr("worker", f"{socket.gethostname()}:{os.getpid()}")
    return trial, {name: _suggest(trial, name, space[name]) for name in trial.user_attrs.get("only", list(space))}


def _try(study: Study, trial: Trial, judge: Callable[[], float], headline: str) -> str:
    """Judge and tell; what went on, in words."""
    from optuna.trial import TrialState

    value, error, begun = math.nan, "", time.perf_counter()
    try:
        value = judge()
        error = "" if math.isfinite(value) else f"{headline} is {value}"
    except Exception as failure:
        error = str(failure) if isinstance(failure, RecbenchError) else one_line(failure)
    seconds = round(time.perf_counter() - begun, 3)
    trial.set_user_attr("seconds", seconds)
    if error:
        trial.set_user_attr("error", error)
        study.tell(trial, state=TrialState.FAIL)
        return f"failed: {error}"
    study.tell(trial, value)
    best = _best(study)
    return f"{headline} {value:.4f} on validation, best {best.value if best else value:.4f}, {seconds:.1f} s"


def _short(params: dict[str, Any]) -> str:
    return " ".join(f"{k}={v:.4g}" if isinstance(v, float) else f"{k}={v}" for k, v in params.items()) or "as it is"


def _study(path: Path, lower_is_better: bool = False) -> Study:
    import optuna
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock
    from optuna.study import StudyDirection

    direction = StudyDirection.MINIMIZE if lower_is_better else StudyDirection.MAXIMIZE
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        storage = JournalStorage(JournalFileBackend(str(path), lock_obj=JournalFileOpenLock(str(path))))
        return optuna.create_study(storage=storage, study_name="cell", direction=direction, load_if_exists=True)
    except (ValueError, KeyError) as error:
        raise RecbenchError(f"{path} is not a study ({one_line(error)}); delete it to search anew") from error


def _sampler(kind: str, seed: int) -> BaseSampler:
    """A fresh one for each ask: seeded once, a study that goes on after a kill would repeat its points."""
    from optuna.samplers import RandomSampler, TPESampler

    return TPESampler(seed=seed, n_startup_trials=STARTUP) if kind == "bayes" else RandomSampler(seed=seed)


def _suggest(trial: Trial, name: str, axis: dict[str, Any]) -> Any:
    if "choices" not in axis:
        suggest = trial.suggest_int if isinstance(axis["low"], int) else trial.suggest_float
        return suggest(name, axis["low"], axis["high"], log=axis["log"])
    values = axis["choices"]
    if len(values) > 1 and all(type(v) is int for v in values):  # at equal steps they have an order to learn from
        step = values[1] - values[0]
        if step > 0 and values == list(range(values[0], values[-1] + 1, step)):
            return trial.suggest_int(name, values[0], values[-1], step=step)
    return trial.suggest_categorical(name, values)


def _known(plan: Plan, space: Space, kind: str) -> list[dict[str, Any]]:
    """The points known in advance: the defaults, and behind them the rest of a grid.

    A default that the user's range leaves out moves to the nearest point; a None that no range can hold stays None.
    """
    start = {}
    for name, axis in space.items():
        default = plan.model_params[name]
        if "choices" in axis:
            start[name] = min(axis["choices"], key=lambda value, default=default: _distance(value, default))
        elif default is not None:
            start[name] = min(max(default, axis["low"]), axis["high"])
    if kind != "grid":
        return [start]
    grid = [dict(zip(space, p, strict=True)) for p in itertools.product(*(axis["choices"] for axis in space.values()))]
    return sorted(grid, key=lambda point: point != start)


def _distance(value: Any, default: Any) -> float:
    if value == default:
        return 0.0
    return abs(value - default) if all(isinstance(v, int | float) for v in (value, default)) else math.inf


def _enqueue_lost(study: Study) -> None:
    """What a dead worker left running is asked again, with the same parameters."""
    from optuna.trial import TrialState

    for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        if not _alive(trial.user_attrs.get("worker", "")):
            _again(study, trial)


def _again(study: Study, trial: FrozenTrial) -> None:
    from optuna.trial import TrialState

    if all(t.user_attrs.get("retry_of") != trial.number for t in study.get_trials(deepcopy=False)):
        only = {name: value for name, value in trial.user_attrs.items() if name == "only"}
        study.enqueue_trial(trial.params, user_attrs=only | {"retry_of": trial.number})
    study.tell(trial.number, state=TrialState.FAIL)


def _alive(worker: str) -> bool:
    """Whether another process may still be at it; one on another host is taken to be."""
    host, _, pid = worker.rpartition(":")
    if host != socket.gethostname():
        return bool(host)
    if int(pid) == os.getpid():
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def _counted(study: Study) -> list[FrozenTrial]:
    """Every trial begun, each once: one that was lost counts as its retry."""
    trials = study.get_trials(deepcopy=False)
    lost = {t.user_attrs.get("retry_of") for t in trials}
    return [t for t in trials if t.state.name != "WAITING" and t.number not in lost]


def _best(study: Study) -> FrozenTrial | None:
    """The trial with the best headline on validation, the earliest of equals."""
    sign = -1 if study.direction.name == "MINIMIZE" else 1
    done = [t for t in study.get_trials(deepcopy=False) if t.value is not None]
    return max(done, key=lambda t: (sign * (t.value or 0.0), -t.number), default=None)


def _history(study: Study, plan: Plan, space: Space) -> list[dict[str, Any]]:
    """The finished trials as the entry holds them."""
    return [
        {
            "trial": t.number,
            "params": {name: t.params.get(name, plan.model_params[name]) for name in space},
            "valid_headline": t.value,
            "state": t.state.name.lower(),
            "seconds": t.user_attrs["seconds"],
            "error": t.user_attrs.get("error", ""),
        }
        for t in _counted(study)
        if t.state.is_finished()
    ]
