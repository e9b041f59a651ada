"""Amazon reviews of 2014, 5-core, as the order files of S3-Rec (arXiv 2008.07873): one user a line, items in order."""

from __future__ import annotations

import gzip
import hashlib
import json

import numpy as np

from recbench.data import Interactions
from recbench.dataset import Dataset, DatasetInfo, DatasetSource
from recbench.errors import RecbenchError, one_line
from recbench.plan import Board

METRICS = (
    "ndcg@10",
    "ndcg@5",
    "hit-rate@5",
    "hit-rate@10",
    "recall@10",
    "mrr@10",
    "coverage@10",
    "novelty@10",
    "popularity-bias@10",
    "gini@10",
)
TERMS = "Amazon product data 2014 (McAuley et al., UCSD): for research, no formal licence"
SOURCE = "github.com/RUCAIBox/CIKM2020-S3Rec at 2a81540a, folder data"


def leave_last_out(name: str) -> Board:
    """The protocol of the published tables: the last item is asked, all items ranked, seen items masked."""
    return Board(
        name,
        name,
        METRICS,
        "ndcg@10",
        split="leave_last_out",
        ask="last",
        target="first",
        repeat="new",
        fit_on="train+valid",
        candidates="all",
        meaning="Leave-last-out: leaks across users by design; kept because published tables use it.",
    )


class _OrderFile(DatasetSource):
    stem: str

    def load(self) -> Dataset:
        """Read the sequences and the attribute ids; RecbenchError names the line that is broken."""
        path = self.file(f"{self.stem}.txt.gz")
        try:
            lines = gzip.decompress(path.read_bytes()).decode().splitlines()
        except (OSError, EOFError, UnicodeDecodeError) as error:
            raise self.unreadable(path, error) from error
        try:
            rows = [np.array(line.split(), dtype=np.int64) for line in lines]
        except ValueError as error:
            raise RecbenchError(
                f"data={self.info.name}: {path.name} must hold whole numbers only ({one_line(error)})"
            ) from error
        short = [n for n, row in enumerate(rows, 1) if len(row) < 2]
        if short or not rows:
            raise RecbenchError(
                f"data={self.info.name}: {path.name} {f'line {short[0]} holds no user and item' if short else 'is empty'}; restore the file"
            )
        lengths = np.array([len(row) - 1 for row in rows])
        items = np.concatenate([row[1:] for row in rows])
        item_ids, item = np.unique(items, return_inverse=True)
        log = Interactions.sorted(
            np.repeat(np.arange(len(rows)), lengths),
            item,
            np.concatenate([np.arange(n) for n in lengths]),
            n_users=len(rows),
            n_items=len(item_ids),
        )
        return Dataset(
            self.info,
            log,
            np.array([row[0] for row in rows]),
            item_ids,
            self._items(item_ids),
            checksum=hashlib.sha256(path.read_bytes()).hexdigest(),
        )

    def _items(self, item_ids: np.ndarray):
        import pandas as pd

        path = self.file(f"{self.stem}_item2attributes.json")
        try:
            attributes = dict(json.loads(path.read_text()))
            text = [" ".join(map(str, attributes.get(str(i), []))) for i in item_ids]
        except (ValueError, TypeError) as error:
            raise self.unreadable(path, error) from error
        return pd.DataFrame({"text": text})


class AmazonBeauty(_OrderFile):
    """22,363 reviewers of 12,101 beauty products, in order, without a clock."""

    info = DatasetInfo("amazon-beauty", "ecommerce", "order", TERMS, SOURCE, "He and McAuley, WWW 2016")
    boards = (leave_last_out("amazon-beauty"),)
    stem = "Beauty"


class AmazonSports(_OrderFile):
    """35,598 reviewers of 18,357 sports products, in order, without a clock."""

    info = DatasetInfo("amazon-sports", "ecommerce", "order", TERMS, SOURCE, "He and McAuley, WWW 2016")
    boards = (leave_last_out("amazon-sports"),)
    stem = "Sports_and_Outdoors"
