"""The networks of the autoencoders: the first layer is a bag of vectors, the last one the table of items.

Letters: B users of a batch, I items, H width of the hidden layer, Z width of the latent variable.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from recbench.neural.losses import popular_bias
from recbench_collaborative.rows import RowNetwork, Rows, read_bag, row_loss

if TYPE_CHECKING:
    from recbench_collaborative.autoencoders import AutoRecParams, MultVAEParams


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
