"""The features of questions as a model meets them: with a history each, and what was learned from as all else.

Letters: N questions, E events, B behaviours.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from recbench.data import ContextEvents, Interactions, Queries, Ragged
from recbench.dataset import Dataset
from recbench.features import Asked, FeatureParams, Features, features_of


def question_features(
    known: Dataset, queries: Queries, params: FeatureParams | None = None, prior_B: NDArray | None = None
) -> Features:
    """The features of questions about items: of the users' side from each question's own history, of items from `known`.

    `known`: what was learned from, in which a question's own answer is not; of it only events strictly before the moment
    count. The columns are those of `behaviour_features`, and so are the values where `known` holds the histories.
    """
    assert queries.item is not None
    begins, who_N = np.unique(
        queries.items.start, return_inverse=True
    )  # histories that begin together are one that grows
    ends = np.zeros(len(begins), np.int64)
    np.maximum.at(ends, who_N, queries.items.stop)
    columns = (
        Ragged(rows.values, begins, ends).flat()
        for rows in (queries.items, queries.times, queries.behaviors, queries.values)
    )
    (user, item), (_, time), (_, behavior), (_, value) = columns
    log = known.interactions
    met = Interactions.sorted(
        user,
        item,
        time,
        n_users=len(begins),
        n_items=log.n_items,
        behavior=behavior,
        value=value,
        behaviors=log.behaviors,
    )
    context = _searched(queries, who_N, len(begins))
    sides = met, context, who_N, queries.item.astype(np.int64), queries.time.astype(np.int64)
    return features_of(Asked(known, *sides, params or FeatureParams()), prior_B)


def _searched(queries: Queries, who_N: NDArray, n: int) -> ContextEvents | None:
    """The events without an item of the histories, theirs in place of the users' numbers."""
    context, rows = queries.context, queries.searches
    if context is None or rows is None:
        return None
    begins, ends = np.full(n, np.iinfo(np.int64).max), np.zeros(n, np.int64)
    np.minimum.at(begins, who_N, rows.start)
    np.maximum.at(ends, who_N, rows.stop)
    who, row = Ragged(rows.values, begins, ends).flat()
    order = np.argsort(context.time[row], kind="stable")
    who, row = who[order], row[order]
    return ContextEvents(who, context.time[row], context.behavior[row], context.text[row], context.behaviors)
