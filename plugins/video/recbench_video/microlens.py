"""MicroLens-50K: short videos that users commented on, in order, with captions and their hashtags."""

from __future__ import annotations

from recbench.dataset import Dataset, DatasetInfo, DatasetSource, Holds
from recbench.fetch import SourceFile
from recbench.ingest import from_sequences
from recbench.protocols import leave_last_out

PAIRS, TITLES = "MicroLens-50k_pairs.tsv", "MicroLens-50k_titles.csv"
FOLDER = "https://raw.githubusercontent.com/muhhpu/MUSER/9fd8eed0/data/microlens"


class MicroLens50k(DatasetSource):
    """359,708 comments on 19,220 short videos by 50,000 users, in order, with captions; no clock."""

    info = DatasetInfo(
        "microlens-50k",
        "video",
        "order",
        "offered by the publisher for download for research; no licence file",
        "github.com/muhhpu/MUSER at 9fd8eed0, folder data/microlens",
        "Ni et al., A Content-Driven Micro-Video Recommendation Dataset at Scale, 2023",
        "Order only: the publisher's times are in another file. Captions are translated into English. Published tables "
        "are mostly on the 100K version.",
        holds=Holds(359_708, 50_000, 19_220, ("interact",), text=True),
    )
    files = (
        SourceFile(PAIRS, "46be22f478aa891b9c2a4b357c1df2ac2478793a99d58d07336e6277b6bf426d", url=f"{FOLDER}/{PAIRS}"),
        SourceFile(
            TITLES, "244aad5380cbbe0fb43458cfcda5ebe820f534384602f80a64dbbcd07dd30e49", url=f"{FOLDER}/{TITLES}"
        ),
    )
    boards = (leave_last_out("microlens-50k", "microlens-50k"),)

    def load(self) -> Dataset:
        """Read the sequences and the captions; what stands behind each # of a caption is a hashtag."""
        with self.reading(PAIRS):
            log, user_ids, item_ids = from_sequences(self.content(PAIRS).decode())
        titles = self.table(TITLES, dtype={"item": "int64"})
        with self.reading(TITLES):
            caption = titles.set_index("item")["title"].reindex(item_ids).fillna("").reset_index(drop=True)
            items = caption.str.strip().to_frame("text").assign(tags=[_hashtags(words) for words in caption])
        return Dataset(self.info, log, user_ids, item_ids, items, checksum=self.checksum())


def _hashtags(caption: str) -> str | None:
    """The distinct phrases behind a #, in lower case, joined by |; None where there is none."""
    phrases = (phrase.strip().lower() for phrase in caption.replace("|", "/").split("#")[1:])
    return "|".join(dict.fromkeys(filter(None, phrases))) or None
