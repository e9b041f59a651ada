"""What is known of a user, an item and the two together at a moment, as the columns of a regression.

The columns do not know what is to be predicted from them. Of users only their histories are read, of items the training
events of everybody, and of both what lies strictly before the moment; the items' levels alone, from which residuals are
taken, are those of the whole training part.

Letters: E events, N questions, D columns, I items, G categories.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from recbench.asked import Known, histories
from recbench.content import category_sets
from recbench.data import Interactions, Queries
from recbench.features import FeatureParams, Features, behaviour_features
from recbench.past import Past

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix


@dataclass(frozen=True, eq=False)
class Design:
    """What the columns are made of.

    `known`: the training part. `level_I`: what an item's values are expected to be. `damping`: values at that level that a
    history is taken to have.
    """

    known: Known
    level_I: NDArray
    damping: float

    def of_queries(self, queries: Queries, item_Q: NDArray, log: Interactions | None = None) -> Features:
        """The columns of questions: users by their histories, items by the training events, or by those of `log`."""
        asked = replace(queries, item=item_Q, context=None, searches=None)
        met, who_Q = histories(asked, self.known.dataset.interactions.behaviors)
        return self._with_residuals(self.known.features(asked, log), met, who_Q, item_Q, queries.time)

    def of_rows(self, log: Interactions, past: bool, folds: int, seed: int) -> Features:
        """The columns of training events: each asked when it came, or, fold by fold, after all events of other folds."""
        if past:
            return self._of_known(log, log.user, log.item, log.time)
        fold_E = np.random.default_rng(seed).permutation(len(log)) % folds
        parts, at = [], []
        for fold in range(folds):
            known, rows = log.where(fold_E != fold), np.flatnonzero(fold_E == fold)
            after_U = np.full(log.n_users, np.iinfo(np.int64).min)
            after_U[known.user] = known.time + 1  # in order of time: the last is written last and stays
            time = np.maximum(log.time[rows], after_U[log.user[rows]])
            parts.append(self._of_known(known, log.user[rows], log.item[rows], time))
            at.append(rows)
        values = np.concatenate([part.values for part in parts])[np.argsort(np.concatenate(at))]
        return Features(values, parts[0].names)

    def _of_known(self, log: Interactions, user_N: NDArray, item_N: NDArray, time_N: NDArray) -> Features:
        """(N, D) of users and items both by one log."""
        seen = replace(self.known.dataset, interactions=log)
        found = behaviour_features(seen, user_N, item_N, time_N, FeatureParams(), self.known.prior_B)
        return self._with_residuals(found, log, user_N, item_N, time_N)

    def _with_residuals(self, found: Features, *asked: NDArray | Interactions) -> Features:
        names, values = zip(*self._residuals(*asked), strict=True)
        return Features(np.column_stack([found.values, *values]).astype(np.float32), (*found.names, *names))

    def _residuals(
        self, log: Interactions, user_N: NDArray, item_N: NDArray, time_N: NDArray
    ) -> Iterator[tuple[str, NDArray]]:
        """How far the user's values lay above the items' levels: all of them, and those of items of the same category."""
        left_E = log.value - self.level_I[log.item]

        def shrunk(past: Past, left: NDArray) -> NDArray:
            return np.nan_to_num(past.mean(left)) * past.count / np.maximum(past.count + self.damping, 1e-12)

        yield "user_residual", shrunk(Past.of(log.user, log.time, user_N, time_N), left_E)
        for name, (of_item, n) in self.categories():
            row, category = of_item.take(log.item).flat()
            question, asked = of_item.take(item_N).flat()
            keys = log.user[row] * np.int64(n) + category, user_N[question] * np.int64(n) + asked
            past = Past.of(keys[0], log.time[row], keys[1], time_N[question])
            total = np.bincount(question, shrunk(past, left_E[row]), len(item_N))
            yield f"same_{name}_residual", total / np.maximum(of_item.lengths[item_N], 1)

    def categories(self) -> Iterator[tuple[str, tuple]]:
        """Each category column's name, and its `category_sets`."""
        items = self.known.dataset.items
        for name in () if items is None else [name for name in items if name != "price"]:
            yield str(name), category_sets(items[name])

    def item_block(self) -> csr_matrix:
        """(I, I + G) 1 at the item itself and at each of its categories."""
        from scipy.sparse import csr_matrix, hstack, identity

        n_items = len(self.level_I)
        blocks = [identity(n_items, format="csr")]
        for _, (of_item, n) in self.categories():
            row, category = of_item.flat()
            blocks.append(csr_matrix((np.ones(len(row)), (row, category)), shape=(n_items, n)))
        return hstack(blocks, format="csr")
