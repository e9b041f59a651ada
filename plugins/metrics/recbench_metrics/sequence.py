"""Whether a list is what came next, step by step: for boards that ask for the next items in the order in which they come.

Of each query the first m = min(k, steps there are) places are judged, for no model can know where a window ends. Tied items
are taken in the order listed, which is drawn by lot. A behaviour that is unknown is wrong.

Letters: Q queries, K list length, S steps of the truth, k the metric's cut.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from recbench.dataset import Dataset
from recbench.metric import Metric, RankedLists


def _first(values_QN: NDArray, k: int) -> NDArray:
    """(Q, k) the first k columns, -1 behind the last one there is."""
    cut_QN = values_QN[:, :k]
    return np.pad(cut_QN, ((0, 0), (0, k - cut_QN.shape[1])), constant_values=-1)


def _items(answers: RankedLists, k: int) -> tuple[NDArray, NDArray]:
    """(Q, k) the items that were listed and those that came; -1 behind the end."""
    return _first(answers.items_QK, k), _first(answers.truth_QS, k)


def _right_items(answers: RankedLists, k: int) -> NDArray:
    """(Q, k) bool: the item of the step is right at its place."""
    listed_Qk, came_Qk = _items(answers, k)
    return (listed_Qk == came_Qk) & (came_Qk >= 0)


def _right_behaviors(answers: RankedLists, k: int) -> NDArray:
    """(Q, k) bool: the behaviour of the step is right, whatever its item."""
    told_Qk, shown_Qk = _first(answers.behaviors_QK, k), _first(answers.truth_behaviors_QS, k)
    return (told_Qk == shown_Qk) & (shown_Qk >= 0)


def _steps(answers: RankedLists, k: int) -> NDArray:
    """(Q,) how many steps are judged, at least 1 so that 0 / 0 stays 0."""
    return np.maximum((_first(answers.truth_QS, k) >= 0).sum(axis=1), 1)


def edit_distance(a_QN: NDArray, b_QM: NDArray) -> NDArray:
    """(Q,) the least number of insertions, deletions and substitutions that make row q of `a` row q of `b` (Levenshtein,
    1966); -1 stands behind the end of a row."""
    n_a, n_b = (a_QN >= 0).sum(axis=1), (b_QM >= 0).sum(axis=1)
    row = np.tile(np.arange(b_QM.shape[1] + 1), (len(a_QN), 1))  # of no item of a, for each prefix of b
    found_Q = np.where(n_a == 0, n_b, 0)
    for i in range(a_QN.shape[1]):
        above, row = row, np.empty_like(row)
        row[:, 0] = i + 1
        for j in range(b_QM.shape[1]):
            replaced_Q = above[:, j] + (a_QN[:, i] != b_QM[:, j])
            row[:, j + 1] = np.minimum(replaced_Q, np.minimum(above[:, j + 1], row[:, j]) + 1)
        found_Q = np.where(n_a == i + 1, row[np.arange(len(row)), n_b], found_Q)
    return found_Q


class SequenceAccuracy(Metric):
    """Share of the first k steps whose item stands right at its place, right / m of the m = min(k, steps) there are."""

    definition = "sequence-accuracy/right=item-at-its-place/divisor=min(k,steps)/users=with-relevant/ties=as-listed/v1"
    needs_order = True

    def __call__(self, answers: RankedLists, train: Dataset) -> NDArray:
        return _right_items(answers, self.k).sum(axis=1) / _steps(answers, self.k)


class ExactSequence(Metric):
    """1 where each of the first m = min(k, steps) items stands right at its place, else 0."""

    definition = "exact-sequence/right=every-item-at-its-place/steps=min(k,steps)/users=with-relevant/ties=as-listed/v1"
    needs_order = True

    def __call__(self, answers: RankedLists, train: Dataset) -> NDArray:
        return (_right_items(answers, self.k).sum(axis=1) == _steps(answers, self.k)).astype(np.float64)


class EditDistance(Metric):
    """Levenshtein distance between the first m = min(k, steps) of the list and of what came, / m: 0 the same, 1 nothing."""

    definition = "edit-distance/levenshtein-of-items/divisor=min(k,steps)/users=with-relevant/ties=as-listed/v1"
    higher_is_better = False
    needs_order = True

    def __call__(self, answers: RankedLists, train: Dataset) -> NDArray:
        listed_Qk, came_Qk = _items(answers, self.k)
        return edit_distance(np.where(came_Qk >= 0, listed_Qk, -1), came_Qk) / _steps(answers, self.k)


class StepBehaviorAccuracy(Metric):
    """Share of the first k steps whose behaviour is told right, whatever the item, right / m, m = min(k, steps)."""

    definition = "step-behavior-accuracy/right=behaviour/divisor=min(k,steps)/users=with-relevant/ties=as-listed/v1"
    needs_order = needs_behaviors = True

    def __call__(self, answers: RankedLists, train: Dataset) -> NDArray:
        return _right_behaviors(answers, self.k).sum(axis=1) / _steps(answers, self.k)


class EventAccuracy(Metric):
    """Share of the first k steps of which both item and behaviour are right, right / m, m = min(k, steps)."""

    definition = "event-accuracy/right=item-and-behaviour/divisor=min(k,steps)/users=with-relevant/ties=as-listed/v1"
    needs_order = needs_behaviors = True

    def __call__(self, answers: RankedLists, train: Dataset) -> NDArray:
        right_Qk = _right_items(answers, self.k) & _right_behaviors(answers, self.k)
        return right_Qk.sum(axis=1) / _steps(answers, self.k)
