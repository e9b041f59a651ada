"""Gradient boosted trees.

Letters: N questions learned from, Q questions, F features, B behaviours.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from recbench.data import Queries
from recbench.entry import write_atomically
from recbench.errors import RecbenchError
from recbench.model import Context, Recommender
from recbench.params import param
from recbench.parts import drawn_by
from recbench_behavior.judge import Judge, JudgeParams, decided

if TYPE_CHECKING:
    from lightgbm import Booster

    from recbench.dataset import Dataset


@dataclass(frozen=True)
class GBDTParams(JudgeParams):
    """Size and number of trees."""

    trees: int = param(1000, "Most trees of a behaviour.", low=1, high=100_000)
    patience: int = param(
        30, "Trees without a better log loss on the questions set aside, after which it ends.", low=1, high=1000
    )
    aside: float = param(0.1, "Share of the questions that are set aside to say when to end.", low=0.01, high=0.5)
    learning_rate: float = param(0.05, "How much of each tree is taken.", low=0.005, high=0.5, log=True, tune=True)
    leaves: int = param(31, "Leaves of a tree.", low=2, high=255, log=True, tune=True)
    leaf_questions: int = param(50, "Fewest questions in a leaf.", low=1, high=10_000, log=True, tune=True)
    l2: float = param(1.0, "Penalty on what a leaf says.", low=1e-3, high=1000.0, log=True, tune=True)
    feature_share: float = param(
        0.8, "Share of the features that a tree may read, drawn.", low=0.1, high=1.0, tune=True
    )


class GBDT(Judge):
    """Gradient boosted trees on raw features, one LightGBM for each behaviour (Ke et al., NeurIPS 2017).

    Features as docs/features.md has them, NaN where nothing is known; no user and no item is named. Trees are added until
    the log loss of the questions set aside has been no better for `patience` trees, and the best are kept; set aside are the
    last in time, whole moments, or a share drawn where that would be over half. A behaviour whose outcomes are alike in
    either part keeps its base rate, for no tree could be found better or worse. A refit grows as many trees as the selection
    chose, on all questions. Needs LightGBM, which the extra `gbdt` brings: pip install recbench-behavior[gbdt].
    """

    Params = GBDTParams
    small = {"trees": 40, "leaves": 7, "leaf_questions": 20, "learning_rate": 0.1}
    boosters: dict[int, Booster]

    def fit(self, train: Dataset, context: Context) -> None:
        """Bin the features once, then grow trees behaviour by behaviour."""
        lightgbm = imported()
        lesson, told = self.learn(train, context), context.chosen.get("trees")
        aside_N = (
            np.zeros(len(lesson.features), bool) if told else set_aside(lesson.time, self.params.aside, context.seed)
        )
        settings, values = self.settings(context), lesson.features.values
        data = lightgbm.Dataset(values[~aside_N], np.zeros(np.sum(~aside_N)), params=settings, free_raw_data=False)
        late = lightgbm.Dataset(values[aside_N], np.zeros(np.sum(aside_N)), reference=data, free_raw_data=False)
        self.boosters, best = {}, np.zeros(len(self.base_B), int)
        grows_B = ~decided(lesson.outcomes_NB[~aside_N])
        grows_B &= np.array(told) > 0 if told else ~decided(lesson.outcomes_NB[aside_N])
        for b in np.flatnonzero(grows_B):
            data.set_label(lesson.outcomes_NB[~aside_N, b])
            if told:
                grown = lightgbm.train(settings, data, told[b])
            else:
                late.set_label(lesson.outcomes_NB[aside_N, b])
                stop = lightgbm.early_stopping(self.params.patience, verbose=False)
                grown = lightgbm.train(settings, data, self.params.trees, valid_sets=[late], callbacks=[stop])
            best[b] = told[b] if told else grown.best_iteration
            self.boosters[int(b)] = lightgbm.Booster(model_str=grown.model_to_string(num_iteration=best[b]))
        self.chosen, self.chosen_epochs = {"trees": best.tolist()}, int(best.max(initial=0))
        self.stopped_by = "patience" if self.chosen_epochs < self.params.trees else "trees"

    def settings(self, context: Context) -> dict[str, Any]:
        """LightGBM's parameters."""
        p = self.params
        repeatable = {
            "seed": context.seed,
            "deterministic": True,
            "force_row_wise": True,
            "num_threads": context.threads,
        }
        size = {"num_leaves": p.leaves, "min_data_in_leaf": p.leaf_questions, "lambda_l2": p.l2}
        pace = {"learning_rate": p.learning_rate, "feature_fraction": p.feature_share}
        return {"objective": "binary", "metric": "binary_logloss", "verbosity": -1} | repeatable | size | pace

    def answer(self, queries: Queries) -> NDArray:
        """(Q, B) float64 from history and item, so a new user needs no refit."""
        values, out_QB = self.known.features(queries).values, np.tile(self.base_B, (len(queries), 1))
        for b, booster in self.boosters.items():
            out_QB[:, b] = booster.predict(values, num_threads=1)
        return out_QB

    def save(self, folder: Path) -> None:
        """Beside the arrays, a text file of trees for each behaviour that has them."""
        super().save(folder)
        for b, booster in self.boosters.items():
            write_atomically(folder / f"trees-{b}.txt", booster.model_to_string())

    @classmethod
    def load(cls, folder: Path) -> Recommender:
        """The model that `save` left in `folder`."""
        lightgbm, model = imported(), super().load(folder)
        texts = {int(path.stem.split("-")[1]): path.read_text() for path in sorted(folder.glob("trees-*.txt"))}
        model.boosters = {b: lightgbm.Booster(model_str=text) for b, text in texts.items()}
        return model


def imported() -> Any:
    """LightGBM; RecbenchError says how to get it where it is not there."""
    try:
        import lightgbm
    except ImportError as error:
        raise RecbenchError("gbdt needs LightGBM: pip install 'recbench-behavior[gbdt]'") from error
    return lightgbm


def set_aside(time_N: NDArray, share: float, seed: int) -> NDArray:
    """(N,) bool: the last of the questions in time, whole moments, or drawn ones where that would be over half of them."""
    n = max(1, round(share * len(time_N)))
    late = time_N >= np.sort(time_N)[-n]
    if 2 * late.sum() <= len(late):
        return late
    place = np.argsort(drawn_by(seed, np.arange(len(time_N))), kind="stable")
    drawn = np.zeros(len(time_N), bool)
    drawn[place[:n]] = True
    return drawn
