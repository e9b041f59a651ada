"""TransE: squared distances as dot products of vectors that carry one more number.

Letters: B users of a batch, U users, I items, N nodes (items, then other entities), T triples, M negatives, D width.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from recbench.neural.rows import RowNetwork, Rows, UserTable
from recbench.neural.spread import bag

if TYPE_CHECKING:
    from recbench_collaborative.knowledge import Triples
    from recbench_collaborative.transe import TransEParams

INIT_STD = 0.1


class Translations(RowNetwork):
    """-|u + m - i|^2 = (2 (u + m), 1, -|u + m|^2) . (i, -|i|^2, 1). The triples are not saved: answers need none."""

    head_T: Tensor
    relation_T: Tensor
    tail_T: Tensor
    trained_U: Tensor

    def __init__(
        self,
        n_items: int,
        known_U: Tensor,
        n_others: int,
        n_relations: int,
        params: TransEParams,
        graph: Triples | None,
        unmet_I: Tensor | None = None,
    ) -> None:
        super().__init__()
        self.unmet_I1 = None if unmet_I is None else unmet_I[:, None]
        self.items, self.others = nn.Embedding(n_items, params.dim), nn.Embedding(n_others, params.dim)
        self.relations, self.meets = nn.Embedding(n_relations, params.dim), nn.Parameter(torch.zeros(1, params.dim))
        for table in (self.items, self.others, self.relations):
            nn.init.normal_(table.weight, std=INIT_STD)
        self.users = UserTable(known_U, params.dim, INIT_STD)
        self.register_buffer("trained_U", known_U)
        nothing = torch.empty(0, dtype=torch.long)
        columns = (nothing,) * 3 if graph is None else (torch.from_numpy(column.copy()) for column in graph[:3])
        for name, column in zip(("head_T", "relation_T", "tail_T"), columns, strict=True):
            self.register_buffer(name, column, persistent=False)

    def item_vectors(self, item_N: Tensor | None = None) -> Tensor:
        """(N, D + 2): i, -|i|^2, 1, of the items given, of all (I, D + 2) where none are."""
        vectors_ND = super().item_vectors(item_N)
        length_N1 = vectors_ND.square().sum(-1, keepdim=True)
        return torch.cat([vectors_ND, -length_N1, torch.ones_like(length_N1)], dim=-1)

    def compared(self, item_N: Tensor | None = None) -> Tensor:
        """As `item_vectors`; items without an event are moved by triples alone, not as everybody's negatives."""
        vectors_ND, held_I1 = self.item_vectors(item_N), self.unmet_I1
        if held_I1 is None:
            return vectors_ND
        held_N1 = (held_I1 if item_N is None else held_I1[item_N]).to(vectors_ND.device)
        return torch.where(held_N1, vectors_ND.detach(), vectors_ND)

    def read(self, rows: Rows) -> Tensor:
        """(B, D + 2): 2 (u + m), 1, -|u + m|^2."""
        known_B1 = self.trained_U[rows.user_B.clamp(0, len(self.trained_U) - 1)][:, None]
        known_B1 = known_B1 & ((rows.user_B >= 0) & (rows.user_B < len(self.trained_U)))[:, None]
        point_BD = self.users(rows.user_B) + self.meets
        if not self.training:
            weight_P = (1 / rows.counts_B.to(point_BD.dtype))[rows.row_P]
            mean_BD = bag(self.items.weight, rows.item_P, rows.start_B, weight_P)  # of i - m, and then the step m
            empty_B1 = (rows.counts_B == 0)[:, None]
            point_BD = torch.where(known_B1 | empty_B1, point_BD, mean_BD)
        length_B1 = point_BD.square().sum(-1, keepdim=True)
        return torch.cat([2 * point_BD, torch.ones_like(length_B1), -length_B1], dim=-1)

    def loss(self, batch: Rows, params: TransEParams, share_I: Tensor | None) -> tuple[Tensor, int]:
        """The mean loss of the pairs and the weighted one of drawn triples, and the number of pairs."""
        loss, n = super().loss(batch, params, share_I)
        if len(self.head_T):
            loss = loss + params.graph_weight * self.triple_loss(params)
        return loss, n

    def triple_loss(self, params: Any) -> Tensor:
        """Cross-entropy of drawn triples' tails, and of their heads, each against the same drawn entities."""
        device, nodes_ND = self.head_T.device, torch.cat([self.items.weight, self.others.weight])
        drawn_T = torch.randint(len(self.head_T), (params.triples,), device=device)
        drawn_M = torch.randint(len(nodes_ND), (params.triple_negatives,), device=device)
        head_TD, tail_TD = (F.embedding(side_T[drawn_T], nodes_ND) for side_T in (self.head_T, self.tail_T))
        step_TD, negative_MD = self.relations(self.relation_T[drawn_T]), F.embedding(drawn_M, nodes_ND)
        losses = [
            F.cross_entropy(
                torch.cat(
                    [-(from_TD - to_TD).square().sum(1, keepdim=True), -squared_distances(from_TD, negative_MD)], 1
                )
                / params.temperature,
                torch.zeros(params.triples, dtype=torch.long, device=device),
            )
            for from_TD, to_TD in ((head_TD + step_TD, tail_TD), (tail_TD - step_TD, head_TD))
        ]
        return (losses[0] + losses[1]) / 2


def squared_distances(one_TD: Tensor, two_MD: Tensor) -> Tensor:
    """(T, M) |x - y|^2 of all pairs."""
    return one_TD.square().sum(1)[:, None] + two_MD.square().sum(1) - 2 * one_TD @ two_MD.T
