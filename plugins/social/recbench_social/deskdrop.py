"""CI&T DeskDrop: what the staff of a company read, liked, bookmarked, commented and followed in their article network.

The articles themselves are a second file, which the user may add: titles, text and language are then known.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from recbench.dataset import Dataset, DatasetInfo, DatasetSource, Holds
from recbench.fetch import SourceFile
from recbench.ingest import log_of
from recbench.protocols import NEXT_METRICS, behavior, next_five, time_split

LOG, ARTICLES = "users_interactions.csv.zip", "shared_articles.csv"
BEHAVIORS = {"VIEW": "view", "LIKE": "like", "BOOKMARK": "bookmark", "COMMENT CREATED": "comment", "FOLLOW": "follow"}
KEPT = {"timestamp": "int64", "eventType": "str", "contentId": "int64", "personId": "int64"}

# Asked at the window's opening alone, most of what is read is not yet there; asked at each new article, a reader's own
# window counts as history. Articles live for days, so a cut anywhere in the log leaves 77 to 92% of four weeks' targets
# on articles that came after it: these are dropped and counted, for no model can have learned of them. Seven days would
# drop 38% but ask 79 readers; six weeks ask 343 questions of 226 and leave 272 for selection.
NEW = time_split(
    "social",
    "deskdrop",
    42,
    metrics=NEXT_METRICS,
    ask="each_event",
    target="first",
    behaviors=("view",),
    meaning="Which article, known before the window and new to the reader, will a reader open next?",
)

# A sequence needs articles that were known: of those that a cut in time leaves, two questions of three have one step and
# one of fourteen all five. With readers held out instead, 2% of the targets are dropped and 600 of 956 questions, of 160
# readers, have all five steps; the price is that other readers' later events are learned.
NEXT = next_five(
    "social-next5",
    "deskdrop",
    split="random_users",
    meaning="Which five articles will a reader new to the model open next, in which order, and what will come of each? "
    "Leaks over time by design: what others read later is learned.",
)


class Deskdrop(DatasetSource):
    """Views, likes, bookmarks, comments and follows of 2,987 articles by 1,895 employees, by the second."""

    info = DatasetInfo(
        "deskdrop",
        "social",
        "seconds",
        "as listed by Kaggle: ODbL 1.0 (database), DbCL 1.0 (contents)",
        "github.com/gh-dl/sr_acl at 31b4b2d3; Kaggle gspmoreira/articles-sharing-reading-from-cit-deskdrop",
        "Moreira, CI&T DeskDrop, Kaggle 2017",
        "Articles age within days: half of all events fall within a day of the article's first. Views repeat, and all "
        "are kept. Ids are signed 64-bit numbers. Text needs shared_articles.csv from Kaggle beside the log.",
        holds=Holds(72_312, 1_895, 2_987, ("view", "like", "bookmark", "comment", "follow")),
    )
    files = (
        SourceFile(
            LOG,
            "e2eaf006dae393ca4b9d38a290b9c34e1cfbc5ad5a9920ac9834bda53ffce4e0",
            url=f"https://raw.githubusercontent.com/gh-dl/sr_acl/31b4b2d3f5497006a823d8727f583197e3acc3ee/{LOG}",
        ),
        SourceFile(ARTICLES, optional=True),
    )
    boards = (
        NEW,
        replace(
            NEW,
            name="social-repeat",
            repeat="any",
            meaning="Which article known before the window will a reader open next, again or for the first time?",
        ),
        NEXT,
        # Of what follows a view 97 to 99%, by behaviour, follows within a day. Articles that came after the cut are asked about too: what is
        # known of them are the readers, and the text where it is there.
        behavior(
            "social-engagement",
            "deskdrop",
            ("like", "comment", "bookmark", "follow"),
            ask="each_event",
            exposures=("view",),
            horizon_days=1,
            test_window_days=42,
            valid_window_days=42,
            meaning="Will the reader like, comment on, bookmark or follow the article just opened, within a day?",
        ),
    )

    def load(self) -> Dataset:
        """Read the log and, where it is at hand, the articles; agent, region and country of a reader are not read."""
        log = self.table(LOG, member="users_interactions.csv", usecols=list(KEPT), dtype=KEPT)
        with self.reading(LOG):
            unknown = set(log["eventType"]) - set(BEHAVIORS)
            if unknown:
                raise ValueError(f"unknown eventType {min(unknown)}")
            events, user_ids, item_ids = log_of(
                log["personId"],
                log["contentId"],
                log["timestamp"],
                behavior=log["eventType"].map({word: code for code, word in enumerate(BEHAVIORS)}).to_numpy(np.int8),
                behaviors=tuple(BEHAVIORS.values()),
            )
        return Dataset(
            self.info,
            events,
            user_ids,
            item_ids,
            self._articles(item_ids) if self.has(ARTICLES) else None,
            checksum=self.checksum(),
            cleaning={"rows": len(log), "rows_equal_to_an_earlier_one_kept": int(log.duplicated().sum())},
        )

    def _articles(self, item_ids: np.ndarray) -> Any:
        """Title, text and language of each article; an article that was taken down later keeps what was shared."""
        wanted = ["eventType", "contentId", "title", "text", "lang"]
        rows = self.table(ARTICLES, usecols=wanted, dtype={"contentId": "int64"})
        with self.reading(ARTICLES):
            rows = rows.sort_values("eventType", ascending=False, kind="stable")  # shared before removed
            found = rows.drop_duplicates("contentId").set_index("contentId").reindex(item_ids).reset_index(drop=True)
            words = found["title"].fillna("") + "\n" + found["text"].fillna("")
            return found[["title"]].assign(text=words.str.strip(), language=found["lang"])
