"""Articles read in the IBM Watson Studio community, with titles and bodies; no time and no order."""

from __future__ import annotations

from typing import Any

import numpy as np

from recbench.dataset import Dataset, DatasetInfo, DatasetSource, Holds
from recbench.fetch import SourceFile, Wheel
from recbench.ingest import log_of
from recbench.protocols import LIST_METRICS, behavior, random_pairs

LOG, ARTICLES = "user-item-interactions.csv", "articles_community.csv"
WHEEL = "recommender-ibmws==0.1.3"


class IbmWatsonCommunity(DatasetSource):
    """45,976 readings of 714 articles by 5,148 members, with titles, and bodies for 437; no order."""

    info = DatasetInfo(
        "ibm-watson-community",
        "social",
        "none",
        "package MIT; the data, handed out by IBM through Udacity, has no stated licence of its own",
        f"the package {WHEEL}",
        "IBM Watson Studio community, Udacity data science nanodegree",
        "No time; the order of rows is not documented and not used. Repeated readings are kept.",
        holds=Holds(45_976, 5_148, 714, ("interact",), text=True),
    )
    files = (
        SourceFile(
            LOG,
            "07df24977199e629339723b644a93b8a6452d3a5c70868f7b0a143b14ab59bc6",
            wheel=Wheel(WHEEL, f"recommender_ibmws/data/{LOG}"),
        ),
        SourceFile(
            ARTICLES,
            "23ca609a6c14c2ddf26083207c41ce8467036e45c84cd21bfa7a207dd544d544",
            wheel=Wheel(WHEEL, f"recommender_ibmws/data/{ARTICLES}"),
        ),
    )
    boards = (
        random_pairs("ibm-watson-community", "ibm-watson-community", metrics=(*LIST_METRICS, "recall@20")),
        behavior(
            "ibm-watson-read",
            "ibm-watson-community",
            ("interact",),
            split="random_pairs",
            negatives="uniform",
            n_negatives=4,
            meaning="Does the member read the article, of which title and often body are known? Pairs held out by lot, each "
            "beside four drawn that were never read; there is no order, so histories are sets.",
        ),
    )

    def load(self) -> Dataset:
        """Read the readings and the articles; ids are written 1430.0, rows without a reader are dropped and counted."""
        rows = self.table(LOG, usecols=["article_id", "title", "email"])
        kept = rows.dropna(subset=["email"])
        with self.reading(LOG):
            article = kept["article_id"].astype("int64").to_numpy()
            if (article != kept["article_id"]).any():
                raise ValueError("an article_id is not whole")
            log, user_ids, item_ids = log_of(kept["email"].to_numpy(str), article, np.zeros(len(kept), np.int64))
            title = kept["title"].groupby(article).first().reindex(item_ids)
        return Dataset(
            self.info,
            log,
            user_ids,
            item_ids,
            self._articles(title),
            checksum=self.checksum(),
            cleaning={"rows": len(rows), "rows_without_user_dropped": len(rows) - len(kept)},
        )

    def _articles(self, title: Any) -> Any:
        """Title and text of the articles that somebody read.

        The 614 never read are left out: no event can ever answer for them, in no split, so as candidates they would
        only dilute coverage and punish whoever recommends by text. Of an article listed twice the first row counts.
        """
        rows = self.table(ARTICLES, usecols=["article_id", "doc_description", "doc_body"])
        with self.reading(ARTICLES):
            found = rows.drop_duplicates("article_id").set_index("article_id").reindex(title.index).fillna("")
            text = title + "\n" + found["doc_description"] + "\n" + found["doc_body"]
            frame = title.to_frame().assign(text=text.str.replace(r"\s+", " ", regex=True).str.strip())
            return frame.reset_index(drop=True)
