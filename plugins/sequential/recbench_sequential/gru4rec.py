"""A recurrent network over a user's history; the network is imported when it is first needed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from recbench.model import Traits
from recbench.neural.choices import TrainParams
from recbench.neural.recommender import TorchRecommender
from recbench.params import param

if TYPE_CHECKING:
    from recbench.dataset import Dataset
    from recbench.neural.network import Network


@dataclass(frozen=True)
class GRU4RecParams(TrainParams):
    """Shape of the recurrent network, beside the parameters of its training."""

    learning_rate: float = param(3e-3, "Step size of the optimizer.", low=1e-5, high=1e-1, log=True, tune=True)
    dim: int = param(64, "Width of items.", low=1, high=1024, tune=True, log=True)
    hidden: int = param(
        128, "Width of the recurrent state; where it is not dim, a linear map leads back.", low=1, high=4096, log=True
    )
    layers: int = param(1, "Recurrent layers.", low=1, high=8)
    embedding_dropout: float = param(
        0.3, "Share of the items' values dropped in training.", low=0.0, high=0.9, tune=True
    )
    dropout: float = param(0.3, "Share of the states' values dropped in training.", low=0.0, high=0.9, tune=True)
    item_bias: bool = param(True, "Each item has a bias, which starts at the log of its popularity.")


class GRU4Rec(TorchRecommender):
    """Gated recurrent units over the newest items of a history (GRU4Rec, arXiv 1511.06939).

    Changed from the paper: a batch holds whole windows and every position is a target, where the paper steps through
    sessions side by side; any loss, where it has a ranking loss over the batch's items; and the items that are predicted
    have the rows that are read.
    """

    Params = GRU4RecParams
    traits = Traits(sequential=True, trained=True, stochastic=True)
    small = {
        "averaging": 0.0,
        "dim": 32,
        "hidden": 32,
        "epochs": 12,
        "batch_size": 16,
        "max_length": 10,
        "dropout": 0.0,
        "embedding_dropout": 0.0,
        "learning_rate": 1e-2,
    }

    def network(self, train: Dataset) -> Network:
        from recbench_sequential.gru4rec_network import Recurrent

        return Recurrent(train.n_items, self.params, self.item_shares(train))
