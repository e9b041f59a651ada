"""Ragged rows, interactions and parameters against values worked out by hand."""

from dataclasses import dataclass

import numpy as np
import pytest

from recbench.data import Interactions, Ragged
from recbench.errors import RecbenchError
from recbench.params import Params, param


def test_ragged_flat_last_and_padded():
    rows = Ragged.from_rows([[1, 2, 3], [], [4]])
    row, value = rows.flat()
    assert row.tolist() == [0, 0, 0, 2] and value.tolist() == [1, 2, 3, 4]
    assert rows.last(2)[0].tolist() == [2, 3]
    assert rows.padded(2, -1).tolist() == [[2, 3], [-1, -1], [4, -1]]
    assert rows.take(np.array([2, 0])).flat()[1].tolist() == [4, 1, 2, 3]


def test_interactions_sort_group_and_refuse():
    log = Interactions.sorted(np.array([1, 0, 1]), np.array([2, 0, 1]), np.array([5, 3, -4]), n_users=2, n_items=3)
    assert log.time.tolist() == [-4, 3, 5] and log.item.tolist() == [1, 0, 2]
    order, starts = log.by_user()
    assert log.item[order].tolist() == [0, 1, 2] and starts.tolist() == [0, 1, 3]
    with pytest.raises(ValueError, match="read-only"):
        log.item[0] = 1
    with pytest.raises(RecbenchError, match=r"item must lie in 0\.\.1; given 0\.\.2"):
        Interactions.sorted(log.user, log.item, log.time, n_users=2, n_items=2)


@dataclass(frozen=True)
class Knobs(Params):
    dim: int = param(8, "Width.", low=1, high=64, tune=True)
    rate: float = param(0.1, "Step.", low=0.0)
    loss: str = param("bpr", "Loss.", choices=("bpr", "softmax"))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"dim": 65}, "Knobs: dim must be in 1 to 64; given 65"),
        ({"dim": 1.5}, "Knobs: dim must be a whole number; given 1.5"),
        ({"dim": "x"}, "Knobs: dim must be a whole number; given 'x'"),
        ({"rate": float("nan")}, "Knobs: rate must be in 0 to inf; given nan"),
        ({"loss": "sofmax"}, "Knobs: loss must be one of bpr, softmax; given 'sofmax'; did you mean 'softmax'?"),
    ],
)
def test_params_say_what_is_allowed(given, message):
    with pytest.raises(RecbenchError) as error:
        Knobs(**given)
    assert str(error.value) == message
