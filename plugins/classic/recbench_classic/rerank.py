"""Two stages: one model names candidates, and a ranker that has learned from several models and features orders them.

Letters: Q queries, I items, N pairs of a query and a candidate, C candidates of a query, M members, F features.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from recbench import prepared
from recbench.data import Queries
from recbench.errors import RecbenchError
from recbench.holdout import Holdout
from recbench.model import Context, Recommendations
from recbench.origin import starts
from recbench.params import Params, param
from recbench.plan import Board
from recbench.split import split
from recbench.topk import mask, top_k
from recbench_classic.members import Combined, Member, decisions, member_of, members_of, scores_of
from recbench_classic.pairs import pair_features, remembered

if TYPE_CHECKING:
    from recbench.dataset import Dataset

CELLS = 4_000_000  # scores of a model held at once, 16 MB
ASKED = 1000  # queries whose features are held at once
INNER = 1  # seed of the inner cut: by the board's own, what it drew for training would be drawn for training again


@dataclass(frozen=True)
class RerankParams(Params):
    """Who names candidates, what a ranker reads of them, and how it learns."""

    first: str = param("ease", "The model that names the candidates, as ease or ease@l2:500.")
    others: str = param("item-knn+popular", "Models whose scores are features too, joined by +; may be empty.")
    candidates: int = param(100, "Best items of the first model that are ranked.", low=2, high=10000)
    questions: int = param(
        10000, "Most questions of the inner holdout that are learned from, drawn by the seed.", low=10, high=1_000_000
    )
    trees: int = param(200, "Trees of the ranker.", low=5, high=1000, log=True, tune=True)
    leaves: int = param(15, "Leaves of a tree.", low=3, high=127, log=True, tune=True)
    learning_rate: float = param(0.05, "How much of each tree is taken.", low=0.01, high=0.3, log=True, tune=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.members()

    def members(self) -> list[Member]:
        """The first model and the others; RecbenchError where one is named twice, or is or begins with a run, which has
        seen the questions that the ranker learns from."""
        found = [member_of(self.first, "rerank: first"), *members_of(self.others, "rerank: others")]
        for member in found:
            if found.count(member) > 1:
                raise RecbenchError(f"rerank: member {member.words} is named twice")
            if member.run or starts(member.params):
                raise RecbenchError(
                    f"rerank: member {member.words} is fitted twice, and a finished run cannot be: name its model"
                )
        return found


class Rerank(Combined):
    """Candidates of one model, ordered by LambdaMART on several models' scores and on features (MSR-TR-2010-82).

    The ranker learns on an inner holdout: the training part is cut once more by the board's own rules, so that its questions
    are like those of the board, one window or step earlier; without a board, or where the data came with their split, each
    user's last step is asked for, of data without order a tenth of the pairs. Members are fitted on the rest, name candidates
    for the inner questions, and those whose answer is a candidate are learned from; then members are fitted on the whole
    training part. The board's validation decides nothing but the epochs of members that have them. Features of a pair: each
    member's z-score and its place among the candidates, and those of docs/features.md that follow from the history, the
    attributes and the training log, an item's at the log's end where the moment lies behind it or there is no clock. The
    answer is a list: candidates in the ranker's order, behind them the first model's others. Needs LightGBM, which the
    extra `rerank` of recbench-classic brings.
    """

    Params = RerankParams
    small = {"first": "ease@l2:10", "others": "popular", "trees": 5, "candidates": 8}
    fitted = ("ranker",)
    threads = 1

    def fit(self, train: Dataset, context: Context) -> None:
        """Fit the members, then on an inner part again, then the ranker; RecbenchError without LightGBM or a question."""
        lightgbm()
        wanted, self.threads = self.params.members(), context.threads
        models = self.learn(wanted, train, context)
        self.chosen = decisions(wanted, models)
        inner, holdout = inner_holdout(train, context.board, context.repeat)
        self.past, again = remembered(inner), replace(context, evaluate=None, chosen=self.chosen)
        self.keep(self.learn(wanted, inner, again, "inner-"))
        with self.answering():
            self.ranker = self._learned(holdout, context)
        self.past = remembered(train)
        self.keep(models)

    def _learned(self, holdout: Holdout, context: Context) -> NDArray:
        """The ranker as bytes, from those questions whose answer is among the candidates."""
        p, n = self.params, len(holdout.queries)
        drawn = np.sort(np.random.default_rng(context.seed).permutation(n)[: p.questions])
        features, labels, groups = [], [], []
        for rows in blocks(len(drawn), holdout.queries.n_items):
            asked = holdout.take(drawn[rows])
            scores, items_QC = self._candidates(asked.queries, p.candidates)
            query, right = asked.truth.flat()
            hit_QC = np.zeros(items_QC.shape, bool)
            np.logical_or.at(hit_QC, query, items_QC[query] == right[:, None])
            used_QC = (items_QC >= 0) & hit_QC.any(axis=1, keepdims=True)
            features.append(pair_features(scores, self.past, asked.queries, items_QC, used_QC))
            labels.append(hit_QC[used_QC])
            groups.append(used_QC.sum(axis=1)[used_QC.any(axis=1)])
        if not sum(map(len, groups)):
            raise RecbenchError(
                f"rerank: none of the {n} questions of the inner holdout has its answer among the {p.candidates} "
                f"candidates of {p.first}; give more candidates or another first model"
            )
        given = lightgbm().Dataset(np.concatenate(features), np.concatenate(labels), group=np.concatenate(groups))
        how = {"objective": "lambdarank", "num_leaves": p.leaves, "learning_rate": p.learning_rate, "verbosity": -1}
        exact = {"deterministic": True, "force_row_wise": True, "num_threads": context.threads}
        ranker = lightgbm().train(how | exact | {"seed": context.seed % 2**31}, given, num_boost_round=p.trees)
        return np.frombuffer(ranker.model_to_string().encode(), np.uint8)

    def recommend(self, queries: Queries, k: int) -> Recommendations:
        """The candidates by the ranker, best first, and behind them the first model's next best."""
        booster = lightgbm().Booster(model_str=self.ranker.tobytes().decode())
        items_QK = np.full((len(queries), k), -1, np.int32)
        scores_QK = np.full((len(queries), k), -np.inf, np.float32)
        for rows in blocks(len(queries), queries.n_items):
            items_QC, scores_QC = self._ranked(queries.take(rows), max(k, self.params.candidates), booster)
            width = min(k, queries.n_items)
            items_QK[rows, :width], scores_QK[rows, :width] = items_QC[:, :width], scores_QC[:, :width]
        return Recommendations(items_QK, scores_QK)

    def _candidates(self, queries: Queries, n: int) -> tuple[list[NDArray], NDArray]:
        """(Q, I) scores of each member; (Q, C) the n best allowed items by the first, ties in one order for all queries."""
        scores = [scores_of(model, queries) for model in self.members]
        same_Q = np.zeros(len(queries), np.int64)
        return scores, top_k(mask(scores[0], queries), min(n, queries.n_items), query_Q=same_Q).items_QK

    def _ranked(self, queries: Queries, n: int, booster: Any) -> tuple[NDArray, NDArray]:
        """(Q, C) n items and their falling scores: the ranker's, and a step of 1 less for each that it does not see."""
        scores, items_QC = self._candidates(queries, n)
        head_QC, tail_QC = np.split(items_QC, [min(self.params.candidates, items_QC.shape[1])], axis=1)
        ranked_QC = np.full(head_QC.shape, -np.inf, np.float32)
        if (head_QC >= 0).any():
            told_NF = pair_features(scores, self.past, queries, head_QC, head_QC >= 0)
            ranked_QC[head_QC >= 0] = booster.predict(told_NF, num_threads=self.threads)
        order_QC = np.argsort(-ranked_QC, axis=1, kind="stable")  # of equals the first model's first
        head_QC, ranked_QC = (np.take_along_axis(values, order_QC, axis=1) for values in (head_QC, ranked_QC))
        behind_QC = ranked_QC[:, -1:] - 1 - np.arange(tail_QC.shape[1], dtype=np.float32)
        behind_QC = np.where(tail_QC >= 0, behind_QC, np.float32(-np.inf))
        return np.concatenate([head_QC, tail_QC], axis=1), np.concatenate([ranked_QC, behind_QC], axis=1)

    def save(self, folder: Path) -> None:
        """As other models made of models; beside them the past that features are computed from."""
        super().save(folder)
        shutil.rmtree(folder / "past", ignore_errors=True)  # of an earlier run of the same plan
        prepared.keep(self.past, folder / "past")

    @classmethod
    def load(cls, folder: Path) -> Rerank:
        """The model that `save` left."""
        model = super().load(folder)
        model.past = prepared.kept(folder / "past")
        return model


def lightgbm() -> Any:
    """The library; RecbenchError where it is not installed."""
    try:
        import lightgbm
    except ImportError as error:
        raise RecbenchError("rerank needs LightGBM: pip install 'recbench-classic[rerank]'") from error
    return lightgbm


def inner_holdout(train: Dataset, board: Board | None, repeat: str) -> tuple[Dataset, Holdout]:
    """The part of the training data to learn from, and the questions behind it, by the rules of the board."""
    if board is None or board.split == "given":
        ordered = {"split": "leave_last_out", "ask": "last", "target": "first"}
        how = ordered if train.info.clock != "none" else {"split": "random_pairs"}
        board = Board("none", train.info.name, ("ndcg@10",), "ndcg@10", repeat=repeat, candidates="all", **how)
    parts = split(train, replace(board, name=f"{board.name} (inside the training part)", fit_on="train+valid"), INNER)
    return parts.refit, parts.test


def blocks(n_queries: int, n_items: int) -> Iterator[slice]:
    """Queries in blocks whose scores and features fit into memory."""
    size = min(ASKED, max(16, CELLS // max(1, n_items)))
    for begin in range(0, n_queries, size):
        yield slice(begin, begin + size)
