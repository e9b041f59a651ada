"""Rules that turn raw features into columns a linear model or a network can learn from, fitted on the training part.

Letters: N rows, F features, K features kept, M indicators of a missing value.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recbench.errors import RecbenchError
from recbench.features import Features


@dataclass(frozen=True, eq=False)
class Standard:
    """A missing value becomes the training part's median; then log1p where the column is never negative and skewed to the
    right (skewness above 1); then mean 0 and standard deviation 1.

    `inputs`: the F names that the rules are for. `kept`: (K,) columns with more than one value in training; the others are
    left out. `fill`, `mean`, `scale`: (K,) float64. `logged`: (K,) bool. `flagged`: (M,) columns that get an indicator
    NAME_missing: some but not all of their training values were missing, and no earlier column misses the same rows.
    """

    inputs: tuple[str, ...]
    kept: NDArray
    fill: NDArray
    logged: NDArray
    mean: NDArray
    scale: NDArray
    flagged: NDArray

    def __post_init__(self) -> None:
        object.__setattr__(self, "inputs", tuple(map(str, self.inputs)))  # of a file they come as an array

    @classmethod
    def fit(cls, train: Features) -> Standard:
        """The rules of a training part; RecbenchError where it has no row."""
        if not len(train):
            raise RecbenchError("Standard.fit needs at least one row of features; given none")
        rules, masks = [], {}
        for f in range(len(train.names)):
            column = train.values[:, f].astype(np.float64)
            missing = np.isnan(column)
            if missing.any() and not missing.all():
                masks.setdefault(np.packbits(missing).tobytes(), f)
            if missing.all() or np.nanmin(column) == np.nanmax(column):
                continue
            fill = float(np.median(column[~missing]))
            column[missing] = fill
            logged = bool(column.min() >= 0 and _skewness(column) > 1)
            column = np.log1p(column) if logged else column
            rules.append((f, fill, logged, column.mean(), column.std()))
        kept, fill, logged, mean, scale = (np.array(rule) for rule in zip(*rules, strict=True)) if rules else _NOTHING
        return cls(train.names, kept, fill, logged, mean, scale, np.array(list(masks.values()), np.int64))

    @property
    def names(self) -> tuple[str, ...]:
        """K + M names of what comes out."""
        return (*(self.inputs[f] for f in self.kept), *(f"{self.inputs[f]}_missing" for f in self.flagged))

    def __call__(self, features: Features) -> Features:
        """(N, K + M) float32 without a missing value; RecbenchError where the features are not those of the training part."""
        if features.names != self.inputs:
            differing = sorted(set(features.names) ^ set(self.inputs)) or ["their order"]
            raise RecbenchError(
                f"Standard was fitted on {len(self.inputs)} features and given {len(features.names)}, which differ in "
                f"{', '.join(differing[:5])}; compute both with the same data set and parameters"
            )
        out = np.empty((len(features), len(self.names)), np.float32)
        for k, f in enumerate(self.kept):
            column = features.values[:, f].astype(np.float64)
            column[np.isnan(column)] = self.fill[k]
            column = np.log1p(np.maximum(column, 0)) if self.logged[k] else column
            out[:, k] = (column - self.mean[k]) / self.scale[k]
        out[:, len(self.kept) :] = np.isnan(features.values[:, self.flagged])
        return Features(out, self.names)


_NOTHING = tuple(np.empty(0, kind) for kind in (np.int64, np.float64, bool, np.float64, np.float64))


def _skewness(column: NDArray) -> float:
    """The third moment about the mean, in standard deviations."""
    centred = column - column.mean()
    return float((centred**3).mean() / max((centred**2).mean(), 1e-300) ** 1.5)
