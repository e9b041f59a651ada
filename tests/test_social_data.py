"""The social data sets: counts as published, each pitfall handled, and what a reader adds to DeskDrop by hand."""

import csv
import io
import os
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest

from recbench.dataset import DataParams
from recbench.errors import RecbenchError
from recbench.registry import find
from recbench.split import split

FOLDER = Path(os.environ.get("RECBENCH_DATA_DIR", "absent")) / "social"


def needs(name):
    return pytest.mark.skipif(not (FOLDER / name).is_dir(), reason=f"RECBENCH_DATA_DIR/social/{name} is absent")


def loaded(name):
    return find("data", name).load()().load()


def shape(data):
    """Events, users, items, distinct pairs."""
    log = data.interactions
    return len(log), data.n_users, data.n_items, len(np.unique(log.user * np.int64(log.n_items) + log.item))


def per_user(data):
    """Least, median and most events of a user."""
    n = np.bincount(data.interactions.user, minlength=data.n_users)
    return n.min(), np.median(n), n.max()


def behavior(data, name):
    log = data.interactions
    return log.where(log.behavior == log.behaviors.index(name))


def rows_of(source, name, **options):
    """A tab separated file as the csv module reads it: a list of fields a line, without the header."""
    text = source.content(name).decode()
    return list(csv.reader(io.StringIO(text), delimiter="\t", quoting=csv.QUOTE_NONE, **options))[1:]


@needs("deskdrop")
def test_deskdrop():
    data = loaded("social")
    assert data.info.name == "deskdrop" and find("data", "deskdrop").load() is find("data", "social").load()
    assert shape(data) == (72312, 1895, 2987, 40710)
    counts = {name: len(behavior(data, name)) for name in data.interactions.behaviors}
    assert counts == {"view": 61086, "like": 5745, "bookmark": 2463, "comment": 1611, "follow": 1407}
    viewed = behavior(data, "view")
    assert len(np.unique(viewed.user * np.int64(data.n_items) + viewed.item)) == 40241
    start, end = data.interactions.time[[0, -1]].astype("datetime64[s]").astype(str)
    assert (start, end) == ("2016-03-14T13:54:36", "2017-02-28T19:21:51")
    pairs = np.unique(np.c_[data.interactions.user, data.interactions.item], axis=0)
    active = np.bincount(pairs[:, 0]) >= 5
    assert active.sum() == 1140 and active[pairs[:, 0]].sum() == 39106
    assert data.user_ids.dtype == data.item_ids.dtype == np.int64 and data.user_ids.min() < 0
    assert 3499919498720038879 in -data.item_ids  # a float would have made it ...38784
    assert data.cleaning == {"rows": 72312, "rows_equal_to_an_earlier_one_kept": 2284} and data.items is None


ARTICLES = """timestamp,eventType,contentId,authorPersonId,authorSessionId,authorUserAgent,authorRegion,authorCountry,\
contentType,url,title,text,lang
1459192779,CONTENT REMOVED,-6451309518266745024,4340306774493623681,8940341205206233829,,,,HTML,http://a,Late,Gone,en
1459193988,CONTENT SHARED,-6451309518266745024,4340306774493623681,8940341205206233829,,,,HTML,http://a,Soon,"Ethereum,
the ""virtual"" machine",en
1459194146,CONTENT SHARED,310515487419366995,4340306774493623681,8940341205206233829,,,,HTML,http://b,Só título,,pt
1459194474,CONTENT SHARED,5,4340306774493623681,8940341205206233829,,,,HTML,http://c,Never opened,Nobody,en
"""


@pytest.fixture
def desk(tmp_path):
    """A folder with the log and an articles file of the given content; what DeskDrop makes of it."""

    def load(content: bytes):
        log = "users_interactions.csv.zip"
        if not (tmp_path / log).exists():
            (tmp_path / log).symlink_to(FOLDER / "deskdrop" / log)
        (tmp_path / "shared_articles.csv").write_bytes(content)
        return find("data", "deskdrop").load()(DataParams(root=str(tmp_path))).load()

    return load


@needs("deskdrop")
def test_deskdrop_with_articles(desk):
    data = desk(ARTICLES.encode())
    items = data.items.set_index(data.item_ids)
    assert items.loc[-6451309518266745024].tolist() == ["Soon", 'Soon\nEthereum,\nthe "virtual" machine', "en"]
    assert items.loc[310515487419366995].tolist() == ["Só título", "Só título", "pt"]
    assert data.n_items == 2987 and items["title"].notna().sum() == 2 and (items["text"] != "").sum() == 2
    assert data.checksum != loaded("deskdrop").checksum


