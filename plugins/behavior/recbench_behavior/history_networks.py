"""Networks that compare the item asked about with the events of the history.

Letters: B questions of a batch, L history length, S = L + 1 places, E width of an item, A width of the attention, H heads,
M behaviours of the log, G classes of age, X of both, T behaviours asked about.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from recbench.neural.dropout import Dropout
from recbench_behavior.histories import BSTParams, DINParams
from recbench_behavior.networks import STD, BehaviorNetwork, Layers, Read
from recbench_behavior.neural import DeepParams
from recbench_behavior.rows import N_GAPS, Rows


class HistoryNetwork(BehaviorNetwork):
    """Base: hidden layers over the fields, the dense inputs and the `interest`, which a subclass makes of the history."""

    def __init__(self, facts: dict[str, Any], params: DeepParams) -> None:
        super().__init__(facts, params)
        n_in = self.n_fields * params.dim + self.n_dense
        if self.reads_history:
            n_in += self.item_width
            self.behaviors = nn.Embedding(self.n_behaviors + 1, self.item_width)  # the last: none yet
            self.ages = nn.Embedding(N_GAPS, self.item_width)
            for table in (self.behaviors, self.ages):
                nn.init.normal_(table.weight, std=STD)
        self.deep = Layers(n_in, params, n_out=len(facts["targets"]))

    def events(self, read: Read, rows: Rows) -> Tensor:
        """(B, L, E) items, behaviours and ages of the events."""
        told_XE = (self.behaviors.weight[:, None] + self.ages.weight).flatten(0, 1)  # of both: one look-up an event
        return read.events_BLE + F.embedding(rows.behavior_BL * N_GAPS + rows.gap_BL, told_XE)

    def interest(self, read: Read, rows: Rows) -> Tensor:
        """(B, E) what the history says of the item."""
        raise NotImplementedError

    def logits(self, read: Read, rows: Rows) -> Tensor:
        """(B, T) of fields, dense inputs and interest."""
        parts = [read.fields_BFD.flatten(1), read.dense_BK]
        if self.reads_history:
            parts.append(self.interest(read, rows))
        return self.bias_T + self.deep(torch.cat(parts, dim=1))


class Attention(nn.Module):
    """The weight of event k for item q: v . f(W [q, k, q - k, q * k] + b) (arXiv 1706.06978), f a leaky ReLU.

    The first layer is (W_q + W_-) q + (W_k - W_- + W_* diag(q)) k: one matrix for each question, a quarter of the
    products, and nothing four times as wide as the events.
    """

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.first = nn.Linear(4 * width, hidden)
        self.bend = nn.LeakyReLU(0.25)  # where PReLU starts, whose slope takes an eighth of the time to learn
        self.last = nn.Linear(hidden, 1)

    def forward(self, target_BE: Tensor, events_BLE: Tensor) -> Tensor:
        """(B, L) the weights."""
        item_AE, event_AE, minus_AE, times_AE = self.first.weight.chunk(4, dim=1)
        told_BA = F.linear(target_BE, item_AE + minus_AE, self.first.bias)
        of_event_BAE = torch.addcmul((event_AE - minus_AE)[None], times_AE[None], target_BE[:, None])
        hidden_BLA = torch.baddbmm(told_BA[:, None], events_BLE, of_event_BAE.transpose(1, 2))
        return self.last(self.bend(hidden_BLA)).squeeze(2)


class InterestNetwork(HistoryNetwork):
    """Target attention, by default without softmax."""

    def __init__(self, facts: dict[str, Any], params: DINParams) -> None:
        super().__init__(facts, params)
        self.softmax = params.softmax
        self.attention = Attention(self.item_width, params.attention) if self.reads_history else None

    def interest(self, read: Read, rows: Rows) -> Tensor:
        """(B, E) the weighted sum of the events."""
        assert self.attention is not None
        events_BLE = self.events(read, rows)
        weight_BL = self.attention(read.target_BE, events_BLE)
        if self.softmax:
            weight_BL = weight_BL.masked_fill(~rows.real_BL, -1e9).softmax(dim=1)  # not -inf: histories may be empty
        return torch.bmm((weight_BL * rows.real_BL)[:, None], events_BLE).squeeze(1)


class Block(nn.Module):
    """A Transformer block, norms first; its last place alone is asked for where it is the last block."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.norm, self.norm_between = nn.LayerNorm(width), nn.LayerNorm(width)
        self.query, self.key_value = nn.Linear(width, width), nn.Linear(width, 2 * width)
        self.out, self.drop = nn.Linear(width, width), Dropout(dropout)
        self.between = nn.Sequential(nn.Linear(width, 4 * width), nn.LeakyReLU(), nn.Linear(4 * width, width))

    def forward(self, places_BSE: Tensor, real_BS: Tensor, only_first: bool) -> Tensor:
        """(B, S, E) the places after the block, or (B, 1, E) the first of them."""
        normed_BSE = self.norm(places_BSE)
        asked_BSE = normed_BSE[:, :1] if only_first else normed_BSE
        key_value = self.key_value(normed_BSE).chunk(2, dim=2)
        query, key, value = (
            x.unflatten(2, (self.heads, -1)).transpose(1, 2) for x in (self.query(asked_BSE), *key_value)
        )
        heads = F.scaled_dot_product_attention(query, key, value, real_BS[:, None, None])
        kept_BSE = places_BSE[:, :1] if only_first else places_BSE
        kept_BSE = kept_BSE + self.drop(self.out(heads.transpose(1, 2).flatten(2)))
        return kept_BSE + self.drop(self.between(self.norm_between(kept_BSE)))


class SequenceNetwork(HistoryNetwork):
    """Transformer blocks over the item, in the first place, and the events: without an order of places, for ages are it."""

    def __init__(self, facts: dict[str, Any], params: BSTParams) -> None:
        super().__init__(facts, params)
        n_blocks = params.blocks if self.reads_history else 0
        self.blocks = nn.ModuleList(Block(self.item_width, params.heads, params.dropout) for _ in range(n_blocks))

    def interest(self, read: Read, rows: Rows) -> Tensor:
        """(B, E) the item's place after the last block."""
        target_BE = read.target_BE + self.behaviors.weight[-1] + self.ages.weight[0]
        places_BSE = torch.cat([target_BE[:, None], self.events(read, rows)], dim=1)
        real_BS = F.pad(rows.real_BL, (1, 0), value=True)
        for number, block in enumerate(self.blocks, 1):
            places_BSE = block(places_BSE, real_BS, number == len(self.blocks))
        return places_BSE[:, 0]
