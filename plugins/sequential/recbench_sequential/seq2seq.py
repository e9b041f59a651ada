"""A recurrent encoder and decoder that generate what a user does next; the network is imported when it is first needed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from recbench.model import Recommendations, Traits
from recbench.neural.recommender import TorchRecommender
from recbench.params import param
from recbench_sequential.generation import GenerationParams

if TYPE_CHECKING:
    from recbench.data import Queries
    from recbench.dataset import Dataset
    from recbench.neural.network import Network


@dataclass(frozen=True)
class Seq2SeqParams(GenerationParams):
    """Shape of the two recurrent networks, beside the parameters of generation and training."""

    dim: int = param(64, "Width of items and states.", low=1, high=1024, tune=True, log=True)
    layers: int = param(1, "Recurrent layers of the encoder, and of the decoder.", low=1, high=8)
    dropout: float = param(
        0.3, "Share of the items' and states' values dropped in training.", low=0.0, high=0.9, tune=True
    )
    attention: bool = param(True, "The decoder looks back at all states of the encoder, not at the last alone.")
    item_bias: bool = param(True, "Each item has a bias, which starts at the log of its popularity.")


class Seq2Seq(TorchRecommender):
    """Recurrent encoder and decoder that generate the next events one after another (arXiv 1409.3215, with attention
    after arXiv 1409.0473).

    Gated recurrent units in place of the LSTM, events in their own order instead of reversed. Attention stands behind
    the decoder's recurrence, by dot product, instead of inside it: so all steps of teacher forcing run at once. The
    table of items is tied, and each event's behaviour is generated behind its item.
    """

    Params = Seq2SeqParams
    traits = Traits(sequential=True, trained=True, stochastic=True)
    small = {"dim": 32, "epochs": 25, "batch_size": 16, "max_length": 10, "dropout": 0.0, "learning_rate": 1e-2}

    def network(self, train: Dataset) -> Network:
        from recbench_sequential.seq2seq_network import RecurrentPair

        if hasattr(train, "interactions"):  # else a saved model is loaded
            self.facts = self.facts | {"behaviors": len(train.interactions.behaviors)}
        return RecurrentPair(train.n_items, self.facts["behaviors"], self.params, self.item_shares(train))

    def recommend(self, queries: Queries, k: int) -> Recommendations:
        """Where the queries ask for several steps, the most probable list in the order of its steps, by beam search."""
        if queries.steps == 1:
            return super().recommend(queries, k)
        from recbench_sequential.beam import search

        return search(self.net, self.params, queries, k)
