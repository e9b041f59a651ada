"""That a model of values learns who rates high and what is rated high."""

from __future__ import annotations

import numpy as np

from recbench.model import Recommender
from recbench.testing.model_trials import world
from recbench.testing.prediction_checks import predictions


def beats_mean_on_ratings(cls: type[Recommender]) -> None:
    """Where users and items have levels of their own, the error is below that of one number for all."""
    parts = world("ratings")
    holdout, log = parts.test, parts.train.interactions
    assert holdout.values is not None  # the world's board asks for values
    error = np.sqrt(np.mean((predictions(cls, "ratings", holdout.queries)[:, 0] - holdout.values) ** 2))
    floor = np.sqrt(np.mean((log.value.mean() - holdout.values) ** 2))
    assert error < floor, f"{cls.__name__}: the RMSE is {error:.3f}, one number for all has {floor:.3f}"
