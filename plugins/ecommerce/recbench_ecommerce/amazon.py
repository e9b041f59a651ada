"""Amazon reviews of 2014, 5-core, as the order files of S3-Rec (arXiv 2008.07873): one user a line, items in order."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np

from recbench.dataset import Dataset, DatasetInfo, DatasetSource, Holds
from recbench.fetch import SourceFile
from recbench.ingest import from_sequences
from recbench.protocols import arrivals, cold_items, leave_last_out, published

if TYPE_CHECKING:
    import pandas as pd

TERMS = "Amazon product data 2014 (McAuley et al., UCSD): for research, no formal licence"
CITATION = "McAuley et al., SIGIR 2015; He and McAuley, WWW 2016"
SOURCE = "github.com/RUCAIBox/CIKM2020-S3Rec at 2a81540a, folder data"
FOLDER = "https://raw.githubusercontent.com/RUCAIBox/CIKM2020-S3Rec/2a81540a/data"
NAMES = "derived_attribute_names.tsv"


class _OrderFile(DatasetSource):
    """The first declared file holds the sequences, the second the attributes; a third may name these."""

    def load(self) -> Dataset:
        """Read the sequences and what is known of the items."""
        order = self.files[0].name
        with self.reading(order):
            log, user_ids, item_ids = from_sequences(self.content(order).decode())
        return Dataset(self.info, log, user_ids, item_ids, self._items(item_ids), checksum=self.checksum())

    def _items(self, item_ids: np.ndarray) -> pd.DataFrame:
        """Sub-categories and brand of each item, by name where the names are at hand, else by number."""
        import pandas as pd

        name, words = self.files[1].name, {}
        if self.has(NAMES):
            told = self.table(NAMES, sep="\t", quoting=3, keep_default_na=False, index_col="s3rec_attribute_id")
            words = told["name"].to_dict()
        with self.reading(name):
            numbers = json.loads(self.content(name))
            rows = [dict.fromkeys(words.get(n, str(n)) for n in numbers.get(str(i), [])) for i in item_ids]
        named = [[word for word in row if word] for row in rows]
        return pd.DataFrame({"category": ["|".join(row) for row in named], "text": [" ".join(row) for row in named]})


class AmazonBeauty(_OrderFile):
    """22,363 reviewers of 12,101 beauty products, in order, without a clock."""

    info = DatasetInfo(
        "amazon-beauty",
        "ecommerce",
        "order",
        TERMS,
        SOURCE,
        CITATION,
        "Order only, no times, no titles. Attributes have names only where derived_attribute_names.tsv is at hand, else "
        "numbers.",
        holds=Holds(198_502, 22_363, 12_101, ("interact",), text=True),
    )
    files = (
        SourceFile(
            "Beauty.txt",
            "226cce9c3105299ca0db9615d7d3fb32b3175e90da43100ae352599f0f0107b8",
            url=f"{FOLDER}/Beauty.txt",
        ),
        SourceFile(
            "Beauty_item2attributes.json",
            "129e40f67486f6877eff0f5318cfa8530ee8ac23d8b0d1de04e1bb7a2ba0b2d4",
            url=f"{FOLDER}/Beauty_item2attributes.json",
        ),
        SourceFile(NAMES, "81f4c85490088594bc3bb3a9e8760bfee46c53767cf2cf015edc6a5a7e17e19f", optional=True),
    )
    boards = (
        leave_last_out("amazon-beauty", "amazon-beauty"),
        published("amazon-beauty-published", "amazon-beauty"),
        cold_items("amazon-beauty-cold", "amazon-beauty"),
        arrivals("amazon-beauty-arrivals", "amazon-beauty"),
    )


class AmazonSports(_OrderFile):
    """35,598 reviewers of 18,357 sports products, in order, without a clock."""

    info = DatasetInfo(
        "amazon-sports",
        "ecommerce",
        "order",
        TERMS,
        SOURCE,
        CITATION,
        "Order only, no times, no titles. Attributes have names only where derived_attribute_names.tsv is at hand, else "
        "numbers; the names were aligned by counts and are very likely, not certain, and a few are unknown.",
        holds=Holds(296_337, 35_598, 18_357, ("interact",), text=True),
    )
    files = (
        SourceFile(
            "Sports_and_Outdoors.txt",
            "2a095e0648872beb9982408958290f5d655db5be2911c3756b5446de9f0b8de2",
            url=f"{FOLDER}/Sports_and_Outdoors.txt",
        ),
        SourceFile(
            "Sports_and_Outdoors_item2attributes.json",
            "7fb10733ac4f1811384a52144cdefa7fcc7536fa80a7232c5da9bd789155c34b",
            url=f"{FOLDER}/Sports_and_Outdoors_item2attributes.json",
        ),
        SourceFile(NAMES, "7b46c3c170cd94d8900f0a42ed5b3f85a08747c307101f8dd4b19c14242f385f", optional=True),
    )
    boards = (
        leave_last_out("amazon-sports", "amazon-sports"),
        published("amazon-sports-published", "amazon-sports"),
        arrivals("amazon-sports-arrivals", "amazon-sports"),
    )
