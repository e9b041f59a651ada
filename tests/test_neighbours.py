"""Neighbours of items and of users, against numbers worked out by hand and against naive dense algebra.

Letters: Q queries, U users, I items.
"""

import os

import numpy as np
import pytest
from recbench_classic import memory
from recbench_classic.neighbours import ItemKNN, LastItem, UserKNN
from recbench_classic.similarity import PAIRS, blocks
from test_classic import ask, dataset, dense, fitted

from recbench.errors import RecbenchError

# 6 users x 6 items; user 0 meets item 0 three times, nobody meets item 5
TABLE = np.array(
    [
        [1, 1, 0, 0, 0, 0],
        [1, 1, 1, 0, 0, 0],
        [1, 0, 1, 0, 0, 0],
        [0, 1, 1, 1, 0, 0],
        [0, 0, 0, 1, 1, 0],
        [0, 0, 0, 0, 1, 0],
    ]
)
USER, ITEM = np.nonzero(TABLE)
HAND = dataset(np.r_[0, 0, USER], np.r_[0, 0, ITEM], np.arange(len(USER) + 2), 6, 6)
PAIRS_SHARED = {(0, 1): 2, (0, 2): 2, (1, 2): 2, (1, 3): 1, (2, 3): 1, (3, 4): 1}
USERS_OF = [3, 3, 3, 2, 2, 0]


def by_hand(value):
    """(I, I) a number of each pair that shares users; its two items in both orders."""
    out = np.zeros((6, 6))
    for (i, j), shared in PAIRS_SHARED.items():
        out[i, j], out[j, i] = value(shared, i, j), value(shared, j, i)
    return out


@pytest.mark.parametrize(("params", "value"), [
    ({"shrink": 0}, lambda s, i, j: s / np.sqrt(USERS_OF[i] * USERS_OF[j])),
    ({"shrink": 2}, lambda s, i, j: s / (np.sqrt(USERS_OF[i] * USERS_OF[j]) + 2)),
    ({"shrink": 0, "similarity": "jaccard"}, lambda s, i, j: s / (USERS_OF[i] + USERS_OF[j] - s)),
    ({"shrink": 3, "similarity": "jaccard"}, lambda s, i, j: s / (USERS_OF[i] + USERS_OF[j] - s + 3)),
    ({"shrink": 0, "similarity": "asymmetric", "alpha": 1}, lambda s, i, j: s / USERS_OF[j]),
    ({"shrink": 1, "similarity": "asymmetric", "alpha": 0.25},
     lambda s, i, j: s / (USERS_OF[i] ** 0.75 * USERS_OF[j] ** 0.25 + 1)),
    ({"similarity": "dot"}, lambda s, i, j: s),
    ({"similarity": "dot", "min_support": 2}, lambda s, i, j: s * (s >= 2)),
])  # fmt: skip
@pytest.mark.parametrize("keep", ["column", "row"])
def test_weights_by_hand(params, value, keep):
    """Row: item of the history, column: scored item, whichever of the two keeps its neighbours."""
    np.testing.assert_allclose(
        fitted(ItemKNN, HAND, keep=keep, **params).similarity_II.toarray(), by_hand(value), rtol=1e-6
    )


def test_exact_numbers_of_the_table():
    """Two of them without a formula: cosine(0, 1) = 2 / 3, jaccard(3, 4) = 1 / 3."""
    assert fitted(ItemKNN, HAND, shrink=0).similarity_II[0, 1] == np.float32(2 / 3)
    assert fitted(ItemKNN, HAND, shrink=0, similarity="jaccard").similarity_II[3, 4] == np.float32(1 / 3)
    assert not fitted(ItemKNN, HAND).similarity_II.diagonal().any(), "no item is its own neighbour"


@pytest.mark.parametrize("weighting", ["tfidf", "bm25"])
def test_weighting_by_hand(weighting):
    """Items 0 and 1 share users 0 and 1, who met 2 and 3 of 6 items; user 0 met item 0 three times."""
    rare = {2: np.log(1 + 6 / 2), 3: np.log(1 + 6 / 3)}
    weight = {("0", 0): rare[2], ("1", 0): rare[3], ("0", 1): rare[2], ("1", 1): rare[3]}
    if weighting == "bm25":  # of 15 events, 5 are with item 0 and 3 with item 1
        short = {0: 2 * (0.5 + 0.5 * 5 / 2.5), 1: 2 * (0.5 + 0.5 * 3 / 2.5)}
        times = {("0", 0): 3, ("1", 0): 1, ("0", 1): 1, ("1", 1): 1}
        weight = {(u, i): w * n * 3 / (n + short[i]) for (u, i), w in weight.items() for n in [times[u, i]]}
    expected = weight["0", 0] * weight["0", 1] + weight["1", 0] * weight["1", 1]
    model = fitted(ItemKNN, HAND, similarity="dot", weighting=weighting, k1=2, b=0.5)
    np.testing.assert_allclose(model.similarity_II[0, 1], expected, rtol=1e-6)
    np.testing.assert_allclose(model.similarity_II[1, 0], expected, rtol=1e-6)


