"""The models of values against values worked out by hand, naive loops, finite differences and scikit-learn; the kit of each is in
test_kit.py, with that of every plugin.

Letters: Q questions, U users, I items, K numbers of a vector.
"""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from conftest import entries
from recbench_classic.ratings.factors import BiasedMF, MeanRating, ridge
from recbench_classic.ratings.pairs import ItemKNNRating, SlopeOne, strongest
from recbench_classic.ratings.rated import Rated
from recbench_classic.ratings.regression import LinearRegression
from recbench_classic.ratings.svdpp import SVDpp

from recbench.data import Interactions, Queries, Ragged
from recbench.dataset import Dataset, DatasetInfo
from recbench.errors import RecbenchError
from recbench.features import FeatureParams, Features, behaviour_features, rate_prior
from recbench.model import Context
from recbench.standard import Standard

CLASSES = (MeanRating, BiasedMF, SVDpp, SlopeOne, ItemKNNRating, LinearRegression)


def dataset(user, item, value, n_users, n_items, time=None, clock="seconds", **fields):
    time = np.arange(len(user)) if time is None else np.array(time)
    columns = (np.array(user, int), np.array(item, int), time)
    log = Interactions.sorted(*columns, n_users=n_users, n_items=n_items, value=np.array(value, np.float32))
    return Dataset(
        DatasetInfo("toy", "toy", clock, "none", "here"), log, np.arange(n_users), np.arange(n_items), **fields
    )


def ask(item_Q, histories, n_items, users=None, now=10**6, times=None):
    """One question an item; a history is a list of (item, value)."""
    items = Ragged.from_rows([[item for item, _ in history] for history in histories])
    values = replace(items, values=np.array([v for history in histories for _, v in history], np.float32))
    when = replace(items, values=np.array(times if times is not None else range(len(items.values)), np.int64))
    zeros = replace(items, values=np.zeros(len(items.values), np.int8))
    user = np.arange(len(item_Q), dtype=np.int32) if users is None else np.array(users, np.int32)
    moment = np.full(len(item_Q), now, np.int64)
    every, asked = np.ones(n_items, bool), np.array(item_Q, np.int32)
    return Queries(user, moment, items, zeros, when, values, every, True, item=asked)


def fitted(cls, data, seed=0, **params):
    model = cls(cls.Params(**params))
    model.fit(data, Context(seed=seed))
    return model


N_USERS, N_ITEMS = 40, 15


@pytest.fixture(scope="module")
def drawn():
    """About 250 values of 40 users, of whom the last has none, and 15 items, of which the last has none."""
    rng = np.random.default_rng(3)
    user, item = np.divmod(np.flatnonzero(rng.random((N_USERS - 1) * (N_ITEMS - 1)) < 0.45), N_ITEMS - 1)
    level = 3 + rng.normal(0, 0.8, N_USERS)[user] + rng.normal(0, 0.5, N_ITEMS)[item]
    value = np.clip(np.rint(level + rng.normal(0, 0.5, len(user))), 1, 5)
    items = pd.DataFrame({"category": [("a|b", "b", None)[i % 3] for i in range(N_ITEMS)], "price": np.arange(N_ITEMS)})
    data = dataset(user, item, value, N_USERS, N_ITEMS, time=rng.permutation(len(user)) * 3600, items=items)
    return data


def of_users(data, users, item_Q):
    """Questions of known users with all of their training events as history."""
    log = data.interactions
    row = [np.flatnonzero(log.user == u) for u in users]
    histories = [list(zip(log.item[r].tolist(), log.value[r].tolist(), strict=True)) for r in row]
    times = np.concatenate([log.time[r] for r in row])
    return ask(item_Q, histories, data.n_items, users=users, now=int(log.time[-1]) + 1, times=times)


