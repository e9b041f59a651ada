"""Networks of users as rows of items, whose items are known by their texts.

Letters: B users of a batch, U users, I items, N chosen items, V width of a text vector, D width, E edges.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from recbench.neural.losses import popular_bias
from recbench.neural.rows import Propagated, RowNetwork, Rows, UserTable, read_bag
from recbench.neural.spread import bag

if TYPE_CHECKING:
    from recbench_language.rows import AlphaRecParams, LLMMFParams

INIT_STD, ID_STD = 0.05, 0.1


class TextPropagation(Propagated):
    """Two layers behind the texts, spread over the graph; texts and edges are saved with the weights.

    `facts`: `width` of a text, `n_users`, `n_edges`; `text_IV`, `edges`: None where they are still to be loaded.
    """

    text: Tensor

    def __init__(
        self,
        n_items: int,
        params: AlphaRecParams,
        facts: Mapping[str, Any],
        share_I: Tensor | None = None,
        text_IV: NDArray | None = None,
        edges: tuple[Tensor, Tensor] | None = None,
    ) -> None:
        super().__init__(n_items, facts["n_users"], facts["n_edges"], params.layers, edges)
        width = facts["width"]
        self.register_buffer("text", torch.zeros(n_items, width) if text_IV is None else torch.from_numpy(text_IV))
        self.ids = params.ids
        self.items = nn.Embedding(n_items, params.dim if params.ids else 0)  # of width 0: there are none
        if params.ids:
            self.users = UserTable(self.met_N()[: self.n_users], params.dim, ID_STD)
            nn.init.normal_(self.items.weight, std=ID_STD)
        self.layers = nn.Sequential(nn.Linear(width, params.hidden), nn.GELU(), nn.Linear(params.hidden, params.dim))
        if params.item_bias:
            self.item_bias = nn.Parameter(popular_bias(n_items, params, share_I))
            self.item_bias.register_hook(lambda g: g * self.met_I())
        self.users_text: Tensor | None = None

    def train(self, mode: bool = True) -> Self:
        """Forgets the mean texts of users as well: texts may be loaded."""
        self.users_text = None
        return super().train(mode)

    def met_I(self) -> Tensor:
        """(I,) 1 where training met an item, 0 elsewhere: as everybody's negative what nobody met would learn never to come."""
        return self.met_N()[self.n_users :].to(self.text.dtype)

    def compared(self, item_N: Tensor | None = None) -> Tensor:
        """`item_vectors`, of which those that training did not meet are zeros while it lasts: they are no negatives."""
        vectors_ND = self.item_vectors(item_N)
        if not self.training:
            return vectors_ND
        return vectors_ND * (self.met_I() if item_N is None else self.met_I()[item_N])[..., None]

    def first(self) -> Tensor:
        """(N, D) what the layers make of users' mean texts and of items' texts, and vectors of ids where there are any."""
        if self.users_text is None:
            n_pairs = len(self.other_E) // 2  # each edge in both directions, those of users first
            start_U = self.start_N[: self.n_users]
            counts_U = torch.diff(start_U, append=start_U.new_tensor([n_pairs]))
            weight_P = (1 / counts_U.clamp(min=1)).repeat_interleave(counts_U, output_size=n_pairs)
            self.users_text = bag(self.text, self.other_E[:n_pairs] - self.n_users, start_U, weight_P)
        layer_ND = self.layers(torch.cat([self.users_text, self.text]))
        return layer_ND + torch.cat([self.users.table.weight, self.items.weight]) if self.ids else layer_ND

    def spread_items(self, items_ID: Tensor) -> Tensor:
        """(I, D) of length 1 without ids: cosines are compared."""
        return items_ID if self.ids else F.normalize(items_ID, dim=1)

    def read(self, rows: Rows) -> Tensor:
        """(B, D) the vectors of users, of length 1 without ids: what their mean text gives, and what their items add to it."""
        weight_P = (1 / rows.counts_B.to(self.text.dtype))[rows.row_P]
        own_BD = self.layers(bag(self.text, rows.item_P, rows.start_B, weight_P)) * (rows.counts_B > 0)[:, None]
        if self.ids:
            own_BD = own_BD + self.users(rows.user_B)
        state_BD = own_BD / (self.n_layers + 1) + read_bag(self.tables()[1], rows)
        return state_BD if self.ids else F.normalize(state_BD, dim=1)


class TextFactors(RowNetwork):
    """Factors of items that begin at their texts; who was met in training, and the texts, are saved with the weights.

    `facts`: `width` of a text, `n_users`; the arrays: None where they are still to be loaded.
    """

    text: Tensor
    met: Tensor

    def __init__(
        self,
        n_items: int,
        params: LLMMFParams,
        facts: Mapping[str, Any],
        share_I: Tensor | None = None,
        text_IV: NDArray | None = None,
        met_I: NDArray | None = None,
        known_U: NDArray | None = None,
    ) -> None:
        super().__init__()
        width, dim = facts["width"], params.dim
        text = torch.zeros(n_items, width) if text_IV is None else torch.from_numpy(text_IV)
        met = torch.ones(n_items, 1) if met_I is None else torch.from_numpy(met_I).float()[:, None]
        self.register_buffer("text", text)
        self.register_buffer("met", met)
        self.use_text, self.pull, self.dropout = params.use_text, params.pull, params.dropout
        self.layer = nn.Linear(width, dim, bias=False)
        nn.init.eye_(self.layer.weight)
        self.layer.weight.data *= INIT_STD * dim**0.5  # texts have length 1 on average, rows of a table this
        self.items = nn.Embedding(n_items, dim)
        nn.init.normal_(self.items.weight, std=INIT_STD)
        with torch.no_grad():
            if self.use_text:
                self.items.weight.copy_(self.layer(text))
            self.items.weight *= met
        known_U = np.ones(facts["n_users"], bool) if known_U is None else known_U
        self.users = UserTable(torch.from_numpy(known_U), dim, INIT_STD)
        self.item_bias = nn.Parameter(popular_bias(n_items, params, share_I))
        for weight in (self.items.weight, self.item_bias):  # as everybody's negative what nobody met would learn so
            weight.register_hook(lambda g: g * (self.met if g.dim() == 2 else self.met[:, 0]).to(g))

    def item_vectors(self, item_N: Tensor | None = None) -> Tensor:
        """(N, D) the factors of items: of those given, of all (I, D) where none are; by their text where nobody met them."""
        factors_ID = self.items.weight
        if self.use_text and not self.training:
            factors_ID = factors_ID + (1 - self.met) * self.layer(self.text)
        return factors_ID if item_N is None else F.embedding(item_N, factors_ID)

    def read(self, rows: Rows) -> Tensor:
        """(B, D) the states of users."""
        return read_bag(self.item_vectors(), rows, self.dropout * self.training) + self.users(rows.user_B)

    def loss(self, batch: Rows, params: Any, share_I: Tensor | None) -> tuple[Tensor, int]:
        """The mean loss of the pairs and the pull of the texts, and the number of pairs."""
        loss, n = super().loss(batch, params, share_I)
        if self.use_text:
            apart_ID = (self.items.weight - self.layer(self.text)) * self.met
            loss = loss + self.pull / 2 * apart_ID.square().sum(1).mean()
        return loss, n