def test_who_keeps_the_neighbours():
    """Shared users of items 0..4: one neighbour each, ties to the lower row number."""
    column = fitted(ItemKNN, HAND, similarity="dot", neighbours=1).similarity_II.toarray()
    row = fitted(ItemKNN, HAND, similarity="dot", neighbours=1, keep="row").similarity_II.toarray()
    nearest = {0: 1, 1: 0, 2: 0, 3: 1, 4: 3}
    expected = np.zeros((6, 6))
    for item, neighbour in nearest.items():
        expected[neighbour, item] = PAIRS_SHARED[min(item, neighbour), max(item, neighbour)]
    assert np.array_equal(column, expected), "each column, a scored item, holds one"
    assert np.array_equal(row, expected.T), "each row, an item of the history, holds one"


def test_last_item_ignores_the_rest():
    model = fitted(LastItem, HAND, shrink=0, similarity="jaccard")
    scores = model.score(ask([[4, 4, 3, 0], [0], [0, 5], []], 6))
    np.testing.assert_allclose(scores[0], [0, 2 / 4, 2 / 4, 0, 0, 0], rtol=1e-6)
    assert np.array_equal(scores[0], scores[1])
    assert not scores[2:].any(), "an item nobody met, and no history: nothing is reached"


def test_user_knn_by_hand():
    """The history {0, 1} shares 2 items with users 0 and 1, 1 with users 2 and 3; a stranger keeps them all."""
    stranger = ask([[], [], [], [], [], [0, 1, 0]], 6).take(np.array([5]))
    scores = fitted(UserKNN, HAND, weighting="none", shrink=0).score(stranger)[0]
    like = [2 / np.sqrt(2 * 2), 2 / np.sqrt(2 * 3), 1 / np.sqrt(2 * 2), 1 / np.sqrt(2 * 3)]
    expected = [like[0] + like[1] + like[2], like[0] + like[1] + like[3], like[1] + like[2] + like[3], like[3], 0, 0]
    np.testing.assert_allclose(scores, expected, rtol=1e-6)
    two = fitted(UserKNN, HAND, weighting="none", shrink=0, neighbours=2).score(stranger)[0]
    np.testing.assert_allclose(two, [like[0] + like[1], like[0] + like[1], like[1], 0, 0, 0], rtol=1e-6)


def test_user_knn_leaves_out_the_asker():
    own = ask([[0, 1]], 6)  # the query of user 0, whose training row is the same set
    scores = fitted(UserKNN, HAND, weighting="none", shrink=0, neighbours=1, similarity="jaccard").score(own)[0]
    np.testing.assert_allclose(scores, [2 / 3, 2 / 3, 2 / 3, 0, 0, 0], rtol=1e-6, err_msg="user 1 is next")


@pytest.fixture(scope="module")
def drawn():
    """40 users, 25 items, skewed, with repeats; and questions of strangers and of users 0..9."""
    rng = np.random.default_rng(3)
    item = np.minimum(rng.geometric(0.15, 500) - 1, 23)
    data = dataset(rng.integers(0, 40, 500), item, rng.integers(0, 1000, 500), 45, 25)
    return data, ask([rng.integers(0, 25, n).tolist() for n in (0, 1, 2, 3, 5, 8, 9, 12, 20, 40)], 25)


def naive(shared, square_left, square_right, similarity, alpha, shrink):
    """The docstrings' formulas; `alpha` of the right."""
    if similarity == "jaccard":
        return shared / (square_left[:, None] + square_right - shared + shrink)
    if similarity == "dot":
        return shared
    alpha = alpha if similarity == "asymmetric" else 0.5
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.nan_to_num(shared / (np.outer(square_left ** (1 - alpha), square_right**alpha) + shrink))


def naive_weights(count, weighting, k1, b, train):
    """(R, F) of count, by what `train` says of features and of lengths."""
    rare = np.log(1 + len(train) / np.maximum((train > 0).sum(0), 1))
    if weighting == "bm25":
        floor = k1 * (1 - b + b * count.sum(1, keepdims=True) / train.sum(1).mean())
        return rare * count * (k1 + 1) / (count + floor + (count == 0))
    return (count > 0) * (rare if weighting == "tfidf" else 1.0)


