"""The recurrent encoder and decoder: one run of the encoder serves all splits of a window.

Letters: B batch, L length, K splits of a window or beams of a query, S steps, D width, N layers, I items.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor, nn

from recbench.neural.losses import popular_bias
from recbench.neural.network import Asked, Network
from recbench_sequential.forcing import compared, split, vectors

if TYPE_CHECKING:
    from recbench.neural.batches import Batch
    from recbench_sequential.seq2seq import Seq2SeqParams

INIT_STD = 0.02


class Memory(NamedTuple):
    """What the decoder knows of the histories: all states of the encoder, and the last one of each history."""

    states_BLD: Tensor
    last_BK: Tensor


class RecurrentPair(Network):
    """Item number I is the start token of both sides, which also pads; `items` is the tied table."""

    def __init__(self, n_items: int, n_behaviors: int, params: Seq2SeqParams, share_I: Tensor | None = None) -> None:
        super().__init__()
        dim, layers = params.dim, params.layers
        self.steps, self.splits, self.behavior_weight = params.steps, params.splits, params.behavior_weight
        self.items = nn.Embedding(n_items, dim)
        self.start, self.begin = nn.Parameter(torch.empty(dim)), nn.Parameter(torch.empty(dim))
        self.behaviors = nn.Embedding(n_behaviors, dim) if n_behaviors > 1 else None
        self.behavior_head = nn.Linear(2 * dim, n_behaviors) if n_behaviors > 1 else None
        self.reads = ("behaviors",) if n_behaviors > 1 else ()
        between = params.dropout if layers > 1 else 0.0
        self.encoder = nn.GRU(dim, dim, layers, batch_first=True, dropout=between)
        self.decoder = nn.GRU(dim, dim, layers, batch_first=True, dropout=between)
        self.bridge = nn.Linear(dim, layers * dim)
        self.query = nn.Linear(dim, dim, bias=False) if params.attention else None
        self.out = nn.Linear(2 * dim if params.attention else dim, dim)
        self.drop = nn.Dropout(params.dropout)
        for weight in (self.items.weight, self.start, self.begin):
            nn.init.normal_(weight, std=INIT_STD)
        if self.behaviors is not None:
            nn.init.normal_(self.behaviors.weight, std=INIT_STD)
        if params.item_bias:
            self.item_bias = nn.Parameter(popular_bias(n_items, params, share_I))

    def encode(self, batch: Batch) -> Tensor:
        """(B, L, D) states of the encoder, which the decoder begins with: position p has read p events."""
        x_BLD = vectors(self, self.start, batch.items_BL, batch.behaviors_BL)
        return self.encoder(self.drop(x_BLD))[0]

    def remember(self, batch: Batch) -> Memory:
        """The memory of whole histories, K = 1."""
        return Memory(self.encode(batch), batch.last_B.unsqueeze(1))

    def decode(self, memory: Memory, items_BKS: Tensor, behaviors_BKS: Tensor | None) -> Tensor:
        """(B, K, S, D): step s knows a history, and of the list the start token and s events. One history may serve
        all K lists.
        """
        n, k, steps = items_BKS.shape
        last_BKD = memory.states_BLD.gather(1, memory.last_BK.unsqueeze(-1).expand(-1, -1, memory.states_BLD.shape[2]))
        first_BKD = torch.tanh(self.bridge(last_BKD)).expand(n, k, -1)
        first_NBD = first_BKD.reshape(n * k, self.decoder.num_layers, -1).transpose(0, 1).contiguous()
        x_BKSD = self.drop(vectors(self, self.begin, items_BKS, behaviors_BKS))
        states_BSD, _ = self.decoder(x_BKSD.flatten(0, 1), first_NBD)
        states_BKSD = states_BSD.view(n, k, steps, -1)
        if self.query is not None:
            states_BKSD = torch.cat([states_BKSD, self.attended(memory, states_BKSD)], dim=-1)
        return self.out(self.drop(states_BKSD))

    def attended(self, memory: Memory, states_BKSD: Tensor) -> Tensor:
        """(B, K, S, D) the mean of the encoder's states, weighted by their likeness to the decoder's."""
        _, k, steps, _ = states_BKSD.shape
        length = memory.states_BLD.shape[1]
        known_BKL = torch.arange(length, device=states_BKSD.device) <= memory.last_BK.unsqueeze(-1)
        known_BQL = known_BKL.expand(-1, k, -1).repeat_interleave(steps, dim=1)
        query_BQD, keys_BLD = self.query(states_BKSD).flatten(1, 2), memory.states_BLD
        mixed_BQD = nn.functional.scaled_dot_product_attention(query_BQD, keys_BLD, keys_BLD, attn_mask=known_BQL)
        return mixed_BQD.view(states_BKSD.shape)

    def asked(self, batch: Batch) -> Asked:
        """The steps behind random splits of the windows, teacher-forced."""
        splits = split(batch, self.steps, self.splits, self.items.num_embeddings)
        memory = Memory(self.encode(batch), splits.read_BK)
        states_BKSD = self.decode(memory, splits.items_BKS, splits.behaviors_BKS)
        return compared(self, self.behavior_head, states_BKSD, splits, self.behavior_weight)

    def last(self, batch: Batch) -> Tensor:
        """(B, D) the decoder's first state."""
        start_token_B11 = torch.full_like(batch.last_B, self.items.num_embeddings)[:, None, None]
        return self.decode(self.remember(batch), start_token_B11, torch.zeros_like(start_token_B11))[:, 0, 0]
