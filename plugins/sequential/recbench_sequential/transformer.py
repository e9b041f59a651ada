"""A causal Transformer over a user's history; the network is imported when it is first needed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from recbench.errors import RecbenchError
from recbench.model import Traits
from recbench.neural.choices import TrainParams
from recbench.neural.recommender import TorchRecommender
from recbench.params import param

if TYPE_CHECKING:
    from torch import Tensor, nn

    from recbench.dataset import Dataset


@dataclass(frozen=True)
class TransformerParams(TrainParams):
    """Shape of the Transformer, beside the parameters of its training."""

    dim: int = param(32, "Width of items and states.", low=1, high=1024, tune=True, log=True)
    blocks: int = param(1, "Attention blocks.", low=1, high=8, tune=True)
    heads: int = param(1, "Attention heads; divides dim.", low=1, high=64)
    dropout: float = param(0.3, "Share of activations dropped in training.", low=0.0, high=0.9, tune=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.dim % self.heads:
            raise RecbenchError(f"{type(self).__name__}: heads must divide dim={self.dim}; given {self.heads}")


class Transformer(TorchRecommender):
    """Causal pre-norm Transformer over the newest items of a history, after SASRec."""

    Params = TransformerParams
    traits = Traits(sequential=True, trained=True, stochastic=True)
    small = {"dim": 32, "epochs": 30, "batch_size": 32, "max_length": 10, "dropout": 0.0, "learning_rate": 1e-2}

    def network(self, train: Dataset) -> nn.Module:
        from recbench_sequential.network import Network

        return Network(train.n_items, self.params, item_shares(train, self))


def item_shares(train: Dataset, model: TorchRecommender) -> Tensor | None:
    """(I,) float32 each item's share of the distinct (user, item) pairs among the targets, one added to each count."""
    import torch

    log = getattr(train, "interactions", None)  # a model that is being loaded has no training part
    if log is None:
        return None
    since = model.targets_since(train)
    log = log if since is None else log.where(log.time >= since)
    pairs = np.unique(log.user.astype(np.int64) * train.n_items + log.item)
    counts_I = np.bincount(pairs % train.n_items, minlength=train.n_items) + 1.0
    return torch.from_numpy((counts_I / counts_I.sum()).astype(np.float32))
