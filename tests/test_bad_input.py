"""Every wrong input as one line on stderr, exit status 1 and nothing lost; unusual but right input runs."""

import gzip
import json
import math

import numpy as np
import pytest
from conftest import board_file, entries, refused, write_beauty

BEAUTY = ("model=popular", "data=acme-beauty")


@pytest.mark.parametrize(("text", "fragments"), [
    (board_file(repaet="any"), ("repaet", "did you mean 'repeat'")),
    (board_file(repeat="always"), ("repeat", "new, any", "'always'")),
    (board_file(headline="ndcg@7"), ("headline", "ndcg@7")),
    (board_file(metrics=["ndgc@10"], headline="ndgc@10"), ("ndgc", "did you mean")),
    (board_file(metrics=["ndcg@0"], headline="ndcg@0"), ("ndcg@0", "from 1")),
    (board_file(split="global_time", test_window_days=7, valid_window_days=7), ("global_time", "order")),
    ("name: half\n", ("mine.yaml", "data")),
    ("", ("mine.yaml",)),
    ("name: [unclosed\n", ("mine.yaml",)),
], ids=["field", "word", "headline", "metric", "k", "clock", "half", "empty", "no yaml"])  # fmt: skip
def test_a_wrong_board_file_is_one_line(quickly, tmp_path, text, fragments):
    (tmp_path / "mine.yaml").write_text(text)
    refused(quickly("model=popular", "board=mine.yaml"), *fragments)


@pytest.mark.parametrize(("words", "fragments"), [
    (("model=populer", "data=acme-beauty"), ("model=populer", "did you mean 'popular'?", "item-knn")),
    (("model=zzz", "data=acme-beauty"), ("model=zzz is not installed", "popular")),
    (("model=popular", "data=acme-beaty"), ("data=acme-beaty", "did you mean 'acme-beauty'?")),
    (("model=popular", "board=ecommerce-repaet"), ("did you mean 'ecommerce-repeat'?", "acme-beauty")),
    (("model=popular", "board=nowhere.yaml"), ("nowhere.yaml", "no such file")),
    (("model=item-knn", "data=acme-beauty", "model.neighbors=5"), ("'neighbors'", "'neighbours'?", "shrink")),
    (("model=popular", "data=acme-beauty", "data.rot=x"), ("'rot'", "did you mean 'root'?")),
    (("model=item-knn", "data=acme-beauty", "model.neighbours=x"), ("neighbours must be a whole number", "'x'")),
    (("model=item-knn", "data=acme-beauty", "model.neighbours=2.5"), ("neighbours must be a whole number", "2.5")),
    (("model=item-knn", "data=acme-beauty", "model.neighbours=0"), ("neighbours", "1 to 2000", "given 0")),
    (("model=item-knn", "data=acme-beauty", "model.neighbours=2001"), ("neighbours", "1 to 2000", "given 2001")),
    (("model=popular", "data=acme-beauty", "model.count=user"), ("count", "users, events", "did you mean 'users'?")),
    (("model=recent-popular", "data=acme-beauty"), ("recent-popular", "timestamps", "acme-beauty", "order")),
    (("model=popular",), ("data=", "acme-beauty")),
    (("data=acme-beauty",), ("model=", "popular")),
    (("model=popular", "data=acme-beauty", "sed=3"), ("sed",)),
    (("model=popular", "data=acme-beauty", "seed=three"), ("seed", "three")),
    (("model=popular", "data=acme-beauty", "seed=1.5"), ("seed", "1.5")),
    (("model=popular", "data=acme-beauty", "trainer.threads=few"), ("threads", "few")),
    (("model=popular", "data=acme-beauty", "trainer.max_minutes=soon"), ("max_minutes", "soon")),
    (("model=popular", "data=acme-beauty", "submit=maybe"), ("submit", "maybe")),
    (("model=popular", "data=acme-beauty", "track=wandbb"), ("wandbb", "files", "wandb")),
    (("model=popular", "data=acme-beauty", "calibration=isotonik"), ("none, temperature, isotonic", "mean 'isotonic'?")),
    (("model=popular", "data=acme-beauty", "calibration=isotonic"), ("acme-beauty asks for none", "task ranking")),
    (("model=popular,random", "data=acme-beauty"), ("popular,random", "-")),
    (("rubbish",), ("rubbish",)),
    (("model=[", "data=acme-beauty"), ("[",)),
    (("lst",), ("'lst'", "did you mean 'list'?")),
    (("new-plugin", "model=mine", "task=rating"), ("task", "ranking, behavior", "'rating'")),
    (("new-plugin", "metric=rating.mine", "task=ranking"), ("one task", "'ranking' and 'rating'")),
    (("new-plugin", "task=behavior"), ("new-plugin what?", "new-plugin model=NAME")),
    (("--no-such-flag",), ("--no-such-flag", "--hydra-help")),
    (("--cfg",), ("--cfg",)),
    (("--experimental-rerun", "x.pkl"), ("pickle", "entry.json")),
    (("model=popular", "data=acme-beauty", "trainer=fast"), ("trainer/fast", "default")),
    (("-m", "--cfg", "job", "model=popular"), ("choose one of", "--cfg")),
    (("--cfg", "jb", "model=popular"), ("jb", "job")),
    (("list", "modl"), ("modl", "did you mean 'model'?")),
    (("show", "model=populer"), ("did you mean 'popular'?",)),
    (("show", "board=acme-beaty"), ("did you mean 'acme-beauty'?",)),
    (("show", "metric=ndcg"), (".ndcg'?",)),
    (("show",), ("show model=NAME",)),
    (("show", "model=popular", "model=ease"), ("show model=NAME",)),
], ids=lambda part: " ".join(part)[:60])  # fmt: skip
def test_a_wrong_word_is_one_line(quickly, tmp_path, words, fragments):
    refused(quickly(*words), *fragments)
    assert not (tmp_path / "runs").exists(), "a command refused for its words leaves no run folder"


