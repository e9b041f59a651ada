"""SLIM and EASE against exact solutions of the same problems by other roads, and EASE against its level on ml-100k.

Letters: U users, I items.
"""

import os
from pathlib import Path

import numpy as np
import pytest
from recbench_classic import memory, slim
from recbench_classic.linear import EASE
from recbench_classic.slim import SLIM
from scipy.optimize import nnls
from test_classic import ask, dataset, dense, fitted

from recbench.data import Interactions, Queries, Ragged
from recbench.dataset import Dataset, DatasetInfo
from recbench.errors import RecbenchError
from recbench.model import top_k


def drawn(n_users=120, n_items=40, n_events=1500, seed=5):
    """Two tastes, so that weights differ; item 39 is met by nobody."""
    rng = np.random.default_rng(seed)
    user = rng.integers(0, n_users, n_events)
    item = np.minimum(rng.geometric(0.12, n_events) - 1 + 15 * (user % 2) * (rng.random(n_events) < 0.7), n_items - 2)
    return dataset(user, item.astype(int), rng.integers(0, 1000, n_events), n_users, n_items)


def exact(x_UI, l1, l2):
    """(I, I) the minimum by an active-set solver: w'Gw / 2 - (g - l1)'w is |Rw - c|^2 / 2 with R'R = G and R'c = g - l1."""
    n = x_UI.shape[1]
    gram = x_UI.T @ x_UI
    weight = np.zeros((n, n))
    for j in range(n):
        others = np.arange(n) != j
        root = np.linalg.cholesky(gram[np.ix_(others, others)] + l2 * np.eye(n - 1)).T
        weight[others, j] = nnls(root, np.linalg.solve(root.T, gram[others, j] - l1), maxiter=10000)[0]
    return weight


@pytest.mark.parametrize(("l1", "l2"), [(0.1, 0.01), (1.0, 10.0), (3.0, 1.0), (0.5, 1000.0)])
@pytest.mark.parametrize("entering", [64, 2])
def test_slim_equals_the_exact_minimum(monkeypatch, l1, l2, entering):
    """Also where active sets begin small and grow, and items come in many blocks."""
    monkeypatch.setattr(slim, "ENTERING", entering)
    monkeypatch.setattr("recbench_classic.similarity.PAIRS", 4000)
    data = drawn()
    model = fitted(SLIM, data, l1=l1, l2=l2)
    expected = exact(dense(data), l1, l2)
    assert (expected > 1e-4).sum() > 50
    np.testing.assert_allclose(model.weight_II.toarray(), expected, atol=1e-6)
    assert model.weight_II.data.min() > 0 and not model.weight_II.diagonal().any()


def test_slim_scores_are_sums_over_the_history():
    data = drawn()
    model = fitted(SLIM, data, l1=0.1)
    scores = model.score(ask([[3, 5, 3], [], [39]], 40))
    weight = model.weight_II.toarray()
    np.testing.assert_allclose(scores[0], weight[3] + weight[5], rtol=1e-6)
    assert not scores[1:].any(), "nothing is reached from an item that nobody met"


def test_slim_among_candidates_alone():
    """Each item's minimum over its three most similar items by cosine."""
    data, x_UI = drawn(), dense(drawn())
    gram = x_UI.T @ x_UI
    norm = np.sqrt(np.diag(gram))
    expected = np.zeros((40, 40))
    for j in range(39):
        cosine = gram[:, j] / (np.maximum(norm, 1) * norm[j])
        cosine[j] = 0
        near = np.argsort(-cosine.round(12), kind="stable")[:3]
        near = near[gram[near, j] > 1]
        root = np.linalg.cholesky(gram[np.ix_(near, near)] + 2 * np.eye(len(near))).T
        expected[near, j] = nnls(root, np.linalg.solve(root.T, gram[near, j] - 1))[0]
    model = fitted(SLIM, data, l1=1, l2=2, candidates=3)
    np.testing.assert_allclose(model.weight_II.toarray(), expected, atol=1e-6)


def test_slim_says_beforehand_what_does_not_fit(monkeypatch):
    monkeypatch.setattr(memory, "available_bytes", lambda: 1000)
    with pytest.raises(
        RecbenchError, match=r"slim: what 40 items share may need 0\.0 GB of memory, and .* use model=item-knn"
    ):
        fitted(SLIM, drawn())


def test_ease_equals_float64_to_the_sixth_digit():
    data = drawn()
    x_UI = dense(data)
    inverse = np.linalg.inv(x_UI.T @ x_UI + 250 * np.eye(40))
    weight = -inverse / np.diag(inverse)
    np.fill_diagonal(weight, 0)
    np.testing.assert_allclose(fitted(EASE, data, l2=250).weight_KK, weight, atol=1e-6)


def test_ease_says_what_it_leaves_out_and_what_does_not_fit(monkeypatch, capfd):
    fitted(EASE, drawn(), max_items=7)
    line = "recbench: ease: models the 7 most popular of 40 items; all of them (model.max_items=40) would need 0.0 GB of memory\n"
    assert capfd.readouterr().err == line
    fitted(EASE, drawn())
    assert capfd.readouterr().err == ""
    monkeypatch.setattr(memory, "available_bytes", lambda: 8 * 40 * 40 - 1)
    with pytest.raises(RecbenchError, match=r"ease: the matrix of 40 items may need .* give a smaller model.max_items"):
        fitted(EASE, drawn())
    fitted(EASE, drawn(), max_items=39)


def part(name):
    """(E,) users, items and times of a file of the split."""
    folder = Path(os.environ.get("RECBENCH_DATA_DIR", "none")).parent / "bench" / "splits" / "ml-100k"
    if not (folder / "train.tsv").exists():
        pytest.skip(
            "the split of ml-100k is not at hand; it is looked for in RECBENCH_DATA_DIR/../bench/splits/ml-100k"
        )
    return np.loadtxt(folder / f"{name}.tsv", dtype=np.int64, skiprows=1).T


def test_ease_reaches_its_level_on_ml_100k():
    """Fitted on the training part and asked with it, the validation item masked too: where four libraries agree."""
    train, valid, test = (part(name) for name in ("train", "valid", "test"))
    n_users, n_items = (int(max(p[row].max() for p in (train, valid, test))) + 1 for row in (0, 1))
    log = Interactions.sorted(*train, n_users=n_users, n_items=n_items)
    data = Dataset(DatasetInfo("ml", "video", "order", "none", "here"), log, np.arange(n_users), np.arange(n_items))
    order, start = log.by_user()
    items = Ragged(log.item[order], start[:-1], start[1:])
    zeros = Ragged(np.zeros(len(log), np.int64), *(items.start, items.stop))
    users = np.arange(n_users, dtype=np.int32)
    every = np.ones(n_items, bool)
    queries = Queries(users, np.zeros(n_users, np.int64), items, zeros, zeros, zeros, every, False)
    scores_UI = fitted(EASE, data, l2=250).score(queries)
    scores_UI[train[0], train[1]] = scores_UI[valid[0], valid[1]] = -np.inf
    right_U = np.empty(n_users, np.int64)
    right_U[test[0]] = test[1]
    hit_UK = top_k(scores_UI, 10).items_QK == right_U[:, None]
    assert round(hit_UK.any(1).mean(), 4) == 0.1347
    assert round((hit_UK / np.log2(np.arange(2, 12))).sum(1).mean(), 4) == 0.0698
