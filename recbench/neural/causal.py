"""The causal Transformer: items, with what else is known of them and of their events, through blocks of attention.

Letters: B batch, L length, D width, H heads, I items, N chosen items, M words of an item.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from recbench.neural.blocks import HSTUBlock, LiGRBlock, RelativeBias, SASRecBlock, block_at, gap_buckets
from recbench.neural.columns import NOTHING, Column
from recbench.neural.dropout import Dropout
from recbench.neural.losses import popular_bias
from recbench.neural.network import Network

if TYPE_CHECKING:
    from recbench.neural.batches import Batch
    from recbench.neural.choices import CausalParams

INIT_STD = 0.02


class ItemColumn(nn.Module):
    """What a column of the items table adds to an item's vector: the mean of its words' rows, or a linear projection.

    The column's values are saved with the weights.
    """

    values: Tensor

    def __init__(self, column: Column, dim: int) -> None:
        super().__init__()
        self.register_buffer("values", torch.from_numpy(column.values))
        width = column.values.shape[1]
        self.table = nn.Embedding(column.n_words, dim) if column.n_words else nn.Linear(width, dim, bias=False)

    def forward(self, item_N: Tensor | None) -> Tensor:
        """(N, D) of the items given, in any shape; of all (I, D) where none are."""
        values = self.values if item_N is None else self.values[item_N]
        if isinstance(self.table, nn.Linear):
            return self.table(values)
        bag_ND = F.embedding_bag(values.flatten(0, -2), self.table.weight, mode="mean", padding_idx=NOTHING)
        return bag_ND.view(*values.shape[:-1], -1)


class CausalTransformer(Network):
    """Item number I is the start token, which also pads: its row stands apart so that `items` is the tied table.

    `columns`: of the items table, added to each item's own row, read or predicted; then `known_I` (1: the item was met in
    training) decides who has a row of its own, for training teaches the rows of others only that they never come.
    `n_behaviors`: 1 where behaviours are not told apart. `time`: whether attention has a bias by the gap in time.
    """

    known_I: Tensor

    def __init__(
        self,
        n_items: int,
        params: CausalParams,
        share_I: Tensor | None = None,
        columns: Sequence[Column] = (),
        known_I: NDArray | None = None,
        n_behaviors: int = 1,
        time: bool = False,
    ) -> None:
        super().__init__()
        self.items = nn.Embedding(n_items, params.dim)
        self.from_end = params.positions == "end"
        self.positions = None if params.positions == "none" else nn.Embedding(params.max_length + 1, params.dim)
        self.start = nn.Parameter(torch.empty(params.dim))
        self.blocks = nn.ModuleList(block_of(params) for _ in range(params.blocks))
        # Without it the small rows of items that were met seldom say little beside their positions, which regularises.
        self.norm_read = nn.LayerNorm(params.dim) if params.input_norm else nn.Identity()
        self.norm = nn.LayerNorm(params.dim)
        self.drop, self.drop_vectors = Dropout(params.dropout), Dropout(params.vector_dropout)
        self.scale = params.dim**0.5 if params.scale_read else 1.0
        self.columns = nn.ModuleList(ItemColumn(column, params.dim) for column in columns)
        if columns:
            self.register_buffer(
                "known_I", torch.ones(n_items) if known_I is None else torch.from_numpy(known_I).float()
            )
        self.behaviors = nn.Embedding(n_behaviors, params.dim) if n_behaviors > 1 else None
        longest = params.max_length if params.block == "hstu" else 0
        biased = params.blocks if longest or time else 0
        self.biases = nn.ModuleList(RelativeBias(params.heads, longest, time) for _ in range(biased))
        self.reads = ("times",) * time + ("behaviors",) * (n_behaviors > 1)
        for name, weight in self.named_parameters():
            if weight.dim() > 1 or name == "start":
                nn.init.normal_(weight, std=INIT_STD)
            elif name.endswith("bias"):
                nn.init.zeros_(weight)
        if params.item_bias:
            self.item_bias = nn.Parameter(popular_bias(n_items, params, share_I))

    def item_vectors(self, item_N: Tensor | None = None) -> Tensor:
        """(N, D) each item's own row and what its columns add: of the items given, in any shape; of all, (I, D)."""
        if not self.columns:
            return super().item_vectors(item_N)
        if item_N is not None and item_N.numel() > self.items.num_embeddings:
            return F.embedding(item_N, self.item_vectors())  # fewer items in all than asked for
        known_N = self.known_I if item_N is None else self.known_I[item_N]
        vectors_ND = super().item_vectors(item_N) * known_N.unsqueeze(-1)
        for column in self.columns:
            vectors_ND = vectors_ND + column(item_N)
        return vectors_ND

    def read_vectors(self, item_N: Tensor) -> Tensor:
        """What of `item_vectors` is read of items, in any shape."""
        return self.item_vectors(item_N)

    def compared(self, item_N: Tensor | None = None) -> Tensor:
        """`item_vectors`, less a share of their numbers in training."""
        return self.drop_vectors(self.item_vectors(item_N))

    def encode(self, batch: Batch) -> Tensor:
        """(B, L, D): position p knows the start token, p events, and the moment of asking where it reads times."""
        return self.norm(self.through(self.blocks, batch))

    def last(self, batch: Batch) -> Tensor:
        """(B, D) the state that answers what follows each history; the last block computes no other where it can."""
        block = self.blocks[-1]
        if self.biases or not isinstance(block, SASRecBlock):
            return super().last(batch)
        place_L = torch.arange(batch.items_BL.shape[1], device=batch.last_B.device)
        back_BL = batch.last_B[:, None] - place_L
        x_BLD = self.through(self.blocks[:-1], batch)
        return self.norm(block_at(block, x_BLD, (back_BL >= 0)[:, None, None], back_BL == 0))

    def through(self, blocks: Iterable[nn.Module], batch: Batch) -> Tensor:
        """(B, L, D) what is read, after some first blocks."""
        x_BLD = self.drop(self.norm_read(self.events(batch)))
        bucket_BLL = None
        if batch.times_BL is not None and batch.target_times_BL is not None and "times" in self.reads:
            bucket_BLL = gap_buckets(batch.times_BL, batch.target_times_BL, batch.last_B)
        for number, block in enumerate(blocks):
            bias = self.biases[number](x_BLD.shape[1], bucket_BLL) if self.biases else None
            x_BLD = block(x_BLD, bias=bias)
        return x_BLD

    def events(self, batch: Batch) -> Tensor:
        """(B, L, D) what is read at each position: item, behaviour and place.

        Counted from the end, the newest event of the window has place 0: a state in training then knows how many events
        of its window follow, though none of them, as in every Transformer whose windows are padded at the left.
        """
        return self.placed(self.unplaced(batch), batch)

    def unplaced(self, batch: Batch) -> Tensor:
        """(B, L, D) item and behaviour at each position, without its place."""
        n_items = self.items.num_embeddings
        special_BL1 = (batch.items_BL == n_items).unsqueeze(-1)
        x_BLD = self.read_vectors(batch.items_BL.clamp(max=n_items - 1))
        if self.behaviors is not None and batch.behaviors_BL is not None:
            x_BLD = x_BLD + self.behaviors(batch.behaviors_BL)
        if self.scale != 1:
            x_BLD = x_BLD * self.scale
        return torch.where(special_BL1, self.start, x_BLD)

    def placed(self, x_BLD: Tensor, batch: Batch) -> Tensor:
        """(B, L, D) what is read, with the vectors of places."""
        if self.positions is None:
            return x_BLD
        length = batch.items_BL.shape[1]
        if not self.from_end:
            return x_BLD + self.positions.weight[:length]
        place_BL = batch.last_B[:, None] - torch.arange(length, device=x_BLD.device)
        return x_BLD + self.positions(place_BL.clamp(min=0))


def block_of(params: CausalParams) -> nn.Module:
    """The block that `params.block` names."""
    if params.block == "hstu":
        return HSTUBlock(params.dim, params.heads, params.dropout, params.attention_dropout)
    kind = {"sasrec": SASRecBlock, "ligr": LiGRBlock}[params.block]
    return kind(params.dim, params.heads, params.dropout, params.feed_forward, params.attention_dropout)
