"""A week and a day of clicks of anonymous shop sessions, from RecSys Challenge 2015, with session-rec's split by time."""

from __future__ import annotations

import numpy as np

from recbench.dataset import Dataset, DatasetInfo, DatasetSource, Holds
from recbench.fetch import SourceFile
from recbench.ingest import log_of
from recbench.protocols import NEXT_METRICS, given_split

FOLDER = (
    "https://raw.githubusercontent.com/rn5l/session-rec/02cf50705942f13a7f7ad77b0816403fb88df0f5/data/rsc15/prepared"
)
FULL, TRAIN, TEST = (f"yoochoose-clicks-100k_{part}.txt" for part in ("train_full", "train_tr", "test"))


class Yoochoose100k(DatasetSource):
    """83,846 clicks in 21,210 anonymous sessions, by the second, with a split by time."""

    info = DatasetInfo(
        "yoochoose-100k",
        "ecommerce",
        "seconds",
        "CC BY-NC-ND 4.0 (RecSys Challenge 2015)",
        "github.com/rn5l/session-rec at 5dcd583c, folder data/rsc15/prepared",
        "Ben-Shimon et al., RecSys Challenge 2015; Ludewig and Jannach, UMUAI 2018",
        "A user is a session of four clicks on average and nobody comes back; repeated clicks are real. Not the 1/64 "
        "split of the papers.",
        holds=Holds(83_846, 21_210, 2_933, ("click",)),
    )
    files = (
        SourceFile(FULL, "9842c90358298ee784fcf0c9dccb2eeb283ab04368e53bdeee896747f4c03e1e", url=f"{FOLDER}/{FULL}"),
        SourceFile(TRAIN, "fb4c6381c8e5bc4de51553cb1ed210fb4016c87d2425d58344cd6b19e81c133a", url=f"{FOLDER}/{TRAIN}"),
        SourceFile(TEST, "380410c606403531019e1ec0b4d192ef90492d594b9b5a91633b860618dd7136", url=f"{FOLDER}/{TEST}"),
    )
    # The last click, not each: at the first one nothing is known of a session that is all there is of its user.
    boards = (
        given_split(
            "yoochoose-100k",
            "yoochoose-100k",
            ask="last",
            target="first",
            repeat="any",
            metrics=NEXT_METRICS,
            meaning="Which product does the session click last, after all its other clicks? Trained on a week, tested on "
            "the day after.",
        ),
    )

    def load(self) -> Dataset:
        """Read both parts of the split; of the training part the sessions that session-rec tunes on are validation.

        session-rec's own validation file lacks what its training has not seen; the board's candidates see to that.
        """
        full, train, test = (self.table(name, sep="\t", quoting=3) for name in (FULL, TRAIN, TEST))
        part = np.r_[~full["SessionId"].isin(train["SessionId"]), np.full(len(test), 2)].astype(np.int8)
        time = np.r_[full["Time"], test["Time"]].astype(np.int64)  # whole seconds: the fractions order few clicks
        session, item = (np.r_[full[name], test[name]] for name in ("SessionId", "ItemId"))
        log, user_ids, item_ids = log_of(session, item, time, behaviors=("click",))
        part = part[np.argsort(time, kind="stable")]
        return Dataset(self.info, log, user_ids, item_ids, part=part, checksum=self.checksum())
