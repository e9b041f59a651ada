"""The contest of the classic models: what its page says, what its command line refuses, and that it runs from end to end."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from conftest import environment, write_beauty

HOME = Path(__file__).resolve().parent.parent / "benchmarks"
sys.path.insert(0, str(HOME))
import classic  # noqa: E402
import classic_ours as ours  # noqa: E402
import classic_page  # noqa: E402
import classic_rivals as rivals  # noqa: E402


def record(model: str = "item-knn", **found) -> dict:
    shape = dict.fromkeys(("neighbours", "l2", "dim", "epochs", "confidence", "penalty"), 10)
    fixed = {"machine": "M", "python": "3", "load": 0, "rounds": 1, "date": "D", "limit": 9.0}
    return fixed | {"job": "speed", "data": "ml-100k", "model": model, "shape": shape, "found": found, "versions": {}}


def lap(fit: float, recommend: float) -> dict:
    return {"fit": fit, "fit_mb": 1.0, "recommend": recommend, "mb": 2000.0, "work_mb": 9.0, "ndcg": 0.05}


def bars(page: str) -> list[list[str]]:
    """The cells of the rows of the first table."""
    rows = page.split("## Bars")[1].split("\n## ")[0].splitlines()
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows if row.startswith("| ")][2:]


def test_the_page_of_classic_models_is_what_its_record_says():
    kept = json.loads((HOME / "classic.json").read_text())
    page = (HOME.parent / "docs" / "classic-speed.md").read_text()
    assert page == classic_page.page(kept), "run python benchmarks/classic.py"


def test_a_bar_is_held_by_whoever_takes_no_longer():
    found = {"recbench": lap(1.0, 2.0), "implicit": lap(1.0, 1.98), "lenskit": lap(0.99, 8.0)}
    page = classic_page.page({"a": record(**found)})
    assert bars(page) == [
        ["item-knn, ml-100k", "implicit", "1.00", "yes", "0.99", "**no**"],
        ["item-knn, ml-100k", "LensKit", "0.99", "**no**", "4.00", "yes"],
    ]
    assert "| implicit | 1.00 (1.00) | 1.98 (0.99) | 2,000 | 9 | 0.0500 |" in page


def test_als_may_take_a_fourth_longer_than_its_solver_and_is_not_held_against_vectors_looked_up():
    found = {"recbench": lap(1.0, 2.0), "implicit": lap(0.8, 0.1), "implicit from histories": lap(0.79, 3.0)}
    assert bars(classic_page.page({"a": record("als", **found)})) == [
        ["als, ml-100k", "implicit", "0.80", "yes", "0.05", "no bar"],
        ["als, ml-100k", "implicit, `recalculate_user`", "0.79", "**no**, 0.80 asked", "1.50", "yes"],
    ]


def test_who_was_stopped_took_at_least_the_limit():
    found = {"recbench": lap(1.0, 2.0), "cornac": {"fit": 3.0, "stopped": "recommend"}, "recbole": {"stopped": "fit"}}
    page = classic_page.page({"a": record(**found)})
    assert bars(page) == [
        ["item-knn, ml-100k", "RecBole", "over 9.00", "yes", "", ""],
        ["item-knn, ml-100k", "Cornac", "3.00", "yes", "over 4.50", "yes"],
    ]
    assert "| Cornac | 3.00 (3.00) | stopped at 9 |  |  |  |" in page and "| RecBole | stopped at 9 |  |" in page


def test_what_took_less_than_the_clock_can_tell_is_held_against_nobody():
    found = {"recbench": lap(0.0, 2.0), "implicit": lap(1.0, 4.0)}
    assert bars(classic_page.page({"a": record(**found)})) == [["item-knn, ml-100k", "implicit", "", "", "2.00", "yes"]]


def test_large_catalogues_are_told_with_their_memory_or_the_refusal():
    shape = {"n_items": 30_000, "n_users": 200_000, "length": 20, "n_asked": 1000}
    size = {"job": "size", "shape": shape}
    fits, refused = (record("ease", recbench=found) | size for found in (lap(100.0, 2.0), {"refused": "too large"}))
    page = classic_page.page({"a": fits, "b": refused | {"model": "item-knn"}})
    assert "| ease | 30,000 | 200,000 | 20 | 100.00 | 2.00 | 1,000 | 2,000 | 9 |" in page
    assert "item-knn refused: `too large`" in page and "## Bars" not in page


def test_the_median_of_laps_and_what_ended_one():
    laps = [lap(1.0, 5.0), lap(9.0, 4.0), lap(2.0, 6.0)]
    assert classic.median(laps) == lap(2.0, 5.0)
    assert classic.median([*laps, {"fit": 3.0, "stopped": "recommend"}]) == {"fit": 3.0, "stopped": "recommend"}


def test_time_is_taken_to_less_than_a_tick_of_the_system():
    answer, seconds = rivals.timed(lambda: sum(range(20_000)), 9.0)
    assert answer == 199_990_000 and 0 < seconds < 0.5
    assert len({rivals.timed(lambda: None, 9.0)[1] for _ in range(50)}) > 10, "the clock moves in large steps"


def test_lists_in_long_form_are_cut_and_padded():
    user, item = np.array([2, 0, 2, *[3] * 12]), np.array([7, 1, 5, *range(12)])
    lists_UK = rivals.padded(user, item, 5)
    assert lists_UK[:3, :3].tolist() == [[1, -1, -1], [-1, -1, -1], [7, 5, -1]]
    assert lists_UK[3].tolist() == list(range(10)) and (lists_UK[4] == -1).all()


def test_everybodys_lists_are_judged_by_the_place_of_the_item_left_out():
    lists_UK = np.full((4, 10), -1)
    lists_UK[:, :3] = [[5, 6, 7], [6, 5, 7], [1, 2, 3], [9, 9, 9]]
    assert ours.ndcg(lists_UK, np.array([5, 5, 5, -1])) == pytest.approx((1 + 1 / np.log2(3)) / 3)


def test_recbench_is_asked_as_an_evaluation_asks():
    """Of three users two are asked; what they met, in whatever order the log holds it, is left out."""
    data = SimpleNamespace(
        user=np.array([1, 0, 1, 2]), item=np.array([3, 0, 1, 2]), test=np.array([-1, 4, 0]), n_items=5
    )
    holdout = ours.asked(data)
    assert holdout.queries.user.tolist() == [1, 2] and not holdout.queries.seen_allowed
    assert [column.tolist() for column in holdout.queries.items.flat()] == [[0, 0, 1], [3, 1, 2]]
    assert [column.tolist() for column in holdout.truth.flat()] == [[0, 1], [4, 0]]


def refusal(monkeypatch, capsys, *words: str) -> str:
    """The one line with which the command line refuses."""
    monkeypatch.setattr(sys, "argv", ["classic.py", *words])
    with pytest.raises(SystemExit) as refused:
        classic.main()
    (line,) = (
        capsys.readouterr().err + (refused.value.code if isinstance(refused.value.code, str) else "")
    ).splitlines()
    return line


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (
            "--python surprise=/bin/sh",
            "NAME one of implicit, rectools, lenskit, recbole, cornac and a file; given 'surprise",
        ),
        ("--python implicit=/no/such/python", "give NAME=INTERPRETER.*given 'implicit=/no/such/python'"),
        ("--only implicit", "--only implicit needs --python implicit=INTERPRETER"),
        ("--only recbole --python recbole=/bin/sh --job size", "--only recbole needs .* no --job size"),
        ("--only nobody", "invalid choice: 'nobody'"),
        ("--limit 0", "give a number above 0; given '0'"),
        ("--limit soon", "give a number above 0; given 'soon'"),
        ("--limit inf", "give a number above 0; given 'inf'"),
        ("--rounds 1.5", "give a whole number above 0; given '1.5'"),
        ("--items -4", "give a whole number above 0; given '-4'"),
        ("--json /no/such/folder/a.json", "give a file in a folder that exists; given '/no/such/folder/a.json'"),
        ("--data lastfm-2k", "data=lastfm-2k has no leave-last-out board; give data that has one"),
        ("--data ml-10k", "data=ml-10k is not installed; did you mean 'ml-100k'"),
    ],
)
def test_a_wrong_word_is_refused_in_a_line(monkeypatch, capsys, words, told):
    assert re.search(told, refusal(monkeypatch, capsys, *words.split()))


def test_a_record_that_cannot_be_read_is_told_before_anything_is_measured(monkeypatch, capsys, tmp_path):
    (tmp_path / "a.json").write_text("{half")
    line = refusal(monkeypatch, capsys, "--json", str(tmp_path / "a.json"))
    assert line == f"classic: {tmp_path}/a.json is no record of this benchmark; give --json another file"


def test_a_contest_in_which_all_failed_is_told_and_leaves_no_record(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(sys, "executable", "/bin/false")
    monkeypatch.setitem(classic.SIZES, "ease", dict.fromkeys(("n_items", "n_users", "length", "n_asked"), 3))
    words = ["--job", "size", "--model", "ease", "--json", str(tmp_path / "a.json"), "--page", str(tmp_path / "a.md")]
    monkeypatch.setattr(sys, "argv", ["classic.py", *words])
    classic.main()
    assert "recbench left out of ease on simulated: exit status 1" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_who_fails_in_a_later_round_is_left_out_whatever_it_printed(capsys, tmp_path):
    """An interpreter that prints a dict of Python's, does its work once, and fails from then on."""
    files = {name: str(tmp_path / name) for name in ("pairs.npz", "lists.npy", "kept.npy", "done", "python")}
    np.savez(files["pairs.npz"], test=np.array([3]))
    np.save(files["kept.npy"], np.arange(10)[None])
    told = """echo "{'one': 1}"; echo '{"fit": 1.0}'"""
    work = f"[ -e {files['done']} ] && exit 1; touch {files['done']}; cp {files['kept.npy']} {files['lists.npy']}"
    Path(files["python"]).write_text(f"#!/bin/sh\n{told}\n{work}\n")
    Path(files["python"]).chmod(0o755)
    asked = {"job": "speed", "data": "ml-100k", "model": "ease", "shape": {}, "limit": 9.0}
    task = asked | {"pairs": files["pairs.npz"], "lists": files["lists.npy"]}
    assert classic.lap(files["python"], "implicit", task) == {"fit": 1.0, "ndcg": pytest.approx(1 / np.log2(5))}
    Path(files["done"]).unlink()
    assert classic.contest({"implicit": files["python"]}, task, 2)["found"] == {}
    assert "implicit left out of ease on ml-100k: exit status 1" in capsys.readouterr().err


