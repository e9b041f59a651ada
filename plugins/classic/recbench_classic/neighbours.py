"""Item-based nearest neighbours.

Letters: Q queries, U users, I items, E events, C items of a chunk.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from recbench.data import Queries
from recbench.model import Context, Recommender, Traits
from recbench.params import Params, param
from recbench_classic.matrices import history, user_item

if TYPE_CHECKING:
    from recbench.dataset import Dataset

CHUNK = 512


@dataclass(frozen=True)
class ItemKNNParams(Params):
    """Similarity, neighbourhood and recency."""

    neighbours: int = param(100, "Neighbours kept for each scored item.", low=1, high=2000, log=True, tune=True)
    shrink: float = param(
        10.0, "Added to the denominator: doubts similarities of rare items.", low=0.0, high=1000.0, tune=True
    )
    weighting: str = param(
        "cosine", "Users count alike, or less the more items they met.", choices=("cosine", "tfidf"), tune=True
    )
    min_support: int = param(1, "Users two items must share to be neighbours.", low=1, high=1000)
    position_half_life: float = param(
        0.0,
        "Events after which an item of the history counts half; 0: never.",
        low=0.0,
        high=1000.0,
        unit="events",
    )


class ItemKNN(Recommender):
    """Sums an item's similarities to the history (Sarwar et al., WWW 2001; shrinkage: Dacrema et al., RecSys 2019).

    Similarity of items i and j: sum of w_u^2 over the users of both, over (norm_i * norm_j + shrink), where norm_i^2 is
    the sum of w_u^2 over the users of i; w_u is 1 for `cosine`, log(1 + I / items of u) for `tfidf`. The neighbours are
    chosen by column: each scored item keeps the `neighbours` items most similar to it, itself excluded, ties at the cut
    going to the lower row number; an item of the history adds to the scores of those that kept it. Repeats in a
    history count once, at the last occurrence. Fitting goes over chunks of items and never holds the full matrix.
    """

    Params = ItemKNNParams
    traits = Traits()
    small = {"neighbours": 20}
    fitted = ("similarity_II",)

    def fit(self, train: Dataset, context: Context) -> None:
        """Find each item's neighbours; row: item of the history, column: scored item."""
        from scipy.sparse import csr_matrix

        p = self.params
        seen_UI = user_item(train.interactions)
        n_items = seen_UI.shape[1]
        weighted_UI = seen_UI.copy()
        if p.weighting == "tfidf":
            per_user = np.diff(seen_UI.indptr)
            weighted_UI.data *= np.repeat(np.log1p(n_items / np.maximum(per_user, 1)), per_user).astype(np.float32)
        norm_I = np.sqrt(np.bincount(weighted_UI.indices, weighted_UI.data.astype(np.float64) ** 2, n_items))
        norm_I = norm_I.astype(np.float32)
        seen_IU, weighted_IU = seen_UI.T.tocsr(), weighted_UI.T.tocsr()
        sources, targets, values = [], [], []
        for begin in range(0, n_items, CHUNK):
            end = min(begin + CHUNK, n_items)
            shared_CI = weighted_IU[begin:end] @ weighted_UI
            keep = None
            if p.min_support > 1:
                support_CI = shared_CI if p.weighting == "cosine" else seen_IU[begin:end] @ seen_UI
                keep = support_CI.data >= p.min_support  # same entries in the same order as `shared_CI`
            for c in range(end - begin):
                span = slice(shared_CI.indptr[c], shared_CI.indptr[c + 1])
                source, value = shared_CI.indices[span], shared_CI.data[span]
                fine = source != begin + c
                if keep is not None:
                    fine &= keep[span]
                source, value = source[fine], value[fine]
                value = value / (norm_I[source] * norm_I[begin + c] + np.float32(p.shrink))
                chosen = largest(value, source, p.neighbours)
                sources.append(source[chosen])
                values.append(value[chosen])
                targets.append(len(chosen))
        source, value = _joined(sources, np.int32), _joined(values, np.float32)
        target = np.repeat(np.arange(n_items, dtype=np.int32), np.array(targets, np.int64))
        self.similarity_II = csr_matrix((value, (source, target)), shape=(n_items, n_items))

    def score(self, queries: Queries) -> NDArray:
        """(Q, I) float32 from the history alone; 0 where no item of it is a neighbour."""
        weight_QI = history(queries, self.params.position_half_life)
        return (weight_QI @ self.similarity_II).toarray().astype(np.float32, copy=False)


def largest(value: NDArray, tiebreak: NDArray, k: int) -> NDArray:
    """Positions of the k largest values; of those that tie at the cut, the lowest `tiebreak`."""
    if len(value) <= k:
        return np.arange(len(value))
    cut = np.partition(value, len(value) - k)[len(value) - k]
    above, tied = np.flatnonzero(value > cut), np.flatnonzero(value == cut)
    tied = tied[np.argsort(tiebreak[tied])[: k - len(above)]]
    return np.concatenate([above, tied])


def _joined(parts: list[NDArray], dtype: type) -> NDArray:
    return np.concatenate(parts).astype(dtype, copy=False) if parts else np.empty(0, dtype)
