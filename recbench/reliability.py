"""Two pictures of probabilities: how far they can be believed, and what each threshold would decide.

Letters: Q questions, B behaviours asked about, G distinct probabilities, N bins, T thresholds.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from recbench.canvas import DASHES, INK, MARKS, Picture, canvas, png
from recbench.metric import Probabilities

if TYPE_CHECKING:
    from matplotlib.axes import Axes

BINS = 15
POINTS = 400  # thresholds drawn at most


def pictures(answers: Probabilities, what: str) -> dict[str, Picture]:
    """By name; `what`: model and board, for the titles."""
    return {"reliability": _reliability(answers, what), "thresholds": _thresholds(answers, what)}


def binned(p_Q: NDArray, true_Q: NDArray, weight_Q: NDArray) -> tuple[NDArray, NDArray, NDArray]:
    """(N,) mean probability, share that came true and standard error of the share, of questions in rising order of
    probability, as many in each bin; equal probabilities share the bin in which the middle one of them lies. For the error,
    questions of a user count as if each were alone, and those of unequal weight as the (sum w)^2 / sum w^2 equal ones that
    tell as much (Kish 1965)."""
    _, at_Q, count_G = np.unique(p_Q, return_inverse=True, return_counts=True)
    bin_Q = ((np.cumsum(count_G) - count_G / 2) * BINS // len(p_Q))[at_Q]
    rows = [np.flatnonzero(bin_Q == n) for n in np.unique(bin_Q)]
    mean = np.array([np.average(p_Q[some], weights=weight_Q[some]) for some in rows])
    share = np.array([np.average(true_Q[some], weights=weight_Q[some]) for some in rows])
    n_equal = np.array([weight_Q[some].sum() ** 2 / np.square(weight_Q[some]).sum() for some in rows])
    return mean, share, np.sqrt(share * (1 - share) / n_equal)


def curves(p_Q: NDArray, true_Q: NDArray) -> tuple[NDArray, NDArray, NDArray, NDArray]:
    """(T,) thresholds, the distinct probabilities rising, and precision, recall and F1 of what lies at or above each."""
    threshold_T, at_Q = np.unique(p_Q, return_inverse=True)
    said_T = np.cumsum(np.bincount(at_Q)[::-1])[::-1]
    hits_T = np.cumsum(np.bincount(at_Q, true_Q)[::-1])[::-1]
    n_true = max(1, int(true_Q.sum()))
    return threshold_T, hits_T / said_T, hits_T / n_true, 2 * hits_T / (said_T + n_true)


def _reliability(answers: Probabilities, what: str) -> Picture:
    def draw(axes: Axes, b: int) -> None:
        mean, share, error = binned(answers.corrected_QB[:, b], answers.true_QB[:, b], answers.weight_Q)
        top = 1.08 * max(mean.max(), (share + error).max(), 1e-6)
        axes.plot([0, top], [0, top], color=INK, linewidth=0.8, linestyle=DASHES[1])
        axes.errorbar(mean, share, error, color=MARKS[0], marker="o", markersize=4, linewidth=1.2, capsize=2)
        axes.set(xlim=(0, top), ylim=(0, top), xlabel="probability, mean of a bin", ylabel="share that came true")

    return _drawn(answers, f"{what}: of what has a probability, how much comes true", draw)


def _thresholds(answers: Probabilities, what: str) -> Picture:
    def draw(axes: Axes, b: int) -> None:
        threshold, *found = curves(answers.predicted_QB[:, b], answers.true_QB[:, b])
        few = np.unique(np.linspace(0, len(threshold) - 1, POINTS).round().astype(int))
        for name, column, colour, dash in zip(("precision", "recall", "F1"), found, MARKS, DASHES, strict=False):
            axes.plot(threshold[few], column[few], color=colour, linestyle=dash, linewidth=1.4, label=name)
        axes.axvline(answers.threshold_B[b], color=INK, linewidth=0.8)
        axes.set(ylim=(0, 1.02), xlabel="threshold")
        axes.legend(frameon=False, fontsize=8)

    return _drawn(answers, f"{what}: what a threshold would decide, and the one that validation chose", draw)


def _drawn(answers: Probabilities, title: str, draw: Callable[[Axes, int], None]) -> Picture:
    """A panel for each behaviour, two beside each other."""
    n = len(answers.behaviors)
    columns = min(2, n)
    rows = -(-n // columns)
    figure, panels = canvas(title, rows, 0.7 + 3.1 * rows, columns)
    for b, axes in enumerate(panels):
        axes.set_visible(b < n)
        if b < n:
            draw(axes, b)
            axes.set_title(answers.behaviors[b], fontsize=10, color=INK, loc="left")
    return Picture(title, png(figure))
