"""Gradient-trained models: they learn, repeat, resume to the last bit, and stay light until they work."""

from __future__ import annotations

import ctypes
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from recbench.data import Interactions, Queries, Ragged
from recbench.dataset import Dataset, DatasetInfo
from recbench.model import Context, Team
from recbench.params import Params

torch = pytest.importorskip("torch")
torch.set_num_threads(1)

from recbench_sequential.transformer import Transformer, TransformerParams  # noqa: E402

from recbench.neural.training import Steps  # noqa: E402

ITEMS, USERS, LENGTH = 20, 60, 25
SMALL = TransformerParams(**Transformer.small)


def chain_world() -> tuple[Dataset, np.ndarray]:
    """Item i is followed by successor[i], a permutation; users start anywhere."""
    rng = np.random.default_rng(0)
    cycle = rng.permutation(ITEMS)
    successor = np.empty(ITEMS, np.int64)
    successor[cycle] = np.roll(cycle, -1)
    item = np.empty((USERS, LENGTH), np.int64)
    item[:, 0] = rng.integers(ITEMS, size=USERS)
    for t in range(1, LENGTH):
        item[:, t] = successor[item[:, t - 1]]
    user = np.repeat(np.arange(USERS), LENGTH)
    log = Interactions.sorted(user, item.ravel(), np.tile(np.arange(LENGTH), USERS), n_users=USERS, n_items=ITEMS)
    info = DatasetInfo("chain", "test", "order", "none", "made here")
    return Dataset(info, log, np.arange(USERS), np.arange(ITEMS)), successor


def ask(*histories: list[int]) -> Queries:
    rows = Ragged.from_rows(list(histories))
    n = len(histories)
    everything = np.ones(ITEMS, bool)
    return Queries(np.zeros(n, np.int32), np.zeros(n, np.int64), rows, rows, rows, rows, everything, True)


def fitted(params: Params = SMALL, **context: object) -> Transformer:
    model = Transformer(params)
    model.fit(chain_world()[0], Context(**{"seed": 3, **context}))
    return model


@pytest.fixture(scope="module")
def model() -> Transformer:
    return fitted()


def hits(model: Transformer) -> float:
    successor = chain_world()[1]
    answers = model.recommend(ask(*[[i] for i in range(ITEMS)]), 1).items_QK[:, 0]
    return float((answers == successor).mean())


@pytest.mark.parametrize("loss", ["softmax", "sampled"])
def test_first_order_chain_is_learned(loss: str) -> None:
    assert hits(fitted(replace(SMALL, loss=loss, negatives=10))) >= 0.95


def test_same_seed_gives_the_same_scores(model: Transformer) -> None:
    dropout = replace(SMALL, dropout=0.3, epochs=2, loss="sampled")
    queries = ask([1, 2], [3])
    one, two, other = fitted(dropout), fitted(dropout), fitted(dropout, seed=4)
    assert np.array_equal(one.score(queries), two.score(queries))
    assert not np.array_equal(one.score(queries), other.score(queries))


def test_a_batch_answers_as_its_rows_do_in_pieces_of_any_size(
    model: Transformer, monkeypatch: pytest.MonkeyPatch
) -> None:
    histories = [[], [4], [5, 6, 7], list(range(18))]
    together = model.score(ask(*histories))
    alone = np.concatenate([model.score(ask(history)) for history in histories])
    assert np.isfinite(together).all()
    assert together.dtype == np.float32 and together.shape == (4, ITEMS)
    np.testing.assert_allclose(together, alone, atol=1e-5)
    for positions in (1, 25):
        monkeypatch.setattr("recbench.neural.recommender.POSITIONS", positions)
        np.testing.assert_allclose(model.score(ask(*histories)), together, atol=1e-5)


def test_save_and_load(model: Transformer, tmp_path: Path) -> None:
    model.save(tmp_path)
    again = Transformer.load(tmp_path)
    assert np.array_equal(again.score(ask([], [1, 2])), model.score(ask([], [1, 2])))
    assert again.params == model.params and again.chosen_epochs == model.chosen_epochs == SMALL.epochs
    assert not list(tmp_path.glob("*.p*kl*"))


def test_the_best_epoch_is_restored_and_patience_ends_training() -> None:
    values = iter([0.1, 0.5, 0.4, 0.3, 0.9])
    seen, reported = [], []

    def evaluate(model: Transformer) -> float:
        torch.rand(7)  # must not move the training's chance
        seen.append(model.score(ask([1])))
        return next(values)

    chosen = fitted(replace(SMALL, patience=2, dropout=0.2), evaluate=evaluate, report=lambda *a: reported.append(a))
    assert (chosen.chosen_epochs, chosen.stopped_by, len(seen)) == (2, "patience", 4)
    assert np.array_equal(chosen.score(ask([1])), seen[1])
    assert [epoch for epoch, _ in reported] == [1, 2, 3, 4] and reported[1][1]["headline"] == 0.5
    refit = fitted(replace(SMALL, dropout=0.2), epochs=2)
    assert np.array_equal(refit.score(ask([1])), seen[1])
    assert (refit.chosen_epochs, refit.stopped_by) == (2, "epochs")


def test_max_minutes_ends_training() -> None:
    assert fitted(max_minutes=0.0).stopped_by == "max_minutes"


