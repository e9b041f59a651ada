"""Metrics of behaviour: by hand, beside scikit-learn, beside the questions repeated one by one, and on a board.

Letters: Q questions, B behaviours asked about.
"""

import math
import re
import time
from dataclasses import replace

import numpy as np
import pytest
from sklearn import metrics as sk

pytest.importorskip("recbench_metrics")

from recbench.calibrate import decide
from recbench.data import Interactions
from recbench.dataset import Dataset, DatasetInfo
from recbench.errors import RecbenchError
from recbench.evaluate import judge, measure
from recbench.metric import Probabilities, metric, metrics_of
from recbench.model import Context, Recommender, Traits
from recbench.protocols import BEHAVIOR_METRICS, behavior
from recbench.split import split
from recbench.stats import resampled_interval
from recbench.testing.kit import run_checks

WEIGHTED = ("log-loss", "normalised-entropy", "brier", "ece")
LOWER = WEIGHTED
BY_QUESTION = ("accuracy", "log-loss", "brier")
DECISIONS = ("accuracy", "precision", "recall", "f1")


def value(label, answers):
    return float(metric(label, "behavior")(answers, None).mean())


def answers_of(predicted, true, user=None, rate=None, threshold=0.5, behaviors=("buy", "click")):
    """Rows of one probability, or one for each behaviour, as answers."""
    predicted_QB, true_QB = (np.asarray(column).reshape(len(predicted), -1) for column in (predicted, true))
    n, width = predicted_QB.shape
    user_Q = np.zeros(n, np.int64) if user is None else np.asarray(user)
    rate_Q = np.ones(n) if rate is None else np.asarray(rate)
    return Probabilities(
        predicted_QB.astype(float), true_QB.astype(bool), user_Q, rate_Q, behaviors[:width], np.full(width, threshold)
    )


def drawn(seed, n=300, decimals=1, width=1, rate=1.0):
    """Answers with ties, or without; what came to nothing was drawn with chance `rate`."""
    rng = np.random.default_rng(seed)
    true_QB = rng.random((n, width)) < 0.3
    predicted_QB = np.clip(0.3 * true_QB + 0.7 * rng.random((n, width)), 0.1, 0.9).round(decimals)
    rate_Q = np.where(true_QB.any(axis=1), 1.0, rate)
    return answers_of(predicted_QB, true_QB, rng.integers(0, 40, n), rate_Q)


def rows(answers, row):
    columns = {name: getattr(answers, name)[row] for name in ("predicted_QB", "true_QB", "user_Q", "rate_Q")}
    return replace(answers, **columns)


@pytest.mark.parametrize("name", BEHAVIOR_METRICS)
def test_metrics_keep_their_contract(name):
    assert [wrong for wrong in run_checks(type(metric(name, "behavior"))) if wrong[1]] == []


# three users; above .5 three are said, two of them true; sorted: .1 no, .3 yes, .4 no, .8 one of two, .9 yes
TABLE = answers_of([0.9, 0.8, 0.8, 0.4, 0.3, 0.1], [1, 1, 0, 0, 1, 0], [0, 0, 0, 1, 1, 2])
LOSS = -sum(math.log(p) for p in (0.9, 0.8, 0.2, 0.6, 0.3, 0.9)) / 6
BY_HAND = {
    "accuracy": 4 / 6,
    "majority-accuracy": 1 / 2,
    "precision": 2 / 3,
    "recall": 2 / 3,
    "f1": 2 / 3,
    "auc": (3 + 2.5 + 1) / 9,
    "gauc": (3 * 0.75 + 2 * 0) / 5,
    "pr-auc": (1 + 2 / 3 + 3 / 5) / 3,
    "log-loss": LOSS,
    "normalised-entropy": LOSS / math.log(2),
    "brier": (0.01 + 0.04 + 0.64 + 0.16 + 0.49 + 0.01) / 6,
    "ece": (0.1 + 0.7 + 0.4 + 0.6 + 0.1) / 6,  # 15 bins of .4 questions: each probability has its own
}


@pytest.mark.parametrize("name", BEHAVIOR_METRICS)
def test_by_hand(name):
    assert value(name, TABLE) == pytest.approx(BY_HAND[name], abs=1e-12)
    assert value(f"{name}@buy", TABLE) == value(name, TABLE)


