"""Vectors spread over the graph of users and items; the network is imported when it is first needed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from recbench.model import Traits
from recbench.neural.by_user import RowParams, RowRecommender
from recbench.params import param

if TYPE_CHECKING:
    from recbench.dataset import Dataset
    from recbench.neural.network import Network


@dataclass(frozen=True)
class LightGCNParams(RowParams):
    """Width and reach of the propagation, beside the parameters of its training."""

    batch_size: int = param(128, "Users in a batch, each with all its items.", low=1, high=65_536)
    learning_rate: float = param(1e-2, "Step size of the optimizer.", low=1e-4, high=1e-1, log=True, tune=True)
    dim: int = param(64, "Width of users and items.", low=1, high=1024, log=True, tune=True)
    layers: int = param(2, "Steps that a vector spreads over the graph.", low=1, high=6, tune=True)
    weight_decay: float = param(
        0.2, "Decay of the vectors before they spread.", low=1e-4, high=1.0, log=True, tune=True
    )


class LightGCN(RowRecommender):
    """Vectors of users and items that spread linearly over their graph (LightGCN, He et al., SIGIR 2020, arXiv
    2002.02126).

    E(k+1) = D^-1/2 A D^-1/2 E(k), where A joins each user with its items and D counts neighbours; the mean of
    E(0)..E(K) is compared by dot product. Changed from the paper: the loss is the softmax over all items (loss=bpr: the
    paper's), and in place of a penalty the vectors decay. A user is answered by its history at the moment of asking:
    its layers are the normalised sums of the layers of these items, by the same formula, beside its own E(0) where it
    was trained. So a known user with the history it was trained on has exactly its propagated vector, and a new one
    lacks E(0) alone.
    """

    Params = LightGCNParams
    traits = Traits(trained=True, stochastic=True)
    small = {"dim": 32, "epochs": 20, "batch_size": 32, "learning_rate": 1e-2}

    def network(self, train: Dataset) -> Network:
        from recbench.neural.spread import edges_of
        from recbench_collaborative.lightgcn_network import Propagation

        edges = None
        if hasattr(train, "interactions"):  # else a saved model is loaded
            edges = edges_of(train.interactions)
            self.facts = {"n_users": train.n_users, "n_edges": len(edges[1])}
        return Propagation(train.n_items, self.facts["n_users"], self.facts["n_edges"], self.params, edges)
