"""Last.fm of HetRec 2011: who listened to whom, tags, friends and a knowledge graph; and LightGCN's split of it."""

from __future__ import annotations

from typing import Any

import numpy as np

from recbench.data import Interactions
from recbench.dataset import Dataset, DatasetInfo, DatasetSource, Holds
from recbench.fetch import SourceFile
from recbench.ingest import log_of
from recbench.protocols import given_split, random_pairs

TERMS = "made available for non-commercial use; cite HetRec 2011 and last.fm"
CITATION = "Cantador, Brusilovsky, Kuflik, HetRec 2011, RecSys 2011"
HETREC = "https://raw.githubusercontent.com/qcymkxyc/RecSys/cb313bf9/data/lastfm-2k"
KGCN = "https://raw.githubusercontent.com/hwwang55/KGCN/2363ca2ddc66a79860629b2e0ec6ad23c57697c8/data/music"
LIGHTGCN = (
    "https://raw.githubusercontent.com/gusye1234/LightGCN-PyTorch/ef7aae37fc51973feabfc7e534720ea51f9eedf6/data/lastfm"
)
LISTENS, TAGGED, FRIENDS = "user_artists.dat", "user_taggedartists.dat", "user_friends.dat"
ARTISTS, TAGS = "artists.dat", "tags.dat"
TRIPLES, ENTITIES = "kgcn/kg.txt", "kgcn/item_index2entity_id.txt"
TAGGERS = 3  # users who must agree on an artist's tag: a tag of one user alone would betray that user's held-out pairs
N_USERS, N_ITEMS = 1892, 4489  # LightGCN's universe


class LastFm2k(DatasetSource):
    """92,834 listens with play counts and 186,479 tags by 1,892 users, friends and a knowledge graph; no order."""

    info = DatasetInfo(
        "lastfm-2k",
        "social",
        "none",
        TERMS,
        "github.com/qcymkxyc/RecSys at cb313bf9, folder data/lastfm-2k; github.com/hwwang55/KGCN at 2363ca2d",
        f"{CITATION}; Wang et al., KGCN, WWW 2019",
        "Listens have no time at all and tags only a month, in five rows an impossible one: so the log has no order. "
        "Each user's 50 most played artists only. 390 artists were tagged that nobody's listens and no name file hold.",
        holds=Holds(279_313, 1_892, 18_022, ("listen", "tag"), text=True, graphs=("triples", "friends")),
    )
    files = (
        SourceFile(
            LISTENS, "254272fa721c3935e8be286d28c051b206844307128698ab4eaa41d483379416", url=f"{HETREC}/{LISTENS}"
        ),
        SourceFile(
            TAGGED, "c4a9ffae9ab47a9f9b2f0678ab1f7e5c1db4ca818837d8cddd1f5699c5bbf048", url=f"{HETREC}/{TAGGED}"
        ),
        SourceFile(
            FRIENDS, "0360883a3557776e04fdebda851f2e5dd23e796cad7059b968acdebd528d13fa", url=f"{HETREC}/{FRIENDS}"
        ),
        SourceFile(
            ARTISTS, "c173881362c6b28551368fecb3c0be5a6a30a6cd859e1f5775413dfe46d48648", url=f"{HETREC}/{ARTISTS}"
        ),
        SourceFile(TAGS, "778bcb1f925a41dfa60886e3de442673fd1f85fbea338477fe1d2edaab3ff289", url=f"{HETREC}/{TAGS}"),
        SourceFile(TRIPLES, "f62bbc8f717c9f68e66dff6faeaa71025092acc11a0f1b4878b953eb05f946a9", url=f"{KGCN}/kg.txt"),
        SourceFile(
            ENTITIES,
            "f9693bdde538f755d09b9931b0be662a98965e538658a00c2050912c0adf487b",
            url=f"{KGCN}/item_index2entity_id.txt",
        ),
    )
    boards = (random_pairs("lastfm-2k", "lastfm-2k", behaviors=("listen",)),)

    def load(self) -> Dataset:
        """Read listens and tags as two behaviours, friends, names, and the graph that KGCN linked to the artists."""
        listens, tagged = (self.table(name, sep="\t", dtype="int64") for name in (LISTENS, TAGGED))
        log, user_ids, item_ids = log_of(
            np.r_[listens["userID"], tagged["userID"]],
            np.r_[listens["artistID"], tagged["artistID"]],
            np.zeros(len(listens) + len(tagged), np.int64),
            behavior=np.repeat(np.array([0, 1], np.int8), [len(listens), len(tagged)]),
            value=np.r_[listens["weight"], np.ones(len(tagged))],
            behaviors=("listen", "tag"),
        )
        return Dataset(
            self.info,
            log,
            user_ids,
            item_ids,
            self._artists(item_ids, tagged),
            knowledge=self.table(TRIPLES, ("head", "relation", "tail"), sep="\t", dtype="str"),
            social=self.table(FRIENDS, sep="\t", dtype="int64").set_axis(["user", "friend"], axis=1),
            checksum=self.checksum(),
            cleaning={"listens": len(listens), "tags": len(tagged), "dates_of_tags_dropped": len(tagged)},
        )

    def _artists(self, item_ids: np.ndarray, tagged: Any) -> Any:
        """Name, the tags that several users gave, joined by |, and the name in the graph; None where there is none.

        The tags are UTF-8 here, eight of them with a letter that was lost before this copy was made.
        """
        artists = self.table(ARTISTS, sep="\t", quoting=3, usecols=["id", "name"]).set_index("id")
        words = self.table(TAGS, sep="\t", quoting=3).set_index("tagID")["tagValue"]
        entity = self.table(ENTITIES, ("item", "entity"), sep="\t", dtype="str")
        users = tagged.groupby(["artistID", "tagID"], as_index=False)["userID"].nunique()
        shared = users[users["userID"] >= TAGGERS].sort_values(["artistID", "userID"], ascending=False, kind="stable")
        tags = words.reindex(shared["tagID"]).groupby(shared["artistID"].to_numpy()).agg("|".join)
        frame = artists.reindex(item_ids).rename(columns={"name": "title"})
        frame["text"] = frame["title"].fillna("")
        frame["tags"] = tags.reindex(item_ids)
        frame["entity"] = entity.set_index(entity["item"].astype("int64"))["entity"].reindex(item_ids)
        return frame.reset_index(drop=True)


