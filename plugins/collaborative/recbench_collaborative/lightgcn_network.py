"""LightGCN's propagation, as bags over the neighbours of each node.

Nodes are the users, then the items. Letters: N nodes, U users, I items, E edges (each in both directions), B users of a
batch, D width.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from recbench.neural.rows import Propagated, Rows, UserTable, read_bag

if TYPE_CHECKING:
    from recbench_collaborative.lightgcn import LightGCNParams

INIT_STD = 0.1


class Propagation(Propagated):
    """Vectors of ids, spread. `edges`: as `edges_of` gives them; None where they are still to be loaded."""

    def __init__(
        self,
        n_items: int,
        n_users: int,
        n_edges: int,
        params: LightGCNParams,
        edges: tuple[Tensor, Tensor] | None = None,
    ) -> None:
        super().__init__(n_items, n_users, n_edges, params.layers, edges)
        self.items = nn.Embedding(n_items, params.dim)
        nn.init.normal_(self.items.weight, std=INIT_STD)
        self.users = UserTable(self.met_N()[:n_users], params.dim, INIT_STD)

    def first(self) -> Tensor:
        """(N, D) the tables of users and items."""
        return torch.cat([self.users.table.weight, self.items.weight])

    def read(self, rows: Rows) -> Tensor:
        """(B, D) the vectors of users: the sum over their items, and their own, which is 0 where there is none."""
        return read_bag(self.tables()[1], rows) + self.users(rows.user_B) / (self.n_layers + 1)
