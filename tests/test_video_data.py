"""The video data sets: counts as published, each pitfall handled, and a hand-made copy of the original MovieLens 1M."""

import os
import random
import re
from pathlib import Path

import numpy as np
import pytest

from recbench.dataset import DataParams
from recbench.errors import RecbenchError
from recbench.registry import find
from recbench.split import split

FOLDER = Path(os.environ.get("RECBENCH_DATA_DIR", "absent")) / "video"


def needs(name):
    return pytest.mark.skipif(not (FOLDER / name).is_dir(), reason=f"RECBENCH_DATA_DIR/video/{name} is absent")


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


def sequence(data, user):
    """The item ids of a user, by id, in order."""
    log = data.interactions
    return data.item_ids[log.item[data.user_ids[log.user] == user]].tolist()


@needs("ml-100k")
def test_ml_100k():
    data = loaded("video")
    log = data.interactions
    assert data.info.name == "ml-100k" and find("data", "ml-100k").load() is find("data", "video").load()
    assert shape(data) == (100000, 943, 1682, 100000) and per_user(data) == (20, 65, 737)
    assert tuple(log.time[[0, -1]].astype("datetime64[s]").astype(str)) == (
        "1997-09-20T03:05:10",
        "1998-04-22T23:10:38",
    )
    _, moment, size = np.unique(np.c_[log.user, log.time], axis=0, return_inverse=True, return_counts=True)
    assert np.mean(size[moment] > 1) == pytest.approx(0.758, abs=0.0005)
    assert np.bincount(log.value.astype(int)).tolist() == [0, 6110, 11370, 27145, 34174, 21201]
    assert log.behaviors == ("watch", "like") and np.array_equal(log.behavior == 1, log.value >= 4)
    row = (data.user_ids[log.user] == 196) & (data.item_ids[log.item] == 242)
    assert (log.time[row].tolist(), log.value[row].tolist()) == ([881250949], [3])
    assert data.items.iloc[0].tolist() == [
        "Toy Story", 1995, "Animation|Children's|Comedy", "Toy Story 1995 Animation Children's Comedy", "m.0dyb1",
    ]  # fmt: skip
    assert data.items["year"].isna().sum() == 2 and data.items["year"].min() == 1922  # "unkonwn" and "V" in the file
    assert data.users.iloc[0].tolist() == [24, "M", "technician"] and data.users["occupation"].nunique() == 21
    graph = data.knowledge
    assert (len(graph), graph["relation"].nunique()) == (91631, 24)
    entities = set(graph["head"]) | set(graph["tail"])
    linked = data.items["entity"].dropna()
    assert len(entities) == 34628 and linked.nunique() == len(linked) == 1598 and set(linked) <= entities


@needs("ml-100k")
def test_video_board_asks_viewers_who_have_a_history():
    data = loaded("video")
    board, last, *_ = find("data", "video").load().boards
    parts = split(data, board)
    assert (board.name, last.name, last.split) == ("video", "video-last", "leave_last_out")
    assert (len(parts.valid.queries), len(parts.test.queries)) == (3948, 7911)
    assert len(np.unique(parts.test.queries.user)) == 237
    assert np.mean(parts.test.queries.items.lengths == 0) < 0.03
    assert parts.leakage["test_events_before_last_train_event"] == 0
    assert parts.leakage["targets_outside_candidates"] < 0.01
    row, time = parts.test.queries.times.flat()
    assert (time < parts.test.queries.time[row]).all()  # what shares the second of an answer is no history
    assert len(split(data, last).test.queries) == 943


@needs("ml-100k")
def test_video_boards_of_ratings_and_of_cold_items():
    data, boards = loaded("video"), {board.name: board for board in find("data", "video").load().boards}
    rated = split(data, boards["video-rating"])
    assert [len(part.interactions) for part in (rated.train, rated.refit)] == [80078, 90060]
    assert len(rated.test.queries) == 9940 and set(rated.test.values.tolist()) == {1, 2, 3, 4, 5}
    cold = split(data, boards["video-cold"])
    candidates = np.flatnonzero(cold.test.queries.candidates)
    assert (len(candidates), len(cold.test.queries)) == (78, 4426)
    assert not np.isin(cold.refit.interactions.item, candidates).any()


@needs("ml-1m")
def test_ml_1m():
    data = loaded("ml-1m")
    assert shape(data) == (999611, 6040, 3416, 999611) and data.info.clock == "order"
    assert np.bincount(data.interactions.item).min() >= 5
    assert sequence(data, 1)[:6] == [1198, 3552, 356, 1197, 3246, 1079]
    items = data.items.set_index(data.item_ids)
    assert items.loc[1].tolist() == [
        "Toy Story", 1995, "Animation|Children's|Comedy", "Toy Story 1995 Animation Children's Comedy",
    ]  # fmt: skip
    assert items.loc[73, "title"] == "Misérables, Les" and items["title"].notna().all()


@needs("microlens-50k")
def test_microlens_50k():
    data = loaded("microlens-50k")
    assert shape(data) == (359708, 50000, 19220, 359708) and per_user(data) == (5, 6, 218)
    per_item = np.bincount(data.interactions.item)
    assert (per_item.min(), np.median(per_item), per_item.max()) == (1, 11, 342)
    assert sequence(data, 1) == [1958, 6346, 15223, 17700, 1707] and data.info.clock == "order"
    text, tags = data.items["text"], data.items["tags"]
    assert (text != "").all() and not text.str.contains("\r|\n").any() and text.str.len().median() == 109
    assert text.str.contains("#").mean() == pytest.approx(0.89, abs=0.005)
    assert tags[0] == "comic|two yuan|my destiny villain"
    assert tags.str.split("|").explode().nunique() == 16902 - 1  # the naive split counts the empty tag


