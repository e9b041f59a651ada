"""The Transformer that looks both ways: some events of a window are hidden and predicted from all the others.

Letters: B batch, L length, D width, P places wanted, I items.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from recbench.neural.blocks import SASRecBlock, block_at
from recbench.neural.dropout import Dropout
from recbench.neural.losses import popular_bias
from recbench.neural.network import Asked, Network

if TYPE_CHECKING:
    from recbench.neural.batches import Batch
    from recbench_sequential.bert4rec import BERT4RecParams

INIT_STD = 0.02


class MaskedTransformer(Network):
    """Item number I is a hidden event, read as the mask, and also pads, where no other event looks at it.

    Event p of a window stands at place p, a step before the position that a causal network reads it at, and the start
    token is not read; the event that a question asks for is the mask behind the history.
    """

    compiles = ("states",)

    def __init__(self, n_items: int, params: BERT4RecParams, share_I: Tensor | None = None) -> None:
        super().__init__()
        self.mask_share, self.last_only = params.mask_share, params.last_only
        self.items = nn.Embedding(n_items, params.dim)
        self.positions = nn.Embedding(params.max_length + 1, params.dim)
        self.mask = nn.Parameter(torch.empty(params.dim))
        shape = (params.dim, params.heads, params.dropout, params.feed_forward, params.attention_dropout)
        self.blocks = nn.ModuleList(SASRecBlock(*shape) for _ in range(params.blocks))
        self.norm = nn.LayerNorm(params.dim)
        self.head = nn.Sequential(nn.Linear(params.dim, params.dim), nn.GELU(), nn.LayerNorm(params.dim))
        self.drop = Dropout(params.dropout)
        for name, weight in self.named_parameters():
            if weight.dim() > 1 or name == "mask":
                nn.init.normal_(weight, std=INIT_STD)
            elif name.endswith("bias"):
                nn.init.zeros_(weight)
        self.item_bias = nn.Parameter(popular_bias(n_items, params, share_I))

    def asked(self, batch: Batch) -> Asked:
        """The states of the events hidden by chance that count, and what they are."""
        hidden_BL = hidden(batch, self.mask_share, self.last_only)
        events_BL = self.read(batch).scatter(
            1, batch.last_B[:, None], batch.targets_BL.gather(1, batch.last_B[:, None])
        )
        wanted_BL = hidden_BL & batch.mask_BL
        states_PD = self.states(events_BL.masked_fill(hidden_BL, self.items.num_embeddings), batch.last_B, wanted_BL)
        return Asked(states_PD, batch.targets_BL[wanted_BL])

    def last(self, batch: Batch) -> Tensor:
        """(B, D) the state of the mask behind each history."""
        events_BL = self.read(batch)
        return self.states(events_BL, batch.last_B, places(events_BL) == batch.last_B[:, None])

    def encode(self, batch: Batch) -> Tensor:
        """(B, L, D) the states of the events read and of the mask behind them, each knowing all of them."""
        events_BL = self.read(batch)
        return self.states(events_BL, batch.last_B, torch.ones_like(events_BL, dtype=torch.bool)).view(
            *events_BL.shape, -1
        )

    def read(self, batch: Batch) -> Tensor:
        """(B, L) the events that a batch reads, each at its own place, and the mask behind them."""
        return F.pad(batch.items_BL[:, 1:], (0, 1), value=self.items.num_embeddings)

    def states(self, events_BL: Tensor, last_B: Tensor, wanted_BL: Tensor) -> Tensor:
        """(P, D) the states of the places wanted, row after row: the last block computes no others."""
        n_items = self.items.num_embeddings
        x_BLD = torch.where(
            (events_BL == n_items).unsqueeze(-1), self.mask, self.items(events_BL.clamp(max=n_items - 1))
        )
        back_BL = last_B[:, None] - places(events_BL)
        x_BLD = self.drop(x_BLD + self.positions(back_BL.clamp(min=0)))
        real_B11L = (back_BL >= 0)[:, None, None]
        for block in self.blocks[:-1]:
            x_BLD = block(x_BLD, real_B11L)
        return self.head(self.norm(block_at(self.blocks[-1], x_BLD, real_B11L, wanted_BL)))


def places(events_BL: Tensor) -> Tensor:
    """(L,) 0, 1, ..."""
    return torch.arange(events_BL.shape[1], device=events_BL.device)


def hidden(batch: Batch, mask_share: float, last_only: float) -> Tensor:
    """(B, L) the events that are hidden: moments that hold a target, each with this chance and one in a window at least.

    A moment is hidden whole, for what ties with a target would tell of it. Where an item counts once only, its later
    events, which do not count, are hidden with it for the same reason. A share `last_only` of the windows whose last
    moment holds a target hides that alone.
    """
    real_BL = places(batch.items_BL) <= batch.last_B[:, None]
    targets_BL = torch.zeros_like(batch.asked_BL).scatter_add(1, batch.asked_BL, batch.mask_BL.long())
    counts_BL = (targets_BL.gather(1, batch.asked_BL) > 0) & real_BL
    draw_BL = torch.rand(counts_BL.shape, device=real_BL.device).gather(1, batch.asked_BL)  # one for each moment
    newest_BL = batch.asked_BL == batch.asked_BL.gather(1, batch.last_B[:, None])
    alone_B1 = torch.rand(len(real_BL), 1, device=real_BL.device) < last_only
    alone_B1 &= (newest_BL & counts_BL).any(1, keepdim=True)
    draw_BL = torch.where(alone_B1, (~newest_BL).float(), draw_BL)
    bound_B1 = draw_BL.masked_fill(~counts_BL, torch.inf).amin(1, keepdim=True).clamp(min=mask_share)
    hidden_BL = counts_BL & (draw_BL <= bound_B1)
    repeat_BL = real_BL & ~batch.mask_BL
    if repeat_BL.any():
        same_BLL = batch.targets_BL[:, :, None] == batch.targets_BL[:, None, :]
        same_BLL &= (hidden_BL & batch.mask_BL)[:, :, None]
        hidden_BL = hidden_BL | (repeat_BL & same_BLL.triu(1).any(1))
    return hidden_BL
