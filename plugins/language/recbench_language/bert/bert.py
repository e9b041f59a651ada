"""Bert reads what is asked about; torch and transformers are imported when it fits or answers.

Letters: Q questions, I items, S tokens, V width of text vectors, T behaviours asked about.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from recbench.asked import answered, asked_in_training
from recbench.errors import RecbenchError
from recbench.model import Context, Recommender, Traits
from recbench.neural.choices import FitParams
from recbench.neural.recommender import TorchRecommender
from recbench.params import param
from recbench_language.registry import contamination, language_model
from recbench_language.vectors import ItemVectors, ReadsText, TextParams, item_texts, item_vectors, spread_of

if TYPE_CHECKING:
    from torch.utils.data import DataLoader

    from recbench.data import Queries
    from recbench.dataset import Dataset
    from recbench.holdout import Holdout
    from recbench_language.bert.network import TextNetwork
    from recbench_language.bert.tower import Tower

QUESTIONS = 1 << 11  # answered at once


@dataclass(frozen=True)
class BertParams(TextParams, FitParams):
    """What is read, how much of the encoder is trained, and what stands above it."""

    epochs: int = param(6, "Most passes over the questions.", low=1, high=1000)
    batch_size: int = param(
        512, "Questions in a batch; of sixteen batches, those about one post come together.", low=1, high=65_536
    )
    learning_rate: float = param(
        3e-3, "Step size of what stands above the encoder.", low=1e-5, high=1e-1, log=True, tune=True
    )
    encoder_learning_rate: float = param(
        2e-5, "Step size of the encoder's layers.", low=1e-7, high=1e-2, log=True, tune=True
    )
    weight_decay: float = param(0.01, "Decay of weight matrices; biases and norms keep theirs.", low=0.0, high=1.0)
    averaging: float = param(0.0, "Decay of the running average of the weights; 0: none.", low=0.0, high=0.99999)
    patience: int = param(2, "Epochs without a better headline before training stops.", low=1, high=10_000)
    layers: int = param(
        2,
        "Top layers of the encoder that are trained, of a BERT alone; 0: none, and texts are encoded once; -1: all.",
        low=-1,
        high=48,
    )
    max_length: int = param(50, "Newest events of a history that are read; 0: none.", low=0, high=1000)
    behaviors: bool = param(True, "Whether the behaviours of a history are told apart.")
    dim: int = param(64, "Width of what is made of a text, a multiple of heads.", low=1, high=1024)
    heads: int = param(8, "Heads of the attention over the history.", low=1, high=64)
    width: int = param(32, "Width of the hidden layer of each behaviour.", low=1, high=4096)
    dropout: float = param(
        0.5, "Share of activations above the encoder dropped in training.", low=0.0, high=0.9, tune=True
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.dim % self.heads:
            raise RecbenchError(
                f"{type(self).__name__}: dim must be a multiple of heads; given dim={self.dim}, heads={self.heads}"
            )

    @property
    def encoder_rate(self) -> float:
        """The encoder's step size in those of what stands above it."""
        return self.encoder_learning_rate / self.learning_rate


