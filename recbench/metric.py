"""What a metric is, and the one form in which ranked answers reach it.

Letters: Q queries, K list length.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray

from recbench import registry
from recbench.errors import RecbenchError

if TYPE_CHECKING:
    from recbench.dataset import Dataset


@dataclass(frozen=True, eq=False)
class RankedLists:
    """Ranked answers with their ties.

    `items_QK`: int32, -1 where a list is shorter than K. `scores_QK`: float32, never rising.
    Items with one score form a tie group; every position carries its group: `start_QK` the group's first position,
    `size_QK` its items and `relevant_QK` its right answers, both counted over the catalogue, also beyond K. Inside a
    group any order is equally likely, so position p is right with probability `relevant_QK / size_QK`.
    `n_relevant_Q`: right answers of each query.
    """

    items_QK: NDArray
    scores_QK: NDArray
    start_QK: NDArray
    size_QK: NDArray
    relevant_QK: NDArray
    n_relevant_Q: NDArray

    @property
    def hit_QK(self) -> NDArray:
        """(Q, K) float64: the probability that the item at each position is a right answer."""
        return self.relevant_QK / self.size_QK


class Metric(ABC):
    """Base of a metric plugin; on a board it is written `name` or `name@k`.

    `definition` pins gain, discount, ideal and the users counted; it is stored with every score.
    """

    task: ClassVar[str] = "ranking"
    higher_is_better: ClassVar[bool] = True
    needs_k: ClassVar[bool] = True
    definition: ClassVar[str]

    def __init__(self, name: str, k: int | None = None) -> None:
        self.name, self.k = name, k

    @property
    def label(self) -> str:
        """The written form: "ndcg@10"."""
        return self.name if self.k is None else f"{self.name}@{self.k}"

    @abstractmethod
    def __call__(self, answers: RankedLists, train: Dataset) -> NDArray:
        """(Q,) one value a query, averaged by the caller; or (1,) for a property of all lists together."""


def metric(label: str, task: str) -> Metric:
    """The metric written `name@k` on a board of `task`; RecbenchError where it is unknown or k is wrong."""
    name, at, k = label.partition("@")
    cls = registry.find("metric", f"{task}.{name}").load()
    if cls.needs_k != bool(at):
        raise RecbenchError(f"metric '{label}': write {name + '@10' if cls.needs_k else name}")
    if at and (not k.isdigit() or int(k) < 1):
        raise RecbenchError(f"metric '{label}': k must be a whole number from 1; given '{k}'")
    return cls(name, int(k) if at else None)


def mean(values: NDArray) -> float:
    """The plain mean in float64."""
    return float(np.mean(values, dtype=np.float64))
