"""The causal Transformer over items made of an own vector and a text.

Letters: B batch, L length, D width, I items, N chosen items, V width of a text vector.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from recbench.neural.causal import INIT_STD, CausalTransformer
from recbench.neural.losses import loss_of
from recbench.neural.network import Asked

if TYPE_CHECKING:
    from recbench.neural.batches import Batch
    from recbench_language.transformer_text import TransformerTextParams

GELU_SIZE = 1.53  # one over the root of the mean square of GELU of a normal number


class TextTransformer(CausalTransformer):
    """The text vectors, and who was met in training, are saved with the weights. `facts`: `width` of a text vector,
    `behaviors` and `time` as `CausalTransformer` has them; `text_IV`, `met_I`: None where they are still to be loaded.
    """

    text: Tensor
    met: Tensor

    def __init__(
        self,
        n_items: int,
        params: TransformerTextParams,
        share_I: Tensor | None,
        text_IV: NDArray | None,
        met_I: NDArray | None,
        facts: Mapping[str, Any],
    ) -> None:
        super().__init__(n_items, params, share_I, n_behaviors=facts["behaviors"], time=facts["time"])
        self.join, self.id_dropout, width, dim = params.join, params.id_dropout, facts["width"], params.dim
        text_IV = np.zeros((n_items, width), np.float32) if text_IV is None else text_IV
        met_I = np.ones(n_items, bool) if met_I is None else met_I
        self.register_buffer("met", torch.from_numpy(met_I).float()[:, None])
        self.all_met = bool(met_I.all())
        self.kept_I1: Tensor | None = None
        self.mask = nn.Parameter(torch.empty(dim).normal_(std=INIT_STD)) if params.masked_weight else None
        self.masked_weight, self.masked_share = params.masked_weight, params.masked_share
        with torch.no_grad():
            self.items.weight *= self.met
            if params.join == "init":
                length = INIT_STD * dim**0.5  # text vectors have length 1 on average, rows of the table this
                self.items.weight.zero_()[:, :width] = torch.from_numpy(text_IV) * length
        if params.join == "text":
            self.items.weight.requires_grad_(False).zero_()
        if self.join in ("add", "gate", "text"):
            self.register_buffer("text", torch.from_numpy(text_IV))
            self.adapter = adapter(width, params.adapter, dim)
        if self.join == "gate":
            self.gate = nn.Linear(2 * dim, dim)
            nn.init.zeros_(self.gate.bias)
        unmet_I = self.met[:, 0] == 0
        self.unmet_level = (
            float(self.item_bias[unmet_I][0].detach()) if self.item_bias is not None and unmet_I.any() else 0.0
        )
        self._hold()

    def _hold(self) -> None:
        """No gradient reaches what is an unmet item's own: as everybody's negative it would learn never to come."""
        if self.all_met:
            return
        for weight in (self.items.weight, self.item_bias):
            if weight is not None and weight.requires_grad:
                weight.register_hook(lambda g: g * (self.met if g.dim() == 2 else self.met[:, 0]).to(g))

    def favour_unmet(self, bias: float) -> None:
        """Raise the bias of the items that were not met above that at which they begin."""
        if self.item_bias is not None:
            self.item_bias.data[self.met[:, 0] == 0] = self.unmet_level + bias

    def item_vectors(self, item_N: Tensor | None = None) -> Tensor:
        """(N, D) what own vector and text make of the items given, in any shape; of all (I, D) where none are."""
        if item_N is not None and (item_N.numel() > self.items.num_embeddings or self.kept_I1 is not None):
            return F.embedding(item_N, self.item_vectors())  # fewer items in all than asked for
        own_ND = self.items.weight if item_N is None else F.embedding(item_N, self.items.weight)
        if self.kept_I1 is not None:
            own_ND = own_ND * self.kept_I1
        if self.join in ("init", "none"):
            return own_ND
        text_ND = self.adapter(self.text if item_N is None else F.embedding(item_N, self.text))
        if self.join == "text":
            return text_ND
        if self.join == "gate":
            share_ND = torch.sigmoid(self.gate(torch.cat([own_ND, text_ND], dim=-1)))
            return (1 - share_ND) * own_ND + share_ND * text_ND
        return own_ND + text_ND

    def compared(self, item_N: Tensor | None = None) -> Tensor:
        """The same, less a share of their numbers in training, where items that were not met are zeros: no negatives."""
        vectors_ND = super().compared(item_N)
        if self.all_met or not self.training:
            return vectors_ND
        return vectors_ND * (self.met if item_N is None else F.embedding(item_N, self.met))

    def loss(self, batch: Batch, params: Any, share_I: Tensor | None) -> tuple[Tensor, int]:
        """The loss of what comes next, with some items' own vectors hidden, and that of hidden events where it is wanted."""
        if self.id_dropout and self.join in ("add", "gate"):  # elsewhere no text stands in for what is hidden
            self.kept_I1 = (torch.rand(self.items.num_embeddings, 1) >= self.id_dropout).to(self.items.weight)
        try:
            loss, n_targets = super().loss(batch, params, share_I)
            if self.mask is not None:
                loss = loss + self.masked_weight * loss_of(self.guessed(batch), self, params, share_I)
            return loss, n_targets
        finally:
            self.kept_I1 = None

    def guessed(self, batch: Batch) -> Asked:
        """The states at events that are hidden from a reader that looks both ways, and the events (BERT4Rec, arXiv
        1904.06690)."""
        assert self.mask is not None
        place_L = torch.arange(batch.items_BL.shape[1], device=batch.items_BL.device)
        real_BL = (place_L > 0) & (place_L <= batch.last_B[:, None])
        hidden_BL = real_BL & (torch.rand(real_BL.shape, device=real_BL.device) < self.masked_share)
        x_BLD = self.placed(torch.where(hidden_BL.unsqueeze(-1), self.mask, self.unplaced(batch)), batch)
        x_BLD, seen_B11L = self.drop(self.norm_read(x_BLD)), (place_L <= batch.last_B[:, None])[:, None, None]
        for block in self.blocks:
            x_BLD = block(x_BLD, mask=seen_B11L)
        return Asked(self.norm(x_BLD)[hidden_BL], batch.items_BL[hidden_BL])


def adapter(width: int, hidden: int, dim: int) -> nn.Module:
    """One linear layer from text to item vectors, or two with GELU between them; what comes out begins as small as the rows
    of the item table."""
    last = nn.Linear(hidden or width, dim, bias=False)
    nn.init.normal_(last.weight, std=INIT_STD)
    if not hidden:
        return last
    first = nn.Linear(width, hidden, bias=False)
    nn.init.normal_(first.weight)
    last.weight.data *= GELU_SIZE / hidden**0.5
    return nn.Sequential(first, nn.GELU(), last)
