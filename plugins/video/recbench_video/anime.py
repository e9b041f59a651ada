"""MyAnimeList: which series users watched and how they rated them, without any order."""

from __future__ import annotations

import html
from typing import Any

import numpy as np

from recbench.dataset import Dataset, DatasetInfo, DatasetSource, Holds
from recbench.fetch import SourceFile
from recbench.ingest import log_of
from recbench.protocols import random_pairs

ARCHIVE = "anime.zip"


class Anime(DatasetSource):
    """520,609 watched series and 419,943 ratings by 5,000 users of 7,390 titles; no order."""

    info = DatasetInfo(
        "anime",
        "video",
        "none",
        "as listed by Kaggle: CC0",
        "github.com/caserec/Datasets-for-Recommender-Systems, folder Processed Datasets/Anime; Kaggle CooperUnion",
        "CooperUnion, Anime Recommendations Database, Kaggle 2016",
        "Every rated pair is a watched pair. A title's mean rating and member count are left out: the site took them "
        "over all users, and so over the pairs held out.",
        holds=Holds(940_552, 5_000, 7_390, ("watch", "rate"), text=True),
    )
    files = (
        SourceFile(
            ARCHIVE,
            "99882032ba25342e7e15e9669f93d596ae1ce1d95ed40dd6199b27e943f9a925",
            url="https://raw.githubusercontent.com/caserec/Datasets-for-Recommender-Systems/"
            "b6f6397cf96660fd6bb6cf7bed71a402ee2eda43/Processed%20Datasets/Anime/anime.zip",
        ),
    )
    boards = (random_pairs("anime", "anime", behaviors=("watch",)),)

    def load(self) -> Dataset:
        """Read what was watched and rated, and the titles."""
        watched, rated = (
            self.table(ARCHIVE, member=f"anime/anime_{name}.dat", sep="\t", dtype="int64")
            for name in ("history", "ratings")
        )
        log, user_ids, item_ids = log_of(
            np.r_[watched["User_ID"], rated["User_ID"]],
            np.r_[watched["Anime_ID"], rated["Anime_ID"]],
            np.zeros(len(watched) + len(rated), np.int64),
            behavior=np.repeat(np.array([0, 1], np.int8), [len(watched), len(rated)]),
            value=np.r_[np.ones(len(watched)), rated["Feedback"]],
            behaviors=("watch", "rate"),
        )
        return Dataset(self.info, log, user_ids, item_ids, self._titles(item_ids), checksum=self.checksum())

    def _titles(self, item_ids: np.ndarray) -> Any:
        """Title, type, genres joined by | as category, and all of it as text; names hold HTML entities in the file."""
        names = ["anime_ids", "name", "genre", "type"]
        rows = self.table(ARCHIVE, member="anime/anime_info.dat", sep="\t", quoting=3, usecols=names)
        found = rows.set_index("anime_ids").reindex(item_ids).fillna("").reset_index(drop=True)
        title = found["name"].map(html.unescape)
        text = (title + " " + found["type"] + " " + found["genre"]).str.strip()
        genres = found["genre"].str.replace(", ", "|")
        return title.to_frame("title").assign(category=genres, kind=found["type"], text=text)
