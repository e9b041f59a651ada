"""Models of behaviours against values worked out by hand, scikit-learn, LightGBM, and planted coefficients.

Letters: N questions learned from, Q questions, B behaviours asked about.
"""

import sys
from collections import Counter
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from recbench_behavior.hashed import Fields
from recbench_behavior.judge import base_rates, decided
from recbench_behavior.logistic import LogisticRegression
from recbench_behavior.prior import Prior
from recbench_behavior.trees import GBDT, set_aside
from recbench_classic.ratings.regression import LinearRegression

from recbench.asked import Known, histories, lessons, question_features
from recbench.data import Interactions, Queries, Ragged
from recbench.dataset import Dataset, DatasetInfo
from recbench.errors import RecbenchError
from recbench.features import Features, behaviour_features, rate_prior
from recbench.model import Context
from recbench.plan import Board
from recbench.questions import training_parts, training_questions
from recbench.split import split
from recbench.standard import Standard
from recbench.testing.worlds import START, acts

CLASSES = (Prior, LogisticRegression, GBDT, LinearRegression)
WORLD = acts(120)
PARTS = WORLD.split()


def fitted(cls, train=PARTS.train, board=WORLD.board, seed=1, chosen=None, **params):
    model = cls(cls.Params(**params))
    model.fit(train, Context(seed=seed, board=board, chosen=chosen or {}))
    return model


def learned(prior_B=None):
    """The features of the training questions, window by window as a model meets them."""
    parts = [
        question_features(known, part.queries, None, prior_B)
        for known, part in training_parts(PARTS.train, WORLD.board)
    ]
    return Features(np.concatenate([part.values for part in parts]), parts[0].names)


# what is learned from


def test_known_gives_the_features_of_the_training_part_back():
    cells = {"brand": ["a", None, "b", "a"], "tags": [["x", "y"], "x|z", None, []], "price": [1.5, np.nan, 0, 2]}
    log = WORLD.dataset.interactions
    few = log.where(log.item < 4)
    shop = replace(
        WORLD.dataset, interactions=replace(few, n_items=4), item_ids=np.arange(4), items=pd.DataFrame(cells)
    )
    queries = training_questions(shop, WORLD.board).queries
    known, expected = Known.of(shop), question_features(shop, queries, None, rate_prior(shop.interactions))
    assert known.features(queries).names == expected.names
    assert np.array_equal(known.features(queries).values, expected.values, equal_nan=True)
    assert "item_price" in expected.names and "same_tags_share" in expected.names


def test_questions_of_the_training_part_have_the_features_of_its_own_log():
    asked = training_questions(PARTS.train, WORLD.board).queries
    found = question_features(PARTS.train, asked)
    expected = behaviour_features(PARTS.train, asked.user, asked.item, asked.time)
    assert found.names == expected.names and np.array_equal(found.values, expected.values, equal_nan=True)


def test_an_empty_history_is_not_that_of_the_next_user():
    empty_first = Ragged(np.array([3, 4], np.int32), np.array([0, 0]), np.array([0, 2]))
    column = replace(empty_first, values=np.array([START, START + 1]))
    kinds = replace(empty_first, values=np.zeros(2, np.int8))
    queries = Queries(
        np.array([5, 6]), np.full(2, START + 9), empty_first, kinds, column, kinds, np.ones(24, bool), True,
        item=np.array([3, 3], np.int32),
    )  # fmt: skip
    met, who = histories(queries, ("view",))
    assert np.bincount(met.user, minlength=2)[who].tolist() == [0, 2]


def test_no_more_is_learned_from_than_was_said():
    def learned(most, seed, board=WORLD.board):
        parts = list(lessons(PARTS.train, board, most, seed))
        return np.concatenate([part.queries.time * 1000 + part.queries.user for _, part in parts])

    every = learned(10**6, 1)
    assert 100 <= len(learned(100, 1)) < 110 and set(learned(100, 1)) <= set(every)
    assert np.array_equal(learned(100, 1), learned(100, 1)) and not np.array_equal(learned(100, 1), learned(100, 2))
    by_lot = replace(WORLD.board, ask="window_start", split="random_pairs", horizon_days=0.0)
    assert 100 <= len(learned(100, 1, by_lot)) < 110, "its share from each of ten parts"