@pytest.fixture(scope="module")
def asked(drawn):
    """60 questions, some of one user, one of the user without a history, one about the item that nobody met."""
    rng = np.random.default_rng(4)
    users = np.r_[np.sort(rng.integers(0, N_USERS - 1, 58)), N_USERS - 1, 0]
    return of_users(drawn, users, np.r_[rng.integers(0, N_ITEMS - 1, 59), N_ITEMS - 1])


def dense(data):
    value_UI = np.full((data.n_users, data.n_items), np.nan)
    value_UI[data.interactions.user, data.interactions.item] = data.interactions.value
    return value_UI


def levels(value_UI, damping, rounds):
    """Mean, level of each item, level of each user, entry by entry."""
    mean = np.nanmean(value_UI)
    met = ~np.isnan(value_UI)
    left_UI = np.where(met, value_UI - mean, 0)
    item_I, user_U = np.zeros(value_UI.shape[1]), np.zeros(len(value_UI))
    for _ in range(rounds):
        item_I = ((left_UI - user_U[:, None]) * met).sum(0) / (met.sum(0) + damping)
        user_U = ((left_UI - item_I) * met).sum(1) / (met.sum(1) + damping)
    return mean, item_I, user_U


# by hand: user 0 gives 5, 3, 2 to items 0, 1, 2; user 1 gives 3, 4 to items 0, 1; user 2 gives 2, 5 to items 1, 2
HAND = dataset([0, 0, 0, 1, 1, 2, 2], [0, 1, 2, 0, 1, 1, 2], [5, 3, 2, 3, 4, 2, 5], 3, 4)


def value_of(model, item, history):
    return float(model.pairs(ask([item], [history], 4), np.array([item]))[0])


def test_mean_rating_by_hand():
    model = fitted(MeanRating, HAND, damping_items=2.0, damping_users=1.0)
    mean = 24 / 7
    level = [(8 - 2 * mean) / 4, (9 - 3 * mean) / 5, (7 - 2 * mean) / 4, 0]
    user = (5 - mean - level[0] + 1 - mean - level[2]) / 3
    assert value_of(model, 1, [(0, 5), (2, 1)]) == pytest.approx(mean + level[1] + user)
    assert value_of(model, 3, []) == pytest.approx(mean)


def test_slope_one_by_hand():
    # Lucy rated items 1 and 2 with 2 and 5; item 0 lies (2 - 1) / 2 = 0.5 above item 1 (two users), 3 above item 2 (one)
    model = fitted(SlopeOne, HAND)
    assert value_of(model, 0, [(1, 2), (2, 5)]) == pytest.approx((2 * (2 + 0.5) + 1 * (5 + 3)) / 3)
    assert value_of(model, 0, [(2, 1), (2, 5), (1, 2)]) == pytest.approx((2 * (2 + 0.5) + 1 * (5 + 3)) / 3)
    assert value_of(fitted(SlopeOne, HAND, min_support=2), 0, [(1, 2), (2, 5)]) == pytest.approx(2.5)
    assert value_of(fitted(SlopeOne, HAND, partners=1), 0, [(1, 2), (2, 5)]) == pytest.approx(2.5)
    mean, item_I, _ = levels(dense(HAND), 5.0, 10)
    user = (2 - mean - item_I[1]) / 6
    assert value_of(model, 3, [(1, 2)]) == pytest.approx(mean + item_I[3] + user), "no partner: levels answer"


