"""A Transformer that looks both ways and fills in hidden events; the network is imported when it is first needed."""

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
class BERT4RecParams(TrainParams):
    """Shape of the Transformer and what is hidden from it, beside the parameters of its training."""

    epochs: int = param(400, "Most passes over the training part; it converges late.", low=1, high=10_000)
    patience: int = param(20, "Epochs without a better headline before training stops.", low=1, high=10_000)
    dim: int = param(64, "Width of items and states.", low=1, high=1024, tune=True, log=True)
    blocks: int = param(2, "Attention blocks.", low=1, high=8, tune=True)
    heads: int = param(2, "Attention heads; divides dim.", low=1, high=64)
    feed_forward: int = param(4, "Width of the feed-forward layer, in widths of the states.", low=1, high=16)
    dropout: float = param(0.2, "Share of activations dropped in training.", low=0.0, high=0.9, tune=True)
    attention_dropout: float = param(0.0, "Share of attention weights dropped in training.", low=0.0, high=0.9)
    mask_share: float = param(
        0.2,
        "Share of the targets that are hidden and predicted, at least one in a window.",
        low=0.01,
        high=0.9,
        tune=True,
    )
    last_only: float = param(
        0.1, "Share of the windows in which the last moment alone is hidden, as in a question.", low=0.0, high=1.0
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.dim % self.heads:
            raise RecbenchError(f"{type(self).__name__}: heads must divide dim={self.dim}; given {self.heads}")


class BERT4Rec(TorchRecommender):
    """Bidirectional Transformer that learns to fill in hidden events of a history (BERT4Rec, arXiv 1904.06690).

    A question is the history and a hidden event behind it. Changed from the paper: norms stand before the layers, places
    are counted from the end, the output bias starts at the log of popularity, every event hidden is replaced by the mask,
    and what ties in time with a hidden target is hidden too. It needs many more epochs than a causal model to converge
    (arXiv 2207.07483): epochs and patience are large.
    """

    Params = BERT4RecParams
    traits = Traits(sequential=True, trained=True, stochastic=True)
    small = {
        "averaging": 0.0,
        "dim": 32,
        "blocks": 1,
        "heads": 1,
        "epochs": 50,
        "batch_size": 32,
        "max_length": 10,
        "dropout": 0.0,
        "learning_rate": 5e-3,
        "schedule": "warmup",
        "warmup_steps": 50,
    }

    def network(self, train: Dataset) -> Network:
        from recbench_sequential.bert4rec_network import MaskedTransformer

        return MaskedTransformer(train.n_items, self.params, self.item_shares(train))
