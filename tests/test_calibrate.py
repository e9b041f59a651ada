"""What validation decides: one number, a rising step function and a threshold, against values by hand and by search."""

import numpy as np
import pytest
from sklearn.isotonic import IsotonicRegression
from sklearn.metrics import f1_score

from recbench.calibrate import KEPT, best_threshold, decide, logit
from recbench.metric import Probabilities, metric


def answers(predicted_QB, true_QB, rate_Q=None):
    predicted_QB, true_QB = np.asarray(predicted_QB, float), np.asarray(true_QB, bool)
    n, width = predicted_QB.shape
    names = tuple("abcdef"[:width])
    rate_Q = np.ones(n) if rate_Q is None else np.asarray(rate_Q)
    return Probabilities(predicted_QB, true_QB, np.arange(n) // 3, rate_Q, names, np.full(width, np.nan))


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


@pytest.fixture(scope="module")
def drawn():
    """Outcomes drawn with known chances, and predictions that are too sure of themselves and, in the second column, too
    little; a third of the questions share their prediction with others."""
    rng = np.random.default_rng(0)
    score_QB = rng.normal(0, 1.5, (6000, 2))
    score_QB[:2000] = score_QB[:2000].round(1)
    true_QB = rng.random((6000, 2)) < sigmoid(score_QB)
    return answers(sigmoid(score_QB * [2.5, 0.5]), true_QB)


def test_the_temperature_is_the_one_of_least_log_loss(drawn):
    decided = decide(drawn, "temperature")
    assert decided.temperature_B == pytest.approx([2.5, 0.5], rel=0.06)
    for b in range(2):

        def loss(temperature, b=b):
            p_Q = np.clip(sigmoid(logit(drawn.predicted_QB[:, b]) / temperature), 1e-12, 1 - 1e-12)
            return -np.mean(np.where(drawn.true_QB[:, b], np.log(p_Q), np.log(1 - p_Q)))

        found = decided.temperature_B[b]
        assert loss(found) < min(loss(found * 1.01), loss(found / 1.01))
    bent = decided(drawn)
    np.testing.assert_allclose(bent.predicted_QB, sigmoid(logit(drawn.predicted_QB) / decided.temperature_B))
    assert np.array_equal(
        np.argsort(bent.predicted_QB[:, 0], kind="stable"), np.argsort(drawn.predicted_QB[:, 0], kind="stable")
    )


def test_isotonic_is_that_of_scikit_learn(drawn):
    decided = decide(drawn, "isotonic")
    rng = np.random.default_rng(1)
    asked = answers(rng.random((500, 2)), np.zeros((500, 2)))
    for b in range(2):
        half = 0.5 / len(drawn.true_QB)
        theirs = IsotonicRegression(y_min=half, y_max=1 - half, out_of_bounds="clip")
        theirs.fit(drawn.predicted_QB[:, b], drawn.true_QB[:, b])
        np.testing.assert_allclose(
            decided(asked).predicted_QB[:, b],
            (1 - KEPT) * theirs.predict(asked.predicted_QB[:, b]) + KEPT * asked.predicted_QB[:, b],
            atol=1e-9,
        )


@pytest.mark.parametrize("kind", ["temperature", "isotonic"])
def test_no_order_is_changed(drawn, kind):
    """Two answers are in the order they had, or as equal as they were, so that AUC is the model's own."""
    bent = decide(drawn, kind)(drawn)
    for b in range(2):
        _, before = np.unique(drawn.predicted_QB[:, b], return_inverse=True)
        _, after = np.unique(bent.predicted_QB[:, b], return_inverse=True)
        assert np.array_equal(before, after)


def test_isotonic_by_hand():
    """.2 and .3 are out of order, 0 of 1 after 1 of 1: pooled to a half; four questions allow no less than half of one."""
    decided = decide(answers([[0.1], [0.2], [0.3], [0.4]], [[0], [1], [0], [1]]), "isotonic")
    asked = answers([[0.0], [0.1], [0.15], [0.2], [0.25], [0.3], [0.35], [0.9]], np.zeros((8, 1)))
    steps = np.array([0.125, 0.125, 0.3125, 0.5, 0.5, 0.5, 0.6875, 0.875])
    kept = steps + 0.0001 * (asked.predicted_QB[:, 0] - steps)  # what a step makes equal keeps its order
    np.testing.assert_allclose(decided(asked).predicted_QB[:, 0], kept, rtol=1e-12)
    assert decided.told()["knots"] == [[[0.1, 0.2, 0.3, 0.4], [0.125, 0.5, 0.5, 0.875]]]  # all that a replay needs


def test_the_threshold_has_the_best_f1_of_all_predictions(drawn):
    for b in range(2):
        p_Q, y_Q = drawn.predicted_QB[:600, b], drawn.true_QB[:600, b]
        scores = {t: f1_score(y_Q, p_Q >= t) for t in np.unique(p_Q)}
        found = best_threshold(p_Q, y_Q)
        assert scores[found] == pytest.approx(max(scores.values()))
    assert best_threshold(np.array([0.9, 0.8, 0.8, 0.1]), np.array([True, True, False, False])) == 0.8  # said together
    assert best_threshold(np.array([0.3, 0.2]), np.array([False, False])) == 0.3
    decided = decide(drawn, "none")
    assert decided.threshold_B[0] == best_threshold(drawn.predicted_QB[:, 0], drawn.true_QB[:, 0])
    assert np.array_equal(decided(drawn).predicted_QB, drawn.predicted_QB)
    assert decided.told() == {"calibration": "none", "threshold": [round(float(t), 6) for t in decided.threshold_B]}


def test_what_is_sure_stays_finite():
    sure = answers([[0.0], [1.0], [0.0], [1.0]], [[0], [1], [1], [1]])
    for kind in ("temperature", "isotonic"):
        bent = decide(sure, kind)(sure).predicted_QB
        assert np.isfinite(bent).all() and bent.min() >= 0 and bent.max() <= 1


def test_probabilities_of_drawn_questions_are_corrected_for_their_share():
    """Of 100 pairs one is bought; 9 of the 99 others are drawn: one question in ten is bought, one pair in a hundred."""
    rate = 9 / 99
    told = answers(np.full((10, 1), 0.1), [[1]] + [[0]] * 9, [1.0] + [rate] * 9)
    told = Probabilities(told.predicted_QB, told.true_QB, np.zeros(10), told.rate_Q, told.behaviors, told.threshold_B)
    np.testing.assert_allclose(told.corrected_QB, 0.01)
    assert told.weight_Q.sum() == pytest.approx(100)
    whole = answers([[0.3]], [[1]])
    assert whole.corrected_QB is whole.predicted_QB


def test_a_correction_tells_nothing_of_a_users_answers():
    """Two users of 1,000 pairs each: one buys 1, one buys 50; as many others are drawn. Who says a half of everything knows
    nothing: by one correction it says the share of all pairs, entropy 1, where the user's own would tell the buyer."""
    user = np.repeat([0, 0, 1, 1], [1, 1, 50, 50])
    true, rate = np.isin(np.arange(102), [0, *range(2, 52)]), np.repeat([1, 1 / 999, 1, 50 / 950], [1, 1, 50, 50])
    told = Probabilities(np.full((102, 1), 0.5), true[:, None], user, rate, ("buy",), np.array([np.nan]))
    np.testing.assert_allclose(told.corrected_QB, 51 / 2000)
    assert metric("normalised-entropy", "behavior")(told, None) == pytest.approx(1)
    assert metric("ece", "behavior")(told, None) == pytest.approx(0)
