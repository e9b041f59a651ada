"""Users as means of their items, compared by cosine; the network is imported when it is first needed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from recbench.model import Traits
from recbench.neural.by_user import RowRecommender, UserParams
from recbench.params import param

if TYPE_CHECKING:
    from recbench.dataset import Dataset
    from recbench.neural.network import Network


@dataclass(frozen=True)
class SimpleXParams(UserParams):
    """Width and loss, beside the parameters of the training."""

    batch_size: int = param(128, "Users in a batch, each with all its items.", low=1, high=65_536)
    learning_rate: float = param(1e-2, "Step size of the optimizer.", low=1e-4, high=1e-1, log=True, tune=True)
    dim: int = param(64, "Width of users and items.", low=1, high=1024, log=True, tune=True)
    margin: float = param(0.2, "Cosine up to which a negative costs nothing.", low=-1.0, high=1.0, tune=True)
    negative_weight: float = param(
        20.0, "Weight of the mean over negatives against the positive.", low=1.0, high=10_000.0, log=True, tune=True
    )
    negatives: int = param(1024, "Items drawn for a batch, negatives of all its users.", low=1, high=65_536)
    own_share: float = param(0.5, "Share of the user's own vector against the mean of its items.", low=0.0, high=1.0)
    dropout: float = param(0.0, "Share of a user's items that are hidden in training.", low=0.0, high=0.9)
    weight_decay: float = param(0.1, "Decay of the vectors.", low=1e-4, high=1.0, log=True, tune=True)


class SimpleX(RowRecommender):
    """Cosine contrastive loss on a user's own vector and the mean of its items (SimpleX, Mao et al., CIKM 2021, arXiv
    2109.12613).

    A pair costs 1 - cos(u, i) + w mean over negatives of max(0, cos(u, j) - margin), where u = g own vector + (1 - g) V
    mean of the user's items. Changed from the paper: a batch is users with all their items, whose negatives are drawn
    once for the batch, and weights decay. A user that was not trained has its items alone, and scores 0 where it has
    none. It stands here in place of UltraGCN (arXiv 2110.15114), of which it needs half the weights to be tuned, and
    which it beat by what a CPU second gives: validation NDCG@10 .115 in 15 s (batches of 64) against .096 in 20 s on
    lastfm-lightgcn, .035 against .018 after 40 s on amazon-beauty, both with few settings tried; and UltraGCN knows no
    new user.
    """

    Params = SimpleXParams
    traits = Traits(trained=True, stochastic=True)
    small = {"dim": 32, "epochs": 20, "batch_size": 32, "learning_rate": 1e-2, "negatives": 10}

    def network(self, train: Dataset) -> Network:
        from recbench_collaborative.factor_network import known_users
        from recbench_collaborative.simplex_network import Cosine

        known_U = known_users(self, train)
        return Cosine(train.n_items, known_U, self.params)
