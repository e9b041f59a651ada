"""MovieLens 100K with its Freebase graph, as the wheel of RecBole carries it; what the MovieLens sets share."""

from __future__ import annotations

from typing import Any

import numpy as np

from recbench.data import Interactions
from recbench.dataset import Dataset, DatasetInfo, DatasetSource, Holds
from recbench.fetch import SourceFile, Wheel
from recbench.ingest import log_of
from recbench.protocols import NEXT_METRICS, behavior, cold_items, leave_last_out, next_five, ratings, time_split

TERMS = "research use with acknowledgement; no redistribution without permission, no commercial use (GroupLens)"
CITATION = "Harper and Konstan, The MovieLens Datasets, TiiS 2015"
BEHAVIORS = ("watch", "like")
LIKED = 4  # stars from which a rating says that the film was liked
WHEEL, INSIDE = "recbole==1.2.1", "recbole/dataset_example/ml-100k"


def ratings_log(user: Any, item: Any, stars: Any, time: Any) -> tuple[Interactions, np.ndarray, np.ndarray]:
    """One event a rating, its stars as value: a like, which is a watch too, from four stars on, else a watch.

    ValueError where a rating is not 1 to 5 stars.
    """
    stars = np.asarray(stars)
    if not np.isin(stars, (1, 2, 3, 4, 5)).all():
        raise ValueError(f"ratings must be 1 to 5 stars; given {stars.min()} to {stars.max()}")
    liked = (stars >= LIKED).astype(np.int8)
    return log_of(user, item, time, behavior=liked, value=stars.astype(np.float32), behaviors=BEHAVIORS)


def films(title: Any, year: Any, genres: Any) -> Any:
    """The item table: title, year where it is known, genres joined by | as category, and all three as text."""
    import pandas as pd

    number: Any = pd.to_numeric(year, errors="coerce")
    words = [title.fillna(""), number.astype("Int64").astype(str).where(number.notna(), ""), genres.fillna("")]
    text = [" ".join(" ".join(row).replace("|", " ").split()) for row in zip(*words, strict=True)]
    return pd.DataFrame({"title": title, "year": number, "category": genres, "text": text}).reset_index(drop=True)


class MovieLens100k(DatasetSource):
    """100,000 ratings of 1,682 films by 943 users, by the second, 1997 to 1998, with a graph of 91,631 triples."""

    info = DatasetInfo(
        "ml-100k",
        "video",
        "seconds",
        TERMS,
        f"the package {WHEEL}, folder {INSIDE}",
        f"{CITATION}; Zhao et al., KB4Rec, 2019",
        "Ratings come in bursts: three rows of four share their second with another of the same user and have no order "
        "among themselves. 18 films stand under two ids.",
        holds=Holds(100_000, 943, 1_682, ("watch", "like"), text=True, graphs=("triples",)),
    )
    files = tuple(
        SourceFile(f"recbole/{name}", sha256, wheel=Wheel(WHEEL, f"{INSIDE}/{name}"))
        for name, sha256 in (
            ("ml-100k.inter", "4edb74e2a81178c2ba9ff381495f754f996c4aea351b1272ca36b43da0935eff"),
            ("ml-100k.item", "51d7cdf777ce5c0f5b32c1d947a4a81fe07d75e78abbe761e0cd4d0756064532"),
            ("ml-100k.user", "4f670007d9cfbeb9807e757209af1555b9bcc186bde25e767f67cb67c6dd5972"),
            ("ml-100k.kg", "200a0636fa07c218119a42e5bac7aa3e26e3665a6f919c1b22909bd412b14779"),
            ("ml-100k.link", "524dca2c3d62619688ab99b3ec53ea2acb9b64d38eafec3e02bdd0dc6bb7d948"),
        )
    )
    # Half of all users come once, for less than an hour: asked at the window's opening, two questions of three have no
    # history at all. Asked at each new film, the ratings given so far are known, and one in fifty has none. Four weeks
    # hold 237 users, enough for narrow intervals; two weeks would hold 89.
    boards = (
        time_split(
            "video",
            "ml-100k",
            28,
            metrics=NEXT_METRICS,
            ask="each_event",
            target="first",
            meaning="Which film will a user rate next, having rated what came before, be it minutes ago?",
        ),
        leave_last_out("video-last", "ml-100k"),
        # Asked at each new film for the same reason. Of films rated in the same second the order is drawn by lot, and so
        # no model can name every place: compare with other models, not with 1.
        next_five(
            "video-next5",
            "ml-100k",
            test_window_days=28,
            valid_window_days=28,
            meaning="Which five films will a user rate next, in which order, and which of them be liked?",
        ),
        ratings("video-rating", "ml-100k"),
        cold_items("video-cold", "ml-100k", ask="each_event", target="first"),
        behavior(
            "video-like",
            "ml-100k",
            ("like",),
            ask="each_event",
            exposures=BEHAVIORS,
            test_window_days=28,
            valid_window_days=28,
            meaning="Will the user like the film that it rates now: four stars or five?",
        ),
        behavior(
            "video-like-small",
            "ml-100k",
            ("like",),
            ask="each_event",
            exposures=BEHAVIORS,
            test_window_days=28,
            valid_window_days=28,
            test_questions=1000,
            valid_questions=300,
            meaning="Will the user like the film that it rates now? A thousand questions of video-like, for models that take "
            "long to answer, as prompted language models do.",
        ),
        time_split(
            "video-text",
            "ml-100k",
            28,
            metrics=(*NEXT_METRICS, "recall@20"),
            ask="each_event",
            target="first",
            meaning="The question of `video`, for models of titles, genres and facts beside those of ids; with recall@20, the "
            "measure of the tables of text in collaborative filtering.",
        ),
    )

    def load(self) -> Dataset:
        """Read ratings, films, users, the graph and the link between films and graph."""
        ratings = self._table("inter")
        with self.reading("recbole/ml-100k.inter"):
            log, user_ids, item_ids = ratings_log(*(ratings[n] for n in ("user_id", "item_id", "rating", "timestamp")))
        film = self._table("item").set_index("item_id").reindex(item_ids)
        entity = self._table("link").set_index("item_id")["entity_id"].reindex(item_ids)
        items = films(film["movie_title"], film["release_year"], film["class"].str.replace(" ", "|"))
        users = self._table("user").set_index("user_id")[["age", "gender", "occupation"]].reindex(user_ids)
        return Dataset(
            self.info,
            log,
            user_ids,
            item_ids,
            items.assign(entity=entity.to_numpy()),
            users.reset_index(drop=True),
            knowledge=self._table("kg").set_axis(["head", "relation", "tail"], axis=1),
            checksum=self.checksum(),
        )

    def _table(self, ending: str) -> Any:
        """A file of the folder; its header names a column user_id:token, user_id here."""
        frame = self.table(f"recbole/ml-100k.{ending}", sep="\t", quoting=3)
        return frame.rename(columns=lambda name: name.split(":")[0])
