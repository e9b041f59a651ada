"""The networks of the autoencoders: the first layer is a bag of vectors, the last one the table of items.

Letters: B users of a batch, P pairs of a user and an item, I items, N chosen items, H width of the hidden layer,
Z width of the latent variable.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from recbench.neural.losses import popular_bias
from recbench.neural.rows import RowNetwork, Rows, pair_products, read_bag, row_loss
from recbench.neural.spread import bag

if TYPE_CHECKING:
    from recbench.data import Interactions
    from recbench_collaborative.autoencoders import AutoRecParams, MultVAEParams

DAMPING = 5.0  # values at its level that a user or an item is taken to have beside its own


class Autoencoder(RowNetwork):
    """sigmoid(bag of the user's items + bias), compared with the items."""

    def __init__(self, n_items: int, params: AutoRecParams, share_I: Tensor | None = None) -> None:
        super().__init__()
        self.first = nn.Embedding(n_items, params.hidden)
        self.first_bias = nn.Parameter(torch.zeros(params.hidden))
        self.items = nn.Embedding(n_items, params.hidden)
        self.dropout = params.dropout
        for table in (self.first, self.items):
            nn.init.xavier_normal_(table.weight)
        self.item_bias = nn.Parameter(popular_bias(n_items, params, share_I))

    def encode_row(self, rows: Rows) -> Tensor:
        """(B, H) the first layer, before its nonlinearity."""
        return read_bag(self.first.weight, rows, self.dropout * self.training) + self.first_bias

    def read(self, rows: Rows) -> Tensor:
        """(B, H) the hidden layer."""
        return torch.sigmoid(self.encode_row(rows))


class RatingAutoencoder(Autoencoder):
    """mean + level of the item + level of the user + (sigmoid(two bags of the user's items + bias) - 1/2) . item.

    The level of the user is the mean of what mean and items' levels leave of its values. One bag is the mean of vectors
    times what the user's level leaves then, the other the mean of vectors that tell which items were rated. All three
    are sums over the number of values plus DAMPING, so that few values say little.
    """

    reads = ("values",)

    def __init__(self, n_items: int, params: AutoRecParams, mean: float, level_I: Tensor | None = None) -> None:
        super().__init__(n_items, params)
        self.mean = mean
        self.met = nn.Embedding(n_items, params.hidden)
        nn.init.xavier_normal_(self.met.weight)
        self.item_bias = nn.Parameter(torch.zeros(n_items) if level_I is None else level_I)

    def item_vectors(self, item_N: Tensor | None = None) -> Tensor:
        """(N, H + 1) the last number stands for what of a state is the same for all items."""
        vectors_NH = super().item_vectors(item_N)
        return torch.cat([vectors_NH, torch.ones_like(vectors_NH[:, :1])], dim=1)

    def read(self, rows: Rows, kept_P: Tensor | None = None) -> Tensor:
        """(B, H + 1) the hidden layer, then mean plus the user's level; of the pairs where `kept_P` is 1, or of all."""
        assert rows.value_P is not None  # the network reads them
        row_P, ones_I1 = rows.row_P, torch.ones_like(self.item_bias)[:, None]
        kept_P = torch.ones_like(rows.value_P) if kept_P is None else kept_P
        share_P = kept_P / (bag(ones_I1, rows.item_P, rows.start_B, kept_P)[:, 0] + DAMPING)[row_P]
        left_P = rows.value_P - self.mean - self.item_bias.detach()[rows.item_P]
        level_B1 = bag(ones_I1, rows.item_P, rows.start_B, share_P * left_P)
        values_BH = bag(self.first.weight, rows.item_P, rows.start_B, share_P * (left_P - level_B1[row_P, 0]))
        read_BH = values_BH + bag(self.met.weight, rows.item_P, rows.start_B, share_P)
        return torch.cat([torch.sigmoid(read_BH + self.first_bias) - 0.5, self.mean + level_B1], dim=1)

    def loss(self, batch: Rows, params: AutoRecParams, share_I: Tensor | None) -> tuple[Tensor, int]:
        """The mean squared error of the values of all pairs, hidden ones too, and their number."""
        assert batch.value_P is not None
        kept_P = (torch.rand_like(batch.value_P) >= self.dropout * self.training).to(batch.value_P)
        told_P = pair_products(self.read(batch, kept_P), self.item_vectors(), batch) + self.item_bias[batch.item_P]
        return (told_P - batch.value_P).square().sum() / max(1, len(told_P)), len(told_P)


def item_levels(log: Interactions, mean: float) -> Tensor:
    """(I,) what an item's values lie above the mean: their sum over their number plus DAMPING."""
    counts_I = np.bincount(log.item, minlength=log.n_items)
    above_I = np.bincount(log.item, log.value - mean, log.n_items) / (counts_I + DAMPING)
    return torch.from_numpy(above_I.astype(np.float32))


class VariationalAutoencoder(Autoencoder):
    """tanh, normal latent variable, tanh; counts the steps of training, for the annealing."""

    n_steps: Tensor

    def __init__(self, n_items: int, params: MultVAEParams, share_I: Tensor | None = None) -> None:
        super().__init__(n_items, params, share_I)
        self.moments = nn.Linear(params.hidden, 2 * params.latent)
        self.decode = nn.Linear(params.latent, params.hidden)
        self.register_buffer("n_steps", torch.zeros((), dtype=torch.long))

    def latent(self, rows: Rows) -> tuple[Tensor, Tensor]:
        """(B, Z) the means and the log variances of the latent variable."""
        mean_BZ, log_var_BZ = self.moments(torch.tanh(self.encode_row(rows))).chunk(2, dim=1)
        return mean_BZ, log_var_BZ

    def read(self, rows: Rows) -> Tensor:
        """(B, H) the last hidden layer, from the mean of the latent variable."""
        return torch.tanh(self.decode(self.latent(rows)[0]))

    def loss(self, batch: Rows, params: MultVAEParams, share_I: Tensor | None) -> tuple[Tensor, int]:
        """The mean over users of the likelihood of all their items and of the weighted divergence, and the users'
        number."""
        mean_BZ, log_var_BZ = self.latent(batch)
        drawn_BZ = mean_BZ + (log_var_BZ / 2).exp() * torch.randn_like(mean_BZ)
        states_BH, n_users = torch.tanh(self.decode(drawn_BZ)), max(1, len(batch.user_B))
        likelihood = row_loss(states_BH, batch, self, params, share_I) * (len(batch.item_P) / n_users)
        divergence = (mean_BZ**2 + log_var_BZ.exp() - 1 - log_var_BZ).sum() / (2 * n_users)
        self.n_steps += 1
        weight = params.kl * min(1.0, int(self.n_steps) / max(1, params.anneal_steps))
        return likelihood + weight * divergence, len(batch.user_B)
