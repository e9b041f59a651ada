"""LightGCN's propagation, as bags over the neighbours of each node.

Nodes are the users, then the items. Letters: N nodes, U users, I items, E edges (each in both directions), B users of a
batch, D width.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from recbench.neural.rows import RowNetwork, Rows, UserTable, read_bag
from recbench.neural.spread import graph_of, propagated

if TYPE_CHECKING:
    from recbench_collaborative.lightgcn import LightGCNParams

INIT_STD = 0.1


class Propagation(RowNetwork):
    """The graph is saved with the weights. `edges`: as `edges_of` gives them; None where they are still to be
    loaded."""

    start_N: Tensor
    other_E: Tensor

    def __init__(
        self,
        n_items: int,
        n_users: int,
        n_edges: int,
        params: LightGCNParams,
        edges: tuple[Tensor, Tensor] | None = None,
    ) -> None:
        super().__init__()
        start_N, other_E = edges or (
            torch.zeros(n_users + n_items, dtype=torch.long),
            torch.zeros(n_edges, dtype=torch.long),
        )
        self.register_buffer("start_N", start_N)
        self.register_buffer("other_E", other_E)
        self.n_layers, self.n_users = params.layers, n_users
        self.items = nn.Embedding(n_items, params.dim)
        nn.init.normal_(self.items.weight, std=INIT_STD)
        known_U = torch.diff(start_N, append=start_N.new_tensor([n_edges]))[:n_users] > 0
        self.users = UserTable(known_U, params.dim, INIT_STD)
        self.kept: tuple[Tensor, Tensor] | None = None

    def train(self, mode: bool = True) -> Propagation:
        """Forgets what was kept for answers: weights may change from here on."""
        self.kept = None
        return super().train(mode)

    def tables(self) -> tuple[Tensor, Tensor]:
        """The two tables of `propagated`, computed once for a step, and once while nothing is learned."""
        if self.kept is not None:
            return self.kept
        layer_ND = torch.cat([self.users.table.weight, self.items.weight])
        found = propagated(layer_ND, graph_of(self.start_N, self.other_E, self.n_users), self.n_layers)
        if not self.training and not torch.is_grad_enabled():
            self.kept = found
        return found

    def loss(self, batch: Rows, params: Any, share_I: Tensor | None) -> tuple[Tensor, int]:
        """The mean loss of the pairs, and their number."""
        self.kept = self.tables()
        try:
            return super().loss(batch, params, share_I)
        finally:
            self.kept = None

    def item_vectors(self, item_N: Tensor | None = None) -> Tensor:
        """(N, D) the propagated vectors of the items given, of all (I, D) where none are."""
        items_ID = self.tables()[0]
        return items_ID if item_N is None else nn.functional.embedding(item_N, items_ID)

    def read(self, rows: Rows) -> Tensor:
        """(B, D) the vectors of users: the sum over their items, and their own, which is 0 where there is none."""
        return read_bag(self.tables()[1], rows) + self.users(rows.user_B) / (self.n_layers + 1)
