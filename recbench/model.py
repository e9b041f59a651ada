"""The contract of a recommender, and top-k done once for all of them.

Letters: Q queries, K list length, I items, B behaviours or columns of a block, W blocks.
"""

from __future__ import annotations

import io
import json
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from recbench import registry
from recbench.data import Queries
from recbench.entry import write_atomically
from recbench.errors import RecbenchError, one_line
from recbench.params import Params

if TYPE_CHECKING:
    from recbench.dataset import Dataset

BLOCK = 64  # columns that share a maximum when a row's k-th largest score is sought


@dataclass(frozen=True)
class Traits:
    """What a model answers and needs: decides which checks apply and which errors come before any work."""

    tasks: tuple[str, ...] = ("ranking",)
    sequential: bool = False
    trained: bool = False
    stochastic: bool = False
    needs_clock: bool = False
    needs_text: bool = False
    needs_knowledge: bool = False
    needs_social: bool = False


@dataclass(frozen=True, eq=False)
class Recommendations:
    """`items_QK`: int32, best first, -1 behind the end of a short list; `scores_QK`: float32, never rising."""

    items_QK: NDArray
    scores_QK: NDArray


def nothing(*_: Any, **__: Any) -> None:
    """Ignores what it is told: the default listener."""


@dataclass
class Context:
    """What `fit` may use beside the data.

    `evaluate(model)` is the board's headline on the validation holdout, a number, never the truth; None where there is
    nothing to select on (`epochs` then says how long to train). `report(step, values)` logs, and may end a trial by an
    exception that `fit` lets pass. `folder`: where checkpoints go. `repeat`: new or any, as on the board.
    """

    seed: int = 0
    threads: int = 1
    device: str = "cpu"
    precision: str = "32-true"
    max_minutes: float | None = None
    progress: bool = False
    resume: bool = False
    folder: Path | None = None
    repeat: str = "any"
    epochs: int | None = None
    evaluate: Callable[[Recommender], float] | None = None
    report: Callable[..., None] = nothing

    def model(self, name: str, **params: Any) -> Recommender:
        """Another plugin's model, not yet fitted, for blends and rerankers: plugins never import each other."""
        cls = registry.find("model", name).load()
        return cls(cls.Params(**params))


class Recommender(ABC):
    """Base of a model plugin. A subclass names its `Params`, its `traits` and the arrays that `fit` leaves (`fitted`).

    A model trained in epochs sets `n_parameters`, `chosen_epochs` and `stopped_by` when it fits; the entry holds them.
    """

    Params: ClassVar[type[Params]] = Params
    traits: ClassVar[Traits] = Traits()
    small: ClassVar[dict[str, Any]] = {}
    fitted: ClassVar[tuple[str, ...]] = ()
    n_parameters: int = 0
    chosen_epochs: int | None = None
    stopped_by: str = "closed form"

    def __init__(self, params: Params | None = None) -> None:
        self.params: Any = params or self.Params()

    @abstractmethod
    def fit(self, train: Dataset, context: Context) -> None:
        """Learn from the training part."""

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
        """Parameters as JSON and the `fitted` arrays (numpy or CSR) as npz, never pickle."""
        arrays: dict[str, NDArray] = {}
        for name in self.fitted:
            value = getattr(self, name)
            if hasattr(value, "indptr"):
                parts = {"data": value.data, "indices": value.indices, "indptr": value.indptr, "shape": value.shape}
                arrays |= {f"{name}.{part}": np.asarray(v) for part, v in parts.items()}
            else:
                arrays[name] = np.asarray(value)
        buffer = io.BytesIO()
        np.savez(buffer, allow_pickle=False, **arrays)
        write_atomically(folder / "params.json", json.dumps(self.params.as_dict(), indent=2, sort_keys=True))
        write_atomically(folder / "arrays.npz", buffer.getbuffer())

    @classmethod
    def load(cls, folder: Path) -> Recommender:
        """The model that `save` left in `folder`."""
        model = cls(cls.Params(**json.loads((folder / "params.json").read_text())))
        with np.load(folder / "arrays.npz", allow_pickle=False) as arrays:
            for name in cls.fitted:
                if f"{name}.indptr" in arrays:
                    from scipy.sparse import csr_matrix

                    parts = tuple(arrays[f"{name}.{part}"] for part in ("data", "indices", "indptr"))
                    setattr(model, name, csr_matrix(parts, shape=tuple(arrays[f"{name}.shape"])))
                else:
                    setattr(model, name, arrays[name])
        return model


