"""AutoRec of values: batches with values, its loss against a dense computation, answers by hand, a world of low rank.

Letters: U users, I items, Q questions, B users of a batch, P pairs.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from recbench.data import Interactions, Queries, Ragged
from recbench.dataset import Dataset, DatasetInfo
from recbench.errors import RecbenchError
from recbench.model import Context
from recbench.plan import Board

torch = pytest.importorskip("torch")
torch.set_num_threads(1)

from recbench_collaborative.autoencoder_networks import RatingAutoencoder, item_levels  # noqa: E402
from recbench_collaborative.autoencoders import AutoRec  # noqa: E402

from recbench.neural.rows import UserRows, pair_products, rows_of  # noqa: E402

BOARD = Board("stars", "stars", ("rmse",), "rmse", task="rating", split="random_pairs", candidates="all")
INFO = DatasetInfo("stars", "toy", "none", "none", "here")
VALUES = ("values",)


def dataset(user, item, value, n_users: int, n_items: int) -> Dataset:
    columns = (np.array(column, int) for column in (user, item, np.arange(len(user))))
    log = Interactions.sorted(*columns, n_users=n_users, n_items=n_items, value=np.array(value, np.float32))
    return Dataset(INFO, log, np.arange(n_users), np.arange(n_items))


def ask(histories: list, item: list, n_items: int) -> Queries:
    """Histories of (item, value)."""
    items = Ragged.from_rows([[i for i, _ in history] for history in histories])
    values = Ragged.from_rows([[v for _, v in history] for history in histories], np.float32)
    zeros, n = Ragged(np.zeros(len(items.values), np.int64), items.start, items.stop), len(histories)
    user, now, candidates = np.arange(n, dtype=np.int32) + 1000, np.zeros(n, np.int64), np.ones(n_items, bool)
    return Queries(user, now, items, zeros, zeros, values, candidates, True, item=np.array(item, np.int32))


def fitted(data: Dataset, context: Context | None = None, **params) -> AutoRec:
    model = AutoRec(AutoRec.Params(**{**AutoRec.small, **params}))
    model.fit(data, context or Context(seed=1, board=BOARD))
    return model


# user 0 gives item 1 a 2 and later a 5; user 1 has given nothing; item 3 has no value
HAND = dataset([0, 2, 0, 0, 2], [1, 2, 0, 1, 0], [2, 4, 1, 5, 3], 3, 4)


@pytest.fixture(scope="module")
def drawn() -> Dataset:
    pairs = np.random.default_rng(5).permutation(30 * 12)[:150]
    return dataset(*np.divmod(pairs, 12), np.random.default_rng(6).integers(1, 6, 150), 31, 12)


def batch_of(data: Dataset):
    rows = UserRows(data.interactions, VALUES)
    return rows[np.arange(len(rows))]


def network_of(data: Dataset, **params) -> RatingAutoencoder:
    """With vectors that say much, so that a wrong sign or a wrong row shows."""
    torch.manual_seed(0)
    network = RatingAutoencoder(
        data.n_items, AutoRec.Params(hidden=5, **params), 3.0, item_levels(data.interactions, 3.0)
    )
    with torch.no_grad():
        for weight in (network.first.weight, network.met.weight, network.items.weight, network.first_bias):
            weight.copy_(torch.randn_like(weight))
    return network


def naive(network: RatingAutoencoder, value_UI, kept_UI):
    """(U, I) what is told of all items, from dense matrices; 0 in `kept_UI` hides."""
    left_UI = kept_UI * (value_UI - 3.0 - network.item_bias.detach())
    count_U1 = kept_UI.sum(1, keepdim=True) + 5
    level_U1 = left_UI.sum(1, keepdim=True) / count_U1
    read_UH = (kept_UI * (left_UI - level_U1)) @ network.first.weight + kept_UI @ network.met.weight
    hidden_UH = torch.sigmoid(read_UH / count_U1 + network.first_bias) - 0.5
    return 3.0 + level_U1 + network.item_bias + hidden_UH @ network.items.weight.T


def matrices(data: Dataset):
    """(U, I) values and whether there is one, of the users with any."""
    log = data.interactions
    value_UI = torch.zeros(data.n_users, data.n_items)
    for user, item, value in zip(log.user, log.item, log.value, strict=True):
        value_UI[user, item] = float(value)
    value_UI = value_UI[(value_UI > 0).any(1)]
    return value_UI, (value_UI > 0).float()


def test_rows_hold_the_last_value_of_a_pair():
    batch = batch_of(HAND)
    assert (batch.item_P.tolist(), batch.value_P.tolist()) == ([0, 1, 0, 2], [1, 5, 3, 4])
    rows = UserRows(HAND.interactions, VALUES)
    assert (rows[np.array([1])].item_P.tolist(), rows[np.array([1])].value_P.tolist()) == ([0, 2], [3, 4])
    asked = rows_of(ask([[(3, 1), (1, 2), (3, 5)], [], [(0, 4)]], [0, 0, 0], 4), VALUES)
    assert (asked.start_B.tolist(), asked.item_P.tolist(), asked.value_P.tolist()) == ([0, 2, 2], [1, 3, 0], [2, 5, 4])


@pytest.mark.parametrize("n_items", [12, 3000])
def test_products_of_pairs_are_those_of_the_dense_matrix(n_items):
    """Few pairs among many, and many among few, go different ways."""
    pairs = np.random.default_rng(5).permutation(10 * n_items)[:40]
    data = dataset(*np.divmod(pairs, n_items), np.ones(40), 10, n_items)
    batch = batch_of(data)
    states_BD = torch.randn(len(batch.user_B), 3, requires_grad=True)
    vectors_ID = torch.randn(n_items, 3, requires_grad=True)
    got, expected = pair_products(states_BD, vectors_ID, batch), (states_BD @ vectors_ID.T)[batch.row_P, batch.item_P]
    torch.testing.assert_close(got, expected)
    both = [torch.autograd.grad(told.square().sum(), [states_BD, vectors_ID]) for told in (got, expected)]
    for one, two in zip(*both, strict=True):
        torch.testing.assert_close(one, two)


@pytest.mark.parametrize("dropout", [0.0, 0.5])
def test_loss_is_the_masked_square_of_the_dense_prediction(drawn, dropout):
    """Value and gradients; what is hidden from the encoder is asked for all the same."""
    network, (value_UI, rated_UI) = network_of(drawn, dropout=dropout), matrices(drawn)
    torch.manual_seed(3)
    loss, n = network.loss(batch_of(drawn), AutoRec.Params(), None)
    torch.manual_seed(3)
    kept_UI = torch.zeros_like(rated_UI)
    kept_UI[rated_UI > 0] = (torch.rand(150) >= dropout).float()
    assert (0.3 < kept_UI.sum() / 150 < 0.7) == bool(dropout) and n == 150
    expected = ((naive(network, value_UI, kept_UI) - value_UI).square() * rated_UI).sum() / 150
    torch.testing.assert_close(loss, expected)
    weights = list(network.parameters())
    for one, two in zip(torch.autograd.grad(loss, weights), torch.autograd.grad(expected, weights), strict=True):
        torch.testing.assert_close(one, two, atol=1e-6, rtol=1e-4)


def test_nothing_is_hidden_from_answers_and_shares_of_a_batch_add_up(drawn):
    network, data = network_of(drawn, dropout=0.5).eval(), UserRows(drawn.interactions, VALUES)
    order = np.arange(len(data))
    whole, n = network.loss(data[order], AutoRec.Params(), None)
    shares = [network.loss(data[rows], AutoRec.Params(), None) for rows in (order[::2], order[1::2], order[:0])]
    assert sum(n for _, n in shares) == n and shares[2][1] == 0
    torch.testing.assert_close(sum(loss * n for loss, n in shares) / n, whole)
    shares[2][0].backward()


def test_a_new_user_is_answered_from_its_history_like_one_of_the_training(drawn):
    """Values, in the order asked, of a history asked about twice and of none; scores are the values unclipped."""
    model = fitted(drawn, epochs=1)
    model.net = network_of(drawn).eval()
    histories = [[(4, 1), (7, 5), (4, 3)], [], [(0, 5), (11, 2)], [(4, 1), (7, 5), (4, 3)]]
    value_QI, item_Q = torch.zeros(4, 12), [2, 3, 4, 11]
    for q, history in enumerate(histories):
        for item, value in history:
            value_QI[q, item] = value
    expected_QI = naive(model.net, value_QI, (value_QI > 0).float()).detach().numpy()
    expected_Q = expected_QI[np.arange(4), item_Q]
    low, *_, high = np.sort(expected_Q)[1:].tolist()
    model.facts = {"mean": 3.0, "range": [low, high - 0.01]}
    asked = ask(histories, item_Q, 12)
    np.testing.assert_allclose(model.score(asked), expected_QI, atol=1e-5)
    told = model.predict(asked)
    np.testing.assert_allclose(told[:, 0], np.clip(expected_Q, low, high - 0.01), atol=1e-5)
    assert len(set(expected_Q.tolist())) == 4
    again = asked.take(np.array([0, 0]))
    np.testing.assert_allclose(model.predict(again)[:, 0], told[[0, 0], 0], atol=1e-6)
    assert model.predict(asked.take(slice(0, 0))).shape == (0, 1)


def test_it_learns_what_levels_do_not_tell():
    """Stars of rank 1 beside the levels, half of them held out: far below the levels' error, near that of the noise."""
    rng, n_users, n_items = np.random.default_rng(0), 200, 40
    taste_UI = np.outer(rng.choice([-1, 1], n_users), rng.choice([-1, 1], n_items))
    noise_UI = rng.normal(0, 0.2, (n_users, n_items))
    value_UI = 3 + rng.normal(0, 0.3, n_users)[:, None] + rng.normal(0, 0.3, n_items) + taste_UI + noise_UI
    learned_UI = rng.random((n_users, n_items)) < 0.5
    data = dataset(*learned_UI.nonzero(), value_UI[learned_UI], n_users, n_items)
    histories = [[(i, value_UI[u, i]) for i in np.flatnonzero(learned_UI[u])] for u in range(n_users)]
    user, item = (~learned_UI).nonzero()
    queries = replace(ask(histories, [0] * n_users, n_items).take(user), item=item.astype(np.int32))

    def error(model: AutoRec) -> float:
        return float(np.sqrt(np.mean((model.predict(queries)[:, 0] - value_UI[user, item]) ** 2)))

    levels = fitted(data, epochs=1, learning_rate=1e-4, averaging=0.0)
    with torch.no_grad():
        levels.net.items.weight.zero_()
    assert error(levels) > 0.9 and error(fitted(data, epochs=30)) < 0.35