def test_ece_by_hand_with_large_ties():
    # bins of 2 questions: the middles 2, 7, 18.5 and 28.5 lie in four of them
    ties = answers_of(np.repeat([0.1, 0.2, 0.5, 0.9], [4, 6, 17, 3]), [1] + [0] * 9 + [1] * 8 + [0] * 9 + [1] * 3)
    assert value("ece", ties) == pytest.approx((0.6 + 1.2 + 0.5 + 0.3) / 30)
    # .28 and .3 share a bin of 2 where their middles 4.5 and 5.5 lie
    near = answers_of(
        np.r_[np.full(4, 0.1), 0.28, 0.3, np.full(24, 0.9)], np.r_[[0] * 4, 0, 1, [1] * 20, [0] * 4].astype(bool)
    )
    assert value("ece", near) == pytest.approx((0.4 + (1 - 0.58) + 1.6) / 30)


def test_ece_of_distinct_probabilities_is_that_of_fifteen_equal_shares():
    answers = drawn(3, n=450, decimals=9)
    order = np.argsort(answers.predicted_QB[:, 0])
    shares = [(answers.predicted_QB[part, 0], answers.true_QB[part, 0]) for part in np.split(order, 15)]
    assert value("ece", answers) == pytest.approx(np.mean([abs(p.mean() - y.mean()) for p, y in shares]))


SKLEARN = {
    "accuracy": lambda y, p, said: sk.accuracy_score(y, said),
    "majority-accuracy": lambda y, p, said: max(y.mean(), 1 - y.mean()),
    "precision": lambda y, p, said: sk.precision_score(y, said, zero_division=0),
    "recall": lambda y, p, said: sk.recall_score(y, said, zero_division=0),
    "f1": lambda y, p, said: sk.f1_score(y, said, zero_division=0),
    "auc": lambda y, p, said: sk.roc_auc_score(y, p),
    "pr-auc": lambda y, p, said: sk.average_precision_score(y, p),
    "log-loss": lambda y, p, said: sk.log_loss(y, p, labels=[0, 1]),
    "normalised-entropy": lambda y, p, said: sk.log_loss(y, p) / sk.log_loss(y, np.full(len(y), y.mean())),
    "brier": lambda y, p, said: sk.brier_score_loss(y, p),
}


@pytest.mark.parametrize("decimals", [1, 9])
@pytest.mark.parametrize("name", SKLEARN)
def test_beside_scikit_learn(name, decimals):
    for seed in range(3):
        answers = drawn(seed, decimals=decimals, width=2)
        columns = list(zip(answers.true_QB.T, answers.predicted_QB.T, strict=True))
        expected = [SKLEARN[name](y, p, p >= 0.5) for y, p in columns]
        given = [value(f"{name}@{behavior}", answers) for behavior in answers.behaviors]
        np.testing.assert_allclose(given, expected, atol=1e-12)
        assert value(name, answers) == pytest.approx(np.mean(expected), abs=1e-12)


def gauc(answers, b=0):
    """User by user, pair by pair."""
    total = weight = 0.0
    for user in np.unique(answers.user_Q):
        mine = answers.user_Q == user
        true, predicted = answers.true_QB[mine, b], answers.predicted_QB[mine, b]
        if 0 < true.sum() < len(true):
            ahead = predicted[true][:, None] - predicted[~true]
            total += len(true) * np.mean((ahead > 0) + 0.5 * (ahead == 0))
            weight += len(true)
    return total / weight


@pytest.mark.parametrize("decimals", [1, 9])
def test_gauc_user_by_user(decimals):
    for seed in range(3):
        answers = drawn(seed, decimals=decimals, width=2)
        assert value("gauc@click", answers) == pytest.approx(gauc(answers, 1))
        assert value("gauc", answers) == pytest.approx((gauc(answers) + gauc(answers, 1)) / 2)


def test_what_nothing_can_be_said_of():
    none_true, all_true, silent = (
        answers_of([0.2, 0.7, 0.7, p], y) for p, y in ((0.1, [0] * 4), (0.9, [1] * 4), (0, [0] * 4))
    )
    silent = replace(silent, threshold_B=np.array([0.8]))
    for name, no, yes in (("auc", 0.5, 0.5), ("gauc", 0.5, 0.5), ("pr-auc", 0, 1), ("normalised-entropy", 1, 1)):
        assert (value(name, none_true), value(name, all_true)) == (no, yes), name
    assert [value(name, none_true) for name in ("precision", "recall", "f1")] == [0, 0, 0]
    assert [value(name, silent) for name in ("accuracy", "precision", "recall", "f1")] == [1, 0, 0, 0]
    assert value("auc", answers_of([0.3, 0.3, 0.3], [1, 0, 0])) == 0.5
    assert value("pr-auc", answers_of([0.3, 0.3, 0.3], [1, 0, 0])) == pytest.approx(1 / 3)


