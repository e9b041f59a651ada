"""Features of questions from their own histories are those of the whole log, and know nothing else of the users."""

from dataclasses import replace

import numpy as np
import pytest

from recbench import registry
from recbench.asked import question_features, statistics_in_training, statistics_of
from recbench.data import Ragged
from recbench.features import behaviour_features, rate_prior
from recbench.parts import DAY
from recbench.plan import Board
from recbench.questions import training_parts, training_questions
from recbench.split import split

VISITS = Board(
    "visits",
    "ecommerce-sim",
    ("auc",),
    "auc",
    task="behavior",
    ask="each_event",
    repeat="any",
    behaviors=("cart", "purchase"),
    exposures=("view",),
    horizon_days=1 / 24,
    candidates="all",
    test_window_days=14.0,
    valid_window_days=7.0,
)


@pytest.fixture(scope="module")
def shop():
    source = registry.find("data", "ecommerce-sim").load()
    return source(source.Params(n_users=60, n_items=40, n_categories=5, visits=15)).load()


def test_features_of_training_questions_are_those_of_the_log(shop):
    train = split(shop, VISITS).train
    prior_B = rate_prior(train.interactions)
    asked = training_questions(
        train, VISITS
    ).queries  # all of them asked as if nothing were learned before a window opens
    found = question_features(train, asked, prior_B=prior_B)
    whole = behaviour_features(train, asked.user, asked.item, asked.time, prior_B=prior_B)
    assert found.names == whole.names and len(found.names) > 80
    assert any(name.startswith("search_match") for name in found.names)
    np.testing.assert_array_equal(found.values, whole.values)


def test_features_of_a_holdout_read_the_window_of_the_user_and_the_training_part_of_the_item(shop):
    parts = split(shop, VISITS)
    found = question_features(parts.train, parts.test.queries)
    asked = parts.test.queries
    both = behaviour_features(shop, asked.user, asked.item, asked.time)
    known = behaviour_features(parts.train, asked.user, asked.item, asked.time)
    of_items = [name.startswith("item_") for name in found.names]
    np.testing.assert_array_equal(found.values[:, of_items], known.values[:, of_items])
    np.testing.assert_array_equal(found.values[:, ~np.array(of_items)], both.values[:, ~np.array(of_items)])


def test_training_questions_know_of_items_what_was_there_before_a_window_of_the_tests_length(shop):
    """As the questions of the test do, whose model has learned what lies before the test opens."""
    train = split(shop, VISITS).train
    log, n_asked, opened = train.interactions, 0, []
    for known, part in training_parts(train, VISITS):
        time, n_known = part.queries.time, len(known.interactions)
        opens = int(log.time[-1]) + 1 - 14 * DAY * (1 + (int(log.time[-1]) - int(time[0])) // (14 * DAY))
        assert opens <= time.min() and time.max() < opens + 14 * DAY
        assert np.array_equal(known.interactions.time, log.time[log.time < opens])
        found = question_features(known, part.queries)
        counts = found.values[:, found.names.index("item_view_count")]
        met = np.bincount(log.item[(log.time < opens) & (log.behavior == 0)], minlength=log.n_items)
        assert np.array_equal(counts, met[part.queries.item])
        n_asked, opened = n_asked + len(time), [*opened, n_known]
    asked = training_questions(train, VISITS).queries
    assert n_asked == len(asked) and opened[0] == 0 and len(opened) > 2 and opened == sorted(opened)


def test_statistics_are_made_for_the_training_part_and_kept_where_they_are_asked_again(shop):
    """Each column of the training questions has mean 0 and deviation 1; questions asked before are answered as then."""
    parts = split(shop, VISITS)
    known, rules, learned_QK = statistics_in_training(parts.train, VISITS, training_questions(parts.train, VISITS))
    numbers = learned_QK[:, : len(rules.kept)].astype(np.float64)
    np.testing.assert_allclose(numbers.mean(0), 0, atol=1e-4)
    np.testing.assert_allclose(numbers.std(0), 1, atol=1e-4)
    queries, kept = parts.test.queries, {}
    whole_QK = statistics_of(queries, known, rules, None)
    some = [queries.take(np.arange(len(queries))[at::2]) for at in (0, 1)]
    for _ in range(2):
        for at, asked in enumerate(some):
            np.testing.assert_array_equal(
                statistics_of(asked.take(np.arange(len(asked))), known, rules, kept), whole_QK[at::2]
            )
        assert len(kept) == 2
    for asked in kept:
        kept[asked] = "as it was left"
    assert statistics_of(some[0], known, rules, kept) == "as it was left"
    later = replace(some[0], time=some[0].time + 1)
    np.testing.assert_array_equal(statistics_of(later, known, rules, kept), statistics_of(later, known, rules, None))
    assert statistics_of(queries, None, None, kept) is None


def test_a_question_knows_its_own_history_alone(shop):
    parts = split(shop, VISITS)
    asked = parts.test.queries
    together = question_features(parts.train, asked).values
    for q in (0, len(asked) // 2, len(asked) - 1):
        one = asked.take(np.array([q]))
        np.testing.assert_array_equal(question_features(parts.train, one).values[0], together[q])
        names = ("items", "behaviors", "times", "values")
        copied = {name: Ragged.from_rows([getattr(one, name)[0]], getattr(one, name).values.dtype) for name in names}
        np.testing.assert_array_equal(question_features(parts.train, replace(one, **copied)).values[0], together[q])
    empty = {name: replace(getattr(asked, name), stop=getattr(asked, name).start) for name in names}
    found = question_features(parts.train, replace(asked, **empty))
    counts = [
        n for n, name in enumerate(found.names) if name.startswith(("user_", "pair_")) and name.endswith("_count")
    ]
    assert len(counts) == 6 and not found.values[:, counts].any()


def test_where_pairs_are_held_out_by_lot_no_feature_counts_the_pair_itself():
    source = registry.find("data", "ecommerce-sim").load()
    shop = source(source.Params(n_users=30, n_items=20, n_categories=5, visits=12)).load()
    board = replace(VISITS, split="random_pairs", ask="window_start", horizon_days=0.0, repeat="new")
    train = split(shop, board).train
    n_asked = 0
    for known, part in training_parts(train, board):
        found = question_features(known, part.queries)
        columns = {name: found.values[:, n] for n, name in enumerate(found.names)}
        log = known.interactions
        for q in range(len(part.queries)):
            user, item = part.queries.user[q], part.queries.item[q]
            for b, name in enumerate(log.behaviors):
                assert columns[f"item_{name}_count"][q] == np.sum((log.item == item) & (log.behavior == b))
                assert columns[f"user_{name}_count"][q] == np.sum((log.user == user) & (log.behavior == b))
                assert columns[f"pair_{name}_count"][q] == 0
        n_asked += len(part.queries)
    assert n_asked == len(training_questions(train, board).queries) > 100
