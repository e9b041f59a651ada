"""Mistakes met in other recommender libraries, each from the events to the number a reader would see.

Letters: U users, L events a user, I items, Q queries.
"""

from __future__ import annotations

import numpy as np
import pytest

from recbench.data import Interactions
from recbench.dataset import Dataset, DatasetInfo
from recbench.evaluate import rank
from recbench.metric import metric
from recbench.model import Context, Recommender, Traits
from recbench.params import Params
from recbench.plan import Board
from recbench.split import split

pytest.importorskip("recbench_metrics")
pytest.importorskip("recbench_classic")


def dataset(item_UL: np.ndarray, time_UL: np.ndarray, n_items: int) -> Dataset:
    n, length = item_UL.shape
    log = Interactions.sorted(
        np.repeat(np.arange(n), length), item_UL.ravel(), time_UL.ravel(), n_users=n, n_items=n_items
    )
    return Dataset(DatasetInfo("world", "test", "seconds", "none", "made here"), log, np.arange(n), np.arange(n_items))


def last_out(**changes: object) -> Board:
    fields = {"split": "leave_last_out", "ask": "last", "target": "first", "repeat": "new", "candidates": "all"}
    return Board("world", "world", ("ndcg@10",), "ndcg@10", **fields | changes)


class Falling(Recommender):
    """Item 0 first, then item 1, and so on, for everybody."""

    Params = Params
    traits = Traits()
    small = {}
    fitted = ("score_I",)

    def fit(self, train: Dataset, context: Context) -> None:
        self.score_I = -np.arange(train.n_items, dtype=np.float32)

    def score(self, queries):
        return np.tile(self.score_I, (len(queries), 1))


def test_ndcg_of_one_held_out_item_can_reach_one() -> None:
    """An ideal of ten right answers, where a user has one, makes every value 4.5 times too small."""
    n_items = 40
    right_U = np.array([0, 1, 2, 9, 10])  # the last event, hence the right answer, of each user
    item_UL = np.stack([20 + right_U, 30 + right_U % 5, right_U], axis=1) % n_items
    data = dataset(item_UL, np.tile([0, 1, 2], (5, 1)), n_items)
    parts = split(data, last_out())
    model = Falling(Params())
    model.fit(parts.train, Context())
    lists = rank(model, parts.test, 10)
    found_Q = metric("ndcg@10", "ranking")(lists, parts.train)
    np.testing.assert_allclose(found_Q, [1, 1 / np.log2(3), 0.5, 1 / np.log2(11), 0])


def test_an_item_older_than_every_window_stays_in_the_catalogue() -> None:
    """Histories are cut to the newest events after the catalogue is known, not before."""
    pytest.importorskip("torch")
    from recbench_sequential.transformer import Transformer, TransformerParams

    n_items, old = 9, 8
    item_UL = np.stack([np.r_[old, (np.arange(7) + u) % 8] for u in range(6)])
    data = dataset(item_UL, np.tile(np.arange(8), (6, 1)), n_items)
    params = Transformer.small | {"max_length": 3, "epochs": 1, "loss": "softmax"}
    model = Transformer(TransformerParams(**params))
    model.fit(data, Context(seed=1))
    parts = split(data, last_out(repeat="any"))
    scores_QI = model.score(parts.test.queries)
    assert scores_QI.shape == (6, n_items) and np.isfinite(scores_QI).all()
    lists = rank(model, parts.test, n_items)
    assert all(old in row for row in lists.items_QK)


def test_seconds_of_today_keep_their_order() -> None:
    """1,700,000,000 needs 31 bits: in float32 the times of two minutes are one."""
    now = 1_700_000_000
    seconds = np.array([0, 1, 2, 3, 4, 5])
    assert len(np.unique((now + seconds).astype(np.float32))) == 1
    rng, item_UL = np.random.default_rng(0), np.arange(30).reshape(5, 6)
    shuffled = rng.permuted(np.tile(seconds, (5, 1)), axis=1)
    data = dataset(np.take_along_axis(item_UL, shuffled, 1), now + shuffled, 30)
    parts = split(data, last_out())
    assert parts.test.truth.values.tolist() == item_UL[:, -1].tolist()
    assert parts.valid.truth.values.tolist() == item_UL[:, -2].tolist()
    histories = [parts.test.queries.items[q].tolist() for q in range(5)]
    assert histories == item_UL[:, :-1].tolist()


def test_popularity_counts_every_user_of_a_batch() -> None:
    """`count[item] += 1` with an array of items adds one for an item however often it stands in the array."""
    from recbench_classic.counting import Popular

    rng = np.random.default_rng(2)
    item_UL = rng.permuted(np.tile(np.arange(12), (3000, 1)), axis=1)[:, :4]
    item_UL[:, 0] = np.where(np.arange(3000) % 3, 11, item_UL[:, 0])
    data = dataset(item_UL, np.tile(np.arange(4), (3000, 1)), 12)
    expected_I = [sum(item in row for row in item_UL.tolist()) for item in range(12)]
    model = Popular(Popular.Params())
    model.fit(data, Context())
    score_QI = model.score(split(data, last_out(repeat="any")).test.queries)
    assert score_QI[0].tolist() == expected_I