@needs("anime")
def test_anime():
    data = loaded("anime")
    log = data.interactions
    watched, rated = (log.where(log.behavior == code) for code in (0, 1))
    assert log.behaviors == ("watch", "rate") and (data.n_users, data.n_items) == (5000, 7390)
    assert (len(watched), len(rated), len(np.unique(rated.user))) == (520609, 419943, 4714)
    watches = np.bincount(watched.user)
    assert (watches.min(), np.median(watches), watches.max()) == (1, 56, 1993)
    pairs = [np.unique(part.user * np.int64(data.n_items) + part.item) for part in (watched, rated)]
    assert len(pairs[0]) == 520609 and len(pairs[1]) == 419943 and np.isin(pairs[1], pairs[0]).all()
    assert np.unique(rated.value).tolist() == list(range(1, 11)) and np.unique(watched.value).tolist() == [1]
    assert set(data.items) == {"title", "category", "kind", "text"}  # neither mean rating nor members
    assert data.items["title"][np.bincount(watched.item).argmax()] == "Death Note"
    assert not data.items["title"].str.contains("&#").any() and data.info.clock == "none"


RATINGS = b"""1::3::5::978300760
1::10::3::978302109
1::20::4::978302109
2::3::1::956703954
2::20::2::956703955
2::30::4::956703977
"""
MOVIES = """3::Grumpier Old Men (1995)::Comedy|Romance
10::Misérables, Les (1995)::Drama|Musical
20::No Year Here::Drama
30::Never (Again) (2001)::War
40::Nobody's (1990)::War
""".encode("latin-1")
USERS = b"1::F::1::10::48067\n2::M::56::16::70072\n3::M::25::15::55117\n"


def original(folder, **changed):
    """A folder with the three files, some of other content; what ml-1m-original makes of it."""
    for name, content in ({"ratings": RATINGS, "movies": MOVIES, "users": USERS} | changed).items():
        (folder / f"{name}.dat").write_bytes(content)
    return find("data", "ml-1m-original").load()(DataParams(root=str(folder))).load()


def test_ml_1m_original(tmp_path):
    data = original(tmp_path)
    log = data.interactions
    assert data.user_ids.tolist() == [1, 2] and data.item_ids.tolist() == [3, 10, 20, 30]
    assert log.user.tolist() == [1, 1, 1, 0, 0, 0] and log.item.tolist() == [0, 2, 3, 0, 1, 2]
    assert log.time.tolist() == [956703954, 956703955, 956703977, 978300760, 978302109, 978302109]
    assert log.value.tolist() == [1, 2, 4, 5, 3, 4] and log.behavior.tolist() == [0, 0, 1, 1, 0, 1]
    assert data.items["title"].tolist() == ["Grumpier Old Men", "Misérables, Les", "No Year Here", "Never (Again)"]
    assert data.items["year"].fillna(0).tolist() == [1995, 1995, 0, 2001]
    assert data.items["text"][1] == "Misérables, Les 1995 Drama Musical"
    assert data.users.to_dict("list") == {"age": [1, 56], "gender": ["F", "M"], "occupation": ["10", "16"]}
    assert data.info.clock == "seconds"


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"ratings": RATINGS.replace(b"::956703977", b"")}, "ratings.dat"),
        ({"ratings": RATINGS.replace(b"2::3::1", b"2::3::1::7")}, "ratings.dat"),
        ({"ratings": b"9::" + RATINGS}, "ratings.dat"),
        ({"ratings": RATINGS.replace(b"3::5", b"3::6")}, "ratings must be 1 to 5 stars"),
        ({"ratings": RATINGS.replace(b"978300760", b"978300760000")}, "outside 1900 to 2262"),
        ({"ratings": RATINGS.replace(b"::", b",")}, "ratings.dat"),
        ({"ratings": b""}, "ratings.dat"),
        ({"movies": MOVIES.replace(b"::War", b"")}, "movies.dat"),
        ({"movies": MOVIES + MOVIES}, "movies.dat"),
        ({"users": USERS.replace(b"2::M", b"M::2")}, "users.dat"),
    ],
)
def test_ml_1m_original_refuses_in_one_line(tmp_path, changed, named):
    with pytest.raises(RecbenchError) as error:
        original(tmp_path, **changed)
    assert re.fullmatch(r"data=ml-1m-original: .*", str(error.value)) and named in str(error.value)


def test_ml_1m_original_loses_no_row_of_a_damaged_file(tmp_path):
    for seed in range(100):
        draw, content = random.Random(seed), bytearray(RATINGS)
        for _ in range(draw.randint(1, 3)):
            content[draw.randrange(len(content))] = draw.randrange(256)
        try:
            n_events = len(original(tmp_path, ratings=bytes(content)).interactions)
        except RecbenchError as error:
            assert "\n" not in str(error)
        else:
            assert n_events == len([line for line in re.split(rb"[\r\n]", content) if line])


def test_ml_1m_names_the_set_that_reads_the_original(tmp_path):
    (tmp_path / "ratings.dat").write_bytes(RATINGS)
    source = find("data", "ml-1m").load()(DataParams(root=str(tmp_path)))
    with pytest.raises(RecbenchError, match=f"give data=ml-1m-original data.root={tmp_path}$"):
        source.load()
    (tmp_path / "ratings.dat").unlink()
    with pytest.raises(RecbenchError, match=r"^data=ml-1m: sequences.txt not found in .*"):
        source.load()
