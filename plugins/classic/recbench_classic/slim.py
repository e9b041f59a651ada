"""Sparse linear item-to-item weights by coordinate descent on the Gram matrix.

Letters: U users, I items, Q queries, R items whose weights are sought, N stored weights; of a batch of them, B items, each
with A places of its active set.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from recbench.data import Queries
from recbench.model import Context, Recommender, Traits
from recbench.params import Params, param
from recbench_classic.matrices import dense, history, user_item
from recbench_classic.memory import refuse_larger
from recbench_classic.similarity import PAIRS, blocks, kept, pairs_bound, strongest, with_data

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

    from recbench.dataset import Dataset

TOLERANCE = 1e-8  # change of a weight that no longer matters
ENTERING = 64  # weights that may join an item's active set at once
SIDE = 4096  # items whose Gram matrix is held densely at once
SWEEPS = 3  # of coordinate descent between two attempts to solve for all weights above zero in one step


@dataclass(frozen=True)
class SLIMParams(Params):
    """Penalties and size."""

    l1: float = param(1.0, "Penalty on the weights: how sparse they are.", low=0.1, high=100.0, log=True, tune=True)
    l2: float = param(10.0, "Penalty on the squares of the weights.", low=0.01, high=1e4, log=True, tune=True)
    candidates: int = param(
        0, "Items most similar to an item (cosine) that may have a weight; 0: every item.", low=0, high=2000
    )


class SLIM(Recommender):
    """Weights of other items that rebuild each item's column, sparse and never negative (Ning and Karypis, ICDM 2011).

    For each item j the w with w >= 0 and w_j = 0 that minimises |x_j - X w|^2 / 2 + l1 * |w|_1 + l2 * |w|^2 / 2, X the
    binary user-item matrix and x_j its column j (doi 10.1109/ICDM.2011.134). Solved by coordinate descent on G = X'X for
    many items at once, each over a growing active set, until descent would change no weight, in the set or outside, by
    more than 1e-7. What shares l1 users or fewer with j can have no weight and is never looked at. With `candidates` only
    the items most similar to j are tried, ties going to the lower row number: faster, and not the minimum. G is held as a
    sparse matrix; RecbenchError, before any work, where it may not fit into memory. Items that no weight reaches score 0.
    """

    Params = SLIMParams
    traits = Traits()
    small = {"l1": 0.1, "l2": 1.0}
    fitted = ("weight_II",)

    def fit(self, train: Dataset, context: Context) -> None:
        """Find the weights of each item; row: item of the history, column: scored item."""
        from scipy.sparse import vstack

        seen_UI = user_item(train.interactions).astype(np.float64)
        seen_IU = seen_UI.T.tocsr()
        n_items = seen_UI.shape[1]
        n_pairs = np.minimum(pairs_bound(seen_IU, seen_UI), n_items).sum()
        advice = "keep to the items met often, or use model=item-knn"
        refuse_larger(16 * n_pairs, f"slim: what {n_items} items share", advice)
        gram_II = seen_IU @ seen_UI
        gram_II.sort_indices()
        parts = [gram_II[:0]]
        for rows in blocks(np.diff(gram_II.indptr)):
            parts.append(weights(gram_II, np.arange(rows.start, rows.stop), self.params))
        self.weight_II = vstack(parts, format="csr").T.tocsr().astype(np.float32)

    def score(self, queries: Queries) -> NDArray:
        """(Q, I) float32 from the history alone, so a new user needs no refit."""
        return dense(history(queries), self.weight_II)


def weights(gram_II: csr_matrix, item_R: NDArray, params: SLIMParams) -> csr_matrix:
    """(R, I) float64 the weights of some items, row by row."""
    from scipy.sparse import vstack

    diagonal_I = gram_II.diagonal()
    target_RI = gram_II[item_R]
    own_N = np.repeat(item_R, np.diff(target_RI.indptr))
    target_RI = kept(target_RI, (target_RI.indices != own_N) & (target_RI.data > params.l1))
    alike_RI = with_data(target_RI, target_RI.data / np.sqrt(diagonal_I[target_RI.indices]))  # in each row as cosine
    active_RI = strongest(alike_RI, params.candidates or ENTERING)
    open_R, parts, places = np.arange(len(item_R)), [], []
    while len(open_R):
        found_RI = restricted(gram_II, target_RI, active_RI, params)
        entering_RI = entering(gram_II, diagonal_I, target_RI, found_RI, params)
        more_R = np.diff(entering_RI.indptr) > 0
        parts.append(found_RI[~more_R])
        places.append(open_R[~more_R])
        open_R, target_RI, active_RI = open_R[more_R], target_RI[more_R], (found_RI + entering_RI)[more_R]
    return vstack(parts, format="csr")[np.argsort(np.concatenate(places))]


def entering(
    gram_II: csr_matrix, diagonal_I: NDArray, target_RI: csr_matrix, found_RI: csr_matrix, params: SLIMParams
) -> csr_matrix:
    """(R, I) the weights at zero that descent would lift most, each with the value that it would take."""
    if params.candidates:
        return kept(found_RI, np.zeros(found_RI.nnz, bool))
    outside_RI = target_RI - found_RI @ gram_II - with_data(found_RI, np.full(found_RI.nnz, np.inf))
    value_N = (outside_RI.data - params.l1) / (diagonal_I[outside_RI.indices] + params.l2)
    return strongest(kept(with_data(outside_RI, value_N), value_N > 10 * TOLERANCE), ENTERING)


def restricted(gram_II: csr_matrix, target_RI: csr_matrix, active_RI: csr_matrix, params: SLIMParams) -> csr_matrix:
    """(R, I) the best weights among those of the active sets, whose values say where descent begins."""
    length_R = np.diff(active_RI.indptr)
    size_R = np.ceil(np.log2(np.maximum(length_R, 1)))
    weight_N = np.zeros(active_RI.nnz)
    for size in np.unique(size_R[length_R > 0]):  # a batch is as wide as its longest set: alike lengths together
        alike = np.flatnonzero((size_R == size) & (length_R > 0))
        cost = 4**size if gram_II.shape[0] <= SIDE else max(4**size, 2**size * PAIRS / SIDE)
        for span in blocks(np.full(len(alike), cost)):
            rows = alike[span]
            b_N = np.repeat(np.arange(len(rows)), length_R[rows])
            a_N = np.arange(len(b_N)) - np.searchsorted(b_N, b_N)
            at_N = active_RI.indptr[rows][b_N] + a_N
            item_N = active_RI.indices[at_N]
            item_BA = np.zeros((len(rows), length_R[rows].max()), np.int64)
            pull_BA, weight_BA = np.full(item_BA.shape, -np.inf), np.zeros(item_BA.shape)  # no place: stays 0
            item_BA[b_N, a_N] = item_N
            pull_BA[b_N, a_N] = np.asarray(target_RI[rows[b_N], item_N]).ravel() - params.l1
            weight_BA[b_N, a_N] = active_RI.data[at_N]
            descend(submatrices(gram_II, item_BA), pull_BA, weight_BA, params.l2)
            weight_N[at_N] = weight_BA[b_N, a_N]
    return kept(with_data(active_RI, weight_N), weight_N > 0)


def submatrices(gram_II: csr_matrix, item_BA: NDArray) -> NDArray:
    """(A, B, A) the entries of the Gram matrix at the items of each batch row."""
    items, place = np.unique(item_BA, return_inverse=True)
    gram = gram_II[items][:, items].toarray()
    place_BA = place.reshape(item_BA.shape)
    return gram[place_BA.T[:, :, None], place_BA[None, :, :]]


def descend(gram_ABA: NDArray, pull_BA: NDArray, weight_BA: NDArray, l2: float) -> None:
    """Move each batch row, in place, to the w >= 0 that minimises w'Gw / 2 + l2 * w'w / 2 - pull'w."""
    places = np.arange(gram_ABA.shape[0])
    curve_AB = gram_ABA[places, :, places] + l2
    open_B, moving_BA = np.arange(len(weight_BA)), weight_BA.copy()
    for sweep in count(1):
        change_B = np.zeros(len(open_B))
        for a in places:
            before_B = moving_BA[:, a].copy()
            slope_B = pull_BA[:, a] - np.einsum("ba,ba->b", gram_ABA[a], moving_BA) - l2 * before_B
            moving_BA[:, a] = np.maximum(before_B + slope_B / curve_AB[a], 0)
            np.maximum(change_B, np.abs(moving_BA[:, a] - before_B), out=change_B)
        if sweep % SWEEPS:
            continue
        weight_BA[open_B] = moving_BA
        more_B = change_B > TOLERANCE
        if not more_B.any():
            return
        open_B, moving_BA, pull_BA = open_B[more_B], moving_BA[more_B], pull_BA[more_B]
        gram_ABA, curve_AB = gram_ABA[:, more_B], curve_AB[:, more_B]
        leap(gram_ABA, pull_BA, moving_BA, l2)


def leap(gram_ABA: NDArray, pull_BA: NDArray, weight_BA: NDArray, l2: float) -> None:
    """Go, in place, to the minimum over the weights above zero, cut at zero, where that is lower (projected Newton)."""
    above_BA = weight_BA > 0
    gram_BAA = np.where(above_BA[:, :, None] & above_BA[:, None, :], gram_ABA.transpose(1, 0, 2), 0)
    places = np.arange(above_BA.shape[1])
    gram_BAA[:, places, places] += np.where(above_BA, l2, 1)
    pull_BA = np.where(above_BA, pull_BA, 0)
    free_BA = np.linalg.solve(gram_BAA, pull_BA[:, :, None])[:, :, 0]
    there_BA = np.maximum(free_BA, 0)
    half_BA = np.einsum("bac,bc->ba", gram_BAA, there_BA) / 2 - pull_BA
    here_BA = np.einsum("bac,bc->ba", gram_BAA, weight_BA) / 2 - pull_BA
    lower_B = (half_BA * there_BA).sum(axis=1) < (here_BA * weight_BA).sum(axis=1)
    lower_B |= (free_BA >= 0).all(axis=1)  # which rounding may hide
    weight_BA[lower_B] = there_BA[lower_B]
