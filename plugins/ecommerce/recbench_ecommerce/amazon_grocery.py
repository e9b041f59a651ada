"""Amazon grocery reviews of 2014 with the graph of complements and substitutes, as ReChorus prepared them.

Letters: N triples.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np

from recbench.dataset import Dataset, DatasetInfo, DatasetSource, Holds
from recbench.fetch import SourceFile
from recbench.ingest import log_of
from recbench.protocols import cold_items, time_split

if TYPE_CHECKING:
    import pandas as pd

FOLDER = (
    "https://raw.githubusercontent.com/THUwangcy/ReChorus/"
    "e58d752558634d42be60de561d6f74df748583cc/data/Grocery_and_Gourmet_Food"
)


class AmazonGrocery(DatasetSource):
    """121,892 reviews of 8,687 groceries by 14,681 users, by the day, with 373,377 edges between products."""

    info = DatasetInfo(
        "amazon-grocery",
        "ecommerce",
        "days",
        "Amazon product data 2014 (McAuley et al., UCSD): for research, no formal licence; ReChorus itself is MIT",
        "github.com/THUwangcy/ReChorus at e58d7525, folder data/Grocery_and_Gourmet_Food",
        "McAuley et al., SIGIR 2015; He and McAuley, WWW 2016",
        "Each user's last two reviews are missing, so ReChorus's numbers cannot be reproduced and the last months are "
        "thin. Two rows of five share their day with another of the same user. The graph was taken from the shop after "
        "the last review: it has seen the test.",
        holds=Holds(121_892, 14_681, 8_687, ("review",), graphs=("triples",)),
    )
    files = (
        SourceFile(
            "train.csv",
            "75847958fbcfec35dd0a20bda43432c22a5d7e5b5fe571fef0b25ff580b475f4",
            url=f"{FOLDER}/train.csv",
        ),
        SourceFile(
            "item_meta.csv",
            "35a7d55fb7024b3cf7937cbc424762bc1cb5ef1f41d49f5955011effcebf144c",
            url=f"{FOLDER}/item_meta.csv",
        ),
    )
    # People review a grocery every few months: a window of four weeks would ask few of them.
    boards = (
        time_split(
            "amazon-grocery",
            "amazon-grocery",
            90,
            meaning="Which groceries new to the user will it review in the next three months?",
        ),
        cold_items("amazon-grocery-cold", "amazon-grocery"),
    )

    def load(self) -> Dataset:
        """Read the reviews, the categories by number and the edges."""
        reviews, meta = (self.table(name, sep="\t", quoting=3) for name in ("train.csv", "item_meta.csv"))
        log, user_ids, item_ids = log_of(reviews["user_id"], reviews["item_id"], reviews["time"], behaviors=("review",))
        items = meta.set_index("item_id")[["i_category"]].reindex(item_ids).reset_index().astype(str)
        with self.reading("item_meta.csv"):
            knowledge = _triples(meta, complement="r_complement", substitute="r_substitute")
        return Dataset(
            self.info,
            log,
            user_ids,
            item_ids,
            items.rename(columns={"item_id": "entity", "i_category": "category"}),
            knowledge=knowledge,
            checksum=self.checksum(),
        )


def _triples(meta: pd.DataFrame, **columns: str) -> pd.DataFrame:
    """(N,) head, relation, tail as text, from JSON lists of tails; the relations by name, with their columns."""
    import pandas as pd

    parts = []
    for relation, column in columns.items():
        tails = json.loads(f"[{','.join(meta[column])}]")
        head_N = np.repeat(meta["item_id"].to_numpy(), [len(row) for row in tails])
        tail_N = np.concatenate([np.asarray(row, np.int64) for row in tails])
        parts.append(pd.DataFrame({"head": head_N, "relation": relation, "tail": tail_N}))
    return pd.concat(parts, ignore_index=True).astype(str)
