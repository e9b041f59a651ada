"""Semantic ids: codes against plainer ways, the tree of ids, the beam against all items tried one by one, and the counts."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recbench.data import Interactions, Queries, Ragged
from recbench.dataset import Dataset, DatasetInfo
from recbench.errors import RecbenchError
from recbench.model import Context
from recbench.testing import checks

torch = pytest.importorskip("torch")
torch.set_num_threads(1)

from recbench_language.semantic.beam import filled, search  # noqa: E402
from recbench_language.semantic.codes import history_vectors, residual_codes, told_of, with_digit  # noqa: E402
from recbench_language.semantic.network import CodeTransformer  # noqa: E402
from recbench_language.semantic.semantic_id import SemanticId, SemanticIdParams, repeated  # noqa: E402
from recbench_language.semantic.trie import Trie  # noqa: E402

from recbench.neural.batches import Windows, question  # noqa: E402

ITEMS, WIDTH = 9, 4
SHAPE = {"encoder": "hashed-words", "codes": 3, "levels": 2, "dim": 8, "heads": 2, "max_length": 6, "dropout": 0.0}


@checks(SemanticId)
def test_contract(check):
    check()


# Codes


def test_residual_codes_are_the_nearest_centres_of_what_is_left():
    rng = np.random.default_rng(0)
    points_IV, all_I = rng.normal(size=(40, 3)), np.ones(40, bool)
    codes_IS = residual_codes(points_IV, 3, 5, 1, all_I)
    assert codes_IS.shape == (40, 3) and codes_IS.min() == 0 and codes_IS.max() == 4
    rest_IV = points_IV.copy()
    for code_I in codes_IS.T:
        centre_CV = np.array([rest_IV[code_I == c].mean(0) for c in range(5)])
        distance_IC = np.linalg.norm(rest_IV[:, None] - centre_CV, axis=2)
        assert (distance_IC.argmin(1) == code_I).all(), "an item stands nearer to another centre"
        before, rest_IV = np.sum(rest_IV**2), rest_IV - centre_CV[code_I]
        assert np.sum(rest_IV**2) < before


def test_where_there_are_codes_enough_the_first_level_says_all():
    points_IV = np.repeat(np.eye(4) * 3.7, 3, axis=0)
    codes_IS = residual_codes(points_IV, 3, 8, 0, np.ones(12, bool))
    assert len(set(codes_IS[:, 0])) == 4 and all(len(set(codes_IS[at : at + 3, 0])) == 1 for at in range(0, 12, 3))
    assert (codes_IS[:, 1:] == 0).all(), "nothing is left for the later levels"


def test_codes_are_those_of_the_seed_and_are_fitted_on_the_items_named():
    rng = np.random.default_rng(3)
    points_IV = rng.normal(size=(30, 4))
    fitted_I = np.arange(30) < 20
    codes_IS = residual_codes(points_IV, 2, 4, 7, fitted_I)
    assert np.array_equal(codes_IS, residual_codes(points_IV, 2, 4, 7, fitted_I))
    moved_IV = np.where(fitted_I[:, None], points_IV, 50 + points_IV)
    assert np.array_equal(codes_IS[:20], residual_codes(moved_IV, 2, 4, 7, fitted_I)[:20])
    assert (residual_codes(points_IV, 2, 4, 7, np.zeros(30, bool)) == 0).all()


def test_the_last_digit_counts_items_of_equal_codes_the_most_met_first():
    codes_IS = np.array([[1, 0], [0, 2], [1, 0], [1, 0], [0, 1]])
    with_IS = with_digit(codes_IS, np.array([2, 1, 5, 2, 0]))
    assert with_IS.tolist() == [[1, 0, 1], [0, 2, 0], [1, 0, 0], [1, 0, 2], [0, 1, 0]]
    assert told_of(with_IS) == {"used": [2, 3], "collisions": 0.6, "largest_group": 3}


def test_history_vectors_are_the_singular_vectors_of_who_met_what():
    user, item = np.array([0, 0, 1, 1, 2, 2, 2, 3]), np.array([0, 1, 0, 1, 2, 3, 2, 4])
    log = Interactions.sorted(user, item, np.arange(8), n_users=4, n_items=6)
    met_IU = np.zeros((6, 4))
    met_IU[item, user] = 1
    left, value, _ = np.linalg.svd(met_IU / np.sqrt(np.maximum(1, np.outer(met_IU.sum(1), met_IU.sum(0)))))
    vectors_ID = left[:, :3] * value[:3]
    vectors_ID[:5] -= vectors_ID[:5].mean(0)
    vectors_ID /= np.sqrt((vectors_ID[:5] ** 2).sum(1).mean())
    found_ID = history_vectors(log, 3, 0)
    np.testing.assert_allclose(found_ID[:5] @ found_ID[:5].T, vectors_ID[:5] @ vectors_ID[:5].T, atol=1e-5)
    assert (found_ID[5] == 0).all() and history_vectors(log, 99, 0).shape == (6, 4)


# The tree


@given(st.lists(st.tuples(*[st.integers(0, 3)] * 2), min_size=1, max_size=12), st.data())
def test_the_trie_admits_the_items_and_nothing_else(codes, data):
    codes_IS = with_digit(np.array(codes), np.zeros(len(codes)))
    assert len({tuple(row) for row in codes_IS.tolist()}) == len(codes)
    sizes = [4, 4, int(codes_IS[:, -1].max()) + 1]
    trie = Trie(torch.from_numpy(codes_IS), sizes)
    some = st.lists(st.booleans(), min_size=len(codes), max_size=len(codes))
    closed_QI = np.array(data.draw(st.lists(some, min_size=1, max_size=3)))
    opened = trie.open_nodes(torch.from_numpy(closed_QI))
    found = {}
    for digits in np.ndindex(*sizes):
        node, reached = 0, True
        for s, digit in enumerate(digits):
            branch = (trie.code[s][node] == digit).nonzero().flatten().tolist()
            begins = (codes_IS[:, : s + 1] == digits[: s + 1]).all(1)
            assert len(branch) == begins.any()
            if not branch:
                reached = False
                break
            node = int(trie.child[s][node, branch[0]])
            assert (trie.branch_IS[begins, s] == branch[0]).all()
            assert (trie.node_IS[:, s].numpy() == node).tolist() == begins.tolist()
            assert opened[s][:, node].tolist() == (begins & ~closed_QI).any(1).tolist()
        if reached:
            found[digits] = int(trie.item_I[node])
    assert found == {tuple(row): item for item, row in enumerate(codes_IS.tolist())}


# The network and the beam


def network(seed: int = 0, **params: object) -> tuple[CodeTransformer, SemanticIdParams]:
    """One that is not trained but has opinions: nine items with three pairs of equal codes."""
    chosen = SemanticIdParams(**{**SHAPE, **params})
    codes = np.array([[0, 0], [0, 0], [0, 1], [1, 2], [1, 2], [2, 0], [2, 0], [2, 1], [1, 0]])
    codes_IS = with_digit(codes, np.zeros(ITEMS))
    torch.manual_seed(seed)
    met_I = torch.arange(ITEMS) < 7
    net = CodeTransformer(torch.from_numpy(codes_IS), torch.randn(ITEMS, WIDTH), met_I, [3, 3, 2], chosen)
    with torch.no_grad():
        for weight in net.parameters():
            weight.copy_(torch.randn(weight.shape) * 0.3)
    return net.eval(), chosen


def ask(*histories: list[int], candidates: list[int] | None = None, seen: bool = True) -> Queries:
    rows, n = Ragged.from_rows([list(history) for history in histories]), len(histories)
    allowed = np.isin(np.arange(ITEMS), range(ITEMS) if candidates is None else candidates)
    return Queries(np.zeros(n, np.int32), np.zeros(n, np.int64), rows, rows, rows, rows, allowed, seen)


def log_of_items(net: CodeTransformer, history: list[int]) -> np.ndarray:
    """(I,) log-probabilities, each id fed in whole, each digit compared with those that ids go on with."""
    codes = net.codes_IS.tolist()
    memory = net.remember(question(ask(history), 6))
    state_D, n_events = memory.states_BLD[0, len(history)], len(history)
    seen = (memory.event_T <= n_events)[None, None, None]
    out = []
    for item in range(ITEMS):
        told = [net.told(s, state_D, net.codes_IS[item, s - 1] if s else None) for s in range(3)]
        written_SD = net.decode(torch.stack(told)[None, None], None, memory.keys, seen)[0][0, 0]
        total = 0.0
        for s in range(3):
            rows = slice(net.starts[s], net.starts[s] + net.sizes[s])
            logits_C = (net.table.weight[rows] @ written_SD[s] + net.bias[rows]).tolist()
            goes_on = sorted({code[s] for code in codes if code[:s] == codes[item][:s]})
            total += logits_C[codes[item][s]] - np.log(sum(np.exp(logits_C[c]) for c in goes_on))
        out.append(total)
    return np.array(out)


@pytest.mark.parametrize("read", ["items", "tokens"])
@pytest.mark.parametrize("blocks", [1, 2])
def test_a_beam_of_full_width_ranks_all_items_by_their_probability(read, blocks):
    net, _ = network(1, read=read, blocks=blocks)
    for history in ([], [3], [5, 1, 8, 0]):
        with torch.no_grad():
            log_I = log_of_items(net, history)
        assert np.exp(log_I).sum() == pytest.approx(1, abs=1e-5)
        nothing_QI = torch.zeros(1, ITEMS, dtype=torch.bool)
        written = search(net, question(ask(history), 6), nothing_QI, ITEMS, ITEMS)
        order = np.argsort(-log_I)
        assert written.items_QB[0].tolist() == order.tolist()
        np.testing.assert_allclose(written.total_QB[0], log_I[order], atol=1e-5)
        assert torch.equal(net.codes_IS[written.items_QB], written.digits_QBS)
        some = written.items_QB[0, ::2]
        closed = search(net, question(ask(history), 6), nothing_QI.scatter(1, some[None], True), ITEMS, ITEMS)
        real_B = closed.total_QB[0] > -torch.inf
        assert closed.items_QB[0, real_B].tolist() == written.items_QB[0, 1::2].tolist()


def test_a_beam_of_one_is_greedy():
    differ = 0
    for seed in range(20):
        net, _ = network(seed)
        written = search(net, question(ask([2, 4]), 6), torch.zeros(1, ITEMS, dtype=torch.bool), 1, 1)
        with torch.no_grad():
            log_I = log_of_items(net, [2, 4])
        left = list(range(ITEMS))
        for s in range(3):
            mass = {}
            for item in left:
                code = net.codes_IS[item, s].item()
                mass[code] = mass.get(code, 0.0) + np.exp(log_I[item])
            left = [item for item in left if net.codes_IS[item, s].item() == max(mass, key=mass.get)]
        assert written.items_QB.tolist() == [left]
        differ += left[0] != log_I.argmax()
    assert differ, "no case in which the greedy item is not the most probable one"


@pytest.mark.parametrize("read", ["items", "tokens"])
def test_training_compares_what_the_search_compares(read):
    net, params = network(2, read=read, dense_weight=0.0, dense="off")
    log = Interactions.sorted(
        np.zeros(5, int), np.array([3, 0, 7, 7, 2]), np.array([0, 1, 2, 2, 3]), n_users=1, n_items=ITEMS
    )
    batch = Windows(log, 6, new_only=False)[np.arange(1)]
    with torch.no_grad():
        loss, n = net.loss(batch, params, None)
        known = [([], 3), ([3], 0), ([3, 0], 7), ([3, 0], 7), ([3, 0, 7, 7], 2)]  # two events of one moment
        expected = -np.mean([log_of_items(net, history)[item] for history, item in known])
        nothing, n_nothing = net.loss(batch._replace(mask_BL=torch.zeros_like(batch.mask_BL)), params, None)
    assert n == 5 and float(loss) == pytest.approx(expected, abs=1e-5)
    assert (float(nothing), n_nothing) == (0.0, 0)


def test_the_dense_loss_ranks_each_target_among_items_that_were_met(monkeypatch):
    net, _ = network(3)
    drawn = torch.tensor([0, 2, 2, 6])
    monkeypatch.setattr(torch, "randint", lambda high, size, **_: drawn if (high, size) == (7, (4,)) else None)
    states_PD, target_P = torch.randn(2, 8), torch.tensor([2, 8])
    with torch.no_grad():
        loss = net.dense_loss(states_PD, target_P, 4)
        vectors_ID = torch.stack([net.table(net.rows_of(torch.tensor(i))).sum(0) for i in range(ITEMS)])
        scores_PI = net.dense_state(states_PD) @ (vectors_ID + net.dense_text(net.text_IV)).T
        among = [[0, 6, 2], [0, 2, 2, 6, 8]]
        each = [scores_PI[p][items].logsumexp(0) - scores_PI[p, target_P[p]] for p, items in enumerate(among)]
    torch.testing.assert_close(loss, torch.stack(each).mean())


def test_lists_go_on_with_the_best_of_the_other_items():
    items_QB, total_QB = torch.tensor([[4, 1, 0], [2, 0, 0]]), torch.tensor([[-1.0, -2.0, -3.0], [-1.5, -9e9, -9e9]])
    total_QB = total_QB.masked_fill(total_QB < -1e9, -torch.inf)
    rest_QI = torch.tensor([[-1.0, -1.0, -1.0, -1.0, -1.0], [-4.0, -torch.inf, -0.1, -2.0, -4.0]])
    items_QK, total_QK = filled(items_QB, total_QB, rest_QI, 2)
    assert items_QK.tolist() == [[4, 1], [2, 3]] and total_QK.tolist() == [[-1.0, -2.0], [-1.5, -3.5]]
    items_QK, total_QK = filled(items_QB, total_QB, rest_QI, 7)
    assert items_QK.tolist() == [[4, 1, 0, 2, 3, -1, -1], [2, 3, 0, 4, -1, -1, -1]]
    inf = -float("inf")
    assert total_QK.tolist() == [[-1.0, -2.0, -3.0, -4.0, -4.0, inf, inf], [-1.5, -3.5, -5.5, -5.5, inf, inf, inf]]


# The model


def shop(rng: np.random.Generator) -> Dataset:
    """Nine things in three colours; the last two are never met."""
    user = np.repeat(np.arange(12), 4)
    log = Interactions.sorted(
        user, rng.integers(ITEMS - 2, size=48), np.tile(np.arange(4), 12), n_users=12, n_items=ITEMS
    )
    items = pd.DataFrame({"text": [("red", "blue", "green")[i % 3] + " thing" for i in range(ITEMS)]})
    info = DatasetInfo("made", "test", "order", "none", "made here")
    return Dataset(info, log, np.arange(12), np.arange(ITEMS), items=items)


def fitted(**params: object) -> SemanticId:
    model = SemanticId(SemanticIdParams(**{**SHAPE, "epochs": 2, "batch_size": 4, **params}))
    model.fit(shop(np.random.default_rng(0)), Context(seed=1))
    return model


@pytest.mark.parametrize("dense", ["off", "cold", "all"])
@pytest.mark.parametrize("k", [1, 3, ITEMS + 2])
def test_masked_items_never_come_and_no_other_is_missing(dense, k):
    model = fitted(dense=dense, beam=2)
    histories = [[], [1], [0, 2, 2], [4, 3, 1, 0, 2, 6, 5, 3]]
    for seen in (True, False):
        for candidates in (None, [0, 2, 8], [3], []):
            answer = model.recommend(ask(*histories, seen=seen, candidates=candidates), k)
            assert (answer.items_QK.dtype, answer.scores_QK.dtype) == (np.int32, np.float32)
            for items, scores, history in zip(answer.items_QK, answer.scores_QK, histories, strict=True):
                allowed = set(range(ITEMS) if candidates is None else candidates) - (set() if seen else set(history))
                real = items[items >= 0]
                assert len(real) == len(set(real)) == min(k, len(allowed)) and set(real) <= allowed
                assert (scores[len(real) :] == -np.inf).all() and (np.diff(scores[: len(real)]) <= 0).all()


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_what_was_written_is_ranked_with_the_items_that_nobody_met(share):
    model = fitted(dense="cold", beam=2, dense_share=share)
    query = ask([1, 4])
    with model.answering():
        state_QD = model.net.remember(question(query, 6)).states_BLD[:, 2]
        dense_I = (model.net.asking(state_QD) @ model.net.item_vectors().T)[0].log_softmax(0).numpy()
    written = search(model.net.eval(), question(query, 6), torch.zeros(1, ITEMS, dtype=torch.bool), 2, 2)
    score_I = {item: dense_I[item] for item in (7, 8)}
    for item, total in zip(written.items_QB[0].tolist(), written.total_QB[0].tolist(), strict=True):
        score_I[item] = (1 - share) * total + share * dense_I[item] if item < 7 else dense_I[item]
    answer = model.recommend(query, len(score_I))
    assert answer.items_QK[0].tolist() == sorted(score_I, key=lambda item: -score_I[item])
    np.testing.assert_allclose(answer.scores_QK[0], sorted(score_I.values(), reverse=True), rtol=1e-4)
    model.params = replace(model.params, dense="all", dense_share=1.0)
    assert model.recommend(query, ITEMS).items_QK[0].tolist() == np.argsort(-dense_I).tolist()
    model.params = replace(model.params, dense="off")
    assert model.recommend(query, 2).items_QK.tolist() == written.items_QB.tolist()


def test_notes_tell_what_was_written_and_listed_since_the_fit():
    model = fitted(dense="off", beam=2, signal="text")
    assert set(model.notes) == {"language", "codes"}
    assert model.notes["codes"] == {"used": [3, 1], "collisions": 1.0, "largest_group": 3}
    model.recommend(ask([1], [2, 0]), 2)
    model.recommend(ask([], candidates=[5]), 2)
    told = {name: model.notes[name] for name in ("written", "invalid", "duplicates")}
    assert told == {"written": 5, "invalid": 0.0, "duplicates": 0.0} and json.dumps(dict(model.notes))
    model.net.trie.item_I = model.net.trie.item_I.roll(1)  # no id leads to its item any more
    model.recommend(ask([1], [2], [3], [4], [5]), 2)
    assert (model.notes["written"], model.notes["invalid"]) == (15, 10 / 15)
    assert repeated(np.array([[3, 1, 3, 3], [-1, -1, 2, 1]])) == 2


def test_a_saved_model_answers_alike(tmp_path: Path):
    model, query = fitted(read="tokens"), ask([1, 4], [], [0, 3, 6])
    before = model.recommend(query, 5)
    model.save(tmp_path)
    loaded = SemanticId.load(tmp_path)
    after = loaded.recommend(query, 5)
    assert np.array_equal(before.items_QK, after.items_QK) and np.array_equal(before.scores_QK, after.scores_QK)
    assert loaded.notes == model.notes and not list(tmp_path.glob("*.pkl"))


@pytest.mark.parametrize("signal", ["text", "history"])
def test_ids_are_made_of_the_signal_alone(signal):
    data = shop(np.random.default_rng(0))
    model = SemanticId(SemanticIdParams(**SHAPE, signal=signal))
    codes_IS = model._described(data, Context(seed=1)).codes_IS
    others = replace(data, items=data.items.assign(text=data.items["text"].iloc[::-1].to_numpy()))
    if signal == "text":
        assert all(np.array_equal(codes_IS[i, :-1], codes_IS[i % 3, :-1]) for i in range(ITEMS))
        others = replace(data, interactions=shop(np.random.default_rng(5)).interactions)
    again_IS = model._described(others, Context(seed=1)).codes_IS
    assert np.array_equal(codes_IS[:, :-1], again_IS[:, :-1])


def test_parameters_that_contradict_each_other_are_refused():
    with pytest.raises(RecbenchError, match=r"SemanticIdParams: heads must divide dim=10; given 3"):
        SemanticIdParams(dim=10, heads=3)
    with pytest.raises(
        RecbenchError, match=r"dense=cold ranks by what dense_weight=0 leaves unlearned; .* use dense=off"
    ):
        SemanticIdParams(dense_weight=0.0)
