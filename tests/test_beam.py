"""Beam search against searches that are written out: all lists tried one by one, and the greedy walk."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from recbench.data import Queries, Ragged
from recbench.errors import RecbenchError

torch = pytest.importorskip("torch")
torch.set_num_threads(1)

from recbench_sequential import beam  # noqa: E402
from recbench_sequential.encoder_decoder import EncoderDecoderParams  # noqa: E402
from recbench_sequential.encoder_decoder_network import TransformerPair  # noqa: E402
from recbench_sequential.seq2seq import Seq2SeqParams  # noqa: E402
from recbench_sequential.seq2seq_network import RecurrentPair  # noqa: E402

from recbench.neural.batches import question  # noqa: E402

ITEMS, STEPS = 5, 3
SHAPE = {"dim": 8, "steps": STEPS, "max_length": 6}
HISTORIES = [[], [1], [0, 2, 2], [4, 3, 1, 0, 2, 4, 1, 3]]
PAIRS = ["recurrent", "bare", "transformer"]


def pair(name: str, seed: int = 0, items: int = ITEMS, behaviors: int = 2, **params: object):
    """A network that is not trained but has opinions, and its parameters."""
    torch.manual_seed(seed)
    if name == "transformer":
        chosen = EncoderDecoderParams(**{**SHAPE, "heads": 2, **params})
        net = TransformerPair(items, behaviors, chosen)
    else:
        chosen = Seq2SeqParams(**{**SHAPE, "attention": name == "recurrent", **params})
        net = RecurrentPair(items, behaviors, chosen)
    with torch.no_grad():
        for weight in net.parameters():
            weight.copy_(torch.randn(weight.shape) * (0.7 if weight.dim() > 1 else 0.3))
    return net.eval(), chosen


def ask(*histories: list[int], steps: int = STEPS, candidates: list[int] | None = None, seen: bool = True) -> Queries:
    rows = Ragged.from_rows([list(history) for history in histories])
    behaviors = Ragged(rows.values % 2, rows.start, rows.stop)
    n, allowed = len(histories), np.ones(ITEMS, bool)
    if candidates is not None:
        allowed = np.isin(np.arange(ITEMS), candidates)
    times = np.zeros(n, np.int64)
    return Queries(np.zeros(n, np.int32), times, rows, behaviors, rows, rows, allowed, seen, steps=steps)


def logs(
    net, params, query: Queries, items: Sequence[int], behaviors: Sequence[int]
) -> tuple[np.ndarray, torch.Tensor]:
    """Log-probabilities of what follows a list that is fed in by hand, and the state."""
    memory = net.remember(question(query, params.max_length, net.reads))
    told = torch.tensor([[[ITEMS, *items]]]), torch.tensor([[[0, *behaviors]]])
    with torch.no_grad():
        state_D = net.decode(memory, *told)[0, 0, -1]
        logits_I = (net.items.weight.double() @ state_D.double() + net.item_bias.double()) / params.temperature
    return (logits_I - logits_I.logsumexp(0)).numpy(), state_D


def behavior(net, state_D: torch.Tensor, item: int) -> int:
    return int(net.behavior_head(torch.cat([state_D, net.items.weight[item]])).argmax())


def every_list(net, params, query: Queries, allowed: list[int], items=(), behaviors=(), sums=()):
    """Each list of allowed items without repeats, its behaviours and its log-probability step by step."""
    if len(items) == query.steps:
        yield list(items), list(behaviors), list(sums)
        return
    log_I, state_D = logs(net, params, query, items, behaviors)
    for item in set(allowed) - set(items):
        told, total = behavior(net, state_D, item), (sums[-1] if sums else 0.0) + float(log_I[item])
        yield from every_list(net, params, query, allowed, (*items, item), (*behaviors, told), (*sums, total))


@pytest.mark.parametrize("name", PAIRS)
@pytest.mark.parametrize(("seen", "candidates"), [(True, None), (True, [0, 1, 3, 4]), (False, None)])
def test_a_beam_of_full_width_finds_the_most_probable_of_all_lists(name, seen, candidates):
    for seed, temperature in ((1, 1.0), (2, 0.5)):
        net, params = pair(name, seed, beam=60, temperature=temperature)
        for history in HISTORIES[:3]:
            query = ask(history, seen=seen, candidates=candidates)
            allowed = [i for i in candidates or range(ITEMS) if seen or i not in history]
            items, behaviors, sums = max(every_list(net, params, query, allowed), key=lambda found: found[2][-1])
            answer = beam.search(net, params, query, STEPS)
            assert answer.items_QK.tolist() == [items] and answer.behaviors_QK.tolist() == [behaviors]
            np.testing.assert_allclose(answer.scores_QK[0], sums, atol=1e-5)


@pytest.mark.parametrize("name", PAIRS)
def test_a_beam_of_one_is_greedy_and_a_narrow_one_is_another_search(name):
    differ = 0
    for seed in range(8):
        net, params = pair(name, seed, beam=1)
        query, items, behaviors = ask([1, 4]), [], []
        for _ in range(STEPS):
            log_I, state_D = logs(net, params, query, items, behaviors)
            log_I[items] = -np.inf
            items.append(int(log_I.argmax()))
            behaviors.append(behavior(net, state_D, items[-1]))
        answer = beam.search(net, params, query, STEPS)
        assert answer.items_QK.tolist() == [items] and answer.behaviors_QK.tolist() == [behaviors]
        wide = beam.search(net, replace(params, beam=60), query, STEPS)
        assert wide.scores_QK[0, -1] >= answer.scores_QK[0, -1] - 1e-6
        differ += wide.items_QK.tolist() != [items]
    assert differ, "no case in which the greedy list is not the most probable one"


@pytest.mark.parametrize("name", PAIRS)
@pytest.mark.parametrize("k", [1, 2, STEPS, 4, ITEMS, 8])
def test_lists_hold_allowed_items_once_in_falling_scores(name, k):
    for seed in range(4):
        net, params = pair(name, seed, beam=2)
        for seen in (True, False):
            for candidates in (None, [0, 2], [3], []):
                query = ask(*HISTORIES, seen=seen, candidates=candidates)
                answer = beam.search(net, params, query, k)
                assert answer.items_QK.shape == answer.scores_QK.shape == answer.behaviors_QK.shape == (4, k)
                assert (answer.items_QK.dtype, answer.scores_QK.dtype) == (np.int32, np.float32)
                for items, scores, behaviors, history in zip(
                    answer.items_QK, answer.scores_QK, answer.behaviors_QK, HISTORIES, strict=True
                ):
                    allowed = set(range(ITEMS) if candidates is None else candidates)
                    allowed -= set() if seen else set(history)
                    real = items[items >= 0]
                    assert len(real) == len(set(real)) == min(k, len(allowed)) and set(real) <= allowed
                    assert (items[len(real) :] == -1).all() and (scores[len(real) :] == -np.inf).all()
                    assert np.isfinite(scores[: len(real)]).all() and (np.diff(scores[: len(real)]) <= 0).all()
                    assert set(behaviors[: min(STEPS, len(real))]) <= {0, 1}
                    assert (behaviors[min(STEPS, len(real)) :] == -1).all()


@pytest.mark.parametrize("name", PAIRS)
def test_behind_the_steps_stand_the_best_other_first_items(name):
    net, params = pair(name, 3)
    query = ask([0, 2, 2])
    answer = beam.search(net, params, query, ITEMS)
    first_I, _ = logs(net, params, query, [], [])
    rest = sorted(set(range(ITEMS)) - set(answer.items_QK[0, :STEPS]), key=lambda i: -first_I[i])
    assert answer.items_QK[0, STEPS:].tolist() == rest
    expected = answer.scores_QK[0, STEPS - 1] + first_I[rest]
    np.testing.assert_allclose(answer.scores_QK[0, STEPS:], expected, atol=1e-5)
    short = beam.search(net, params, query, 2)
    assert short.items_QK.tolist() == answer.items_QK[:, :2].tolist()


@pytest.mark.parametrize("name", PAIRS)
def test_a_batch_answers_as_its_rows_do_in_pieces_of_any_size(name, monkeypatch):
    net, params = pair(name, 4, beam=3)
    together = beam.search(net, params, ask(*HISTORIES), 4)
    alone = [beam.search(net, params, ask(history), 4) for history in HISTORIES]
    monkeypatch.setattr(beam, "CELLS", 1)
    pieces = beam.search(net, params, ask(*HISTORIES), 4)
    for q, one in enumerate(alone):
        for answer in (together, pieces):
            assert answer.items_QK[q].tolist() == one.items_QK[0].tolist()
            assert answer.behaviors_QK[q].tolist() == one.behaviors_QK[0].tolist()
            np.testing.assert_allclose(answer.scores_QK[q], one.scores_QK[0], atol=1e-5)


@pytest.mark.parametrize("name", PAIRS)
def test_more_steps_than_were_learned_are_generated_all_the_same(name):
    net, params = pair(name, 5, steps=2)
    answer = beam.search(net, params, ask([1], steps=4), 4)
    items = answer.items_QK[0].tolist()
    assert len(set(items)) == 4 and min(items) >= 0 and (answer.behaviors_QK >= 0).all()


def test_where_behaviours_are_not_told_apart_each_step_has_the_only_one():
    net, params = pair("transformer", 6, behaviors=1)
    assert net.reads == () and net.behavior_head is None
    assert beam.search(net, params, ask([1, 2]), 4).behaviors_QK.tolist() == [[0, 0, 0, -1]]


def test_the_network_is_left_in_the_mode_it_was_in_and_draws_no_chance():
    net, params = pair("recurrent", 7, dropout=0.5)
    net.train()
    torch.manual_seed(1)
    one, drawn = beam.search(net, params, ask([1, 2]), 3), torch.rand(3)
    torch.manual_seed(1)
    assert torch.equal(torch.rand(3), drawn) and net.training
    assert beam.search(net.eval(), params, ask([1, 2]), 3).items_QK.tolist() == one.items_QK.tolist()
    assert not net.training


def test_scores_that_are_no_numbers_are_refused():
    net, params = pair("recurrent")
    with torch.no_grad():
        net.items.weight[2] = torch.nan
    with pytest.raises(RecbenchError, match="scores hold NaN or infinity"):
        beam.search(net, params, ask([1]), 3)
