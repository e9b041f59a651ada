"""What a metric is, and the forms in which answers reach it: ranked lists, predicted values, or probabilities.

Letters: Q queries, K list length, N entries above zero, S steps that an ordered board asks for, B behaviours asked about.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from recbench import registry
from recbench.errors import RecbenchError, nearest

if TYPE_CHECKING:
    from recbench.dataset import Dataset
    from recbench.plan import Board


@dataclass(frozen=True, eq=False)
class RankedLists:
    """Ranked answers with their ties.

    `items_QK`: int32, -1 where a list is shorter than K. `scores_QK`: float32, never rising.
    Items with one score form a tie group; every position carries its group: `start_QK` the group's first position,
    `size_QK` its items and `relevant_QK` its right answers, both counted over the catalogue, also beyond K. Inside a
    group any order is equally likely, so position p is right with probability `relevant_QK / size_QK`.
    `n_relevant_Q`: right answers of each query.

    On a board that asks for an order, and on no other: `truth_QS`, int32, the right item of each step, and
    `truth_behaviors_QS`, int8, its behaviour, both -1 behind the last step there is; `behaviors_QK`, int8, the behaviour
    told for each position, -1 where unknown or empty. Tied items then stand in the order in which they were drawn.
    `unmet_Q`, on a board that takes items out of training: whether training met none of a query's right answers.
    """

    items_QK: NDArray
    scores_QK: NDArray
    start_QK: NDArray
    size_QK: NDArray
    relevant_QK: NDArray
    n_relevant_Q: NDArray
    behaviors_QK: NDArray | None = None
    truth_QS: NDArray | None = None
    truth_behaviors_QS: NDArray | None = None
    unmet_Q: NDArray | None = None

    @property
    def hit_QK(self) -> NDArray:
        """(Q, K) float64: the probability that the item at each position is a right answer."""
        return self.relevant_QK / self.size_QK

    @cached_property
    def hits(self) -> tuple[NDArray, NDArray, NDArray]:
        """(N,) the entries of `hit_QK` above zero, row after row: row, position, probability. Most are zero."""
        entry_N = np.flatnonzero(self.relevant_QK)
        row_N, position_N = np.divmod(entry_N, max(1, self.relevant_QK.shape[1]))
        return row_N, position_N, self.relevant_QK[row_N, position_N] / self.size_QK[row_N, position_N]


@dataclass(frozen=True, eq=False)
class Ratings:
    """Predicted and true values of a rating board: (Q,) float64 each, and `user_Q`, whose they are."""

    predicted_Q: NDArray
    true_Q: NDArray
    user_Q: NDArray


@dataclass(frozen=True, eq=False)
class Probabilities:
    """Predicted probabilities, (Q, B) float64, and what came of them, (Q, B) bool, of the behaviours asked about.

    `user_Q`: whose question it is. `rate_Q`: with which chance it came to be asked, below 1 for a drawn one: `predicted_QB`
    speaks of the questions asked, `corrected_QB` of all that these users could have been asked. `threshold_B`: from which
    probability on a behaviour is said to happen, NaN where nothing was decided yet.
    """

    predicted_QB: NDArray
    true_QB: NDArray
    user_Q: NDArray
    rate_Q: NDArray
    behaviors: tuple[str, ...]
    threshold_B: NDArray

    @cached_property
    def weight_Q(self) -> NDArray:
        """(Q,) for how many questions, of the users who were asked, each stands."""
        return 1 / self.rate_Q

    @cached_property
    def corrected_QB(self) -> NDArray:
        """(Q, B) p / (p + (1 - p) / w) with w the share drawn, of all users together; p where all were asked.

        Not the user's own share: what is drawn for a user goes by the number of true answers, which that share would tell.
        """
        drawn = self.rate_Q[self.rate_Q < 1]
        if not len(drawn):
            return self.predicted_QB
        return self.predicted_QB / (self.predicted_QB + (1 - self.predicted_QB) * np.mean(1 / drawn))


class Metric(ABC):
    """Base of a metric plugin; on a board it is written `name` or `name@k`, of a behaviour board `name` or
    `name@behaviour`: of one behaviour, or of all those asked about together.

    `definition` pins gain, discount, ideal and the users counted; it is stored with every score. `needs_order`: it
    judges steps, so that only an ordered board can have it; `needs_behaviors`: only data with several behaviours.
    `per_user`: it gives a value for each user asked, in rising order of user, where others give one for each query.
    `needs_threshold`: it judges decisions, and can be no headline: the threshold is found on validation.
    """

    task: ClassVar[str] = "ranking"
    higher_is_better: ClassVar[bool] = True
    needs_k: ClassVar[bool] = True
    needs_order: ClassVar[bool] = False
    needs_behaviors: ClassVar[bool] = False
    per_user: ClassVar[bool] = False
    needs_threshold: ClassVar[bool] = False
    definition: ClassVar[str]

    def __init__(self, name: str, k: int | None = None, behavior: str | None = None) -> None:
        self.name, self.k, self.behavior = name, k, behavior

    @property
    def label(self) -> str:
        """The written form: "ndcg@10", "auc@purchase"."""
        behind = self.behavior if self.k is None else self.k
        return self.name if behind is None else f"{self.name}@{behind}"

    @abstractmethod
    def __call__(self, answers: Any, train: Dataset) -> NDArray:
        """(Q,) one value a query, averaged by the caller; or (1,) for a property of all answers together.

        `answers`: `RankedLists` where the task is ranking, `Ratings` where it is rating, `Probabilities` where it is behavior.
        """

    def sampler(self, answers: Any, train: Dataset) -> Callable[[NDArray], float] | None:
        """For a property of all answers together: what it is of the sample that holds query q `times_Q[q]` times, for an
        interval; None where there is no such thing, or where values are means over queries."""
        return None

    def of_mean(self, mean: float) -> float:
        """What the mean of the values stands for, never falling where the mean rises: a root for the RMSE."""
        return mean

    def merit(self, value: float) -> float:
        """The value where higher is better, else its negative: what selection raises. Applied twice it is the value."""
        return value if self.higher_is_better else -value


def metric(label: str, task: str) -> Metric:
    """The metric written `name@k` on a board of `task`; RecbenchError where it is unknown or k is wrong."""
    name, at, k = label.partition("@")
    known = [full.removeprefix(f"{task}.") for full in registry.names("metric") if full.startswith(f"{task}.")]
    if name not in known:
        raise RecbenchError(
            f"metric '{label}': none is installed for task {task}{nearest(name, known) or '.'} "
            f"Installed: {', '.join(known) or 'none'}"
        )
    cls = registry.find("metric", f"{task}.{name}").load()
    if task == "behavior":
        if at and not k:
            raise RecbenchError(f"metric '{label}': write {name} or {name}@BEHAVIOUR, of one behaviour")
        return cls(name, behavior=k if at else None)
    if cls.needs_k != bool(at):
        raise RecbenchError(f"metric '{label}': write {name + '@10' if cls.needs_k else name}")
    if at and (not k.isdigit() or int(k) < 1):
        raise RecbenchError(f"metric '{label}': k must be a whole number from 1; given '{k}'")
    return cls(name, int(k) if at else None)


def metrics_of(board: Board) -> list[Metric]:
    """The metrics of a board, as written there; RecbenchError where one cannot judge what the board asks."""
    found = [metric(label, board.task) for label in board.metrics]
    for one in found:
        if one.behavior is not None and one.behavior not in board.behaviors:
            raise RecbenchError(
                f"board {board.name}: metric '{one.label}' is of {one.behavior!r}, which the board does not ask about"
                f"{nearest(one.behavior, board.behaviors) or '.'} It asks about {', '.join(board.behaviors)}"
            )
        if one.needs_threshold and one.label == board.headline:
            raise RecbenchError(
                f"board {board.name}: headline '{one.label}' needs a threshold, which validation is to find; "
                "choose one that judges probabilities, such as auc or log-loss"
            )
        if one.needs_order and not board.ordered:
            raise RecbenchError(
                f"board {board.name}: metric '{one.label}' judges an order, which the board does not ask for; "
                "set target: next_k and ordered: true, or leave it out"
            )
        if one.needs_order and (one.k or 0) > board.next_k:
            raise RecbenchError(
                f"board {board.name}: metric '{one.label}' judges {one.k} steps, the board asks for {board.next_k}; "
                f"write {one.name}@{board.next_k} or raise next_k"
            )
    if board.behaviors:
        refuse_one_behavior(found, board.behaviors, f"board {board.name}")
    return found


def refuse_one_behavior(metrics: Sequence[Metric], behaviors: tuple[str, ...], whose: str) -> None:
    """RecbenchError where a metric tells behaviours apart and there is one: every answer would be right."""
    for one in metrics:
        if one.needs_behaviors and len(behaviors) == 1:
            raise RecbenchError(
                f"metric '{one.label}' tells behaviours apart; {whose} has {behaviors[0]} alone: leave it out"
            )


def mean(values: NDArray) -> float:
    """The plain mean in float64."""
    return float(np.mean(values, dtype=np.float64))
