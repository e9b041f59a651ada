"""A Transformer encoder and decoder that generate what a user does next; the network is imported when first needed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from recbench.errors import RecbenchError
from recbench.model import Recommendations, Traits
from recbench.neural.recommender import TorchRecommender
from recbench.params import param
from recbench_sequential.generation import GenerationParams

if TYPE_CHECKING:
    from recbench.data import Queries
    from recbench.dataset import Dataset
    from recbench.neural.network import Network


@dataclass(frozen=True)
class EncoderDecoderParams(GenerationParams):
    """Shape of the two Transformers, beside the parameters of generation and training."""

    dim: int = param(64, "Width of items and states.", low=1, high=1024, tune=True, log=True)
    blocks: int = param(1, "Blocks of the encoder, and of the decoder.", low=1, high=8, tune=True)
    heads: int = param(1, "Attention heads; divides dim.", low=1, high=64)
    dropout: float = param(0.3, "Share of activations dropped in training.", low=0.0, high=0.9, tune=True)
    item_bias: bool = param(True, "Each item has a bias, which starts at the log of its popularity.")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.dim % self.heads:
            raise RecbenchError(f"{type(self).__name__}: heads must divide dim={self.dim}; given {self.heads}")


class EncoderDecoder(TorchRecommender):
    """Transformer encoder and decoder that generate the next events one after another (arXiv 1706.03762).

    The encoder looks both ways over the history; the decoder looks at it and back at what it generated. Norms stand in
    front of the layers, positions are learned, those of the history counted back from its newest event. The table of
    items is tied, and each event's behaviour is generated behind its item.
    """

    Params = EncoderDecoderParams
    traits = Traits(sequential=True, trained=True, stochastic=True)
    small = {"dim": 32, "epochs": 25, "batch_size": 16, "max_length": 10, "dropout": 0.0, "learning_rate": 1e-2}

    def network(self, train: Dataset) -> Network:
        from recbench_sequential.encoder_decoder_network import TransformerPair

        if hasattr(train, "interactions"):  # else a saved model is loaded
            self.facts = self.facts | {"behaviors": len(train.interactions.behaviors)}
        return TransformerPair(train.n_items, self.facts["behaviors"], self.params, self.item_shares(train))

    def recommend(self, queries: Queries, k: int) -> Recommendations:
        """Where the queries ask for several steps, the most probable list in the order of its steps, by beam search."""
        if queries.steps == 1:
            return super().recommend(queries, k)
        from recbench_sequential.beam import search

        return search(self.net, self.params, queries, k)
