"""The command line as a user meets it: real runs in their own process; test_bad_input.py has the errors."""

import json
import os
import shutil
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from conftest import board_file, entries, environment, refused, write_beauty

BEAUTY = ("model=popular", "data=acme-beauty")
HEAVY = ("torch", "pytorch_lightning", "lightning", "pandas", "scipy", "sklearn", "transformers", "optuna", "wandb")


def test_a_run_prints_scores_and_board_and_leaves_an_entry(recbench, tmp_path):
    done = recbench(*BEAUTY)
    assert done.returncode == 0 and done.stderr == "", done.stderr
    for text in ("ndcg@10", "95% interval over users", "Board acme-beauty", "popular (this run)"):
        assert text in done.stdout
    (entry,) = entries(tmp_path / "runs")
    assert entry["model"] == "popular" and entry["board"] == "acme-beauty" and entry["on_board"]
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


def test_the_same_command_gives_the_same_scores(quickly, tmp_path):
    for out in ("first", "second"):
        assert quickly("model=random", "data=acme-beauty", "seed=3", f"out={out}").returncode == 0
    (first,), (second,) = entries(tmp_path / "first"), entries(tmp_path / "second")
    for name in ("key", "scores", "artefacts", "split_fingerprint", "data_checksum", "leakage"):
        assert first[name] == second[name]


def test_submit_makes_the_board_and_refuses_a_mixture(quickly, tmp_path):
    for words in (BEAUTY, ("model=item-knn", "data=acme-beauty")):
        done = quickly(*words, "submit=true")
        assert done.returncode == 0, done.stderr
    folder = tmp_path / "leaderboards" / "acme-beauty"
    frozen = (folder / "board.json").read_text()
    assert json.loads(frozen)["board"]["split"] == "leave_last_out"
    assert len(list(folder.glob("popular-*.json"))) == len(list(folder.glob("item-knn-*.json"))) == 1
    page = (folder / "README.md").read_text()
    assert "| popular |" in page and "| item-knn |" in page and "this run" not in page
    table = done.stdout[done.stdout.index("Board acme-beauty") :]
    assert "item-knn (this run)" in table and "popular" in table, "the board is shown with the other entries"
    assert "ndcg@10" in table and "coverage@10" not in table, "by its headline, also where entries come from files"

    write_beauty(tmp_path / "other", shift=2)
    changed = quickly(*BEAUTY, "submit=true", env={"RECBENCH_DATA_DIR": str(tmp_path / "other")})
    refused(changed, "acme-beauty", "data_checksum")
    assert (folder / "board.json").read_text() == frozen and (folder / "README.md").read_text() == page

    (tmp_path / "mine.yaml").write_text(board_file(repeat="any"))
    refused(quickly("model=popular", "board=mine.yaml", "submit=true"), "repeat='new'", "'any'")
    assert (folder / "board.json").read_text() == frozen and (folder / "README.md").read_text() == page


def test_a_board_of_the_users_runs(quickly, tmp_path):
    (tmp_path / "mine.yaml").write_text(
        board_file(name="mine", repeat="any", metrics=["recall@3"], headline="recall@3")
    )
    done = quickly("model=popular", "board=mine.yaml", "submit=true")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "leaderboards" / "mine" / "board.json").is_file()


def test_off_the_board_runs_but_is_not_submitted(quickly, tmp_path):
    done = quickly("model=popular", "data=acme-beauty", "board=amazon-sports", "submit=true")
    refused(done, "amazon-sports", "protocol")
    (entry,) = entries(tmp_path / "runs")
    assert not entry["on_board"] and not (tmp_path / "leaderboards").exists()


def test_a_parameter_of_several_models_is_set_in_each(quickly, tmp_path):
    """What is composed for all jobs names no model then, and must not refuse the parameter."""
    for sweep in ((), ("sweep=random", "sweep.trials=1", "seed=1")):
        done = quickly("-m", "model=item-knn,user-knn", "model.neighbours=7", "data=acme-beauty,acme-beauty", *sweep)
        assert done.returncode == 0, done.stderr
    found = entries(tmp_path / "runs")
    assert {entry["model"] for entry in found} == {"item-knn", "user-knn"}
    assert {entry["params"]["neighbours"] for entry in found} == {7}
    assert all("++" not in entry["command"] and "model.neighbours=7" in entry["command"] for entry in found)
    wrong = quickly("-m", "model=item-knn,random", "model.neighbours=7", "data=acme-beauty")
    assert wrong.returncode == 1 and "neighbours" in wrong.stderr and "++" not in wrong.stderr


def test_in_a_multirun_one_failure_spares_the_others(quickly, tmp_path):
    done = quickly("-m", "model=recent-popular,popular", "data=acme-beauty")
    lines = done.stderr.splitlines()
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert len(lines) == 1 and lines[0].startswith("recbench: model=recent-popular"), done.stderr
    (entry,) = entries(tmp_path / "runs")
    assert entry["command"] == "python -m recbench model=popular data=acme-beauty", "what repeats this one run"