@pytest.mark.parametrize("cls", CLASSES[:-1])
def test_models_of_behaviours_need_a_board_that_asks_for_them(cls):
    for board in (None, Board("b", "acts", ("x",), "x", split="leave_last_out")):
        with pytest.raises(RecbenchError, match="who learns behaviours needs a board of task behavior"):
            fitted(cls, board=board)
    nothing = replace(WORLD.board, exposures=("buy",), horizon_days=10_000.0)
    with pytest.raises(RecbenchError, match="board acts asks no question of the training part"):
        fitted(cls, board=nothing)


# base rates


def asked_about(model, user, item):
    queries = PARTS.test.queries.take(np.zeros(len(user), int))
    return model.predict(replace(queries, user=np.array(user, np.int32), item=np.array(item, np.int32)))


def test_prior_by_hand():
    asked = training_questions(PARTS.train, WORLD.board)
    user, item, y = asked.queries.user, asked.queries.item, asked.outcomes
    base = [(y[:, b].sum() + 0.5) / (len(y) + 1) for b in (0, 1)]
    assert asked_about(fitted(Prior), [0, 10**6], [0, 1]).tolist() == [base, base]
    for by, row in (("item", item), ("user", user)):
        known = int(row[0])
        mine = row == known
        expected = [(y[mine, b].sum() + 8 * base[b]) / (mine.sum() + 8) for b in (0, 1)]
        found = asked_about(fitted(Prior, by=by, damping=8.0), [known, 10**6], [known, 23])
        assert found[0].tolist() == pytest.approx(expected)
        if by == "user":
            assert found[1].tolist() == base, "whom training never asked"


def test_rates_never_reach_0_or_1_and_what_never_varies_is_known_by_them():
    outcomes_NB = np.array([[True, False, True], [True, False, False]])
    assert base_rates(outcomes_NB).tolist() == [2.5 / 3, 0.5 / 3, 0.5]
    assert decided(outcomes_NB).tolist() == [True, True, False]


@pytest.mark.parametrize("cls", [LogisticRegression, GBDT])
def test_a_behaviour_that_training_never_shows_has_its_rate(cls, tmp_path):
    log = PARTS.train.interactions
    train = replace(PARTS.train, interactions=log.where(log.behavior < 2))
    model = fitted(cls, train, **cls.small)
    n = len(training_questions(train, WORLD.board).queries)
    p_QB = model.predict(PARTS.test.queries)
    assert p_QB[:, 1] == pytest.approx(0.5 / (n + 1)) and np.ptp(p_QB[:, 0]) > 0.1
    model.save(tmp_path)
    assert np.array_equal(cls.load(tmp_path).predict(PARTS.test.queries), p_QB)


# logistic regression


def dense_fields(width, model, queries):
    """(Q, W) by a loop over values, with the hash that the model has."""
    out = np.zeros((len(queries), width))
    for row, key in model.fields.keys(queries):
        for q, k in zip(row.tolist(), key.tolist(), strict=True):
            out[q, k % width] += 1
    return out


@pytest.mark.parametrize("columns", ["features", "crosses"])
def test_logistic_regression_equals_scikit_learn_by_hand(columns):
    from scipy.sparse import csr_matrix
    from sklearn.linear_model import LogisticRegression as Solver

    model = fitted(LogisticRegression, columns=columns, bits=7, l2=2.0, l2_fields=8.0)
    asked, test = training_questions(PARTS.train, WORLD.board), PARTS.test.queries.take(slice(0, 60))
    prior_B = rate_prior(PARTS.train.interactions)
    raw = learned(prior_B)
    rules = Standard.fit(raw)
    x, x_test = rules(raw).values, rules(question_features(PARTS.train, test, None, prior_B)).values
    if columns == "crosses":
        x, x_test = (
            np.column_stack([part, 0.5 * dense_fields(128, model, queries)])  # 0.5 = sqrt(2 / 8)
            for part, queries in ((x, asked.queries), (x_test, test))
        )
    for b in (0, 1):
        solved = Solver(C=0.5, max_iter=200).fit(csr_matrix(x, dtype=np.float32), asked.outcomes[:, b])
        expected = solved.predict_proba(csr_matrix(x_test))[:, 1]
        np.testing.assert_allclose(model.predict(test)[:, b], expected, atol=1e-5)
    assert set(model.coefficients(0)) == {*rules.names, "intercept"}