def kept_rows(value, k):
    """The k largest of each row, ties to the lower column."""
    out = np.zeros_like(value)
    for r, row in enumerate(value):
        best = np.argsort(-row.round(7), kind="stable")[:k]
        out[r, best] = row[best]
    return out


def count_matrix(row, column, shape):
    out = np.zeros(shape)
    np.add.at(out, (row, column), 1)
    return out


CASES = [
    ("cosine", "tfidf", 3),
    ("jaccard", "bm25", 4),
    ("asymmetric", "none", 2),
    ("asymmetric", "bm25", 50),
    ("dot", "tfidf", 5),
]


@pytest.mark.parametrize(("similarity", "weighting", "k"), CASES)
@pytest.mark.parametrize("keep", ["column", "row"])
def test_item_knn_equals_naive(drawn, monkeypatch, similarity, weighting, k, keep):
    monkeypatch.setattr("recbench_classic.similarity.PAIRS", 500)
    data, queries = drawn
    log = data.interactions
    count = count_matrix(log.item, log.user, (25, 45))
    weight = naive_weights(count, weighting, 1.5, 0.4, count)
    square = (weight**2).sum(1)
    value = naive(weight @ weight.T, square, square, similarity, 0.3, 2.0)
    np.fill_diagonal(value, 0)
    value = kept_rows(value, k) if keep == "row" else kept_rows(value.T, k).T
    word = "cosine" if weighting == "none" else weighting
    params = {"similarity": similarity, "weighting": word, "neighbours": k, "keep": keep, "alpha": 0.3, "shrink": 2}
    model = fitted(ItemKNN, data, k1=1.5, b=0.4, **params)
    expected = (count_matrix(*queries.items.flat(), (10, 25)) > 0) @ value
    np.testing.assert_allclose(model.score(queries), expected, rtol=2e-5, atol=1e-6)


@pytest.mark.parametrize(("similarity", "weighting", "k"), CASES)
def test_user_knn_equals_naive(drawn, monkeypatch, similarity, weighting, k):
    monkeypatch.setattr("recbench_classic.similarity.PAIRS", 500)
    data, queries = drawn
    log = data.interactions
    train = count_matrix(log.user, log.item, (45, 25))
    weight = naive_weights(train, weighting, 1.5, 0.4, train)
    asked = naive_weights(count_matrix(*queries.items.flat(), (10, 25)), weighting, 1.5, 0.4, train)
    value = naive(asked @ weight.T, (asked**2).sum(1), (weight**2).sum(1), similarity, 0.3, 2.0)
    value[np.arange(10), queries.user] = 0
    expected = kept_rows(value, k) @ dense(data)
    params = {"similarity": similarity, "weighting": weighting, "neighbours": k, "alpha": 0.3, "shrink": 2}
    model = fitted(UserKNN, data, k1=1.5, b=0.4, **params)
    np.testing.assert_allclose(model.score(queries), expected, rtol=2e-5, atol=1e-6)


def test_a_new_user_is_answered_as_a_known_one_with_the_same_history(drawn):
    """User 44 has no training event; its answer is what any other stranger gets for the history."""
    data, _ = drawn
    history = [3, 1, 2]
    queries = ask([history] * 45, 25).take(np.array([43, 44]))
    scores = fitted(UserKNN, data).score(queries)
    assert scores[0].any() and np.array_equal(scores[0], scores[1])


def test_parameters_of_the_first_entries_keep_their_keys():
    first = {"neighbours": 100, "shrink": 10.0, "weighting": "cosine", "min_support": 1, "position_half_life": 0.0}
    assert ItemKNN.Params().as_dict() == first and ItemKNN.Params.of(first) == ItemKNN.Params()


def test_blocks_cover_the_rows_once_and_keep_to_their_size():
    cost = np.random.default_rng(0).integers(0, PAIRS // 3, 50).astype(float)
    cost[7] = 5 * PAIRS
    spans = list(blocks(cost))
    assert np.array_equal(np.concatenate([np.arange(50)[s] for s in spans]), np.arange(50))
    assert all(cost[s].sum() - cost[s].max() <= PAIRS for s in spans) and len(spans) > 3
    assert list(blocks(np.empty(0))) == []


def test_what_does_not_fit_is_refused_before_any_work(monkeypatch):
    monkeypatch.setattr(memory, "available_bytes", lambda: 100)
    with pytest.raises(
        RecbenchError, match=r"neighbours=100 of 6 items may need 0\.0 GB .* give fewer model.neighbours"
    ):
        fitted(ItemKNN, HAND)


def test_available_memory_is_less_than_all():
    total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    available = memory.available_bytes()
    assert available is not None and total / 1e4 < available <= total
