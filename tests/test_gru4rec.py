"""The recurrent network: it learns an order, knows nothing of what comes later, and resumes to the last bit."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from recbench.errors import RecbenchError
from recbench.model import Context

torch = pytest.importorskip("torch")
torch.set_num_threads(1)

from recbench_sequential.gru4rec import GRU4Rec, GRU4RecParams  # noqa: E402
from recbench_sequential.gru4rec_network import Recurrent  # noqa: E402
from test_neural import ITEMS, ask, chain_world  # noqa: E402

from recbench.neural.batches import Windows  # noqa: E402

SMALL = GRU4RecParams(**GRU4Rec.small)


def fitted(params: GRU4RecParams = SMALL, **context: object) -> GRU4Rec:
    model = GRU4Rec(params)
    model.fit(chain_world()[0], Context(**{"seed": 3, **context}))
    return model


def hits(model: GRU4Rec, histories: list[list[int]]) -> float:
    """The share of histories after which the successor of the last item comes first."""
    successor = chain_world()[1]
    answers = model.recommend(ask(*histories), 1).items_QK[:, 0]
    return float((answers == successor[[history[-1] for history in histories]]).mean())


def rotations() -> list[list[int]]:
    """Every item once, in the order of the chain, from each item on: the same set, each time another answer."""
    successor, rows = chain_world()[1], []
    for first in range(ITEMS):
        row = [first]
        while len(row) < ITEMS:
            row.append(int(successor[row[-1]]))
        rows.append(row)
    return rows


@pytest.fixture(scope="module")
def model() -> GRU4Rec:
    return fitted(replace(SMALL, max_length=ITEMS))


def test_first_order_chain_is_learned_and_the_order_alone_tells_the_answer(model: GRU4Rec) -> None:
    assert hits(model, [[i] for i in range(ITEMS)]) >= 0.95
    assert hits(model, rotations()) >= 0.95


@pytest.mark.slow
@pytest.mark.parametrize("loss", ["sampled", "gbce", "bce", "bpr"])
def test_every_loss_learns_it(loss: str) -> None:
    assert hits(fitted(replace(SMALL, loss=loss, negatives=8)), [[i] for i in range(ITEMS)]) >= 0.95


@pytest.mark.slow
@pytest.mark.parametrize(
    "change",
    [{"layers": 2, "dropout": 0.1}, {"hidden": 24}, {"item_bias": False}, {"ssl": "duorec"}, {"item_dropout": 0.1}],
    ids=lambda change: next(iter(change)),
)
def test_every_option_learns_it(change: dict) -> None:
    assert hits(fitted(replace(SMALL, **change)), [[i] for i in range(ITEMS)]) >= 0.9


def test_a_linear_map_leads_back_to_the_width_of_items_where_it_differs() -> None:
    def shapes(hidden: int) -> dict:
        network = Recurrent(7, GRU4RecParams(dim=8, hidden=hidden, layers=2))
        return {name: tuple(weight.shape) for name, weight in network.named_parameters()}

    same, wider = shapes(8), shapes(16)
    assert "out.weight" not in same and wider["out.weight"] == (8, 16)
    assert wider["gru.weight_ih_l0"] == (48, 8) and wider["gru.weight_ih_l1"] == (48, 16)
    assert same["items.weight"] == (7, 8) and same["item_bias"] == (7,) and same["start"] == (8,)


def test_a_state_knows_what_came_before_it_and_nothing_later(model: GRU4Rec) -> None:
    windows = Windows(chain_world()[0].interactions, 9, new_only=False)
    batch = windows[np.arange(4)]
    changed = batch.items_BL.clone()
    changed[:, 5] = (changed[:, 5] + 1) % ITEMS
    with torch.no_grad():
        before_BLD, after_BLD = model.net.encode(batch), model.net.encode(batch._replace(items_BL=changed))
    assert torch.equal(before_BLD[:, :5], after_BLD[:, :5])
    assert (before_BLD[:, 5:] != after_BLD[:, 5:]).any(-1).all()


def test_a_batch_answers_as_its_rows_do_and_an_empty_history_is_answered(model: GRU4Rec) -> None:
    histories = [[], [4], [5, 6, 7], list(range(18))]
    together = model.score(ask(*histories))
    alone = np.concatenate([model.score(ask(history)) for history in histories])
    assert np.isfinite(together).all() and together.dtype == np.float32
    np.testing.assert_allclose(together, alone, atol=1e-5)


def test_save_and_load(model: GRU4Rec, tmp_path: Path) -> None:
    model.save(tmp_path)
    again = GRU4Rec.load(tmp_path)
    assert np.array_equal(again.score(ask([], [1, 2])), model.score(ask([], [1, 2])))
    assert again.params == model.params


def test_a_training_that_breaks_twice_ends_as_an_unbroken_one(tmp_path: Path) -> None:
    params = replace(SMALL, epochs=4, layers=2, dropout=0.2, embedding_dropout=0.2, loss="sampled", negatives=8)
    calls = iter(range(100))

    def evaluate(model: GRU4Rec) -> float:
        return float(model.score(ask([1]))[0, 2])

    def breaks(model: GRU4Rec) -> float:
        if next(calls) == 2:
            raise ZeroDivisionError
        return evaluate(model)

    whole = fitted(params, evaluate=evaluate)
    assert fitted(params, evaluate=evaluate, folder=tmp_path, max_minutes=0.0).curve == []  # ends within an epoch
    with pytest.raises(ZeroDivisionError):
        fitted(params, evaluate=breaks, folder=tmp_path, resume=True)
    resumed = fitted(params, evaluate=evaluate, folder=tmp_path, resume=True)
    assert resumed.curve == whole.curve and len(whole.curve) == 4
    for name, weight in whole.net.state_dict().items():
        assert torch.equal(weight, resumed.net.state_dict()[name]), name


def test_parameters_are_refused_in_one_line() -> None:
    with pytest.raises(RecbenchError, match="layers") as error:
        GRU4RecParams(layers=0)
    assert "\n" not in str(error.value) and "1" in str(error.value) and "8" in str(error.value)


def test_loading_the_class_imports_no_torch() -> None:
    code = "import sys, recbench_sequential.gru4rec; print([m for m in %r if m in sys.modules])"
    heavy = ["torch", "pytorch_lightning", "lightning", "pandas", "scipy", "sklearn"]
    out = subprocess.run([sys.executable, "-c", code % heavy], capture_output=True, text=True, check=True).stdout
    assert out.strip() == "[]"
