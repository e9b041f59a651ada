"""The contract of a recommender.

Letters: Q queries, I items, B behaviours.
"""

from __future__ import annotations

import io
import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from recbench import registry
from recbench.data import Queries
from recbench.entry import run_folder, write_atomically
from recbench.errors import RecbenchError, one_line
from recbench.params import Params
from recbench.topk import Recommendations, mask, top_k

if TYPE_CHECKING:
    from recbench.dataset import Dataset
    from recbench.plan import Board


@dataclass(frozen=True)
class Traits:
    """What a model answers and needs: decides which checks apply and which errors come before any work."""

    tasks: tuple[str, ...] = ("ranking",)
    sequential: bool = False
    trained: bool = False
    stochastic: bool = False
    needs_clock: bool = False
    needs_text: bool = False
    needs_attributes: bool = False
    needs_knowledge: bool = False
    needs_social: bool = False


def nothing(*_: Any, **__: Any) -> None:
    """Ignores what it is told: the default listener."""


def alone(value: Any) -> list[Any]:
    """What all processes of a team hold, where there is one."""
    return [value]


@dataclass(frozen=True)
class Team:
    """The processes that carry out a run together: this one's number, how many they are, and `gather`, which gives each
    of them the list of what all hold, in the order of their numbers. All of them call it, in the same places.
    """

    number: int = 0
    size: int = 1
    gather: Callable[[Any], list[Any]] = alone


ALONE = Team()


@dataclass
class Context:
    """What `fit` may use beside the data.

    `evaluate(model)` is the board's headline on the validation holdout, a number, never the truth; None where there is
    nothing to select on (`epochs` then says how long to train, `rate_falls` after which epochs the learning rate falls,
    `chosen` what the model wrote down of its other decisions when it was selected).
    `report(step, values)` logs, and may end a trial by an exception that `fit` lets pass. `folder`: where checkpoints go.
    `repeat`: new or any, as on the board. `board`: the whole protocol, for who cuts the training part by it once more; None
    where there is none. `runs`: where finished runs lie. `vet(folder, selected, choosing)` refuses a
    run that has seen what the board holds out.
    """

    seed: int = 0
    threads: int = 1
    device: str = "cpu"
    precision: str = "32-true"
    compile: bool = False
    team: Team = ALONE
    max_minutes: float | None = None
    progress: bool = False
    resume: bool = False
    folder: Path | None = None
    repeat: str = "any"
    board: Board | None = None
    epochs: int | None = None
    rate_falls: tuple[int, ...] = ()
    chosen: Mapping[str, Any] = field(default_factory=dict)
    evaluate: Callable[[Recommender], float] | None = None
    report: Callable[..., None] = nothing
    runs: Path = Path("runs")
    vet: Callable[[Path, bool, bool], None] = nothing

    def model(self, name: str = "", *, run: str = "", **params: Any) -> Recommender:
        """Another plugin's model, not yet fitted, for blends and rerankers: plugins never import each other.

        With `run`, the key or folder of a finished run, and nothing else: the model that it left.
        """
        if run:
            return load_run(self.past_run(run))
        plugin = registry.find("model", name)
        model = plugin.load()(plugin.load().Params(**params))
        model.plugin = f"{plugin.distribution}/{plugin.name}"
        return model

    def past_run(self, run: str, selected: bool = False) -> Path:
        """The folder of a finished run, by its key or path; RecbenchError where it has seen what is held out here.

        `selected`: no more of it is used than its selection left, which has learned from the run's training part alone.
        """
        folder = run_folder(run, self.runs)
        self.vet(folder, selected, self.evaluate is not None)
        return folder


