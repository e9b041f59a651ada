"""Facts of the knowledge graph as sentences behind an item's text.

Letters: I items.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np

from recbench.errors import RecbenchError

if TYPE_CHECKING:
    import pandas as pd

    from recbench.dataset import Dataset


def sentences(train: Dataset, most: int) -> list[str]:
    """(I,) up to `most` facts of each item, as "starring: Tom Hanks, Robin Wright; directed by: ...".

    Names that more items share come first, for what a text says first survives where it is cut; what one item alone has is left
    out. RecbenchError where the data set has no graph.
    """
    graph, items = train.knowledge, train.items
    if graph is None or items is None or "entity" not in items:
        raise RecbenchError(
            f"facts={most}: data={train.info.name} has no knowledge graph of its items; use facts=0, or data that have one"
        )
    entity = items["entity"]
    told = graph[graph["head"].isin(entity.dropna())].drop_duplicates(["head", "relation", "tail"])
    shared = told["tail"].map(told["tail"].value_counts())
    told = told.assign(shared=shared)[shared.to_numpy() > 1]  # a name that one item alone has tells no two apart
    told = told.sort_values(["head", "shared", "relation", "tail"], ascending=[True, False, True, True], kind="stable")
    told = told.groupby("head", sort=False).head(most)
    text_of = {head: _sentence(rows) for head, rows in told.groupby("head", sort=False)}
    return [text_of.get(name, "") for name in np.asarray(entity, object)]


def _sentence(facts: pd.DataFrame) -> str:
    """The facts of one item, relation by relation."""
    names = facts.groupby("relation", sort=False)["tail"].agg(lambda tails: ", ".join(map(_readable, tails)))
    return "; ".join(f"{_readable(relation)}: {tails}" for relation, tails in names.items())


def _readable(name: object) -> str:
    """The last part of a name in words: film.film.directed_by is directed by."""
    return re.sub(r"[_\s]+", " ", str(name).rsplit("/", 1)[-1].rsplit(".", 1)[-1]).strip()
