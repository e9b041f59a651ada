"""The recurrent network: tied item embeddings, one state for each position.

Letters: B batch, L length, D width of items, H width of the state, I items.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from recbench.neural.dropout import Dropout
from recbench.neural.losses import popular_bias
from recbench.neural.network import Network

if TYPE_CHECKING:
    from recbench.neural.batches import Batch
    from recbench_sequential.gru4rec import GRU4RecParams

INIT_STD = 0.02


class Recurrent(Network):
    """Item number I is the start token, which also pads: its row stands apart so that `items` is the tied table.

    Batches are padded at the right, where nothing that counts is behind the padding: no state needs to be masked.
    """

    def __init__(self, n_items: int, params: GRU4RecParams, share_I: Tensor | None = None) -> None:
        super().__init__()
        self.items = nn.Embedding(n_items, params.dim)
        self.start = nn.Parameter(torch.empty(params.dim))
        between = params.dropout if params.layers > 1 else 0.0
        self.gru = nn.GRU(params.dim, params.hidden, params.layers, batch_first=True, dropout=between)
        self.out = nn.Linear(params.hidden, params.dim) if params.hidden != params.dim else nn.Identity()
        self.drop_items, self.drop = Dropout(params.embedding_dropout), Dropout(params.dropout)
        nn.init.normal_(self.items.weight, std=INIT_STD)
        nn.init.normal_(self.start, std=INIT_STD)
        if params.item_bias:
            self.item_bias = nn.Parameter(popular_bias(n_items, params, share_I))

    def encode(self, batch: Batch) -> Tensor:
        """(B, L, D): position p knows the start token and p events."""
        n_items = self.items.num_embeddings
        special_BL1 = (batch.items_BL == n_items).unsqueeze(-1)
        x_BLD = torch.where(special_BL1, self.start, self.items(batch.items_BL.clamp(max=n_items - 1)))
        # Rows that start small for the logits would leave the gates unmoved: they are read as in arXiv 1706.03762, 3.4.
        states_BLH, _ = self.gru(self.drop_items(x_BLD * x_BLD.shape[-1] ** 0.5))
        return self.out(self.drop(states_BLH))
