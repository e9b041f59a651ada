"""Autoencoders of a user's row of items; the networks are imported when they are first needed.

Letters: Q questions, H distinct histories, I items, D width.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from recbench.errors import RecbenchError
from recbench.model import Context, Traits
from recbench.neural.by_user import RowParams, RowRecommender
from recbench.params import param

if TYPE_CHECKING:
    from recbench.data import Queries
    from recbench.dataset import Dataset
    from recbench.neural.network import Network

QUESTIONS = 1 << 13  # answered at once


@dataclass(frozen=True)
class AutoRecParams(RowParams):
    """Shape of the autoencoder, beside the parameters of its training."""

    hidden: int = param(256, "Width of the hidden layer.", low=1, high=4096, log=True, tune=True)
    dropout: float = param(
        0.5, "Share of a user's items that are hidden from the encoder in training.", low=0.0, high=0.9, tune=True
    )
    weight_decay: float = param(
        0.2, "Decay of weight matrices; biases keep theirs.", low=1e-4, high=1.0, log=True, tune=True
    )


@dataclass(frozen=True)
class MultVAEParams(AutoRecParams):
    """Shape of the variational autoencoder, beside the parameters of its training."""

    latent: int = param(128, "Width of the latent variable.", low=1, high=4096, log=True)
    kl: float = param(
        0.2, "Weight of the divergence from the prior, once it is annealed.", low=0.0, high=2.0, tune=True
    )
    anneal_steps: int = param(500, "Steps over which that weight rises from 0.", low=0, high=1_000_000)


class AutoRec(RowRecommender):
    """One hidden layer between a user's items and all items (AutoRec, Sedhain et al., WWW 2015, doi
    10.1145/2740908.2742726).

    On a board of the task rating (board=video-rating) it fits values, as the paper does, with a row a user: the mean
    squared error of all values of a user, some of which are hidden from the encoder. Changed from the paper: the mean
    and the levels of users and items are added to what the network tells, and are taken from what it reads; it reads
    means, of values and of which items were rated; the hidden layer is sigmoid - 1/2, so that it begins with the levels
    alone. Answers are clipped to the range of the training values, scores are not. Parameters of losses are not read.

    On other boards it fits which items a user met, by their multinomial likelihood, and reads no values; of the items
    some are hidden from the encoder. The hidden layer is a sigmoid of the row of length 1.

    New users are answered by their history alone; an empty one gives what the biases say.
    """

    Params = AutoRecParams
    traits = Traits(tasks=("ranking", "rating"), trained=True, stochastic=True)
    small = {"hidden": 32, "epochs": 20, "batch_size": 32, "learning_rate": 1e-2}
    fits_values = False  # of the next network that is built for training data

    def fit(self, train: Dataset, context: Context) -> None:
        """Learn values where the board asks for them, else which items a user met."""
        self.fits_values = context.board is not None and context.board.task == "rating"
        super().fit(train, context)

    def network(self, train: Dataset) -> Network:
        from recbench_collaborative.autoencoder_networks import Autoencoder, RatingAutoencoder, item_levels

        level_I = None
        if self.fits_values:
            log = train.interactions
            value = log.value if len(log) else np.zeros(1)
            self.facts = {"mean": float(value.mean()), "range": [float(value.min()), float(value.max())]}
            level_I = item_levels(log, self.facts["mean"])
        if not self.facts:
            return Autoencoder(train.n_items, self.params, self.item_shares(train))
        return RatingAutoencoder(train.n_items, self.params, self.facts["mean"], level_I)

    def predict(self, queries: Queries) -> NDArray:
        """(Q, 1) float64 values from the history alone, so a new user needs no refit; RecbenchError where none were
        fitted."""
        if not self.facts:
            raise RecbenchError(
                "autorec has learned which items users met and knows no values: fit it on a board of the task rating"
            )
        with self.answering():
            starts = range(0, len(queries), QUESTIONS)
            told = [self._values(queries.take(slice(at, at + QUESTIONS))) for at in starts]
        return np.clip(np.concatenate([np.empty(0), *told]), *self.facts["range"])[:, None]

    def _values(self, queries: Queries) -> NDArray:
        """(Q,) float64 of each question's item, unclipped; a history that many ask about is read once."""
        import torch

        span_Q2 = np.stack([queries.items.start, queries.items.stop], axis=1)
        _, first_H, which_Q = np.unique(span_Q2, axis=0, return_index=True, return_inverse=True)
        states_HD = self.states(queries.take(first_H))
        which_Q, item_Q = torch.from_numpy(which_Q.ravel()), torch.from_numpy(np.asarray(queries.item, np.int64))
        value_Q = (states_HD[which_Q] * self.vectors_ID[item_Q]).sum(1) + self.net.item_bias[item_Q]
        return value_Q.cpu().numpy().astype(np.float64)


class MultVAE(RowRecommender):
    """Variational autoencoder with multinomial likelihood (Mult-VAE, Liang et al., WWW 2018, arXiv 1802.05814).

    Items of a user, scaled to length 1 and some hidden -> tanh -> a normal latent variable -> tanh -> softmax over all
    items; answers take the mean of the latent variable. Values are not read, on no board. The loss of a user is
    -sum_i x_ui log softmax(z_u)_i plus `kl` times the divergence of the latent variable from N(0, 1), whose weight
    rises with the steps. Changed from the paper: the bias of an item starts at the log of its popularity, weights
    decay, their running average answers, and layers are narrower. New users are answered by their history alone; an
    empty one gives what the biases say.
    """

    Params = MultVAEParams
    traits = Traits(trained=True, stochastic=True)
    small = {"hidden": 32, "latent": 16, "epochs": 20, "batch_size": 32, "learning_rate": 1e-2}

    def network(self, train: Dataset) -> Network:
        from recbench_collaborative.autoencoder_networks import VariationalAutoencoder

        return VariationalAutoencoder(train.n_items, self.params, self.item_shares(train))
