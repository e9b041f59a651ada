"""Transitions and sequential rules against counts by hand and a naive walk through the histories."""

from dataclasses import replace

import numpy as np
import pytest
from recbench_classic import memory
from recbench_classic.transitions import Markov, SequentialRules
from test_classic import DAY, ask, dataset, fitted

from recbench.errors import RecbenchError

# user 0: 0 1 2 1 at days 0, 1, 2, 6; user 1: 1 2 2 at days 0, 1, 2; user 2: 3 alone
HAND = dataset(
    [0, 0, 0, 0, 1, 1, 1, 2], [0, 1, 2, 1, 1, 2, 2, 3], np.array([0, 1, 2, 6, 0, 1, 2, 0]) * DAY, 3, 5
)  # fmt: skip


def test_markov_by_hand():
    """0 -> 1 once; 1 -> 2 twice; 2 -> 1 once and 2 -> 2 once."""
    scores = fitted(Markov, HAND, window=1).score(ask([[0], [0, 1], [1, 2], [3], [4], []], 5))
    assert scores.tolist() == [[0, 1, 0, 0, 0], [0, 0, 1, 0, 0], [0, 0.5, 0.5, 0, 0], [0] * 5, [0] * 5, [0] * 5]


def test_markov_over_two_steps_by_hand():
    """Two steps count half: 0 -> 1 1, 0 -> 2 0.5; 1 -> 2 2.5, 1 -> 1 0.5; 2 -> 1 1, 2 -> 2 1."""
    model = fitted(Markov, HAND, window=2, position_half_life=1)
    chance = {0: [0, 2 / 3, 1 / 3, 0, 0], 1: [0, 1 / 6, 5 / 6, 0, 0], 2: [0, 0.5, 0.5, 0, 0]}
    scores = model.score(ask([[2, 0, 1], [1, 1]], 5))
    np.testing.assert_allclose(scores[0], np.add(chance[1], np.multiply(0.5, chance[0])), rtol=1e-6)
    np.testing.assert_allclose(scores[1], chance[1], rtol=1e-6, err_msg="a repeat counts once, at its last occurrence")


def test_markov_fades_with_days():
    """With a half-life of one day 2 -> 1 after 4 days counts 1/16 against 2 -> 2 after one day, 1/2."""
    model = fitted(Markov, HAND, half_life_days=1.0, window=2, position_half_life=0)
    chance_2 = np.array([0, 1 / 16, 1 / 2, 0, 0]) / (9 / 16)
    chance_0 = np.array([0, 1 / 2, 1 / 4, 0, 0]) / (3 / 4)
    scores = model.score(ask([[0, 2]], 5, [[0, 2 * DAY]], now=3 * DAY))
    np.testing.assert_allclose(scores[0], chance_2 / 2 + chance_0 / 8, rtol=1e-6)


def test_markov_in_days_needs_a_clock():
    ordered = replace(HAND, info=replace(HAND.info, clock="order"))
    fitted(Markov, ordered)
    words = "model=markov: half_life_days=2 needs real timestamps; data=toy has order only: leave it out"
    with pytest.raises(RecbenchError, match=words):
        fitted(Markov, ordered, half_life_days=2)


def test_sequential_rules_by_hand():
    """After 1: 2 one step on twice, 1 two steps on, 2 two steps on; after 0: 1, then 2, then 1."""
    scores = fitted(SequentialRules, HAND).score(ask([[2, 1], [0], [1, 2], [3]], 5))
    np.testing.assert_allclose(
        scores, [[0, 0.5, 2.5, 0, 0], [0, 4 / 3, 0.5, 0, 0], [0, 1, 1, 0, 0], [0] * 5], rtol=1e-6
    )
    short = fitted(SequentialRules, HAND, window=1).score(ask([[1], [0]], 5))
    assert short.tolist() == [[0, 0, 2, 0, 0], [0, 1, 0, 0, 0]]


@pytest.mark.parametrize(("weighting", "weight"), [
    ("inverse", lambda x: 1 / x), ("quadratic", lambda x: 1 / x**2), ("log", lambda x: 1 / np.log10(x + 1.7)),
    ("same", lambda x: 1.0),
])  # fmt: skip
def test_sequential_rules_equal_a_walk_through_the_histories(weighting, weight):
    rng = np.random.default_rng(1)
    user, item, time = rng.integers(0, 12, 300), rng.integers(0, 9, 300), np.arange(300)
    expected = np.zeros((9, 9))
    for u in range(12):
        events = item[user == u]
        for late in range(len(events)):
            for early in range(max(0, late - 4), late):
                expected[events[early], events[late]] += weight(late - early)
    model = fitted(SequentialRules, dataset(user, item, time, 12, 9), window=4, weighting=weighting)
    np.testing.assert_allclose(model.rule_II.toarray(), expected, rtol=1e-6)
    np.testing.assert_allclose(model.score(ask([[8, 5]], 9))[0], expected[5], rtol=1e-6)


def test_rules_that_do_not_fit_are_refused(monkeypatch):
    monkeypatch.setattr(memory, "available_bytes", lambda: 100)
    with pytest.raises(RecbenchError, match=r"8 events with window=10 may need .* give a smaller model.window"):
        fitted(SequentialRules, HAND)