class Recommender(ABC):
    """Base of a model plugin. A subclass names its `Params`, its `traits` and the arrays that `fit` leaves (`fitted`).

    `records`: by name, the class of each dataclass of arrays that it leaves beside them.

    A model trained in epochs sets `n_parameters`, `chosen_epochs` and `stopped_by` when it fits; the entry holds them.
    What else it decides by `context.evaluate`, it writes into `chosen`, ready for JSON: the entry tells it, and the refit
    is handed it as `context.chosen`. `notes`: what the entry tells beside scores, ready for JSON, as the language model that
    was read with, its licence and tokens, or the rate of answers that were no items. `plugin`: DISTRIBUTION/NAME, of a model made or loaded by name.
    """

    Params: ClassVar[type[Params]] = Params
    traits: ClassVar[Traits] = Traits()
    small: ClassVar[dict[str, Any]] = {}
    fitted: ClassVar[tuple[str, ...]] = ()
    records: ClassVar[Mapping[str, type]] = {}
    n_parameters: int = 0
    chosen_epochs: int | None = None
    stopped_by: str = "closed form"
    chosen: Mapping[str, Any] = {}
    notes: Mapping[str, Any] = {}
    plugin: str = ""
    rate_falls: tuple[int, ...] = ()  # epochs after which the learning rate fell, for a refit to repeat
    cpu_before: float = 0.0  # CPU seconds of the interrupted training that `fit` went on from

    def __init__(self, params: Params | None = None) -> None:
        self.params: Any = params or self.Params()

    @classmethod
    def needs(cls, params: Any) -> Traits:
        """The traits as these parameters leave them: some may take the place of what the data else must hold."""
        return cls.traits

    @abstractmethod
    def fit(self, train: Dataset, context: Context) -> None:
        """Learn from the training part."""

    def answering(self) -> AbstractContextManager:
        """Entered around many calls of `score` between which nothing is learned, for what need be computed only once."""
        return nullcontext()

    def score(self, queries: Queries) -> NDArray:
        """(Q, I) float32, higher is better; masking is not the model's business."""
        raise NotImplementedError(f"{type(self).__name__} answers no ranking queries")

    def recommend(self, queries: Queries, k: int) -> Recommendations:
        """The k best allowed items of each query; generative models override it."""
        return top_k(mask(self.score(queries), queries), k)

    def predict(self, queries: Queries) -> NDArray:
        """(Q, B) probabilities for the behavior task, (Q, 1) values for the rating task."""
        raise NotImplementedError(f"{type(self).__name__} answers no behavior or rating queries")

    def save(self, folder: Path) -> None:
        """Parameters as JSON, the `fitted` arrays (numpy or CSR) and the `records` as npz, never pickle."""
        write_atomically(folder / "params.json", json.dumps(self.params.as_dict(), indent=2, sort_keys=True))
        self.write_arrays(folder)

    def write_arrays(self, folder: Path) -> None:
        """The `fitted` arrays and the `records`."""
        arrays: dict[str, NDArray] = {}
        for name in self.records:
            record = getattr(self, name)
            arrays |= {f"{name}.{f.name}": np.asarray(getattr(record, f.name)) for f in fields(record)}
        for name in self.fitted:
            value = getattr(self, name)
            if hasattr(value, "indptr"):
                parts = {"data": value.data, "indices": value.indices, "indptr": value.indptr, "shape": value.shape}
                arrays |= {f"{name}.{part}": np.asarray(v) for part, v in parts.items()}
            else:
                arrays[name] = np.asarray(value)
        buffer = io.BytesIO()
        np.savez(buffer, allow_pickle=False, **arrays)
        write_atomically(folder / "arrays.npz", buffer.getbuffer())

    @classmethod
    def load(cls, folder: Path) -> Recommender:
        """The model that `save` left in `folder`."""
        model = cls(cls.Params.of(json.loads((folder / "params.json").read_text())))
        model.read_arrays(folder)
        return model

    def read_arrays(self, folder: Path) -> None:
        """What `write_arrays` left."""
        with np.load(folder / "arrays.npz", allow_pickle=False) as arrays:
            for name in self.fitted:
                if f"{name}.indptr" in arrays:
                    from scipy.sparse import csr_matrix

                    parts = tuple(arrays[f"{name}.{part}"] for part in ("data", "indices", "indptr"))
                    setattr(self, name, csr_matrix(parts, shape=tuple(arrays[f"{name}.shape"])))
                else:
                    setattr(self, name, arrays[name])
            for name, record in self.records.items():
                setattr(self, name, record(**{f.name: arrays[f"{name}.{f.name}"] for f in fields(record)}))


def load_saved(plugin: str, folder: Path) -> Recommender:
    """The fitted model of the plugin NAME or DISTRIBUTION/NAME that `save` left in `folder`."""
    model = registry.find("model", plugin).load().load(folder)
    model.plugin = plugin
    return model


def load_run(folder: Path) -> Recommender:
    """The fitted model of a finished run, from the folder it left; RecbenchError where it cannot be had."""
    try:
        plan = json.loads((folder / "plan.json").read_text())
        name = f"{plan['distribution']}/{plan['model']}"
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RecbenchError(f"{folder} is not the folder of a run ({one_line(error)}); give runs/KEY") from error
    registry.find("model", name).load()  # its errors are not those of the files
    try:
        return load_saved(name, folder / "model")
    except (OSError, ValueError, KeyError) as error:
        raise RecbenchError(f"{folder} holds no finished model ({one_line(error)}); run it again") from error
