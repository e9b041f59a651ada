"""Items ranked by how near their text stands to what a user met, or wrote: nothing is trained.

Letters: Q queries, I items, V width of a vector, S searches.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from recbench.data import Queries
from recbench.errors import RecbenchError
from recbench.model import Context, Recommender, Traits
from recbench.params import param
from recbench_language.encoding import encoded
from recbench_language.registry import language_model
from recbench_language.vectors import SPREADS, ReadsText, Spread, TextParams, item_vectors, spread_of

if TYPE_CHECKING:
    from recbench.dataset import Dataset

DAY = 86400
USERS = ("history", "last", "words")


@dataclass(frozen=True)
class TextEmbeddingParams(TextParams):
    """What a user is, and how item vectors are spread out."""

    user: str = param(
        "history",
        "history: the faded mean of the items met; last: the newest `last` of them, alike; words: the column text of the "
        "user table and what the user searched for, and the history where there is neither.",
        choices=USERS,
        tune=True,
    )
    last: int = param(1, "Newest items that user=last reads.", low=1, high=1000, tune=True)
    position_half_life: float = param(
        5.0,
        "Events after which an item of the history counts half; 0: never.",
        low=0.0,
        high=100.0,
        tune=True,
        unit="events",
    )
    half_life_days: float | None = param(
        None,
        "Time after which an item of the history counts half, beside that; none: never. Needs a clock.",
        low=0.01,
        high=3650.0,
        unit="days",
    )
    spread: str = param(
        "centre",
        "Item vectors as they are (none), less their mean (centre), cut to `dim` main directions (pca), or with equal "
        "variance in these (whiten).",
        choices=SPREADS,
        tune=True,
    )
    dim: int = param(128, "Directions that pca and whiten keep.", low=1, high=4096, log=True)


class TextEmbedding(ReadsText, Recommender):
    """Cosine of an item's text vector with those of the user's history, the baseline that every model of text has to beat.

    The k-nearest-neighbour model of AlphaRec's tables (arXiv 2407.05441) with a profile that fades (Pazzani, Billsus 2007,
    doi 10.1007/978-3-540-72079-9_10). Nothing is learned from who met what, so items that nobody met are ranked like all
    others; an item without text scores 0.
    """

    Params = TextEmbeddingParams
    traits = Traits(needs_text=True)
    small = {"encoder": "hashed-words"}
    fitted = ("vector_IV", "user_UV")
    records = {"spread": Spread}
    vector_IV: NDArray
    user_UV: NDArray
    spread: Spread

    def fit(self, train: Dataset, context: Context) -> None:
        """Read the texts of items; RecbenchError where they have none, or a half-life in days meets data without a clock."""
        params = self.params
        if params.half_life_days is not None and train.info.clock in ("order", "none"):
            raise RecbenchError(
                f"half_life_days={params.half_life_days:g} needs real timestamps; data={train.info.name} has "
                f"{train.info.clock} only; use position_half_life"
            )
        found = item_vectors(train, params, context)
        met_I = np.bincount(train.interactions.item, minlength=train.n_items) > 0
        self.spread = spread_of(found, params.spread, params.dim, met_I)
        self.vector_IV = unit(self.spread(found.values_IV))
        self.user_UV = self._written(train, context)
        self.notes = {"language": found.told}

    def _written(self, train: Dataset, context: Context) -> NDArray:
        """(U, V) what users say of themselves in the column text of their table; (0, V) where that is not read."""
        width = self.vector_IV.shape[1]
        if self.params.user != "words":
            return np.zeros((0, width), np.float32)
        if self.params.vectors:
            raise RecbenchError("user=words needs the encoder that read the items; leave vectors empty")
        if train.users is None or "text" not in train.users:
            return np.zeros((train.n_users, width), np.float32)
        return self._read(train.users["text"].fillna("").map(str).tolist(), context)

    def _read(self, texts: list[str], context: Context) -> NDArray:
        """(T, V) texts of users, where items are."""
        model = language_model(self.params.encoder, f"encoder={self.params.encoder}")
        return unit(self.spread(encoded(model, texts, self.params.max_tokens, context).vectors_TV))

    def score(self, queries: Queries) -> NDArray:
        """(Q, I) float32 from -1 to 1; 0 where nothing is known of the user."""
        profile_QV = self._histories(queries)
        if self.params.user == "words":
            words_QV = self._words(queries)
            silent_Q1 = ~np.any(words_QV, axis=1, keepdims=True)
            profile_QV = np.where(silent_Q1, profile_QV, words_QV)
        return unit(profile_QV) @ self.vector_IV.T

    def _words(self, queries: Queries) -> NDArray:
        """(Q, V) the sum of what a user says of itself and of its newest `last` searches."""
        inside_Q = (queries.user >= 0) & (queries.user < len(self.user_UV))
        out_QV = np.where(inside_Q[:, None], self.user_UV[np.where(inside_Q, queries.user, 0)], 0.0)
        if queries.context is None or queries.searches is None:
            return out_QV
        row, event = queries.searches.last(self.params.last).flat()
        texts = [str(text or "") for text in queries.context.text[event]]
        np.add.at(out_QV, row, self._read(texts, Context()))
        return out_QV

    def _histories(self, queries: Queries) -> NDArray:
        """(Q, V) the weighted sums of the vectors of the items met."""
        from scipy.sparse import csr_matrix

        params = self.params
        items, times = queries.items, queries.times
        if params.user == "last":
            items, times = items.last(params.last), times.last(params.last)
        row, item = items.flat()
        weight = np.ones(len(row))
        if params.user != "last" and params.position_half_life:
            weight *= 0.5 ** ((np.cumsum(items.lengths)[row] - 1 - np.arange(len(row))) / params.position_half_life)
        if params.half_life_days is not None:
            weight *= 0.5 ** ((queries.time[row] - times.flat()[1]) / (params.half_life_days * DAY))
        weights_QI = csr_matrix((weight, (row, item)), shape=(len(queries), queries.n_items))
        return np.asarray(weights_QI @ self.vector_IV)


def unit(vectors_NV: NDArray) -> NDArray:
    """The rows as float32 of length 1; those of zeros stay so."""
    length_N1 = np.linalg.norm(vectors_NV, axis=1, keepdims=True)
    return (vectors_NV / np.where(length_N1 > 0, length_N1, 1.0)).astype(np.float32)


@dataclass(frozen=True)
class KGTextParams(TextEmbeddingParams):
    """The same, with facts behind each item's text."""

    facts: int = param(12, "Most facts of the knowledge graph that are written behind an item's text.", low=0, high=100)


class KGText(TextEmbedding):
    """Text embedding whose texts go on with facts of the knowledge graph as sentences: "starring: ...; directed by: ...".

    After CoLaKG (arXiv 2410.12229), without its calls to a large model. `facts` is a parameter of every model of text here;
    `facts=0` is the same model without the graph.
    """

    Params = KGTextParams
    traits = Traits(needs_text=True, needs_knowledge=True)
    small = {"encoder": "hashed-words", "facts": 0}
