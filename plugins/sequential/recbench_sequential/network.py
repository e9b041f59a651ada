"""The causal Transformer: tied item embeddings, positions counted from the start of the window.

Letters: B batch, L length, D width, H heads, I items.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from recbench.neural.network import Network

if TYPE_CHECKING:
    from recbench.neural.batches import Batch
    from recbench_sequential.transformer import TransformerParams

INIT_STD = 0.02


class Block(nn.Module):
    """Attention and a feed-forward layer of four widths, each behind a LayerNorm and around a residual."""

    def __init__(self, params: TransformerParams) -> None:
        super().__init__()
        self.heads, self.dropout = params.heads, params.dropout
        self.norm1, self.norm2 = nn.LayerNorm(params.dim), nn.LayerNorm(params.dim)
        self.qkv = nn.Linear(params.dim, 3 * params.dim)
        self.out = nn.Linear(params.dim, params.dim)
        self.wide, self.narrow = nn.Linear(params.dim, 4 * params.dim), nn.Linear(4 * params.dim, params.dim)
        self.drop = nn.Dropout(params.dropout)

    def forward(self, x_BLD: Tensor) -> Tensor:
        shape = (*x_BLD.shape[:2], 3, self.heads, -1)
        q, k, v = self.qkv(self.norm1(x_BLD)).view(shape).permute(2, 0, 3, 1, 4)
        mixed_BHLD = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x_BLD = x_BLD + self.drop(self.out(mixed_BHLD.transpose(1, 2).flatten(2)))
        return x_BLD + self.drop(self.narrow(F.gelu(self.wide(self.norm2(x_BLD)))))


class CausalTransformer(Network):
    """Item number I is the start token, which also pads: its row stands apart so that `items` is the tied table."""

    def __init__(self, n_items: int, params: TransformerParams, share_I: Tensor | None = None) -> None:
        super().__init__()
        self.items = nn.Embedding(n_items, params.dim)
        self.positions = nn.Embedding(params.max_length + 1, params.dim)
        self.start = nn.Parameter(torch.empty(params.dim))
        self.blocks = nn.ModuleList(Block(params) for _ in range(params.blocks))
        self.norm = nn.LayerNorm(params.dim)
        self.drop = nn.Dropout(params.dropout)
        for name, weight in self.named_parameters():
            if weight.dim() > 1 or name == "start":
                nn.init.normal_(weight, std=INIT_STD)
            elif name.endswith("bias"):
                nn.init.zeros_(weight)
        if params.item_bias:  # at each item's log share the untrained network ranks by popularity
            share_I = torch.full((n_items,), 1 / n_items) if share_I is None else share_I
            self.item_bias = nn.Parameter((share_I * n_items).log())

    def encode(self, batch: Batch) -> Tensor:
        """(B, L, D): position p knows the start token and p events."""
        n_items = self.items.num_embeddings
        special_BL1 = (batch.items_BL == n_items).unsqueeze(-1)
        x_BLD = torch.where(special_BL1, self.start, self.items(batch.items_BL.clamp(max=n_items - 1)))
        x_BLD = self.drop(x_BLD + self.positions.weight[: batch.items_BL.shape[1]])
        for block in self.blocks:
            x_BLD = block(x_BLD)
        return self.norm(x_BLD)
