"""Factor models against implicit called by hand, and against the normal equations.

Letters: Q queries, U users, I items, D factors.
"""

import tracemalloc

import numpy as np
import pytest
from recbench_classic import factors, memory
from recbench_classic.factors import ALS, BPR
from test_classic import ask, dataset, dense, fitted

from recbench.errors import RecbenchError


@pytest.fixture(scope="module")
def drawn():
    """60 users, of whom the last five have no event, and 30 items, the last met by nobody."""
    rng = np.random.default_rng(7)
    item = np.minimum(rng.geometric(0.12, 600) - 1, 28)
    return dataset(rng.integers(0, 55, 600), item, rng.integers(0, 1000, 600), 60, 30)


@pytest.fixture(scope="module")
def queries():
    rng = np.random.default_rng(8)
    return ask([rng.integers(0, 30, n).tolist() for n in (0, 1, 2, 5, 8, 40, 200)], 30)


def start(p, seed, n_users, n_items):
    rng = np.random.default_rng(seed)
    scale = np.float32(p.init_std / np.sqrt(p.dim))
    return [rng.standard_normal((n, p.dim), np.float32) * scale for n in (n_users, n_items)]


def implicit_by_hand(data, p, seed, threads=1):
    from implicit.als import AlternatingLeastSquares
    from scipy.sparse import csr_matrix
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1):
        model = AlternatingLeastSquares(
            factors=p.dim, regularization=p.l2 / p.alpha0, iterations=p.epochs, num_threads=threads
        )
        model.user_factors, model.item_factors = start(p, seed, data.n_users, data.n_items)
        model.fit(csr_matrix(dense(data) * (1 + 1 / p.alpha0)).astype(np.float32), show_progress=False)
    return model


def test_als_is_implicit_called_by_hand(drawn):
    p = ALS.Params(dim=8, nu=0.0, l2=0.3, alpha0=0.2, epochs=5)
    model, by_hand = fitted(ALS, drawn, seed=4, **vars(p)), implicit_by_hand(drawn, p, 4)
    assert np.array_equal(model.item_ID, by_hand.item_factors)
    assert not np.array_equal(fitted(ALS, drawn, seed=5, **vars(p)).item_ID, model.item_ID)


def test_als_folds_in_as_implicit_recalculates(drawn, queries, monkeypatch):
    from scipy.sparse import csr_matrix

    p = ALS.Params(dim=8, nu=0.0, l2=0.3, alpha0=0.2, epochs=5)
    by_hand = implicit_by_hand(drawn, p, 4)
    seen_QI = np.zeros((7, 30), np.float32)
    seen_QI[queries.items.flat()] = 1 + 1 / p.alpha0
    solved_QD = by_hand.recalculate_user(np.arange(7), csr_matrix(seen_QI))
    model = fitted(ALS, drawn, seed=4, **vars(p))
    np.testing.assert_allclose(model.score(queries), solved_QD @ by_hand.item_factors.T, atol=2e-5)
    monkeypatch.setattr("recbench_classic.similarity.PAIRS", 10)
    np.testing.assert_allclose(model.score(queries), solved_QD @ by_hand.item_factors.T, atol=2e-5)


def exact_pass(seen_RC, column_CD, p):
    """(R, D) the solution of each row's normal equations, with the penalty of the paper."""
    dim = column_CD.shape[1]
    rows = []
    for seen in seen_RC:
        penalty = p.l2 / p.alpha0 * (seen.sum() + p.alpha0 * len(seen)) ** p.nu
        weight = 1 + seen / p.alpha0
        rows.append(
            np.linalg.solve(
                (column_CD * weight[:, None]).T @ column_CD + penalty * np.eye(dim), column_CD.T @ (weight * seen)
            )
        )
    return np.array(rows)


