"""That a model of behaviours answers with probabilities, and learns who does what.

Letters: Q questions, B behaviours asked about.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from recbench.model import Recommender
from recbench.questions import training_questions
from recbench.testing.common import Check
from recbench.testing.model_trials import world
from recbench.testing.prediction_checks import predictions
from recbench.testing.worlds import WORLDS

SURE = 1e-3  # a probability counts as no nearer to 0 or 1: one bold answer does not outweigh all others


def chosen() -> list[Check]:
    """The checks of the task behavior, beside those of all models that predict."""
    return [probabilities_in_range, beats_base_rate_on_acts]


def probabilities_in_range(cls: type[Recommender]) -> None:
    """Probabilities lie between 0 and 1."""
    found_QB = predictions(cls, "acts", world("acts").test.queries)
    low, high = float(found_QB.min()), float(found_QB.max())
    assert low >= 0 and high <= 1, f"{cls.__name__}: probabilities must lie between 0 and 1; given {low:g} to {high:g}"


def beats_base_rate_on_acts(cls: type[Recommender]) -> None:
    """Where taste, quality and what was done before decide, the log loss is below that of the rates in training."""
    parts, board = world("acts"), WORLDS["acts"]().board
    holdout, asked = parts.test, training_questions(parts.train, board)
    assert holdout.outcomes is not None and asked.outcomes is not None  # the world's board asks for behaviours
    loss = _log_loss(predictions(cls, "acts", holdout.queries), holdout.outcomes)
    floor = _log_loss(np.broadcast_to(asked.outcomes.mean(0), holdout.outcomes.shape), holdout.outcomes)
    assert loss < floor, f"{cls.__name__}: the log loss is {loss:.4f}, the rates in training have {floor:.4f}"


def _log_loss(p_QB: NDArray, true_QB: NDArray) -> float:
    p_QB = np.clip(p_QB, SURE, 1 - SURE)
    return float(-np.where(true_QB, np.log(p_QB), np.log1p(-p_QB)).mean())
