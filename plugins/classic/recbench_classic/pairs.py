"""What a ranker is told of a query and a candidate.

Letters: Q queries, I items, N pairs of a query and a candidate, C candidates of a query, F features.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from recbench.data import Interactions, Queries
from recbench.dataset import Dataset
from recbench.features import Features, behaviour_features, rate_prior
from recbench_classic.fusion import standard


def remembered(train: Dataset) -> Dataset:
    """What of the training part the features need: the log and the attributes, users and items by number."""
    items = None if train.items is None else train.items[list(train.attributes)]
    number = np.arange(train.n_users), np.arange(train.n_items)
    bare = {"users": None, "context": None, "knowledge": None, "social": None}
    return replace(train, user_ids=number[0], item_ids=number[1], items=items, **bare)


def pair_features(
    scores: Sequence[NDArray], past: Dataset, queries: Queries, items_QC: NDArray, used_QC: NDArray
) -> NDArray:
    """(N, F) float32 for the candidates `items_QC` that `used_QC` selects, row after row.

    `scores`: (Q, I) of each member, told as z-score over all items and as place among the candidates, 0 the best, equal
    ones at their mean place. Then features of the item from the log of `past`, and of the user and the pair from the query's own
    history: so a new user needs no refit, and no query says anything of another.
    """
    from scipy.stats import rankdata

    query_N, item_N = np.nonzero(used_QC)[0], items_QC[used_QC]
    columns = []
    for scores_QI in scores:
        z_QC = np.take_along_axis(standard(scores_QI), np.maximum(items_QC, 0), axis=1)
        place_QC = rankdata(np.where(items_QC >= 0, -z_QC, np.inf), axis=1) - 1 if z_QC.size else z_QC
        columns += [z_QC[used_QC], place_QC[used_QC]]
    end = past.interactions.time.max(initial=0) + 1  # behind it nothing is known, and windows would run empty
    clocked = past.info.clock not in ("order", "none")  # else no user's steps are another's
    moment_N = np.minimum(queries.time[query_N], end) if clocked else np.full(len(item_N), end)
    prior_B = rate_prior(past.interactions)
    of_item = behaviour_features(past, np.zeros(len(item_N), np.int64), item_N, moment_N, prior_B=prior_B)
    own = histories(queries, past)
    of_user = behaviour_features(own, query_N, item_N, queries.time[query_N], prior_B=prior_B)
    parts = (_named(of_item, item=True), _named(of_user, item=False))
    return np.column_stack([*columns, *parts]).astype(np.float32)


def histories(queries: Queries, past: Dataset) -> Dataset:
    """The queries' histories as a log of their own, the query's number in place of the user."""
    log, (row, item) = past.interactions, queries.items.flat()
    columns = (queries.times.flat()[1], queries.behaviors.flat()[1], queries.values.flat()[1])
    order = np.argsort(columns[0], kind="stable")
    time, behavior, value = (column[order] for column in columns)
    own = Interactions(row[order], item[order], time, behavior, value, log.behaviors, len(queries), past.n_items)
    return replace(past, interactions=own, user_ids=np.arange(len(queries)))


def _named(features: Features, item: bool) -> NDArray:
    """The columns that are, or are not, about the item alone."""
    return features.values[:, [name.startswith("item_") == item for name in features.names]]
