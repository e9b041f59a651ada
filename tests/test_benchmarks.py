"""The loop by hand does recbench's arithmetic, the benchmark runs from end to end, and its page says what was found."""

import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from conftest import environment, write_beauty
from torch.nn import functional as F

HOME = Path(__file__).resolve().parent.parent / "benchmarks"
sys.path.insert(0, str(HOME))
import ratings  # noqa: E402
import reference_loop as hand  # noqa: E402
import sequential  # noqa: E402
import sequential_page  # noqa: E402
import sequential_rivals as rivals  # noqa: E402

SHAPE = {"length": 5, "width": 8, "blocks": 2, "heads": 2, "feed_forward": 8, "dropout": 0.2, "batch": 3}


def histories() -> hand.Histories:
    """Five users of one to eight events."""
    rng, lengths = np.random.default_rng(1), [3, 8, 1, 6, 4]
    items = np.concatenate([rng.permutation(20)[:n] for n in lengths])
    valid, test = rng.integers(20, size=(2, 5))
    return hand.Histories(items, np.r_[0, np.cumsum(lengths)], valid, test, 20)


@pytest.mark.parametrize("scale", [1.0, 50.0], ids=["exponentials fit", "the largest is taken off"])
def test_softmax_and_its_gradient_are_those_of_torch(scale, monkeypatch):
    monkeypatch.setattr(hand, "ROWS", 3)
    torch.manual_seed(0)
    states_PD, weight_ID, target_P = torch.randn(7, 8) * scale, torch.randn(20, 8), torch.randint(20, (7,))
    found = []
    for loss_of in (hand.FullSoftmax.apply, lambda h, w, y: F.cross_entropy(h @ w.T, y)):
        leaves = states_PD.clone().requires_grad_(), weight_ID.clone().requires_grad_()
        loss = loss_of(*leaves, target_P)
        (3 * loss).backward()
        found.append((loss, *(leaf.grad for leaf in leaves)))
    for ours, theirs in zip(*found, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)


def test_dropout_keeps_its_share_and_the_mean():
    torch.manual_seed(0)
    x = hand.dropped(torch.ones(500, 401), 0.2)
    assert set(x.unique().tolist()) == {0.0, 1.25}
    assert (x == 0).double().mean().item() == pytest.approx(0.2, abs=0.005)


def test_every_one_of_the_newest_events_is_a_target_once():
    data = histories()
    found = []
    for items_BL, place_P, target_P in hand.batches(data, hand.Shape(**SHAPE), np.random.default_rng(0)):
        b, p = np.divmod(place_P.numpy(), items_BL.shape[1])
        before = [items_BL[row, 1 : at + 1].tolist() for row, at in zip(b, p, strict=True)]
        found += [(tuple(read), int(target)) for read, target in zip(before, target_P, strict=True)]
    rows = [data.items[a:b][-6:].tolist() for a, b in zip(data.start[:-1], data.start[1:], strict=True)]
    assert sorted(found) == sorted((tuple(row[:p]), row[p]) for row in rows for p in range(len(row)))


def test_ranking_all_users_is_that_of_a_naive_one():
    torch.manual_seed(3)
    data, net = histories(), hand.Transformer(20, hand.Shape(**SHAPE))
    net.eval()
    gains = []
    for u in range(5):
        seen = [*data.items[data.start[u] : data.start[u + 1]].tolist(), int(data.valid[u])]
        with torch.no_grad():
            scores_I = net.items.weight @ net(torch.tensor([[0, *seen[-5:]]]))[0, -1]
        unseen = [i for i in torch.argsort(scores_I, descending=True).tolist() if i not in seen]
        place = unseen.index(data.test[u]) if data.test[u] in unseen[:10] else None
        gains.append(0 if place is None else 1 / np.log2(place + 2))
    assert 0 < hand.rank_all(net, data, size=2)[0] == pytest.approx(np.mean(gains))


def test_the_loop_by_hand_does_the_arithmetic_of_the_transformer():
    from recbench_sequential.transformer import TransformerParams

    from recbench.neural.batches import Batch
    from recbench.neural.causal import CausalTransformer

    params = TransformerParams(
        dim=8, blocks=2, heads=2, feed_forward=1, max_length=5, item_bias=False, scale_read=False
    )
    ours, net = CausalTransformer(20, params), hand.Transformer(20, hand.Shape(**SHAPE, attention_dropout=0.2))
    names = {n.replace("attention.", ""): w for n, w in ours.state_dict().items()}
    names["start"] = names["start"][None]
    net.load_state_dict(names)
    items_BL = torch.tensor([[20, 4, 7, 1], [20, 2, 2, 9]])
    ours.eval(), net.eval()
    batch = Batch(items_BL, items_BL, items_BL, items_BL > 0, torch.tensor([3, 3]))
    torch.testing.assert_close(net(items_BL), ours.encode(batch))
    assert sum(w.numel() for w in net.parameters()) == sum(w.numel() for w in ours.parameters())


