"""A run that begins with the weights of another: what it takes, what it says, and what it may not have seen."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import board_file, entries, refused
from test_neural import ITEMS, SMALL, ask, chain_world, fitted

from recbench import registry
from recbench.data import Interactions
from recbench.dataset import Dataset, DatasetInfo
from recbench.errors import RecbenchError
from recbench.model import Context
from recbench.origin import found_again, keyed, refuse_seen
from recbench.params import plain
from recbench.parts import TEST, TRAIN, UNUSED, VALID, parts_of
from recbench.plan import Board, Plan
from recbench.run import Prepared, Surroundings, execute, prepare

torch = pytest.importorskip("torch")
torch.set_num_threads(1)

from recbench_sequential.transformer import Transformer  # noqa: E402
from safetensors.torch import load_file  # noqa: E402

from recbench.neural import transfer  # noqa: E402
from recbench.neural.choices import TrainParams  # noqa: E402

TINY = {"dim": 8, "epochs": 2, "batch_size": 16, "max_length": 5, "dropout": 0.0}


def plan_for(board: Board, model: str = "transformer", **params) -> Plan:
    source, plugin = (registry.find(kind, name) for kind, name in (("data", board.data), ("model", model)))
    data_params = source.load().Params(**board.data_params).as_dict()
    given = plugin.load().Params(**params).as_dict()
    return Plan(board, True, board.data, data_params, model, given, plugin.distribution, plugin.version, 1)


def shop_board(name: str, **fields) -> Board:
    """A board of acme-shop, whose users walk around ten products a step a day."""
    fields = {
        "split": "leave_last_out",
        "ask": "last",
        "target": "first",
        "repeat": "any",
        "candidates": "all",
    } | fields
    return Board(name=name, data="acme-shop", metrics=("ndcg@10",), headline="ndcg@10", **fields)


TRAIN_ONLY = shop_board("strict")
REFITTED = shop_board("refitted", fit_on="train+valid")


def run_of(board: Board, out: Path, model: str = "transformer", **params) -> Path:
    """The folder of a run that is carried out here."""
    plan = plan_for(board, model, **(TINY if model == "transformer" else {}) | params)
    return out / execute(plan, Surroundings(out=out)).key


@pytest.fixture(scope="module")
def past(tmp_path_factory) -> Path:
    """The run of the board that fits on validation too."""
    return run_of(REFITTED, tmp_path_factory.mktemp("past"))


def nothing_learned(out: Path, run: Path, board: Board = REFITTED, **params) -> Path:
    """A run that begins with `run` and then moves each weight by next to nothing."""
    return run_of(board, out, init_from=str(run), learning_rate=1e-5, epochs=1, **params)


def gap(one: Path, two: Path) -> float:
    a, b = load_file(one), load_file(two)
    assert a.keys() == b.keys()
    return max(float((a[name] - b[name]).abs().max()) for name in a)


def test_each_stage_begins_with_the_weights_of_its_own_kind(past, tmp_path, capsys):
    """What selects has not learned from validation, though the finished model of the past run has."""
    chosen, finished = "select/best.safetensors", "model/weights.safetensors"
    assert gap(past / chosen, past / finished) > 1e-3
    after = nothing_learned(tmp_path, past)
    assert gap(past / chosen, after / chosen) < 2e-4 and gap(past / finished, after / finished) < 2e-4
    said = capsys.readouterr().err.splitlines()
    n = len(load_file(past / finished))
    assert said == [f"recbench: init_from={past.name}: {n} weights taken, 10 of 10 items known"] * 2


def test_a_path_becomes_the_key_and_the_run_is_linked(past, tmp_path):
    by_path = nothing_learned(tmp_path / "a", past)
    assert (tmp_path / "a" / past.name).resolve() == past.resolve()
    moved = tmp_path / "moved"
    shutil.copytree(past, moved)  # a folder that is not called by its key
    by_copy = nothing_learned(tmp_path / "b", moved)
    (tmp_path / "c").mkdir()
    shutil.copytree(past, tmp_path / "c" / past.name)
    by_key = run_of(REFITTED, tmp_path / "c", init_from=past.name, learning_rate=1e-5, epochs=1)
    assert by_path.name == by_copy.name == by_key.name  # one plan, whichever way it was told
    for folder in (by_path, by_copy, by_key):
        entry, plan = (json.loads((folder / name).read_text()) for name in ("entry.json", "plan.json"))
        assert entry["params"]["init_from"] == plan["model_params"]["init_from"] == past.name
        for name in ("entry.json", "plan.json", "model/params.json"):
            assert str(past.parent) not in (folder / name).read_text()
        assert gap(folder / "model/weights.safetensors", by_key / "model/weights.safetensors") == 0


def test_nothing_is_looked_for_where_nothing_is_named(tmp_path):
    plan = plan_for(TRAIN_ONLY)
    assert keyed(plan, tmp_path / "none") is plan and not (tmp_path / "none").exists()
    other = plan_for(TRAIN_ONLY, "popular")
    assert keyed(other, tmp_path / "none") is other


def test_what_is_no_finished_run_is_refused(past, tmp_path):
    def wrong(run: str) -> str:
        with pytest.raises(RecbenchError) as caught:
            keyed(plan_for(TRAIN_ONLY, init_from=run), past.parent)
        assert "\n" not in str(caught.value)
        return str(caught.value)

    near = past.name[:-1] + ("0" if past.name[-1] != "0" else "1")
    assert wrong(near).startswith(
        f"{near} is neither the key of a finished run in {past.parent} nor the folder of one;"
    )
    assert f"did you mean '{past.name}'?" in wrong(near)
    (tmp_path / "plan.json").write_text("{}")
    assert "A run is finished once its folder holds entry.json" in wrong(str(tmp_path))
    (tmp_path / "entry.json").write_text("{")
    assert "entry.json cannot be read (JSONDecodeError" in wrong(str(tmp_path))


def test_a_run_without_a_network_and_items_of_another_width_are_refused(past, tmp_path):
    closed = run_of(TRAIN_ONLY, tmp_path, "popular")
    with pytest.raises(
        RecbenchError, match=rf"init_from={closed.name}: that run left no trained network \(FileNotFound"
    ):
        nothing_learned(tmp_path, closed, TRAIN_ONLY)
    with pytest.raises(
        RecbenchError, match=rf"init_from={past.name} has items of width 8, this model 4; choose the same"
    ):
        nothing_learned(tmp_path, past, TRAIN_ONLY, dim=4)


def renamed(data: Dataset, item_ids: list) -> Dataset:
    return replace(data, item_ids=np.array(item_ids))


def begun(folder: Path, item_ids, **params) -> Transformer:
    """An untrained network of the chain world that has taken what it could."""
    model = Transformer(replace(SMALL, **params))
    torch.manual_seed(5)
    model.net = model.network(chain_world()[0])
    transfer.begin_with(folder, False, model.net, item_ids, model.params)
    return model


def test_items_are_matched_by_id_and_weights_by_name_and_shape(tmp_path, capsys):
    """The saved run has the items 0 to 19; here they stand in another order, and half of them are new."""
    model = fitted(replace(SMALL, epochs=1))
    model.save(tmp_path / "model")
    ids = [str(i) for i in range(18, -2, -2)] + [f"new{i}" for i in range(10)]
    after, untouched = (
        begun(tmp_path, ids, max_length=7, blocks=2).net,
        Transformer(replace(SMALL, max_length=7, blocks=2)),
    )
    torch.manual_seed(5)
    fresh = untouched.network(chain_world()[0])
    given = model.net
    rows = torch.arange(18, -2, -2)
    assert torch.equal(after.items.weight[:10], given.items.weight[rows])
    assert torch.equal(after.item_bias[:10], given.item_bias[rows])
    assert torch.equal(after.items.weight[10:], fresh.items.weight[10:])
    assert torch.equal(after.start, given.start)
    assert torch.equal(after.positions.weight, fresh.positions.weight)
    states = [net.blocks.state_dict() for net in (after, given, fresh)]
    assert all(torch.equal(states[0][name], states[1].get(name, states[2][name])) for name in states[0])
    (line,) = capsys.readouterr().err.splitlines()
    assert "10 of 20 items known; begin anew: positions.weight, blocks.1." in line
    assert line.endswith("more; not taken: positions.weight; that run had blocks=1")


def test_a_network_that_reads_otherwise_is_told(tmp_path, capsys):
    """Also one from before there was the parameter: it stored nothing of it."""
    for then, now, said in (
        ({"scale_read": False}, {}, "that run had scale_read=False"),
        ({}, {"scale_read": False, "positions": "end"}, "that run had positions=start scale_read=True"),
    ):
        fitted(replace(SMALL, epochs=1, **then)).save(tmp_path / "model")
        assert ("scale_read" in json.loads((tmp_path / "model" / "params.json").read_text())) == (not then)
        begun(tmp_path, range(ITEMS), learning_rate=0.05, **now)
        assert capsys.readouterr().err.splitlines()[0].endswith(f"{ITEMS} of {ITEMS} items known; {said}")


def test_where_nothing_matches_it_is_refused(tmp_path):
    model = fitted(replace(SMALL, epochs=1))
    model.save(tmp_path / "model")

    class Other(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.items, self.tail = torch.nn.Embedding(ITEMS, SMALL.dim), torch.nn.Linear(2, 2)

    with pytest.raises(
        RecbenchError, match="has nothing that fits: no item of the same id, no weight of the same name"
    ):
        transfer.begin_with(tmp_path, False, Other(), [f"new{i}" for i in range(ITEMS)], TrainParams())
    net = Other()
    transfer.begin_with(tmp_path, False, net, range(ITEMS), TrainParams())  # numbers and text of one id are one item
    assert torch.equal(net.items.weight, model.net.items.weight)


@pytest.mark.parametrize(("ids", "given", "items", "rows"), [
    ("3 1 2", "1 2 4", "always", [-1, 0, 1]),
    ("3 1 2", "1 2 4", "auto", [-1, -1, -1]),  # numbers of two catalogues: 1 here need not be 1 there
    ("1 2 4", "1 2 4", "auto", [0, 1, 2]),
    ("1 2 4", "1 2 4", "never", [-1, -1, -1]),
    ("3 b 2", "b 2 4", "auto", [-1, 0, 1]),
])  # fmt: skip
def test_when_items_are_matched(ids, given, items, rows):
    assert transfer.matched(ids.split(), given.split(), items).tolist() == rows


def test_the_saved_model_holds_its_item_ids(tmp_path):
    ids = ["Ä", "a\nb", '"', *map(str, range(17))]
    data, _ = chain_world()
    model = Transformer(replace(SMALL, epochs=1))
    model.fit(renamed(data, ids), Context(seed=1))
    model.save(tmp_path / "one")
    again = Transformer.load(tmp_path / "one")
    assert again.item_ids == ids
    again.save(tmp_path / "two")
    assert (tmp_path / "one" / transfer.ITEM_IDS).read_bytes() == (tmp_path / "two" / transfer.ITEM_IDS).read_bytes()
    assert np.array_equal(again.score(ask([1])), model.score(ask([1])))


def test_a_run_that_began_with_another_resumes_to_the_last_bit(past, tmp_path):
    data, _ = chain_world()

    def trained(**context) -> Transformer:
        params = replace(SMALL, dim=8, epochs=2, dropout=0.2, init_from=past.name)
        model = Transformer(params)
        model.fit(data, Context(seed=3, runs=past.parent, **context))
        return model

    whole, steps = trained(), 0
    while (part := trained(folder=tmp_path, resume=True, max_minutes=0.0)).stopped_by == "max_minutes":
        steps += 1
        assert steps < 40
    assert steps > 5
    for name, weight in whole.net.state_dict().items():
        assert torch.equal(weight, part.net.state_dict()[name]), name


BOARDS = {
    "strict": TRAIN_ONLY,
    "refitted": REFITTED,
    "pairs": shop_board("pairs", split="random_pairs", ask="window_start", target="all_in_window", fit_on="train+valid"),
    "early": shop_board("early", split="global_time", ask="window_start", target="all_in_window", test_window_days=6.0, valid_window_days=2.0),
    "late": shop_board("late", split="global_time", ask="window_start", target="all_in_window", test_window_days=2.0, valid_window_days=2.0, fit_on="train+valid"),
}  # fmt: skip


@pytest.fixture(scope="module")
def shop() -> Prepared:
    return prepare(plan_for(TRAIN_ONLY))


def left_by(board: Board, dataset: Dataset, out: Path, **changes) -> Path:
    """The folder of a run as far as `refuse_seen` reads it."""
    plan = plan_for(board, **{k: v for k, v in changes.items() if k == "init_from"})
    folder = out / plan.key
    folder.mkdir(parents=True)
    told = {"data": plan.data, "data_params": plan.data_params, "model_params": plan.model_params}
    told |= {"board": json.loads(json.dumps(plain(board)))}
    (folder / "plan.json").write_text(json.dumps(told | changes))
    (folder / "entry.json").write_text(
        json.dumps({"key": plan.key, "data_checksum": changes.get("checksum", dataset.checksum)})
    )
    return folder


@pytest.mark.parametrize("now", BOARDS)
@pytest.mark.parametrize("before", BOARDS)
@pytest.mark.parametrize("selected", [True, False])
@pytest.mark.parametrize("choosing", [True, False])
def test_a_run_that_has_seen_what_is_held_out_is_refused(now, before, selected, choosing, shop, tmp_path):
    data = shop.dataset
    folder = left_by(BOARDS[before], data, tmp_path)
    here, there = (parts_of(data, BOARDS[name], 0) for name in (now, before))
    fitted_on = {TRAIN} if selected or BOARDS[before].fit_on == "train" else {TRAIN, VALID}
    seen = {"test": 0, "validation": 0}
    for part, past_part in zip(here.tolist(), there.tolist(), strict=True):
        seen["test"] += part == TEST and past_part in (TRAIN, VALID)  # fitted or selected on it
        seen["validation"] += choosing and part == VALID and past_part in fitted_on
    plan = plan_for(BOARDS[now])
    if not any(seen.values()):
        refuse_seen(plan, data, folder, selected, choosing)
        return
    with pytest.raises(RecbenchError) as caught:
        refuse_seen(plan, data, folder, selected, choosing)
    what = "test" if seen["test"] else "validation"
    expected = f"has learned from {seen[what]} events that board {now} holds out for {what}; begin with"
    assert expected in str(caught.value) and f"of board {before} " in str(caught.value)


def test_both_outcomes_of_that_check_occur(shop, tmp_path):
    """What one may rely on: the same board, and one that ends earlier, may be begun with; one that ends later may not."""
    may = {}
    for now, before in (
        ("strict", "strict"),
        ("refitted", "refitted"),
        ("late", "early"),
        ("early", "late"),
        ("strict", "pairs"),
    ):
        folder = left_by(BOARDS[before], shop.dataset, tmp_path / f"{now}-{before}")
        try:
            refuse_seen(plan_for(BOARDS[now]), shop.dataset, folder, True, True)
            may[now, before] = True
        except RecbenchError:
            may[now, before] = False
    assert list(may.values()) == [True, True, True, False, False]


def test_what_a_run_itself_began_with_counts_as_seen(shop, tmp_path):
    first = left_by(BOARDS["pairs"], shop.dataset, tmp_path)
    second = left_by(TRAIN_ONLY, shop.dataset, tmp_path, init_from=first.name)
    third = left_by(REFITTED, shop.dataset, tmp_path, init_from=second.name)
    for folder in (second, third):
        with pytest.raises(RecbenchError, match=f"run {first.name} of board pairs has learned from"):
            refuse_seen(plan_for(TRAIN_ONLY), shop.dataset, folder, True, True)
    shutil.rmtree(first)
    with pytest.raises(RecbenchError, match=f"{first.name} is neither the key"):
        refuse_seen(plan_for(TRAIN_ONLY), shop.dataset, third, True, True)


def test_data_that_changed_are_refused_and_other_data_are_not(shop, tmp_path):
    data, plan = shop.dataset, plan_for(TRAIN_ONLY)
    refuse_seen(plan, data, left_by(TRAIN_ONLY, data, tmp_path / "a", data_params={"root": "/elsewhere"}), True, True)
    refuse_seen(plan, data, left_by(BOARDS["pairs"], data, tmp_path / "b", **{"data": "acme-beauty"}), True, True)
    with pytest.raises(RecbenchError, match="has learned from another version of data=acme-shop"):
        refuse_seen(plan, data, left_by(TRAIN_ONLY, data, tmp_path / "c", checksum="0" * 64), True, True)


def log_of(rows: list[tuple[str, str, int]], users: str, items: str, clock: str) -> Dataset:
    user, item, time = zip(*rows, strict=True)
    log = Interactions.sorted(
        np.array([users.index(u) for u in user]), np.array([items.index(i) for i in item]), np.array(time),
        n_users=len(users), n_items=len(items),
    )  # fmt: skip
    return Dataset(
        DatasetInfo("made", "test", clock, "none", "made here"), log, np.array(list(users)), np.array(list(items))
    )


@pytest.mark.parametrize("clocks", [("seconds", "days"), ("seconds", "order"), ("none", "none")])
@pytest.mark.parametrize("seed", range(4))
def test_events_are_found_again_in_data_of_other_parameters(clocks, seed):
    """Users and items are numbered anew there, some are missing and some events come twice."""
    rng = np.random.default_rng(seed)

    def rows(users: str, items: str) -> list[tuple[str, str, int]]:
        made = [(users[rng.integers(4)], items[rng.integers(4)], int(rng.integers(3))) for _ in range(40)]
        return sorted(made, key=lambda row: row[2])

    mine, past = rows("abcd", "wxyz"), rows("dcbe", "zyxv")
    part = rng.integers(0, 4, len(past)).astype(np.int8)
    found = found_again(log_of(mine, "abcd", "wxyz", clocks[0]), log_of(past, "dcbe", "zyxv", clocks[1]), part)
    timed = clocks == ("seconds", "days")
    for row, told in zip(mine, found.tolist(), strict=True):
        same = [
            p
            for other, p in zip(past, part.tolist(), strict=True)
            if (other if timed else other[:2]) == (row if timed else row[:2])
        ]
        assert told == min(same, default=UNUSED)
    assert {0, UNUSED} <= set(found.tolist())


def test_another_world_of_the_same_plugin_may_be_begun_with(tmp_path):
    small = {"n_users": 30, "n_items": 20, "days": 9}
    pairs = Board(
        "pairs", "ecommerce-sim", ("ndcg@10",), "ndcg@10", data_params=small, split="random_pairs", fit_on="train+valid"
    )
    plan = plan_for(pairs)
    data = prepare(plan).dataset
    other = replace(pairs, name="other", data_params=small | {"seed": 1})
    folder = left_by(other, prepare(plan_for(other)).dataset, tmp_path)
    refuse_seen(plan, data, folder, False, True)
    late = replace(pairs, name="late", split="leave_last_out", ask="last", target="first")
    with pytest.raises(RecbenchError, match="of board late has learned from"):
        refuse_seen(plan, data, left_by(late, data, tmp_path / "late"), False, True)


def test_context_gives_the_model_of_a_run(past, tmp_path):
    context = Context(runs=past.parent)
    for run in (past.name, str(past)):
        model = context.model(run=run)
        assert isinstance(model, Transformer) and model.item_ids == [f"product-{i}" for i in range(10)]
        assert all(
            torch.equal(w, load_file(past / "model/weights.safetensors")[n]) for n, w in model.net.state_dict().items()
        )

    def vet(folder: Path, selected: bool, choosing: bool) -> None:
        raise RecbenchError(f"{folder.name} {selected} {choosing}")

    for evaluate, choosing in ((None, False), (lambda model: 0.0, True)):
        with pytest.raises(RecbenchError, match=f"{past.name} False {choosing}"):
            replace(context, vet=vet, evaluate=evaluate).model(run=past.name)


CLI = ("data=acme-beauty", "trainer.threads=1", "model.epochs=2", "model.dim=8", "model.batch_size=16")


def test_pretraining_on_masked_items_and_finetuning_through_the_command_line(neural_forge, tmp_path):
    neural_forge.start("model=bert4rec", *CLI, "model.heads=1", "out=elsewhere", cwd=tmp_path)
    done = neural_forge.end()
    assert done.returncode == 0 and done.stderr == "", done.stderr
    (past,) = entries(tmp_path / "elsewhere")
    folder = tmp_path / "elsewhere" / past["key"]
    neural_forge.start("model=transformer", *CLI, f"model.init_from={folder}", cwd=tmp_path)
    done = neural_forge.end()
    assert done.returncode == 0, done.stderr
    assert [line.partition(";")[0].split(": ", 2)[1] for line in done.stderr.splitlines()] == [
        f"init_from={past['key']}"
    ] * 2
    assert "30 of 30 items known" in done.stderr and "begin anew: start" in done.stderr
    (entry,) = [e for e in entries(tmp_path / "runs") if e["key"] != past["key"]]
    assert entry["params"]["init_from"] == past["key"] and str(tmp_path) not in json.dumps(entry)
    assert f"model.init_from={past['key']}" in entry["command"]
    neural_forge.start("model=transformer", *CLI, f"model.init_from={past['key']}", "resume=true", cwd=tmp_path)
    assert neural_forge.end().returncode == 0
    (again,) = [e for e in entries(tmp_path / "runs") if e["key"] != past["key"]]
    assert again["scores"] == entry["scores"] and again["key"] == entry["key"]
    (tmp_path / "pairs.yaml").write_text(
        board_file(name="pairs", split="random_pairs", ask="window_start", target="all_in_window")
    )
    words = ("model=transformer", *CLI, "board=pairs.yaml", f"model.init_from={past['key']}")
    neural_forge.start(*words, cwd=tmp_path)
    refused(
        neural_forge.end(), f"run {past['key']} of board acme-beauty has learned from", "board pairs holds out for test"
    )
    neural_forge.start("model=transformer", *CLI, "model.init_from=0123456789ab", cwd=tmp_path)
    refused(neural_forge.end(), "0123456789ab is neither the key of a finished run in runs nor the folder of one")
