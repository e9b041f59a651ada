"""The command line as a user meets it: real runs in their own process, and every user error as one line."""

import gzip
import json
import os
import resource
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

BEAUTY = ("model=popular", "data=amazon-beauty")
HEAVY = ("torch", "pytorch_lightning", "lightning", "pandas", "scipy", "sklearn", "transformers", "optuna", "wandb")


def write_beauty(base: Path, n_users: int = 40, shift: int = 0) -> Path:
    """A made-up amazon-beauty folder under `base`: 6 items in order a user, 30 items."""
    folder = base / "ecommerce" / "amazon-beauty"
    folder.mkdir(parents=True)
    lines = [
        " ".join(map(str, [u, *(1 + (u * (7 + shift) + i * i) % 30 for i in range(6))])) for u in range(1, n_users + 1)
    ]
    (folder / "Beauty.txt.gz").write_bytes(gzip.compress(("\n".join(lines) + "\n").encode()))
    (folder / "Beauty_item2attributes.json").write_text(json.dumps({str(i): [i % 5, 10 + i % 3] for i in range(1, 31)}))
    return folder


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    base = tmp_path_factory.mktemp("data")
    write_beauty(base)
    return base


@pytest.fixture
def recbench(tmp_path, data_dir):
    """Runs `python -m recbench WORDS` in an empty folder."""

    def run(*words: str, env: dict | None = None, flags: tuple = (), **options):
        return subprocess.run(
            [sys.executable, *flags, "-m", "recbench", *words],
            cwd=tmp_path,
            env=environment(data_dir) | (env or {}),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            **options,
        )

    return run


