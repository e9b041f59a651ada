"""Splits against a table small enough to cut by hand."""

from dataclasses import replace

import numpy as np
import pytest

from recbench.data import Interactions
from recbench.dataset import Dataset, DatasetInfo
from recbench.errors import RecbenchError
from recbench.plan import Board
from recbench.split import DAY, split

# user, item, day: user 0 buys 0 1 | 2 | 1 3; user 1 buys 1 | 0 | 4 0; item 4 is first seen in the test window
LOG = [(0, 0, 0), (0, 1, 1), (1, 1, 1), (0, 2, 4), (1, 0, 4), (0, 1, 6), (0, 3, 6), (1, 4, 6), (1, 0, 7)]


def shop(clock="seconds"):
    user, item, day = np.array(LOG).T
    log = Interactions.sorted(user, item, day * DAY, n_users=2, n_items=5)
    return Dataset(DatasetInfo("shop", "ecommerce", clock, "MIT", "by hand"), log, np.arange(2), np.arange(5))


def window(**changes):
    fields = {"test_window_days": 2, "valid_window_days": 2, "repeat": "any", "candidates": "all"} | changes
    return Board("shop", "shop", ("ndcg@10",), "ndcg@10", **fields)


def answers(holdout):
    return [sorted(holdout.truth[q].tolist()) for q in range(len(holdout.queries))]


def test_windows_of_time():
    parts = split(shop(), window())
    assert parts.train.interactions.item.tolist() == [0, 1, 1]
    assert answers(parts.valid) == [[2], [0]] and answers(parts.test) == [[1, 3], [0, 4]]
    assert [parts.test.queries.items[q].tolist() for q in range(2)] == [[0, 1, 2], [1, 0]]
    assert parts.leakage["test_events_before_last_train_event"] == 0
    assert parts.leakage["test_pairs_also_in_train"] == 0.25  # (0, 1) of (0, 1), (0, 3), (1, 4), (1, 0)


def test_new_items_only_and_known_candidates_only():
    assert answers(split(shop(), window(repeat="new")).test) == [[3], [4]]
    with pytest.raises(RecbenchError, match="the test holdout is empty"):
        split(shop(), window(repeat="new", candidates="known"))
    assert answers(split(shop(), window(candidates="known")).test) == [[1], [0]]


def test_refit_holds_the_validation_window():
    parts = split(shop(), window(fit_on="train+valid"))
    assert len(parts.refit.interactions) == 5 and len(parts.train.interactions) == 3


def test_leave_last_out_leaves_the_last_moment():
    board = window(split="leave_last_out", ask="last", target="first")
    parts = split(shop(), board)
    assert answers(parts.test) == [[1, 3], [0]] and answers(parts.valid) == [[2], [4]]
    assert [parts.test.queries.items[q].tolist() for q in range(2)] == [[0, 1, 2], [1, 0, 4]]


def test_a_clock_is_needed_for_windows():
    with pytest.raises(RecbenchError, match="split global_time needs a clock; data=shop has order"):
        split(shop("order"), window())


def test_given_parts_make_the_history_where_time_does_not():
    part = np.array([0, 2, 0, 0, 1, 1, 2, 2, 0], np.int8)  # of LOG, row by row
    dataset = replace(shop("none"), part=part)
    parts = split(dataset, window(split="given"))
    assert answers(parts.valid) == [[1], [0]] and answers(parts.test) == [[1, 3], [4]]
    assert [sorted(parts.valid.queries.items[q].tolist()) for q in range(2)] == [[0, 2], [0, 1]]
    assert [sorted(parts.test.queries.items[q].tolist()) for q in range(2)] == [[0, 1, 2], [0, 0, 1]]