SLEEPER = '''
"""A model that sleeps until it is woken."""
import time
from recbench.model import Recommender

class Sleeper(Recommender):
    """Sleeps."""
    def fit(self, train, context):
        print("asleep", flush=True)
        for _ in range(400):
            time.sleep(0.1)  # short: a signal that comes just before a sleep begins is seen after it
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
    paths = os.pathsep.join([str(site), os.environ["PYTHONPATH"]])
    process = subprocess.Popen(
        [sys.executable, "-m", "recbench", "model=sleeper", "data=acme-beauty"], cwd=tmp_path, text=True,
        env=environment(data_dir) | {"PYTHONPATH": paths, "PYTHONFAULTHANDLER": "1"},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )  # fmt: skip
    try:
        assert any(line == "asleep\n" for line in process.stdout), process.stderr.read()
        process.send_signal(signal.SIGINT)
        try:
            _, stderr = process.communicate(timeout=20)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGABRT)  # faulthandler tells where every thread stands
            pytest.fail(f"still there after 20 s: {process.communicate()}")
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
    assert not imported(done) & set(HEAVY)
    for kind, name, distribution in (
        ("model", "popular", "recbench-classic"), ("data", "amazon-beauty", "recbench-ecommerce"),
        ("metric", "ranking.ndcg", "recbench-metrics"), ("board", "ecommerce-repeat", "recbench-ecommerce"),
    ):  # fmt: skip
        sections = [text for text in done.stdout.split("\n\n") if text.startswith(f"{kind}, from {distribution} ")]
        assert any(f"  {name} " in text for text in sections), done.stdout


def test_show_has_what_can_be_set_and_where_it_comes_from(quickly):
    for word, fragments in (
        ("model=item-knn", ("neighbours", "1 to 2000", "recbench-classic")),
        ("data=ecommerce", ("licence", "ecommerce-repeat", "root")),
        ("metric=ranking.ndcg", ("definition", "log2")),
        ("board=acme-beauty", ("leave_last_out", "ndcg@10, ndcg@5")),
    ):
        done = quickly("show", word)
        assert done.returncode == 0 and all(fragment in done.stdout for fragment in fragments), done.stdout
    assert "popular" not in quickly("list", "data").stdout


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("list",),
        ("show", "model=transformer"),
        ("show", "model=din"),
        ("show", "data=ecommerce"),
        ("show", "board=ecommerce"),
        BEAUTY,
    ],
    ids=" ".join,
)
def test_nothing_is_wider_than_80_columns_or_cut(quickly, words):
    done = quickly(*words, env={"COLUMNS": "80"})
    assert done.returncode == 0 and len(done.stdout.splitlines()) > 5
    assert max(map(len, done.stdout.splitlines())) <= 80 and "…" not in done.stdout, done.stdout


def test_flags_may_stand_anywhere(quickly, tmp_path):
    done = quickly("model=item-knn", "--cfg", "job", "data=acme-beauty")
    assert done.returncode == 0 and "neighbours: 100" in done.stdout and not list(tmp_path.iterdir())
    assert quickly("model=random", "-m", "seed=1,2", "data=acme-beauty").returncode == 0
    assert [entry["seed"] for entry in entries(tmp_path / "runs")] in ([1, 2], [2, 1])
    assert quickly("--version").stdout.startswith("recbench 0.")


COMPLETE = """
eval "$(python -m recbench -sc install=bash)"
complete -p recbench
for line in "recbench model=transf" "recbench show model=item-knn-" "recbench model=item-knn model.sh" "recbench what is"; do
    COMP_LINE="$line" COMP_POINT=${#line} COMP_WORDS=($line) COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
    hydra_bash_completion
    echo "${COMPREPLY[@]}"
done
"""


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
def test_tab_completes_plugins_and_parameters(tmp_path, data_dir):
    """Installed and asked as a shell does it, through the function that Hydra's script defines."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    if not shutil.which("recbench", path=path):
        pytest.skip("the command recbench is not installed beside python")
    done = subprocess.run(
        ["bash", "-c", COMPLETE], cwd=tmp_path, env=environment(data_dir) | {"PATH": path},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.stderr == ""
    rule, *answers = done.stdout.splitlines()
    assert rule.endswith("-F hydra_bash_completion recbench")
    assert answers == ["model=transformer model=transformer-text", "model=item-knn-rating", "model.shrink=", ""]


def test_import_and_help_are_light(recbench, tmp_path):
    code = "import sys, recbench; print(*sorted({m.partition('.')[0] for m in sys.modules}))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not set(loaded) & {*HEAVY, "numpy", "hydra", "omegaconf", "rich"}
    for words in (("--help",), ()):
        done = recbench(*words, flags=("-X", "importtime"))
        assert done.returncode == 0 and "model" in done.stdout
        assert not imported(done) & {*HEAVY, "numpy"}
    assert not list(tmp_path.iterdir()), "help leaves no file"
