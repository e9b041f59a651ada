"""Ranking a holdout: lists, tie groups and masks against plain loops; what a model may not answer is refused."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recbench import registry
from recbench.data import Queries, Ragged
from recbench.errors import RecbenchError
from recbench.evaluate import CELLS_PER_CHUNK, measure, rank
from recbench.holdout import Holdout
from recbench.metric import metric
from recbench.model import Recommendations, Recommender
from recbench.testing.worlds import checkerboard
from recbench.topk import lots, mask, top_k, top_k_and_tied


class Given(Recommender):
    """Answers with a table of scores, one row a user."""

    def __init__(self, scores_UI):
        super().__init__()
        self.scores_UI = scores_UI

    def fit(self, train, context): ...

    def score(self, queries):
        return self.scores_UI[queries.user]


class Listed(Given):
    """Answers with lists of its own."""

    def recommend(self, queries, k):
        return self.scores_UI


def holdout(histories, truths, n_items, seen_allowed=False, candidates=None) -> Holdout:
    rows, n = Ragged.from_rows(histories), len(histories)
    candidates = np.ones(n_items, bool) if candidates is None else candidates
    queries = Queries(np.arange(n), np.zeros(n, np.int64), rows, rows, rows, rows, candidates, seen_allowed)
    return Holdout(queries, Ragged.from_rows(truths))


@given(st.integers(0, 10**6))
@settings(max_examples=80, deadline=None)
def test_lists_and_tie_groups_against_plain_loops(seed):
    rng = np.random.default_rng(seed)
    n, n_items, k = rng.integers(1, 5), rng.integers(1, 9), int(rng.integers(1, 12))
    scores = rng.integers(0, rng.integers(1, 5), size=(n, n_items)).astype(np.float32)
    candidates = rng.random(n_items) < 0.8
    histories = [rng.choice(n_items, rng.integers(0, n_items + 1), replace=False).tolist() for _ in range(n)]
    truths = [rng.choice(n_items, rng.integers(0, n_items + 1), replace=False).tolist() for _ in range(n)]
    seen_allowed = bool(rng.random() < 0.5)
    asked = holdout(histories, truths, n_items, seen_allowed, candidates)
    lists = rank(Given(scores), asked, k)
    for q in range(n):
        allowed = [i for i in range(n_items) if candidates[i] and (seen_allowed or i not in histories[q])]
        right = [i for i in truths[q] if i in allowed]
        best = sorted((scores[q, i] for i in allowed), reverse=True)[:k]
        listed = [i for i in lists.items_QK[q].tolist() if i >= 0]
        assert len(set(listed)) == len(listed) == len(best) and set(listed) <= set(allowed)
        assert [scores[q, i] for i in listed] == best
        assert lists.items_QK[q, len(best) :].tolist() == [-1] * (k - len(best))
        for p, value in enumerate(best):
            group = [i for i in allowed if scores[q, i] == value]
            assert lists.start_QK[q, p] == best.index(value)
            assert lists.size_QK[q, p] == len(group)
            assert lists.relevant_QK[q, p] == len([i for i in right if i in group])
        assert lists.n_relevant_Q[q] == len(truths[q])


@given(st.integers(0, 10**6))
@settings(max_examples=60, deadline=None)
def test_long_rows_give_the_k_largest(seed):
    rng = np.random.default_rng(seed)
    n_items, k = int(rng.integers(100, 3000)), int(rng.integers(1, 30))
    scores = rng.integers(0, rng.choice([2, 50, 10**6]), size=(3, n_items)).astype(np.float32)
    scores[:, rng.random(n_items) < rng.random()] = -np.inf
    lists, tied = top_k_and_tied(scores, k, seed)
    for row, items, found, n in zip(scores, lists.items_QK, lists.scores_QK, tied, strict=True):
        best = np.sort(row[row > -np.inf])[::-1][:k]
        assert n == ((row == best[-1]).sum() if len(best) == k else 0)
        assert found[: len(best)].tolist() == best.tolist() == row[items[: len(best)]].tolist()
        assert (items[len(best) :] == -1).all() and len(set(items[: len(best)].tolist())) == len(best)


def drawn_naively(row, k, seed, query):
    """The items of a list in its order: those above the k-th largest score and, of those that tie there, in rising order, as
    many as the generator of seed and query draws. Equal ones stand in the order of their lots.
    """
    allowed = [i for i in range(len(row)) if row[i] > -np.inf]
    least = sorted((row[i] for i in allowed), reverse=True)[min(k, len(allowed)) - 1] if allowed else 0
    above, tied = [i for i in allowed if row[i] > least], [i for i in allowed if row[i] == least]
    if len(tied) > k - len(above):
        chosen = np.random.default_rng((seed, query)).choice(len(tied), k - len(above), replace=False, shuffle=False)
        tied = [tied[d] for d in chosen]
    items = np.array(above + tied, np.int64)
    lot = lots(seed, np.full(len(items), query), items)
    return sorted(items.tolist(), key=lambda i: (-row[i], lot[items.tolist().index(i)]))


@given(st.integers(0, 10**6))
@settings(max_examples=60, deadline=None)
def test_ties_are_drawn_as_by_a_naive_reading_of_the_rule(seed):
    rng = np.random.default_rng(seed)
    n_items, k = int(rng.choice([5, 30, 700, 1400])), int(rng.integers(1, 12))
    scores = rng.integers(0, rng.choice([1, 3, 60, 10**6]), size=(4, n_items)).astype(np.float32)
    scores[rng.random(scores.shape) < rng.choice([0, 0.5, 0.995])] = -np.inf
    query = rng.integers(0, 50_000, 4)
    lists = top_k(scores, k, seed, query)
    for row, items, q in zip(scores, lists.items_QK.tolist(), query.tolist(), strict=True):
        expected = drawn_naively(row, k, seed, q)
        assert items == expected + [-1] * (k - len(expected))


def test_the_draws_of_ties_are_those_of_the_stored_results():
    """Of all equal scores, of a few that are best, and of half of them; computed when the rule was laid down."""
    scores = np.zeros((3, 20_000), np.float32)
    scores[1, :3], scores[2, ::2] = 1, 1
    assert top_k(scores, 4, seed=7, query_Q=np.array([0, 5, 900])).items_QK.tolist() == [
        [18895, 17944, 13682, 12500],
        [1, 0, 2, 11176],
        [4520, 8764, 9500, 12020],
    ]


def test_scores_whose_sum_overflows_are_finite_all_the_same():
    scores = np.full((1, 4), 3e38, np.float32)
    asked = holdout([[0]], [[1]], 4)
    assert rank(Given(scores), asked, 4).size_QK.tolist() == [[3, 3, 3, 1]]


@pytest.mark.parametrize(("n_items", "largest"), [(30, CELLS_PER_CHUNK // 30), (1_000_000, 16)])
def test_a_large_catalogue_is_asked_for_in_bounded_memory(n_items, largest):
    sizes = []

    class Counted(Given):
        def score(self, queries):
            sizes.append(len(queries))
            return np.broadcast_to(self.scores_UI, (len(queries), n_items))

    scores = np.zeros(n_items, np.float32)
    scores[:3] = [1, 3, 2]
    n = 33
    lists = rank(Counted(scores), holdout([[1]] * n, [[2]] * n, n_items), 2)
    assert sum(sizes) == n and max(sizes) == min(n, largest)
    assert lists.items_QK.tolist() == [[2, 0]] * n and lists.relevant_QK.tolist() == [[1, 0]] * n


def test_the_vectors_of_all_items_are_computed_once_an_evaluation(monkeypatch):
    cls = registry.find("model", "transformer").load()
    parts = checkerboard().split()
    model, times = cls(cls.Params(**cls.small)), []
    model.n_items, model.net = parts.train.n_items, model.network(parts.train)
    alone = model.score(parts.test.queries)
    vectors = model.net.item_vectors
    monkeypatch.setattr(model.net, "item_vectors", lambda *some: times.append(some) or vectors(*some))
    monkeypatch.setattr("recbench.evaluate.CELLS_PER_CHUNK", 1)
    model.net.train()
    lists = rank(model, parts.test, 3)
    assert times.count(()) == 1 and model.net.training and len(parts.test.queries) > 2 * 16
    best = top_k(mask(alone, parts.test.queries), 3)
    np.testing.assert_allclose(lists.scores_QK, best.scores_QK, rtol=1e-5)
    assert np.array_equal(model.score(parts.test.queries), alone)
    assert times.count(()) == 2, "afterwards they are computed anew: something may have been learned"


def test_ties_are_drawn_evenly_and_by_seed():
    scores = np.zeros((4000, 5), np.float32)
    scores[:, 4] = 1
    drawn = top_k(scores, 3, seed=1).items_QK
    assert (drawn[:, 0] == 4).all()
    assert np.array_equal(drawn, top_k(scores, 3, seed=1).items_QK)
    shares = np.bincount(drawn[:, 1:].ravel(), minlength=5)[:4] / 8000
    assert np.abs(shares - 0.25).max() < 4 * np.sqrt(0.25 * 0.75 / 4000)
    assert not np.array_equal(drawn, top_k(scores, 3, seed=2).items_QK)
    firsts = np.bincount(drawn[:, 1], minlength=5)[:4] / 4000
    assert np.abs(firsts - 0.25).max() < 4 * np.sqrt(0.25 * 0.75 / 4000), "the order inside the list is drawn as well"


def test_a_draw_of_ties_depends_on_the_query_alone():
    scores = np.random.default_rng(0).integers(0, 3, size=(40, 300)).astype(np.float32)
    whole, number = top_k(scores, 7, seed=5), np.random.default_rng(1).permutation(40)
    part = top_k(scores[number], 7, seed=5, query_Q=number)
    assert np.array_equal(part.items_QK, whole.items_QK[number])


def test_a_constant_scorer_scores_what_a_random_one_does():
    rng = np.random.default_rng(0)
    n, n_items = 3000, 40
    truths = [rng.choice(n_items, 2, replace=False).tolist() for _ in range(n)]
    asked = holdout([[] for _ in range(n)], truths, n_items)
    labels = ("ndcg@10", "recall@10", "precision@10", "f1@10", "hit-rate@10", "mrr@10", "map@10")
    metrics = [metric(label, "ranking") for label in labels]
    train = None
    constant = measure(rank(Given(np.ones((n, n_items), np.float32)), asked, 10), asked, metrics, train)
    random = measure(rank(Given(rng.random((n, n_items), np.float32)), asked, 10), asked, metrics, train)
    for flat, drawn in zip(constant, random, strict=True):
        assert drawn.low <= flat.value <= drawn.high, flat.label
        assert flat.high - flat.low < 1e-12, "the expected value is the same for every query"


def test_chunks_change_nothing(monkeypatch):
    rng = np.random.default_rng(0)
    scores = rng.integers(0, 6, (50, 30)).astype(np.float32)  # nearly all rows tie
    asked = holdout([[q % 30] * (q % 7) for q in range(50)], [[(q + 1) % 30] for q in range(50)], 30)
    whole = rank(Given(scores), asked, 5)
    monkeypatch.setattr("recbench.evaluate.CELLS_PER_CHUNK", 7 * 30)
    monkeypatch.setattr("recbench.evaluate.LEAST_PER_CHUNK", 1)
    cut = rank(Given(scores), asked, 5)
    assert CELLS_PER_CHUNK > 50 * 30
    for name in ("items_QK", "scores_QK", "start_QK", "size_QK", "relevant_QK", "n_relevant_Q"):
        assert np.array_equal(getattr(whole, name), getattr(cut, name)), name


@pytest.mark.parametrize(("scores", "message"), [
    (np.full((2, 4), np.nan, np.float32), "model Given: scores hold NaN or infinity"),
    (np.full((2, 4), np.inf, np.float32), "model Given: scores hold NaN or infinity"),
    (np.array([[1, 2, 3, 4], [1, 2, -np.inf, 4]], np.float32), "model Given: scores hold NaN or infinity"),
    (np.array([[1, 2, 3, 4], [1, np.inf, -np.inf, 4]], np.float32), "model Given: scores hold NaN or infinity"),
    (np.zeros((2, 3), np.float32), r"model Given: scores must have shape \(2, 4\); given \(2, 3\)"),
])  # fmt: skip
def test_scores_that_are_refused(scores, message):
    with pytest.raises(RecbenchError, match=message):
        rank(Given(scores), holdout([[0], [1]], [[1], [2]], 4), 3)


@pytest.mark.parametrize(("items", "message"), [
    ([[2, 2, 3]], "an item twice"),
    ([[0, 2, 3]], "may not be recommended"),
    ([[2, 3, 9]], "unknown item"),
    ([[2, 3]], "must have shape"),
])  # fmt: skip
def test_lists_that_are_refused(items, message):
    items = np.array(items, np.int32)
    answer = Recommendations(items, -np.arange(items.shape[1], dtype=np.float32)[None])
    with pytest.raises(RecbenchError, match=f"model Listed: .*{message}"):
        rank(Listed(answer), holdout([[0]], [[1]], 5), 3)


def test_a_list_of_its_own_is_taken_as_it_is():
    answer = Recommendations(np.array([[3, 1, -1]], np.int32), np.array([[2.0, 1.0, -np.inf]], np.float32))
    lists = rank(Listed(answer), holdout([[0]], [[1, 2]], 5), 3)
    assert lists.hit_QK.tolist() == [[0, 1, 0]] and lists.n_relevant_Q.tolist() == [2]


def test_mask_copies():
    scores = np.ones((1, 3), np.float32)
    masked = mask(scores, holdout([[1]], [[0]], 3, candidates=np.array([True, True, False])).queries)
    assert masked.tolist() == [[1, -np.inf, -np.inf]] and (scores == 1).all()
