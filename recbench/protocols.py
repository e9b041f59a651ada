"""Boards that many data sets share but for name, window and behaviours.

Each is a whole `Board`; fields given by keyword win over the ones here.
"""

from __future__ import annotations

from typing import Any

from recbench.plan import Board

LIST_METRICS = (
    "ndcg@10",
    "recall@10",
    "precision@10",
    "f1@10",
    "hit-rate@10",
    "mrr@10",
    "map@10",
    "recall@50",
    "coverage@10",
    "novelty@10",
    "popularity-bias@10",
    "gini@10",
)
NEXT_METRICS = (
    "ndcg@10",
    "ndcg@5",
    "hit-rate@5",
    "hit-rate@10",
    "recall@10",
    "mrr@10",
    "coverage@10",
    "novelty@10",
    "popularity-bias@10",
    "gini@10",
)
RATING_METRICS = ("rmse", "mae", "ndcg@10")
BEHAVIOR_METRICS = (
    "auc",
    "gauc",
    "pr-auc",
    "log-loss",
    "normalised-entropy",
    "brier",
    "ece",
    "accuracy",
    "majority-accuracy",
    "precision",
    "recall",
    "f1",
)
FIVE_METRICS = (
    "ndcg@5",
    "sequence-accuracy@5",
    "exact-sequence@5",
    "edit-distance@5",
    "event-accuracy@5",
    "step-behavior-accuracy@5",
    "recall@5",
    "coverage@5",
    "novelty@5",
    "popularity-bias@5",
)


def time_split(name: str, data: str, days: float, **fields: Any) -> Board:
    """Learn from the past, answer for the last `days`, select on the `days` before them: leak-free by time."""
    windows = {"test_window_days": days, "valid_window_days": days}
    return _board(name, data, LIST_METRICS, windows | {"split": "global_time", "fit_on": "train+valid"} | fields)


def leave_last_out(name: str, data: str, **fields: Any) -> Board:
    """The protocol of most published tables: the last item is asked, all items ranked, seen items masked."""
    fixed = {"split": "leave_last_out", "ask": "last", "target": "first", "fit_on": "train+valid", "candidates": "all"}
    meaning = "Leave-last-out: leaks across users by design; kept because published tables use it."
    return _board(name, data, NEXT_METRICS, fixed | {"meaning": meaning} | fields)


def published(name: str, data: str, **fields: Any) -> Board:
    """`leave_last_out` with nothing fitted on the validation item: the strict reading of the published tables."""
    meaning = "Leave-last-out as published tables have it: the validation item is selected on and read, never fitted."
    return leave_last_out(name, data, **{"fit_on": "train", "meaning": meaning} | fields)


def random_pairs(name: str, data: str, **fields: Any) -> Board:
    """A tenth of all pairs for test, a tenth for selection, drawn by lot: all that data without any order allow."""
    meaning = "Pairs held out by lot, for there is no order: says who likes what, not what comes next."
    return _board(
        name, data, LIST_METRICS, {"split": "random_pairs", "fit_on": "train+valid", "meaning": meaning} | fields
    )


def ratings(name: str, data: str, **fields: Any) -> Board:
    """The values of a tenth of all pairs, drawn by lot: the protocol of most published tables of rating models."""
    meaning = "What value will a user give? Pairs held out by lot, so that later ratings help to predict earlier ones."
    fixed = {"task": "rating", "split": "random_pairs", "fit_on": "train+valid", "candidates": "all"}
    return _board(name, data, RATING_METRICS, fixed | {"headline": "rmse", "meaning": meaning} | fields)


def later_ratings(name: str, data: str, days: float, **fields: Any) -> Board:
    """The values of the last `days`, each asked when it is given, selected on the `days` before: leak-free by time."""
    fixed = {"task": "rating", "ask": "each_event", "candidates": "all", "headline": "rmse"}
    return time_split(name, data, days, **{"metrics": RATING_METRICS} | fixed | fields)


def arrivals(name: str, data: str, **fields: Any) -> Board:
    """`published` with a twentieth of the items taken out of training: some answers are items that nobody has met."""
    meaning = (
        "What comes next, where a twentieth of the items has just arrived and nobody has met them: how often are they found "
        "among all (unmet-recall), and what does that cost for the others (met-ndcg)?"
    )
    metrics = ("ndcg@10", "recall@10", "met-ndcg@10", "unmet-recall@10", "unmet-recall@50", *NEXT_METRICS[-4:])
    return published(name, data, **{"unmet_items": 0.05, "metrics": metrics, "meaning": meaning} | fields)


def cold_items(name: str, data: str, **fields: Any) -> Board:
    """A twentieth of the items, drawn by lot and without a training event, ranked among themselves."""
    meaning = "Items that nobody has met yet, ranked among themselves: what do content and graph tell, where ids tell nothing?"
    fixed = {"split": "cold_items", "candidates": "held_out", "fit_on": "train+valid", "meaning": meaning}
    return _board(name, data, NEXT_METRICS, fixed | fields)


def given_split(name: str, data: str, **fields: Any) -> Board:
    """The split that the data set comes with."""
    return _board(name, data, LIST_METRICS, {"split": "given", "fit_on": "train+valid"} | fields)


def next_five(name: str, data: str, **fields: Any) -> Board:
    """The next five new items in the order in which they come, each with its behaviour, asked at every moment."""
    asked = {"ask": "each_event", "target": "next_k", "next_k": 5, "ordered": True, "headline": "ndcg@5"}
    return _board(name, data, FIVE_METRICS, asked | {"fit_on": "train+valid"} | fields)


def behavior(name: str, data: str, behaviors: tuple[str, ...], **fields: Any) -> Board:
    """Will the user do it? Each of the behaviours by itself and, where there are several, all of them together.

    The headline is the AUC: it needs no threshold, means the same whatever the share that comes true or is asked about,
    and asks nothing of probabilities that a model need not promise.
    """
    each = tuple(f"{metric}@{one}" for one in behaviors for metric in BEHAVIOR_METRICS) if len(behaviors) > 1 else ()
    fixed = {"task": "behavior", "behaviors": behaviors, "target": "all_in_window", "candidates": "all"}
    judged = {
        "headline": "auc",
        "fit_on": "train+valid",
        "meaning": "Will the user do it? A probability for each question.",
    }
    return _board(name, data, BEHAVIOR_METRICS + each, fixed | judged | fields)


def _board(name: str, data: str, metrics: tuple[str, ...], fields: dict[str, Any]) -> Board:
    return Board(**{"name": name, "data": data, "metrics": metrics, "headline": "ndcg@10"} | fields)
