"""From a fitted model and a holdout to scores with intervals; masking, top-k and ties are done here, once.

Letters: Q queries, K list length, I items, T right answers of a chunk.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recbench.data import Queries, Ragged
from recbench.dataset import Dataset
from recbench.errors import RecbenchError
from recbench.holdout import Holdout
from recbench.metric import Metric, RankedLists
from recbench.model import Recommender, mask, top_k
from recbench.stats import bootstrap_intervals

CELLS_PER_CHUNK = 16_000_000  # float32 scores held at once: 64 MB


@dataclass(frozen=True, eq=False)
class Score:
    """A metric's mean over queries, its interval over users where there is one, and the values behind it."""

    label: str
    definition: str
    value: float
    low: float | None
    high: float | None
    per_query: NDArray


def rank(model: Recommender, holdout: Holdout, k: int, seed: int = 0) -> RankedLists:
    """The model's lists for every query of a ranking holdout, with the tie group of every position.

    RecbenchError names the model where scores are not finite, have the wrong shape, or lists break the rules.
    """
    size = max(1, CELLS_PER_CHUNK // max(1, holdout.queries.n_items))
    generative = type(model).recommend is not Recommender.recommend
    chunks = []
    for first in range(0, len(holdout.queries), size):
        rows = slice(first, first + size)
        queries, truth = holdout.queries.take(rows), holdout.truth.take(rows)
        try:
            if generative:
                chunks.append(_from_lists(model, queries, truth, k))
            else:
                scores_QI = mask(model.score(queries), queries)
                chunks.append(_from_scores(scores_QI, truth, k, np.random.default_rng((seed, first))))
        except RecbenchError as error:
            raise RecbenchError(f"model {type(model).__name__}: {error}") from error
    return RankedLists(*(np.concatenate(columns) for columns in zip(*chunks, strict=True)))


def _from_scores(scores_QI: NDArray, truth: Ragged, k: int, rng: np.random.Generator) -> tuple[NDArray, ...]:
    """Top-k and tie groups from masked scores; the last group reaches as far as the catalogue ties."""
    lists = top_k(scores_QI, k, rng)
    items_QK, scores_QK = lists.items_QK, lists.scores_QK
    start_QK, size_QK = _groups(items_QK, scores_QK)
    last_Q1 = scores_QK[:, min(k, scores_QI.shape[1]) - 1, None]
    size_QK = np.where(scores_QK == last_Q1, (scores_QI == last_Q1).sum(1)[:, None], size_QK)
    size_QK[items_QK < 0] = 1
    query, right = truth.flat()
    relevant_QK = np.zeros(items_QK.shape, np.int64)
    np.add.at(relevant_QK, query, (scores_QK[query] == scores_QI[query, right][:, None]) & (items_QK[query] >= 0))
    return items_QK, scores_QK, start_QK, size_QK, relevant_QK, truth.lengths


def _groups(items_QK: NDArray, scores_QK: NDArray) -> tuple[NDArray, NDArray]:
    """First position and size of each position's run of equal scores; empty positions stand alone."""
    n_queries, k = items_QK.shape
    new_QK = np.ones((n_queries, k), bool)
    new_QK[:, 1:] = (scores_QK[:, 1:] != scores_QK[:, :-1]) | (items_QK[:, 1:] < 0)
    start_QK = np.maximum.accumulate(np.where(new_QK, np.arange(k), 0), axis=1)
    group = np.arange(n_queries)[:, None] * k + start_QK
    return start_QK, np.bincount(group.ravel(), minlength=n_queries * k)[group]


def _from_lists(model: Recommender, queries: Queries, truth: Ragged, k: int) -> tuple[NDArray, ...]:
    """Lists of a model that ranks by itself, checked: only allowed items, no repeats, scores never rising."""
    answer = model.recommend(queries, k)
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
    if (np.diff(np.where(real, scores_QK, -np.inf), axis=1) > 0).any():
        raise RecbenchError("scores of a list must never rise")
    query, right = truth.flat()
    hit_QK = np.zeros(items_QK.shape, np.int64)
    np.add.at(hit_QK, query, items_QK[query] == right[:, None])
    start_QK = np.broadcast_to(np.arange(k), items_QK.shape)
    return items_QK, scores_QK, start_QK, np.ones_like(hit_QK), hit_QK, truth.lengths


def measure(answers: RankedLists, holdout: Holdout, metrics: Sequence[Metric], train: Dataset) -> list[Score]:
    """Every metric on the answers; bootstrap intervals over users for those with a value a query."""
    values = [np.asarray(m(answers, train), dtype=np.float64) for m in metrics]
    means = [m for m, column in enumerate(values) if len(column) > 1]
    bounds = {}
    if means:
        intervals = bootstrap_intervals(np.stack([values[m] for m in means], axis=1), holdout.queries.user)
        bounds = {m: (float(low), float(high)) for m, (low, high) in zip(means, intervals, strict=True)}
    return [
        Score(metric.label, metric.definition, float(column.mean()), *bounds.get(m, (None, None)), column)
        for m, (metric, column) in enumerate(zip(metrics, values, strict=True))
    ]
