"""The classic recommenders against values worked out by hand and against naive dense algebra.

Letters: Q queries, U users, I items, E events.
"""

import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest
from recbench_classic.counting import PersonalPopular, Popular, Random, RecentPopular
from recbench_classic.linear import EASE, OUTSIDE
from recbench_classic.matrices import history
from recbench_classic.neighbours import ItemKNN

from recbench.data import Interactions, Queries, Ragged
from recbench.dataset import Dataset, DatasetInfo
from recbench.errors import RecbenchError
from recbench.model import Context, top_k

DAY = 86400
PLUGIN = Path(__file__).parents[1] / "plugins" / "classic"
CLASSES = (Random, Popular, RecentPopular, PersonalPopular, ItemKNN, EASE)
VARIANTS = [(cls, cls.small) for cls in CLASSES] + [
    (Popular, {"count": "events"}),
    (PersonalPopular, {"half_life_days": 3.0}),
    (ItemKNN, {"neighbours": 3, "weighting": "tfidf", "position_half_life": 2.0, "min_support": 2}),
    (EASE, {"l2": 5.0, "max_items": 7}),
]


def dataset(user, item, time, n_users, n_items):
    log = Interactions.sorted(np.array(user), np.array(item), np.array(time), n_users=n_users, n_items=n_items)
    info = DatasetInfo("toy", "toy", "seconds", "none", "here")
    return Dataset(info, log, np.arange(n_users), np.arange(n_items))


def ask(histories, n_items, times=None, now=0):
    items = Ragged.from_rows(histories)
    n = len(histories)
    times = Ragged.from_rows([[0] * len(h) for h in histories] if times is None else times, np.int64)
    zeros = Ragged(np.zeros(len(items.values), np.int8), items.start, items.stop)
    users = np.arange(n, dtype=np.int32)
    when = np.full(n, now, np.int64)
    return Queries(users, when, items, zeros, times, zeros, np.ones(n_items, bool), True)


def fitted(cls, data, seed=0, **params):
    model = cls(cls.Params(**params))
    model.fit(data, Context(seed=seed))
    return model


@pytest.fixture(scope="module")
def drawn():
    """60 users, 30 items, skewed, with repeats; and a question of 12 histories, one of them empty."""
    rng = np.random.default_rng(7)
    item = np.minimum(rng.geometric(0.12, 600) - 1, 28)
    data = dataset(rng.integers(0, 60, 600), item, rng.integers(0, 50 * DAY, 600), 60, 30)
    histories = [rng.integers(0, 30, n).tolist() for n in (0, 1, 2, 3, 5, 8, 8, 9, 12, 20, 25, 40)]
    times = [np.sort(rng.integers(0, 50 * DAY, len(h))).tolist() for h in histories]
    return data, ask(histories, 30, times, now=50 * DAY)


def dense(data):
    matrix_UI = np.zeros((data.n_users, data.n_items))
    matrix_UI[data.interactions.user, data.interactions.item] = 1
    return matrix_UI


# log of the hand-made cases: user 0 takes item 0 twice and item 1, user 1 takes item 1, user 2 items 1 and 2
HAND = dataset([0, 0, 0, 1, 2, 2], [0, 0, 1, 1, 1, 2], [0, 2 * DAY, 4 * DAY, 6 * DAY, 8 * DAY, 10 * DAY], 3, 4)


def test_popular_counts_users_or_events():
    queries = ask([[], [1]], 4)
    assert fitted(Popular, HAND).score(queries).tolist() == [[1, 3, 1, 0]] * 2
    assert fitted(Popular, HAND, count="events").score(queries).tolist() == [[2, 3, 1, 0]] * 2


def test_recent_popular_halves_with_age():
    queries = ask([[]], 4)
    # ages at day 10: item 0: 10 and 8 days, item 1: 6, 4, 2 days, item 2: 0 days
    once = [0.5**4, 0.5**3 + 0.5**2 + 0.5**1, 1, 0]
    np.testing.assert_allclose(fitted(RecentPopular, HAND, half_life_days=2).score(queries), [once])
    every = [0.5**5 + 0.5**4, *once[1:]]
    np.testing.assert_allclose(fitted(RecentPopular, HAND, half_life_days=2, count="events").score(queries), [every])


