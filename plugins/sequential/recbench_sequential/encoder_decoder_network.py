"""The Transformer encoder and decoder: the encoder looks both ways, so each split of a window is read by itself.

Letters: B batch, L length, K splits of a window or beams of a query, S steps, D width, H heads, C width of a head,
P splits of all windows, I items.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from recbench.neural.blocks import Attention, SASRecBlock, heads_of
from recbench.neural.losses import popular_bias
from recbench.neural.network import Asked, Network
from recbench_sequential.forcing import compared, split, vectors

if TYPE_CHECKING:
    from recbench.neural.batches import Batch
    from recbench_sequential.encoder_decoder import EncoderDecoderParams

INIT_STD = 0.02


class Memory(NamedTuple):
    """What the decoder knows of the histories: states of the encoder, and which of them are real, (B, 1, 1, L)."""

    states_BLD: Tensor
    real_B11L: Tensor


class CrossAttention(nn.Module):
    """Softmax attention of a list to its history."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query, self.kv, self.out = nn.Linear(dim, dim), nn.Linear(dim, 2 * dim), nn.Linear(dim, dim)

    def forward(self, x_BSD: Tensor, memory: Memory) -> Tensor:
        (q,), (k, v) = heads_of(self.query(x_BSD), 1, self.heads), heads_of(self.kv(memory.states_BLD), 2, self.heads)
        mixed_BHSC = F.scaled_dot_product_attention(q, k, v, attn_mask=memory.real_B11L)
        return self.out(mixed_BHSC.transpose(1, 2).flatten(2))


class DecoderBlock(nn.Module):
    """Attention of each list to itself and back, attention to the history, then a feed-forward layer with GELU."""

    def __init__(self, dim: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.norm1, self.norm2, self.norm3 = nn.LayerNorm(dim), nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.attention, self.cross = Attention(dim, heads), CrossAttention(dim, heads)
        self.wide, self.narrow = nn.Linear(dim, 4 * dim), nn.Linear(4 * dim, dim)
        self.drop = nn.Dropout(dropout)

    def forward(self, x_BKSD: Tensor, memory: Memory) -> Tensor:
        mixed_BSD = self.attention(self.norm1(x_BKSD).flatten(0, 1))
        x_BKSD = x_BKSD + self.drop(mixed_BSD.view(x_BKSD.shape))
        mixed_BSD = self.cross(self.norm2(x_BKSD).flatten(1, 2), memory)  # the history does not care whose step asks
        x_BKSD = x_BKSD + self.drop(mixed_BSD.view(x_BKSD.shape))
        return x_BKSD + self.drop(self.narrow(F.gelu(self.wide(self.norm3(x_BKSD)))))


class TransformerPair(Network):
    """Item number I is the start token of both sides, which also pads; `items` is the tied table."""

    compiles = ("remember", "decode")

    def __init__(
        self, n_items: int, n_behaviors: int, params: EncoderDecoderParams, share_I: Tensor | None = None
    ) -> None:
        super().__init__()
        dim, shape = params.dim, (params.dim, params.heads, params.dropout)
        self.steps, self.splits, self.behavior_weight = params.steps, params.splits, params.behavior_weight
        self.items = nn.Embedding(n_items, dim)
        self.start, self.begin = nn.Parameter(torch.empty(dim)), nn.Parameter(torch.empty(dim))
        self.behaviors = nn.Embedding(n_behaviors, dim) if n_behaviors > 1 else None
        self.behavior_head = nn.Linear(2 * dim, n_behaviors) if n_behaviors > 1 else None
        self.reads = ("behaviors",) if n_behaviors > 1 else ()
        self.back, self.place = nn.Embedding(params.max_length + 1, dim), nn.Embedding(params.steps, dim)
        self.encoder = nn.ModuleList(SASRecBlock(*shape) for _ in range(params.blocks))
        self.decoder = nn.ModuleList(DecoderBlock(*shape) for _ in range(params.blocks))
        self.norm1, self.norm2 = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.drop = nn.Dropout(params.dropout)
        for name, weight in self.named_parameters():
            if weight.dim() > 1 or name in ("start", "begin"):
                nn.init.normal_(weight, std=INIT_STD)
            elif name.endswith("bias"):
                nn.init.zeros_(weight)
        if params.item_bias:
            self.item_bias = nn.Parameter(popular_bias(n_items, params, share_I))

    def encode(self, batch: Batch) -> Tensor:
        """(B, L, D): every position knows the whole history, up to `last_B`."""
        return self.remember(batch).states_BLD

    def remember(self, batch: Batch) -> Memory:
        """The memory of histories. Positions are counted back from the newest event."""
        back_BL = batch.last_B[:, None] - torch.arange(batch.items_BL.shape[1], device=batch.last_B.device)
        real_B11L = (back_BL >= 0)[:, None, None]
        x_BLD = vectors(self, self.start, batch.items_BL, batch.behaviors_BL)
        x_BLD = self.drop(x_BLD + self.back(back_BL.clamp(min=0)))
        for block in self.encoder:
            x_BLD = block(x_BLD, real_B11L)
        return Memory(self.norm1(x_BLD), real_B11L)

    def decode(self, memory: Memory, items_BKS: Tensor, behaviors_BKS: Tensor | None) -> Tensor:
        """(B, K, S, D): step s knows a history, and of the list the start token and s events. Steps beyond those
        trained stand at the last place.
        """
        place_S = torch.arange(items_BKS.shape[2], device=items_BKS.device).clamp(max=self.steps - 1)
        x_BKSD = self.drop(vectors(self, self.begin, items_BKS, behaviors_BKS) + self.place(place_S))
        for block in self.decoder:
            x_BKSD = block(x_BKSD, memory)
        return self.norm2(x_BKSD)

    def asked(self, batch: Batch) -> Asked:
        """The steps behind random splits of the windows, teacher-forced."""
        splits, window_P = split(batch, self.steps, self.splits, self.items.num_embeddings).rows()
        read_P = splits.read_BK.squeeze(1)
        longest = int(read_P.max()) + 1
        behaviors_BL = batch.behaviors_BL
        history = batch._replace(
            items_BL=batch.items_BL[window_P, :longest],
            behaviors_BL=None if behaviors_BL is None else behaviors_BL[window_P, :longest],
            last_B=read_P,
        )
        states_BKSD = self.decode(self.remember(history), splits.items_BKS, splits.behaviors_BKS)
        return compared(self, self.behavior_head, states_BKSD, splits, self.behavior_weight)

    def last(self, batch: Batch) -> Tensor:
        """(B, D) the decoder's first state."""
        start_token_B11 = torch.full_like(batch.last_B, self.items.num_embeddings)[:, None, None]
        return self.decode(self.remember(batch), start_token_B11, torch.zeros_like(start_token_B11))[:, 0, 0]