def test_a_guess_reads_as_a_sentence(quickly):
    line = refused(quickly("model=zzz", "data=acme-beauty"))
    assert "installed Installed" not in line


def test_missing_data_says_how_to_get_them(quickly):
    ways = ("Sports_and_Outdoors.txt", "data.root=FOLDER", "RECBENCH_DATA_DIR", "com/RUCAIBox/CIKM2020-S3Rec")
    refused(quickly("model=popular", "data=amazon-sports"), *ways)
    refused(quickly("model=popular", "data=amazon-sports", env={"RECBENCH_DATA_DIR": ""}), *ways)


def test_a_blocked_run_folder_is_one_line(quickly, tmp_path):
    (tmp_path / "blocked").write_text("a file where a folder should be")
    refused(quickly(*BEAUTY, "out=blocked"), "cannot write", "blocked", "choose another folder")
    assert (tmp_path / "blocked").read_text().startswith("a file")
    refused(quickly(*BEAUTY, "submit=true", "leaderboards=blocked"), "cannot write", "blocked")


@pytest.mark.parametrize("name", ["config.json", "model"])
def test_a_blocked_file_in_the_run_folder_is_one_line(quickly, tmp_path, name):
    assert quickly(*BEAUTY).returncode == 0
    (folder,) = (tmp_path / "runs").iterdir()
    if name == "model":
        for path in (folder / name).iterdir():
            path.unlink()
        (folder / name).rmdir()
        (folder / name).write_text("")
    else:
        (folder / name).unlink()
        (folder / name).mkdir()
    refused(quickly(*BEAUTY), "cannot write", name)


KNN = ("model=item-knn", "data=acme-beauty")


