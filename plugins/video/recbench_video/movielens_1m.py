"""MovieLens 1M: the order file of the published tables, and the user's own copy of the original with its clock."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from recbench.data import EARLIEST, LATEST
from recbench.dataset import Dataset, DatasetInfo, DatasetSource, Holds
from recbench.errors import RecbenchError
from recbench.fetch import SourceFile
from recbench.ingest import from_sequences
from recbench.protocols import leave_last_out, published
from recbench_video.movielens import CITATION, TERMS, films, ratings_log

ORIGINAL = "grouplens.org/datasets/movielens/1m"
ORDER, RATINGS, MOVIES = "sequences.txt", "ratings.dat", "movies.dat"


class MovieLens1m(DatasetSource):
    """999,611 ratings of 3,416 films by 6,040 users, in the order of the SASRec and BERT4Rec file, without a clock."""

    info = DatasetInfo(
        "ml-1m",
        "video",
        "order",
        TERMS,
        "the order file of SASRec and BERT4Rec, rebuilt from github.com/asash/gSASRec-pytorch; films from the original",
        f"{CITATION}; Kang and McAuley, SASRec, ICDM 2018",
        "Films rated in the same second stand as the published file orders them; films under five ratings are removed, "
        "stars and times dropped: for those, data=ml-1m-original reads your own copy of the original.",
        holds=Holds(999_611, 6_040, 3_416, ("interact",), text=True),
    )
    files = (
        SourceFile(ORDER, "f939258a859d16e43055e80bf8f7d66aeae3805fa21cb1b999fbafa9c6c5694b"),
        SourceFile("items.txt", "9ae42c23af0b0fe2f189b9d5acc6cf3936bffe1a9568390cf5d100c0c1b1fca1"),
        SourceFile(MOVIES, "0140fc2356357c1a851d0f52e893a1e4d3696df632c4141cea8d5bc3d621f0b9"),
    )
    boards = (leave_last_out("ml-1m", "ml-1m"), published("ml-1m-published", "ml-1m"))

    def load(self) -> Dataset:
        """Read the sequences, and the films under their original ids."""
        with self.reading(ORDER):
            log, user_ids, sequence_ids = from_sequences(self.content(ORDER).decode())
        original = self.table("items.txt", ("sequence", "original"), sep=" ", dtype="int64").set_index("sequence")
        item_ids = original["original"].reindex(sequence_ids).to_numpy()
        return Dataset(self.info, log, user_ids, item_ids, _films(self, item_ids), checksum=self.checksum())

    def file(self, name: str) -> Path:
        """As every data set's; where the original lies in place of the order file, the error names what reads it."""
        try:
            return super().file(name)
        except RecbenchError:
            if name != ORDER or not self.has(RATINGS):
                raise
        folder = self.file(RATINGS).parent
        raise RecbenchError(
            f"data=ml-1m reads the order file {ORDER}, and {folder} holds the original {RATINGS}; give "
            f"data=ml-1m-original data.root={folder}"
        )


class MovieLens1mOriginal(DatasetSource):
    """1,000,209 ratings of 3,706 films by 6,040 users, by the second: your own copy of ml-1m.zip, unpacked."""

    info = DatasetInfo(
        "ml-1m-original",
        "video",
        "seconds",
        TERMS,
        ORIGINAL,
        CITATION,
        "Nothing is downloaded: name the folder with ratings.dat, movies.dat and users.dat of your ml-1m.zip. Ratings "
        "come in bursts and often share their second.",
    )
    files = (SourceFile(RATINGS), SourceFile(MOVIES), SourceFile("users.dat"))
    boards = (leave_last_out("ml-1m-original", "ml-1m-original"),)

    def load(self) -> Dataset:
        """Read ratings, films and users; RecbenchError where a line is broken, a rating or a time impossible."""
        columns = ("user", "item", "stars", "time")
        ratings = self.table(RATINGS, columns, sep="::", dtype="int64")
        with self.reading(RATINGS):
            if not ratings["time"].between(EARLIEST, LATEST - 1).all():
                raise ValueError("a time lies outside 1900 to 2262")
            log, user_ids, item_ids = ratings_log(*(ratings[name] for name in columns))
        users = _text(self, "users.dat", ("user", "gender", "age", "occupation", "zip"))
        with self.reading("users.dat"):
            users = users.astype({"user": "int64", "age": "int64"}).set_index("user").reindex(user_ids)
        return Dataset(
            self.info,
            log,
            user_ids,
            item_ids,
            _films(self, item_ids),
            users[["age", "gender", "occupation"]].reset_index(drop=True),
            checksum=self.checksum(),
        )


def _films(source: DatasetSource, item_ids: np.ndarray) -> Any:
    """The films of movies.dat by original id: title, year, genres and text."""
    rows = _text(source, MOVIES, ("id", "title", "genres"))
    with source.reading(MOVIES):
        rows = rows.set_index(rows["id"].astype("int64")).reindex(item_ids)
        parts = rows["title"].str.extract(r"^(?P<title>.*?)(?: \((?P<year>\d{4})\))?$")
        return films(parts["title"], parts["year"], rows["genres"])


def _text(source: DatasetSource, name: str, columns: tuple[str, ...]) -> Any:
    """A Latin-1 file as text; RecbenchError where a line lacks a field."""
    options = {"encoding": "latin-1", "quoting": 3, "dtype": "str", "keep_default_na": False, "na_values": [""]}
    frame = source.table(name, columns, sep="::", **options)
    with source.reading(name):
        if frame.isna().any(axis=None):
            raise ValueError(f"a line holds fewer than {len(columns)} fields")
        return frame
