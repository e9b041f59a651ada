"""Autoencoders of a user's row of items; the networks are imported when they are first needed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from recbench.model import Traits
from recbench.params import param
from recbench_collaborative.collaborative import Collaborative, RowParams

if TYPE_CHECKING:
    from recbench.dataset import Dataset
    from recbench.neural.network import Network


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


class AutoRec(Collaborative):
    """One hidden layer between a user's items and all items (AutoRec, Sedhain et al., WWW 2015, doi
    10.1145/2740908.2742726).

    Changed from the paper, which fits ratings: what is fitted is which items a user met, by their multinomial
    likelihood; of these some are hidden from the encoder. The hidden layer is a sigmoid of the row of length 1. New
    users are answered by their history alone; an empty one gives what the biases say.
    """

    Params = AutoRecParams
    traits = Traits(trained=True, stochastic=True)
    small = {"hidden": 32, "epochs": 20, "batch_size": 32, "learning_rate": 1e-2}

    def network(self, train: Dataset) -> Network:
        from recbench_collaborative.autoencoder_networks import Autoencoder

        return Autoencoder(train.n_items, self.params, self.item_shares(train))


class MultVAE(Collaborative):
    """Variational autoencoder with multinomial likelihood (Mult-VAE, Liang et al., WWW 2018, arXiv 1802.05814).

    Items of a user, scaled to length 1 and some hidden -> tanh -> a normal latent variable -> tanh -> softmax over all
    items; answers take the mean of the latent variable. The loss of a user is -sum_i x_ui log softmax(z_u)_i plus `kl`
    times the divergence of the latent variable from N(0, 1), whose weight rises with the steps. Changed from the paper:
    the bias of an item starts at the log of its popularity, weights decay, their running average answers, and layers
    are narrower. New users are answered by their history alone; an empty one gives what the biases say.
    """

    Params = MultVAEParams
    traits = Traits(trained=True, stochastic=True)
    small = {"hidden": 32, "latent": 16, "epochs": 20, "batch_size": 32, "learning_rate": 1e-2}

    def network(self, train: Dataset) -> Network:
        from recbench_collaborative.autoencoder_networks import VariationalAutoencoder

        return VariationalAutoencoder(train.n_items, self.params, self.item_shares(train))