def test_ndcg_of_long_lists_is_that_of_their_places():
    user, item = np.array([0, 0, 0, 1, 1, 2]), np.array([5, 6, 7, 5, 6, 9])
    truth_U = np.array([6, 5, 1, 0])
    assert rivals.ndcg(user, item, truth_U) == pytest.approx((1 / np.log2(3) + 1) / 4)


def test_a_cut_history_is_its_newest_end():
    data = SimpleNamespace(items=np.arange(10), start=np.array([0, 1, 1, 10]))
    rows = rivals.cut(data, 3)
    assert [row.tolist() for row in rows] == [[0], [], [6, 7, 8, 9]]
    assert rivals.targets_of(rows) == 3


def test_the_clock_starts_behind_the_steps_that_warm_up(monkeypatch):
    clock = iter([0.0, 10.0, 20.0, 21.0, 22.0, 23.0, 100.0, 101.5])
    monkeypatch.setattr(rivals.time, "process_time", lambda: next(clock))

    def train(epochs, on_step, judge):
        for _ in range(epochs * 2):
            on_step()

    found = rivals.training(rivals.Rival(7, 3, 2, train, lambda: 0.5), steps=3)
    assert found["cpu"] == pytest.approx(3 * 3 / (1 + 2 + 1)) and found["ranking"] == 1.5 and found["ndcg"] == 0.5


def record(**found) -> dict:
    shape = {"length": 50, "batch": 128, "loss": "softmax", "negatives": 1}
    fixed = {"machine": "M", "python": "3", "load": 0, "rounds": 1, "date": "D", "versions": {}, "limit": 9}
    return fixed | {"job": "training", "data": "amazon-beauty", "shape": shape, "found": found}


def lap(cpu: float, **more) -> dict:
    return {"targets": 1000, "steps": 10, "cpu": cpu, "ms": 100 * cpu, "ranking": cpu, "mb": 1} | more


@pytest.mark.parametrize(("replay", "hand_cpu", "held"), [(8.0, 0.98, "yes"), (7.9, 0.96, "**no**")])
def test_the_page_says_which_bars_are_held(replay, hand_cpu, held):
    found = {"recbench": lap(1.0), "hand": lap(hand_cpu), "replay": lap(replay, timed=5), "rectools": lap(20.0)}
    page = sequential_page.page({"a": record(**found)})
    faster, slower, ranked = [line.split(" | ")[-1] for line in page.splitlines() if line.startswith("| amazon-beauty")]
    assert (faster, slower, ranked) == (f"{held} |", f"{held} |", "yes |")
    assert f"| ~{replay:.2f} |" in page and "| 20.00 |" in page


def test_contestants_left_out_today_stay_on_the_page_while_the_question_is_the_same():
    before = record(recbench=lap(2.0), replay=lap(8.0)) | {"date": "2026-01-02 to 2026-01-05"}
    now = record(recbench=lap(1.0), rectools=lap(9.0)) | {"date": "2026-01-09"}
    both = sequential.joined(before, now)
    assert {name: m["cpu"] for name, m in both["found"].items()} == {"recbench": 1.0, "replay": 8.0, "rectools": 9.0}
    assert both["date"] == "2026-01-02 to 2026-01-09" and sequential.joined(None, now) == now
    assert sequential.joined(now, now)["date"] == "2026-01-09"
    for change in ({"limit": 10}, {"machine": "N"}, {"shape": now["shape"] | {"batch": 1}}):
        assert sequential.joined(before | change, now) == now


@pytest.mark.slow
def test_the_benchmark_runs_from_data_to_page(tmp_path):
    write_beauty(tmp_path)
    command = [sys.executable, str(HOME / "sequential.py"), "--data", "acme-beauty", "--length", "4", "--rounds", "1"]
    command += [
        "--job",
        "training",
        "--job",
        "first",
        "--json",
        str(tmp_path / "a.json"),
        "--page",
        str(tmp_path / "a.md"),
    ]
    done = subprocess.run(command, capture_output=True, text=True, env=environment(tmp_path), check=True)
    kept = json.loads((tmp_path / "a.json").read_text())
    training, first = kept.values()
    assert {name: m["targets"] for name, m in training["found"].items()} == {"recbench": 160, "hand": 160}, done.stderr
    assert all(m["cpu"] > 0 and m["ranking"] > 0 for m in training["found"].values())
    assert first["found"]["recbench"]["cpu"] > 0
    assert "loop by hand" in (tmp_path / "a.md").read_text()