class Bert(ReadsText, TorchRecommender):
    """A BERT whose top layers learn, from what readers did, what the words of posts say: heads for like, comment, share
    and whatever else the board asks, trained together.

    BERT (arXiv 1810.04805), by default MiniLM (arXiv 2002.10957) as trained for sentences (arXiv 1908.10084), encodes each
    post once, not each pair of reader and post. A reader is attention of the post over the posts of the history, with
    their behaviours and ages (after arXiv 1706.06978, with softmax), and the part of each behaviour's events that is like
    the post at all, newer ones counting more; a head reads [post, reader, post * reader] and that part. What the frozen
    layers say of a text is computed once. Vectors are whitened (arXiv 2104.01767) by a layer that goes on learning.
    Vectors of words, and encoders that are no BERT, serve with layers=0. Costs of training go with the posts asked about
    in a batch, times `max_tokens`: where most questions are about few posts, a larger batch is cheaper.
    """

    Params = BertParams
    traits = Traits(tasks=("behavior",), trained=True, stochastic=True, needs_text=True)
    small = {
        "encoder": "hashed-words",
        "layers": 0,
        "epochs": 4,
        "batch_size": 128,
        "learning_rate": 1e-2,
        "dim": 8,
        "heads": 2,
        "width": 8,
        "max_length": 20,
    }
    asked: Holdout | None = None  # these two while fitting
    context: Context | None = None

    def fit(self, train: Dataset, context: Context) -> None:
        """Learn from the questions that the board would have asked of the training part; RecbenchError without a board of
        the task behavior, where nothing was asked, items have no text, or the encoder has no layers to train."""
        board = context.board
        if board is None or board.task != "behavior":
            given = "none" if board is None else f"board {board.name}, task {board.task}"
            raise RecbenchError(f"model bert needs a board of the task behavior; given {given}")
        if context.team.size > 1 and self.params.layers:
            raise RecbenchError(
                f"model bert with layers={self.params.layers} keeps what each process saw of the posts: use trainer.devices=1, "
                "or layers=0"
            )
        self.asked, self.context = asked_in_training("bert", train, board), context
        super().fit(train, context)
        self.net.settle()
        self.asked = self.context = None

    def network(self, train: Dataset) -> TextNetwork:
        """The network; its shape is in the facts, and tokens and vectors of texts are among its buffers."""
        from recbench_language.bert.network import TextNetwork

        if self.asked is None or self.context is None:
            net = TextNetwork(self.facts, self.params)
            net.settled = True
            return net
        assert self.asked.outcomes is not None
        self.facts = {
            "targets": list(self.asked.targets),
            "n_behaviors": len(train.interactions.behaviors),
            "n_items": train.n_items,
        }
        outcome_QT = self.asked.outcomes
        rate_T = (outcome_QT.sum(0) + 1.0) / (len(outcome_QT) + 2.0)
        tower, found = self._encoded(train, self.context)
        self.notes = {"language": found.told}
        met_I = np.bincount(train.interactions.item, minlength=train.n_items) > 0
        spread = spread_of(found, "whiten", self.params.dim, met_I)
        return TextNetwork(self.facts, self.params, tower).begun(found.values_IV, spread, rate_T)

    def _encoded(self, train: Dataset, context: Context) -> tuple[Tower | None, ItemVectors]:
        """The encoder, where layers of it are trained, and the vectors of all items before they are."""
        params = self.params
        if not params.layers:
            found = item_vectors(train, params, context)
            self.facts |= {"width": found.values_IV.shape[1], "encoder": None}
            return None, found
        from recbench_language.bert.tower import tower_of

        if params.vectors:
            raise RecbenchError(
                f"layers={params.layers}: vectors={params.vectors} come without an encoder; use layers=0"
            )
        before = time.process_time()
        model = language_model(params.encoder, f"encoder={params.encoder}")
        tower = tower_of(model, item_texts(train, params), params.max_tokens, params.layers)
        self.facts |= {"width": tower.width, "encoder": tower.shape}
        values_IV = tower.all().numpy()
        told = model.told() | {"contamination": contamination(model, train.info.name, train.info.scenario)}
        told |= {"texts": int((tower.length_I > 0).sum()), "tokens": int(tower.length_I.sum())}
        return tower, ItemVectors(values_IV, told | {"cpu_seconds": round(time.process_time() - before, 1)})

    def batches(self, train: Dataset, context: Context) -> DataLoader:
        """Questions of the training part, in an order that seed and epoch fix."""
        from recbench_language.bert.batches import Questions, loader

        assert self.asked is not None and self.asked.outcomes is not None
        questions = Questions(self.asked.queries, self.asked.outcomes, self.params.max_length)
        return loader(questions, self.params.batch_size, context.seed, context.team)

    def targets_since(self, train: Dataset) -> int | None:
        """None: the board says what is asked."""
        return None

    def item_shares(self, train: Dataset) -> None:
        """None: no loss here samples items."""

    score = Recommender.score  # it answers questions about an item, and no list

    def predict(self, queries: Queries) -> NDArray:
        """(Q, T) float64 probabilities of the behaviours asked about."""
        with self.answering():
            return answered(self.answer, queries, len(self.facts["targets"]))

    def answer(self, queries: Queries) -> NDArray:
        """(Q, T) of so many questions that memory holds their histories."""
        import torch

        from recbench_language.bert.batches import batch_of

        out_QT = np.empty((len(queries), len(self.facts["targets"])))
        order = np.argsort(queries.items.lengths, kind="stable")  # like lengths together: less padding
        for at in range(0, len(order), QUESTIONS):
            some = order[at : at + QUESTIONS]
            batch = batch_of(queries.take(some), self.params.max_length).to(self.vectors_ID.device)
            out_QT[some] = torch.sigmoid(self.net(batch, self.vectors_ID).double()).cpu().numpy()
        return out_QT
