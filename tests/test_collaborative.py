"""The collaborative models against dense algebra and values by hand, and on worlds in which a graph tells what events
do not.

Letters: U users, I items, Q queries, D width.
"""

from __future__ import annotations

import tomllib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from recbench import registry
from recbench.data import Interactions, Queries, Ragged
from recbench.dataset import Dataset, DatasetInfo
from recbench.errors import RecbenchError
from recbench.model import Context
from recbench.neural.choices import FitParams, LossParams, TrainParams

torch = pytest.importorskip("torch")
torch.set_num_threads(1)

from recbench_collaborative.autoencoders import AutoRec, AutoRecParams, MultVAE  # noqa: E402
from recbench_collaborative.factor_network import Factors, Features, Friends  # noqa: E402
from recbench_collaborative.factors import KGAttributes, TrustMF, TrustMFParams  # noqa: E402
from recbench_collaborative.knowledge import facts_of, friends_of, triples_of  # noqa: E402
from recbench_collaborative.lightgcn import LightGCN  # noqa: E402
from recbench_collaborative.simplex import SimpleX  # noqa: E402
from recbench_collaborative.transe import TransE  # noqa: E402

from recbench.neural.rows import UserRows, row_loss, rows_of, user_loader  # noqa: E402

CLASSES = (MultVAE, AutoRec, LightGCN, SimpleX, TransE, KGAttributes, TrustMF)
PLUGIN = Path(__file__).parents[1] / "plugins" / "collaborative"
INFO = DatasetInfo("toy", "toy", "none", "none", "here")


def dataset(user, item, n_users: int, n_items: int, **tables) -> Dataset:
    time = np.zeros(len(user), np.int64)
    log = Interactions.sorted(np.array(user), np.array(item), time, n_users=n_users, n_items=n_items)
    return Dataset(INFO, log, np.arange(n_users), np.arange(n_items), **tables)


def ask(histories: list, n_items: int, users: list | None = None) -> Queries:
    items, n = Ragged.from_rows(histories), len(histories)
    zeros = Ragged(np.zeros(len(items.values), np.int64), items.start, items.stop)
    user = np.arange(n) if users is None else np.array(users)
    return Queries(
        user.astype(np.int32), np.zeros(n, np.int64), items, zeros, zeros, zeros, np.ones(n_items, bool), True
    )


def fitted(cls, data: Dataset, seed: int = 1, **params):
    model = cls(cls.Params(**{**cls.small, **params}))
    model.fit(data, Context(seed=seed))
    return model


# user 0: items 0 (twice) and 1; user 1: nothing; user 2: items 1, 2 and 3; item 4: nobody
HAND = dataset([0, 2, 0, 0, 2, 2], [1, 2, 0, 0, 1, 3], 3, 5)


@pytest.fixture(scope="module")
def drawn() -> Dataset:
    rng = np.random.default_rng(5)
    return dataset(rng.integers(0, 30, 200), np.minimum(rng.geometric(0.15, 200) - 1, 17), 31, 20)


def dense(data: Dataset):
    matrix_UI = torch.zeros(data.n_users, data.n_items, dtype=torch.float64)
    matrix_UI[data.interactions.user.tolist(), data.interactions.item.tolist()] = 1
    return matrix_UI


def all_rows(data: Dataset):
    rows = UserRows(data.interactions)
    return rows[np.arange(len(rows))]


@pytest.mark.parametrize("cls", CLASSES)
def test_the_entry_points_name_the_classes(cls):
    points = tomllib.loads((PLUGIN / "pyproject.toml").read_text())["project"]["entry-points"]["recbench.model"]
    (name,) = [name for name, where in points.items() if where.endswith(f":{cls.__name__}")]
    assert registry.find("model", name).load() is cls and len(points) == len(CLASSES)


def test_rows_hold_each_item_once_and_leave_out_users_without_events():
    batch = all_rows(HAND)
    assert [column.tolist() for column in batch[:3]] == [[0, 2], [0, 2], [0, 1, 1, 2, 3]]
    assert batch.value_P is None
    assert batch.counts_B.tolist() == [2, 3] and batch.row_P.tolist() == [0, 0, 1, 1, 1]
    asked = rows_of(ask([[3, 1, 3], [], [0]], 5, [7, 8, 9]))
    assert [column.tolist() for column in asked[:3]] == [[7, 8, 9], [0, 2, 2], [1, 3, 0]]
    assert asked.counts_B.tolist() == [2, 0, 1]