def test_the_board_says_what_is_learned(drawn):
    """No board, or one of rankings: which items were met; values change nothing, and none are told."""
    ranking = Board("met", "met", ("ndcg@10",), "ndcg@10", split="random_pairs", candidates="all")
    queries = ask([[(1, 5), (2, 1)], []], [0, 3], 12)
    log = drawn.interactions
    ones = dataset(log.user, log.item, np.ones(len(log)), drawn.n_users, drawn.n_items)
    found = [fitted(data, Context(seed=1, board=board), epochs=2) for data, board in ((drawn, None), (ones, ranking))]
    assert np.array_equal(found[0].score(queries), found[1].score(queries))
    with pytest.raises(RecbenchError, match="autorec has learned which items users met and knows no values: fit it on"):
        found[0].predict(queries)
    found[0].fit(drawn, Context(seed=1, board=BOARD))
    assert found[0].predict(queries).shape == (2, 1)
    found[0].fit(drawn, Context(seed=1))
    assert found[0].facts == {} and found[0].net.reads == ()


def test_a_training_in_pieces_ends_as_an_unbroken_one(drawn, tmp_path):
    names = {"hidden": 8, "batch_size": 8, "epochs": 2}
    whole = fitted(drawn, Context(seed=4, board=BOARD), **names)
    for _ in range(3):
        pieces = Context(seed=4, board=BOARD, folder=tmp_path, resume=True, max_minutes=0)
        assert fitted(drawn, pieces, **names).stopped_by == "max_minutes"
    parts = fitted(drawn, Context(seed=4, board=BOARD, folder=tmp_path, resume=True), **names)
    queries = ask([[(1, 5), (2, 1)], []], [0, 3], 12)
    assert np.array_equal(whole.predict(queries), parts.predict(queries))


def test_an_empty_log_leaves_a_model_that_answers():
    model = fitted(dataset([], [], [], 2, 3))
    assert model.predict(ask([[], [(1, 2)]], [0, 1], 3)).tolist() == [[0.0], [0.0]]