def test_item_knn_rating_by_hand():
    # items 0 and 1 are liked by the same users, item 2 by the others: item 2 is no partner of item 0
    table = np.array([[5, 4, 1], [1, 2, 5], [4, 4, 2]], float)
    user, item = np.divmod(np.arange(9), 3)
    data = dataset(user, item, table.ravel(), 3, 4)
    model = fitted(ItemKNNRating, data, damping_items=50.0, damping_users=50.0, shrink=3.0)
    mean, item_I, user_U = levels(table, 50.0, 10)
    e = table - mean - item_I - user_U[:, None]
    similar = (e[:, 0] * e[:, 1]).sum() / np.sqrt((e[:, 0] ** 2).sum() * (e[:, 1] ** 2).sum()) * 2 / (2 + 3)
    assert model.partner_II.toarray().ravel().tolist() == pytest.approx([0, similar, 0, 0, similar, *[0] * 11])
    own = (2 - mean - item_I[1] + 3 - mean - item_I[2]) / (2 + 50)
    residual = 2 - mean - item_I[1] - own
    assert value_of(model, 0, [(1, 2), (2, 3)]) == pytest.approx(mean + item_I[0] + own + residual)
    own = (3 - mean - item_I[2]) / (1 + 50)
    assert value_of(model, 0, [(2, 3)]) == pytest.approx(mean + item_I[0] + own), "no partner: levels answer"
    assert fitted(ItemKNNRating, data, min_support=4).partner_II.nnz == 0


@pytest.mark.parametrize("neighbours", [3, 1000])
def test_item_knn_rating_equals_naive(drawn, asked, monkeypatch, neighbours):
    monkeypatch.setattr("recbench_classic.ratings.pairs.CHUNK", 4)
    monkeypatch.setattr("recbench_classic.ratings.pairs.CELLS", 200)
    value_UI = dense(drawn)
    mean, item_I, user_U = levels(value_UI, 4.0, 10)
    e = value_UI - mean - item_I - user_U[:, None]
    similar_II = np.zeros((N_ITEMS, N_ITEMS))
    for i in range(N_ITEMS):
        for j in range(N_ITEMS):
            both = ~np.isnan(e[:, i]) & ~np.isnan(e[:, j])
            n = both.sum()
            if i != j and n >= 2:
                rho = (e[both, i] * e[both, j]).sum() / np.sqrt((e[both, i] ** 2).sum() * (e[both, j] ** 2).sum())
                similar_II[i, j] = max(0, rho * (n - 1) / (n - 1 + 20))
    expected = []
    for u, i in zip(asked.user, asked.item, strict=True):
        near = [j for j in np.argsort(-similar_II[i], kind="stable") if similar_II[i, j] > 0 and value_UI[u, j] > 0]
        near = near[:neighbours]
        pull = sum(similar_II[i, j] * e[u, j] for j in near) / sum(similar_II[i, j] for j in near) if near else 0
        expected.append(mean + item_I[i] + user_U[u] + pull)
    params = {"damping_items": 4.0, "damping_users": 4.0, "shrink": 20.0, "neighbours": neighbours}
    model = fitted(ItemKNNRating, drawn, **params)
    np.testing.assert_allclose(model.pairs(asked, asked.item), expected, rtol=1e-5)
    of_all = model.score(asked)[np.arange(len(asked)), asked.item]
    np.testing.assert_allclose(of_all, expected, rtol=1e-5)


def test_slope_one_equals_naive(drawn, asked, monkeypatch):
    monkeypatch.setattr("recbench_classic.ratings.pairs.CHUNK", 4)
    monkeypatch.setattr("recbench_classic.ratings.pairs.CELLS", 200)
    value_UI = dense(drawn)
    model, expected = fitted(SlopeOne, drawn, min_support=3), []
    mean, item_I, user_U = levels(value_UI, 5.0, 10)
    for u, i in zip(asked.user, asked.item, strict=True):
        total = weight = 0
        for j in np.flatnonzero(value_UI[u] > 0):
            both = ~np.isnan(value_UI[:, i] + value_UI[:, j])
            if i != j and both.sum() >= 3:
                weight += both.sum()
                total += both.sum() * value_UI[u, j] + (value_UI[both, i] - value_UI[both, j]).sum()
        expected.append(total / weight if weight else mean + item_I[i] + user_U[u])
    np.testing.assert_allclose(model.pairs(asked, asked.item), expected, rtol=1e-5)
    np.testing.assert_allclose(model.score(asked)[np.arange(len(asked)), asked.item], expected, rtol=1e-5)


