"""What a stranger ships: a model, a metric and a data set, from the names that recbench exports.

Letters: Q queries, I items.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recbench import (
    Board,
    Context,
    Dataset,
    DatasetInfo,
    DatasetSource,
    Interactions,
    Metric,
    Params,
    Queries,
    RankedLists,
    Recommender,
    Traits,
    param,
)
from recbench.fetch import SourceFile
from recbench.ingest import from_sequences
from recbench.protocols import leave_last_out


@dataclass(frozen=True)
class AcmeParams(Params):
    """How much popularity helps."""

    prior: float = param(0.1, "Weight of popularity beside the transitions.", low=0.0, high=10.0, tune=True)


class Acme(Recommender):
    """What followed the last item in other histories, with popularity behind it."""

    Params = AcmeParams
    traits = Traits(sequential=True)
    fitted = ("next_II", "popularity_I")

    def fit(self, train: Dataset, context: Context) -> None:
        """Count pairs of successive events of a user."""
        log = train.interactions
        order, _ = log.by_user()
        user, item = log.user[order], log.item[order]
        same = user[1:] == user[:-1]
        self.next_II = np.zeros((log.n_items, log.n_items), np.float32)
        np.add.at(self.next_II, (item[:-1][same], item[1:][same]), 1)
        self.popularity_I = np.bincount(item, minlength=log.n_items).astype(np.float32) / max(1, len(item))

    def score(self, queries: Queries) -> NDArray:
        """(Q, I) float32."""
        scores_QI = np.tile(np.float32(self.params.prior) * self.popularity_I, (len(queries), 1))
        query, last = queries.items.last(1).flat()
        scores_QI[query] += self.next_II[last]
        return scores_QI


class AcmeFirst(Metric):
    """Whether the first item is right, in expectation over ties."""

    needs_k = False
    definition = "acme-first/position=1/ties=expected/v1"

    def __call__(self, answers: RankedLists, train: Dataset) -> NDArray:
        return answers.hit_QK[:, 0]


class AcmeShop(DatasetSource):
    """Eight made-up customers who walk around ten products, one a day."""

    info = DatasetInfo("acme-shop", "ecommerce", "days", "CC0-1.0", "made up in acme_recsys.py")
    boards = (
        Board(
            "acme-shop",
            "acme-shop",
            ("ndcg@10",),
            "ndcg@10",
            test_window_days=3,
            valid_window_days=3,
            repeat="any",
            meaning="Which products will the customer take in the next three days?",
        ),
    )

    def load(self) -> Dataset:
        """Make the walk."""
        day, user = (a.ravel() for a in np.meshgrid(np.arange(20), np.arange(8), indexing="ij"))
        log = Interactions.sorted(user, (user + day) % 10, 86400 * day, n_users=8, n_items=10)
        checksum = hashlib.sha256(log.user.tobytes() + log.item.tobytes() + log.time.tobytes()).hexdigest()
        return Dataset(self.info, log, np.arange(8), np.array([f"product-{i}" for i in range(10)]), checksum=checksum)


class AcmeBeauty(DatasetSource):
    """Whatever order file lies in the folder: a user a line, its items in order, and attributes of the items."""

    info = DatasetInfo("acme-beauty", "ecommerce", "order", "CC0-1.0", "a folder of the user's")
    files = (SourceFile("Beauty.txt"), SourceFile("Beauty_item2attributes.json"))
    boards = (leave_last_out("acme-beauty", "acme-beauty"),)

    def load(self) -> Dataset:
        """Read both files."""
        import pandas as pd

        with self.reading("Beauty.txt"):
            log, user_ids, item_ids = from_sequences(self.content("Beauty.txt").decode())
        with self.reading("Beauty_item2attributes.json"):
            attributes = json.loads(self.content("Beauty_item2attributes.json"))
            text = [" ".join(map(str, attributes.get(str(i), []))) for i in item_ids]
        items = pd.DataFrame({"text": text})
        return Dataset(self.info, log, user_ids, item_ids, items, checksum=self.checksum())