@pytest.mark.parametrize("nu", [0.0, 0.5, 1.0])
def test_als_reaches_the_minimum_of_its_loss(drawn, nu):
    """Conjugate gradient of three steps a pass arrives, after many passes, where exact alternation does."""
    p = ALS.Params(dim=3, nu=nu, l2=0.05, alpha0=0.2, epochs=100)
    seen = dense(drawn)
    user, item = (f.astype(np.float64) for f in start(p, 0, 60, 30))
    for _ in range(100):
        user = exact_pass(seen, item, p)
        item = exact_pass(seen.T, user, p)
    model = fitted(ALS, drawn, seed=0, **vars(p))
    np.testing.assert_allclose(model.item_ID @ model.item_ID.T, item @ item.T, atol=1e-3 * np.abs(item @ item.T).max())


def test_a_penalty_of_each_row_equals_a_call_for_each_penalty(drawn, monkeypatch):
    """One pass over the users: rows that share a penalty solved by implicit's own argument, row by row."""
    from implicit.cpu.als import AlternatingLeastSquares
    from scipy.sparse import csr_matrix

    p = ALS.Params(dim=8, nu=1.0, l2=0.02, alpha0=0.2, epochs=1)
    user_UD, item_ID = start(p, 1, 60, 30)
    confidence = csr_matrix(dense(drawn) * (1 + 1 / p.alpha0)).astype(np.float32)
    solve = AlternatingLeastSquares(factors=8, num_threads=1).solver
    expected = user_UD.copy()
    for u, penalty in enumerate(factors.penalties(np.diff(confidence.indptr), 30, p)):
        solve(confidence[u], expected[u : u + 1], item_ID, penalty, num_threads=1)
    for worth, size in ((0, 100), (0, 2**22), (8, 2**22), (100, 2**22)):  # in blocks, in one, some called apart, all
        monkeypatch.setattr("recbench_classic.similarity.PAIRS", size)
        monkeypatch.setattr(factors, "ROWS_WORTH_A_CALL", worth)
        found, parts = user_UD.copy(), list(factors.penalised(confidence, p))
        wide = sum(part.shape[1] > 30 for _, part, _ in parts)
        assert wide == 1 if worth == 8 else wide == 0 if worth == 100 else (wide > 3) == (size == 100)
        factors.alternate(lambda *a: solve(*a, num_threads=1), parts, found, item_ID)
        np.testing.assert_allclose(found[:55], expected[:55], rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("nu", [0.0, 1.0])
def test_als_answers_a_history_by_its_normal_equations(drawn, queries, nu):
    p = ALS.Params(dim=8, nu=nu, l2=0.02, alpha0=0.2, epochs=3)
    model = fitted(ALS, drawn, **vars(p))
    seen_QI = np.zeros((7, 30))
    seen_QI[queries.items.flat()] = 1
    expected = exact_pass(seen_QI, model.item_ID.astype(np.float64), p) @ model.item_ID.T
    np.testing.assert_allclose(model.score(queries), expected, atol=1e-5)
    assert not model.score(queries)[0].any(), "nothing is known of an empty history"


@pytest.mark.parametrize("nu", [0.0, 1.0])
@pytest.mark.parametrize(("alpha0", "l2"), [(0.1, 0.003), (1e-3, 1e-4), (10.0, 1.0)])
def test_als_solves_short_and_long_histories_as_a_direct_solve_does(nu, alpha0, l2):
    """Histories of up to 40 items, in 16 factors of which one is nothing but 0 and one another's double."""
    rng, p = np.random.default_rng(3), ALS.Params(dim=16, nu=nu, alpha0=alpha0, l2=l2)
    item_ID = rng.normal(size=(300, 16)) * np.float32(2.0) ** -np.arange(16)
    item_ID[:, 5], item_ID[:, 6] = 0, 2 * item_ID[:, 7]
    model = ALS(p)
    model.item_ID = item_ID.astype(np.float32)
    exact_ID = model.item_ID.astype(np.float64)
    model.gram_DD = exact_ID.T @ exact_ID
    rows = [rng.permutation(300)[:n].tolist() for n in (1, 2, 3, 7, 15, 16, 17, 40)]
    seen_QI = np.zeros((8, 300))
    seen_QI[np.repeat(np.arange(8), [len(row) for row in rows]), np.concatenate(rows)] = 1
    expected_QI = exact_pass(seen_QI, exact_ID, p) @ exact_ID.T
    alone = np.concatenate([model.score(ask([row], 300)) for row in rows])
    for found in (model.score(ask(rows, 300)), alone):
        np.testing.assert_allclose(found, expected_QI, rtol=0, atol=1e-6 * np.abs(expected_QI).max())


def test_one_long_history_widens_no_block_of_short_ones():
    """Padded to its length, all 1500 would take 1500 x 4000 x 16 numbers, 768 MB."""
    model = ALS(ALS.Params(dim=16))
    model.item_ID = np.random.default_rng(0).normal(size=(4000, 16)).astype(np.float32)
    model.gram_DD = model.item_ID.astype(np.float64).T @ model.item_ID
    asked = ask([[1, 2]] * 1499 + [list(range(4000))], 4000)
    tracemalloc.start()
    scores = model.score(asked)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 200e6
    np.testing.assert_allclose(scores[[0, -1]], model.score(asked.take(np.array([0, 1499]))), rtol=1e-4, atol=1e-5)


def test_als_is_the_same_on_two_threads(drawn):
    from recbench.model import Context

    one, two = (ALS(ALS.Params(dim=8, epochs=1)) for _ in range(2))
    one.fit(drawn, Context(seed=1, threads=1))
    two.fit(drawn, Context(seed=1, threads=2))
    assert np.array_equal(one.item_ID, two.item_ID)


def bpr_by_hand(data, seed, **given):
    from implicit.cpu.bpr import BayesianPersonalizedRanking
    from scipy.sparse import csr_matrix

    model = BayesianPersonalizedRanking(factors=8, iterations=30, num_threads=1, random_state=seed, **given)
    model.fit(csr_matrix(dense(data)).astype(np.float32), show_progress=False)
    return model


def test_bpr_is_implicit_called_by_hand_and_so_are_known_users_answers(drawn, queries):
    by_hand = bpr_by_hand(drawn, 4, learning_rate=0.05, regularization=0.02)
    model = fitted(BPR, drawn, seed=4, dim=8, epochs=30, learning_rate=0.05, l2=0.02)
    assert np.array_equal(model.item_ID, by_hand.item_factors) and np.array_equal(model.user_UD, by_hand.user_factors)
    known = queries.take(np.arange(1, 7))
    np.testing.assert_allclose(
        model.score(known), by_hand.user_factors[1:7] @ by_hand.item_factors.T, rtol=1e-5, atol=1e-6
    )


def test_bpr_reads_a_new_user_s_vector_off_the_history(drawn):
    """The map is least squares over the training users, written out with a pseudo-inverse."""
    model = fitted(BPR, drawn, seed=4, dim=8, epochs=30)
    seen_UI = dense(drawn)[:55]
    mean_UD = seen_UI @ model.item_ID.astype(np.float64) / seen_UI.sum(1, keepdims=True)
    guess = np.linalg.pinv(np.c_[mean_UD, np.ones(55)]) @ model.user_UD[:55]
    histories = ask([[]] * 55 + [[3, 5, 3], [], [7]], 30).take(np.array([55, 56, 57]))  # users 55.. have no events
    asked_QD = np.stack([model.item_ID[[3, 5]].mean(0), mean_UD.mean(0), model.item_ID[7]])
    expected = np.c_[asked_QD, np.ones(3)] @ guess @ model.item_ID.T
    np.testing.assert_allclose(model.score(histories), expected, rtol=1e-3, atol=1e-4)


def test_factors_that_do_not_fit_are_refused(drawn, monkeypatch):
    monkeypatch.setattr(memory, "available_bytes", lambda: 100)
    for cls, name in ((ALS, "als"), (BPR, "bpr")):
        with pytest.raises(RecbenchError, match=rf"{name}: 64 factors may need .* give a smaller model.dim"):
            fitted(cls, drawn)


@pytest.mark.parametrize("cls", [ALS, BPR])
def test_an_empty_log_is_answered_with_zeros(cls):
    nothing = dataset(np.empty(0, int), np.empty(0, int), np.empty(0, int), 2, 3)
    assert not fitted(cls, nothing, dim=4).score(ask([[], [1]], 3)).any()