@needs("deskdrop")
@pytest.mark.parametrize(
    ("old", "new"),
    [("contentId", "content"), ("310515487419366995", "3105x"), ('""virtual"" machine"', "virtual"), ("Só", "S\xf3")],
    ids=["no-column", "no-number", "open-quote", "latin-1"],
)
def test_deskdrop_with_broken_articles(desk, old, new):
    with pytest.raises(RecbenchError, match=r"^data=deskdrop: shared_articles.csv cannot be read \(.*\); .*$") as error:
        desk(ARTICLES.replace(old, new).encode("latin-1" if old == "Só" else "utf-8"))
    assert "\n" not in str(error.value)


@needs("deskdrop")
def test_social_board_asks_readers_who_have_a_history():
    data = loaded("social")
    new, again, *_ = find("data", "social").load().boards
    parts = split(data, new)
    assert (new.name, new.data, again.name, again.repeat) == ("social", "deskdrop", "social-repeat", "any")
    assert (len(parts.valid.queries), len(parts.test.queries)) == (272, 343)
    assert np.mean(parts.test.queries.items.lengths == 0) < 0.05
    assert parts.leakage["test_events_before_last_train_event"] == 0
    assert parts.leakage["targets_outside_candidates"] == pytest.approx(0.88, abs=0.005)
    histories, truths = parts.test.queries.items, parts.test.truth
    assert all(not np.isin(truths[q], histories[q]).any() for q in range(len(truths)))
    assert len(split(data, again).test.queries) == 611


@needs("ciao")
def test_ciao():
    data = loaded("ciao")
    log = data.interactions
    assert shape(data) == (36065, 2248, 16861, 35835) and per_user(data) == (1, 9, 868)
    n = np.bincount(log.user)
    assert (n >= 5).sum() == 1655 and n[n >= 5].sum() == 34587
    assert np.median(np.bincount(log.item)) == 1
    assert np.unique(log.value).tolist() == [1, 2, 3, 4, 5] and 0.45 < np.mean(log.value == 5) < 0.55
    first, last = (t.astype("datetime64[s]").astype("datetime64[D]").astype(str) for t in log.time[[0, -1]])
    assert (first, last, data.info.clock) == ("2000-06-01", "2011-04-12", "days")
    assert len(np.unique(log.time % 86400)) == 1  # a day is all that the times say
    assert data.items["category"].nunique() == 6
    assert len(data.social) == 57544 and not data.social.duplicated().any()
    members = np.unique(data.social[["user", "friend"]])
    assert len(members) == 2342 and np.isin(members, data.user_ids).sum() == 2215
    assert data.cleaning["pairs_rated_again_kept"] == 230


@needs("lastfm-2k")
def test_lastfm_2k():
    data = loaded("lastfm-2k")
    listened, tagged = behavior(data, "listen"), behavior(data, "tag")
    assert (len(listened), len(np.unique(listened.item)), data.n_users) == (92834, 17632, 1892)
    assert np.bincount(listened.user).max() == 50
    by_row = {(2, 51): 13883.0, (2, 52): 11690.0}
    ids = zip(data.user_ids[listened.user].tolist(), data.item_ids[listened.item].tolist(), strict=True)
    counts = dict(zip(ids, listened.value.tolist(), strict=True))
    assert {pair: counts[pair] for pair in by_row} == by_row
    pairs = {(u, i) for u, i in zip(tagged.user.tolist(), tagged.item.tolist(), strict=True)}
    assert (len(tagged), len(np.unique(tagged.item)), len(pairs)) == (186479, 12523, 71064)
    also = {(u, i) for u, i in zip(listened.user.tolist(), listened.item.tolist(), strict=True)} & pairs
    assert len(also) == 20665
    assert data.info.clock == "none" and not data.interactions.time.any()
    edges = set(zip(data.social["user"], data.social["friend"], strict=True))
    assert len(edges) == 25434 and all((friend, user) in edges for user, friend in edges)
    assert {user for user, _ in edges} == set(data.user_ids.tolist())
    assert len(data.knowledge) == 15518 and data.knowledge["relation"].nunique() == 60
    entities = set(data.knowledge["head"]) | set(data.knowledge["tail"])
    assert len(entities) == 9366 and data.items["entity"].notna().sum() == 3846
    assert set(data.items["entity"].dropna()) <= entities
    named = data.items["title"].notna().to_numpy()
    assert named.sum() == 17632 and data.n_items - named.sum() == 390
    assert named[np.unique(listened.item)].all()


