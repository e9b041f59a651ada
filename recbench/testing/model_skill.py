"""What a recommender must learn, on worlds whose answer is known: each asks what the model's traits promise.

Letters: Q queries, I items.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from recbench.holdout import Holdout
from recbench.model import Recommender, mask
from recbench.testing.model_trials import fitted, scores, world

NOISE = 4.0  # standard errors that a skill may lie below chance before it counts as wrong


def beats_random_on_checkerboard(cls: type[Recommender]) -> None:
    """Where even users like even items, a model is at least as good as chance, up to noise."""
    _at_least_chance(cls, "checkerboard")


def beats_random_on_fashion(cls: type[Recommender]) -> None:
    """Where a wave runs through the items, a model that reads the clock is at least as good as chance, up to noise."""
    _at_least_chance(cls, "fashion")


def beats_random_on_cold(cls: type[Recommender]) -> None:
    """Where only the text tells the colour of new items, a model that reads text is at least as good as chance."""
    _at_least_chance(cls, "cold")


def learns_chain(cls: type[Recommender]) -> None:
    """A sequential model finds the next item of i -> i + 1 for at least half of the users; chance is 1 in 12."""
    holdout = world("chain").test
    scores_QI = mask(scores(fitted(cls, "chain"), holdout.queries), holdout.queries)
    target_Q = holdout.truth.values[holdout.truth.start]
    at_target_Q1 = scores_QI[np.arange(len(target_Q)), target_Q][:, None]
    share = float(np.mean(1 / (scores_QI >= at_target_Q1).sum(1) * ((scores_QI > at_target_Q1).sum(1) == 0)))
    assert share >= 0.5, (
        f"{cls.__name__}: only {share:.2f} of the chain's next items come first, order-blind models reach "
        "0.08; is the order read?"
    )


def skill(scores_QI: NDArray, holdout: Holdout) -> tuple[float, float]:
    """The mean chance that a right answer stands above a wrong allowed item (0.5: random), and its standard error."""
    scores_QI = mask(scores_QI, holdout.queries)
    values = []
    for q in range(len(scores_QI)):
        right = np.zeros(scores_QI.shape[1], bool)
        right[holdout.truth[q]] = True
        wrong = scores_QI[q][~right & (scores_QI[q] > -np.inf)]
        good = scores_QI[q][right][:, None]
        if wrong.size:
            values.append(np.mean((good > wrong) + 0.5 * (good == wrong)))
    return float(np.mean(values)), float(np.sqrt(1 / 12 / len(values)))


def _at_least_chance(cls: type[Recommender], name: str) -> None:
    holdout = world(name).valid
    value, error = skill(scores(fitted(cls, name), holdout.queries), holdout)
    assert value >= 0.5 - NOISE * error, (
        f"{cls.__name__}: on the {name} a right item stands above a wrong one with probability {value:.2f}, "
        "chance is 0.50; is the sign right?"
    )
