"""A post by its text, its reader by the texts of the history, and a head for each behaviour.

Letters: B questions of a batch, L history length, N distinct items, I items, V width of text vectors, D width, H heads of
the attention, W D / H, M behaviours of the log, T behaviours asked about.
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
from recbench_language.bert.batches import N_AGES, Batch
from recbench_language.bert.bert import BertParams
from recbench_language.bert.tower import Tower
from recbench_language.vectors import Spread

STD = 0.02  # of what is looked up, at first


class TextNetwork(Network):
    """Attention of the post over its reader's events, and heads over [post, reader, post * reader].

    Events count by the vectors that their posts had when they were last asked about: only the posts asked about run
    through the encoder in a step. Attention has a further place that stands for no event.
    """

    compiles = ()
    vector_IV: Tensor

    def __init__(self, facts: dict[str, Any], params: BertParams, tower: Tower | None = None) -> None:
        super().__init__()
        dim, heads, n_behaviors = params.dim, params.heads, facts["n_behaviors"] if params.behaviors else 1
        self.heads, self.by_behavior, self.encoder_rate = heads, params.behaviors, params.encoder_rate
        if tower is None and facts["encoder"]:
            tower = Tower(facts["encoder"], params.layers)
        self.tower = tower
        self.register_buffer("vector_IV", torch.zeros(facts["n_items"], facts["width"]))
        self.spread = nn.Linear(facts["width"], dim)
        self.query, self.key, self.value = (nn.Linear(dim, dim) for _ in range(3))
        for same in (self.query, self.key, self.value):  # attention begins as the likeness of texts
            nn.init.eye_(same.weight)
            nn.init.zeros_(same.bias)
        self.behaviors, self.ages = nn.Embedding(n_behaviors, dim + heads), nn.Embedding(N_AGES, dim + heads)
        self.nothing, self.threshold_H = nn.Parameter(torch.zeros(dim + heads)), nn.Parameter(torch.full((heads,), 2.0))
        for table in (self.behaviors, self.ages):
            nn.init.normal_(table.weight, std=STD)
        self.drop = Dropout(params.dropout)
        self.answers = nn.ModuleList(
            nn.Sequential(
                nn.Linear(3 * dim + n_behaviors * (heads + 1), params.width),
                nn.ReLU(),
                Dropout(params.dropout),
                nn.Linear(params.width, 1),
            )
            for _ in facts["targets"]
        )
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
            return self.vector_IV if self.tower is None else self.tower.all()
        return self.vector_IV[item_N] if self.tower is None else self.tower(item_N)

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

    def logits(self, post_BV: Tensor, vector_IV: Tensor, batch: Batch) -> Tensor:
        """(B, T) of the post's vector, and those that events have."""
        post_BD = self.spread(post_BV)
        reader_BD, likeness_BX = self.reader(post_BD, vector_IV, batch)
        both_BX = torch.cat(
            [self.drop(torch.cat([post_BD, reader_BD, post_BD * reader_BD], dim=1)), likeness_BX], dim=1
        )
        return self.bias_T + torch.cat([answer(both_BX) for answer in self.answers], dim=1)

    def reader(self, post_BD: Tensor, vector_IV: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
        """(B, D) what the events of the history say, each as much as its text is like the post's; (B, M (H + 1)) how like
        the events of each behaviour are in the mean, and the log of how many there are."""
        item_N, place_BL = batch.event_BL.unique(return_inverse=True)
        event_ND = self.spread(vector_IV[item_N])
        behavior_BL = batch.behavior_BL if self.by_behavior else torch.zeros_like(batch.behavior_BL)
        told_BLX = self.behaviors(behavior_BL) + self.ages(batch.age_BL)
        query_BHW = self.query(post_BD).unflatten(1, (self.heads, -1))
        key_BLHW = F.embedding(place_BL, self.key(event_ND)).unflatten(2, (self.heads, -1))
        fit_BLH = torch.einsum("bhw,blhw->blh", query_BHW, key_BLHW) / query_BHW.shape[2] ** 0.5
        fit_BLH = (fit_BLH + told_BLX[..., : self.heads]).masked_fill(~batch.real_BL[:, :, None], -1e9)
        value_BLD = F.embedding(place_BL, self.value(event_ND)) + told_BLX[..., self.heads :]
        return self.attended(fit_BLH, value_BLD), self.likeness(fit_BLH, behavior_BL, batch.real_BL)

    def attended(self, fit_BLH: Tensor, value_BLD: Tensor) -> Tensor:
        """(B, D) the values by softmax of the fits, nothing being one of them."""
        nothing_B1X = self.nothing.expand(len(fit_BLH), 1, -1)
        weight_BLH = torch.cat([nothing_B1X[..., : self.heads], fit_BLH], dim=1).softmax(dim=1)
        values_BLHW = torch.cat([nothing_B1X[..., self.heads :], value_BLD], dim=1).unflatten(2, (self.heads, -1))
        return torch.einsum("blh,blhw->bhw", weight_BLH, values_BLHW).flatten(1)

    def likeness(self, fit_BLH: Tensor, behavior_BL: Tensor, real_BL: Tensor) -> Tensor:
        """(B, M (H + 1)) by behaviour the mean of sigmoid(fit - threshold), and log(1 + events)."""
        is_BLM = F.one_hot(behavior_BL, self.behaviors.num_embeddings).to(fit_BLH.dtype) * real_BL[:, :, None]
        n_BM = is_BLM.sum(1)
        like_BMH = torch.einsum("blm,blh->bmh", is_BLM, (fit_BLH - self.threshold_H).sigmoid())
        like_BMH = like_BMH / n_BM.clamp(min=1)[:, :, None]
        return torch.cat([like_BMH.flatten(1), n_BM.log1p()], dim=1)
