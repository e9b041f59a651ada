"""The knowledge graph and the friends of a data set as row numbers.

Letters: T triples, E edges, U users, I items, N nodes, F facts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from recbench.dataset import Dataset


class Triples(NamedTuple):
    """(T,) heads, relations and tails as numbers. Nodes are the items, by their row, then what else the graph names."""

    head: NDArray
    relation: NDArray
    tail: NDArray
    n_nodes: int
    n_relations: int


class Facts(NamedTuple):
    """Where each item's facts start, (I,), and the facts, item after item."""

    start: NDArray
    fact: NDArray
    n_facts: int


def triples_of(train: Dataset) -> Triples:
    """The distinct triples, numbered in the order of the names; an entity that stands for several items becomes each of
    them. No triples where the data set has no graph."""
    import pandas as pd

    if train.knowledge is None:
        nothing = np.empty(0, np.int64)
        return Triples(nothing, nothing, nothing, train.n_items, 0)
    graph = train.knowledge.drop_duplicates()
    linked = (
        pd.Series(dtype=str) if train.items is None or "entity" not in train.items else train.items["entity"].dropna()
    )
    names = pd.concat([graph["head"], graph["tail"]]).unique()
    others = np.sort(names[~np.isin(names, linked.unique())])
    node = pd.concat(
        [
            pd.DataFrame({"name": linked.to_numpy(), "node": linked.index.to_numpy()}),
            pd.DataFrame({"name": others, "node": train.n_items + np.arange(len(others))}),
        ]
    )
    relations, relation = np.unique(graph["relation"].to_numpy(str), return_inverse=True)
    rows = graph.assign(relation=relation)
    for side in ("head", "tail"):
        rows = rows.merge(node.rename(columns={"name": side, "node": f"{side}_node"}), on=side)
    rows = rows.sort_values(["head_node", "relation", "tail_node"], kind="stable")
    columns = (rows[name].to_numpy(np.int64) for name in ("head_node", "relation", "tail_node"))
    return Triples(*columns, train.n_items + len(others), len(relations))


def facts_of(train: Dataset) -> Facts:
    """What the graph says of each item, as a head (relation, tail) or as a tail (head, relation); what it says of
    one item alone tells no more than the item's number does, and is left out."""
    graph, n = triples_of(train), train.n_items
    as_head, as_tail = graph.head < n, graph.tail < n
    item = np.r_[graph.head[as_head], graph.tail[as_tail]]
    forward = graph.relation[as_head] * np.int64(graph.n_nodes) + graph.tail[as_head]
    back = (graph.n_relations + graph.relation[as_tail]) * np.int64(graph.n_nodes) + graph.head[as_tail]
    _, fact, count = np.unique(np.r_[forward, back], return_inverse=True, return_counts=True)
    shared = count > 1
    keep = shared[fact]
    item, fact = item[keep], (np.cumsum(shared) - 1)[fact[keep]]
    order = np.lexsort((fact, item))
    counts_I = np.bincount(item, minlength=n)
    return Facts(np.cumsum(counts_I) - counts_I, fact[order], int(shared.sum()))


def friends_of(train: Dataset) -> tuple[NDArray, NDArray]:
    """(E,) users and their friends by row, each pair once in each direction; ids without an event are left out."""
    import pandas as pd

    if train.social is None:
        return np.empty(0, np.int64), np.empty(0, np.int64)
    row_of = pd.Series(np.arange(train.n_users), index=pd.Index(train.user_ids))
    one, two = (row_of.reindex(train.social[name]).to_numpy() for name in ("user", "friend"))
    known = ~(np.isnan(one) | np.isnan(two)) & (one != two)
    one, two = one[known].astype(np.int64), two[known].astype(np.int64)
    pair = np.unique(np.r_[one * train.n_users + two, two * train.n_users + one])
    return pair // max(1, train.n_users), pair % max(1, train.n_users)
