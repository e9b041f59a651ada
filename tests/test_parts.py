"""Sorting and tying rows, against numpy's own sorts."""

from dataclasses import replace

import numpy as np
import pytest

from recbench.data import Interactions, ascending
from recbench.dataset import Dataset, DatasetInfo
from recbench.parts import drawn_by, drawn_order, ties


@pytest.mark.parametrize("largest", [0, 3, 2**20, 2**52, 2**53, 2**63 - 1])
@pytest.mark.parametrize("n", [0, 1, 2, 1023, 1024])
def test_ascending_is_a_stable_argsort(n, largest):
    key = np.random.default_rng(n).integers(largest, size=n, endpoint=True)
    if n > 2:
        key[n // 2 :] = key[: n - n // 2]  # every number twice
        key[0] = largest
    order, values = ascending(key)
    assert order.tolist() == np.argsort(key, kind="stable").tolist() and values.tolist() == np.sort(key).tolist()


def test_ties():
    assert ties(np.array([1, 1, 2, 3, 3, 3, 4])).tolist() == [0, 1, 3, 4, 5]
    assert ties(np.array([1, 2, 3])).tolist() == ties(np.array([1])).tolist() == ties(np.array([], int)).tolist() == []


@pytest.mark.parametrize("moments", [1, 20, 10**6])
def test_the_drawn_order_is_by_time_user_and_draw(moments):
    rng = np.random.default_rng(moments)
    time, user, item = (rng.integers(n, size=500) for n in (moments, 9, 4))
    log = Interactions.sorted(user, item, time - 5, n_users=9, n_items=4)
    log = replace(log, value=np.arange(500, dtype=np.float32))
    drawn = drawn_by(3, log.user, log.item, log.time, log.behavior, log.value.view(np.int32))
    dataset = Dataset(DatasetInfo("x", "tests", "seconds", "MIT", "here"), log, np.arange(9), np.arange(4))
    found = drawn_order(dataset, 3).interactions.value
    assert found.tolist() == np.lexsort((drawn, log.user, log.time)).tolist()
