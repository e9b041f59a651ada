"""A post by its text, its reader by the texts of the history, and a head for each behaviour.

Letters: B questions of a batch, L history length, N distinct items, I items, V width of text vectors, D width, Y numbers of likeness,
T behaviours asked about.
"""

from __future__ import annotations

from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from recbench.neural.dropout import Dropout
from recbench.neural.network import Network
from recbench_language.bert.batches import Batch
from recbench_language.bert.bert import BertParams
from recbench_language.bert.reader import Answer, Reader
from recbench_language.bert.tower import Tower
from recbench_language.vectors import Spread


class TextNetwork(Network):
    """Heads over [post, reader, post * reader] and the likeness of the two.

    Only the posts asked about run through the encoder in a step; events count by the vectors that their posts had when
    they were last asked about, which `vector_IV` holds while training.
    """

    compiles = ()
    vector_IV: Tensor
    settled: bool = False  # nothing is learned any more, and `vector_IV` holds what the encoder says

    def __init__(self, facts: dict[str, Any], params: BertParams, tower: Tower | None = None) -> None:
        super().__init__()
        if tower is None and facts["encoder"]:
            tower = Tower(facts["encoder"], params.layers)
        self.tower, self.encoder_rate = tower, params.encoder_rate
        self.register_buffer("vector_IV", torch.zeros(facts["n_items"], facts["width"]))
        self.spread = nn.Linear(facts["width"], params.dim)
        self.reader = Reader(params.dim, params.heads, facts["n_behaviors"] if params.behaviors else 1)
        sizes = 3 * params.dim, self.reader.n_likeness, params.width
        self.answers = nn.ModuleList(Answer(*sizes, Dropout(params.dropout)) for _ in facts["targets"])
        self.bias_T = nn.Parameter(torch.zeros(len(facts["targets"])))

    def begun(self, vector_IV: NDArray, spread: Spread, rate_T: NDArray) -> Self:
        """The network that spreads vectors as `spread` does, and answers at the rates of the training part."""
        with torch.no_grad():
            self.vector_IV.copy_(torch.from_numpy(vector_IV))
            axes_DV = torch.from_numpy(spread.axes_VD.T * np.float32(spread.axes_VD.shape[1] ** 0.5))
            self.spread.weight[: len(axes_DV)] = axes_DV
            self.spread.bias[: len(axes_DV)] = -(axes_DV @ torch.from_numpy(spread.mean_V))
            self.bias_T.copy_(torch.from_numpy(rate_T).logit())
        return self

    def rate(self, name: str) -> float:
        """The layers of the encoder move more slowly than what is above them."""
        return self.encoder_rate if name.startswith("tower.") else 1.0

    def item_vectors(self, item_N: Tensor | None = None) -> Tensor:
        """(N, V) the vectors of texts as the encoder now gives them, of all items where none are named."""
        if item_N is None:
            return self.vector_IV if self.tower is None or self.settled else self.tower.all()
        return self.vector_IV[item_N] if self.tower is None else self.tower(item_N)

    @torch.no_grad()
    def settle(self) -> None:
        """From here on the vectors of texts are computed no more."""
        self.vector_IV.copy_(self.item_vectors())
        self.settled = True

    def loss(self, batch: Batch, params: BertParams, share_I: Tensor | None) -> tuple[Tensor, int]:
        """Binary cross-entropy, the mean of questions and behaviours, and the number of questions."""
        assert batch.outcome_BT is not None
        item_N, place_B = batch.item_B.unique(return_inverse=True)
        vector_NV = self.item_vectors(item_N)
        with torch.no_grad():
            self.vector_IV[item_N] = vector_NV.detach().to(self.vector_IV.dtype)
        logit_BT = self.logits(F.embedding(place_B, vector_NV), self.vector_IV, batch)
        loss = F.binary_cross_entropy_with_logits(logit_BT, batch.outcome_BT, reduction="sum")
        return loss / max(1, batch.outcome_BT.numel()), len(batch.item_B)

    def forward(self, batch: Batch, vector_IV: Tensor) -> Tensor:
        """(B, T) the logits of the behaviours asked about, where the vectors of all items are these."""
        return self.logits(vector_IV[batch.item_B], vector_IV, batch)

    def spread_out(self, vector_NV: Tensor) -> Tensor:
        """(N, D) what the layer makes of vectors; of a text that is not there, a vector of zeros, zeros."""
        return self.spread(vector_NV) * (vector_NV != 0).any(-1, keepdim=True)

    def logits(self, post_BV: Tensor, vector_IV: Tensor, batch: Batch) -> Tensor:
        """(B, T) of the post's vector, and those that the posts of events have."""
        item_N, place_BL = batch.event_BL.unique(return_inverse=True)
        post_BD, event_ND = self.spread_out(post_BV), self.spread_out(vector_IV[item_N])
        reader_BD, likeness_BY = self.reader(post_BD, event_ND, place_BL, batch)
        read_BD = torch.cat([post_BD, reader_BD, post_BD * reader_BD], dim=1)
        return self.bias_T + torch.cat([answer(read_BD, likeness_BY) for answer in self.answers], dim=1)