def test_the_page_of_speed_is_what_its_record_says():
    kept = json.loads((HOME / "speed.json").read_text())
    assert (HOME.parent / "docs" / "speed.md").read_text() == sequential_page.page(kept)


@pytest.mark.parametrize(("recbole", "held"), [(500.0, "5.0 times | yes"), (499.0, "5.0 times | **no**")])
def test_the_time_to_a_goal_counts_every_rival_and_the_quickest_of_ours(recbole, held):
    def to(cpu: float, reached: bool = True) -> dict:
        return {"cpu": cpu, "reached": reached, "epochs": 3, "valid": 0.05}

    found = {"recbench": to(300.0), "quick": to(100.0), "replay": to(900.0, False), "recbole": to(recbole)}
    page = sequential_page.page({"a": record(**found) | {"job": "reach"}})
    assert f"| 5 times shorter | {held} |" in page and "| stopped at 900 |" in page


@pytest.mark.parametrize(("last", "held"), [(50.0, "1.00 | yes"), (63.0, "1.65 | **no**")])
def test_cost_is_linear_where_one_interaction_more_costs_the_same(last, held):
    def lap_of(interactions: int, cpu: float) -> dict:
        return {
            "interactions": interactions,
            "cpu": cpu,
            "mb": 3000,
            "data_mb": 1,
            "fit_mb": 2,
            "ranking": 1,
            "asked": 9,
        }

    found = {"10": lap_of(100, 20.0), "20": lap_of(200, 30.0), "40": lap_of(400, last)}
    page = sequential_page.page({"a": record(**found) | {"job": "catalogue", "items": 1000}})
    asked = [line for line in page.splitlines() if line.startswith("| 1,000 items")]
    assert asked[0].endswith("| 3,000 MB | yes |") and asked[1].endswith(f"| {held} |")


@pytest.mark.slow
def test_the_catalogue_runs_from_shop_to_page(tmp_path):
    command = [sys.executable, str(HOME / "catalogue.py"), "--items", "500", "--users", "40", "80"]
    command += ["--json", str(tmp_path / "a.json"), "--page", str(tmp_path / "a.md")]
    subprocess.run(command, capture_output=True, text=True, env=environment(tmp_path), check=True)
    (kept,) = json.loads((tmp_path / "a.json").read_text()).values()
    small, large = kept["found"].values()
    assert small["interactions"] < large["interactions"] and min(small["cpu"], small["ranking"]) > 0
    assert "A catalogue of 500 items" in (tmp_path / "a.md").read_text()


@pytest.mark.slow
@pytest.mark.parametrize("name", rivals.RIVALS)
def test_a_rival_trains_and_ranks(name, tmp_path):
    """RECBENCH_RIVALS: the folder that benchmarks/make_rivals.sh filled."""
    python = Path(os.environ.get("RECBENCH_RIVALS", "nowhere")) / name / "bin" / "python"
    if not python.exists():
        pytest.skip(f"no {python}")
    write_beauty(tmp_path)
    command = [sys.executable, str(HOME / "sequential.py"), "--data", "acme-beauty", "--length", "4", "--rounds", "1"]
    command += ["--job", "training", "--only", name, "--steps", "1", "--python", f"{name}={python}"]
    command += ["--json", str(tmp_path / "a.json"), "--page", str(tmp_path / "a.md")]
    done = subprocess.run(command, capture_output=True, text=True, env=environment(tmp_path), check=True)
    (training,) = json.loads((tmp_path / "a.json").read_text()).values()
    assert training["found"][name]["cpu"] > 0, done.stderr


@pytest.mark.parametrize(("rmse", "held"), [(0.92, "yes"), (0.93, "**no**")])
def test_the_page_of_ratings_says_which_bars_are_held(rmse, held):
    lap = {"mae": 0.7, "fit": 1.0, "answer": 0.5, "spread": 0.001}
    rivals = {"SVDpp": lap | {"rmse": 0.915, "fit": 20.0}, "Other": lap | {"rmse": 0.9}}
    found = {name: lap | {"rmse": rmse} for name in ratings.OURS} | {
        name: lap | {"rmse": 0.9} for name in ratings.RIVAL_OF.values()
    }
    told = {"data": "ml-100k", "machine": "M", "python": "3", "load": 0, "date": "D", "rival": "1"}
    page = ratings.page({"video-rating": told | {"found": found | rivals}})
    (line,) = [line for line in page.splitlines() if line.startswith("| svd++ ")]
    assert line.endswith(f"{held} |") and "| SVDpp |" in line and "| 20.00 |" in line
    assert "Other has RMSE 0.9000" in page


def test_the_page_of_ratings_is_that_of_its_record():
    record = json.loads(ratings.RECORD.read_text())
    assert ratings.PAGE.read_text() == ratings.page(record), "run python benchmarks/ratings.py"
