"""A blend of models, and the search for its weights.

Letters: Q queries, I items, M members, K list length, C items of a shortlist.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from recbench.data import Queries
from recbench.errors import RecbenchError
from recbench.model import Context, Recommendations, Recommender
from recbench.params import Params, param
from recbench.topk import mask, top_k
from recbench_classic.fusion import FUSIONS, on_one_scale
from recbench_classic.members import Combined, decisions, members_of, scores_of

if TYPE_CHECKING:
    from recbench.dataset import Dataset

FIRST_STEP, LAST_STEP = 1 / 4, 1 / 128  # of a weight: the z-scores of sparse models have long tails and need little
Mix = tuple[float, ...]


@dataclass(frozen=True)
class BlendParams(Params):
    """Which models are blended, and how."""

    members: str = param("ease+item-knn", "Models joined by +, each as ease, ease@l2:500 or run:KEY.")
    fusion: str = param("z-score", "How the scores of a query come to one scale.", choices=FUSIONS, tune=True)
    weights: str = param("", "Weights joined by +, as 0.7+0.3; empty: those that are best on validation.")
    shortlist: int = param(
        100, "Best items of each member that the search mixes; 12 bytes for each, query and member.", low=10, high=10000
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        n = len(members_of(self.members, "blend: members", 2))
        if self.weights and len(self.weight_M) != n:
            raise RecbenchError(f"blend: weights must be as many as members, {n}; given {self.weights!r}")

    @property
    def weight_M(self) -> NDArray:
        """(M,) the weights given, with sum 1; RecbenchError where they are no weights."""
        try:
            weight_M = np.array([float(word) for word in self.weights.split("+")])
        except ValueError:
            weight_M = np.array([np.nan])
        if not (np.isfinite(weight_M).all() and weight_M.min() >= 0 and weight_M.sum() > 0):
            raise RecbenchError(
                f"blend: weights must be numbers from 0, not all 0, joined by +, as 0.7+0.3; given {self.weights!r}"
            )
        return weight_M / weight_M.sum()


class Blend(Combined):
    """A weighted sum of the scores of several models, each on one scale a query (CombSUM: Fox, Shaw, TREC-2, 1994).

    The scale is a z-score over all items, a reciprocal rank (Cormack, Clarke, Buettcher, SIGIR 2009,
    doi 10.1145/1571941.1572114) or the share of the way from least to largest. Members are fitted on the same training part;
    those that train in epochs are selected on validation like runs of their own, and refitted with the epochs chosen.
    Weights are searched on validation: each member alone, all alike, then steps of 1/4 to 1/128 from one member to another
    while one of them helps. The search mixes the `shortlist` best of each member alone, and the run's validation score is
    of the blend itself. The entry tells the weights under `chosen`, and the refit uses them. With nothing to select on and no
    `weights`, all members count alike. A member without weight is not asked.
    """

    Params = BlendParams
    small = {"members": "popular+ease@l2:10"}
    fitted = ("weight_M",)

    def fit(self, train: Dataset, context: Context) -> None:
        """Fit the members, then find the weights."""
        wanted = members_of(self.params.members, "blend: members", 2)
        names = [member.words for member in wanted]
        self.keep(self.learn(wanted, train, context))
        self.weight_M = np.full(len(wanted), 1 / len(wanted))
        if self.params.weights:
            self.weight_M = self.params.weight_M
        elif told := context.chosen.get("weights"):
            self.weight_M = np.array([told[name] for name in names])
        elif context.evaluate is not None:
            evaluate, shortlists = context.evaluate, Shortlists(self)
            self.weight_M = np.array(best_mix(lambda mix: evaluate(shortlists.mixed(mix)), len(wanted)))
        self.chosen = {"weights": dict(zip(names, self.weight_M.tolist(), strict=True))} | decisions(
            wanted, self.members
        )

    def score(self, queries: Queries) -> NDArray:
        """(Q, I) float32: the weighted sum."""
        used = [(model, weight) for model, weight in zip(self.members, self.weight_M, strict=True) if weight > 0]
        if len(used) == 1:
            return scores_of(used[0][0], queries)  # its order, to the last tie
        scores_QI = np.zeros((len(queries), queries.n_items), np.float32)
        for model, weight in used:
            scores_QI += np.float32(weight) * on_one_scale(scores_of(model, queries), self.params.fusion)
        return scores_QI


class Shortlists(Recommender):
    """The blend on the best few items of each member, whose scaled scores are kept: a mix costs no answer of a member."""

    def __init__(self, blend: Blend) -> None:
        self.blend, self.kept, self.mix_M = blend, {}, blend.weight_M

    def fit(self, train: Dataset, context: Context) -> None:
        """Nothing is learned."""

    def answering(self):
        """As the blend."""
        return self.blend.answering()

    def mixed(self, mix: Mix) -> Shortlists:
        """The same, with these weights."""
        self.mix_M = np.array(mix, np.float32)
        return self

    def recommend(self, queries: Queries, k: int) -> Recommendations:
        """The k best of the items kept."""
        asked = queries.user.tobytes() + queries.time.tobytes()  # who asks and when: a holdout holds it once
        if asked not in self.kept:
            self.kept[asked] = self._shortlist(queries, max(k, self.blend.params.shortlist))
        item_QC, score_QCM = self.kept[asked]
        mixed_QC = np.where(item_QC < 0, -np.inf, score_QCM @ self.mix_M)
        best = top_k(mixed_QC, k)
        items_QK = np.take_along_axis(item_QC, np.maximum(best.items_QK, 0), axis=1)
        return Recommendations(np.where(best.items_QK < 0, -1, items_QK), best.scores_QK)

    def _shortlist(self, queries: Queries, n: int) -> tuple[NDArray, NDArray]:
        """(Q, C) the distinct items among the n best of each member, -1 where there are fewer; (Q, C, M) their scores."""
        scores, fusion = [], self.blend.params.fusion
        for model in self.blend.members:
            scores.append(on_one_scale(scores_of(model, queries), fusion))
        n = min(n, queries.n_items)
        item_QC = np.concatenate([top_k(mask(scores_QI, queries), n).items_QK for scores_QI in scores], axis=1)
        item_QC.sort(axis=1)
        item_QC[:, 1:][item_QC[:, 1:] == item_QC[:, :-1]] = -1
        at_QC = np.maximum(item_QC, 0)
        return item_QC, np.stack([np.take_along_axis(scores_QI, at_QC, axis=1) for scores_QI in scores], axis=2)


def best_mix(judge: Callable[[Mix], float], n: int) -> Mix:
    """The weights, n with sum 1, that `judge` values most among those tried; of equals the first.

    Each member alone, all alike, then from the best of these: a step of weight from one member to another, to the best
    place that any pair reaches, while that is better; when none is, half the step.
    """
    values: dict[Mix, float] = {}

    def value(mix: Mix) -> float:
        key = tuple(round(weight, 9) for weight in mix)
        if key not in values:
            values[key] = judge(mix)
        return values[key]

    starts: list[Mix] = [tuple(float(i == m) for i in range(n)) for m in range(n)] + [(1 / n,) * n]
    best, step = max(starts, key=value), FIRST_STEP
    while step >= LAST_STEP:
        moved = max(_moves(best, step), key=value, default=best)
        if value(moved) > value(best):
            best = moved
        else:
            step /= 2
    return best


def _moves(mix: Mix, step: float) -> list[Mix]:
    """The mix with at most `step` of weight moved from one member to another, for every pair."""
    moves = []
    for source in range(len(mix)):
        moved = min(step, mix[source])
        for target in range(len(mix)):
            if source != target and moved > 0:
                weights = list(mix)
                weights[source] -= moved
                weights[target] += moved
                moves.append(tuple(weights))
    return moves
