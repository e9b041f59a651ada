"""The causal Transformer whose items are read by their text; the network is imported when it is first needed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from recbench.errors import RecbenchError
from recbench.model import Context, Traits
from recbench.neural.choices import CausalParams
from recbench.neural.recommender import TorchRecommender
from recbench.params import param
from recbench_language.vectors import SPREADS, ItemVectors, ReadsText, TextParams, item_vectors, no_vectors, spread_of

if TYPE_CHECKING:
    from recbench.dataset import Dataset
    from recbench.neural.network import Network

JOINTS = ("add", "gate", "init", "text", "none")
UNMET_BIASES = (0, 1, 2, 3, 4, 5, 6)


@dataclass(frozen=True)
class TransformerTextParams(TextParams, CausalParams):
    """How text and ids make an item, beside the text, and the shape and training of the Transformer."""

    join: str = param(
        "add",
        "What an item is: add: its own vector and what a layer makes of its text; gate: the two weighed number by number; "
        "init: its own vector, which begins as its text; text: the text alone; none: its own vector alone.",
        choices=JOINTS,
        tune=True,
    )
    spread: str = param(
        "whiten",
        "Text vectors less their mean (centre), cut to `text_dim` main directions (pca), or with equal variance in these "
        "(whiten); init turns them in any case, to `dim` directions.",
        choices=SPREADS,
        tune=True,
    )
    text_dim: int = param(128, "Directions that pca and whiten keep.", low=1, high=4096, log=True)
    adapter: int = param(
        0, "Width of a hidden layer with GELU between text and item vector; 0: one linear layer.", low=0, high=4096
    )
    id_dropout: float = param(
        0.1,
        "Share of the items whose own vectors are hidden at a step, so that their text has to do: for items nobody has met.",
        low=0.0,
        high=0.9,
        tune=True,
    )
    unmet_bias: float | None = param(
        None,
        "Added to the scores of items that training did not meet, which else rank by their text as if hardly anybody wanted "
        f"them; none: what validation likes best among {', '.join(map(str, UNMET_BIASES))}.",
        low=-20.0,
        high=20.0,
    )
    masked_weight: float = param(
        0.0,
        "Weight of a second loss: events of a history that are hidden are guessed from both sides.",
        low=0.0,
        high=10.0,
    )
    masked_share: float = param(0.2, "Share of the events that this loss hides.", low=0.01, high=0.9)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.unmet_bias is not None and not self.item_bias:
            raise RecbenchError(
                f"{type(self).__name__}: unmet_bias={self.unmet_bias:g} is added to a bias, and item_bias=false leaves none; "
                "leave one of them out"
            )


class TransformerText(ReadsText, TorchRecommender):
    """Causal Transformer (`transformer`, after SASRec, arXiv 1808.09781) over items with the vectors of their texts.

    Frozen text vectors, less their mean, pass a layer that is learned: joined with items' own vectors as UniSRec and
    LLM2BERT4Rec do (arXiv 2206.05941, 2309.07705), where an item is read and where states are compared with it. Items that
    nobody met in training have no vector of their own, and are no negatives: their text alone ranks them. join=none is the
    same network without text, join=text transfers to other catalogues by `init_from`, with spread=centre.
    """

    Params = TransformerTextParams
    traits = Traits(sequential=True, trained=True, stochastic=True, needs_text=True)
    small = {
        "encoder": "hashed-words",
        "dropout": 0.0,
        "vector_dropout": 0.0,
        "dim": 32,
        "epochs": 15,
        "batch_size": 32,
        "max_length": 10,
        "learning_rate": 1e-2,
    }
    found: ItemVectors | None = None  # while fitting

    def fit(self, train: Dataset, context: Context) -> None:
        """Read the texts of items, then learn what comes next; RecbenchError where they have none."""
        params = self.params
        if params.init_from and params.join != "none" and params.spread in ("pca", "whiten"):
            raise RecbenchError(
                f"init_from={params.init_from} brings layers behind text vectors, and spread={params.spread} turns these as "
                "each catalogue has it; use spread=centre or none, in both runs"
            )
        self.found = no_vectors(train) if params.join == "none" else item_vectors(train, params, context)
        super().fit(train, context)
        self._favour_unmet(context)
        self.notes, self.found = {"language": self.found.told} if self.found.told else {}, None

    def _favour_unmet(self, context: Context) -> None:
        """Find the bias of the items that training did not meet, where there are any."""
        bias = context.chosen.get("unmet_bias", 0.0) if self.params.unmet_bias is None else self.params.unmet_bias
        if self.net.all_met or self.net.item_bias is None:
            return
        if self.params.unmet_bias is None and context.evaluate is not None:
            reached = {}
            for tried in UNMET_BIASES:
                self.net.favour_unmet(tried)
                reached[tried] = context.evaluate(self)
            bias = max(UNMET_BIASES, key=lambda tried: reached[tried])  # the first of equals, and that is the least
            self.chosen = {"unmet_bias": bias}
        self.net.favour_unmet(bias)

    def network(self, train: Dataset) -> Network:
        from recbench_language.transformer_text_network import TextTransformer

        params, text_IV, met_I = self.params, None, None
        if self.found is not None:
            met_I = np.bincount(train.interactions.item, minlength=train.n_items) > 0
            how, width = (params.spread, params.text_dim)
            if params.join == "none":
                how = "none"
            if params.join == "init":
                how, width = ("whiten" if how == "whiten" else "pca", params.dim)
            text_IV = spread_of(self.found, how, width, met_I)(self.found.values_IV)
            told_apart = params.behaviors and len(train.interactions.behaviors)
            self.facts = self.facts | {"width": text_IV.shape[1], "behaviors": max(1, told_apart)}
            self.facts = self.facts | {"time": params.timed(train.info)}
        return TextTransformer(train.n_items, params, self.item_shares(train), text_IV, met_I, self.facts)