def test_sums_of_nothing_are_no_missing_pair():
    """Users 0 and 1 give 1 and -1 to both items: the sum of item 0's values over the users of both is 0."""
    even = dataset([0, 0, 1, 1, 2], [0, 1, 0, 1, 2], [1, 2, -1, 4, 3], 3, 4)
    assert value_of(fitted(SlopeOne, even), 1, [(0, 2)]) == pytest.approx(2 + 3)
    flat = dataset([0, 0, 1, 1], [0, 1, 0, 1], [3, 3, 3, 3], 2, 4)
    assert value_of(fitted(ItemKNNRating, flat), 1, [(0, 3)]) == pytest.approx(3)


def test_the_strongest_of_each_group_ties_to_the_first():
    group, strength = np.array([0, 0, 0, 2, 2, 5]), np.array([1.0, 3, 3, 2, 7, 1])
    assert strongest(group, strength, 1).tolist() == [1, 4, 5]
    assert strongest(group, strength, 2).tolist() == [1, 2, 3, 4, 5]
    assert strongest(group, strength, 9).tolist() == list(range(6))


@pytest.mark.parametrize("cells", [1 << 22, 60])
def test_ridge_equals_a_dense_solve_a_row(drawn, monkeypatch, cells):
    monkeypatch.setattr("recbench_classic.matrices.CELLS", cells)
    rng, rated = np.random.default_rng(0), Rated.of_log(drawn.interactions)
    target_N, features_IF = rng.normal(size=len(rated)), rng.normal(size=(N_ITEMS, 4))
    penalty_RF = rng.random((N_USERS, 4)) + 0.1
    found = ridge(rated, target_N, features_IF, penalty_RF)
    for u in range(N_USERS):
        x = features_IF[rated.item[rated.row == u]]
        expected = np.linalg.inv(x.T @ x + np.diag(penalty_RF[u])) @ x.T @ target_N[rated.row == u]
        np.testing.assert_allclose(found[u], expected, atol=1e-9)
    assert not found[-1].any(), "a user without values"


@pytest.mark.parametrize(("penalty", "l2", "l2_bias"), [("constant", 2.0, 1.0), ("counts", 0.1, 0.03)])
def test_sweeps_of_biased_mf_equal_naive_loops(drawn, asked, penalty, l2, l2_bias):
    value_UI, rng = dense(drawn), np.random.default_rng(5)
    mean, bias_I, q_IK = np.nanmean(value_UI), np.zeros(N_ITEMS), rng.normal(0, 0.1, (N_ITEMS, 3))

    def solved(values, vectors, biases):
        """Level and vector of one user or item from its values, NaN where there is none."""
        met = np.flatnonzero(~np.isnan(values))
        scale = max(1, len(met)) if penalty == "counts" else 1
        a, b = np.diag([l2_bias * scale, *[l2 * scale] * 3]), np.zeros(4)
        for m in met:
            x = np.array([1, *vectors[m]])
            a += np.outer(x, x)
            b += x * (values[m] - mean - biases[m])
        return np.linalg.solve(a, b)

    for _ in range(2):
        user = np.array([solved(value_UI[u], q_IK, bias_I) for u in range(N_USERS)])
        item = np.array([solved(value_UI[:, i], user[:, 1:], user[:, 0]) for i in range(N_ITEMS)])
        bias_I, q_IK = item[:, 0], item[:, 1:]
    user = np.array([solved(value_UI[u], q_IK, bias_I) for u in range(N_USERS)])
    model = fitted(BiasedMF, drawn, seed=5, dim=3, sweeps=2, penalty=penalty, l2=l2, l2_bias=l2_bias)
    value = mean + bias_I + user[:, :1] + user[:, 1:] @ q_IK.T
    np.testing.assert_allclose(model.pairs(asked, asked.item), value[asked.user, asked.item])
    np.testing.assert_allclose(model.score(asked), value[asked.user], rtol=1e-5)


