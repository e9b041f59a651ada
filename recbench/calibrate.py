"""What is decided on validation after a behaviour model has answered: how its probabilities are bent, and from where on a
behaviour is said to happen.

Letters: Q questions, B behaviours asked about, N knots.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recbench.metric import Probabilities

SURE = 1e-7  # probabilities are kept this far from 0 and 1 before their logit is taken
COLDEST, HOTTEST = 0.05, 20.0  # temperatures
KEPT = 1e-4  # of an answer itself: what a step makes equal keeps its order, and AUC and its kin are those of the model


@dataclass(frozen=True, eq=False)
class Decided:
    """How answers are bent and judged; found on validation by `decide`.

    `temperature_B`: by which logits are divided. `knots_BN`: (2, N) of each behaviour, predicted and bent probability,
    between which lines are drawn. `threshold_B`: (B,).
    """

    kind: str
    temperature_B: NDArray | None
    knots_BN: tuple[NDArray, ...]
    threshold_B: NDArray

    def __call__(self, answers: Probabilities) -> Probabilities:
        """The answers as they count."""
        bent_QB = _bent(answers.predicted_QB, self.temperature_B, self.knots_BN)
        return replace(answers, predicted_QB=bent_QB, threshold_B=self.threshold_B)

    def told(self) -> dict[str, Any]:
        """What an entry holds of it, ready for JSON."""
        told: dict[str, Any] = {"calibration": self.kind, "threshold": [round(float(t), 6) for t in self.threshold_B]}
        if self.temperature_B is not None:
            told["temperature"] = [round(float(t), 4) for t in self.temperature_B]
        if self.knots_BN:
            told["knots"] = [[[float(f"{p:.6g}") for p in side] for side in knots] for knots in self.knots_BN]
        return told


def decide(valid: Probabilities, kind: str) -> Decided:
    """What the answers to validation decide, behaviour by behaviour.

    temperature: the one number that logits are divided by for the least log loss (Guo et al., ICML 2017,
    arXiv 1706.04599). isotonic: the never falling step function of least squared error (Zadrozny and Elkan, KDD 2002,
    doi 10.1145/775047.775151), with a ten-thousandth of the answer itself mixed in. Neither changes an order. The
    threshold is the bent probability from which on the F1 of the questions is highest; the highest of several.
    """
    temperature_B, knots = None, ()
    if kind == "temperature":
        columns = zip(valid.predicted_QB.T, valid.true_QB.T, strict=True)
        temperature_B = np.array([_temperature(logit(p_Q), y_Q) for p_Q, y_Q in columns])
    elif kind == "isotonic":
        columns = zip(valid.predicted_QB.T, valid.true_QB.T, strict=True)
        knots = tuple(_isotonic(p_Q, y_Q) for p_Q, y_Q in columns)
    bent_QB = _bent(valid.predicted_QB, temperature_B, knots)
    threshold_B = np.array([best_threshold(p_Q, y_Q) for p_Q, y_Q in zip(bent_QB.T, valid.true_QB.T, strict=True)])
    return Decided(kind, temperature_B, knots, threshold_B)


def logit(p: NDArray) -> NDArray:
    """log(p / (1 - p)), of probabilities kept away from 0 and 1."""
    p = np.clip(p, SURE, 1 - SURE)
    return np.log(p) - np.log1p(-p)


def _bent(predicted_QB: NDArray, temperature_B: NDArray | None, knots: tuple[NDArray, ...]) -> NDArray:
    if temperature_B is not None:
        return 1 / (1 + np.exp(-logit(predicted_QB) / temperature_B))
    if knots:
        steps_QB = np.stack([np.interp(p_Q, *knot) for p_Q, knot in zip(predicted_QB.T, knots, strict=True)], axis=1)
        return steps_QB + KEPT * (predicted_QB - steps_QB)
    return predicted_QB


def _temperature(logit_Q: NDArray, true_Q: NDArray) -> float:
    """The log loss is convex in 1 / temperature: its one minimum within bounds."""
    from scipy.optimize import minimize_scalar

    sign_Q = np.where(true_Q, -1.0, 1.0)
    found = minimize_scalar(
        lambda cool: np.logaddexp(0, sign_Q * logit_Q * cool).mean(),
        bounds=(1 / HOTTEST, 1 / COLDEST),
        method="bounded",
        options={"xatol": 1e-6},
    )
    return 1 / float(found.x)


def _isotonic(p_Q: NDArray, true_Q: NDArray) -> NDArray:
    """(2, N) the first and the last prediction of each step, and its height, kept half a question away from 0 and 1: so many
    questions tell no more, and one that comes out otherwise would cost without bound."""
    from scipy.optimize import isotonic_regression

    place_N, at_Q, count_N = np.unique(p_Q, return_inverse=True, return_counts=True)
    share_N = np.bincount(at_Q, true_Q) / count_N
    half = 0.5 / len(p_Q)
    height_N = isotonic_regression(share_N, weights=count_N).x.clip(half, 1 - half)
    ends = np.ones(len(place_N), bool)
    ends[1:-1] = (height_N[1:-1] != height_N[:-2]) | (height_N[1:-1] != height_N[2:])
    return np.stack([place_N[ends], height_N[ends]])


def best_threshold(p_Q: NDArray, true_Q: NDArray) -> float:
    """The highest probability from which on F1 = 2 hits / (said + true) is greatest."""
    order = np.argsort(-p_Q, kind="stable")
    said = np.arange(1, len(order) + 1)
    f1 = 2 * np.cumsum(true_Q[order]) / (said + true_Q.sum())
    whole = np.append(np.diff(p_Q[order]) != 0, True)  # equal probabilities are said together
    return float(p_Q[order][np.argmax(np.where(whole, f1, -1))])
