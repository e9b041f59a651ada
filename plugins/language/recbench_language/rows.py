"""Language vectors in collaborative filtering: models of a user's items at once, without an order.

The networks are imported when they are first needed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from recbench.model import Context, Traits
from recbench.neural.by_user import RowParams, RowRecommender
from recbench.params import param
from recbench_language.vectors import SPREADS, ItemVectors, ReadsText, TextParams, item_vectors, no_vectors, spread_of

if TYPE_CHECKING:
    from recbench.dataset import Dataset
    from recbench.neural.network import Network


class TextRows(ReadsText, RowRecommender):
    """Base of the two: the texts of items are read before anything is learned, and the entry tells by what."""

    found: ItemVectors | None = None  # while fitting

    def fit(self, train: Dataset, context: Context) -> None:
        """Read the texts of items, then learn; RecbenchError where they have none."""
        reads = getattr(self.params, "use_text", True)
        self.found = item_vectors(train, self.params, context) if reads else no_vectors(train)
        super().fit(train, context)
        self.notes, self.found = {"language": self.found.told} if reads else {}, None

    def text(self, train: Dataset, how: str, dim: int) -> NDArray | None:
        """(I, V) the vectors of items, spread out as the items met in training have it; None where a model is loaded."""
        if self.found is None:
            return None
        met_I = np.bincount(train.interactions.item, minlength=train.n_items) > 0
        how = how if self.found.told else "none"
        text_IV = spread_of(self.found, how, dim, met_I)(self.found.values_IV)
        self.facts = self.facts | {"width": text_IV.shape[1], "n_users": train.n_users}
        return text_IV


@dataclass(frozen=True)
class AlphaRecParams(TextParams, RowParams):
    """Layers behind the text, reach of the propagation, and the contrast, beside the text and the training."""

    batch_size: int = param(512, "Users in a batch, each with all its items.", low=1, high=65_536)
    learning_rate: float = param(3e-3, "Step size of the optimizer.", low=1e-4, high=1e-1, log=True, tune=True)
    weight_decay: float = param(1e-4, "Decay of the layers.", low=0.0, high=1.0)
    temperature: float = param(
        0.15, "Cosines are divided by it in the loss.", low=0.01, high=100.0, log=True, tune=True
    )
    spread: str = param(
        "pca",
        "Text vectors as they are (none), less their mean (centre), cut to `text_dim` main directions (pca), or with equal "
        "variance in these (whiten).",
        choices=SPREADS,
        tune=True,
    )
    text_dim: int = param(128, "Directions that pca and whiten keep.", low=1, high=4096, log=True)
    hidden: int = param(256, "Width of the hidden layer between text and vectors.", low=1, high=4096)
    dim: int = param(64, "Width of users and items.", low=1, high=1024, log=True, tune=True)
    layers: int = param(2, "Steps that a vector spreads over the graph.", low=0, high=6, tune=True)
    ids: bool = param(
        False,
        "Users and items have vectors of their own beside what their texts give, and dot products are compared: LightGCN with "
        "text. Best with temperature=1 weight_decay=0.2 learning_rate=0.01, as there.",
    )
    item_bias: bool = param(
        True, "Each item has a bias, which starts at the log of its popularity: of that, text says nothing."
    )


class AlphaRec(TextRows):
    """Language vectors spread over the graph of users and items (AlphaRec, Sheng et al., ICLR 2025, arXiv 2407.05441).

    An item begins as what two layers make of its text, a user as what they make of the mean text of its items; both spread
    as in LightGCN, and cosines are compared. There is no table of users or items: what is learned are the two layers. Changed
    from the paper: items have a bias, the loss is the softmax over all items (loss=sampled: over some, as there), LeakyReLU is
    GELU, and a user is answered by its history at the moment of asking. New users and items are answered like all others; `lightgcn` is
    the same propagation of ids, `ids=true` has both.
    """

    Params = AlphaRecParams
    traits = Traits(trained=True, stochastic=True, needs_text=True)
    small = {"encoder": "hashed-words", "dim": 32, "epochs": 20, "batch_size": 32, "learning_rate": 1e-2}

    def network(self, train: Dataset) -> Network:
        from recbench.neural.spread import edges_of
        from recbench_language.rows_networks import TextPropagation

        text_IV = self.text(train, self.params.spread, self.params.text_dim)
        edges = None if text_IV is None else edges_of(train.interactions)
        if edges is not None:
            self.facts = self.facts | {"n_edges": len(edges[1])}
        return TextPropagation(train.n_items, self.params, self.facts, self.item_shares(train), text_IV, edges)


@dataclass(frozen=True)
class LLMMFParams(TextParams, RowParams):
    """Width of the factors and how near their text they stay, beside the text and the training."""

    dim: int = param(64, "Width of users and items.", low=1, high=1024, log=True, tune=True)
    dropout: float = param(
        0.5, "Share of a user's items that are hidden from its vector in training.", low=0.0, high=0.9, tune=True
    )
    weight_decay: float = param(0.2, "Decay of the vectors.", low=1e-4, high=1.0, log=True, tune=True)
    pull: float = param(
        0.01,
        "Weight of the distance between an item's factors and what a layer makes of its text.",
        low=1e-4,
        high=100.0,
        log=True,
        tune=True,
    )
    use_text: bool = param(True, "Factors begin at their texts and stay near; false: the same model without.")


class LLMMF(TextRows):
    """Matrix factors of items that begin at the vectors of their texts and stay near them.

    A user is its own vector plus the sum of its items' factors, divided by the root of their number, as in SVD++ (Koren, KDD
    2008); the loss is the softmax over all items plus `pull` / 2 times the mean over items of |q_i - W t_i|^2, by which text
    regularises factors as in collaborative topic regression (Wang and Blei, KDD 2011, doi 10.1145/2020408.2020480). An item
    that nobody met has W t_i for its factors. `use_text=false` is the same model without text.
    """

    Params = LLMMFParams
    traits = Traits(trained=True, stochastic=True, needs_text=True)
    small = {"encoder": "hashed-words", "dim": 32, "epochs": 20, "batch_size": 32, "learning_rate": 1e-2}

    def network(self, train: Dataset) -> Network:
        from recbench_language.rows_networks import TextFactors

        text_IV, met_I, known_U = self.text(train, "whiten", self.params.dim), None, None
        if text_IV is not None:
            met_I, known_U = (
                np.bincount(column, minlength=n) > 0
                for column, n in (
                    (train.interactions.item, train.n_items),
                    (train.interactions.user, train.n_users),
                )
            )
        share_I = self.item_shares(train)
        return TextFactors(train.n_items, self.params, self.facts, share_I, text_IV, met_I, known_U)
