"""The model whose items a prompted one orders, by its words: ease, ease@l2:500, or run:KEY.

Letters: Q queries, N items of a list.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from recbench.data import Queries
from recbench.entry import Entry
from recbench.errors import RecbenchError
from recbench.model import Context, Recommender
from recbench.plan import lacking
from recbench.topk import mask, top_k

if TYPE_CHECKING:
    from recbench.dataset import Dataset

FORM = "write a model as ease or ease@l2:500, or a finished run as run:KEY"


@dataclass(frozen=True)
class Base:
    """A model's name and parameters, or a run's key or folder."""

    words: str
    run: str
    name: str
    params: dict[str, Any]

    def made(self, train: Dataset, context: Context) -> Recommender:
        """The model, not yet fitted, or as its run left it; RecbenchError where it ranks no items of these data."""
        if self.run:
            told = Entry.read(context.past_run(self.run) / "entry.json")
            if (told.data, told.data_checksum) != (train.info.name, train.checksum):
                raise RecbenchError(
                    f"model={self.words} is a run on other data, {told.data}; name a run on {train.info.name}"
                )
        made = context.model(run=self.run) if self.run else context.model(self.name, **self.params)
        if "ranking" not in made.traits.tasks:
            raise RecbenchError(f"model={self.words} answers {', '.join(made.traits.tasks)} and ranks no items; {FORM}")
        if lacks := lacking(made.needs(made.params), train):
            raise RecbenchError(f"model={self.words} needs {' and '.join(lacks)}; data={train.info.name} has none")
        return made


def base_of(words: str) -> Base:
    """What the words name; RecbenchError says how they are written."""
    run, (name, *given) = words.removeprefix("run:") if words.startswith("run:") else "", words.split("@")
    params = dict(part.split(":", 1) for part in given if ":" in part)
    if not name or name == "run:" or (not run and len(params) < len(given)):
        raise RecbenchError(f"model={words!r} names no model; {FORM}")
    return Base(words, run, "" if run else name, {} if run else params)


def listed(model: Recommender, queries: Queries, n: int) -> NDArray:
    """(Q, N) its best allowed items, ties in one order for all queries, -1 behind the end of a short list."""
    if type(model).score is Recommender.score:
        return np.array(model.recommend(queries, n).items_QK)
    return top_k(mask(model.score(queries), queries), n, query_Q=np.zeros(len(queries), np.int64)).items_QK