class LastFmLightGcn(DatasetSource):
    """52,668 listens of 1,892 users with LightGCN's fixed random split and the trust network; no order."""

    info = DatasetInfo(
        "lastfm-lightgcn",
        "social",
        "none",
        TERMS,
        "github.com/gusye1234/LightGCN-PyTorch, folder data/lastfm",
        f"{CITATION}; He et al., LightGCN, SIGIR 2020",
        "The split is random and lacks a validation part: a tenth of the training rows, drawn once and for all, is it. "
        "No artist has more than 100 listeners: the popular ones were removed.",
        holds=Holds(52_668, 1_892, 4_489, ("listen",), graphs=("friends",)),
    )
    files = (
        SourceFile(
            "data1.txt",
            "c82af3228cbbda2f55a39244de09ed93292894f1d0d9f1908ebb57e27598fded",
            url=f"{LIGHTGCN}/data1.txt",
        ),
        SourceFile(
            "test1.txt",
            "de4417c0e6123284ce59a0934bcf5288ec1ec8774a18a1eef453c9952dfa48f9",
            url=f"{LIGHTGCN}/test1.txt",
        ),
        SourceFile(
            "trustnetwork.txt",
            "5b5bd7cbe4d22f3cd333dbfc7ec4b995cb2bdb28d95b0e9c5fc5607079f7b69e",
            url=f"{LIGHTGCN}/trustnetwork.txt",
        ),
    )
    boards = (
        given_split(
            "lastfm-lightgcn",
            "lastfm-lightgcn",
            meaning="Which artists does the user listen to, of those that LightGCN's random split holds out?",
        ),
    )

    def load(self) -> Dataset:
        """Read both parts over the published universe, users and items without an event included; ids count from 1."""
        train, test = (
            self.table(name, ("user", "item", "count"), sep="\t", dtype="int64") for name in ("data1.txt", "test1.txt")
        )
        # RandomState's stream is frozen for good, that of newer generators is not: the part must never move.
        drawn = np.random.RandomState(1).random_sample(len(train)) < 0.1
        part = np.r_[drawn.astype(np.int8), np.full(len(test), 2, np.int8)]
        user, item, count = (np.r_[train[name], test[name]] for name in ("user", "item", "count"))
        with self.reading("data1.txt"):
            log = Interactions.sorted(
                user - 1,
                item - 1,
                np.zeros(len(user), np.int64),
                n_users=N_USERS,
                n_items=N_ITEMS,
                value=count,
                behaviors=("listen",),
            )
        return Dataset(
            self.info,
            log,
            np.arange(1, N_USERS + 1),
            np.arange(1, N_ITEMS + 1),
            social=self.table("trustnetwork.txt", ("user", "friend"), sep="\t", dtype="int64"),
            part=part,
            checksum=self.checksum(),
            cleaning={"rows": len(user), "training_rows_drawn_for_validation": int(drawn.sum())},
        )