@pytest.fixture(scope="module")
def sizes(tmp_path_factory, forge):
    """The size of each file of a run, by name."""
    folder = tmp_path_factory.mktemp("whole")
    forge.start(*KNN, cwd=folder)
    assert forge.end().returncode == 0
    return {path.name: path.stat().st_size for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("where", ["plan.json", "lists.npz", "arrays.npz", "entry.json"])
def test_a_full_disk_leaves_no_entry(quickly, sizes, tmp_path, where):
    """No file may grow beyond a limit that the file named here is the first to meet."""
    order = ["plan.json", "config.json", "lists.npz", "per_query.npz", "params.json", "arrays.npz", "entry.json"]
    earlier = max((sizes[name] for name in order[: order.index(where)]), default=0)
    if earlier >= sizes[where]:
        pytest.skip(f"an earlier file is larger than {where}")
    done = quickly(*KNN, largest=max(earlier, sizes[where] // 2))
    refused(done, "cannot write", where, "space")
    assert entries(tmp_path / "runs") == []
    assert not list((tmp_path / "runs").rglob(".*")), "no half-written file is left behind"


@pytest.mark.parametrize(("name", "content", "fragments"), [
    ("Beauty.txt.gz", "cut", ("Beauty.txt.gz", "cannot be read", "restore")),
    ("Beauty.txt.gz", b"no gzip at all", ("Beauty.txt.gz", "cannot be read")),
    ("Beauty.txt.gz", gzip.compress(b"", mtime=0), ("Beauty.txt.gz",)),
    ("Beauty.txt.gz", gzip.compress(b"1 2 3 4 5\n\n2 3 4 5 6\n", mtime=0), ("Beauty.txt.gz",)),
    ("Beauty.txt.gz", gzip.compress(b"1 2 x 4 5\n", mtime=0), ("Beauty.txt.gz", "whole numbers", "x")),
    ("Beauty_item2attributes.json", b'{"1": [1, 2', ("Beauty_item2attributes.json",)),
    ("Beauty_item2attributes.json", None, ("Beauty_item2attributes.json", "not found")),
], ids=["cut", "no gzip", "empty", "blank line", "word", "cut json", "no json"])  # fmt: skip
def test_broken_order_files_are_one_line(quickly, tmp_path, name, content, fragments):
    folder = write_beauty(tmp_path / "broken")
    if content is None:
        (folder / name).unlink()
    else:
        whole = (folder / name).read_bytes()
        (folder / name).write_bytes(whole[: len(whole) // 2] if content == "cut" else content)
    refused(quickly(*BEAUTY, env={"RECBENCH_DATA_DIR": str(tmp_path / "broken")}), "acme-beauty", *fragments)
    assert entries(tmp_path / "runs") == []


@pytest.fixture
def journey(tmp_path):
    """A made-up Complete Journey: 12 households, 10 products, one basket a week over 2017."""
    import pandas as pd

    folder = tmp_path / "journey"
    folder.mkdir()
    rows = [(h, (h + w * (1 + h % 3)) % 10, w) for h in range(1, 13) for w in range(50)]
    tables = {
        "transactions": pd.DataFrame({
            "household_id": [str(h) for h, _, _ in rows], "product_id": [str(p) for _, p, _ in rows], "quantity": 1.0,
            "sales_value": 2.5, "coupon_disc": 0.0,
            "transaction_timestamp": [pd.Timestamp("2017-01-01 10:00") + pd.Timedelta(days=7 * w) for _, _, w in rows],
        }),
        "products": pd.DataFrame({
            "product_id": [str(p) for p in range(10)], "product_type": "tin", "product_category": "food",
            "brand": "National", "department": "GROCERY", "package_size": "1 OZ",
        }),
        "demographics": pd.DataFrame({"household_id": ["1"], "age": ["35-44"]}),
        "coupons": pd.DataFrame({"coupon_upc": ["7"], "product_id": ["1"], "campaign_id": ["1"]}),
        "coupon_redemptions": pd.DataFrame({
            "household_id": ["1"], "coupon_upc": ["7"], "campaign_id": ["1"],
            "redemption_date": [pd.Timestamp("2017-03-01")],
        }),
    }  # fmt: skip
    for name, table in tables.items():
        table.to_parquet(folder / f"{name}.parquet")
    return folder


JOURNEY = ("model=popular", "board=acme-ecommerce-repeat", "data.root=journey", "data=acme-journey")


def test_parquet_tables_run_and_break_in_one_line(quickly, journey, tmp_path):
    import pandas as pd

    done = quickly(*JOURNEY)
    assert done.returncode == 0 and done.stderr == "", done.stderr
    (entry,) = entries(tmp_path / "runs")
    assert entry["board"] == "acme-ecommerce-repeat" and entry["on_board"], (
        "the folder of the files is no part of a protocol"
    )

    path = journey / "transactions.parquet"
    table, whole = pd.read_parquet(path), path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    refused(quickly(*JOURNEY, "out=again"), "acme-journey", "transactions.parquet", "cannot be read", "restore")
    for year in ("1850-06-01", "2300-06-01"):
        stamps = table["transaction_timestamp"].astype("datetime64[s]")
        stamps.iloc[5] = pd.Timestamp(year).as_unit("s")
        table.assign(transaction_timestamp=stamps).to_parquet(path)
        refused(quickly(*JOURNEY, "out=again"), year, "1900 to 2262", "row 5")
    path.unlink()
    refused(quickly(*JOURNEY, "out=again"), "transactions.parquet", "not found", "data.root=FOLDER")
    assert entries(tmp_path / "again") == []


def test_a_parquet_table_without_a_column_is_one_line(quickly, journey):
    import pandas as pd

    path = journey / "transactions.parquet"
    pd.read_parquet(path).drop(columns="quantity").to_parquet(path)
    refused(quickly(*JOURNEY), "transactions.parquet", "quantity")


@pytest.mark.parametrize("name", ["board.json", "popular-000000000000.json"])
def test_a_damaged_board_is_one_line_and_costs_no_run(quickly, tmp_path, name):
    folder = tmp_path / "leaderboards" / "acme-beauty"
    folder.mkdir(parents=True)
    (folder / name).write_text('{"board": ')
    refused(quickly(*BEAUTY, "submit=true"), name)
    assert len(entries(tmp_path / "runs")) == 1


def finite(entry: dict) -> bool:
    return all(math.isfinite(score["value"]) for score in entry["scores"].values())


def test_items_without_text_are_items(quickly, tmp_path):
    folder = write_beauty(tmp_path / "bare")
    (folder / "Beauty_item2attributes.json").write_text(json.dumps({"1": [1, 2]}))
    done = quickly(*BEAUTY, env={"RECBENCH_DATA_DIR": str(tmp_path / "bare")})
    assert done.returncode == 0 and done.stderr == "", done.stderr
    (entry,) = entries(tmp_path / "runs")
    assert finite(entry)


def test_products_without_text_or_row_are_items(quickly, journey, tmp_path):
    import pandas as pd

    path = journey / "products.parquet"
    table = pd.read_parquet(path)
    table.loc[2, table.columns.drop("product_id")] = None
    table.drop(index=5).to_parquet(path)
    done = quickly(*JOURNEY)
    assert done.returncode == 0 and done.stderr == "", done.stderr
    (entry,) = entries(tmp_path / "runs")
    assert finite(entry) and entry["scores"]["diversity@10"]["value"] > 0


def newcomer(journey) -> None:
    """Household 99 comes in the last week for the first time and buys products 3 and 4."""
    import pandas as pd

    path = journey / "transactions.parquet"
    table = pd.read_parquet(path)
    new = table[table["product_id"].isin(["3", "4"])].tail(2).assign(household_id="99", product_id=["3", "4"])
    new["transaction_timestamp"] = table["transaction_timestamp"].max()
    pd.concat([table, new]).to_parquet(path)


def answered(tmp_path) -> list[str]:
    """The models whose list for the newcomer holds ten products, each once; every score finite."""
    found = []
    for entry in entries(tmp_path / "runs"):
        with np.load(tmp_path / "runs" / entry["key"] / "lists.npz") as lists:
            items = lists["items"][lists["user"] == 12]  # of the sorted households "1", "10", ..., "99" the last
        assert items.shape[0] == 1 and finite(entry), entry["model"]
        found += [entry["model"]] if sorted(items[0, :10]) == list(range(10)) else []
    return sorted(found)


def test_a_user_without_history_is_answered(quickly, neural_forge, journey, tmp_path):
    newcomer(journey)
    models = ["ease", "item-knn", "personal-popular", "popular", "random", "recent-popular"]
    done = quickly("-m", f"model={','.join(models)}", *JOURNEY[1:])
    assert done.returncode == 0 and done.stderr == "", done.stderr
    assert answered(tmp_path) == models
    short = ("model.epochs=1", "model.dim=4", "trainer.threads=1")
    neural_forge.start("model=transformer", *JOURNEY[1:], *short, cwd=tmp_path)
    assert neural_forge.end().returncode == 0
    assert answered(tmp_path) == [*models, "transformer"]


def test_k_beyond_the_catalogue_counts_the_whole_catalogue(quickly, tmp_path):
    """Against an evaluation by hand: popularity without the last two events of each user, ties in every order."""
    labels = ["ndcg@1000", "hit-rate@1000", "recall@1000", "precision@1000", "mrr@1000", "coverage@1000"]
    text = board_file(name="long", repeat="any", fit_on="train", metrics=labels, headline="ndcg@1000")
    (tmp_path / "long.yaml").write_text(text)
    done = quickly("model=popular", "board=long.yaml")
    assert done.returncode == 0 and done.stderr == "", done.stderr
    (entry,) = entries(tmp_path / "runs")

    lines = gzip.decompress((write_beauty(tmp_path / "copy") / "Beauty.txt.gz").read_bytes()).decode().splitlines()
    histories = [line.split()[1:] for line in lines]
    count = dict.fromkeys({item for history in histories for item in history}, 0)
    for item in (item for history in histories for item in history[:-2]):
        count[item] += 1
    gains, ranks = [], []
    for *_, target in histories:
        above = sum(n > count[target] for n in count.values())
        positions = [above + 1 + i for i in range(sum(n == count[target] for n in count.values()))]
        gains.append(np.mean([1 / math.log2(p + 1) for p in positions]))
        ranks.append(np.mean([1 / p for p in positions]))
    expected = [np.mean(gains), 1.0, 1.0, 1 / 1000, np.mean(ranks), 1.0]
    assert len(count) == 30 and [entry["scores"][label]["value"] for label in labels] == pytest.approx(expected)


def window_board(**changes) -> str:
    fields = {
        "name": "mine", "data": "acme-journey", "metrics": ["ndcg@10"], "headline": "ndcg@10", "repeat": "any",
        "test_window_days": 28, "valid_window_days": 28,
    }  # fmt: skip
    return json.dumps(fields | changes)


@pytest.mark.parametrize(("changes", "fragments"), [
    ({"test_window_days": 1, "valid_window_days": 1}, ("validation holdout is empty", "lengthen its window")),
    ({"repeat": "new"}, ("holdout is empty",)),  # after a year every household knows every product
    ({"test_window_days": 400}, ("training part is empty", "shorten the windows")),
    ({"filters": {"min_user_events": 1000}}, ("empty", "loosen the filters")),
    ({"behaviors": ["view"]}, ("view", "purchase")),
    ({"task": "rating"}, ("model=popular", "rating", "these can: autorec, biased-mf, item-knn-rating, linear")),
    (
        {"task": "behavior", "behaviors": ["purchase"], "negatives": "uniform", "n_negatives": 1},
        ("model=popular", "behavior", "these can: bert, bst, dcn-v2, deepfm"),
    ),
    ({"task": "behavior"}, ("task behavior: behaviors must name what is asked about",)),
], ids=["window without events", "nothing new", "data too short", "filters", "behaviour", "rating", "behaviour task", "no behaviour"])  # fmt: skip
def test_a_board_that_the_data_or_the_model_cannot_answer_is_one_line(quickly, journey, tmp_path, changes, fragments):
    (tmp_path / "mine.yaml").write_text(window_board(**changes))
    words = ("model=popular", "board=mine.yaml", "data=acme-journey", "data.root=journey")
    refused(quickly(*words), "mine", *fragments)
    assert entries(tmp_path / "runs") == []


SHOWN = {"negatives": "none", "n_negatives": 0, "ask": "each_event"}


@pytest.mark.parametrize(("changes", "fragments"), [
    ({"behaviors": ["purchase"] * 2}, ("behaviors must name each behaviour once; given purchase, purchase",)),
    (SHOWN | {"exposures": ["purchase"]}, ("must differ: whether there is a purchase where there is one needs no answer",)),
    ({"metrics": ["auc", "ndcg@10"]}, ("'ndcg@10': none is installed for task behavior", "Installed: accuracy, auc")),
    ({"metrics": ["auc", "acu"]}, ("'acu': none is installed for task behavior; did you mean 'auc'?",)),
    ({"metrics": ["auc", "auc@"]}, ("'auc@': write auc or auc@BEHAVIOUR",)),
    ({"metrics": ["auc", "auc@purchaes"]}, ("'auc@purchaes' is of 'purchaes'", "did you mean 'purchase'?")),
], ids=["twice", "shown as asked", "of ranking", "misspelt", "of nothing", "of another"])  # fmt: skip
def test_a_board_that_asks_for_no_behaviour_or_judges_it_by_nothing_is_one_line(
    quickly, journey, tmp_path, changes, fragments
):
    asked = {"task": "behavior", "behaviors": ["purchase"], "negatives": "uniform", "n_negatives": 1}
    (tmp_path / "mine.yaml").write_text(window_board(**asked | {"metrics": ["auc"], "headline": "auc"} | changes))
    words = ("model=prior", "board=mine.yaml", "data=acme-journey", "data.root=journey")
    refused(quickly(*words), *fragments)
    assert entries(tmp_path / "runs") == []


def test_an_error_spares_the_runs_before(quickly, tmp_path):
    assert quickly(*BEAUTY, "submit=true").returncode == 0
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    folder = write_beauty(tmp_path / "broken")
    (folder / "Beauty.txt.gz").write_bytes(b"no gzip at all")
    refused(quickly(*BEAUTY, "submit=true", env={"RECBENCH_DATA_DIR": str(tmp_path / "broken")}), "cannot be read")
    (tmp_path / "mine.yaml").write_text(board_file(task="rating", target="all_in_window"))
    refused(quickly("model=popular", "board=mine.yaml", "submit=true"), "these can: autorec")
    assert {path: path.read_bytes() for path in before} == before
