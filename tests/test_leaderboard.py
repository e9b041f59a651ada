"""Rows, ranks and the page of a board; a mixture of protocols is refused with the difference named."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from recbench import leaderboard
from recbench.entry import Entry
from recbench.errors import RecbenchError
from recbench.metric import metric
from recbench.plan import Board

BOARDS = Path(__file__).parent.parent / "leaderboards"
BOARD = Board("shop", "shop-data", ("ndcg@10", "coverage@10"), "ndcg@10", split="leave_last_out", meaning="What next?")


def entry(model: str, value: float, half: float = 0.01, seed: int = 1, **changes) -> Entry:
    scores = {
        "ndcg@10": {"value": value, "low": value - half, "high": value + half, "definition": "ndcg/v1"},
        "coverage@10": {"value": 0.5, "low": None, "high": None, "definition": "coverage/v1"},
    }
    fields = {
        "key": f"{model}{seed}", "board": "shop", "board_version": 1, "protocol_hash": BOARD.protocol_hash,
        "on_board": True, "task": "ranking", "data": "shop-data", "data_checksum": "d" * 64,
        "split_fingerprint": "f" * 64, "leakage": {"test_pairs_also_in_train": 0.25}, "model": model,
        "distribution": "dist", "version": "1", "params": {"n": 1}, "seed": seed, "headline": "ndcg@10",
        "scores": scores, "valid_headline": value, "n_queries": 10, "artefacts": {},
        "seconds": {"fit": 2.0 * seed}, "peak_memory_mb": 100.0 * seed, "n_parameters": 0, "stopped_by": "closed form",
        "epochs": 0, "threads": 1, "machine": {}, "recbench_version": "0.1.0", "commit": "", "command": "", "date": "",
    }  # fmt: skip
    return Entry(**fields | changes)


def test_a_row_is_the_mean_over_seeds_of_equal_parameters():
    same = [entry("ease", 0.2, seed=1), entry("ease", 0.4, seed=2, half=0.03)]
    other = entry("ease", 0.1, params={"n": 2})
    first, second = leaderboard.rows([other, *same])
    assert [e.seed for e in first.entries] == [1, 2] and second.entries == (other,)
    assert first.mean("ndcg@10") == pytest.approx(0.3)
    assert first.interval("ndcg@10") == pytest.approx((0.28, 0.32))
    assert first.interval("coverage@10") is None


def test_blends_of_each_seed_of_a_row_are_a_row():
    runs = [entry("transformer", 0.3, seed=s, key=f"{s}" * 12) for s in (1, 2)]
    other = entry("transformer", 0.2, seed=2, key="3" * 12, params={"n": 2})
    kinds = {1: ("1" * 12, "9" * 12), 2: ("2" * 12, "3" * 12)}  # the second of each: of no run here, of another row
    blends = [
        entry("blend", 0.4, seed=seed, key=f"{key[:11]}b", params={"members": f"run:{key}+markov@n:2"})
        for seed, keys in kinds.items()
        for key in keys
    ]
    another_seed = entry("blend", 0.4, seed=3, key="c" * 12, params={"members": f"run:{'1' * 12}+markov@n:2"})
    found = leaderboard.rows([*runs, other, *blends, another_seed])
    assert [[e.key for e in row.entries] for row in found if row.model == "blend" and len(row.entries) > 1] == [
        ["1" * 11 + "b", "2" * 11 + "b"]
    ]
    assert sum(row.model == "blend" for row in found) == 4


@pytest.mark.parametrize(("version", "sizes"), [("1", [2, 2, 2]), ("2", [1] * 6)])
def test_what_names_blends_is_a_row_where_they_are_and_runs_of_two_versions_are_two_rows(version, sizes):
    first = entry("transformer", 0.1, seed=1, key="1" * 12, version="1")
    runs = [first, replace(first, seed=2, key="2" * 12, version=version)]
    for model, value in (("blend", 0.2), ("cascade", 0.3)):
        for named in runs[-2:]:
            key, params = f"{named.key[:10]}{model[0]}{model[0]}", {"members": f"run:{named.key}+markov"}
            runs.append(entry(model, value, seed=named.seed, key=key, params=params))
    assert [len(row.entries) for row in leaderboard.rows(runs)] == sizes


def test_runs_whose_probabilities_were_bent_otherwise_are_another_row():
    kinds = {"none": 0.1, "isotonic": 0.2, "temperature": 0.3}
    runs = [
        entry("prior", v, seed=s, key=f"{s}{k[0]}" * 6, chosen={"calibration": k})
        for k, v in kinds.items()
        for s in (1, 2)
    ]
    found = leaderboard.rows(runs)
    assert [len(row.entries) for row in found] == [2, 2, 2]
    assert leaderboard.labels(found) == ["prior calibration=temperature", "prior calibration=isotonic", "prior"]


def test_rows_of_one_model_are_told_apart_by_what_no_sweep_searched():
    def labels(*entries):
        return leaderboard.labels(leaderboard.rows(list(entries)))

    def trial(**params):
        return [{"params": params}]

    assert labels(entry("ease", 0.3), entry("popular", 0.2)) == ["ease", "popular"]
    with_graph = entry("transe", 0.3, params={"graph": True, "dim": 8, "k": 1}, tuning=trial(dim=8))
    without = entry("transe", 0.2, params={"graph": False, "dim": 4, "k": 1}, tuning=trial(dim=4))
    assert labels(with_graph, without) == ["transe graph=True", "transe graph=False"]
    tuned, shipped = replace(without, params=without.params | {"graph": True}), replace(with_graph, tuning=[])
    assert labels(shipped, tuned) == ["transe dim=8", "transe"]
    assert labels(with_graph, tuned) == ["transe dim=8", "transe dim=4"], "two sweeps of the same parameters"
    third = replace(shipped, params=shipped.params | {"dim": 2}, scores=entry("transe", 0.1).scores)
    assert labels(with_graph, without, third) == [
        "transe graph=True",
        "transe graph=False",
        "transe graph=True dim=2",
    ]


@pytest.mark.parametrize(("values", "expected"), [
    ([0.5, 0.3, 0.1], ["1", "2", "3"]),
    ([0.5, 0.495, 0.1], ["1=", "1=", "3"]),
    ([0.5, 0.492, 0.485, 0.47], ["1=", "1=", "3", "4"]),
    ([0.5, 0.5, 0.5], ["1=", "1=", "1="]),
    ([0.5], ["1"]),
    ([], []),
])  # fmt: skip
def test_rows_that_reach_the_first_of_a_rank_share_it(values, expected):
    ordered = leaderboard.rows([entry(f"m{i}", value) for i, value in enumerate(values)])
    assert leaderboard.ranks(ordered) == expected


def test_table_marks_this_run_and_keeps_the_order_of_the_metrics():
    first, second = leaderboard.table([entry("ease", 0.2), entry("popular", 0.1)], mine="popular1")
    assert list(first) == ["rank", "model", "ndcg@10", "coverage@10", "seeds", "tuned", "fit s", "MB"]
    assert first["ndcg@10"] == "0.2000 [0.1900, 0.2100]" and first["coverage@10"] == "0.5000"
    assert (first["model"], second["model"]) == ("ease", "popular (this run)")
    assert (first["rank"], first["seeds"], first["tuned"], first["fit s"], first["MB"]) == ("1", 1, "no", "2.0", "100")


def test_what_models_tell_beside_scores_has_columns_where_any_tells_it():
    told = {"language": {"model": "minilm", "contamination": "possible", "tokens": 38371}, "invalid": 0.0}
    reads = [entry("reads", 0.2, seed=seed, notes=told | {"tokens_per_cpu_second": 10.0 * seed}) for seed in (1, 2)]
    first, second = leaderboard.table([*reads, entry("ease", 0.1)])
    assert list(first)[8:] == ["language model", "met the data", "tokens", "tokens/CPU s", "invalid"]
    assert list(first.values())[8:] == ["minilm", "possible", "38,371", "15", "0"]
    assert list(second.values())[8:] == [""] * 5
    assert "Met the data: whether the language model" in leaderboard.page(BOARD, reads)
    assert "Met the data" not in leaderboard.page(BOARD, [entry("ease", 0.1)])
    assert json.loads(reads[0].to_json())["notes"] == reads[0].notes and "notes" not in json.loads(
        entry("ease", 0.1).to_json()
    )


def test_submit_freezes_renders_and_keeps_one_file_an_entry(tmp_path):
    for given in (entry("ease", 0.2, seed=1), entry("ease", 0.3, seed=2), entry("popular", 0.1)):
        folder = leaderboard.submit(given, BOARD, tmp_path)
    names = sorted(path.name for path in folder.iterdir())
    assert names == ["README.md", "board.json", "ease-ease1.json", "ease-ease2.json", "popular-popular1.json"]
    page = (folder / "README.md").read_text()
    assert page == leaderboard.page(BOARD, leaderboard.read(folder))
    assert "What next?" in page and "| 1 | ease | 0.2500 [0.2400, 0.2600] |" in page
    assert leaderboard.submit(entry("ease", 0.2, seed=1), BOARD, tmp_path) == folder
    assert (folder / "README.md").read_text() == page, "an entry submitted again changes nothing"


@pytest.mark.parametrize(("board", "changes", "message"), [
    (replace(BOARD, repeat="any"), {}, "repeat='new'; this run has 'any'"),
    (BOARD, {"data_checksum": "e" * 64}, "another data_checksum .dddddddddddd, this run eeeeeeeeeeee.: the data differ"),
    (BOARD, {"split_fingerprint": "e" * 64}, "another split_fingerprint"),
    (BOARD, {"on_board": False}, "left the protocol of board shop"),
])  # fmt: skip
def test_a_mixture_is_refused_and_leaves_the_board_alone(tmp_path, board, changes, message):
    folder = leaderboard.submit(entry("ease", 0.2), BOARD, tmp_path)
    before = {path.name: path.read_text() for path in folder.iterdir()}
    with pytest.raises(RecbenchError, match=message):
        leaderboard.submit(entry("popular", 0.1, **changes), board, tmp_path)
    assert {path.name: path.read_text() for path in folder.iterdir()} == before


def test_an_entry_survives_its_file(tmp_path):
    given = entry("ease", 0.2)
    (tmp_path / "entry.json").write_text(given.to_json())
    assert Entry.read(tmp_path / "entry.json") == given


@pytest.mark.parametrize("folder", sorted(p.parent for p in BOARDS.glob("*/board.json")), ids=lambda p: p.name)
def test_every_committed_page_is_what_its_files_say(folder):
    frozen = json.loads((folder / "board.json").read_text())
    fields = {name: tuple(v) if isinstance(v, list) else v for name, v in frozen["board"].items()}
    entries = leaderboard.read(folder)
    assert (folder / "README.md").read_text() == leaderboard.page(Board(**fields), entries)
    for found in entries:
        assert found.protocol_hash == Board(**fields).protocol_hash
        assert (found.data_checksum, found.split_fingerprint) == (frozen["data_checksum"], frozen["split_fingerprint"])
        said = {label: score["definition"] for label, score in found.scores.items()}
        assert said == {label: metric(label, found.task).definition for label in said}, (
            f"{found.key} was judged otherwise"
        )
