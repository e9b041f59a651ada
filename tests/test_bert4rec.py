"""The Transformer that looks both ways: what it hides and learns, what no state may know, and that it resumes exactly."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from recbench.data import Interactions
from recbench.errors import RecbenchError
from recbench.model import Context

torch = pytest.importorskip("torch")
torch.set_num_threads(1)

from recbench_sequential.bert4rec import BERT4Rec, BERT4RecParams  # noqa: E402
from recbench_sequential.bert4rec_network import MaskedTransformer, hidden  # noqa: E402
from test_neural import ITEMS, ask, chain_world  # noqa: E402

from recbench.neural.augment import augmented  # noqa: E402
from recbench.neural.batches import Batch, Windows, question  # noqa: E402

SMALL = BERT4RecParams(**BERT4Rec.small)


def fitted(params: BERT4RecParams = SMALL, **context: object) -> BERT4Rec:
    model = BERT4Rec(params)
    model.fit(chain_world()[0], Context(**{"seed": 3, **context}))
    return model


def hits(model: BERT4Rec, histories: list[list[int]]) -> float:
    """The share of histories after which the successor of the last item comes first."""
    successor = chain_world()[1]
    answers = model.recommend(ask(*histories), 1).items_QK[:, 0]
    return float((answers == successor[[history[-1] for history in histories]]).mean())


def rotations(length: int) -> list[list[int]]:
    """`length` items in the order of the chain, from each item on."""
    successor, rows = chain_world()[1], []
    for first in range(ITEMS):
        row = [first]
        while len(row) < length:
            row.append(int(successor[row[-1]]))
        rows.append(row)
    return rows


def one_user(item: list[int], time: list[int], **given: object) -> Batch:
    """The one window of a user with these events."""
    log = Interactions.sorted(np.zeros(len(item), int), np.array(item), np.array(time), n_users=1, n_items=ITEMS)
    return Windows(log, 50, **{"new_only": False, **given})[np.array([0])]  # type: ignore[arg-type]


def many(batch: Batch, n: int) -> Batch:
    return Batch(*(None if column is None else column.repeat_interleave(n, 0) for column in batch))  # type: ignore[arg-type]


def network(**changes: object) -> MaskedTransformer:
    """An untrained network whose states differ widely, dropping nothing."""
    torch.manual_seed(1)
    net = MaskedTransformer(ITEMS, BERT4RecParams(**{"dim": 16, "max_length": 50, "dropout": 0.0, **changes}))  # type: ignore[arg-type]
    for weight in (net.items.weight, net.positions.weight, net.mask):
        torch.nn.init.normal_(weight)
    return net.eval()


@pytest.fixture(scope="module")
def model() -> BERT4Rec:
    return fitted()


# What is hidden


def test_each_event_is_hidden_with_its_chance_and_one_in_a_window_at_least() -> None:
    batch = many(one_user([i % ITEMS for i in range(25)], list(range(25))), 2000)
    torch.manual_seed(0)
    hidden_BL = hidden(batch, 0.2, 0.0)
    at_least = 0.8**25  # windows in which chance alone hides nothing
    assert abs(float(hidden_BL.float().mean()) - 0.2 - at_least / 25) < 5 * np.sqrt(0.16 / hidden_BL.numel())
    assert bool((abs(hidden_BL.float().mean(0) - 0.2) < 5 * np.sqrt(0.16 / 2000)).all()), "each place alike"
    short_BL = hidden(many(one_user([1, 2], [1, 2]), 2000), 0.01, 0.0)
    assert bool(short_BL.any(1).all()) and abs(float(short_BL[:, 0].float().mean()) - 0.5) < 0.06


def test_a_question_hides_the_last_moment_alone() -> None:
    batch = one_user([1, 2, 3, 4, 5], [1, 2, 3, 4, 4])
    assert hidden(batch, 0.5, 1.0).tolist() == [[False, False, False, True, True]]
    no_target = many(one_user([1, 2, 3, 3], [1, 2, 3, 4], new_only=True), 50)
    assert bool((hidden(no_target, 0.01, 1.0)[:, :3].sum(1) == 1).all()), "what ends with no target is asked as usual"
    share = hidden(many(batch, 4000), 0.01, 0.3)[:, 2:].float().mean(0)
    assert abs(float(share[-1]) - (0.3 + 0.7 / 4)) < 0.04, "with nothing but one draw, each of 4 moments is as likely"


def test_a_moment_is_hidden_whole_also_what_is_no_target() -> None:
    batch = many(one_user([1, 2, 3, 3, 4], [1, 2, 2, 3, 3], new_only=True), 200)
    assert batch.mask_BL[0].tolist() == [True, True, True, False, True]
    hidden_BL = hidden(batch, 0.4, 0.1)
    assert torch.equal(hidden_BL[:, 1], hidden_BL[:, 2]) and torch.equal(
        hidden_BL[:, 3] | hidden_BL[:, 2], hidden_BL[:, 3]
    )
    assert torch.equal(hidden_BL[:, 4], hidden_BL[:, 4] & hidden_BL[:, 3])
    assert 0 < int(hidden_BL[:, 1].sum()) < 200 and 0 < int(hidden_BL[:, 4].sum()) < 200


def test_only_targets_are_hidden_and_what_lies_before_them_is_read() -> None:
    batch = many(one_user([1, 2, 3, 4, 5], [1, 2, 3, 4, 5], since=4), 100)
    hidden_BL = hidden(batch, 0.5, 0.1)
    assert not hidden_BL[:, :3].any() and bool(hidden_BL[:, 3:].any(1).all())
    asked = network(mask_share=0.5).asked(batch)
    assert set(asked.target_P.tolist()) == {4, 5}


def test_where_an_item_counts_once_its_repeats_do_not_give_it_away() -> None:
    hidden_BL = hidden(many(one_user([7, 1, 7, 2, 7], [1, 2, 3, 4, 5], new_only=True), 300), 0.3, 0.0)
    assert torch.equal(hidden_BL[:, 2], hidden_BL[:, 0]) and torch.equal(hidden_BL[:, 4], hidden_BL[:, 0])
    assert bool((hidden_BL[:, 1] & ~hidden_BL[:, 0]).any())
    known = hidden(many(one_user([7, 1, 7, 2], [1, 2, 3, 4], since=3), 100), 0.9, 0.0)
    assert bool(known[:, 2].any()) and not known[:, 0].any(), "what came before a target is known when it is asked"
    counted = hidden(many(one_user([7, 1, 7, 2, 7], [1, 2, 3, 4, 5]), 300), 0.3, 0.0)
    assert not torch.equal(counted[:, 2], counted[:, 0]), "where every event counts, a repeat is a target of its own"


# What a state knows


def asked_twice(net: MaskedTransformer, one: Batch, two: Batch) -> tuple[torch.Tensor, torch.Tensor]:
    """The states of two batches under one draw."""
    states = []
    for batch in (one, two):
        torch.manual_seed(5)
        states.append(net.asked(batch).states_PD)
    return states[0], states[1]


def test_what_is_hidden_does_not_leak_and_what_is_read_is_read_on_both_sides() -> None:
    net, batch = network(mask_share=0.3), Windows(chain_world()[0].interactions, 11, new_only=False)[np.arange(8)]
    torch.manual_seed(5)
    hidden_BL = hidden(batch, 0.3, net.last_only)
    for changed_BL, same in ((hidden_BL, True), (~hidden_BL, False)):
        targets_BL = torch.where(changed_BL, (batch.targets_BL + 1) % ITEMS, batch.targets_BL)
        items_BL = torch.cat([batch.items_BL[:, :1], targets_BL[:, :-1]], dim=1)
        one, two = asked_twice(net, batch, batch._replace(items_BL=items_BL, targets_BL=targets_BL))
        assert torch.equal(one, two) is same
    later = one_user([1, 2, 3, 4], [1, 2, 3, 3])  # the second is hidden, the last moment changes
    net.mask_share, net.last_only = 0.01, 0.0
    for seed in range(50):
        torch.manual_seed(seed)
        if hidden(later, 0.01, 0.0).tolist() == [[False, True, False, False]]:
            break
    states = []
    for last in (4, 9):
        torch.manual_seed(seed)
        states.append(net.asked(later._replace(targets_BL=torch.tensor([[1, 2, 3, last]]))).states_PD)
    assert len(states[0]) == 1 and not torch.equal(*states)


def test_the_targets_asked_are_those_hidden_that_count() -> None:
    net, batch = network(), many(one_user([1, 2, 3, 3, 4], [1, 2, 2, 3, 3], new_only=True), 50)
    torch.manual_seed(2)
    expected = batch.targets_BL[hidden(batch, 0.2, 0.1) & batch.mask_BL]
    torch.manual_seed(2)
    asked = net.asked(batch)
    assert torch.equal(asked.target_P, expected) and asked.states_PD.shape == (len(expected), 16)


def test_the_last_block_at_some_places_is_the_block() -> None:
    net = network(blocks=2, heads=2)
    queries = ask([], [4], [5, 6, 7], list(range(18)))
    batch = question(queries, 50)
    with torch.no_grad():
        events_BL = net.read(batch)
        back_BL = batch.last_B[:, None] - torch.arange(events_BL.shape[1])
        x_BLD = torch.cat([net.items.weight, net.mask[None]])[events_BL] + net.positions.weight[back_BL.clamp(min=0)]
        for block in net.blocks:
            x_BLD = block(x_BLD, (back_BL >= 0)[:, None, None])
        expected_BLD = net.head(net.norm(x_BLD))
        torch.testing.assert_close(net.encode(batch), expected_BLD)
        torch.testing.assert_close(net.last(batch), expected_BLD[torch.arange(4), batch.last_B])


def test_a_question_is_the_history_and_a_hidden_event() -> None:
    """A training window whose last event alone is hidden has the state of the question what follows the others."""
    net, items = network(mask_share=0.01, last_only=1.0), [3, 1, 4, 1, 5, 9, 2, 6]
    batch = one_user(items, list(range(8)))
    with torch.no_grad():
        asked = net.asked(batch)
        assert asked.target_P.tolist() == [6]
        torch.testing.assert_close(asked.states_PD, net.last(question(ask(items[:-1]), 50)))
        torch.testing.assert_close(asked.states_PD, net.last(batch))


def test_padding_says_nothing() -> None:
    net, short = network(), one_user([1, 2, 3], [1, 2, 3])
    long = one_user(list(range(10)), list(range(10)))
    pad = torch.nn.functional.pad
    both = Batch(
        torch.cat([pad(short.items_BL, (0, 7), value=ITEMS), long.items_BL]),
        torch.cat([pad(short.targets_BL, (0, 7), value=ITEMS), long.targets_BL]),
        torch.cat([pad(short.asked_BL, (0, 7)), long.asked_BL]),
        torch.cat([pad(short.mask_BL, (0, 7)), long.mask_BL]),
        torch.cat([short.last_B, long.last_B]),
    )
    with torch.no_grad():
        torch.testing.assert_close(net.encode(both)[:1, :3], net.encode(short))
    for seed in range(20):
        torch.manual_seed(seed)
        assert not hidden(both, 0.5, 0.2)[0, 3:].any(), "padding is no event"


def test_a_batch_answers_as_its_rows_do_and_an_empty_history_is_answered(model: BERT4Rec) -> None:
    histories = [[], [4], [5, 6, 7], list(range(18))]
    together = model.score(ask(*histories))
    alone = np.concatenate([model.score(ask(history)) for history in histories])
    assert np.isfinite(together).all() and together.dtype == np.float32
    np.testing.assert_allclose(together, alone, atol=1e-5)


# What is learned


def test_first_order_chain_is_learned(model: BERT4Rec) -> None:
    assert hits(model, rotations(1)) >= 0.95
    assert hits(model, rotations(9)) >= 0.95


def test_the_order_of_a_history_alone_tells_the_answer(model: BERT4Rec) -> None:
    """Of two items that follow each other, in both orders: the set is the same, the answer is another."""
    pairs = rotations(2)
    assert hits(model, pairs) >= 0.9
    forth, back = (model.score(ask(*rows)) for rows in (pairs, [pair[::-1] for pair in pairs]))
    assert (forth.argmax(1) != back.argmax(1)).all()


@pytest.mark.slow
@pytest.mark.parametrize(
    "change", [{"loss": "sampled", "negatives": 10, "epochs": 120}, {"blocks": 2, "heads": 2, "dropout": 0.1}]
)
def test_options_learn_it(change: dict) -> None:
    assert hits(fitted(replace(SMALL, **change)), rotations(5)) >= 0.9


def test_augmented_windows_are_read_as_they_are() -> None:
    """Whatever is cropped, shuffled or dropped: an event read is the target of its place, or hidden."""
    net, batch = network(), Windows(chain_world()[0].interactions, 11, new_only=False)[np.arange(40)]
    torch.manual_seed(3)
    changed = augmented(batch, replace(SMALL, crop=0.5, reorder=0.5, item_dropout=0.3))
    events_BL = net.read(changed)
    read_BL = torch.arange(events_BL.shape[1]) < changed.last_B[:, None]
    same_BL, gone_BL = events_BL == changed.targets_BL, events_BL == ITEMS
    assert bool((same_BL | gone_BL)[read_BL].all()) and bool(same_BL[read_BL].any()) and bool(gone_BL[read_BL].any())
    assert bool(torch.isfinite(net.asked(changed).states_PD).all())


# What is kept


def test_save_and_load(model: BERT4Rec, tmp_path: Path) -> None:
    model.save(tmp_path)
    again = BERT4Rec.load(tmp_path)
    assert np.array_equal(again.score(ask([], [1, 2])), model.score(ask([], [1, 2])))
    assert again.params == model.params


def test_a_training_that_breaks_twice_ends_as_an_unbroken_one(tmp_path: Path) -> None:
    params = replace(SMALL, epochs=4, dropout=0.2, loss="sampled", negatives=8)
    calls = iter(range(100))

    def evaluate(model: BERT4Rec) -> float:
        return float(model.score(ask([1]))[0, 2])

    def breaks(model: BERT4Rec) -> float:
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
    with pytest.raises(RecbenchError) as error:
        BERT4RecParams(dim=64, heads=3)
    assert str(error.value) == "BERT4RecParams: heads must divide dim=64; given 3"
    with pytest.raises(RecbenchError, match="mask_share"):
        BERT4RecParams(mask_share=0.0)


def test_loading_the_class_imports_no_torch() -> None:
    code = "import sys, recbench_sequential.bert4rec; print([m for m in %r if m in sys.modules])"
    heavy = ["torch", "pytorch_lightning", "lightning", "pandas", "scipy", "sklearn"]
    out = subprocess.run([sys.executable, "-c", code % heavy], capture_output=True, text=True, check=True).stdout
    assert out.strip() == "[]"
