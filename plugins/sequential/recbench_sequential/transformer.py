"""A causal Transformer over a user's history; the network is imported when it is first needed.

Letters: Q questions, I items, T behaviours asked about, K statistics.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from recbench.asked import Known, answered, asked_in_training, statistics_in_training, statistics_of
from recbench.errors import RecbenchError
from recbench.features import FeatureParams
from recbench.model import Context, Traits
from recbench.neural.choices import CausalParams
from recbench.neural.recommender import POSITIONS, TorchRecommender
from recbench.params import param
from recbench.standard import Standard

if TYPE_CHECKING:
    from torch.utils.data import DataLoader

    from recbench.data import Queries
    from recbench.dataset import Dataset
    from recbench.holdout import Holdout
    from recbench.neural.network import Network
    from recbench.plan import Board

MIN_EVENTS = 2  # training events that an item needs for a row of its own where it is asked about
UNMOVED = ("crop", "reorder", "item_dropout")  # what moves the windows to which questions are put


@dataclass(frozen=True)
class TransformerParams(CausalParams):
    """What the Transformer reads beside items and behaviours, and how it learns of behaviours asked about."""

    item_features: str = param(
        "", "Columns of the items table whose words or numbers are added to an item's vector, set apart by commas."
    )
    text_vectors: str = param("", "Parquet file with columns item_id and vector, added to an item's vector.")
    next_item_weight: float = param(
        0.3,
        "Weight of the next-item loss beside that of the behaviours asked about; 0: none, and no list can be had.",
        low=0.0,
        high=1.0,
        tune=True,
        formerly=0.3,
        task="behavior",
    )
    id_dropout: float = param(
        0.1,
        "Share of the items read or asked about that training takes for unknown ones.",
        low=0.0,
        high=0.9,
        tune=True,
        formerly=0.1,
        task="behavior",
    )
    categories: str = param(
        FeatureParams.categories,
        "Columns of the item table added to an item's vector where it is asked about, beside `item_features`; those it lacks "
        "are left out.",
        formerly=FeatureParams.categories,
        task="behavior",
    )
    statistics: bool = param(
        True,
        "Whether the counts, rates and ages of `recbench.features` are inputs beside the newest `max_length` events.",
        tune=True,
        formerly=True,
        task="behavior",
    )


class Transformer(TorchRecommender):
    """Causal pre-norm Transformer over the newest items of a history, after SASRec (arXiv 1808.09781).

    What differs: the loss is the softmax over all items; the norm stands on the residual's way in, GELU for ReLU; each item
    has a bias; a running average of the weights answers. And it is wide, with `scale_read` and `vector_dropout`: on Amazon's
    Beauty and Sports it ranks better than with 64 numbers an item, in about half the epochs, each thrice as dear.
    By choice with the blocks of eSASRec (arXiv 2508.06450) or HSTU (arXiv 2402.17152), and with what else is known:
    behaviours, times, columns of the items table and text vectors.

    On a board of the task behavior it learns what came of the questions asked in training, and what comes next beside that
    (`next_item_weight`), so that one fit answers both. A window of history is encoded once for all questions put to it; of
    each a small network reads the state at its moment, the item's vector, their product, what the item finds among
    the events by attention, counts, and `statistics`. Items with fewer than two training events share a vector, and all
    have the `categories` of the item table.
    """

    Params = TransformerParams
    traits = Traits(tasks=("ranking", "behavior"), sequential=True, trained=True, stochastic=True)
    small = {
        "dropout": 0.0,
        "vector_dropout": 0.0,
        "id_dropout": 0.5,
        "next_item_weight": 1.0,
        "statistics": False,
        "dim": 32,
        "epochs": 15,
        "batch_size": 32,
        "max_length": 10,
        "learning_rate": 1e-2,
    }

    records = {"known": Known, "rules": Standard}  # where statistics are inputs: what they are made of
    known: Known | None = None
    rules: Standard | None = None
    asked: Holdout | None = None  # these four while fitting on a board of the task behavior
    board: Board | None = None
    statistics_QK: NDArray | None = None
    kept: dict[bytes, NDArray] | None = None

    def fit(self, train: Dataset, context: Context) -> None:
        """Learn what comes next, and on a board of the task behavior what came of the questions that it would have asked of
        the training part; RecbenchError where it would have asked none, or in no order."""
        board = context.board
        self.asked, self.known, self.rules, self.board, self.kept = None, None, None, board, {}
        if board is not None and board.task == "behavior":
            self._refuse(board)
            self.asked = asked_in_training(type(self).__name__, train, board)
            if self.params.statistics:
                self.known, self.rules, self.statistics_QK = statistics_in_training(train, board, self.asked)
        super().fit(train, context)
        self.asked = self.board = self.statistics_QK = self.kept = None

    def _refuse(self, board: Board) -> None:
        if board.split == "random_pairs":
            raise RecbenchError(
                f"model {type(self).__name__} reads histories in their order, and board {board.name}, which holds out pairs "
                "by lot, has none; use a model that reads no order"
            )
        given = [f"{name}={getattr(self.params, name):g}" for name in UNMOVED if getattr(self.params, name)]
        given += [f"ssl={self.params.ssl}"] * (self.params.ssl != "none")
        if given:
            raise RecbenchError(
                f"{', '.join(given)} would move the windows to which board {board.name} puts its questions; leave it out"
            )

    def network(self, train: Dataset) -> Network:
        from recbench.neural.causal import CausalTransformer
        from recbench.neural.columns import blank, item_columns
        from recbench_sequential.behavior_network import BehaviorTransformer

        params, known_I = self.params, None
        if hasattr(train, "interactions"):  # else a saved model is loaded
            columns = item_columns(train, self._columns(train), params.text_vectors)
            told_apart = params.behaviors or self.asked is not None
            facts = {
                "columns": [column.fact for column in columns],
                "behaviors": len(train.interactions.behaviors) if told_apart else 1,
                "time": self.timed(train),
            }
            if self.asked is not None:
                n_statistics = 0 if self.rules is None else len(self.rules.names)
                facts |= {"targets": list(self.asked.targets), "statistics": n_statistics}
            self.facts = self.facts | facts
            least = 1 if self.asked is None else MIN_EVENTS
            known_I = np.bincount(train.interactions.item, minlength=train.n_items) >= least
        else:
            columns = [blank(train.n_items, fact) for fact in self.facts["columns"]]
        facts, share_I = self.facts, self.item_shares(train)
        if "targets" not in facts:
            return CausalTransformer(
                train.n_items, params, share_I, columns, known_I, facts["behaviors"], facts["time"]
            )
        net = BehaviorTransformer(train.n_items, params, share_I, columns, known_I, facts)
        if self.asked is None or self.asked.outcomes is None:
            return net
        return net.begun((self.asked.outcomes.sum(0) + 1.0) / (len(self.asked.outcomes) + 2.0))

    def _columns(self, train: Dataset) -> str:
        """The columns of the items table that are read, set apart by commas."""
        if self.asked is None or train.items is None:
            return self.params.item_features
        wanted = dict.fromkeys(name.strip() for name in self.params.item_features.split(",") if name.strip())
        wanted |= {name: None for name in self.params.categories.split(",") if name in train.items}
        return ",".join(wanted)

    def batches(self, train: Dataset, context: Context) -> DataLoader:
        """Windows of histories, and the questions put to them where the board asks about behaviours."""
        if self.asked is None:
            return super().batches(train, context)
        from recbench.neural.batches import loader
        from recbench_sequential.lessons import Lessons

        params = self.params
        lessons = Lessons(
            train.interactions,
            self.asked,
            params.max_length,
            params.next_item_weight > 0,
            self.new_only(context),
            self.targets_since(train),
            self.net.reads,
            self.statistics_QK,
        )
        return loader(lessons, params.batch_size, context.seed, context.team)

    def score(self, queries: Queries) -> NDArray:
        """(Q, I) as every model of histories; RecbenchError where what comes next was not learned."""
        if "targets" in self.facts and not self.params.next_item_weight:
            raise RecbenchError(
                "transformer has learned behaviours alone and ranks no items: fit it with next_item_weight above 0"
            )
        return super().score(queries)

    def predict(self, queries: Queries) -> NDArray:
        """(Q, T) float64 probabilities of the behaviours asked about; RecbenchError where none were fitted."""
        if "targets" not in self.facts:
            raise RecbenchError(
                "transformer has learned what comes next and knows no probabilities: fit it on a board of the task behavior"
            )
        with self.answering():
            return answered(self.answer, queries, len(self.facts["targets"]))

    def answer(self, queries: Queries) -> NDArray:
        """(Q, T) of so many questions that memory holds their statistics, while `answering`."""
        import torch

        from recbench_sequential.lessons import asked_in_batches

        device, statistics_QK = self.vectors_ID.device, statistics_of(queries, self.known, self.rules, self.kept)
        out_QT, read = np.empty((len(queries), len(self.facts["targets"]))), (self.params.max_length, self.net.reads)
        for row_Q, lesson in asked_in_batches(queries, *read, POSITIONS, statistics_QK):
            out_QT[row_Q] = torch.sigmoid(self.net.answers(lesson.to(device)).double()).cpu().numpy()
        return out_QT

    def timed(self, train: Dataset) -> bool:
        """Whether attention reads times; RecbenchError where it must and the data has none.

        Where questions are put where a window opens, it never does: in training, what is asked there would tell when the next
        event comes.
        """
        opens = self.asked is not None and self.board is not None and self.board.ask == "window_start"
        if self.params.time_bias == "always" and opens:
            raise RecbenchError(
                f"time_bias=always cannot be on board {self.board.name}, which asks where a window opens; use time_bias=auto"
            )
        return not opens and self.params.timed(train.info)