def test_fields_by_hand():
    """User 3 asked about item 5 (blue), after item 2 was liked."""
    model = fitted(LogisticRegression, bits=20, iterations=1)
    held = Ragged(np.array([4, 2], np.int32), np.array([0]), np.array([2]))
    queries = replace(
        PARTS.test.queries.take(np.array([0])),
        user=np.array([3]), item=np.array([5], np.int32), items=held, behaviors=replace(held, values=np.array([0, 1])),
    )  # fmt: skip
    fields = model.fields
    assert fields.names == (
        "user", "item", "last_behavior", "last_item", "category",
        "item x last_behavior", "item x last_item", "user x category", "last_behavior x category",
    )  # fmt: skip
    values = {name: part.value.tolist() for name, part in fields.values(queries).items()}
    assert values == {"user": [3], "item": [5], "last_behavior": [1], "last_item": [2], "category": [1]}
    assert fields.columns(queries).sum() == 9 and len({k for _, key in fields.keys(queries) for k in key.tolist()}) == 9
    nothing = fields.values(replace(queries, items=held.last(0), behaviors=held.last(0)))
    assert nothing["last_item"].value.tolist() == nothing["last_behavior"].value.tolist() == [-1]


def test_collisions_are_counted():
    asked = [part.queries for _, part in lessons(PARTS.train, WORLD.board, 10**6, 1)]
    known = Known.of(PARTS.train)
    keys = np.unique(np.concatenate([key for part in asked for _, key in Fields(known, "crosses", 64).keys(part)]))
    column = (keys % np.uint64(64)).tolist()
    in_column = Counter(column)
    by_hand = np.mean([in_column[c] > 1 for c in column])
    assert Fields(known, "crosses", 64).collisions(asked) == pytest.approx(by_hand) and by_hand > 0.9
    assert Fields(known, "crosses", 2**26).collisions(asked) < 1e-3
    assert Fields(known, "features", 0).collisions(asked) == 0
    model = fitted(LogisticRegression, bits=6, iterations=1)
    assert model.chosen == {"field_collisions": round(float(by_hand), 4)} and model.stopped_by == "iterations"


def test_planted_coefficients_are_found():
    """Like follows a view with log odds -0.5 + 0.9 z(price) + 0.7 cos(hour): found to two standard errors."""
    rng, n_users, n_views, n_items = np.random.default_rng(2), 500, 8, 400
    price = rng.normal(10, 2, n_items)
    user = np.repeat(np.arange(n_users), n_views)
    item, time = rng.integers(n_items, size=len(user)), START + rng.integers(10**6, size=len(user)) * 100
    odds = -0.5 + 0.9 * (price[item] - 10) / 2 + 0.7 * np.cos(time % 86400 / 86400 * 2 * np.pi)
    liked = rng.random(len(user)) < 1 / (1 + np.exp(-odds))
    behavior = np.repeat([0, 1], [len(user), liked.sum()])
    kinds = {"n_users": n_users, "n_items": n_items, "behavior": behavior, "behaviors": ("view", "like")}
    log = Interactions.sorted(np.r_[user, user[liked]], np.r_[item, item[liked]], np.r_[time, time[liked] + 1], **kinds)
    info, ids = DatasetInfo("planted", "testing", "seconds", "none", "here"), (np.arange(n_users), np.arange(n_items))
    data = Dataset(info, log, *ids, pd.DataFrame({"price": price}))
    board = replace(WORLD.board, behaviors=("like",), horizon_days=50 / 86400)
    model = fitted(LogisticRegression, data, board, columns="features", l2=0.01, iterations=5000)
    asked = training_questions(data, board).queries
    raw = model.known.features(asked)
    x = np.column_stack([np.ones(len(raw)), model.rules(raw).values]).astype(float)
    p = model.predict(asked)[:, 0]
    covariance = np.linalg.inv(x.T @ (x * (p * (1 - p))[:, None]) + 0.01 * np.eye(x.shape[1]))
    for name, planted in (("item_price", 0.9 / 2), ("hour_cos", 0.7)):
        scale = raw.values[:, raw.names.index(name)].std()
        at = 1 + model.rules.names.index(name)
        error = np.sqrt(covariance[at, at])
        assert error < 0.1 and abs(model.coefficients(0)[name] - planted * scale) < 2 * error, name


