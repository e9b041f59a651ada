"""SimpleX: vectors of length 1, and a loss that pulls a user to its items and pushes it from what is too near.

Letters: B users of a batch, P pairs, I items, M negatives of a user, D width.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from recbench.neural.rows import RowNetwork, Rows, UserTable
from recbench.neural.spread import bag

if TYPE_CHECKING:
    from recbench_collaborative.simplex import SimpleXParams

INIT_STD = 0.1


class Cosine(RowNetwork):
    """normalised (g own vector + (1 - g) V mean of the items), compared with normalised items."""

    def __init__(self, n_items: int, known_U: Tensor, params: SimpleXParams) -> None:
        super().__init__()
        self.items = nn.Embedding(n_items, params.dim)
        nn.init.normal_(self.items.weight, std=INIT_STD)
        self.users, self.own_share = UserTable(known_U, params.dim, INIT_STD), params.own_share
        self.mix = nn.Linear(params.dim, params.dim, bias=False)
        self.dropout = params.dropout

    def item_vectors(self, item_N: Tensor | None = None) -> Tensor:
        """(N, D) the vectors of length 1 of the items given, of all (I, D) where none are."""
        return F.normalize(super().item_vectors(item_N), dim=-1)

    def read(self, rows: Rows) -> Tensor:
        """(B, D) of length 1, or 0 where neither user nor history are known."""
        weight_P = (1 / rows.counts_B.to(torch.float32))[rows.row_P]
        if self.training and self.dropout:
            weight_P = F.dropout(weight_P, self.dropout)
        mean_BD = bag(self.items.weight, rows.item_P, rows.start_B, weight_P)
        return F.normalize(self.own_share * self.users(rows.user_B) + (1 - self.own_share) * self.mix(mean_BD), dim=-1)

    def loss(self, batch: Rows, params: SimpleXParams, share_I: Tensor | None) -> tuple[Tensor, int]:
        """The mean over pairs of 1 - cos(u, i) + w mean over negatives of max(0, cos(u, j) - margin), and their
        number."""
        states_BD, row_P = self.read(batch), batch.row_P
        positive_P = (states_BD[row_P] * self.item_vectors(batch.item_P)).sum(-1)
        drawn_M = None
        if params.negatives < self.items.num_embeddings:
            drawn_M = torch.randint(self.items.num_embeddings, (params.negatives,), device=states_BD.device)
        negative_BM = states_BD @ self.item_vectors(drawn_M).T
        pushed_B = F.relu(negative_BM - params.margin).mean(1)
        n = max(1, len(batch.item_P))
        return ((1 - positive_P).sum() + params.negative_weight * (pushed_B * batch.counts_B).sum()) / n, len(
            batch.item_P
        )
