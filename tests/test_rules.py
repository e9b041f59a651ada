"""Rules of one feature: by hand, against scikit-learn, and on a log in which one feature gives the answer away."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from recbench import registry
from recbench.card.rules import Rule, bins, one_feature_rules, order_found
from recbench.card.shortcuts import shortcut_scores
from recbench.data import Interactions
from recbench.split import split


def test_a_rule_by_hand():
    """Twenty values, one a bin; unknown ones have a bin of their own; a bin's share is drawn to that of all by one question."""
    feature_N = np.r_[np.arange(40.0) // 2, np.nan, np.nan]
    true_NB = np.zeros((42, 1), bool)
    true_NB[[0, 1, 2, 40], 0] = True
    rule = Rule.of(feature_N, true_NB)
    base = 4 / 42
    assert len(rule.edges) == 19 and bins(np.array([-5.0, 0.5, 1.0, 99.0, np.nan]), rule.edges).tolist() == [
        0,
        0,
        1,
        19,
        20,
    ]
    found = rule(np.array([0.0, 1.0, 7.0, np.nan]))[:, 0]
    np.testing.assert_allclose(found, [(2 + base) / 3, (1 + base) / 3, base / 3, (1 + base) / 3])
    nothing_known = Rule.of(np.full(4, np.nan), np.array([[True], [False], [False], [False]]))
    np.testing.assert_allclose(nothing_known(np.array([1.0, np.nan]))[:, 0], [0.25, 0.25])


def test_the_order_is_that_of_scikit_learn():
    rng = np.random.default_rng(0)
    for n_values in (2, 7, 1000):
        p_N, true_N = rng.integers(n_values, size=300) / n_values, rng.random(300) < 0.3
        assert order_found(p_N, true_N) == pytest.approx(roc_auc_score(true_N, p_N))


def test_a_feature_that_gives_the_answer_away_is_named():
    """Who buys has said so: every view of value 5 is followed by a purchase, and the mean value of the pair tells."""
    source = registry.find("data", "ecommerce-sim").load()
    board = next(b for b in source.boards if b.name == "ecommerce-sim-purchase")
    board = replace(board, metrics=("auc",))
    shop = source(source.Params(n_users=150, n_items=40, visits=20)).load()
    log = shop.interactions
    honest = shortcut_scores(split(shop, board), board, "seconds")[0]
    assert next(iter(honest)) == "base rate" and len(honest) == 6 and honest["base rate"].value == 0.5
    assert 0.5 < max(score.value for score in honest.values()) < 0.8
    bought = np.isin(
        log.user * np.int64(log.n_items) + log.item, (log.user * np.int64(log.n_items) + log.item)[log.behavior == 2]
    )
    columns = {name: getattr(log, name) for name in ("user", "item", "behavior")}
    before = Interactions.sorted(
        **{name: np.r_[column, column[log.behavior == 0]] for name, column in columns.items()},
        time=np.r_[log.time, log.time[log.behavior == 0] - 1],
        value=np.r_[log.value, np.where(bought[log.behavior == 0], 5.0, 1.0)],
        n_users=log.n_users,
        n_items=log.n_items,
        behaviors=log.behaviors,
    )
    rules = one_feature_rules(split(replace(shop, interactions=before), board).train, board)
    assert "pair_view_mean_value" in rules
    told = shortcut_scores(split(replace(shop, interactions=before), board), board, "seconds")[0]
    assert told["pair_view_mean_value"].value > max(score.value for score in honest.values())