def test_personal_popular_puts_own_items_first():
    # by users: 1, 3, 1, 0, so the others score 1/4, 3/4, 1/4, 0
    scores = fitted(PersonalPopular, HAND).score(ask([[3, 0, 3], [], [0, 1, 2]], 4))
    assert scores.tolist() == [[1, 0.75, 0.25, 2], [0.25, 0.75, 0.25, 0], [1, 2, 1, 0]]


def test_personal_popular_fades():
    queries = ask([[3, 3, 0]], 4, [[0, 0, 8 * DAY]], now=10 * DAY)
    assert fitted(PersonalPopular, HAND).score(queries).tolist() == [[1, 0.75, 0.25, 2]]
    assert fitted(PersonalPopular, HAND, half_life_days=2).score(queries).tolist() == [[2, 0.75, 0.25, 1]]
    far = ask([[3, 0]], 4, [[0, DAY]], now=900 * DAY)
    assert fitted(PersonalPopular, HAND, half_life_days=1).score(far).tolist() == [[2, 0.75, 0.25, 1]]


def test_random_is_a_permutation_that_seed_user_and_time_change(drawn):
    data, queries = drawn
    scores = fitted(Random, data).score(queries)
    assert (np.sort(scores, axis=1) == np.arange(30)).all()
    assert len(np.unique(scores, axis=0)) == len(queries)
    later = ask([[]] * 12, 30, now=50 * DAY + 1)
    assert not (fitted(Random, data).score(later) == scores).all(axis=1).any()
    assert not (fitted(Random, data, seed=1).score(queries) == scores).all(axis=1).any()
    assert np.array_equal(fitted(Random, data, seed=0).score(queries), scores)
    early = ask([[]] * 2000, 5, now=-5)
    assert np.abs(fitted(Random, data).score(early).mean(axis=0) - 2).max() < 0.15


def test_history_is_binary_or_fades_with_position():
    queries = ask([[2, 0, 2, 1], [], [0, 1]], 3)
    assert history(queries).toarray().tolist() == [[1, 1, 1], [0, 0, 0], [1, 1, 0]]
    assert history(queries, 1.0).toarray().tolist() == [[0.25, 1, 0.5], [0, 0, 0], [0.5, 1, 0]]


def test_item_knn_by_hand():
    # users of 0: {0}, of 1: {0, 1, 2}, of 2: {2}; cosine(0, 1) = cosine(1, 2) = 1 / sqrt(3)
    c = 1 / np.sqrt(3)
    model = fitted(ItemKNN, HAND, shrink=0)
    np.testing.assert_allclose(
        model.score(ask([[1], [0, 0, 2], [3]], 4)), [[c, 0, c, 0], [0, 2 * c, 0, 0], [0] * 4], 1e-6
    )
    # item 1 keeps one neighbour: item 0, of the lower row number; items 0 and 2 keep item 1
    one = fitted(ItemKNN, HAND, shrink=0, neighbours=1).similarity_II.toarray()
    np.testing.assert_allclose(one, [[0, c, 0, 0], [c, 0, c, 0], [0] * 4, [0] * 4], 1e-6)
    assert fitted(ItemKNN, HAND, min_support=2).similarity_II.nnz == 0