@pytest.fixture(scope="module")
def implicit(drawn):
    """SVD++ with some implicit vectors, not at any optimum."""
    return fitted(SVDpp, drawn, dim=3, epochs=2, l2=2.0, l2_bias=1.0, l2_implicit=3.0, rate=0.1, batch=7)


def test_svdpp_predicts_what_naive_loops_do(drawn, asked, implicit):
    value_UI, m = dense(drawn), implicit
    for u, i, found in zip(asked.user, asked.item, m.pairs(asked, asked.item), strict=True):
        met = np.flatnonzero(~np.isnan(value_UI[u]))
        z = sum((m.implicit_IK[j] for j in met), np.zeros(3)) / max(1, len(met)) ** 0.5
        x = np.column_stack([np.ones(len(met)), m.vector_IK[met]])
        left = value_UI[u, met] - m.mean - m.bias_I[met] - m.vector_IK[met] @ z
        b, *p = np.linalg.solve(x.T @ x + np.diag([1.0, 2, 2, 2]), x.T @ left)
        assert found == pytest.approx(m.mean + m.bias_I[i] + b + m.vector_IK[i] @ (p + z))


def test_svdpp_descends_along_finite_differences(drawn, implicit):
    """Of the whole error, in which the users' part follows what is moved."""
    rated, step = Rated.of_log(drawn.interactions), 1e-5
    _, slopes = implicit.loss_and_gradients(rated, 0.7)
    for name, slope in zip(("bias_I", "vector_IK", "implicit_IK"), slopes, strict=True):
        array = getattr(implicit, name)
        for at in ((2,), (5,)) if array.ndim == 1 else ((2, 0), (5, 2), (13, 1)):
            kept, ends = array[at], []
            for side in (step, -step):
                array[at] = kept + side
                ends.append(implicit.loss_and_gradients(rated, 0.7)[0])
            array[at] = kept
            assert slope[at] == pytest.approx((ends[0] - ends[1]) / (2 * step), rel=1e-5), (name, at)


def test_svdpp_learns(drawn):
    rated, error = Rated.of_log(drawn.interactions), []
    for epochs in (1, 15):
        error.append(fitted(SVDpp, drawn, dim=3, epochs=epochs, l2=2.0).loss_and_gradients(rated, 1.0)[0])
    assert error[1] < 0.97 * error[0]


def shrunk(residuals, damping=5.0):
    return sum(residuals) / (len(residuals) + damping)


def naive_rows(known, level_I, user_N, item_N, time_N, prior_B):
    """The columns of questions one by one, users and items both from the events of `known`."""
    log, rows = known.interactions, []
    sets = [set(cell.split("|")) if isinstance(cell, str) else set() for cell in known.items["category"]]
    for u, i, t in zip(user_N, item_N, time_N, strict=True):
        of_user = (log.user == u) & (log.time < t)
        left = [(j, v - level_I[j]) for j, v in zip(log.item[of_user], log.value[of_user], strict=True)]
        same = [shrunk([r for j, r in left if c in sets[j]]) for c in sets[i]]
        rows.append([shrunk([r for _, r in left]), np.mean(same) if same else 0])
    raw = behaviour_features(known, user_N, item_N, time_N, FeatureParams(), prior_B)
    values = np.column_stack([raw.values, np.array(rows)]).astype(np.float32)
    return Features(values, (*raw.names, "user_residual", "same_category_residual"))


