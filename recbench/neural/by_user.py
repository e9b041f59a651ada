"""The base of models that learn from a user's items at once; torch is imported when a model fits or answers.

Letters: Q queries, D width.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from recbench.neural.choices import LOSSES, FitParams, LossParams
from recbench.neural.recommender import TorchRecommender
from recbench.params import param

if TYPE_CHECKING:
    from torch import Tensor
    from torch.utils.data import DataLoader

    from recbench.data import Queries
    from recbench.dataset import Dataset
    from recbench.model import Context

QUERIES = 1 << 10  # histories read at once


@dataclass(frozen=True)
class UserParams(FitParams):
    """How models fit that learn from a user's items at once."""

    epochs: int = param(200, "Most passes over the users.", low=1, high=10_000)
    batch_size: int = param(256, "Users in a batch, each with all its items.", low=1, high=65_536)
    learning_rate: float = param(3e-3, "Step size of the optimizer.", low=1e-4, high=1e-1, log=True, tune=True)
    patience: int = param(10, "Epochs without a better headline before training stops.", low=1, high=10_000)
    averaging: float = param(
        0.98, "Decay of the running average of the weights, which is what answers; 0: none.", low=0.0, high=0.99999
    )


@dataclass(frozen=True)
class RowParams(UserParams, LossParams):
    """The same with a loss by name."""

    loss: str = param(
        "softmax",
        "softmax over all items, once for all items of a user; sampled softmax, gBCE, BCE or BPR, for each of them.",
        choices=("auto", *LOSSES),
    )


class RowRecommender(TorchRecommender):
    """Base of the models: batches of users, and answers from what the network reads of each history.

    An item counts once in a history. A user whose events were trained on is known by its row; what the network makes of
    others says each model.
    """

    Params = RowParams

    def targets_since(self, train: Dataset) -> int | None:
        """None: without an order nothing is too old to be a target."""
        return None

    def batches(self, train: Dataset, context: Context) -> DataLoader:
        """Users with all their items, in an order that seed and epoch fix."""
        from recbench.neural.rows import user_loader

        return user_loader(train.interactions, self.params.batch_size, context.seed, context.team, self.net.reads)

    def states(self, queries: Queries) -> Tensor:
        """(Q, D) what the network makes of each user and its history."""
        import torch

        from recbench.neural.rows import rows_of

        device = self.vectors_ID.device
        states = [self.vectors_ID.new_empty(0, self.vectors_ID.shape[1])]
        for at in range(0, len(queries), QUERIES):
            asked = queries.take(slice(at, at + QUERIES))
            states.append(self.net.read(rows_of(asked, self.net.reads).to(device)).float())
        return torch.cat(states)
