"""Bootstrap intervals against a plain second implementation, the normal theory and their laws.

Letters: Q queries, G groups.
"""

import numpy as np
import pytest

from recbench.errors import RecbenchError
from recbench.stats import bootstrap_interval, bootstrap_intervals, paired_interval


def test_constant_values_have_a_point_interval():
    assert bootstrap_interval(np.full(7, 0.25)) == (0.25, 0.25)
    assert bootstrap_interval(np.array([0.5])) == (0.5, 0.5)


def test_two_values_by_hand():
    # means 0, 1/2, 1 with chances 1/4, 1/2, 1/4: both tails of 2.5% lie at the ends, those of 30% in the middle
    assert bootstrap_interval(np.array([0.0, 1.0])) == (0.0, 1.0)
    assert bootstrap_interval(np.array([0.0, 1.0]), level=0.4) == (0.5, 0.5)


def test_against_the_normal_theory():
    values = np.random.default_rng(0).normal(3, 2, 2000)
    low, high = bootstrap_interval(values, n_resamples=4000)
    half = 1.96 * values.std() / np.sqrt(2000)
    np.testing.assert_allclose([low, high], [values.mean() - half, values.mean() + half], atol=0.01)


@pytest.mark.parametrize("n_groups", [3, 40])
def test_groups_against_plain_loops(n_groups):
    rng = np.random.default_rng(1)
    groups = np.r_[np.arange(n_groups), rng.integers(0, n_groups, 150)] * 7 - 5
    values = rng.random(len(groups)) + groups / groups.max()
    low, high = bootstrap_interval(values, groups, n_resamples=4000)
    users = np.unique(groups)
    means = []
    for _ in range(4000):
        rows = np.concatenate([np.flatnonzero(groups == user) for user in rng.choice(users, len(users))])
        means.append(values[rows].mean())
    width = np.ptp(values)
    np.testing.assert_allclose([low, high], np.quantile(means, [0.025, 0.975]), atol=0.02 * width)


def test_one_query_a_user_is_the_plain_interval():
    values = np.random.default_rng(2).random(500)
    assert bootstrap_interval(values, np.arange(500)) == pytest.approx(bootstrap_interval(values))


def test_repeated_queries_of_a_user_do_not_narrow_the_interval():
    values = np.random.default_rng(3).random(100)
    copies, users = np.repeat(values, 20), np.repeat(np.arange(100), 20)
    assert bootstrap_interval(copies, users) == pytest.approx(bootstrap_interval(values))
    low, high = bootstrap_interval(copies)
    assert high - low < 0.5 * np.ptp(bootstrap_interval(copies, users))


def test_seed_and_level():
    values = np.random.default_rng(4).random(300)
    whole = bootstrap_interval(values, seed=5)
    assert whole == bootstrap_interval(values, seed=5) != bootstrap_interval(values, seed=6)
    low, high = bootstrap_interval(values, seed=5, level=0.5)
    assert whole[0] < low < values.mean() < high < whole[1]


def test_columns_share_their_resamples():
    values = np.random.default_rng(5).random((200, 3))
    users = np.arange(200) // 2
    together = bootstrap_intervals(values, users, seed=2)
    for column, (low, high) in zip(values.T, together, strict=True):
        assert bootstrap_interval(column, users, seed=2) == pytest.approx((low, high), abs=1e-12)


def test_paired_interval_cancels_what_the_two_share():
    rng = np.random.default_rng(6)
    shared = rng.normal(0, 5, 400)
    a, b = shared + 0.1, shared + rng.normal(0, 0.1, 400)
    low, high = paired_interval(a, b)
    assert 0.05 < low < high < 0.15
    assert paired_interval(b, a) == pytest.approx((-high, -low), abs=0.005)
    assert paired_interval(a, a) == (0.0, 0.0)


def test_coverage_of_the_true_mean():
    rng = np.random.default_rng(7)
    inside = 0
    for seed in range(200):
        low, high = bootstrap_interval(rng.exponential(1, 200), seed=seed, n_resamples=400)
        inside += low <= 1 <= high
    assert 0.88 <= inside / 200 <= 0.99


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: bootstrap_interval(np.array([])), "one finite value a query"),
        (lambda: bootstrap_interval(np.array([1.0, np.nan])), "one finite value a query"),
        (lambda: bootstrap_interval(np.ones(3), np.ones(2)), "a group for each query"),
        (lambda: bootstrap_interval(np.ones(3), level=1.0), "0 < level < 1"),
        (lambda: paired_interval(np.ones(3), np.ones(2)), "same queries"),
    ],
)
def test_refusals(call, message):
    with pytest.raises(RecbenchError, match=message):
        call()
