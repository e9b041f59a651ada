"""A board is the protocol that entries share; a plan is everything decided before a run."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any, get_origin, get_type_hints

from recbench import registry
from recbench.contradictions import wrong_draws, wrong_questions
from recbench.errors import RecbenchError, nearest
from recbench.params import plain

if TYPE_CHECKING:
    from recbench.dataset import Dataset
    from recbench.model import Recommender, Traits

CHOICES = {
    "task": ("ranking", "behavior", "rating"),
    "split": ("global_time", "leave_last_out", "random_pairs", "random_users", "cold_items", "given"),
    "ask": ("window_start", "each_event", "last"),
    "target": ("first", "all_in_window", "next_k"),
    "repeat": ("new", "any"),
    "fit_on": ("train", "train+valid"),
    "candidates": ("known", "all", "held_out"),
    "negatives": ("none", "uniform"),
}
FILTERS = ("min_user_events", "min_item_events")
KINDS = {
    str: "text",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    tuple: "a list",
    dict: "name: value pairs",
}


@dataclass(frozen=True)
class Board:
    """The versioned protocol. Windows are in days. `behaviors` are the targets (empty: all); every event is history.

    `candidates`: known (an event before the cut; targets outside are dropped and counted in the leakage report), all, or
    held_out: the items of the part asked about.
    `filters`: `min_user_events`, `min_item_events`, fitted on the training part.
    `unmet_items`: the share of the items, drawn by lot, whose training events are taken out, so that some answers are items
    that nobody has met.
    `ordered`: the `next_k` items are asked for in the order in which they come, each with its behaviour.
    Task behavior (`recbench.questions`): `exposures` are the behaviours at which a question is put, `horizon_days` how long
    its answer is waited for, `negatives` the rule by which pairs without an exposure are drawn, `n_negatives` for each that
    bears the behaviour.
    `test_questions`, `valid_questions`: the most that are asked of each holdout, drawn by lot, for models that take long to
    answer; 0: all.
    """

    name: str
    data: str
    metrics: tuple[str, ...]
    headline: str
    version: int = 1
    data_params: dict[str, Any] = field(default_factory=dict)
    task: str = "ranking"
    split: str = "global_time"
    test_window_days: float = 0.0
    valid_window_days: float = 0.0
    ask: str = "window_start"
    target: str = "all_in_window"
    next_k: int = 1
    behaviors: tuple[str, ...] = ()
    repeat: str = "new"
    fit_on: str = "train"
    candidates: str = "known"
    seeds: tuple[int, ...] = (1, 2, 3)
    budget_trials: int = 15
    filters: dict[str, int] = field(default_factory=dict)
    meaning: str = ""
    ordered: bool = field(default=False, metadata={"formerly": False})
    exposures: tuple[str, ...] = field(default=(), metadata={"formerly": ()})
    horizon_days: float = field(default=0.0, metadata={"formerly": 0.0})
    negatives: str = field(default="none", metadata={"formerly": "none"})
    n_negatives: int = field(default=0, metadata={"formerly": 0})
    unmet_items: float = field(default=0.0, metadata={"formerly": 0.0})
    test_questions: int = field(default=0, metadata={"formerly": 0})
    valid_questions: int = field(default=0, metadata={"formerly": 0})

    def __post_init__(self) -> None:
        for name, hint in _hints().items():
            given, kind = getattr(self, name), get_origin(hint) or hint
            legal = (float, int) if kind is float else kind
            if not isinstance(given, legal) or (isinstance(given, bool) and kind is not bool):
                raise RecbenchError(f"board {self.name}: {name} must be {KINDS[kind]}; given {given!r}")
        for name, words in CHOICES.items():
            given = getattr(self, name)
            if given not in words:
                allowed = ", ".join(words)
                raise RecbenchError(
                    f"board {self.name}: {name} must be one of {allowed}; given {given!r}{nearest(str(given), words)}"
                )
        if self.headline not in self.metrics:
            raise RecbenchError(
                f"board {self.name}: headline {self.headline} is not among its metrics {', '.join(self.metrics)}"
            )
        windows = (self.test_window_days, self.valid_window_days)
        if self.split == "global_time" and not all(days > 0 for days in windows):
            raise RecbenchError(
                f"board {self.name}: split global_time needs test_window_days and valid_window_days above 0; given {windows}"
            )
        for name in self.filters:
            if name not in FILTERS:
                raise RecbenchError(
                    f"board {self.name}: filters may be {', '.join(FILTERS)}; given {name!r}{nearest(str(name), FILTERS)}"
                )
        if self.split == "cold_items" and (self.candidates == "known" or "min_item_events" in self.filters):
            raise RecbenchError(
                f"board {self.name}: split cold_items asks for items that training never met: set candidates all or held_out, "
                f"and no filter min_item_events; given {self.candidates}, {self.filters}"
            )
        if not 0 <= self.unmet_items < 1 or (self.unmet_items and self.candidates == "known"):
            raise RecbenchError(
                f"board {self.name}: unmet_items must be at least 0 and below 1, and needs candidates all or held_out; given "
                f"{self.unmet_items:g} with candidates {self.candidates}"
            )
        if self.task == "rating" and self.target != "all_in_window":
            raise RecbenchError(
                f"board {self.name}: task rating asks for the value of every target: set target all_in_window; given {self.target}"
            )
        self._check_behavior()
        self._check_counts()

    def _check_counts(self) -> None:
        """RecbenchError where something is asked for too few times, or in an order that there is not."""
        for name in ("test_questions", "valid_questions"):
            if getattr(self, name) < 0:
                raise RecbenchError(
                    f"board {self.name}: {name} must be at least 0, which is all; given {getattr(self, name)}"
                )
        if self.next_k < 1:
            raise RecbenchError(f"board {self.name}: next_k must be at least 1; given {self.next_k}")
        if self.ordered and (self.target != "next_k" or self.next_k < 2 or self.split == "random_pairs"):
            raise RecbenchError(
                f"board {self.name}: ordered needs target next_k, next_k of at least 2 and another split than "
                f"random_pairs; given {self.target}, {self.next_k}, {self.split}"
            )

    def _check_behavior(self) -> None:
        """RecbenchError where the fields of task behavior contradict each other."""
        if self.task != "behavior":
            if self.exposures or self.horizon_days or self.negatives != "none" or self.n_negatives:
                raise RecbenchError(
                    f"board {self.name}: exposures, horizon_days, negatives and n_negatives are for task behavior; "
                    f"given task {self.task}"
                )
            return
        for is_wrong, why in (*wrong_questions(self), *wrong_draws(self)):
            if is_wrong:
                raise RecbenchError(f"board {self.name}: task behavior: {why}")

    @property
    def protocol_hash(self) -> str:
        """Equal where every field that can change a number is equal."""
        return digest({k: v for k, v in plain(self).items() if k != "meaning"})


@cache
def _hints() -> dict[str, Any]:
    return get_type_hints(Board)


@dataclass(frozen=True)
class Plan:
    """One run: board, data, model, parameters, seed and what the trainer may change of the result."""

    board: Board
    on_board: bool
    data: str
    data_params: dict[str, Any]
    model: str
    model_params: dict[str, Any]
    distribution: str
    version: str
    seed: int
    precision: str = "32-true"
    device: str = "cpu"
    max_minutes: float | None = None
    devices: int = field(default=1, metadata={"formerly": 1})
    compile: bool = field(default=False, metadata={"formerly": False})
    calibration: str = field(default="none", metadata={"formerly": "none"})

    @property
    def key(self) -> str:
        """Hash of all of it, 12 hex digits: equal plan, equal folder."""
        return digest(plain(self) | {"board": plain(self.board)})[:12]


def digest(value: Any) -> str:
    """SHA-256 of a value's JSON with sorted keys."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def answering(plan: Plan) -> type[Recommender]:
    """The model's class; RecbenchError names those that can where it cannot answer the board's task or data."""
    cls = registry.find("model", f"{plan.distribution}/{plan.model}").load()
    task = plan.board.task
    if task not in cls.traits.tasks:
        able = []
        for plugin in registry.plugins("model"):
            try:
                able += [plugin.name] if task in plugin.load().traits.tasks else []
            except RecbenchError:
                continue
        raise RecbenchError(
            f"model={plan.model} cannot answer the task {task} of board {plan.board.name}; these can: {', '.join(able) or 'none'}"
        )
    if plan.devices > 1 and not cls.traits.trained:
        raise RecbenchError(
            f"trainer.devices={plan.devices} shares out the batches of a training, and model={plan.model} has none; leave it out"
        )
    if plan.calibration != "none" and task != "behavior":
        raise RecbenchError(
            f"calibration={plan.calibration} bends probabilities, and board {plan.board.name} asks for none (task {task}); "
            "leave it out"
        )
    _refuse_clock(plan, cls, registry.find("data", plan.data).load().info.clock)
    return cls


