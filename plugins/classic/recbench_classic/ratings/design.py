"""What is known of a user, an item and the two together at a moment, as the columns of a regression.

The columns do not know what is to be predicted from them. Of users only their histories are read, of items the training
events of everybody, and of both what lies strictly before the moment.

Letters: E training events, N questions, D columns, I items, B behaviours, C category columns, G categories.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from recbench.content import category_sets
from recbench.data import Interactions, Queries
from recbench.dataset import Dataset, DatasetInfo
from recbench.features import FeatureParams, Features, behaviour_features, rate_prior
from recbench.past import Past
from recbench_classic.ratings.rated import distinct_histories

if TYPE_CHECKING:
    import pandas as pd
    from scipy.sparse import csr_matrix


@dataclass(frozen=True, eq=False)
class Design:
    """What the columns are made of, all arrays: the training events, what the item table says, and the levels of items.

    `clock`, `behaviors`: as the data have them. `event_*`: (E,) the training events in order of time, without users.
    `column_C`, `cell_CI`: names and cells of the category columns. `price_I`: NaN where unknown. `prior_B`: `rate_prior`.
    `level_I`: what an item's values are expected to be. `damping`: values at that level that a history is taken to have.
    """

    clock: NDArray
    behaviors: NDArray
    event_item: NDArray
    event_time: NDArray
    event_behavior: NDArray
    event_value: NDArray
    column_C: NDArray
    cell_CI: NDArray
    price_I: NDArray
    prior_B: NDArray
    level_I: NDArray
    damping: NDArray

    @classmethod
    def of(cls, train: Dataset, level_I: NDArray, damping: float) -> Design:
        """From the training part."""
        log, items = train.interactions, train.items
        names = [name for name in FeatureParams().categories.split(",") if items is not None and name in items]
        cells = [words(items[name]) for name in names] if items is not None else []
        priced = items is not None and "price" in items
        return cls(
            np.array(train.info.clock),
            np.array(log.behaviors),
            log.item,
            log.time,
            log.behavior,
            log.value,
            np.array(names, str),
            np.array(cells, str).reshape(len(names), train.n_items),
            prices(items["price"]) if priced and items is not None else np.full(train.n_items, np.nan),
            rate_prior(log),
            level_I,
            np.array(damping),
        )

    @property
    def log(self) -> Interactions:
        """The training events, as if of one user."""
        user = np.zeros(len(self.event_item), np.int32)
        columns = self.event_item, self.event_time, self.event_behavior, self.event_value
        return Interactions(user, *columns, tuple(map(str, self.behaviors)), 1, len(self.level_I))

    def of_queries(self, queries: Queries, item_Q: NDArray) -> Features:
        """The columns of questions: users by their histories, items by the training events."""
        first, which_Q = distinct_histories(queries)
        asked, events = queries.take(first), self.log
        user, item = asked.items.flat()
        columns = {"behavior": asked.behaviors.flat()[1], "value": asked.values.flat()[1]}
        kinds = {"behaviors": events.behaviors, "n_users": len(first), "n_items": queries.n_items}
        histories = Interactions.sorted(user, item, asked.times.flat()[1], **columns, **kinds)
        return self.columns(histories, events, which_Q, item_Q, queries.time)

    def of_rows(self, log: Interactions, past: bool, folds: int, seed: int) -> Features:
        """The columns of training events: each asked when it came, or, fold by fold, after all events of other folds."""
        if past:
            return self.columns(log, log, log.user, log.item, log.time)
        fold_E = np.random.default_rng(seed).permutation(len(log)) % folds
        parts, at = [], []
        for fold in range(folds):
            known, rows = log.where(fold_E != fold), np.flatnonzero(fold_E == fold)
            after_U = np.full(log.n_users, np.iinfo(np.int64).min)
            after_U[known.user] = known.time + 1  # in order of time: the last is written last and stays
            time = np.maximum(log.time[rows], after_U[log.user[rows]])
            parts.append(self.columns(known, known, log.user[rows], log.item[rows], time))
            at.append(rows)
        values = np.concatenate([part.values for part in parts])[np.argsort(np.concatenate(at))]
        return Features(values, parts[0].names)

    def columns(
        self, histories: Interactions, events: Interactions, user_N: NDArray, item_N: NDArray, time_N: NDArray
    ) -> Features:
        """(N, D): of items by `events`, all else by `histories`, whose users are numbered by `user_N`."""
        params = FeatureParams()
        found = behaviour_features(self.view(histories), user_N, item_N, time_N, params, self.prior_B)
        if events is not histories:
            nobody = np.zeros(len(item_N), np.int64)
            of_items = behaviour_features(self.view(events), nobody, item_N, time_N, params, self.prior_B)
            item_D = np.array([name.startswith("item_") for name in found.names])
            found = replace(found, values=np.where(item_D, of_items.values, found.values))
        names, values = zip(*self._residuals(histories, user_N, item_N, time_N), strict=True)
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

    def view(self, log: Interactions) -> Dataset:
        """Events and item table as `recbench.features` reads them."""
        info = DatasetInfo("view", "", str(self.clock), "", "")
        return Dataset(info, log, np.arange(log.n_users), np.arange(log.n_items), self.table())

    def table(self) -> pd.DataFrame:
        import pandas as pd

        table = pd.DataFrame({str(name): cells for name, cells in zip(self.column_C, self.cell_CI, strict=True)})
        return table if np.isnan(self.price_I).all() else table.assign(price=self.price_I)

    def categories(self) -> Iterator[tuple[str, tuple]]:
        """Each category column's name, and its `category_sets`."""
        for name in map(str, self.column_C):
            yield name, category_sets(self.table()[name])

    def item_block(self) -> csr_matrix:
        """(I, I + G) 1 at the item itself and at each of its categories."""
        from scipy.sparse import csr_matrix, hstack, identity

        n_items = len(self.level_I)
        blocks = [identity(n_items, format="csr")]
        for _, (of_item, n) in self.categories():
            row, category = of_item.flat()
            blocks.append(csr_matrix((np.ones(len(row)), (row, category)), shape=(n_items, n)))
        return hstack(blocks, format="csr")


def words(cells: pd.Series) -> list[str]:
    """Each cell as text split at |, empty where it is missing."""
    lists = (list, tuple, set, np.ndarray)
    filled = cells.astype(object).where(cells.notna(), "")
    return ["|".join(map(str, cell)) if isinstance(cell, lists) else str(cell) for cell in filled]


def prices(cells: pd.Series) -> NDArray:
    import pandas as pd

    return np.asarray(pd.to_numeric(cells, errors="coerce"), float)
