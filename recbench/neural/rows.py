"""Users with their items as sparse rows, in batches, and what networks and losses make of such rows.

No matrix of users and items exists: a row is a stretch of item numbers, read as a bag of vectors.

Letters: B users of a batch, P pairs of a user and an item, U users, I items, N rows, D width.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset

from recbench.data import Interactions, Queries, Ragged, ascending
from recbench.neural.batches import Buckets
from recbench.neural.fused import mean_loss, softmax_rule
from recbench.neural.losses import chosen, dots, loss_of, precise
from recbench.neural.network import Asked, Network
from recbench.neural.spread import bag, graph_of, propagated

if TYPE_CHECKING:
    from recbench.model import Team
    from recbench.neural.by_user import RowParams

PAIR_COST = 64  # products of a dense matrix that take as long as one of a pair apart: 50 to 90, forward and backward


class Rows(NamedTuple):
    """Users, where the items of each start, and their distinct items, user after user; their last values where the
    network reads these, else None."""

    user_B: Tensor
    start_B: Tensor
    item_P: Tensor
    value_P: Tensor | None = None

    def to(self, device: torch.device) -> Rows:
        """The rows on another device."""
        return Rows(*(None if column is None else column.to(device) for column in self))  # type: ignore[arg-type]

    @property
    def counts_B(self) -> Tensor:
        """(B,) how many items each user has."""
        return torch.diff(self.start_B, append=self.start_B.new_tensor([len(self.item_P)]))

    @property
    def row_P(self) -> Tensor:
        """(P,) the place of each pair's user in the batch."""
        return torch.repeat_interleave(self.counts_B, output_size=len(self.item_P))