def run(tmp_path: Path, *words: str) -> tuple[dict, str, str]:
    """Record, page and standard error of a run."""
    files = ["--json", str(tmp_path / "a.json"), "--page", str(tmp_path / "a.md")]
    command = [sys.executable, str(HOME / "classic.py"), "--rounds", "1", *files, *words]
    done = subprocess.run(command, capture_output=True, text=True, env=environment(tmp_path), check=True)
    return json.loads((tmp_path / "a.json").read_text()), (tmp_path / "a.md").read_text(), done.stderr


@pytest.mark.slow
def test_the_contest_runs_from_data_to_page(tmp_path):
    write_beauty(tmp_path)
    kept, page, told = run(tmp_path, "--data", "acme-beauty")
    assert list(kept) == [f"speed acme-beauty {model}" for model in classic.OURS], told
    found = [lap for one in kept.values() for lap in one["found"].values()]
    assert len(found) == 5 and all(min(lap["fit"], lap["recommend"]) > 0 < lap["mb"] - lap["work_mb"] for lap in found)
    assert page == classic_page.page(kept) and "## als on acme-beauty" in page


@pytest.mark.slow
def test_the_job_of_sizes_runs_and_a_fit_over_the_limit_is_told(tmp_path):
    kept, page, _ = run(tmp_path, "--job", "size", "--model", "ease", "--items", "300")
    assert kept["size simulated ease"]["shape"]["n_items"] == 300 and "| ease | 300 | 200,000 | 20 |" in page
    _, page, _ = run(tmp_path, "--job", "size", "--model", "ease", "--items", "6000", "--limit", "0.5")
    assert "| ease | 6,000 | 200,000 | 20 | stopped at 0.5 |  |" in page


@pytest.mark.slow
@pytest.mark.parametrize("name", rivals.HAS)
def test_a_rival_fits_and_lists(name, tmp_path):
    """RECBENCH_RIVALS: the folder that benchmarks/make_rivals.sh filled."""
    python = Path(os.environ.get("RECBENCH_RIVALS", "nowhere")) / name / "bin" / "python"
    if not python.exists():
        pytest.skip(f"no {python}")
    write_beauty(tmp_path)
    kept, _, told = run(tmp_path, "--data", "acme-beauty", "--only", name, "--python", f"{name}={python}")
    assert [one["model"] for one in kept.values()] == list(rivals.HAS[name])
    assert all(one["found"][name]["ndcg"] >= 0 and one["versions"] for one in kept.values()), told
