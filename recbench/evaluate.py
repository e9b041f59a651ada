"""From a fitted model and a holdout to scores with intervals; masking, top-k and ties are done here, once for all models.

Letters: Q queries, K list length, I items, T right answers of a chunk, N events of histories.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recbench.data import Queries, Ragged
from recbench.dataset import Dataset
from recbench.errors import RecbenchError
from recbench.holdout import Holdout
from recbench.machine import keep_freed_memory
from recbench.metric import Metric, Probabilities, RankedLists, Ratings
from recbench.model import ALONE, Recommender, Team
from recbench.stats import bootstrap_intervals, resampled_interval
from recbench.topk import Recommendations, mask, top_k_and_tied

CELLS_PER_CHUNK = 4_000_000  # float32 scores held at once, 16 MB: more would be fetched anew from the system each time
QUESTIONS = 1 << 14  # of which values are asked at once
LEAST_PER_CHUNK = 16  # queries asked at once however many items there are: fewer would read all item vectors each time


@dataclass(frozen=True, eq=False)
class Score:
    """What a metric's values come to, the interval over users where there is one, and the values behind it."""

    label: str
    definition: str
    value: float
    low: float | None
    high: float | None
    per_query: NDArray
    higher_is_better: bool = True

    def told(self) -> dict[str, Any]:
        """What an entry holds of it; `better` stands there only where it is lower."""
        known = {"value": self.value, "low": self.low, "high": self.high, "definition": self.definition}
        return known if self.higher_is_better else known | {"better": "lower"}


Answers = RankedLists | Ratings | Probabilities


def answer(model: Recommender, holdout: Holdout, k: int, team: Team = ALONE) -> Answers:
    """What the model answers to a holdout: values or probabilities where it asks for these, else lists of k items."""
    if holdout.values is not None:
        return rate(model, holdout, team)
    return rank(model, holdout, k, team=team) if holdout.outcomes is None else judge(model, holdout, team)


def rate(model: Recommender, holdout: Holdout, team: Team = ALONE) -> Ratings:
    """The model's value for every question of a rating holdout; the processes of a team share the questions out.

    RecbenchError names the model where values are not finite or have the wrong shape.
    """
    assert holdout.values is not None
    predicted_Q = _predicted(model, holdout.queries, 1, team)[:, 0]
    return Ratings(predicted_Q, holdout.values.astype(np.float64), holdout.queries.user)


def judge(model: Recommender, holdout: Holdout, team: Team = ALONE) -> Probabilities:
    """The model's probabilities for every question of a behaviour holdout; the processes of a team share these out.

    RecbenchError names the model where some are not between 0 and 1 or have the wrong shape.
    """
    assert holdout.outcomes is not None and holdout.rates is not None
    predicted_QB = _predicted(model, holdout.queries, len(holdout.targets), team)
    if np.any(predicted_QB < 0) or np.any(predicted_QB > 1):
        raise RecbenchError(
            f"model {type(model).__name__}: probabilities must lie between 0 and 1; "
            f"given {predicted_QB.min():g} to {predicted_QB.max():g}"
        )
    undecided_B = np.full(len(holdout.targets), np.nan)
    asked = holdout.queries.user, holdout.rates, holdout.targets
    return Probabilities(predicted_QB, holdout.outcomes, *asked, undecided_B)


def _predicted(model: Recommender, queries: Queries, width: int, team: Team) -> NDArray:
    """(Q, width) float64 what `predict` says."""
    mine, parts = np.arange(len(queries))[team.number :: team.size], [np.empty((0, width))]
    with model.answering():
        for first in range(0, len(mine), QUESTIONS):
            some = queries.take(mine[first : first + QUESTIONS])
            values_QB = np.asarray(model.predict(some), np.float64)
            if values_QB.shape != (len(some), width) or not np.isfinite(values_QB).all():
                odd = np.sum(~np.isfinite(values_QB))
                raise RecbenchError(
                    f"model {type(model).__name__}: values must be finite and of shape {(len(some), width)}; given "
                    f"{values_QB.shape} with {odd} that are NaN or infinite"
                )
            parts.append(values_QB)
    predicted_QB = np.empty((len(queries), width))
    for number, share in enumerate(team.gather(np.concatenate(parts))):
        predicted_QB[number :: team.size] = share
    return predicted_QB


