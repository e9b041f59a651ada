"""Every shopping data set has the counts of its source, and what is easily got wrong in it is right."""

import json
import os
import shutil
import zipfile
from functools import cache
from itertools import chain
from pathlib import Path

import numpy as np
import pytest
from recbench_ecommerce.amazon import AmazonBeauty
from recbench_ecommerce.prices import first_prices

from recbench import registry
from recbench.boards import board
from recbench.dataset import DataParams
from recbench.errors import RecbenchError
from recbench.fetch import in_folder
from recbench.ingest import positions
from recbench.plan import digest
from recbench.split import split

BASE = os.environ.get("RECBENCH_DATA_DIR", "")
FOLDER = Path(BASE) / "ecommerce"


@cache
def loaded(name):
    """The data set from the user's folder alone: a test fetches nothing."""
    if not BASE or not (FOLDER / name).is_dir():
        pytest.skip(f"{name} is not at hand; set RECBENCH_DATA_DIR")
    return registry.find("data", name).load()().load()


def sizes(data):
    """Users, items and events, and distinct pairs of user and item."""
    return data.n_users, data.n_items, len(data.interactions), len(np.unique(pairs(data.interactions)))


def pairs(log):
    return log.user * np.int64(log.n_items) + log.item


def spread(rows, n):
    """Smallest, median and largest number of events, of users or of items."""
    count = np.bincount(rows, minlength=n)
    return count.min(), np.median(count), count.max()


def tied(log):
    """The share of events that share user and moment with another."""
    moment = np.unique(np.c_[log.user, log.time], axis=0, return_counts=True)[1]
    return moment[moment > 1].sum() / len(log)


def utc(seconds):
    return str(np.datetime64(int(seconds), "s"))


def by_behavior(data):
    """Events, users and items of each behaviour."""
    log = data.interactions
    parts = {name: log.where(log.behavior == b) for b, name in enumerate(log.behaviors)}
    return {n: (len(part), len(np.unique(part.user)), len(np.unique(part.item))) for n, part in parts.items()}


def test_first_prices_are_the_lowest_of_the_first_moment_with_a_price():
    price = np.array([9.0, np.nan, 4.0, 3.0, 7.0, np.inf])
    item, time = np.array([0, 1, 1, 1, 0, 2]), np.array([5, 1, 2, 2, 4, 1])
    np.testing.assert_array_equal(first_prices(price, item, time, 4), [7.0, 3.0, np.nan, np.nan])


def test_amazon_beauty():
    data = loaded("amazon-beauty")
    log = data.interactions
    assert sizes(data) == (22363, 12101, 198502, 198502)
    assert spread(log.user, data.n_users) == (5, 6, 204) and spread(log.item, data.n_items) == (5, 9, 431)
    assert data.info.clock == "order" and np.array_equal(log.time, positions(log.user))


def test_amazon_sports():
    data = loaded("amazon-sports")
    log = data.interactions
    assert sizes(data) == (35598, 18357, 296337, 296337)
    assert spread(log.user, data.n_users) == (5, 6, 296) and spread(log.item, data.n_items) == (5, 9, 1042)


@pytest.mark.parametrize(
    ("name", "stem", "numbers", "per_item"),
    [("amazon-beauty", "Beauty", 637, 3.72), ("amazon-sports", "Sports_and_Outdoors", 2277, 6.02)],
)
def test_amazon_items_are_told_by_the_names_of_their_attributes(name, stem, numbers, per_item):
    data = loaded(name)
    attributes = json.loads((FOLDER / name / f"{stem}_item2attributes.json").read_text())
    assert len(set(chain(*attributes.values()))) == numbers
    assert sum(map(len, attributes.values())) / data.n_items == pytest.approx(per_item, abs=0.005)
    lines = (FOLDER / name / "derived_attribute_names.tsv").read_text().splitlines()[1:]
    names = {int(number): word for number, word, _ in (line.split("\t") for line in lines)}
    for row in range(0, data.n_items, 50):
        words = [names[number] for number in attributes[str(data.item_ids[row])] if names[number]]
        assert data.items["category"][row].split("|") == (list(dict.fromkeys(words)) or [""])
        assert data.items["text"][row] == " ".join(dict.fromkeys(words))


def test_without_names_the_attributes_are_numbers_and_the_checksum_says_so(tmp_path):
    whole = loaded("amazon-beauty")
    for name in ("Beauty.txt.gz", "Beauty_item2attributes.json"):
        shutil.copy(FOLDER / "amazon-beauty" / name, tmp_path / name)
    bare = AmazonBeauty(DataParams(root=str(tmp_path))).load()
    attributes = json.loads((tmp_path / "Beauty_item2attributes.json").read_text())
    expected = [" ".join(map(str, dict.fromkeys(attributes[str(i)]))) for i in bare.item_ids]
    assert bare.items is not None and bare.items["text"].tolist() == expected and bare.checksum != whole.checksum