# trees


def test_gbdt_equals_lightgbm_by_hand():
    import lightgbm

    params = {
        "trees": 30,
        "patience": 5,
        "aside": 0.2,
        "learning_rate": 0.2,
        "leaves": 5,
        "leaf_questions": 10,
        "l2": 3.0,
    }
    model = fitted(GBDT, **params, feature_share=0.5)
    asked, test = training_questions(PARTS.train, WORLD.board), PARTS.test.queries
    prior_B = rate_prior(PARTS.train.interactions)
    x, x_test = learned(prior_B).values, question_features(PARTS.train, test, None, prior_B).values
    time = asked.queries.time
    late = time >= np.sort(time)[-round(0.2 * len(time))]
    settings = {
        "objective": "binary", "metric": "binary_logloss", "num_leaves": 5, "min_data_in_leaf": 10, "lambda_l2": 3.0,
        "learning_rate": 0.2, "feature_fraction": 0.5, "seed": 1, "deterministic": True, "force_row_wise": True,
        "num_threads": 1, "verbosity": -1,
    }  # fmt: skip
    for b in (0, 1):
        data = lightgbm.Dataset(x[~late], asked.outcomes[~late, b].astype(float))
        aside = lightgbm.Dataset(x[late], asked.outcomes[late, b].astype(float), reference=data)
        stop = lightgbm.early_stopping(5, verbose=False)
        grown = lightgbm.train(settings, data, 30, valid_sets=[aside], callbacks=[stop])
        assert model.chosen["trees"][b] == grown.best_iteration < 30
        np.testing.assert_allclose(model.predict(test)[:, b], grown.predict(x_test), rtol=1e-9)
    assert model.stopped_by == "patience" and model.chosen_epochs == max(model.chosen["trees"])
    again = fitted(GBDT, **params, feature_share=0.5, chosen={"trees": [3, 7]})
    assert [booster.num_trees() for booster in again.boosters.values()] == [3, 7] == again.chosen["trees"]


