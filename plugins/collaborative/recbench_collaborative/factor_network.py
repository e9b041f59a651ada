"""Factors of items and users, with facts and friends.

Letters: B users of a batch, U users, I items, N chosen items, F facts, E edges, D width.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from recbench.neural.losses import popular_bias
from recbench.neural.rows import RowNetwork, Rows, UserTable, read_bag
from recbench.neural.spread import Sparse, Spread

if TYPE_CHECKING:
    from recbench.neural.recommender import TorchRecommender
    from recbench_collaborative.factors import FactorParams
    from recbench_collaborative.knowledge import Facts

INIT_STD = 0.05


def known_users(model: TorchRecommender, train: Any) -> Tensor:
    """(U,) bool: who has an event in the training data. On loading all are: their vectors come with the weights."""
    if not hasattr(train, "interactions"):
        return torch.ones(model.facts["n_users"], dtype=torch.bool)
    model.facts = model.facts | {"n_users": train.n_users}
    return torch.from_numpy(np.bincount(train.interactions.user, minlength=train.n_users) > 0)


def unmet_items(train: Any) -> Tensor | None:
    """(I,) bool: which items have no event in the training data; None on loading."""
    if not hasattr(train, "interactions"):
        return None
    return torch.from_numpy(np.bincount(train.interactions.item, minlength=train.n_items) == 0)


def hold(parameter: nn.Parameter, held_I: Tensor | None) -> None:
    """No gradient reaches these rows: Adam would move even those that hardly matter by whole steps."""
    if held_I is not None and held_I.any():
        free_I = (~held_I).view(-1, *[1] * (parameter.dim() - 1))
        parameter.register_hook(lambda gradient: gradient * free_I.to(gradient))


class Features(nn.Module):
    """What the facts of items add to their vectors, read and compared. The facts are saved with the weights;
    `facts`: None where they are still to be loaded."""

    start_I: Tensor
    fact_F: Tensor

    def __init__(self, n_items: int, n_facts: int, n_of_items: int, dim: int, facts: Facts | None) -> None:
        super().__init__()
        start, fact = (np.zeros(n_items, np.int64), np.zeros(n_of_items, np.int64)) if facts is None else facts[:2]
        self.register_buffer("start_I", torch.from_numpy(start))
        self.register_buffer("fact_F", torch.from_numpy(fact))
        self.read, self.compared = nn.Embedding(max(1, n_facts), dim), nn.Embedding(max(1, n_facts), dim)
        for table in (self.read, self.compared):
            nn.init.normal_(table.weight, std=INIT_STD)
        self.kept: tuple[Sparse, Sparse] | None = None

    def train(self, mode: bool = True) -> Features:
        """Forgets the matrices: facts may have been loaded, or be on another device."""
        self.kept = None
        return super().train(mode)

    def matrices(self) -> tuple[Sparse, Sparse]:
        """Items by facts, and facts by items."""
        if self.kept is None:
            of_items = Rows(self.start_I, self.start_I, self.fact_F)
            weight_F = of_items.counts_B.to(self.read.weight.dtype).rsqrt()[of_items.row_P]
            matrix = Sparse(self.fact_F, self.start_I, weight_F)
            self.kept = matrix, matrix.turned(len(self.read.weight))
        return self.kept

    def forward(self, table: nn.Embedding) -> Tensor:
        """(I, D) the sum of each item's facts, divided by the root of their number."""
        return Spread.apply(table.weight, *self.matrices())


class Friends(nn.Module):
    """The edges between users, in both directions and by user; `edges`: None where they are still to be loaded."""

    start_U: Tensor
    friend_E: Tensor

    def __init__(self, n_users: int, n_edges: int, edges: tuple[NDArray, NDArray] | None) -> None:
        super().__init__()
        user, friend = (np.zeros(n_edges, np.int64),) * 2 if edges is None else edges
        self.register_buffer("friend_E", torch.from_numpy(friend.copy()))
        self.register_buffer("start_U", torch.from_numpy(np.searchsorted(user, np.arange(n_users + 1))))

    def forward(self, user_B: Tensor, table_UD: Tensor) -> Tensor:
        """Half the mean over users of the mean over a user's friends of |p_u - p_f|^2; 0 for users without friends."""
        start_B, counts_B = self.start_U[user_B], self.start_U[user_B + 1] - self.start_U[user_B]
        row_E = torch.repeat_interleave(counts_B)
        place_E = torch.arange(len(row_E), device=row_E.device) - (counts_B.cumsum(0) - counts_B)[row_E]
        friend_E = self.friend_E[start_B[row_E] + place_E]
        apart_ED = F.embedding(user_B[row_E], table_UD) - F.embedding(friend_E, table_UD)
        return (apart_ED.square().sum(1) / counts_B[row_E]).sum() / (2 * max(1, len(user_B)))


class Factors(RowNetwork):
    """state = user's own vector + sum of what is read of its items / root of their number; compared with the items'
    vectors.

    An item without an event has no vector of its own, and a bias that stays where it began: as everybody's negative it
    would learn to undo what its facts say.
    """

    def __init__(
        self,
        n_items: int,
        params: FactorParams,
        share_I: Tensor | None = None,
        known_U: Tensor | None = None,
        features: Features | None = None,
        friends: Friends | None = None,
        unmet_I: Tensor | None = None,
    ) -> None:
        super().__init__()
        self.items, self.reads_items = nn.Embedding(n_items, params.dim), nn.Embedding(n_items, params.dim)
        for table in (self.items, self.reads_items):
            nn.init.normal_(table.weight, std=INIT_STD)
            if unmet_I is not None:
                table.weight.data[unmet_I] = 0
            hold(table.weight, unmet_I)
        self.users = None if known_U is None else UserTable(known_U, params.dim, INIT_STD)
        self.features, self.friends, self.dropout = features, friends, params.dropout
        self.item_bias = nn.Parameter(popular_bias(n_items, params, share_I))
        hold(self.item_bias, unmet_I)

    def item_vectors(self, item_N: Tensor | None = None) -> Tensor:
        """(N, D) the items' own vectors and their facts': of the items given, of all (I, D) where none are."""
        vectors_ND = super().item_vectors(item_N)
        if self.features is None:
            return vectors_ND
        facts_ID = self.features(self.features.compared)
        return vectors_ND + (facts_ID if item_N is None else F.embedding(item_N, facts_ID))

    def read(self, rows: Rows) -> Tensor:
        """(B, D) the states of users."""
        table_ID = self.reads_items.weight
        if self.features is not None:
            table_ID = table_ID + self.features(self.features.read)
        states_BD = read_bag(table_ID, rows, self.dropout * self.training)
        return states_BD if self.users is None else states_BD + self.users(rows.user_B)

    def loss(self, batch: Rows, params: Any, share_I: Tensor | None) -> tuple[Tensor, int]:
        """The mean loss of the pairs and the pull of friends, and the number of pairs."""
        loss, n = super().loss(batch, params, share_I)
        if self.friends is not None and self.users is not None:
            loss = loss + params.pull * self.friends(batch.user_B, self.users.table.weight)
        return loss, n
