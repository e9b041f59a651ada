"""A causal Transformer over a user's history; the network is imported when it is first needed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from recbench.errors import RecbenchError
from recbench.model import Traits
from recbench.neural.choices import TrainParams
from recbench.neural.recommender import TorchRecommender
from recbench.params import param

if TYPE_CHECKING:
    from recbench.dataset import Dataset
    from recbench.neural.network import Network


@dataclass(frozen=True)
class TransformerParams(TrainParams):
    """Shape of the Transformer, beside the parameters of its training."""

    dim: int = param(32, "Width of items and states.", low=1, high=1024, tune=True, log=True)
    blocks: int = param(1, "Attention blocks.", low=1, high=8, tune=True)
    heads: int = param(1, "Attention heads; divides dim.", low=1, high=64)
    dropout: float = param(0.3, "Share of activations dropped in training.", low=0.0, high=0.9, tune=True)
    item_bias: bool = param(True, "Each item has a bias, which starts at the log of its popularity.")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.dim % self.heads:
            raise RecbenchError(f"{type(self).__name__}: heads must divide dim={self.dim}; given {self.heads}")


class Transformer(TorchRecommender):
    """Causal pre-norm Transformer over the newest items of a history, after SASRec."""

    Params = TransformerParams
    traits = Traits(sequential=True, trained=True, stochastic=True)
    small = {"dim": 32, "epochs": 30, "batch_size": 32, "max_length": 10, "dropout": 0.0, "learning_rate": 1e-2}

    def network(self, train: Dataset) -> Network:
        from recbench_sequential.network import CausalTransformer

        return CausalTransformer(train.n_items, self.params, self.item_shares(train))