@needs("lastfm-2k")
def test_lastfm_tags_are_those_of_three_users():
    source = find("data", "lastfm-2k").load()()
    data, words = source.load(), dict(rows_of(source, "tags.dat"))
    assert len(words) == 11946 and words["4844"] == "legi\ufffdo urbana"
    users = defaultdict(set)
    for user, artist, tag, *_ in rows_of(source, "user_taggedartists.dat"):
        users[int(artist), words[tag]].add(user)
    expected = defaultdict(set)
    for (artist, word), given in users.items():
        if len(given) >= 3:
            expected[artist].add(word)
    tags = data.items["tags"].set_axis(data.item_ids).dropna()
    assert {artist: set(line.split("|")) for artist, line in tags.items()} == expected


@needs("lastfm-lightgcn")
def test_lastfm_lightgcn():
    data = loaded("lastfm-lightgcn")
    log, part = data.interactions, data.part
    assert shape(data) == (52668, 1892, 4489, 52668)
    assert np.bincount(part).tolist() == [37861, 4274, 10533]
    for chosen, users, items in ((part < 2, 1878, 4476), (part == 2, 1858, 3285)):
        assert (len(np.unique(log.user[chosen])), len(np.unique(log.item[chosen]))) == (users, items)
    assert (data.user_ids[log.user[0]], data.item_ids[log.item[0]], log.value[0]) == (424, 4076, 993)
    assert len(data.social) == 25434 and data.social.to_numpy().max() == 1892
    assert np.bincount(log.item).max() == 100


@needs("lastfm-s3rec")
def test_lastfm_s3rec():
    data = loaded("lastfm-s3rec")
    assert shape(data) == (52551, 1090, 3646, 52551) and per_user(data) == (5, 19, 899)
    per_item = np.bincount(data.interactions.item)
    assert (per_item.min(), np.median(per_item), per_item.max()) == (5, 9, 177)
    tags = data.items["tags"].str.split("|")
    assert tags.explode().nunique() == 388 and data.info.clock == "order"
    first = data.interactions.where(data.interactions.user == 0)
    assert data.item_ids[first.item].tolist() == [1, 2, 3, 4, 5, 6, 7, 8]
    assert len(split(data, find("data", "lastfm-s3rec").load().boards[0]).test.queries) == 1090


@needs("yelp-s3rec")
def test_yelp_s3rec():
    data = loaded("yelp-s3rec")
    assert shape(data) == (316354, 30431, 20033, 304524) and per_user(data) == (5, 7, 350)
    categories = data.items["category"].str.split("|")
    assert categories.explode().nunique() == 1001
    assert categories.str.len().sum() / data.n_items == pytest.approx(4.84, abs=0.005)
    first = data.interactions.where(data.interactions.user == 0)
    assert data.item_ids[first.item][:9].tolist() == [1, 2, 3, 4, 3, 5, 6, 3, 7]  # who comes back stays
    masked, asked = find("data", "yelp-s3rec").load().boards
    assert (masked.repeat, asked.repeat) == ("new", "any")


@needs("ibm-watson-community")
def test_ibm_watson_community():
    data = loaded("ibm-watson-community")
    assert shape(data) == (45976, 5148, 714, 33669) and per_user(data) == (1, 3, 364)
    assert data.cleaning == {"rows": 45993, "rows_without_user_dropped": 17}
    pairs = np.unique(np.c_[data.interactions.user, data.interactions.item], axis=0)
    active = np.bincount(pairs[:, 0]) >= 5
    assert active.sum() == 1941 and active[pairs[:, 0]].sum() == 27540
    assert data.item_ids.dtype == np.int64 and 1430 in data.item_ids and data.info.clock == "none"
    assert data.items["title"].notna().all()
    told = data.items["text"].str.len() > data.items["title"].str.len()
    assert told.sum() == 437
    graph = data.items.set_index(data.item_ids).loc[50]
    assert graph["text"].startswith(f"{graph['title']} Community Detection at Scale")  # listed twice: the first row