class UserRows(Dataset):
    """The users with an event, each with its distinct items; an index is the users of a whole batch."""

    def __init__(self, log: Interactions, reads: Collection[str] = ()) -> None:
        pair_P, last_P = distinct(log.user, log.item, log.n_items)
        self.item, counts_U = pair_P % log.n_items, np.bincount(pair_P // log.n_items, minlength=log.n_users)
        self.value = log.value[last_P] if "values" in reads else None
        self.user = np.flatnonzero(counts_U)
        self.stop = np.cumsum(counts_U)[self.user]
        self.start = self.stop - counts_U[self.user]

    def __len__(self) -> int:
        return len(self.user)

    def __getitem__(self, rows: NDArray) -> Rows:
        start_B, stop_B = self.start[rows], self.stop[rows]
        item_P = Ragged(self.item, start_B, stop_B).flat()[1]
        value_P = None if self.value is None else Ragged(self.value, start_B, stop_B).flat()[1]
        return _rows(self.user[rows], stop_B - start_B, item_P, value_P)


def user_loader(log: Interactions, batch_size: int, seed: int, team: Team, reads: Collection[str] = ()) -> DataLoader:
    """Batches of all users, long and short together, or a process's share of each."""
    rows = UserRows(log, reads)
    return DataLoader(rows, batch_size=None, sampler=Buckets(np.zeros(len(rows)), batch_size, seed, team))


def rows_of(queries: Queries, reads: Collection[str] = ()) -> Rows:
    """The rows of histories, in which an item counts once."""
    row, item = queries.items.flat()
    pair_P, last_P = distinct(row, item, queries.n_items)
    value_P = queries.values.flat()[1][last_P] if "values" in reads else None
    counts_B = np.bincount(pair_P // queries.n_items, minlength=len(queries))
    return _rows(queries.user, counts_B, pair_P % queries.n_items, value_P)


def distinct(row: NDArray, item: NDArray, n_items: int) -> tuple[NDArray, NDArray]:
    """(P,) row * n_items + item of the distinct pairs, ascending, and (P,) where each of them comes last."""
    order, pair = ascending(row.astype(np.int64) * n_items + item)
    last = np.diff(pair, append=-1) != 0
    return pair[last], order[last]


def _rows(user_B: NDArray, counts_B: NDArray, item_P: NDArray, value_P: NDArray | None) -> Rows:
    columns = (user_B, np.cumsum(counts_B) - counts_B, item_P)
    user, start, item = (torch.from_numpy(column.astype(np.int64)) for column in columns)
    return Rows(user, start, item, None if value_P is None else torch.from_numpy(value_P.astype(np.float32)))


class RowNetwork(Network):
    """Base of the networks: `read` makes a state of each row, which is compared with the items by dot product."""

    compiles = ()

    def read(self, rows: Rows) -> Tensor:
        """(B, D) the states of users from their items, and from their numbers where these are known."""
        raise NotImplementedError

    def loss(self, batch: Rows, params: Any, share_I: Tensor | None) -> tuple[Tensor, int]:
        """The mean loss of the pairs, and their number."""
        return row_loss(self.read(batch), batch, self, params, share_I), len(batch.item_P)


class Propagated(RowNetwork):
    """Base of the networks whose vectors spread over the graph of users and items; the graph is saved with the weights.

    `edges`: as `edges_of` gives them; None where they are still to be loaded. `first` is theirs.
    """

    start_N: Tensor
    other_E: Tensor

    def __init__(
        self, n_items: int, n_users: int, n_edges: int, n_layers: int, edges: tuple[Tensor, Tensor] | None
    ) -> None:
        super().__init__()
        blank = torch.zeros(n_users + n_items, dtype=torch.long), torch.zeros(n_edges, dtype=torch.long)
        start_N, other_E = edges or blank
        self.register_buffer("start_N", start_N)
        self.register_buffer("other_E", other_E)
        self.n_layers, self.n_users = n_layers, n_users
        self.kept: tuple[Tensor, Tensor] | None = None

    def first(self) -> Tensor:
        """(N, D) the vectors of users, then of items, before they spread."""
        raise NotImplementedError

    def spread_items(self, items_ID: Tensor) -> Tensor:
        """(I, D) what of the propagated vectors of items is compared."""
        return items_ID

    def met_N(self) -> Tensor:
        """(N,) bool: the users and items with an edge."""
        return torch.diff(self.start_N, append=self.start_N.new_tensor([len(self.other_E)])) > 0

    def train(self, mode: bool = True) -> Self:
        """Forgets what was kept for answers: weights may change from here on."""
        self.kept = None
        return super().train(mode)

    def tables(self) -> tuple[Tensor, Tensor]:
        """The two tables of `propagated`, computed once for a step, and once while nothing is learned."""
        if self.kept is not None:
            return self.kept
        graph = graph_of(self.start_N, self.other_E, self.n_users)
        items_ID, told_ID = propagated(self.first(), graph, self.n_layers)
        found = self.spread_items(items_ID), told_ID
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
        return items_ID if item_N is None else F.embedding(item_N, items_ID)


def row_loss(states_BD: Tensor, rows: Rows, network: Network, params: RowParams, share_I: Tensor | None) -> Tensor:
    """The mean over pairs of the loss that `params` names; all items of a user are the targets of its one state.

    softmax is the multinomial likelihood of the rows, -sum_i x_ui log softmax(z_u)_i (arXiv 1802.05814): the logits of
    a user are computed once, however many items it has.
    """
    if chosen(params, network) != "softmax" or params.label_smoothing or not len(rows.item_P):
        return loss_of(Asked(states_BD[rows.row_P], rows.item_P), network, params, share_I)
    states_BD = precise(states_BD) / params.temperature
    vectors_ID, counts_B = precise(network.compared()), rows.counts_B.to(states_BD.dtype)
    bias_I = None if network.item_bias is None else network.item_bias / params.temperature
    mean_BD = bag(vectors_ID, rows.item_P, rows.start_B, (1 / counts_B)[rows.row_P])
    mean_B = (
        None if bias_I is None else bag(bias_I[:, None], rows.item_P, rows.start_B, (1 / counts_B)[rows.row_P])[:, 0]
    )
    return mean_loss(
        softmax_rule, states_BD, vectors_ID, bias_I, dots(states_BD, mean_BD, mean_B), counts_B / counts_B.mean()
    )


def pair_products(states_BD: Tensor, vectors_ID: Tensor, rows: Rows) -> Tensor:
    """(P,) the dot product of each pair's user and item: of the pairs alone where they are few among all."""
    n_items = len(vectors_ID)
    if len(rows.item_P) * PAIR_COST < len(states_BD) * n_items:
        return dots(F.embedding(rows.row_P, states_BD), F.embedding(rows.item_P, vectors_ID), None)
    return (states_BD @ vectors_ID.T).flatten().index_select(0, rows.row_P * n_items + rows.item_P)


def read_bag(table_ID: Tensor, rows: Rows, dropout: float = 0.0) -> Tensor:
    """(B, D) the sum of the vectors of a user's items, divided by the root of their number, some dropped in
    training: what a linear layer makes of the row of length 1 (arXiv 1802.05814)."""
    weight_P = rows.counts_B.to(table_ID.dtype).rsqrt()[rows.row_P]
    return bag(table_ID, rows.item_P, rows.start_B, F.dropout(weight_P, dropout) if dropout else weight_P)


class UserTable(nn.Module):
    """A vector for each user that has one: those of others are 0, and nothing but a friend's pull moves them."""

    def __init__(self, known_U: Tensor, dim: int, std: float) -> None:
        super().__init__()
        self.table = nn.Embedding(len(known_U), dim)
        nn.init.normal_(self.table.weight, std=std)
        with torch.no_grad():
            self.table.weight *= known_U[:, None]

    def forward(self, user_B: Tensor) -> Tensor:
        """(B, D) the vectors of users; 0 where the number is none of the training data's."""
        n_users = self.table.num_embeddings
        inside_B1 = ((user_B >= 0) & (user_B < n_users))[:, None]
        return self.table(user_B.clamp(0, n_users - 1)) * inside_B1