def test_trees_that_nothing_could_judge_are_not_grown():
    """A behaviour without trees in the selection has none in the refit; nor has one that the questions set aside never show."""
    again = fitted(GBDT, **GBDT.small, chosen={"trees": [3, 0]})
    assert list(again.boosters) == [0] and again.chosen == {"trees": [3, 0]}
    log, late = PARTS.train.interactions, np.sort(training_questions(PARTS.train, WORLD.board).queries.time)
    kept = (log.behavior < 2) | (log.time < late[len(late) // 2])  # no purchase in the later half
    model = fitted(GBDT, replace(PARTS.train, interactions=log.where(kept)), **GBDT.small)
    assert list(model.boosters) == [0] and model.chosen["trees"][1] == 0
    p_QB = model.predict(PARTS.test.queries)
    assert np.ptp(p_QB[:, 1]) == 0 < p_QB[0, 1] and np.ptp(p_QB[:, 0]) > 0.1


def test_the_last_questions_are_set_aside():
    assert set_aside(np.array([5, 1, 4, 2, 3, 3, 3, 0, 0, 0]), 0.2, 1).tolist() == [1, 0, 1, *[0] * 7]
    whole = set_aside(np.array([5, 1, 4, 2, 5, 3, 3, 0, 0, 0]), 0.1, 1)
    assert np.flatnonzero(whole).tolist() == [0, 4], "a moment stays together"
    drawn = set_aside(np.full(100, 7), 0.1, 1)
    assert drawn.sum() == 10 and not np.array_equal(drawn, set_aside(np.full(100, 7), 0.1, 2))


def test_gbdt_says_how_to_get_lightgbm(monkeypatch):
    monkeypatch.setitem(sys.modules, "lightgbm", None)
    with pytest.raises(RecbenchError) as error:
        fitted(GBDT)
    assert str(error.value) == "gbdt needs LightGBM: pip install 'recbench-behavior[gbdt]'"


# linear probability model


def test_linear_regression_answers_behaviours_as_ridge_on_its_columns():
    from sklearn.linear_model import Ridge

    model = fitted(LinearRegression, l2=7.0, l2_items=7.0)
    asked, test = training_questions(PARTS.train, WORLD.board), PARTS.test.queries

    def matrix(queries, item, known=None):
        columns = model.rules(model.design.of_queries(queries, item, known)).values
        return np.column_stack([columns, np.eye(24)[item], np.eye(2)[item % 2]])

    parts = [(part.queries, known.interactions) for known, part in training_parts(PARTS.train, WORLD.board)]
    x = np.concatenate([matrix(queries, queries.item.astype(int), known) for queries, known in parts])
    solved = Ridge(alpha=7.0, solver="cholesky").fit(x, asked.outcomes.astype(float))
    expected = np.clip(solved.predict(matrix(test, test.item)), 0, 1)
    np.testing.assert_allclose(model.predict(test), expected, atol=2e-4)
    assert expected.min() == 0, "something was clipped"


def test_items_dwell_is_that_of_their_own_users():
    """The time that users stay at an item is read from the training log, user by user."""
    model = fitted(LinearRegression)
    asked = training_questions(PARTS.train, WORLD.board).queries
    found = model.design.of_queries(asked, asked.item.astype(int))
    expected = behaviour_features(PARTS.train, asked.user, asked.item, asked.time)
    dwell = (part.values[:, part.names.index("item_dwell_seconds")] for part in (found, expected))
    assert np.array_equal(*dwell, equal_nan=True)


# all of them


@pytest.mark.parametrize("cls", [LogisticRegression, GBDT, LinearRegression])
def test_answers_in_parts_are_those_at_once(cls, monkeypatch):
    """Bit for bit, in whatever order the questions come."""
    model, queries = fitted(cls, **cls.small), PARTS.test.queries
    at_once = model.predict(queries)
    monkeypatch.setattr("recbench.asked.AT_ONCE", 37)
    sizes, answer = [], model.answer
    monkeypatch.setattr(model, "answer", lambda part: sizes.append(len(part)) or answer(part))
    assert np.array_equal(model.predict(queries), at_once)
    assert max(sizes) <= 37 and sum(sizes) == len(queries)
    shuffled = np.random.default_rng(0).permutation(len(queries))
    assert np.array_equal(model.predict(queries.take(shuffled)), at_once[shuffled])
    assert model.predict(queries.take(np.arange(0))).shape == (0, at_once.shape[1])


@pytest.mark.parametrize("cls", CLASSES)
def test_new_users_are_answered(cls):
    model, asked = fitted(cls, **cls.small), PARTS.test.queries
    strangers = replace(asked, user=asked.user + 10**6)
    same = np.abs(model.predict(strangers) - model.predict(asked)).max()
    assert same < (0.5 if cls is LogisticRegression else 1e-12), "only fields name a user"


@pytest.mark.parametrize("cls", CLASSES)
def test_pairs_by_lot_are_learned_from_without_their_own_answers(cls):
    """Where pairs are held out, features of training questions come from the other pairs: no answer is among them."""
    board = replace(WORLD.board, ask="window_start", split="random_pairs", horizon_days=0.0)
    still = replace(WORLD.dataset, info=replace(WORLD.dataset.info, clock="none"))
    parts = split(still, board)
    model = fitted(cls, parts.train, board, **cls.small)
    assert sum(len(part.queries) for _, part in training_parts(parts.train, board)) > 800
    p_QB, true_QB = model.predict(parts.test.queries), parts.test.outcomes
    floor = parts.test.outcomes.mean(0)
    brier = ((p_QB - true_QB) ** 2).mean()
    assert brier < 1.05 * (floor * (1 - floor)).mean(), "an answer among the features would make it bold and wrong"
