"""Ciao of eTrust and mTrust: ratings of products by day, with the trust between those who rate."""

from __future__ import annotations

import numpy as np

from recbench.dataset import Dataset, DatasetInfo, DatasetSource, Holds
from recbench.fetch import SourceFile
from recbench.ingest import log_of
from recbench.protocols import NEXT_METRICS, ratings, time_split

RATINGS, TRUST = "rating.txt", "trust.txt"
FOLDER = "https://raw.githubusercontent.com/yangjiera/LibMF/c8b9b861fa902c99e4764f7408e2881dd7c39399/dataset/Ciao"


class Ciao(DatasetSource):
    """36,065 ratings of 16,861 products by 2,248 users, by the day, 2000 to 2011, with 57,544 edges of trust."""

    info = DatasetInfo(
        "ciao",
        "social",
        "days",
        "provided by the authors for research, with citation",
        "github.com/yangjiera/LibMF at c8b9b861, folder dataset/Ciao",
        "Tang, Gao, Liu, mTrust, WSDM 2012; Tang, Gao, Liu, Das Sarma, eTrust, KDD 2012",
        "The median product has one rating: a set for cold start and trust rather than for sequences. This is the Ciao "
        "of 2,248 users, not GraphRec's of 7,375.",
        holds=Holds(36_065, 2_248, 16_861, ("rate",), graphs=("friends",)),
    )
    files = (
        SourceFile(
            RATINGS,
            "2339f5f63e4fef97a3dd6f1380b807a916c985bdd2562114404a185dd51baf19",
            url=f"{FOLDER}/{RATINGS}",
        ),
        SourceFile(TRUST, "d918f3b1c30429e8b0bdd5b803e47db8c7fe42f32aef5a766a9e227758222ca5", url=f"{FOLDER}/{TRUST}"),
    )
    # With one rating a product in the median, three targets of four are products nobody rated before, whatever the
    # window; a year is the shortest that asks a thousand questions of the rest.
    boards = (
        time_split(
            "ciao",
            "ciao",
            365,
            metrics=NEXT_METRICS,
            ask="each_event",
            target="first",
            meaning="Which product that others rated before the year will a user rate next?",
        ),
        ratings("ciao-rating", "ciao"),
    )

    def load(self) -> Dataset:
        """Read ratings and trust; how helpful others found a review came after it and is left out."""
        columns = ("user", "item", "category", "rating", "helpfulness", "time")
        table = self.table(RATINGS, columns, sep=r"\s+", dtype="float64")
        trust = self.table(TRUST, ("user", "friend"), sep=r"\s+", dtype="float64")
        with self.reading(RATINGS):
            table = _whole(table)
            log, user_ids, item_ids = log_of(
                table["user"],
                table["item"],
                table["time"],
                value=table["rating"].to_numpy(),
                behaviors=("rate",),
            )
            first = table.sort_values("time", kind="stable").drop_duplicates("item").set_index("item")
            category = first["category"].reindex(item_ids).astype(str).reset_index(drop=True)
        with self.reading(TRUST):
            social = _whole(trust)
        return Dataset(
            self.info,
            log,
            user_ids,
            item_ids,
            category.to_frame(),
            social=social,
            checksum=self.checksum(),
            cleaning={
                "rows": len(table),
                "pairs_rated_again_kept": int(table.duplicated(["user", "item"]).sum()),
                "products_of_two_categories_given_the_first": int(
                    (table.groupby("item")["category"].nunique() > 1).sum()
                ),
            },
        )


def _whole(frame):
    """Whole numbers, which the files write in %e form."""
    whole = frame.astype(np.int64)
    if (whole != frame).any(axis=None):
        raise ValueError("a number is not whole")
    return whole