def test_amazon_grocery():
    data = loaded("amazon-grocery")
    log, graph = data.interactions, data.knowledge
    assert sizes(data) == (14681, 8687, 121892, 121892) and spread(log.user, data.n_users) == (3, 5, 202)
    assert tied(log) == pytest.approx(0.406, abs=0.0005) and not np.any(log.time % 86400)
    assert (utc(log.time[0])[:10], utc(log.time[-1])[:10]) == ("2000-08-09", "2014-07-22")
    assert graph["relation"].value_counts().to_dict() == {"complement": 248444, "substitute": 124933}
    assert graph.columns.tolist() == ["head", "relation", "tail"] and set(graph.map(type).to_numpy().ravel()) == {str}
    named = set(graph["head"]) | set(graph["tail"])
    assert named <= {str(n) for n in range(1, 8714)} and data.items["category"].nunique() <= 57
    assert data.items["entity"].tolist() == [str(i) for i in data.item_ids]
    assert graph["tail"][graph["head"] == "1"][:3].tolist() == ["6285", "194", "6427"]


def test_retailrocket():
    data = loaded("retailrocket")
    log = data.interactions
    assert sizes(data) == (3431, 8885, 92487, 79595) and data.info.clock == "none"
    assert by_behavior(data) == {"view": (78371, 3423, 8878), "cart": (9028, 1557, 4447), "purchase": (5088, 824, 3077)}
    view, cart, buy = (pairs(log.where(log.behavior == b)) for b in range(3))
    common = [len(np.intersect1d(*two)) for two in ((buy, view), (cart, view), (buy, cart))]
    assert common == [4731, 7897, 4716]


@pytest.mark.parametrize(("name", "least"), [("retailrocket", 450), ("steam", 2500)])
def test_no_behaviour_betrays_a_pair_held_out(name, least):
    data = loaded(name)
    parts = split(data, board(name))
    for known, held in ((parts.train, parts.valid), (parts.refit, parts.test)):
        query, item = held.truth.flat()
        asked = held.queries.user[query] * np.int64(data.n_items) + item
        assert len(held.queries) >= least and not np.isin(asked, pairs(known.interactions)).any()


def test_steam():
    data = loaded("steam")
    log = data.interactions
    assert sizes(data) == (12393, 5155, 129511 + 70489, 128804) and data.info.clock == "none"
    assert by_behavior(data) == {"buy": (129511, 12393, 5155), "play": (70489, 11350, 3600)}
    assert data.cleaning["repeated_purchases_kept"] == 707
    bought, hours = (log.value[log.behavior == b] for b in (0, 1))
    with zipfile.ZipFile(FOLDER / "steam" / "steam.zip") as archive:
        told = [float(line.split(b"\t")[2]) for line in archive.read("steam/game_play.dat").splitlines()[1:]]
    assert set(bought) == {1.0} and sorted(hours) == sorted(np.array(told, np.float32))
    assert np.median(np.bincount(log.user[log.behavior == 0])) == 2
    assert data.items["title"][:3].tolist() == ["The Elder Scrolls V Skyrim", "Fallout 4", "Spore"]


def test_uci_online_retail():
    data = loaded("uci-online-retail")
    log = data.interactions
    assert sizes(data) == (4338, 3866, 397884, 268161) and spread(log.user, data.n_users)[2] == 7847
    assert utc(log.time[0]) == "2010-12-01T08:26:00" and utc(log.time[-1]) == "2011-12-09T12:50:00"
    assert tied(log) == pytest.approx(0.997, abs=0.0005)
    assert data.cleaning == {
        "rows": 541909, "no_customer": 135080, "no_description": 1454, "quantity_not_above_0": 10624,
        "price_not_above_0": 2517, "dropped": 541909 - 397884, "exact_duplicates_not_dropped": 6007,
    }  # fmt: skip
    texts = data.items["text"].tolist()
    assert texts == list(data.item_ids) == [text.strip() for text in texts] and log.value.min() == 1


def test_prices_and_countries_of_uci_online_retail_are_the_first_ones():
    import pandas as pd

    data = loaded("uci-online-retail")
    lines = pd.read_parquet(FOLDER / "uci-online-retail" / "online_retail.parquet").dropna(subset="CustomerID")
    lines = lines.query("Quantity > 0 and UnitPrice > 0").assign(product=lambda table: table["Description"].str.strip())
    for i in range(0, data.n_items, 200):
        sold = lines.query("product == @name", local_dict={"name": data.item_ids[i]})
        assert data.items["price"][i] == min(zip(sold["InvoiceDate"], sold["UnitPrice"], strict=True))[1]
    for u in range(0, data.n_users, 200):
        bought = lines.query("CustomerID == @customer", local_dict={"customer": data.user_ids[u]})
        assert data.users["country"][u] == min(zip(bought["InvoiceDate"], bought["Country"], strict=True))[1]


