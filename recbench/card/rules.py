"""How far one feature alone goes on a board that asks whether a user will do it: the shortcuts of such a board.

A rule looks up, in which of 20 bins of equal mass of the training questions a feature lies, and says the share of that bin
that came true. A model that does not beat the best rule has learned little; a rule that comes near certainty is a leak.

Letters: N training questions, Q questions, B behaviours asked about, F features.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recbench.asked import question_features
from recbench.data import Queries
from recbench.dataset import Dataset
from recbench.features import rate_prior
from recbench.model import Context, Recommender, Traits
from recbench.plan import Board
from recbench.questions import training_parts

BINS = 20
LEARNED = 100_000  # training questions that rules are made of at most, drawn by lot
SHOWN = 5  # rules, the best on the training questions


@dataclass(frozen=True, eq=False)
class Rule:
    """`edges`: rising, between the bins; `share_NB`: what came true in each bin, the last one for what is unknown."""

    edges: NDArray
    share_NB: NDArray

    @classmethod
    def of(cls, feature_N: NDArray, true_NB: NDArray) -> Rule:
        """The rule of one feature; a bin's share is drawn to that of all by one question."""
        known = feature_N[np.isfinite(feature_N)]
        edges = np.unique(np.quantile(known, np.arange(1, BINS) / BINS)) if len(known) else np.empty(0)
        bin_N = bins(feature_N, edges)
        counts = np.bincount(bin_N, minlength=len(edges) + 2)[:, None]
        hits = np.stack([np.bincount(bin_N, true_Q, len(edges) + 2) for true_Q in true_NB.T], axis=1)
        return cls(edges, (hits + true_NB.mean(0)) / (counts + 1))

    def __call__(self, feature_Q: NDArray) -> NDArray:
        """(Q, B) the shares of the bins in which the questions lie."""
        return self.share_NB[bins(feature_Q, self.edges)]


def bins(feature_Q: NDArray, edges: NDArray) -> NDArray:
    """(Q,) the bin of each value, the last one where it is unknown."""
    return np.where(np.isfinite(feature_Q), np.searchsorted(edges, feature_Q, side="right"), len(edges) + 1)


def order_found(predicted_N: NDArray, true_N: NDArray) -> float:
    """The share of pairs of a true and an untrue question that stand in the right order, ties counting half."""
    value, at_N = np.unique(predicted_N, return_inverse=True)
    true, false = (np.bincount(at_N, some, len(value)) for some in (true_N, ~true_N))
    below = np.cumsum(false) - false
    return float(true @ (below + false / 2) / max(1, true.sum() * false.sum()))


class OneFeature(Recommender):
    """The base rate where no feature is named, else the rule of that feature."""

    traits = Traits(tasks=("behavior",))

    def __init__(self, train: Dataset, prior_B: NDArray, rule: Rule | None, base_B: NDArray, place: int) -> None:
        super().__init__()
        self.train, self.prior_B, self.rule, self.base_B, self.place = train, prior_B, rule, base_B, place

    def fit(self, train: Dataset, context: Context) -> None:
        """Nothing is left to learn."""

    def predict(self, queries: Queries) -> NDArray:
        """(Q, B) probabilities."""
        if self.rule is None:
            return np.tile(self.base_B, (len(queries), 1))
        return self.rule(question_features(self.train, queries, prior_B=self.prior_B).values[:, self.place])


def one_feature_rules(train: Dataset, board: Board) -> dict[str, OneFeature]:
    """The base rate and the best rules by name, found on the training questions alone."""
    prior_B = rate_prior(train.interactions)
    parts = [
        (question_features(known, asked.queries, prior_B=prior_B), asked)
        for known, asked in training_parts(train, board)
    ]
    names = parts[0][0].names
    value_NF = np.concatenate([found.values for found, _ in parts])
    true_NB = np.concatenate([asked.outcomes for _, asked in parts if asked.outcomes is not None])
    if len(value_NF) > LEARNED:
        rows = np.sort(np.random.default_rng(0).choice(len(value_NF), LEARNED, replace=False))
        value_NF, true_NB = value_NF[rows], true_NB[rows]
    rules = [Rule.of(value_N, true_NB) for value_N in value_NF.T]
    worth = [
        np.mean([order_found(p_N, y_N) for p_N, y_N in zip(rule(value_N).T, true_NB.T, strict=True)])
        for rule, value_N in zip(rules, value_NF.T, strict=True)
    ]
    best = np.argsort(-np.array(worth), kind="stable")[:SHOWN]
    base_B = true_NB.mean(0)
    chosen = {names[f]: OneFeature(train, prior_B, rules[f], base_B, int(f)) for f in best}
    return {"base rate": OneFeature(train, prior_B, None, base_B, 0)} | chosen