def test_batches_are_all_users_in_an_order_by_seed_and_epoch_from_where_they_were_left(drawn):
    def users(epoch: int, skip: int = 0, seed: int = 3) -> list[list[int]]:
        batches = user_loader(drawn.interactions, 8, seed, Context().team)
        batches.sampler.set_epoch(epoch)
        batches.sampler.skip = skip
        return [batch.user_B.tolist() for batch in batches]

    known = np.unique(drawn.interactions.user).tolist()
    assert sorted(np.concatenate(users(0)).tolist()) == known and users(0) == users(0)
    assert users(0) != users(1) and users(0) != users(0, seed=4)
    assert users(1, skip=2) == users(1)[2:] and len(users(0)) == -(-len(known) // 8)


@pytest.mark.parametrize("loss", ["softmax", "bpr"])
def test_all_items_of_a_user_are_targets_of_its_state(drawn, loss):
    """Against each pair apart, and against the dense multinomial likelihood where the loss is softmax."""
    params = AutoRecParams(hidden=6, dropout=0.0, loss=loss, negatives=3, temperature=0.7)
    network = AutoRec(params).network(drawn)
    batch = all_rows(drawn)
    torch.manual_seed(0)
    loss = row_loss(network.read(batch), batch, network, params, None)
    got = torch.autograd.grad(loss, [network.first.weight, network.items.weight, network.item_bias])
    x_UI = dense(drawn).float()[batch.user_B]
    first_BH = torch.sigmoid(x_UI / x_UI.sum(1, keepdim=True).sqrt() @ network.first.weight + network.first_bias)
    logits_BI = (first_BH @ network.items.weight.T + network.item_bias) / 0.7
    if params.loss == "softmax":
        expected = -(x_UI * logits_BI.log_softmax(1)).sum() / x_UI.sum()
    else:
        torch.manual_seed(0)
        drawn_PM = torch.randint(19, (len(batch.item_P), 3))
        drawn_PM += drawn_PM >= batch.item_P[:, None]
        logits_PI = logits_BI[batch.row_P]
        margin_PM = logits_PI.gather(1, batch.item_P[:, None]) - logits_PI.gather(1, drawn_PM)
        expected = -torch.nn.functional.logsigmoid(margin_PM).mean()
    torch.testing.assert_close(loss, expected)
    want = torch.autograd.grad(expected, [network.first.weight, network.items.weight, network.item_bias])
    for one, two in zip(got, want, strict=True):
        torch.testing.assert_close(one, two, atol=1e-6, rtol=1e-4)


@pytest.mark.parametrize("cls", [AutoRec, LightGCN, SimpleX, TrustMF])
def test_shares_of_a_batch_add_up_to_it(drawn, cls):
    """As processes of a team have them; one of them may be empty."""
    names = {"dropout": 0.0} if cls is not LightGCN else {}
    model = cls(cls.Params(**{**cls.small, **names, "negatives": 99}))
    network, data = model.network(drawn), UserRows(drawn.interactions)
    order = np.arange(len(data))
    whole, n = network.loss(data[order], model.params, None)
    shares = [network.loss(data[rows], model.params, None) for rows in (order[::2], order[1::2], order[:0])]
    assert sum(n for _, n in shares) == n
    torch.testing.assert_close(sum(loss * n for loss, n in shares) / n, whole)
    shares[2][0].backward()


@pytest.mark.parametrize("anneal_steps", [0, 4])
def test_mult_vae_equals_its_formula_on_the_dense_matrix(drawn, anneal_steps):
    model = MultVAE(MultVAE.Params(hidden=7, latent=3, dropout=0.0, kl=0.5, anneal_steps=anneal_steps))
    network = model.network(drawn)
    batch = all_rows(drawn)
    for step in range(1, 6):
        torch.manual_seed(step)
        loss, n_users = network.loss(batch, model.params, None)
        torch.manual_seed(step)
        x_UI = dense(drawn).float()[batch.user_B]
        hidden = torch.tanh(torch.nn.functional.normalize(x_UI, dim=1) @ network.first.weight + network.first_bias)
        mean, log_var = torch.split(network.moments(hidden), 3, dim=1)
        state = torch.tanh(network.decode(mean + torch.exp(log_var / 2) * torch.randn_like(mean)))
        logits_BI = state @ network.items.weight.T + network.item_bias
        likelihood = -(x_UI * torch.log_softmax(logits_BI, 1)).sum(1)
        prior, own = torch.distributions.Normal(0.0, 1.0), torch.distributions.Normal(mean, torch.exp(log_var / 2))
        divergence = torch.distributions.kl_divergence(own, prior).sum(1)
        weight = 0.5 if not anneal_steps else 0.5 * min(1, step / 4)
        torch.testing.assert_close(loss, (likelihood + weight * divergence).mean())
        assert n_users == len(batch.user_B)


@pytest.mark.parametrize("layers", [1, 3])
def test_lightgcn_equals_dense_propagation(drawn, layers):
    """Values and gradients; the state of a user with the history that it was trained on is its propagated vector."""
    network = LightGCN(LightGCN.Params(dim=5, layers=layers)).network(drawn).double()
    n_users, n_items = drawn.n_users, drawn.n_items
    adjacency = torch.zeros(n_users + n_items, n_users + n_items, dtype=torch.float64)
    adjacency[:n_users, n_users:] = dense(drawn)
    adjacency += adjacency.T.clone()
    degree = adjacency.sum(1)
    scale = torch.where(degree > 0, degree.clamp(min=1) ** -0.5, 0.0)
    spread = scale[:, None] * adjacency * scale
    vectors = [torch.cat([network.users.table.weight, network.items.weight])]
    for _ in range(layers):
        vectors.append(spread @ vectors[-1])
    expected = torch.stack(vectors).mean(0)
    batch = all_rows(drawn)
    torch.testing.assert_close(network.item_vectors(), expected[n_users:], atol=1e-7, rtol=1e-5)
    torch.testing.assert_close(network.read(batch), expected[batch.user_B], atol=1e-7, rtol=1e-5)
    weights = [network.users.table.weight, network.items.weight]
    got = torch.autograd.grad((network.read(batch) @ network.item_vectors().T).square().sum(), weights)
    want = torch.autograd.grad((expected[batch.user_B] @ expected[n_users:].T).square().sum(), weights)
    for one, two in zip(got, want, strict=True):
        torch.testing.assert_close(one, two, atol=1e-6, rtol=1e-5)


def test_simplex_by_hand():
    """Users (1, 0) and (0, 1) of items that lie on axes: cosines 1, 0 and -1."""
    model = SimpleX(SimpleX.Params(dim=2, margin=-0.5, negative_weight=8.0, negatives=99, own_share=1.0))
    network = model.network(HAND)
    with torch.no_grad():
        network.users.table.weight.copy_(torch.tensor([[3.0, 0], [0, 0], [0, 2]]))
        network.items.weight.copy_(torch.tensor([[2.0, 0], [0, 5], [0, 1], [-1, 0], [1, 0]]))
    # user 0: items at cosines 1, 0; all: 1 0 0 -1 1 over the margin by 1.5 .5 .5 0 1.5, mean .8
    # user 2: items at cosines 1, 1, 0; all: 0 1 1 0 0 by .5 1.5 1.5 .5 .5, mean .9
    loss, n = network.loss(all_rows(HAND), model.params, None)
    assert n == 5 and loss.item() == pytest.approx((0 + 1 + 0 + 0 + 1 + 8 * (2 * 0.8 + 3 * 0.9)) / 5)


def test_transe_scores_and_loss_by_hand():
    model = TransE(TransE.Params(dim=2, use_graph=False))
    model.n_items = 5
    model.net = network = model.network(HAND)
    items = torch.tensor([[1.0, 0], [0, 1], [2, 2], [3, 0], [0, 0]])
    with torch.no_grad():
        network.users.table.weight.copy_(torch.tensor([[0.0, 1], [0, 0], [1, 0]]))
        network.items.weight.copy_(items)
        network.meets.copy_(torch.tensor([[1.0, 0]]))
    # user 0 stands at (1, 1); user 1, unknown, at the mean (1.5, 0) of items 3 and 4, or without history at (1, 0)
    points = torch.tensor([[1.0, 1], [1.5, 0], [1, 0], [1.5, 0]])
    network.eval()
    got = model.score(ask([[4], [3, 4, 3], [], [3, 4]], 5, [0, 1, 1, 77]))
    np.testing.assert_allclose(got, -(points[:, None] - items).square().sum(2), atol=1e-5)
    network.train()
    distance = torch.tensor(
        [[1.0, 1, 2, 5, 2], [1, 5, 4, 1, 4]]
    )  # of the items from (1, 1), and from (2, 0) for user 2
    likelihood = torch.log_softmax(-distance, 1)
    expected = -(likelihood[0, 0] + likelihood[0, 1] + likelihood[1, 1] + likelihood[1, 2] + likelihood[1, 3]) / 5
    torch.testing.assert_close(network.loss(all_rows(HAND), model.params, None)[0], expected)


def test_transe_triples_equal_their_formula():
    data = with_knowledge(HAND)
    model = TransE(TransE.Params(dim=3, triples=6, triple_negatives=4, temperature=0.5))
    network = model.network(data)
    torch.manual_seed(2)
    loss = network.triple_loss(model.params)
    torch.manual_seed(2)
    graph = triples_of(data)
    drawn_T, drawn_M = torch.randint(len(graph.head), (6,)), torch.randint(graph.n_nodes, (4,))
    nodes = torch.cat([network.items.weight, network.others.weight])
    total = 0.0
    for t in drawn_T:
        head, tail, step = nodes[graph.head[t]], nodes[graph.tail[t]], network.relations.weight[graph.relation[t]]
        for start, end in ((head + step, tail), (tail - step, head)):
            distance = torch.stack([(start - other).square().sum() for other in (end, *nodes[drawn_M])])
            total = total - torch.log_softmax(-distance / 0.5, 0)[0] / 12
    torch.testing.assert_close(loss, total)


def with_knowledge(data: Dataset) -> Dataset:
    """Items 0 and 3 are one entity, item 1 another; items 2 and 4 are not in the graph."""
    triples = [("m1", "by", "ann"), ("m2", "by", "ann"), ("m2", "by", "bob"), ("zoe", "in", "m1"), ("m1", "by", "ann")]
    knowledge = pd.DataFrame(triples, columns=["head", "relation", "tail"])
    return replace(data, knowledge=knowledge, items=pd.DataFrame({"entity": ["m1", "m2", None, "m1", None]}))


def test_the_graph_by_hand():
    graph = triples_of(with_knowledge(HAND))  # nodes: five items, ann 5, bob 6, zoe 7; relations: by 0, in 1
    assert list(zip(*map(list, graph[:3]), strict=True)) == [
        (0, 0, 5),
        (1, 0, 5),
        (1, 0, 6),
        (3, 0, 5),
        (7, 1, 0),
        (7, 1, 3),
    ]
    assert graph[3:] == (8, 2)
    facts = facts_of(with_knowledge(HAND))  # by ann: items 0, 1, 3; zoe in: 0, 3; by bob is item 1's alone
    assert facts.start.tolist() == [0, 2, 3, 3, 5] and facts.fact.tolist() == [0, 1, 0, 0, 1] and facts.n_facts == 2
    assert triples_of(HAND)[3:] == (5, 0) and facts_of(HAND).n_facts == 0
    social = pd.DataFrame({"user": [0, 2, 9, 1], "friend": [2, 0, 1, 1]})
    assert [list(side) for side in friends_of(replace(HAND, social=social))] == [[0, 2], [2, 0]]


def test_facts_are_added_to_what_is_read_and_what_is_compared():
    params = KGAttributes.Params(dim=3, dropout=0.0)
    facts = facts_of(with_knowledge(HAND))
    network = Factors(5, params, features=Features(5, 2, 5, 3, facts))
    has_IF = torch.tensor([[1.0, 1], [1, 0], [0, 0], [1, 1], [0, 0]])
    has_IF = has_IF / has_IF.sum(1, keepdim=True).clamp(min=1).sqrt()
    compared_ID = network.items.weight + has_IF @ network.features.compared.weight
    read_ID = network.reads_items.weight + has_IF @ network.features.read.weight
    torch.testing.assert_close(network.item_vectors(), compared_ID)
    torch.testing.assert_close(network.item_vectors(torch.tensor([3, 1])), compared_ID[[3, 1]])
    state_BD = network.read(all_rows(HAND))
    torch.testing.assert_close(state_BD[0], (read_ID[0] + read_ID[1]) / 2**0.5)
    on_way_back_ID = torch.arange(15.0).view(5, 3)
    (gradient_FD,) = torch.autograd.grad(network.item_vectors(), network.features.compared.weight, on_way_back_ID)
    torch.testing.assert_close(gradient_FD, has_IF.T @ on_way_back_ID)


def test_items_that_nobody_met_are_moved_by_the_graph_alone():
    """Item 5 has no event. Its own vector and its bias would learn, as everybody's negative, to undo what its facts say."""
    pairs = [(user, item) for user in range(12) for item in range(5) if (user + item) % 3]
    items = pd.DataFrame({"entity": [f"item{i}" for i in range(6)]})
    knowledge = pd.DataFrame({"head": items["entity"], "relation": "is", "tail": ["a", "b", "a", "b", "a", "b"]})
    data = dataset(*zip(*pairs, strict=True), 12, 6, items=items, knowledge=knowledge)
    model = fitted(KGAttributes, data, epochs=3)
    assert not model.net.items.weight[5].any() and not model.net.reads_items.weight[5].any()
    assert model.net.items.weight[:5].any(1).all() and model.net.features.compared.weight.any()
    torch.testing.assert_close(model.net.item_bias[5], (model.item_shares(data)[5] * 6).log())
    shrunk = {}  # by the decay of the weights alone, or turned
    for graph in (False, True):
        one, more = (fitted(TransE, data, epochs=n, use_graph=graph).net.items.weight for n in (1, 4))
        shrunk[graph] = torch.cosine_similarity(one, more).isclose(torch.ones(6), atol=1e-5).tolist()
    assert shrunk == {False: [False] * 5 + [True], True: [False] * 6}


def test_the_pull_of_friends_by_hand():
    """Friends 0-1, 0-2 and 2-3; asked for users 0 and 3, and for 4, who has none: value, and gradient by each
    vector."""
    friends = Friends(5, 6, (np.array([0, 0, 1, 2, 2, 3]), np.array([1, 2, 0, 0, 3, 2])))
    table = torch.tensor([[1.0, 0], [0, 0], [4, 4], [4, 1], [9, 9]], requires_grad=True)
    pull = friends(torch.tensor([0, 3, 4]), table)
    # user 0: (1 + 25) / 2; user 3: 9; user 4: 0; half the mean over three
    assert pull.item() == pytest.approx((13 + 9) / 6)
    (gradient,) = torch.autograd.grad(pull, table)
    # d/dp_0 = ((p_0 - p_1) + (p_0 - p_2)) / 2 / 3, d/dp_3 = (p_3 - p_2) / 3; their friends get the opposite parts
    expected = torch.tensor([[-2.0, -4], [-1, 0], [3, 10], [0, -6], [0, 0]]) / 6
    torch.testing.assert_close(gradient, expected)


def test_the_pull_is_added_with_its_weight():
    social = pd.DataFrame({"user": [0], "friend": [2]})
    data = replace(HAND, social=social)
    losses = {}
    for pull, use_graph in ((0.5, True), (2.0, True), (2.0, False)):
        torch.manual_seed(0)
        model = TrustMF(TrustMFParams(dim=4, dropout=0.0, pull=pull, use_graph=use_graph))
        network = model.network(data)
        losses[pull, use_graph] = network.loss(all_rows(data), model.params, None)[0]
    apart = (network.users.table.weight[0] - network.users.table.weight[2]).square().sum() / 2
    torch.testing.assert_close(losses[0.5, True] - losses[2.0, False], 0.5 * apart)
    torch.testing.assert_close(losses[2.0, True] - losses[2.0, False], 2.0 * apart)


def test_a_training_in_pieces_ends_as_an_unbroken_one(drawn, tmp_path):
    """Stopped after each of its first steps, in the midst of epochs; what is drawn and the annealing go on too."""
    params = MultVAE.Params(hidden=8, latent=4, batch_size=8, epochs=3, anneal_steps=10)
    whole, parts = MultVAE(params), MultVAE(params)
    whole.fit(drawn, Context(seed=4))
    for _ in range(6):
        parts.fit(drawn, Context(seed=4, folder=tmp_path, resume=True, max_minutes=0))
        assert parts.stopped_by == "max_minutes"
    parts.fit(drawn, Context(seed=4, folder=tmp_path, resume=True))
    queries = ask([[1, 2], []], 20)
    assert np.array_equal(whole.score(queries), parts.score(queries))
    assert [loss for _, _, loss in whole.curve] == [loss for _, _, loss in parts.curve]
    assert int(whole.net.n_steps) == int(parts.net.n_steps) == 12


@pytest.mark.parametrize("cls", [LightGCN, TrustMF, SimpleX, TransE])
def test_unknown_users_are_answered_by_their_history(cls, drawn):
    """A user without events in training, and one whose number the training data does not have, are answered alike."""
    model = fitted(cls, drawn, epochs=2)
    scores = model.score(ask([[1, 2]] * 3, 20, [30, 10**6, 0]))
    assert np.isfinite(scores).all()
    np.testing.assert_allclose(scores[0], scores[1], atol=1e-6)
    assert not np.allclose(scores[0], scores[2])


def above(scores_Q, right_Q, wrong_Q) -> float:
    """How often a right item stands above a wrong one."""
    return float((scores_Q[right_Q][:, None] > scores_Q[wrong_Q][None]).mean())


@pytest.mark.parametrize("cls", [KGAttributes, TransE])
def test_a_graph_of_items_tells_what_events_do_not(cls):
    """Four tastes; the last two of the eight items of each were never met, and the graph alone names their kind."""
    rng = np.random.default_rng(0)
    kind_I, met_I = np.arange(32) % 4, np.arange(32) < 24
    pairs = [
        (user, item) for user in range(80) for item in rng.permutation(np.flatnonzero((kind_I == user % 4) & met_I))[:4]
    ]
    items = pd.DataFrame({"entity": [f"item{i}" for i in range(32)]})
    knowledge = pd.DataFrame({"head": items["entity"], "relation": "is", "tail": [f"kind{k}" for k in kind_I]})
    data = dataset(*zip(*pairs, strict=True), 80, 32, items=items, knowledge=knowledge)
    queries = ask([[kind, kind + 4, kind + 8] for kind in range(4)], 32, [999] * 4)

    def skill(**params) -> float:
        scores_QI = fitted(cls, data, epochs=20, **params).score(queries)
        return np.mean([above(scores_QI[k], (kind_I == k) & ~met_I, (kind_I != k) & ~met_I) for k in range(4)])

    told, untold = skill(), skill(use_graph=False)
    assert told > 0.95 and told - untold > 0.2, (told, untold)


def test_friends_tell_what_a_user_without_events_likes():
    """Two tastes; a quarter of the users have no event, and friends of one taste alone."""
    user = np.arange(40)
    pairs = [(u, 2 * ((u // 2 + step) % 8) + u % 2) for u in user[:30] for step in range(4)]
    edges = [(u, v) for u in user for v in user[:30] if u % 2 == v % 2 and (u + v) % 3 == 0]
    social = pd.DataFrame(edges, columns=["user", "friend"])
    data = dataset(*zip(*pairs, strict=True), 40, 16, social=social)
    queries = ask([[]] * 10, 16, list(range(30, 40)))

    def skill(**params) -> float:
        scores_QI = fitted(TrustMF, data, epochs=40, **params).score(queries)
        return np.mean([above(scores_QI[q], np.arange(16) % 2 == q % 2, np.arange(16) % 2 != q % 2) for q in range(10)])

    told, untold = skill(), skill(use_graph=False)
    assert told > 0.95 and untold == pytest.approx(0.5, abs=0.1), (told, untold)


def test_parameters_come_in_three_layers():
    assert issubclass(TrainParams, LossParams) and issubclass(LossParams, FitParams)
    assert not hasattr(FitParams(), "loss") and not hasattr(LossParams(), "max_length")
    for cls in (FitParams, AutoRecParams):
        with pytest.raises(RecbenchError, match="plateau_patience=9 never acts"):
            cls(schedule="plateau", plateau_patience=9, patience=9)
    with pytest.raises(RecbenchError, match=r"label_smoothing=0\.1 has no meaning with loss=bpr"):
        AutoRecParams(loss="bpr", label_smoothing=0.1)


@pytest.mark.parametrize("cls", CLASSES)
def test_an_empty_log_leaves_a_model_that_answers(cls):
    nothing = dataset(np.empty(0, int), np.empty(0, int), 2, 3)
    assert np.isfinite(fitted(cls, nothing).score(ask([[], [1]], 3))).all()
