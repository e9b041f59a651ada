"""What the networks of behaviour share: their parameters, what they learn from, and how they answer.

Torch is imported when a model fits or answers.

Letters: Q questions, T behaviours asked about, K statistics.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from recbench.asked import Known, answered, asked_in_training, statistics_in_training, statistics_of
from recbench.errors import RecbenchError
from recbench.features import FeatureParams
from recbench.model import Context, Recommender, Traits
from recbench.neural.choices import FitParams
from recbench.neural.recommender import TorchRecommender
from recbench.params import param
from recbench.standard import Standard
from recbench_behavior.fields import Fields, fields_of

if TYPE_CHECKING:
    from torch.utils.data import DataLoader

    from recbench.data import Queries
    from recbench.dataset import Dataset
    from recbench.holdout import Holdout
    from recbench_behavior.networks import BehaviorNetwork

QUESTIONS = 1 << 11  # answered at once


@dataclass(frozen=True)
class FieldParams(FitParams):
    """What is looked up, what is read of a history, and how the weights are fitted."""

    epochs: int = param(10, "Most passes over the questions; large logs are learned by heart in two.", low=1, high=1000)
    batch_size: int = param(512, "Questions in a batch.", low=1, high=65_536)
    averaging: float = param(
        0.99, "Decay of the running average of the weights, which is what answers; 0: none.", low=0.0, high=0.99999
    )
    patience: int = param(2, "Epochs without a better headline before training stops.", low=1, high=10_000)
    embedding_l2: float = param(
        1e-4, "Weight of the squared vectors that a question looks up.", low=1e-7, high=1e-1, log=True, tune=True
    )
    id_dropout: float = param(
        0.1, "Share of users and items that a training batch takes for unknown ones.", low=0.0, high=0.9, tune=True
    )
    max_length: int = param(
        50, "Newest events of a history that are read; 0: the history is not read.", low=0, high=1000
    )
    users: bool = param(
        False,
        "Whether the user is a field beside its history: it helps where most users asked about were trained on.",
        tune=True,
    )
    items: bool = param(True, "Whether the item is a field.")
    categories: str = param(
        FeatureParams.categories, "Columns of the item table that are fields; those it lacks are left out."
    )
    moment: bool = param(True, "Whether hour and weekday (UTC) are fields, where the clock tells them.")
    statistics: bool = param(
        True,
        "Whether the counts, rates and ages of `recbench.features` are inputs too: what some thousands of questions are too "
        "few to find in histories. They take some 300 bytes a question learned from or asked for validation.",
        tune=True,
    )
    min_events: int = param(
        2,
        "Training events that an id or category needs for a vector of its own; the others share one.",
        low=1,
        high=1000,
    )
    buckets: int = param(
        0, "Most vectors of one field, which ids then share by hashing; 0: no bound.", low=0, high=100_000_000
    )


@dataclass(frozen=True)
class VectorParams(FieldParams):
    """The same where ids have vectors."""

    dim: int = param(16, "Width of the vector of an id or a category.", low=1, high=256)


@dataclass(frozen=True)
class DeepParams(VectorParams):
    """The same with layers."""

    width: int = param(128, "Width of the hidden layers.", low=4, high=4096)
    layers: int = param(2, "Hidden layers.", low=1, high=10)
    dropout: float = param(0.1, "Share of the hidden layers' outputs that are dropped.", low=0.0, high=0.9, tune=True)
    batch_norm: bool = param(
        False, "Whether a hidden layer is normalised over the batch before its ReLU.", formerly=False
    )


class BehaviorModel(TorchRecommender):
    """Base of the models: questions of the training part in batches, and the probability of each behaviour asked about.

    A subclass names its `Params`, and its network by `network_class`. A new user is answered by its history and what is
    known of the item; an event counts as often as it comes. Where the board draws its negatives, probabilities speak of
    the questions asked, as the training questions do.
    """

    Params = FieldParams
    traits = Traits(tasks=("behavior",), trained=True, stochastic=True)
    small: ClassVar[dict[str, Any]] = {
        "dim": 4,
        "epochs": 4,
        "batch_size": 64,
        "learning_rate": 1e-2,
        "statistics": False,
    }
    least_behaviors: ClassVar[int] = 1
    records = {"known": Known, "rules": Standard}  # where statistics are inputs: what they are made of
    known: Known | None = None
    rules: Standard | None = None
    fields: Fields | None = None  # these four while fitting
    asked: Holdout | None = None
    statistics_QK: NDArray | None = None
    kept: dict[bytes, NDArray] | None = None

    def network_class(self) -> type[BehaviorNetwork]:
        """The class of the network, imported when it is needed."""
        raise NotImplementedError

    def fit(self, train: Dataset, context: Context) -> None:
        """Learn from the questions that the board would have asked of the training part; RecbenchError without a board of
        the task behavior, where nothing was asked, or where no field is left."""
        board = context.board
        if board is None or board.task != "behavior":
            given = "none" if board is None else f"board {board.name}, task {board.task}"
            raise RecbenchError(f"model {type(self).__name__} needs a board of the task behavior; given {given}")
        if len(board.behaviors) < self.least_behaviors:
            raise RecbenchError(
                f"model {type(self).__name__} needs a board that asks about {self.least_behaviors} behaviours or more; "
                f"board {board.name} asks about {', '.join(board.behaviors)}"
            )
        self.asked = asked_in_training(type(self).__name__, train, board)
        self.fields = fields_of(train, self.params)
        if not self.fields.begins and not self.params.statistics:
            raise RecbenchError(
                f"{type(self.params).__name__}: nothing is left to look up; set users, items, categories, moment or statistics"
            )
        if self.params.statistics:
            self.known, self.rules, self.statistics_QK = statistics_in_training(train, board, self.asked)
        self.kept = {}
        super().fit(train, context)
        if self.fields.collisions:
            self.chosen = {"collisions": self.fields.collisions}
        self.asked = self.fields = self.statistics_QK = self.kept = None

    def network(self, train: Dataset) -> BehaviorNetwork:
        """The network; its shape is in the facts, and the rows of ids are among its buffers."""
        if self.asked is not None and self.fields is not None:
            assert self.asked.outcomes is not None
            self.facts = self._shape(train, self.fields, self.asked)
            rate_T = (self.asked.outcomes.sum(0) + 1.0) / (len(self.asked.outcomes) + 2.0)
            return self.network_class()(self.facts, self.params).begun(self.fields, rate_T)
        return self.network_class()(self.facts, self.params)

    def _shape(self, train: Dataset, fields: Fields, asked: Holdout) -> dict[str, Any]:
        log, rules = train.interactions, self.rules if self.params.statistics else None
        return {
            "targets": list(asked.targets),
            "n_behaviors": len(log.behaviors),
            "n_users": 0 if fields.user_U is None else log.n_users,
            "n_item_rows": len(fields.items.values),
            "n_item_starts": len(fields.items.start) + 1,
            "columns": list(fields.columns),
            "begins": fields.begins,
            "n_rows": fields.n_rows,
            "collisions": fields.collisions,
            "n_statistics": 0 if rules is None else len(rules.names),
        }

    def batches(self, train: Dataset, context: Context) -> DataLoader:
        """Questions of the training part, in an order that seed and epoch fix."""
        from recbench_behavior.rows import Questions, loader

        assert self.asked is not None and self.asked.outcomes is not None
        questions = Questions(self.asked.queries, self.asked.outcomes, self.params.max_length, self.statistics_QK)
        return loader(questions, self.params.batch_size, context.seed, context.team)

    def targets_since(self, train: Dataset) -> int | None:
        """None: the board says what is asked."""
        return None

    def item_shares(self, train: Dataset) -> None:
        """None: no loss here samples items."""

    @contextmanager
    def answering(self) -> Iterator[None]:
        """Around calls of `predict` between which nothing is learned."""
        import torch

        training = self.net.training
        self.net.eval()
        try:
            with torch.no_grad():
                yield
        finally:
            self.net.train(training)

    score = Recommender.score  # it answers questions about an item, and no list

    def predict(self, queries: Queries) -> NDArray:
        """(Q, T) float64 probabilities of the behaviours asked about."""
        with self.answering():
            return answered(self.answer, queries, len(self.facts["targets"]))

    def answer(self, queries: Queries) -> NDArray:
        """(Q, T) of so many questions that memory holds their statistics."""
        import torch

        from recbench_behavior.rows import rows_of

        out_QT = np.empty((len(queries), len(self.facts["targets"])))
        order = np.argsort(queries.items.lengths, kind="stable")  # like lengths together: less padding
        device = self.net.bias_T.device
        statistics_QK = statistics_of(queries, self.known, self.rules, self.kept)
        for at in range(0, len(order), QUESTIONS):
            some = order[at : at + QUESTIONS]
            told = None if statistics_QK is None else statistics_QK[some]
            rows = rows_of(queries.take(some), self.params.max_length, told).to(device)
            out_QT[some] = torch.sigmoid(self.net(rows).double()).cpu().numpy()
        return out_QT