def test_yoochoose_100k():
    data = loaded("yoochoose-100k")
    log, learned = data.interactions, data.part < 2
    counts = [
        (len(np.unique(log.user[rows])), len(np.unique(log.item[rows])), rows.sum()) for rows in (learned, ~learned)
    ]
    assert counts == [(17794, 2933, 70278), (3416, 1771, 13568)] and data.n_users == 17794 + 3416
    assert len(np.unique(pairs(log)[learned])) == 51394 and len(log) / data.n_users == pytest.approx(3.95, abs=0.005)
    bounds = [utc(log.time[rows][end])[:16] for rows in (learned, ~learned) for end in (0, -1)]
    assert bounds == ["2014-04-01T01:02", "2014-04-07T00:43", "2014-04-07T00:49", "2014-04-08T00:50"]


def test_yoochoose_100k_validates_as_session_rec_does():
    """Its files name the sessions: what it tunes on is validation here, and no session is in two parts."""
    data = loaded("yoochoose-100k")
    user = data.interactions.user
    parts = [set(data.user_ids[user[data.part == p]]) for p in range(3)]
    for p, name in enumerate(("train_tr.txt.gz", "train_valid.txt")):
        path = FOLDER / "yoochoose-100k" / f"yoochoose-clicks-100k_{name}"
        sessions = set(np.unique(np.loadtxt(path, skiprows=1, usecols=0).astype(int)))
        assert sessions <= parts[p] and len(parts[p] - sessions) == (0, 81)[p]  # it drops 81 of them as too short
    assert len(parts[0] & parts[1]) == len(parts[0] & parts[2]) == len(parts[1] & parts[2]) == 0


def test_the_complete_journey_is_the_one_of_its_board():
    """The committed boards stay valid: the same protocol, the same files, the same split."""
    try:
        data = registry.find("data", "ecommerce").load()().load()
    except RecbenchError as error:
        pytest.skip(str(error))
    log = data.interactions
    assert by_behavior(data)["purchase"] == (1469307, 2469, 68509) and len(log) == 1470333
    committed = json.loads((Path(__file__).parents[1] / "leaderboards" / "ecommerce" / "board.json").read_text())
    fields = {k: v for k, v in committed["board"].items() if k != "meaning"}
    assert board("ecommerce").protocol_hash == digest(fields)
    assert board("ecommerce-repeat").protocol_hash == digest(fields | {"name": "ecommerce-repeat", "repeat": "any"})
    assert data.checksum == committed["data_checksum"]
    assert split(data, board("ecommerce")).fingerprint == committed["split_fingerprint"]


@pytest.mark.parametrize(
    "name",
    [
        "amazon-beauty",
        "amazon-sports",
        "amazon-grocery",
        "retailrocket",
        "steam",
        "uci-online-retail",
        "yoochoose-100k",
    ],
)
def test_a_damaged_file_is_one_line(name, tmp_path):
    cls = registry.find("data", name).load()
    if not BASE or not (FOLDER / name).is_dir():
        pytest.skip(f"{name} is not at hand; set RECBENCH_DATA_DIR")
    found = {file.name: in_folder(file.name, FOLDER / name) for file in cls.files if not file.optional}
    wholes = [path for path in found.values() if path]
    for damaged, path in zip(found, wholes, strict=True):
        for whole in wholes:
            (tmp_path / whole.name).unlink(missing_ok=True)
            (tmp_path / whole.name).symlink_to(whole)
        content = bytearray(path.read_bytes())
        for damage in (content[:-9], content[: len(content) // 2] + b"7" + content[len(content) // 2 + 1 :]):
            (tmp_path / path.name).unlink()
            (tmp_path / path.name).write_bytes(damage)
            with pytest.raises(RecbenchError) as caught:
                cls(cls.Params(root=str(tmp_path))).load()
            assert damaged in str(caught.value) and "restore" in str(caught.value) and "\n" not in str(caught.value)


def test_a_damaged_optional_file_is_not_the_same_as_none(tmp_path):
    if FOLDER is None or not (FOLDER / "amazon-beauty").is_dir():
        pytest.skip("needs the files of amazon-beauty")
    whole = tmp_path / "amazon-beauty"
    shutil.copytree(FOLDER / "amazon-beauty", whole, copy_function=shutil.copyfile)
    whole.chmod(0o755)
    source = AmazonBeauty(DataParams(root=str(whole)))
    assert source.has("derived_attribute_names.tsv")
    (whole / "derived_attribute_names.tsv").write_text("s3rec_attribute_id\tname\n1\t")
    with pytest.raises(RecbenchError, match=r"derived_attribute_names\.tsv is not the file that was published"):
        source.load()
    (whole / "derived_attribute_names.tsv").unlink()
    assert not source.has("derived_attribute_names.tsv")