def test_certain_errors_have_a_finite_loss():
    sure = answers_of([0.0, 1.0, 1.0, 0.0], [1, 0, 1, 0])
    assert value("log-loss", sure) == pytest.approx(-math.log(1e-7) / 2, abs=1e-6)


def test_a_decision_is_made_from_the_threshold_on():
    at = answers_of([0.5, 0.4999], [1, 1])
    assert metric("accuracy", "behavior")(at, None).tolist() == [1, 0]


@pytest.mark.parametrize("name", DECISIONS)
def test_a_missing_threshold_is_told(name):
    undecided = replace(drawn(0, width=2), threshold_B=np.array([0.5, np.nan]))
    value(f"{name}@buy", undecided)
    for label in (name, f"{name}@click"):
        with pytest.raises(
            RecbenchError, match=f"metric '{label}' judges decisions, and no threshold was decided: let"
        ):
            value(label, undecided)


@pytest.mark.parametrize("name", BEHAVIOR_METRICS)
def test_what_each_metric_says_of_itself(name):
    one = metric(f"{name}@buy", "behavior")
    assert (one.label, one.needs_k, one.needs_threshold) == (f"{name}@buy", False, name in DECISIONS)
    assert one.higher_is_better is (name not in LOWER)
    assert one.definition.startswith(f"{name}/") and re.search(r"/joint=mean/v\d$", one.definition)
    assert one(drawn(0), None).shape == ((300,) if name in BY_QUESTION else (1,))
    shape = (300,) if name == "accuracy" else (1,)
    assert one(drawn(0, rate=0.5), None).shape == shape


@pytest.mark.parametrize("name", BEHAVIOR_METRICS)
def test_drawn_questions_stand_for_those_not_asked(name):
    answers = drawn(1, width=2, rate=0.5)
    if name not in WEIGHTED:
        assert value(name, answers) == value(name, replace(answers, rate_Q=np.ones(300)))
        return
    row = np.repeat(np.arange(300), np.where(answers.rate_Q < 1, 2, 1))
    odds_QB = answers.predicted_QB / (1 - answers.predicted_QB) * 0.5
    each = replace(rows(answers, row), predicted_QB=(odds_QB / (1 + odds_QB))[row], rate_Q=np.ones(len(row)))
    for label in (name, f"{name}@click"):
        assert value(label, answers) == pytest.approx(value(label, each), abs=1e-12)
    assert abs(value(name, answers) - value(name, replace(answers, rate_Q=np.ones(300)))) > 0.01


@pytest.mark.parametrize("name", [name for name in BEHAVIOR_METRICS if name != "ece"])
def test_a_sample_is_its_questions_repeated(name):
    """By a second road: scikit-learn where it has the metric, the metric on repeated rows elsewhere."""
    answers = drawn(2, width=2)
    one = metric(f"{name}@click", "behavior")
    value_of = one.sampler(answers, None)
    for seed in range(5):
        times_Q = np.random.default_rng(seed).multinomial(40, [1 / 40] * 40)[answers.user_Q]
        sample = rows(answers, np.repeat(np.arange(300), times_Q))
        y, p = sample.true_QB[:, 1], sample.predicted_QB[:, 1]
        expected = (
            SKLEARN[name](y, p, p >= 0.5)
            if name in SKLEARN
            else gauc(sample, 1)
            if name == "gauc"
            else value(one.label, sample)
        )
        assert value_of(times_Q.astype(float)) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("name", ["auc", "gauc", "pr-auc", "normalised-entropy"])
def test_a_sample_without_a_value_is_left_out(name):
    answers = answers_of(
        [[0.2, 0.4], [0.6, 0.3], [0.1, 0.9], [0.4, 0.3]], [[1, 0], [0, 0], [0, 0], [0, 0]], [0, 0, 1, 1]
    )
    nothing_true = np.array([0.0, 0.0, 1.0, 1.0])
    assert math.isnan(metric(f"{name}@buy", "behavior").sampler(answers, None)(nothing_true))
    assert math.isnan(metric(name, "behavior").sampler(answers, None)(nothing_true))
    without = metric(f"{name}@click", "behavior").sampler(answers, None)  # which nobody ever does
    assert without(nothing_true) == without(np.ones(4)) == value(f"{name}@click", answers)