@pytest.mark.parametrize("averaging", [0.0, 0.998])
def test_an_averaged_network_has_what_its_batch_norms_met(averaging: float) -> None:
    """Their means and variances are averaged with the weights that they belong to, their counts taken over as they are."""

    class Normed(Transformer):
        def network(self, train: Dataset):
            network = super().network(train)
            network.norm = torch.nn.Sequential(torch.nn.Flatten(0, 1), torch.nn.BatchNorm1d(32))
            shaped = network.encode
            network.encode = lambda batch: shaped(batch).view(*batch.items_BL.shape, -1)
            return network

    model = Normed(replace(SMALL, averaging=averaging, epochs=2))
    model.fit(chain_world()[0], Context(seed=3))
    norm = model.net.norm[1]
    assert int(norm.num_batches_tracked) == 2 * 6 and norm.running_mean.abs().sum() > 0


def test_the_average_of_a_batch_norm_by_hand() -> None:
    norm = torch.nn.BatchNorm1d(2)
    steps = Steps(norm, replace(SMALL, averaging=0.75), None, 1, Team())
    with torch.no_grad():
        norm.running_mean[:], norm.running_var[:], norm.weight[:] = torch.tensor([4.0, 8.0]), 5.0, 2.0
        norm.num_batches_tracked += 7
    steps.take_in(1000)
    steps.take_buffers()
    mean = steps.answering
    assert mean.running_mean.tolist() == [1, 2] and mean.running_var.tolist() == [2, 2]
    assert mean.weight.tolist() == [1.25, 1.25] and int(mean.num_batches_tracked) == 7


def test_only_first_events_with_an_item_count_on_boards_of_new_items() -> None:
    from recbench.neural.batches import Windows

    log = Interactions.sorted(np.zeros(5, int), np.array([1, 1, 2, 1, 2]), np.arange(5), n_users=1, n_items=3)
    batch = Windows(log, 9, new_only=True)[np.array([0])]
    assert batch.items_BL.tolist() == [[3, 1, 1, 2, 1]] and batch.targets_BL.tolist() == [[1, 1, 2, 1, 2]]
    assert batch.mask_BL.tolist() == [[True, False, True, False, False]]
    assert len(Windows(log, 1, new_only=True)) == 2 and len(Windows(log, 1, new_only=False)) == 3


def test_targets_of_one_moment_are_asked_before_it() -> None:
    from recbench.neural.batches import Windows

    item, time = np.array([4, 0, 1, 2, 3]), np.array([10, 20, 20, 20, 30])
    log = Interactions.sorted(np.zeros(5, int), item, time, n_users=1, n_items=5)
    assert Windows(log, 9, new_only=False)[np.array([0])].asked_BL.tolist() == [[0, 1, 1, 1, 4]]
    cut = Windows(log, 2, new_only=False)  # pieces of 3 from the end: the second begins inside the basket
    assert cut[np.array([0, 1])].asked_BL.tolist() == [[0, 1, 0], [0, 0, 2]]


def test_what_ties_with_a_target_cannot_tell_of_it() -> None:
    """Twins always come in one basket, so reading the basket would find them: the loss must not learn that."""
    rng = np.random.default_rng(0)
    twin = rng.integers(ITEMS // 2, size=(USERS, 8))
    item = np.stack([2 * twin, 2 * twin + 1], axis=2).reshape(USERS, 16)
    time = np.repeat(np.arange(8), 2)
    log = Interactions.sorted(
        np.repeat(np.arange(USERS), 16), item.ravel(), np.tile(time, USERS), n_users=USERS, n_items=ITEMS
    )
    ordered = replace(log, time=np.arange(len(log)))
    losses = []
    for given in (log, ordered):
        info = DatasetInfo("twins", "test", "order", "none", "made here")
        model = Transformer(replace(SMALL, epochs=15))
        model.fit(Dataset(info, given, np.arange(USERS), np.arange(ITEMS)), Context(seed=1))
        losses.append(model.curve[-1][2])
    assert losses[0] > 0.85 * np.log(ITEMS) > 1.2 * losses[1]  # memory of users, not of baskets, is all there is


def test_loading_the_class_imports_no_torch() -> None:
    code = "import sys, recbench_sequential.transformer; print([m for m in %r if m in sys.modules])"
    heavy = ["torch", "pytorch_lightning", "lightning", "pandas", "scipy", "sklearn"]
    out = subprocess.run([sys.executable, "-c", code % heavy], capture_output=True, text=True, check=True).stdout
    assert out.strip() == "[]"


@pytest.mark.skipif(sys.platform != "linux" or not hasattr(ctypes.CDLL(None), "mallopt"), reason="of glibc alone")
def test_memory_that_was_freed_is_used_again() -> None:
    """A block of 64 MB has 16,384 pages: without, each of the nine faults them all in. With Lightning loaded, as in a
    training: on a heap that holds torch alone, aligned blocks are laid one behind the other.
    """
    code = (
        "import resource, torch, recbench.neural.trainer\n"
        "from recbench.machine import keep_freed_memory; keep_freed_memory(large=True)\n"
        "faults = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_minflt\n"
        "torch.ones(2**24); before = faults()\n"
        "for _ in range(9): torch.ones(2**24)\n"
        "print(faults() - before)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 3 * 16_384
