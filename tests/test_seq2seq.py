"""Models that generate: how windows are split for teacher forcing, what is learned from it, and that nothing leaks."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from recbench.data import Interactions, Queries, Ragged
from recbench.dataset import Dataset, DatasetInfo
from recbench.errors import RecbenchError
from recbench.model import Context, Recommender

torch = pytest.importorskip("torch")
torch.set_num_threads(1)

from recbench_sequential.encoder_decoder import EncoderDecoder, EncoderDecoderParams  # noqa: E402
from recbench_sequential.forcing import compared, split  # noqa: E402
from recbench_sequential.seq2seq import Seq2Seq, Seq2SeqParams  # noqa: E402

from recbench.neural.batches import Batch, Windows, question  # noqa: E402

ITEMS, USERS, LENGTH, STEPS = 16, 48, 20, 4
SMALL = {"dim": 32, "epochs": 20, "batch_size": 8, "splits": 5, "steps": STEPS, "max_length": 10, "dropout": 0.0}
MODELS = {
    "seq2seq": (Seq2Seq, Seq2SeqParams(**SMALL, learning_rate=1e-2)),
    "bare": (Seq2Seq, Seq2SeqParams(**SMALL, learning_rate=1e-2, attention=False)),
    "encoder-decoder": (EncoderDecoder, EncoderDecoderParams(**SMALL, learning_rate=5e-3, heads=2)),
}


def world(item_UL: np.ndarray, behavior_UL: np.ndarray | None = None, n_items: int = ITEMS) -> Dataset:
    """A data set of one event a moment."""
    users, length = item_UL.shape
    several = behavior_UL is not None
    log = Interactions.sorted(
        np.repeat(np.arange(users), length),
        item_UL.ravel(),
        np.tile(np.arange(length), users),
        n_users=users,
        n_items=n_items,
        behavior=behavior_UL.ravel().astype(np.int8) if several else None,
        behaviors=("view", "like") if several else ("view",),
    )
    info = DatasetInfo("made", "test", "order", "none", "made here")
    return Dataset(info, log, np.arange(users), np.arange(n_items))


def walks() -> tuple[Dataset, np.ndarray]:
    """Item i is followed by successor[i], a permutation; every other event is a like."""
    rng = np.random.default_rng(0)
    cycle = rng.permutation(ITEMS)
    successor = np.empty(ITEMS, np.int64)
    successor[cycle] = np.roll(cycle, -1)
    item_UL = np.empty((USERS, LENGTH), np.int64)
    item_UL[:, 0] = rng.integers(ITEMS, size=USERS)
    for t in range(1, LENGTH):
        item_UL[:, t] = successor[item_UL[:, t - 1]]
    behavior_UL = (np.arange(LENGTH) + rng.integers(2, size=(USERS, 1))) % 2
    return world(item_UL, behavior_UL), successor


def ask(histories: list[list[int]], behaviors: list[list[int]] | None = None, steps: int = 1) -> Queries:
    rows, n = Ragged.from_rows(histories), len(histories)
    told = Ragged.from_rows(behaviors or [[0] * len(history) for history in histories])
    everything = np.ones(ITEMS, bool)
    return Queries(np.zeros(n, np.int32), np.zeros(n, np.int64), rows, told, rows, rows, everything, True, steps=steps)


def fitted(name: str, data: Dataset, context: dict | None = None, **changes: object):
    cls, params = MODELS[name]
    model = cls(replace(params, **changes))
    model.fit(data, Context(**{"seed": 3, **(context or {})}))
    return model


@pytest.fixture(scope="module", params=MODELS)
def walker(request):
    return fitted(request.param, walks()[0])


# what is learned


def test_the_chain_of_next_items_and_the_turns_of_behaviour_are_generated_exactly(walker):
    successor = walks()[1]
    histories = [[item, int(successor[item])] for item in range(ITEMS)]
    answer = walker.recommend(ask(histories, [[i % 2, 1 - i % 2] for i in range(ITEMS)], steps=STEPS), STEPS + 2)
    expected_QS = np.empty((ITEMS, STEPS), np.int64)
    expected_QS[:, 0] = successor[successor]
    for step in range(1, STEPS):
        expected_QS[:, step] = successor[expected_QS[:, step - 1]]
    assert answer.items_QK[:, :STEPS].tolist() == expected_QS.tolist()
    assert answer.behaviors_QK[:, :STEPS].tolist() == ((np.arange(ITEMS)[:, None] + np.arange(STEPS)) % 2).tolist()
    assert all(len(set(items)) == STEPS + 2 for items in answer.items_QK.tolist())


def test_the_first_step_is_a_ranking_like_any_other(walker):
    successor = walks()[1]
    queries = ask([[item] for item in range(ITEMS)], [[1]] * ITEMS)
    answer = walker.recommend(queries, 3)
    assert answer.items_QK[:, 0].tolist() == successor.tolist()
    plain = Recommender.recommend(walker, queries, 3)
    assert np.array_equal(answer.items_QK, plain.items_QK) and np.array_equal(answer.scores_QK, plain.scores_QK)


def test_a_batch_scores_as_its_rows_do_and_an_empty_history_is_answered(walker):
    histories = [[], [4], [5, 6, 7], list(range(14))]
    together = walker.score(ask(histories))
    alone = np.concatenate([walker.score(ask([history])) for history in histories])
    assert np.isfinite(together).all() and together.dtype == np.float32
    np.testing.assert_allclose(together, alone, atol=1e-4)
    assert (walker.recommend(ask([[]], steps=STEPS), STEPS).items_QK >= 0).all()


def test_save_and_load(walker, tmp_path: Path):
    walker.save(tmp_path)
    again = type(walker).load(tmp_path)
    queries = ask([[], [1, 2]], steps=STEPS)
    assert again.params == walker.params and np.array_equal(again.score(queries), walker.score(queries))
    one, other = again.recommend(queries, 5), walker.recommend(queries, 5)
    assert np.array_equal(one.items_QK, other.items_QK) and np.array_equal(one.behaviors_QK, other.behaviors_QK)
    assert not list(tmp_path.glob("*.p*kl*"))


def test_a_step_is_a_new_item_with_what_it_came_to():
    """Each item is viewed, and if it is even liked at once: the next items are asked for, not the next events."""
    item_UL, behavior_UL = [], []
    for first in range(ITEMS):
        walk = [(item % ITEMS, liked) for item in range(first, first + 14) for liked in range(2 - item % 2)]
        item_UL.append([item for item, _ in walk[:20]])
        behavior_UL.append([liked for _, liked in walk[:20]])
    model = fitted("encoder-decoder", world(np.array(item_UL * 2), np.array(behavior_UL * 2)))
    histories = [[(i - 1) % ITEMS, i] if i % 2 else [i, i] for i in range(ITEMS)]
    behaviors = [[1, 0] if i % 2 else [0, 1] for i in range(ITEMS)]
    answer = model.recommend(ask(histories, behaviors, steps=STEPS), STEPS)
    expected_QS = (np.arange(ITEMS)[:, None] + 1 + np.arange(STEPS)) % ITEMS
    assert answer.items_QK.tolist() == expected_QS.tolist()
    assert answer.behaviors_QK.tolist() == (1 - expected_QS % 2).tolist()


@pytest.mark.parametrize("name", ["seq2seq", "encoder-decoder"])
def test_training_broken_off_goes_on_as_if_nothing_had_been(name, tmp_path: Path):
    data = walks()[0]
    changes = {"epochs": 3, "batch_size": 32, "dropout": 0.3, "loss": "sampled", "negatives": 8}

    def stop(step: int, _: dict) -> None:
        if step == 2:
            raise RuntimeError("stopped")

    with pytest.raises(RuntimeError, match="stopped"):
        fitted(name, data, {"folder": tmp_path, "report": stop}, **changes)
    steps: list[int] = []
    resumed = {"folder": tmp_path, "resume": True, "report": lambda step, _: steps.append(step)}
    queries, again, whole = ask([[1, 2]]), fitted(name, data, resumed, **changes), fitted(name, data, **changes)
    assert steps == [2, 3] and np.array_equal(again.score(queries), whole.score(queries))
    assert not np.array_equal(whole.score(queries), fitted(name, data, {"seed": 4}, **changes).score(queries))


# how windows are split


def by_hand(items: list[int], behaviors: list[int], times: list[int], counts: list[bool], steps: int) -> dict:
    """History length -> the steps behind it, (item, behaviour); for each split of a window, written out."""
    found = {}
    for begin in range(len(items)):
        if not counts[begin]:
            continue
        read = min(t for t in range(len(items)) if times[t] == times[begin])
        if read in found:
            continue
        listed: list[list[int]] = []
        for item, behavior, count in list(zip(items, behaviors, counts, strict=True))[begin:]:
            if listed and item == listed[-1][0]:
                listed[-1][1] = behavior
            elif count and item not in [i for i, _ in listed]:
                listed.append([item, behavior])
        found[read] = [tuple(step) for step in listed[:steps]]
    return found


def found_in(batch: Batch, steps: int, splits: int, start_token: int) -> list[dict]:
    """The same of each window as `split` has it; what the steps are told is checked on the way."""
    cut = split(batch, steps, splits, start_token)
    windows = []
    for b in range(len(batch.last_B)):
        found = {}
        for k in range(cut.chosen_BK.shape[1]):
            mask_S = cut.mask_BKS[b, k].tolist()
            n = sum(mask_S)
            assert mask_S == [True] * n + [False] * (steps - n), "a step is missing before another"
            if not cut.chosen_BK[b, k]:
                assert not n
                continue
            items, behaviors = cut.targets_BKS[b, k, :n].tolist(), cut.target_behaviors_BKS[b, k, :n].tolist()
            assert cut.items_BKS[b, k, :n].tolist() == [start_token, *items[:-1]]
            assert cut.behaviors_BKS[b, k, :n].tolist() == [0, *behaviors[:-1]]
            read = int(cut.read_BK[b, k])
            assert read not in found
            found[read] = list(zip(items, behaviors, strict=True))
        windows.append(found)
    return windows


@pytest.mark.parametrize("new_only", [True, False])
@pytest.mark.parametrize("steps", [1, 3, 9])
def test_splits_are_those_made_by_hand(new_only, steps):
    rng = np.random.default_rng(steps)
    users, n_items = 40, 6
    lengths = rng.integers(1, 9, size=users)
    user, n = np.repeat(np.arange(users), lengths), lengths.sum()
    item, behavior = rng.integers(n_items, size=n), rng.integers(2, size=n).astype(np.int8)
    time = np.concatenate([np.cumsum(rng.integers(0, 2, size=length)) for length in lengths])
    log = Interactions.sorted(user, item, time, n_users=users, n_items=n_items, behavior=behavior, behaviors=("a", "b"))
    since = 1 if steps == 3 else None
    windows = Windows(log, 20, new_only, since, ("behaviors",))
    batch = windows[np.arange(len(windows))]
    torch.manual_seed(0)
    every, some, few = (found_in(batch, steps, splits, n_items) for splits in (100, 2, 0))
    kinds = set()
    for b in range(len(windows)):
        rows = slice(windows.start[b], windows.stop[b])
        order = log.by_user()[0][rows]
        columns = (log.item[order].tolist(), log.behavior[order].tolist(), log.time[order].tolist())
        expected = by_hand(*columns, windows.counts[rows].tolist(), steps)
        assert every[b] == expected
        assert some[b].items() <= expected.items() and len(some[b]) == min(2, len(expected))
        assert few[b].items() <= expected.items() and len(few[b]) == -(-len(expected) // steps)
        kinds.add(len(expected))
    assert len(kinds) > 3


def test_a_window_with_ties_repeats_and_outcomes_is_split_by_hand():
    item, time, behavior = [3, 4, 3, 3, 5, 4, 0], [1, 2, 2, 3, 4, 4, 5], [0, 0, 0, 1, 0, 1, 0]
    log = Interactions.sorted(
        np.zeros(7, int), np.array(item), np.array(time), n_users=1, n_items=6, behavior=np.array(behavior), behaviors=("a", "b")
    )  # fmt: skip
    new, every = (Windows(log, 9, new_only, reads=("behaviors",))[np.array([0])] for new_only in (True, False))
    assert found_in(new, 2, 9, 6) == [{0: [(3, 0), (4, 0)], 1: [(4, 0), (5, 0)], 4: [(5, 0), (0, 0)], 6: [(0, 0)]}]
    assert found_in(every, 3, 9, 6) == [
        {
            0: [(3, 0), (4, 0), (5, 0)],
            1: [(4, 0), (3, 1), (5, 0)],
            3: [(3, 1), (5, 0), (4, 1)],
            4: [(5, 0), (4, 1), (0, 0)],
            6: [(0, 0)],
        }
    ]


def test_all_splits_are_drawn_alike():
    log = Interactions.sorted(np.zeros(6, int), np.arange(6), np.arange(6), n_users=1, n_items=6)
    batch = Windows(log, 9, new_only=False)[np.zeros(4000, int)]
    torch.manual_seed(0)
    drawn = np.bincount(split(batch, 3, 1, 6).read_BK[:, 0].numpy(), minlength=6)
    assert (abs(drawn - 4000 / 6) < 4 * np.sqrt(4000 / 6)).all()


@pytest.mark.parametrize("name", MODELS)
def test_what_is_trained_is_what_is_asked(name):
    """Each state in the loss is that of the question whose history ends at the split, told the steps before: so it knows
    of nothing behind the split, of no other split, and of no padding."""
    rng = np.random.default_rng(0)
    data = world(rng.integers(ITEMS, size=(6, 7)), rng.integers(2, size=(6, 7)))
    data = replace(data, interactions=data.interactions.where(rng.random(42) < 0.7))
    cls, params = MODELS[name]
    model = cls(replace(params, splits=50))
    net = model.network(data)
    with torch.no_grad():
        for weight in net.parameters():
            weight.copy_(torch.randn(weight.shape) * 0.3)
    net.eval()
    log = data.interactions
    batch = Windows(log, 10, new_only=False, reads=net.reads)[np.arange(6)]
    torch.manual_seed(1)
    asked = net.asked(batch)
    torch.manual_seed(1)
    cut = split(batch, STEPS, 50, ITEMS)
    checked = 0
    for (b, k, s), state_D, target in zip(
        cut.mask_BKS.nonzero().tolist(), asked.states_PD, asked.target_P, strict=True
    ):
        read = int(cut.read_BK[b, k])
        history = [batch.targets_BL[b, :read].tolist()], [batch.target_behaviors_BL[b, :read].tolist()]
        memory = net.remember(question(ask(*history), 10, net.reads))
        told = cut.items_BKS[b, k, : s + 1].view(1, 1, -1), cut.behaviors_BKS[b, k, : s + 1].view(1, 1, -1)
        torch.testing.assert_close(net.decode(memory, *told)[0, 0, -1], state_D, atol=1e-5, rtol=1e-4)
        assert target == cut.targets_BKS[b, k, s]
        if s == 0:
            torch.testing.assert_close(
                net.last(question(ask(*history), 10, net.reads))[0], state_D, atol=1e-5, rtol=1e-4
            )
        checked += 1
    assert checked > 50


def test_the_loss_of_behaviours_is_their_weighted_cross_entropy():
    rng = np.random.default_rng(0)
    data = world(rng.integers(ITEMS, size=(6, 7)), rng.integers(2, size=(6, 7)))
    model = Seq2Seq(replace(MODELS["seq2seq"][1], behavior_weight=0.3))
    net = model.network(data)
    batch = Windows(data.interactions, 10, new_only=False, reads=net.reads)[np.arange(6)]
    cut = split(batch, STEPS, 0, ITEMS)
    states_BKSD = torch.randn(*cut.mask_BKS.shape, 32)
    losses = []
    for b, k, s in cut.mask_BKS.nonzero().tolist():
        known = torch.cat([states_BKSD[b, k, s], net.items.weight[cut.targets_BKS[b, k, s]]])
        losses.append(-net.behavior_head(known).log_softmax(0)[cut.target_behaviors_BKS[b, k, s]])
    extra = compared(net, net.behavior_head, states_BKSD, cut, 0.3).extra
    torch.testing.assert_close(extra, 0.3 * torch.stack(losses).mean())
    nothing = cut._replace(mask_BKS=torch.zeros_like(cut.mask_BKS))
    assert compared(net, net.behavior_head, states_BKSD, nothing, 0.3).extra is None
    assert compared(net, net.behavior_head, states_BKSD, cut, 0.0).extra is None


@pytest.mark.parametrize("name", MODELS)
def test_data_of_one_behaviour_need_no_table_of_behaviours(name):
    rng = np.random.default_rng(0)
    model = fitted(name, world(rng.integers(ITEMS, size=(6, 7))), epochs=1)
    assert model.facts == {"behaviors": 1} and model.net.behaviors is None and model.net.reads == ()
    assert model.recommend(ask([[1]], steps=2), 2).behaviors_QK.tolist() == [[0, 0]]


@pytest.mark.parametrize("name", ["seq2seq", "encoder-decoder"])
def test_a_batch_in_which_nothing_counts_costs_nothing(name):
    cls, params = MODELS[name]
    data = walks()[0]
    net = cls(params).network(data)
    batch = Windows(data.interactions, 10, new_only=False, reads=net.reads)[np.arange(3)]
    asked = net.asked(batch._replace(mask_BL=torch.zeros_like(batch.mask_BL)))
    assert asked.states_PD.shape == (0, 32) and asked.extra is None


def test_heads_that_do_not_divide_the_width_are_refused():
    with pytest.raises(RecbenchError, match=r"EncoderDecoderParams: heads must divide dim=10; given 3"):
        EncoderDecoderParams(dim=10, heads=3)


@pytest.mark.parametrize("module", ["seq2seq", "encoder_decoder"])
def test_loading_the_class_imports_no_torch(module):
    code = f"import sys, recbench_sequential.{module}; print([m for m in %r if m in sys.modules])"
    heavy = ["torch", "pytorch_lightning", "lightning", "pandas", "scipy", "sklearn"]
    out = subprocess.run([sys.executable, "-c", code % heavy], capture_output=True, text=True, check=True).stdout
    assert out.strip() == "[]"
