"""Linear item-to-item models in closed form.

Letters: Q queries, U users, I items, E events, K items modelled.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from recbench.data import Queries
from recbench.errors import RecbenchError
from recbench.model import Context, Recommender, Traits
from recbench.params import Params, param
from recbench_classic.matrices import history, user_item
from recbench_classic.memory import refuse_larger

if TYPE_CHECKING:
    from recbench.dataset import Dataset

CHUNK = 1024
OUTSIDE = -1e-6


@dataclass(frozen=True)
class EASEParams(Params):
    """Regularisation and size."""

    l2: float = param(250.0, "Ridge penalty on the weights.", low=1.0, high=1e5, log=True, tune=True)
    max_items: int = param(
        8000, "Most popular items that are modelled; memory is 4 bytes times its square.", low=1, high=46000
    )


class EASE(Recommender):
    """Ridge regression of items on each other in closed form, B = I - P / diag(P) (Steck, WWW 2019, arXiv 1905.03375).

    P is the inverse of X'X + l2 and X the binary user-item matrix, in float32. P is dense (68,000 squared would be 19
    GB), so only the `max_items` items with the most users are modelled, ties to the lower row number; every other item
    scores -0.000001 for everyone, just below an item that the history says nothing about. Where items are left out, one
    line on stderr says how many and what all of them would need; where even `max_items` may not fit into memory,
    RecbenchError says so before any work.
    """

    Params = EASEParams
    traits = Traits()
    small = {"l2": 10.0}
    fitted = ("kept_K", "weight_KK")

    def fit(self, train: Dataset, context: Context) -> None:
        """Invert in place: one (K, K) matrix is held; RecbenchError where float32 does not suffice."""
        from scipy.linalg.lapack import spotrf, spotri

        seen_UI = user_item(train.interactions)
        users_I = np.bincount(seen_UI.indices, minlength=seen_UI.shape[1])
        self.kept_K = np.sort(np.argsort(-users_I, kind="stable")[: self.params.max_items]).astype(np.int32)
        self._weigh_up(len(users_I))
        seen_UK = seen_UI.tocsc()[:, self.kept_K].tocsr()
        seen_KU = seen_UK.T.tocsr()
        n = len(self.kept_K)
        gram_KK = np.empty((n, n), np.float32)
        for begin in range(0, n, CHUNK):
            gram_KK[begin : begin + CHUNK] = (seen_KU[begin : begin + CHUNK] @ seen_UK).toarray()
        gram_KK[np.diag_indices(n)] += np.float32(self.params.l2)
        inverse_KK, info = spotrf(gram_KK.T, lower=1, clean=0, overwrite_a=1)
        if info == 0:
            inverse_KK, info = spotri(inverse_KK, lower=1, overwrite_c=1)
        if info != 0:
            raise RecbenchError(
                f"ease: l2={self.params.l2:g} is too small to invert the item matrix in float32; give a larger l2"
            )
        mirror(inverse_KK)
        self.weight_KK = np.ascontiguousarray(inverse_KK.T)
        self.weight_KK /= -np.diag(self.weight_KK).copy()
        np.fill_diagonal(self.weight_KK, 0)

    def _weigh_up(self, n_items: int) -> None:
        """Say what is left out; refuse what does not fit: the matrix, and its copy when the model is saved."""
        n = len(self.kept_K)
        refuse_larger(n_bytes(n), f"ease: the matrix of {n} items", "give a smaller model.max_items")
        if n < n_items:
            print(
                f"recbench: ease: models the {n} most popular of {n_items} items; all of them (model.max_items={n_items}) "
                f"would need {n_bytes(n_items) / 1e9:.1f} GB of memory",
                file=sys.stderr,
                flush=True,
            )

    def score(self, queries: Queries) -> NDArray:
        """(Q, I) float32 from the history alone, so a new user needs no refit."""
        seen_QI = history(queries)
        if len(self.kept_K) == queries.n_items:
            return seen_QI @ self.weight_KK
        seen_QK = seen_QI.tocsc()[:, self.kept_K].tocsr()
        scores_QI = np.full((len(queries), queries.n_items), OUTSIDE, np.float32)
        scores_QI[:, self.kept_K] = seen_QK @ self.weight_KK
        return scores_QI


def n_bytes(n: int) -> int:
    """What a float32 matrix of n items takes, twice: a model is saved through a buffer."""
    return 8 * n * n


def mirror(matrix: NDArray) -> None:
    """Copy the lower triangle onto the upper one, in place and in blocks."""
    n = len(matrix)
    for begin in range(0, n, CHUNK):
        end = min(begin + CHUNK, n)
        lower = np.tril(matrix[begin:end, begin:end])
        matrix[begin:end, begin:end] = lower + np.tril(lower, -1).T
        matrix[begin:end, end:] = matrix[end:, begin:end].T