@pytest.mark.parametrize("rows", ["others", "past"])
def test_linear_regression_equals_scikit_learn_on_a_naive_matrix(drawn, rows):
    from sklearn.linear_model import Ridge

    log = drawn.interactions
    drawn = replace(drawn, interactions=log.where(np.arange(len(log)) % 3 == 0))
    asked = of_users(drawn, np.arange(N_USERS).repeat(2), np.arange(2 * N_USERS) % N_ITEMS)
    log, prior_B = drawn.interactions, rate_prior(drawn.interactions)
    mean, item_I, _ = levels(dense(drawn), 5.0, 10)
    if rows == "past":
        raw = naive_rows(drawn, mean + item_I, log.user, log.item, log.time, prior_B)
    else:
        fold_E = np.random.default_rng(0).permutation(len(log)) % 3
        values = [None] * len(log)
        for e in range(len(log)):
            known = replace(drawn, interactions=log.where(fold_E != fold_E[e]))
            own = known.interactions.time[known.interactions.user == log.user[e]]
            moment = max(log.time[e], own.max(initial=-2) + 1)
            raw = naive_rows(known, mean + item_I, log.user[e : e + 1], log.item[e : e + 1], [moment], prior_B)
            values[e] = raw.values[0]
        raw = Features(np.array(values), raw.names)
    rules = Standard.fit(raw)
    queries_raw = naive_rows(drawn, mean + item_I, asked.user, asked.item, asked.time, prior_B)

    def matrix(raw, items):
        one_hot = np.eye(N_ITEMS)[items]
        cells = drawn.items["category"].to_numpy()[items]
        of_category = [[isinstance(c, str) and name in c.split("|") for name in "ab"] for c in cells]
        return np.column_stack([rules(raw).values, np.column_stack([one_hot, of_category]) * np.sqrt(7.0 / 2.0)])

    solved = Ridge(alpha=7.0, solver="cholesky").fit(matrix(raw, log.item), log.value)
    model = fitted(LinearRegression, drawn, rows=rows, folds=3, l2=7.0, l2_items=2.0)
    expected = solved.predict(matrix(queries_raw, asked.item))
    np.testing.assert_allclose(model.pairs(asked, asked.item), expected, atol=2e-4)


def test_linear_regression_answers_without_clock_attributes_and_repeats():
    times = np.zeros(7, np.int64)
    still = dataset(HAND.interactions.user, HAND.interactions.item, HAND.interactions.value, 3, 4, times, "none")
    model = fitted(LinearRegression, still, folds=3)
    queries = ask([0, 3], [[(1, 2), (2, 5)], []], 4, now=1, times=[0, 0])
    assert np.isfinite(model.predict(queries)).all()
    with pytest.raises(RecbenchError, match="rows=past needs an order, and the data have none; set rows=others"):
        fitted(LinearRegression, still, rows="past")


@pytest.mark.parametrize("cls", CLASSES)
def test_new_users_are_answered_from_their_history_alone(drawn, asked, cls):
    model = fitted(cls, drawn, **cls.small)
    strangers = replace(asked, user=asked.user + 1000)
    assert np.array_equal(model.predict(strangers), model.predict(asked))
    generous, stern = ([[(j, v) for j in range(5, 11)]] for v in (5, 1))
    given = [model.predict(ask([2], history, N_ITEMS))[0, 0] for history in (generous, stern)]
    assert given[0] > given[1] + 0.5


@pytest.mark.parametrize("cls", CLASSES)
def test_values_are_clipped_to_the_range_met_in_training_and_scores_are_not(drawn, cls):
    model = fitted(cls, drawn, **cls.small)
    low, high = drawn.interactions.value.min(), drawn.interactions.value.max()
    wild = ask([2, 2], [[(j, 90) for j in range(5, 11)], [(j, -90) for j in range(5, 11)]], N_ITEMS)
    assert model.predict(wild)[:, 0].tolist() == [high, low]
    assert model.score(wild)[0, 2] > high + 1 and model.score(wild)[1, 2] < low - 1


@pytest.mark.parametrize("cls", CLASSES[:-1])
def test_of_a_pair_met_twice_the_last_value_counts(drawn, cls):
    model = fitted(cls, drawn, **cls.small)
    twice, once = ask([2, 2], [[(5, 1), (6, 4), (5, 5)], [(6, 4), (5, 5)]], N_ITEMS), [0, 1]
    first, second = model.predict(twice)[once, 0]
    assert first == pytest.approx(second)