def rank(model: Recommender, holdout: Holdout, k: int, seed: int = 0, team: Team = ALONE) -> RankedLists:
    """The model's lists for every query of a ranking holdout, with the tie group of every position.

    Where steps are asked for, a list is the answer as it stands, its first place the next step, whoever ranked it; a
    model that tells no behaviours is taken to expect each user's usual one. RecbenchError names the model where scores
    are not finite, have the wrong shape, or lists break the rules. The processes of a team share the queries out, and
    each gets the lists of all.
    """
    keep_freed_memory()
    size = max(LEAST_PER_CHUNK, CELLS_PER_CHUNK // max(1, holdout.queries.n_items))
    order_Q = np.argsort(holdout.queries.items.lengths, kind="stable")  # long histories apart from short ones
    shares = [order_Q[number :: team.size] for number in range(team.size)]
    mine = shares[team.number]
    asked = mine if len(mine) else order_Q[:1]  # no share is empty, or its columns would have no shape
    chunks = []
    try:
        with model.answering():
            for first in range(0, len(asked), size):
                rows = asked[first : first + size]
                chunks.append(_ranked(model, holdout.take(rows), k, seed, rows))
    except RecbenchError as error:
        raise RecbenchError(f"model {type(model).__name__}: {error}") from error
    answers = team.gather([np.concatenate(column)[: len(mine)] for column in zip(*chunks, strict=True)])
    place_Q = np.argsort(np.concatenate(shares))
    lists = RankedLists(*(np.concatenate(column)[place_Q] for column in zip(*answers, strict=True)))
    lists = replace(lists, unmet_Q=holdout.unmet)
    if holdout.truth_behaviors is None:
        return lists
    steps = holdout.queries.steps
    told_QS = holdout.truth_behaviors.padded(steps, -1)
    return replace(lists, truth_QS=holdout.truth.padded(steps, -1), truth_behaviors_QS=told_QS)


def _ranked(model: Recommender, holdout: Holdout, k: int, seed: int, query_Q: NDArray) -> tuple[NDArray, ...]:
    """The lists of a chunk, whose queries have the numbers `query_Q`, as columns of `RankedLists`."""
    queries, told_QK = holdout.queries, None
    if type(model).recommend is not Recommender.recommend:
        answer = model.recommend(queries, k)
        columns, told_QK = _from_lists(answer, queries, holdout.truth, k), answer.behaviors_QK
    else:
        columns = _from_scores(mask(model.score(queries), queries), holdout.truth, k, seed, query_Q)
    if queries.steps > 1:
        columns += (_behaviors(told_QK, columns[0], queries, len(holdout.behaviors)),)
    return columns


def _from_scores(scores_QI: NDArray, truth: Ragged, k: int, seed: int, query_Q: NDArray) -> tuple[NDArray, ...]:
    """Top-k and tie groups from masked scores; the last group reaches as far as the catalogue ties."""
    lists, tied_Q = top_k_and_tied(scores_QI, k, seed, query_Q)
    items_QK, scores_QK = lists.items_QK, lists.scores_QK
    start_QK, size_QK = _groups(items_QK, scores_QK)
    last_Q1 = scores_QK[:, min(k, scores_QI.shape[1]) - 1, None]
    size_QK = np.where((scores_QK == last_Q1) & (items_QK >= 0), tied_Q[:, None], size_QK)
    query, right = truth.flat()
    relevant_QK = np.zeros(items_QK.shape, np.int64)
    np.add.at(relevant_QK, query, (scores_QK[query] == scores_QI[query, right][:, None]) & (items_QK[query] >= 0))
    return items_QK, scores_QK, start_QK, size_QK, relevant_QK, truth.lengths


def _groups(items_QK: NDArray, scores_QK: NDArray) -> tuple[NDArray, NDArray]:
    """First position and size of each position's run of equal scores; empty positions stand alone."""
    n_queries, k = items_QK.shape
    new_QK = np.ones((n_queries, k), bool)
    new_QK[:, 1:] = (scores_QK[:, 1:] != scores_QK[:, :-1]) | (items_QK[:, 1:] < 0)
    start_QK, size_QK = np.tile(np.arange(k), (n_queries, 1)), np.ones((n_queries, k), np.int64)
    tied = np.flatnonzero(~new_QK.all(axis=1))
    start_NK = np.maximum.accumulate(np.where(new_QK[tied], np.arange(k), 0), axis=1)
    group_NK = np.arange(len(tied))[:, None] * k + start_NK
    start_QK[tied], size_QK[tied] = start_NK, np.bincount(group_NK.ravel(), minlength=len(tied) * k)[group_NK]
    return start_QK, size_QK


def _from_lists(answer: Recommendations, queries: Queries, truth: Ragged, k: int) -> tuple[NDArray, ...]:
    """Lists of a model that ranks by itself, checked: only allowed items, no repeats, scores never rising."""
    items_QK, scores_QK = np.asarray(answer.items_QK, np.int32), np.asarray(answer.scores_QK, np.float32)
    if items_QK.shape != (len(queries), k) or scores_QK.shape != items_QK.shape:
        raise RecbenchError(f"lists must have shape {(len(queries), k)}; given {items_QK.shape}")
    real = items_QK >= 0
    if items_QK.max(initial=-1) >= queries.n_items or np.isnan(scores_QK[real]).any():
        raise RecbenchError("lists hold an unknown item or a NaN score")
    row, column = np.nonzero(real)
    pair = row * queries.n_items + items_QK[row, column]
    if len(np.unique(pair)) < len(pair):
        raise RecbenchError("lists hold an item twice")
    seen_row, seen = queries.items.flat()
    masked = not queries.seen_allowed and np.isin(pair, seen_row * queries.n_items + seen).any()
    if masked or not queries.candidates[items_QK[row, column]].all():
        raise RecbenchError("lists hold items that may not be recommended")
    kept_QK = np.where(real, scores_QK, -np.inf)
    if (kept_QK[:, 1:] > kept_QK[:, :-1]).any():
        raise RecbenchError("scores of a list must never rise")
    query, right = truth.flat()
    hit_QK = np.zeros(items_QK.shape, np.int64)
    np.add.at(hit_QK, query, items_QK[query] == right[:, None])
    start_QK = np.broadcast_to(np.arange(k), items_QK.shape)
    return items_QK, scores_QK, start_QK, np.ones_like(hit_QK), hit_QK, truth.lengths


def _behaviors(told_QK: NDArray | None, items_QK: NDArray, queries: Queries, n_behaviors: int) -> NDArray:
    """(Q, K) int8 the behaviour told for each place, the usual one where none is; -1 at empty places."""
    if told_QK is None:
        told_QK = np.broadcast_to(usual_behaviors(queries)[:, None], items_QK.shape)
    if np.shape(told_QK) != items_QK.shape:
        raise RecbenchError(f"behaviours of lists must have shape {items_QK.shape}; given {np.shape(told_QK)}")
    if np.min(told_QK, initial=-1) < -1 or np.max(told_QK, initial=-1) >= n_behaviors:
        raise RecbenchError(f"behaviours of lists must lie in 0..{n_behaviors - 1}, -1 where unknown")
    return np.where(items_QK < 0, -1, told_QK).astype(np.int8)


def usual_behaviors(queries: Queries) -> NDArray:
    """(Q,) int8 the behaviour that each history shows most often, of several the latest; -1 where it is empty."""
    query_N, behavior_N = queries.behaviors.flat()
    n_behaviors, n = int(behavior_N.max(initial=0)) + 1, len(query_N)
    cell_N = query_N * n_behaviors + behavior_N
    count = np.bincount(cell_N, minlength=len(queries) * n_behaviors)
    latest = np.zeros_like(count)
    latest[cell_N] = np.arange(n)  # oldest first, so that the latest is written last and stays
    usual_Q = (count * (n + 1) + latest).reshape(len(queries), n_behaviors).argmax(axis=1)
    return np.where(queries.behaviors.lengths > 0, usual_Q, -1).astype(np.int8)


def measure(answers: Answers, holdout: Holdout, metrics: Sequence[Metric], train: Dataset) -> list[Score]:
    """Every metric on the answers; bootstrap intervals over users for those with more values than one."""
    values = [np.asarray(m(answers, train), dtype=np.float64) for m in metrics]
    bounds: dict[int, NDArray] = {}
    for per_user, groups_Q in ((False, holdout.queries.user), (True, None)):
        means = [m for m, column in enumerate(values) if len(column) > 1 and metrics[m].per_user == per_user]
        if means:
            intervals = bootstrap_intervals(np.stack([values[m] for m in means], axis=1), groups_Q)
            bounds |= dict(zip(means, intervals, strict=True))
    found = []
    for m, (metric, column) in enumerate(zip(metrics, values, strict=True)):
        low, high = (metric.of_mean(float(bound)) for bound in bounds[m]) if m in bounds else (None, None)
        if m not in bounds and (value_of := metric.sampler(answers, train)) is not None:
            low, high = resampled_interval(value_of, holdout.queries.user)
        value = metric.of_mean(float(column.mean()))
        found.append(Score(metric.label, metric.definition, value, low, high, column, metric.higher_is_better))
    return found