@pytest.mark.parametrize("weighting", ["cosine", "tfidf"])
@pytest.mark.parametrize(("neighbours", "min_support"), [(100, 1), (4, 1), (4, 3)])
def test_item_knn_equals_naive(drawn, monkeypatch, weighting, neighbours, min_support):
    monkeypatch.setattr("recbench_classic.neighbours.CHUNK", 7)
    data, queries = drawn
    seen_UI = dense(data)
    per_user = seen_UI.sum(axis=1, keepdims=True)
    x_UI = seen_UI * (np.log(1 + 30 / per_user) if weighting == "tfidf" else 1)
    norm_I = np.sqrt((x_UI**2).sum(axis=0))
    similarity = x_UI.T @ x_UI / (np.outer(norm_I, norm_I) + 10)
    similarity[seen_UI.T @ seen_UI < min_support] = 0
    np.fill_diagonal(similarity, 0)
    for j in range(30):
        similarity[np.argsort(-similarity[:, j].round(9), kind="stable")[neighbours:], j] = 0
    expected = (history(queries).toarray() > 0) @ similarity
    params = {"neighbours": neighbours, "min_support": min_support, "weighting": weighting, "shrink": 10}
    np.testing.assert_allclose(fitted(ItemKNN, data, **params).score(queries), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("l2", [1.0, 250.0])
def test_ease_equals_naive(drawn, monkeypatch, l2):
    monkeypatch.setattr("recbench_classic.linear.CHUNK", 7)
    data, queries = drawn
    x_UI = dense(data)
    inverse = np.linalg.inv(x_UI.T @ x_UI + l2 * np.eye(30))
    weight = np.eye(30) - inverse / np.diag(inverse)
    model = fitted(EASE, data, l2=l2)
    assert model.weight_KK.dtype == np.float32 and model.weight_KK.flags.c_contiguous
    np.testing.assert_allclose(model.weight_KK, weight, atol=1e-4)
    np.testing.assert_allclose(model.score(queries), (history(queries).toarray() > 0) @ weight, atol=1e-4)


def test_ease_keeps_the_most_popular(drawn):
    data, queries = drawn
    kept = np.sort(np.argsort(-dense(data).sum(axis=0), kind="stable")[:7])
    model = fitted(EASE, data, max_items=7)
    assert model.kept_K.tolist() == kept.tolist()
    x_UK = dense(data)[:, kept]
    inverse = np.linalg.inv(x_UK.T @ x_UK + 250 * np.eye(7))
    expected = np.full((12, 30), OUTSIDE)
    expected[:, kept] = (history(queries).toarray() > 0)[:, kept] @ (np.eye(7) - inverse / np.diag(inverse))
    np.testing.assert_allclose(model.score(queries), expected, atol=1e-4)


def test_ease_says_when_float32_fails(drawn, monkeypatch):
    import scipy.linalg.lapack as lapack

    monkeypatch.setattr(lapack, "spotrf", lambda a, **_: (a, 3))
    with pytest.raises(RecbenchError, match="give a larger l2"):
        fitted(EASE, drawn[0])


@pytest.mark.parametrize(("cls", "params"), VARIANTS)
def test_saved_model_answers_the_same(drawn, tmp_path, cls, params):
    data, queries = drawn
    model = fitted(cls, data, seed=3, **params)
    model.save(tmp_path)
    loaded = cls.load(tmp_path)
    assert loaded.params == model.params
    assert np.array_equal(loaded.score(queries), model.score(queries))


@pytest.mark.parametrize(("cls", "params"), VARIANTS)
def test_batch_equals_single_answers(drawn, cls, params):
    data, queries = drawn
    model = fitted(cls, data, **params)
    scores = model.score(queries)
    assert scores.shape == (12, 30) and scores.dtype == np.float32 and np.isfinite(scores).all()
    assert np.array_equal(np.vstack([model.score(queries.take(slice(q, q + 1))) for q in range(12)]), scores)
    backwards = np.arange(12)[::-1]
    assert np.array_equal(model.score(queries.take(backwards))[backwards], scores)
    assert (top_k(scores, 5).items_QK >= 0).all()
    assert model.score(queries.take(slice(0, 0))).shape == (0, 30)


@pytest.mark.parametrize("cls", CLASSES)
def test_empty_log(cls):
    nothing = dataset(np.empty(0, int), np.empty(0, int), np.empty(0, int), 2, 3)
    assert np.isfinite(fitted(cls, nothing, **cls.small).score(ask([[], [1]], 3))).all()


def test_loading_the_classes_imports_nothing_heavy():
    points = tomllib.loads((PLUGIN / "pyproject.toml").read_text())["project"]["entry-points"]["recbench.model"]
    code = (
        "import sys\nfrom importlib.metadata import EntryPoint\n"
        f"classes = [EntryPoint(n, v, 'recbench.model').load() for n, v in {points!r}.items()]\n"
        "assert all(c.__doc__ and c() for c in classes)\n"
        "print(sorted({'scipy', 'sklearn', 'torch', 'pandas', 'hydra', 'pyarrow'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert len(points) == 12 and done.stdout.strip() == "[]"