def test_a_resample_costs_less_than_the_metric_computed_anew():
    """What takes a sort is done once: half of what scikit-learn, which sorts each time, takes on the same machine now."""
    rng = np.random.default_rng(0)
    true_Q = rng.random(50_000) < 0.2
    answers = answers_of(rng.random(50_000), true_Q, rng.integers(0, 5_000, 50_000), np.where(true_Q, 1, 0.3))

    def least(call):
        spent = []
        for _ in range(9):
            began = time.process_time()
            call()
            spent.append(time.process_time() - began)
        return min(spent)

    def anew():
        for _ in range(10):
            sk.average_precision_score(answers.true_QB[:, 0], answers.predicted_QB[:, 0])

    for name in ("auc", "pr-auc", "gauc", "f1"):
        value_of = metric(name, "behavior").sampler(answers, None)
        spent = least(lambda value_of=value_of: resampled_interval(value_of, answers.user_Q, n_resamples=10))
        assert spent < 0.5 * least(anew), name


class Usual(Recommender):
    """The share of exposures to the item that were followed, of one that nobody met the share of all."""

    traits = Traits(tasks=("behavior",))
    fitted = ("share_IB",)

    def fit(self, train, context):
        log = train.interactions
        count_IE = np.zeros((log.n_items, 3))
        np.add.at(count_IE, (log.item, log.behavior), 1)
        self.share_IB = np.minimum(1, (count_IE[:, 1:] + 0.5) / (count_IE[:, :1] + 2))

    def predict(self, queries):
        return self.share_IB[queries.item]


def shop():
    """Views of 8 items by 40 users in three parts; the lower the item's number, the more often they are clicked and bought."""
    rng = np.random.default_rng(0)
    user, item, moment = np.tile(np.arange(40), 30), rng.integers(0, 8, 1200), np.arange(1200) * 100
    clicked, bought = rng.random(1200) < 0.9 - 0.1 * item, rng.random(1200) < 0.5 - 0.06 * item
    follows = [(np.ones(1200, bool), 0, 0), (clicked, 1, 1), (clicked & bought, 2, 2)]
    columns = [(user[own], item[own], moment[own] + late, np.full(own.sum(), b, np.int8)) for own, late, b in follows]
    user, item, moment, shown = (np.concatenate(column) for column in zip(*columns, strict=True))
    order = np.argsort(moment, kind="stable")
    log = Interactions.sorted(
        user, item, moment, n_users=40, n_items=8, behavior=shown, behaviors=("view", "click", "buy")
    )
    part = np.digitize(moment[order], [60_000, 90_000]).astype(np.int8)
    info = DatasetInfo("shop", "toy", "seconds", "none", "here")
    return Dataset(info, log, np.arange(40), np.arange(8), part=part)


def test_a_board_of_several_behaviours_from_questions_to_scores():
    board = behavior(
        "shop",
        "shop",
        ("click", "buy"),
        test_window_days=0.35,
        valid_window_days=0.35,
        ask="each_event",
        exposures=("view",),
        horizon_days=0.001,
        repeat="any",
    )
    parts = split(shop(), board)
    model = Usual()
    model.fit(parts.train, Context())
    answers = decide(judge(model, parts.valid), "none")(judge(model, parts.test))
    found = metrics_of(board)
    assert [m.label for m in found] == [f"{name}{at}" for at in ("", "@click", "@buy") for name in BEHAVIOR_METRICS]
    found = [m for m in found if m.behavior is None or m.name in ("auc", "accuracy", "majority-accuracy")]
    scores = {s.label: s for s in measure(answers, parts.test, found, parts.train)}
    for label, score in scores.items():
        name = label.partition("@")[0]
        if name == "ece":  # chance adds to the gaps of every sample
            assert score.low is None and score.high is None
        else:
            assert score.low <= score.value <= score.high and 0 < score.high - score.low < 0.5, label
        assert ("better" in score.told()) is (name in LOWER), label
    assert 0.6 < scores["auc"].value == (scores["auc@click"].value + scores["auc@buy"].value) / 2
    assert scores["normalised-entropy"].high < 1 and scores["ece"].value < 0.1
    assert scores["accuracy@click"].value > scores["majority-accuracy@click"].value


def test_the_board_of_one_behaviour_names_it_once_and_keyword_fields_win():
    fields = {"test_window_days": 2.0, "valid_window_days": 2.0, "negatives": "uniform", "n_negatives": 3}
    board = behavior("shop", "shop", ("buy",), **fields)
    assert (board.metrics, board.headline, board.task) == (BEHAVIOR_METRICS, "auc", "behavior")
    assert (board.behaviors, board.candidates, board.target) == (("buy",), "all", "all_in_window")
    assert behavior("shop", "shop", ("buy",), **fields, headline="log-loss").headline == "log-loss"
    with pytest.raises(RecbenchError, match="headline 'f1' needs a threshold"):
        metrics_of(behavior("shop", "shop", ("buy",), **fields, headline="f1"))