def _refuse_clock(plan: Plan, cls: type[Recommender], clock: str) -> None:
    if cls.traits.needs_clock and clock in ("order", "none"):
        raise RecbenchError(f"model={plan.model} needs real timestamps; data={plan.data} has {clock} only")


def refuse_lacking(plan: Plan, cls: type[Recommender], dataset: Dataset) -> None:
    """RecbenchError where the model needs something that the data do not hold."""
    _refuse_clock(plan, cls, dataset.info.clock)  # of a user's own file it is known only now
    if lacks := lacking(cls.needs(cls.Params.of(plan.model_params)), dataset):
        raise RecbenchError(f"model={plan.model} needs {' and '.join(lacks)}; data={plan.data} has none")


def lacking(traits: Traits, dataset: Dataset) -> list[str]:
    """What a model of these traits needs beside a clock and the data do not hold, in words."""
    needs = (
        (traits.needs_text, dataset.items is not None and "text" in dataset.items, "item text"),
        (traits.needs_attributes, bool(dataset.attributes), "item attributes such as category, brand or price"),
        (traits.needs_knowledge, dataset.knowledge is not None, "a knowledge graph"),
        (traits.needs_social, dataset.social is not None, "a social graph"),
    )
    return [what for needed, held, what in needs if needed and not held]
