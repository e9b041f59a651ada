"""Nearest neighbours: of items, of the last item alone, and of users.

Letters: Q queries, U users, I items, R rows of a block.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from recbench.data import Queries
from recbench.model import Context, Recommender, Traits
from recbench.params import param
from recbench_classic.matrices import counts, dense, history, latest
from recbench_classic.memory import refuse_larger
from recbench_classic.similarity import (
    SimilarityParams,
    pairs_bound,
    products,
    rarity,
    similar,
    squares,
    strongest,
    weighed,
    with_data,
)

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

    from recbench.dataset import Dataset

BYTES_PER_NEIGHBOUR = 24  # number and row of each, three times while blocks are joined and turned


@dataclass(frozen=True)
class ItemSimilarityParams(SimilarityParams):
    """Similarity of items and their neighbourhood."""

    weighting: str = param(
        "cosine",
        "Users count alike (cosine), or less the more items they met (tfidf, bm25).",
        choices=("cosine", "tfidf", "bm25"),
        tune=True,
    )
    min_support: int = param(1, "Users two items must share to be neighbours.", low=1, high=1000)
    keep: str = param(
        "column",
        "Who keeps its neighbours: each scored item (column), or each item of a history (row).",
        choices=("column", "row"),
        formerly="column",
    )


@dataclass(frozen=True)
class ItemKNNParams(ItemSimilarityParams):
    """Similarity, neighbourhood and recency."""

    position_half_life: float = param(
        0.0,
        "Events after which an item of the history counts half; 0: never.",
        low=0.0,
        high=1000.0,
        unit="events",
    )


class ItemKNN(Recommender):
    """Sums an item's similarities to the history (Sarwar et al., WWW 2001; shrinkage: Dacrema et al., RecSys 2019).

    Similarity of item i of the history and scored item j: s = sum of w_ui * w_uj over the users of both, divided by
    norm_i * norm_j + shrink (`cosine`), norm_i^2 + norm_j^2 - s + shrink (`jaccard`; Tanimoto's where weights are not 1),
    norm_i^(2 - 2 alpha) * norm_j^(2 alpha) + shrink (`asymmetric`; Aiolli, RecSys 2013, doi 10.1145/2507157.2507189), or
    by nothing (`dot`). norm_i^2 is the sum of w_ui^2 over the users of i. The weight w_ui of a user is 1 for weighting
    `cosine`, log(1 + I / items of u) for `tfidf`, and that times the saturated number of events for `bm25`.

    The neighbours are chosen by column: each scored item keeps the `neighbours` items most similar to it, and an item of
    the history adds to the scores of those that kept it. With `keep=row` each item of the history keeps the `neighbours`
    items most similar to it and adds to those alone; libraries differ in this, and results with them. An item is never
    its own neighbour; ties at the cut go to the lower row number. Repeats in a history count once, at the last
    occurrence. Items that no neighbour reaches score 0. Fitting goes over blocks of items and never holds the full
    matrix; RecbenchError, before any work, where the neighbours would not fit into memory.
    """

    Params = ItemKNNParams
    traits = Traits()
    small = {"neighbours": 20}
    fitted = ("similarity_II",)

    def fit(self, train: Dataset, context: Context) -> None:
        """Find each item's neighbours; row: item of the history, column: scored item."""
        p, log = self.params, train.interactions
        count_IU = counts(log.item, log.user, (log.n_items, log.n_users))
        mean_length = len(log) / max(1, log.n_items)
        weight_IU = weighed(count_IU, rarity(count_IU), mean_length, p, p.weighting)
        weight_UI = weight_IU.T.tocsr()
        refuse_many(pairs_bound(weight_IU, weight_UI), p.neighbours)
        near_RI = self._neighbours(weight_IU, weight_UI)
        self.similarity_II = near_RI.T.tocsr() if p.keep == "column" else near_RI

    def _neighbours(self, weight_IU: csr_matrix, weight_UI: csr_matrix) -> csr_matrix:
        """(I, I) the neighbours of each row, whichever of the two it is."""
        from scipy.sparse import vstack

        p, square_I = self.params, squares(weight_IU)
        ones_IU, ones_UI = (with_data(m, np.ones_like(m.data)) for m in (weight_IU, weight_UI))
        alpha = p.alpha if p.keep == "column" else 1 - p.alpha
        parts = [weight_IU[:0] @ weight_UI]
        for rows, shared_RI in products(weight_IU, weight_UI):
            row_N = np.repeat(np.arange(rows.start, rows.stop), np.diff(shared_RI.indptr))
            none_N = shared_RI.indices == row_N
            if p.min_support > 1:  # the product of ones has the same entries in the same order
                support_RI = shared_RI if p.weighting == "cosine" else ones_IU[rows] @ ones_UI
                none_N |= support_RI.data < p.min_support
            near_RI = similar(shared_RI, square_I[rows], square_I, p, alpha)
            near_RI.data[none_N] = -np.inf
            parts.append(strongest(near_RI, p.neighbours))
        return vstack(parts, format="csr")

    def score(self, queries: Queries) -> NDArray:
        """(Q, I) float32 from the history alone; 0 where no item of it is a neighbour."""
        return dense(history(queries, self.params.position_half_life), self.similarity_II)


class LastItem(ItemKNN):
    """Ranks items by their similarity to the last item of the history alone, as `item-knn` measures it.

    What users met together counts, in whatever order (`markov` and `sequential-rules` read the order); all but the last
    event of the history is ignored. The item-to-item list of shops (Linden, Smith, York, 2003, doi
    10.1109/MIC.2003.1167344), and the item kNN of session-based comparisons (Ludewig and Jannach, UMUAI 2018, arXiv
    1803.09587). Items that are no neighbour of the last one score 0.
    """

    Params = ItemSimilarityParams

    def score(self, queries: Queries) -> NDArray:
        """(Q, I) float32 similarities to the last item."""
        return dense(history(latest(queries, 1)), self.similarity_II)


def refuse_many(bound_I: NDArray, neighbours: int) -> None:
    """RecbenchError where the neighbours of all items may not fit into memory."""
    stored = np.minimum(bound_I, neighbours).sum()
    refuse_larger(
        stored * BYTES_PER_NEIGHBOUR,
        f"neighbours={neighbours} of {len(bound_I)} items",
        "give fewer model.neighbours",
    )


@dataclass(frozen=True)
class UserKNNParams(SimilarityParams):
    """Similarity of users and their neighbourhood."""

    weighting: str = param(
        "tfidf",
        "Items count alike (none), or less the more users met them (tfidf, bm25).",
        choices=("none", "tfidf", "bm25"),
        tune=True,
    )


class UserKNN(Recommender):
    """Sums the similarities of the training users who met an item (Resnick et al., CSCW 1994, doi 10.1145/192844.192905).

    Similarity of the asking history u and training user v: s = sum of w_ui * w_vi over the items of both, divided by
    norm_u * norm_v + shrink (`cosine`), norm_u^2 + norm_v^2 - s + shrink (`jaccard`), norm_u^(2 - 2 alpha) *
    norm_v^(2 alpha) + shrink (`asymmetric`), or by nothing (`dot`). The weight of an item is 1 for weighting `none`,
    log(1 + U / users of i) for `tfidf`, and that times the saturated number of events for `bm25`.

    The neighbours are found when the question is put, from its history alone, so a new user needs no refit: the
    `neighbours` training users most similar to it, ties at the cut going to the lower row number, the asking user's own
    training row excluded. Each neighbour counts once an item. Items that no neighbour met score 0. Histories are
    compared in blocks of bounded memory.
    """

    Params = UserKNNParams
    traits = Traits()
    small = {"neighbours": 20}
    fitted = ("seen_UI", "weight_IU", "square_U", "rarity_I", "mean_length")

    def fit(self, train: Dataset, context: Context) -> None:
        """Weigh the items that each user met; nothing is compared yet."""
        p, log = self.params, train.interactions
        count_UI = counts(log.user, log.item, (log.n_users, log.n_items))
        self.seen_UI = with_data(count_UI, np.ones_like(count_UI.data))
        self.rarity_I = rarity(count_UI)
        self.mean_length = np.array(len(log) / max(1, log.n_users))
        weight_UI = weighed(count_UI, self.rarity_I, float(self.mean_length), p, p.weighting)
        self.weight_IU = weight_UI.T.tocsr()
        self.square_U = squares(weight_UI)

    def score(self, queries: Queries) -> NDArray:
        """(Q, I) float32 from the history and the training users like it."""
        p = self.params
        count_QI = counts(*queries.items.flat(), (len(queries), queries.n_items))
        weight_QI = weighed(count_QI, self.rarity_I, float(self.mean_length), p, p.weighting)
        square_Q = squares(weight_QI)
        scores_QI = np.zeros((len(queries), queries.n_items), np.float32)
        for rows, shared_RU in products(weight_QI, self.weight_IU):
            asker_N = np.repeat(queries.user[rows], np.diff(shared_RU.indptr))
            near_RU = similar(shared_RU, square_Q[rows], self.square_U, p, 1 - p.alpha)
            near_RU.data[shared_RU.indices == asker_N] = -np.inf
            scores_QI[rows] = dense(strongest(near_RU, p.neighbours), self.seen_UI)
        return scores_QI