@pytest.mark.parametrize("cls", CLASSES)
def test_saved_models_answer_the_same(drawn, asked, tmp_path, cls):
    model = fitted(cls, drawn, **cls.small)
    model.save(tmp_path)
    loaded = cls.load(tmp_path)
    assert loaded.params == model.params
    assert np.array_equal(loaded.predict(asked), model.predict(asked))
    assert np.array_equal(loaded.score(asked), model.score(asked))


@pytest.mark.parametrize("cls", CLASSES)
def test_empty_log(cls):
    nothing = dataset([], [], [], 2, 3) if cls is not LinearRegression else dataset([0], [1], [4], 2, 3)
    model = fitted(cls, nothing, **cls.small)
    queries = ask([0, 1], [[], [(1, 2)]], 3)
    assert np.isfinite(model.predict(queries)).all() and np.isfinite(model.score(queries)).all()
    assert model.predict(queries.take(slice(0, 0))).shape == (0, 1)


@pytest.mark.parametrize("cls", [BiasedMF, SVDpp])
def test_the_seed_draws_the_first_vectors(drawn, asked, cls):
    first, same, other = (fitted(cls, drawn, seed, **cls.small).predict(asked) for seed in (1, 1, 2))
    assert np.array_equal(first, same) and not np.array_equal(first, other)


RUN = ("data=file", "data.path=stars.csv", "board=stars.yaml", "submit=true")


def test_a_rating_board_from_the_command_line(quickly, tmp_path, drawn):
    log = drawn.interactions
    rows = {"user": log.user, "item": log.item, "rating": log.value, "time": log.time + 1_600_000_000}
    pd.DataFrame(rows).to_csv(tmp_path / "stars.csv", index=False)
    board = {"name": "stars", "data": "file", "data_params": {"path": "stars.csv"}, "task": "rating", "seeds": [1]}
    board |= {"metrics": ["rmse", "mae", "ndcg@3"], "headline": "rmse", "split": "random_pairs", "candidates": "all"}
    (tmp_path / "stars.yaml").write_text(json.dumps(board))
    for model in ("mean-rating", "svd++"):
        done = quickly(f"model={model}", *RUN)
        assert done.returncode == 0, done.stderr
    table = [
        line
        for line in done.stdout[done.stdout.index("Board stars") :].splitlines()
        if "rating" in line or "svd++" in line
    ]
    done = quickly(
        "-m", "model=biased-mf", *RUN, "model.dim=2", "model.l2=choice(0.1,100)", "sweep=random", "sweep.trials=3"
    )
    assert done.returncode == 0, done.stderr
    found = {entry["model"]: entry for entry in entries(tmp_path / "runs")}
    assert set(found) == {"mean-rating", "svd++", "biased-mf"} and len(table) >= 2
    for entry in found.values():
        assert entry["task"] == "rating" and entry["scores"]["rmse"]["better"] == "lower" and entry["on_board"]
        with np.load(tmp_path / "runs" / entry["key"] / "predictions.npz") as told:
            error = told["predicted"] - told["true"]
            assert len(error) == entry["n_queries"] == len(told["user"]) == len(told["item"])
        assert entry["scores"]["rmse"]["value"] == pytest.approx(np.sqrt(np.mean(error**2)))
        assert entry["scores"]["mae"]["value"] == pytest.approx(np.mean(np.abs(error)))
    trials = found["biased-mf"]["tuning"]
    best = min(trials, key=lambda trial: trial["valid_headline"])
    assert len({trial["valid_headline"] for trial in trials}) > 1, "else nothing was chosen"
    assert found["biased-mf"]["params"]["l2"] == best["params"]["l2"]
    page = (tmp_path / "leaderboards" / "stars" / "README.md").read_text().splitlines()
    assert any(line.startswith("Headline rmse, lower is better; 95% intervals") for line in page)
    order = [name for line in page for name in found if f"| {name} |" in line]
    assert order == sorted(found, key=lambda name: found[name]["scores"]["rmse"]["value"])
