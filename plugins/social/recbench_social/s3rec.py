"""Last.fm and Yelp as the order files of S3-Rec (arXiv 2008.07873): one user a line, items in order, no clock."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from recbench.dataset import Dataset, DatasetInfo, DatasetSource, Holds
from recbench.fetch import SourceFile
from recbench.ingest import from_sequences
from recbench.protocols import leave_last_out

SOURCE = "github.com/RUCAIBox/CIKM2020-S3Rec at 2a81540a, folder data"
FOLDER = "https://raw.githubusercontent.com/RUCAIBox/CIKM2020-S3Rec/2a81540a/data"
CITATION = "Zhou et al., S3-Rec, CIKM 2020"


class LastFmS3Rec(DatasetSource):
    """1,090 listeners of 3,646 artists, in the order of their tags, with 388 tags by number."""

    info = DatasetInfo(
        "lastfm-s3rec",
        "social",
        "order",
        "non-commercial use; cite HetRec 2011 and last.fm",
        SOURCE,
        f"{CITATION}; Cantador, Brusilovsky, Kuflik, RecSys 2011",
        "The order comes from tags dated by month: inside a month it is arbitrary. Ids and tags are numbers; what they "
        "stand for was not published.",
        holds=Holds(52_551, 1_090, 3_646, ("interact",)),
    )
    files = (
        SourceFile(
            "LastFM.txt",
            "9ded486adb5b0fe9dc761950afa0a9a05e93ff018992e0c52bf11afec529f802",
            url=f"{FOLDER}/LastFM.txt",
        ),
        SourceFile(
            "LastFM_item2attributes.json",
            "a4ccd678dc9ff6d43fe5073f491db5c9b02eb98dfa4f8c0382913a784be217ef",
            url=f"{FOLDER}/LastFM_item2attributes.json",
        ),
    )
    boards = (leave_last_out("lastfm-s3rec", "lastfm-s3rec"),)

    def load(self) -> Dataset:
        """Read the sequences and the tags."""
        return _load(self, "tags")


class YelpS3Rec(DatasetSource):
    """30,431 reviewers of 20,033 businesses in 2019, in order, repeats kept, with 1,001 categories by number."""

    info = DatasetInfo(
        "yelp-s3rec",
        "social",
        "order",
        "Yelp Dataset User Agreement: academic, non-commercial use, no redistribution",
        SOURCE,
        f"{CITATION}; Yelp Open Dataset",
        "11,830 visits repeat an earlier one: masking seen items changes every number. Categories are numbers: what "
        "they stand for was not published.",
        holds=Holds(316_354, 30_431, 20_033, ("interact",)),
    )
    files = (
        SourceFile(
            "Yelp.txt", "724b219106b81dd2349027da997334ddb6da9fe2f152ad6e0d97a93170f7caed", url=f"{FOLDER}/Yelp.txt"
        ),
        SourceFile(
            "Yelp_item2attributes.json",
            "f25acd5e1e680e0b22fd4e3f4fb6be4b2a7461e9222610616e3e1ee6702dd58d",
            url=f"{FOLDER}/Yelp_item2attributes.json",
        ),
    )
    # The published tables mask what a user has seen, and so lose whoever comes back; the second board asks for both.
    boards = (
        leave_last_out("yelp-s3rec", "yelp-s3rec"),
        leave_last_out(
            "yelp-s3rec-repeat",
            "yelp-s3rec",
            repeat="any",
            meaning="Leave-last-out with visited businesses allowed: who comes back counts; leaks across users.",
        ),
    )

    def load(self) -> Dataset:
        """Read the sequences and the categories."""
        return _load(self, "category")


def _load(source: DatasetSource, column: str) -> Dataset:
    """The data set of an order file and of the attributes beside it, which go into `column`."""
    order, attributes = (file.name for file in source.files)
    with source.reading(order):
        log, user_ids, item_ids = from_sequences(source.content(order).decode())
    with source.reading(attributes):
        items = _attributes(source.content(attributes), item_ids, column)
    return Dataset(source.info, log, user_ids, item_ids, items, checksum=source.checksum())


def _attributes(content: bytes, item_ids: np.ndarray, column: str) -> Any:
    """The distinct attribute numbers of each item, ascending, joined by |; None where it has none."""
    import pandas as pd

    numbers = json.loads(content)
    words = ["|".join(map(str, sorted(set(numbers.get(str(i), []))))) for i in item_ids]
    return pd.DataFrame({column: [word or None for word in words]})