FORGE = """
import json, os, sys, traceback
import hydra, hydra._internal.hydra, numpy, pandas, pyarrow.parquet, rich.table
import recbench.cli, recbench.config, recbench.leaderboard, recbench.run
import recbench_metrics.accuracy, recbench_metrics.beyond
for line in sys.stdin:
    case = json.loads(line)
    child = os.fork()
    if not child:
        for fd in (1, 2):
            os.dup2(os.open(case["streams"][fd - 1], os.O_WRONLY | os.O_CREAT), fd)
        os.chdir(case["cwd"]), os.environ.clear(), os.environ.update(case["env"])
        sys.argv, code = ["recbench", *case["words"]], 1
        try:
            code = recbench.cli.main()
        except SystemExit as error:
            code = error.code
        except BaseException:
            traceback.print_exc()
        sys.stdout.flush(), sys.stderr.flush(), os._exit(code)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


@pytest.fixture(scope="module")
def forge(tmp_path_factory):
    """A process that has imported the command line and forks a child a command: long tables of errors stay quick."""
    process = subprocess.Popen(
        [sys.executable, "-c", FORGE], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        cwd=tmp_path_factory.mktemp("none"), env=environment(tmp_path_factory.mktemp("none")),
    )  # fmt: skip
    yield process
    process.stdin.close()
    process.wait(timeout=20)


@pytest.fixture
def quickly(forge, tmp_path, data_dir, tmp_path_factory):
    """Like `recbench`, in a fork of the forge."""

    def run(*words: str, env: dict | None = None):
        streams = [tmp_path_factory.mktemp("streams") / name for name in ("stdout", "stderr")]
        case = {
            "words": words, "cwd": str(tmp_path), "env": environment(data_dir) | (env or {}),
            "streams": list(map(str, streams)),
        }  # fmt: skip
        print(json.dumps(case), file=forge.stdin, flush=True)
        code = int(forge.stdout.readline())
        return subprocess.CompletedProcess(words, code, *(path.read_text() for path in streams))

    return run


def environment(data_dir: Path) -> dict:
    fixed = {"OMP_NUM_THREADS": "1", "COLUMNS": "220", "RECBENCH_DATA_DIR": str(data_dir), "PYTHONWARNINGS": "default"}
    return {k: v for k, v in os.environ.items() if k != "RECBENCH_PLUGINS"} | fixed


def refused(done, *fragments: str) -> str:
    """The one line of a user error, holding every fragment; no traceback on either stream."""
    assert "Traceback" not in done.stderr + done.stdout, done.stderr
    lines = done.stderr.splitlines()
    assert len(lines) == 1 and lines[0].startswith("recbench: "), done.stderr
    assert done.returncode == 1
    for fragment in fragments:
        assert fragment in lines[0], lines[0]
    return lines[0]


def entries(folder: Path) -> list[dict]:
    return [json.loads(path.read_text()) for path in sorted(folder.glob("*/entry.json"))]


def test_a_run_prints_scores_and_board_and_leaves_an_entry(recbench, tmp_path):
    done = recbench(*BEAUTY)
    assert done.returncode == 0 and done.stderr == "", done.stderr
    for text in ("ndcg@10", "95% interval over users", "Board amazon-beauty", "popular (this run)"):
        assert text in done.stdout
    (entry,) = entries(tmp_path / "runs")
    assert entry["model"] == "popular" and entry["board"] == "amazon-beauty" and entry["on_board"]
    assert entry["n_queries"] == 40 and entry["distribution"] == "recbench-classic"
    folder = tmp_path / "runs" / entry["key"]
    assert sorted(p.name for p in folder.iterdir() if p.name != "curve.jsonl") == [
        "config.json",
        "entry.json",
        "lists.npz",
        "model",
        "per_query.npz",
        "plan.json",
    ]
    assert f"{entry['scores']['ndcg@10']['value']:.4f}" in done.stdout
    assert sorted(p.name for p in tmp_path.iterdir()) == ["runs"], "a run leaves nothing outside its folder"


def test_the_same_command_gives_the_same_scores(recbench, tmp_path):
    for out in ("first", "second"):
        assert recbench("model=random", "data=amazon-beauty", "seed=3", f"out={out}").returncode == 0
    (first,), (second,) = entries(tmp_path / "first"), entries(tmp_path / "second")
    for name in ("key", "scores", "artefacts", "split_fingerprint", "data_checksum", "leakage"):
        assert first[name] == second[name]


def test_submit_makes_the_board_and_refuses_a_mixture(quickly, tmp_path):
    for words in (BEAUTY, ("model=item-knn", "data=amazon-beauty")):
        done = quickly(*words, "submit=true")
        assert done.returncode == 0, done.stderr
    folder = tmp_path / "leaderboards" / "amazon-beauty"
    frozen = (folder / "board.json").read_text()
    assert json.loads(frozen)["board"]["split"] == "leave_last_out"
    assert len(list(folder.glob("popular-*.json"))) == len(list(folder.glob("item-knn-*.json"))) == 1
    page = (folder / "README.md").read_text()
    assert "| popular |" in page and "| item-knn |" in page and "this run" not in page
    assert "item-knn" in done.stdout and "popular" in done.stdout, "the board is shown with the other entries"

    write_beauty(tmp_path / "other", shift=2)
    changed = quickly(*BEAUTY, "submit=true", env={"RECBENCH_DATA_DIR": str(tmp_path / "other")})
    refused(changed, "amazon-beauty", "data_checksum")
    assert (folder / "board.json").read_text() == frozen and (folder / "README.md").read_text() == page

    (tmp_path / "mine.yaml").write_text(board_file(repeat="any"))
    refused(quickly("model=popular", "board=mine.yaml", "submit=true"), "repeat='new'", "'any'")
    assert (folder / "board.json").read_text() == frozen and (folder / "README.md").read_text() == page


def board_file(**changes) -> str:
    fields = {
        "name": "amazon-beauty", "data": "amazon-beauty", "headline": "ndcg@10", "split": "leave_last_out",
        "metrics": ["ndcg@10", "ndcg@5", "hit-rate@5", "hit-rate@10", "recall@10", "mrr@10",
                    "coverage@10", "novelty@10", "popularity-bias@10", "gini@10"],
        "ask": "last", "target": "first", "repeat": "new", "fit_on": "train+valid", "candidates": "all",
    }  # fmt: skip
    return json.dumps(fields | changes)  # JSON is YAML


def test_a_board_of_the_users_runs(quickly, tmp_path):
    (tmp_path / "mine.yaml").write_text(
        board_file(name="mine", repeat="any", metrics=["recall@3"], headline="recall@3")
    )
    done = quickly("model=popular", "board=mine.yaml", "submit=true")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "leaderboards" / "mine" / "board.json").is_file()


@pytest.mark.parametrize(("text", "fragments"), [
    (board_file(repaet="any"), ("repaet", "did you mean 'repeat'")),
    (board_file(repeat="always"), ("repeat", "new, any", "'always'")),
    (board_file(headline="ndcg@7"), ("headline", "ndcg@7")),
    (board_file(metrics=["ndgc@10"], headline="ndgc@10"), ("ndgc", "did you mean")),
    (board_file(metrics=["ndcg@0"], headline="ndcg@0"), ("ndcg@0", "from 1")),
    (board_file(split="global_time"), ("global_time", "order")),
    ("name: half\n", ("mine.yaml", "data")),
    ("", ("mine.yaml",)),
    ("name: [unclosed\n", ("mine.yaml",)),
], ids=["field", "word", "headline", "metric", "k", "clock", "half", "empty", "no yaml"])  # fmt: skip
def test_a_wrong_board_file_is_one_line(quickly, tmp_path, text, fragments):
    (tmp_path / "mine.yaml").write_text(text)
    refused(quickly("model=popular", "board=mine.yaml"), *fragments)


def test_off_the_board_runs_but_is_not_submitted(quickly, tmp_path):
    done = quickly("model=popular", "data=amazon-beauty", "board=amazon-sports", "submit=true")
    refused(done, "amazon-sports", "protocol")
    (entry,) = entries(tmp_path / "runs")
    assert not entry["on_board"] and not (tmp_path / "leaderboards").exists()


@pytest.mark.parametrize(("words", "fragments"), [
    (("model=populer", "data=amazon-beauty"), ("model=populer", "did you mean 'popular'?", "item-knn")),
    (("model=zzz", "data=amazon-beauty"), ("model=zzz is not installed", "popular")),
    (("model=popular", "data=amazon-beaty"), ("data=amazon-beaty", "did you mean 'amazon-beauty'?")),
    (("model=popular", "board=ecommerce-repaet"), ("did you mean 'ecommerce-repeat'?", "amazon-beauty")),
    (("model=popular", "board=nowhere.yaml"), ("nowhere.yaml", "no such file")),
    (("model=item-knn", "data=amazon-beauty", "model.neighbors=5"), ("'neighbors'", "'neighbours'?", "shrink")),
    (("model=popular", "data=amazon-beauty", "data.rot=x"), ("'rot'", "did you mean 'root'?")),
    (("model=item-knn", "data=amazon-beauty", "model.neighbours=x"), ("neighbours must be a whole number", "'x'")),
    (("model=item-knn", "data=amazon-beauty", "model.neighbours=2.5"), ("neighbours must be a whole number", "2.5")),
    (("model=item-knn", "data=amazon-beauty", "model.neighbours=0"), ("neighbours", "1 to 2000", "given 0")),
    (("model=item-knn", "data=amazon-beauty", "model.neighbours=2001"), ("neighbours", "1 to 2000", "given 2001")),
    (("model=popular", "data=amazon-beauty", "model.count=user"), ("count", "users, events", "did you mean 'users'?")),
    (("model=recent-popular", "data=amazon-beauty"), ("recent-popular", "timestamps", "amazon-beauty", "order")),
    (("model=popular",), ("data=", "amazon-beauty")),
    (("data=amazon-beauty",), ("model=", "popular")),
    (("model=popular", "data=amazon-beauty", "sed=3"), ("sed",)),
    (("model=popular", "data=amazon-beauty", "seed=three"), ("seed", "three")),
    (("model=popular", "data=amazon-beauty", "seed=1.5"), ("seed", "1.5")),
    (("model=popular", "data=amazon-beauty", "trainer.threads=few"), ("threads", "few")),
    (("model=popular", "data=amazon-beauty", "trainer.max_minutes=soon"), ("max_minutes", "soon")),
    (("model=popular", "data=amazon-beauty", "submit=maybe"), ("submit", "maybe")),
    (("model=popular", "data=amazon-beauty", "track=wandbb"), ("wandbb", "files", "wandb")),
    (("model=popular,random", "data=amazon-beauty"), ("popular,random", "-")),
    (("rubbish",), ("rubbish",)),
    (("model=[", "data=amazon-beauty"), ("[",)),
    (("--no-such-flag",), ("--no-such-flag",)),
    (("show", "model=populer"), ("did you mean 'popular'?",)),
    (("show", "board=amazon-beaty"), ("did you mean 'amazon-beauty'?",)),
    (("show",), ("show model=NAME",)),
], ids=lambda part: " ".join(part)[:60])  # fmt: skip
def test_a_wrong_word_is_one_line(quickly, tmp_path, words, fragments):
    refused(quickly(*words), *fragments)
    assert not (tmp_path / "runs").exists(), "a command refused for its words leaves no run folder"


def test_a_guess_reads_as_a_sentence(quickly):
    line = refused(quickly("model=zzz", "data=amazon-beauty"))
    assert "installed Installed" not in line


def test_missing_data_says_how_to_get_them(quickly):
    ways = ("Sports_and_Outdoors.txt.gz", "data.root=FOLDER", "RECBENCH_DATA_DIR", "github.com/RUCAIBox/CIKM2020-S3Rec")
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


KNN = ("model=item-knn", "data=amazon-beauty")


@pytest.fixture(scope="module")
def whole(tmp_path_factory, data_dir):
    """The folder of a run that nothing stopped."""
    folder = tmp_path_factory.mktemp("whole")
    words = [sys.executable, "-m", "recbench", *KNN]
    subprocess.run(words, cwd=folder, env=environment(data_dir), capture_output=True, check=True)
    return folder


@pytest.mark.parametrize("where", ["plan.json", "lists.npz", "arrays.npz", "entry.json"])
def test_a_full_disk_leaves_no_entry(recbench, whole, tmp_path, where):
    """No file may grow beyond a limit that the file named here is the first to meet."""
    size = {p.name: p.stat().st_size for p in whole.rglob("*") if p.is_file()}
    order = ["plan.json", "config.json", "lists.npz", "per_query.npz", "params.json", "arrays.npz", "entry.json"]
    earlier = max((size[name] for name in order[: order.index(where)]), default=0)
    if earlier >= size[where]:
        pytest.skip(f"an earlier file is larger than {where}")

    def limit():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (max(earlier, size[where] // 2), resource.RLIM_INFINITY))

    done = recbench(*KNN, preexec_fn=limit, env={"PYTHONDONTWRITEBYTECODE": "1"})
    refused(done, "cannot write", where, "space")
    assert entries(tmp_path / "runs") == []
    assert not list((tmp_path / "runs").rglob(".*")), "no half-written file is left behind"


@pytest.mark.parametrize(("name", "content", "fragments"), [
    ("Beauty.txt.gz", "cut", ("Beauty.txt.gz", "cannot be read", "restore")),
    ("Beauty.txt.gz", b"no gzip at all", ("Beauty.txt.gz", "cannot be read")),
    ("Beauty.txt.gz", gzip.compress(b""), ("Beauty.txt.gz",)),
    ("Beauty.txt.gz", gzip.compress(b"1 2 3 4 5\n\n2 3 4 5 6\n"), ("Beauty.txt.gz",)),
    ("Beauty.txt.gz", gzip.compress(b"1 2 x 4 5\n"), ("Beauty.txt.gz", "whole numbers", "x")),
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
    refused(quickly(*BEAUTY, env={"RECBENCH_DATA_DIR": str(tmp_path / "broken")}), "amazon-beauty", *fragments)
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


JOURNEY = ("model=popular", "board=ecommerce-repeat", "data.root=journey", "data=ecommerce")


def test_parquet_tables_run_and_break_in_one_line(quickly, journey, tmp_path):
    import pandas as pd

    done = quickly(*JOURNEY)
    assert done.returncode == 0 and done.stderr == "", done.stderr
    (entry,) = entries(tmp_path / "runs")
    assert entry["board"] == "ecommerce-repeat" and entry["on_board"], (
        "the folder of the files is no part of a protocol"
    )

    path = journey / "transactions.parquet"
    table, whole = pd.read_parquet(path), path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    refused(quickly(*JOURNEY, "out=again"), "ecommerce", "transactions.parquet", "cannot be read", "restore")
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
    folder = tmp_path / "leaderboards" / "amazon-beauty"
    folder.mkdir(parents=True)
    (folder / name).write_text('{"board": ')
    refused(quickly(*BEAUTY, "submit=true"), name)
    assert len(entries(tmp_path / "runs")) == 1


def test_in_a_multirun_one_failure_spares_the_others(recbench, tmp_path):
    done = recbench("-m", "model=recent-popular,popular", "data=amazon-beauty")
    lines = done.stderr.splitlines()
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert len(lines) == 1 and lines[0].startswith("recbench: model=recent-popular"), done.stderr
    assert [entry["model"] for entry in entries(tmp_path / "runs")] == ["popular"]


SLEEPER = '''
"""A model that sleeps until it is woken."""
import time
from recbench.model import Recommender

class Sleeper(Recommender):
    """Sleeps."""
    def fit(self, train, context):
        print("asleep", flush=True)
        time.sleep(40)
'''


def test_ctrl_c_is_one_line(tmp_path, data_dir):
    site = tmp_path / "site"
    (site / "acme_sleeper-0.1.dist-info").mkdir(parents=True)
    (site / "acme_sleeper.py").write_text(textwrap.dedent(SLEEPER))
    (site / "acme_sleeper-0.1.dist-info" / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: acme-sleeper\nVersion: 0.1\n"
    )
    (site / "acme_sleeper-0.1.dist-info" / "entry_points.txt").write_text(
        "[recbench.model]\nsleeper = acme_sleeper:Sleeper\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-m", "recbench", "model=sleeper", "data=amazon-beauty"], cwd=tmp_path, text=True,
        env=environment(data_dir) | {"PYTHONPATH": str(site)}, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )  # fmt: skip
    try:
        assert any(line == "asleep\n" for line in process.stdout), process.stderr.read()
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=20)
    finally:
        process.kill()
    assert process.returncode == 130
    assert stderr.startswith("recbench: interrupted") and len(stderr.splitlines()) == 1, stderr
    assert entries(tmp_path / "runs") == []


def imported(done) -> set[str]:
    """Top-level modules in the output of -X importtime."""
    names = (line.rpartition("|")[2].strip() for line in done.stderr.splitlines() if line.startswith("import time:"))
    return {name.partition(".")[0] for name in names}


def test_list_and_show_name_the_plugins_and_import_nothing_heavy(recbench):
    done = recbench("list", flags=("-X", "importtime"))
    assert done.returncode == 0
    rows = [line.split() for line in done.stdout.splitlines()]
    for kind, name, distribution in (
        ("model", "popular", "recbench-classic"), ("data", "amazon-beauty", "recbench-ecommerce"),
        ("metric", "ranking.ndcg", "recbench-metrics"),
    ):  # fmt: skip
        assert any(kind in row and name in row and distribution in row for row in rows), done.stdout
    assert not imported(done) & set(HEAVY)
    shown = recbench("show", "model=item-knn")
    assert "neighbours" in shown.stdout and "1 to 2000" in shown.stdout
    assert "leave_last_out" in recbench("show", "board=amazon-beauty").stdout


def test_import_and_help_are_light(recbench, tmp_path):
    code = "import sys, recbench; print(*sorted({m.partition('.')[0] for m in sys.modules}))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not set(loaded) & {*HEAVY, "numpy", "hydra", "omegaconf", "rich"}
    for words in (("--help",), ()):
        done = recbench(*words, flags=("-X", "importtime"))
        assert done.returncode == 0 and "model" in done.stdout
        assert not imported(done) & {*HEAVY, "numpy"}
    assert not list(tmp_path.iterdir()), "help leaves no file"