def load_run(folder: Path) -> Recommender:
    """The fitted model of a finished run, from the folder it left; RecbenchError where it cannot be had."""
    try:
        plan = json.loads((folder / "plan.json").read_text())
        name = f"{plan['distribution']}/{plan['model']}"
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RecbenchError(f"{folder} is not the folder of a run ({one_line(error)}); give runs/KEY") from error
    cls = registry.find("model", name).load()
    try:
        return cls.load(folder / "model")
    except (OSError, ValueError, KeyError) as error:
        raise RecbenchError(f"{folder} holds no finished model ({one_line(error)}); run it again") from error


def mask(scores_QI: NDArray, queries: Queries) -> NDArray:
    """Scores as float32 with -inf at items that may not be recommended; RecbenchError on NaN, infinity or shape."""
    scores_QI = np.array(scores_QI, dtype=np.float32)
    if scores_QI.shape != (len(queries), queries.n_items):
        raise RecbenchError(f"scores must have shape {(len(queries), queries.n_items)}; given {scores_QI.shape}")
    if not np.isfinite(scores_QI).all():
        raise RecbenchError("scores hold NaN or infinity")
    if not queries.candidates.all():
        scores_QI[:, ~queries.candidates] = -np.inf
    if not queries.seen_allowed:
        scores_QI[queries.items.flat()] = -np.inf
    return scores_QI


def top_k(scores_QI: NDArray, k: int, seed: int | np.random.Generator = 0) -> Recommendations:
    """The k largest scores of each row; ties in a random order drawn by seed; -inf never enters a list."""
    n_queries, n_items = scores_QI.shape
    rng = np.random.default_rng(seed)
    take = min(k, n_items)
    threshold_Q1 = _kth_largest(scores_QI, take)
    above_QI = scores_QI > threshold_Q1
    tied_QI = (scores_QI == threshold_Q1) & (threshold_Q1 > -np.inf)
    room_Q = take - above_QI.sum(1)
    for q in np.flatnonzero(tied_QI.sum(1) > room_Q):
        kept = rng.choice(np.flatnonzero(tied_QI[q]), room_Q[q], replace=False)
        tied_QI[q] = False
        tied_QI[q, kept] = True
    # Flat, because nonzero of two dimensions takes six times as long.
    row, item = np.divmod(np.flatnonzero((above_QI | tied_QI).ravel()), n_items)
    order = np.lexsort((rng.random(len(row)), -scores_QI[row, item], row))
    row, item = row[order], item[order]
    position = np.arange(len(row)) - np.searchsorted(row, row)
    items_QK = np.full((n_queries, k), -1, np.int32)
    scores_QK = np.full((n_queries, k), -np.inf, np.float32)
    items_QK[row, position], scores_QK[row, position] = item, scores_QI[row, item]
    return Recommendations(items_QK, scores_QK)


def _kth_largest(scores_QI: NDArray, k: int) -> NDArray:
    """(Q, 1) the k-th largest score of each row.

    It stands in one of the k blocks of columns whose largest scores are the largest, so that a row need not be
    partitioned whole: ten times quicker where many scores are equal.
    """
    n_queries, n_items = scores_QI.shape
    width = n_items // BLOCK
    if width > 2 * k:
        blocks_QBW = scores_QI[:, : BLOCK * width].reshape(n_queries, BLOCK, width)  # block w: columns w, w + W, ...
        best_QK = np.argpartition(blocks_QBW.max(axis=1), width - k, axis=1)[:, width - k :]
        inside_QBK = np.take_along_axis(blocks_QBW, best_QK[:, None, :], axis=2)
        scores_QI = np.concatenate([inside_QBK.reshape(n_queries, -1), scores_QI[:, BLOCK * width :]], axis=1)
    at = scores_QI.shape[1] - k
    return np.partition(scores_QI, at, axis=1)[:, at, None]
