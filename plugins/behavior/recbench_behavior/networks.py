"""What the networks of behaviour share: look-ups of fields, what is read of a history, the loss; and plain layers.

An item's vector is those of its fields side by side, E = C * D wide; of several categories in one field it is the mean.

Letters: B questions of a batch, L history length, N distinct items of a batch, C fields of an item, F fields, D width of
a field, E width of an item, M behaviours of the log, T behaviours asked about, K dense inputs, V rows of the table, U users,
P rows that the fields of items name.
"""

from __future__ import annotations

from typing import Any, NamedTuple, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from recbench.neural.dropout import Dropout
from recbench.neural.network import Network
from recbench_behavior.fields import MOMENTS, Fields
from recbench_behavior.neural import DeepParams, FieldParams, VectorParams
from recbench_behavior.rows import Rows

STD = 0.02  # of vectors at first


class Places(NamedTuple):
    """Rows of the table: those of the distinct items' fields, where each field's start, and those of user and moment."""

    row_P: Tensor
    first_NC: Tensor
    row_BF: Tensor


class Read(NamedTuple):
    """What is known of a batch: fields of user, moment and item, the vectors of the items asked about and of the events,
    dense inputs, and where the fields were looked up."""

    fields_BFD: Tensor
    target_BE: Tensor
    events_BLE: Tensor
    dense_BK: Tensor
    places: Places


class BehaviorNetwork(Network):
    """Base of the networks: a subclass makes `logits` of what is read. Dense inputs are the statistics and, where the
    history is read, the share of each behaviour in it and log(1 + length). Where ids have no vectors, D is T: the table
    holds a weight for each behaviour asked about."""

    compiles = ()
    user_row_U: Tensor
    item_row_P: Tensor
    item_start_P: Tensor

    def __init__(self, facts: dict[str, Any], params: FieldParams) -> None:
        super().__init__()
        self.facts, self.n_columns, self.dropped = facts, len(facts["columns"]), params.id_dropout
        self.reads_history = params.max_length > 0 and self.n_columns > 0
        self.n_behaviors = facts["n_behaviors"]
        self.n_fields = (facts["n_users"] > 0) + self.n_columns + sum(name in facts["begins"] for name in MOMENTS)
        self.n_dense = facts["n_statistics"] + (self.n_behaviors + 1 if params.max_length else 0)
        dim = params.dim if isinstance(params, VectorParams) else len(facts["targets"])
        self.item_width = self.n_columns * dim
        self.table = nn.Embedding(max(1, facts["n_rows"]), dim)
        nn.init.normal_(self.table.weight, std=STD)
        n_starts = facts["n_item_starts"]
        self.one_each = facts["n_item_rows"] == n_starts - 1  # no item has several categories: then nothing is averaged
        for name, n in (
            ("user_row_U", facts["n_users"]),
            ("item_row_P", facts["n_item_rows"]),
            ("item_start_P", n_starts),
        ):
            self.register_buffer(name, torch.zeros(n, dtype=torch.long))
        self.bias_T = nn.Parameter(torch.zeros(len(facts["targets"])))

    def begun(self, fields: Fields, rate_T: NDArray) -> Self:
        """The network with the rows of ids, the vectors of unknown ones 0, and answers at the rates of the training part."""
        if fields.user_U is not None:
            self.user_row_U.copy_(torch.from_numpy(fields.user_U))
        self.item_row_P.copy_(torch.from_numpy(fields.items.values))
        self.item_start_P.copy_(torch.from_numpy(np.append(fields.items.start, len(fields.items.values))))
        with torch.no_grad():
            unknown = [row for name, row in fields.begins.items() if name not in MOMENTS]
            self.table.weight[unknown] = 0.0
            self.bias_T.copy_(torch.from_numpy(np.log(rate_T / (1 - rate_T))))
        return self

    def forward(self, rows: Rows) -> Tensor:
        """(B, T) the logits of the behaviours asked about."""
        return self.logits(self.read(rows), rows)

    def logits(self, read: Read, rows: Rows) -> Tensor:
        """(B, T) of what is read."""
        raise NotImplementedError

    def loss(self, batch: Rows, params: FieldParams, share_I: Tensor | None) -> tuple[Tensor, int]:
        """Binary cross-entropy, the mean of questions and behaviours, and the squared vectors looked up, the mean of
        questions; and the number of questions."""
        assert batch.outcome_BT is not None
        read, n = self.read(batch), len(batch.user_B)
        loss = F.binary_cross_entropy_with_logits(self.logits(read, batch), batch.outcome_BT, reduction="sum")
        loss = loss / max(1, batch.outcome_BT.numel())
        return loss + params.embedding_l2 * read.fields_BFD.square().sum() / max(1, n), n

    def read(self, rows: Rows) -> Read:
        """The vectors of the fields, some ids forgotten in training, and the dense inputs."""
        places = self.places(rows)
        items_NCD, asked_BFD = self.looked_up(self.table, places)
        target_BCD = items_NCD[rows.target_B]
        items_NE = items_NCD.flatten(1)
        events_BLE = F.embedding(rows.event_BL, items_NE) if self.reads_history else items_NE.new_empty(0)
        fields_BFD = torch.cat([asked_BFD, target_BCD], dim=1)
        return Read(fields_BFD, target_BCD.flatten(1), events_BLE, self.dense(rows), places)

    def places(self, rows: Rows) -> Places:
        """The rows of the table that a batch looks up; in training an id is taken for an unknown one by chance."""
        n, begins, device = self.n_columns, self.facts["begins"], rows.item_N.device
        bag_NC = rows.item_N[:, None] * n + torch.arange(n, device=device)
        if self.one_each:
            first_NC, row_P = (
                torch.arange(bag_NC.numel(), device=device).view_as(bag_NC),
                self.item_row_P[bag_NC].flatten(),
            )
        else:
            start_NC, size_NC = self.item_start_P[bag_NC], self.item_start_P[bag_NC + 1] - self.item_start_P[bag_NC]
            first_NC = (size_NC.flatten().cumsum(0) - size_NC.flatten()).view_as(bag_NC)
            at_P = torch.repeat_interleave((start_NC - first_NC).flatten(), size_NC.flatten())
            row_P = self.item_row_P[at_P + torch.arange(len(at_P), device=device)]
        if self.facts["columns"][:1] == ["item"]:
            row_P = row_P.index_fill(0, first_NC[self._forgotten(rows.item_N), 0], begins["item"])
        asked = []
        if n_users := len(self.user_row_U):
            lost_B = (rows.user_B < 0) | (rows.user_B >= n_users) | self._forgotten(rows.user_B)
            asked.append(self.user_row_U[rows.user_B.clamp(0, n_users - 1)].masked_fill(lost_B, begins["user"]))
        for name in (name for name in MOMENTS if name in begins):
            seconds, n_units = MOMENTS[name]
            asked.append(begins[name] + rows.time_B.div(seconds, rounding_mode="floor") % n_units)
        row_BF = torch.stack(asked, dim=1) if asked else rows.user_B.new_empty(len(rows.user_B), 0)
        return Places(row_P, first_NC, row_BF)

    def _forgotten(self, ids: Tensor) -> Tensor:
        """Which ids are taken for unknown ones: none but in training."""
        if not self.training or not self.dropped:
            return torch.zeros_like(ids, dtype=torch.bool)
        return torch.rand(len(ids), device=ids.device) < self.dropped

    def looked_up(self, table: nn.Embedding, places: Places) -> tuple[Tensor, Tensor]:
        """(N, C, width) of the distinct items' fields, the mean where a field has several, and (B, F, width) of the others."""
        shape_NC, row_BF = places.first_NC.shape, places.row_BF
        if self.one_each:  # in one look-up, for each has a gradient as large as the table
            both = table(torch.cat([places.row_P, row_BF.flatten()]))
            bags, asked = both.split([len(places.row_P), row_BF.numel()])
            return bags.view(*shape_NC, table.embedding_dim), asked.view(*row_BF.shape, table.embedding_dim)
        bags = F.embedding_bag(places.row_P, table.weight, places.first_NC.flatten(), mode="mean")
        return bags.view(*shape_NC, table.embedding_dim), table(row_BF)

    def dense(self, rows: Rows) -> Tensor:
        """(B, K) the dense inputs."""
        parts = [] if rows.statistics_BK is None else [rows.statistics_BK]
        if self.n_dense > self.facts["n_statistics"]:
            length_B1 = rows.real_BL.sum(1, keepdim=True)
            parts += [self.shown(rows).sum(2), (1 + length_B1).log()]
        return torch.cat(parts, dim=1) if parts else self.bias_T.new_empty(len(rows.user_B), 0)

    def shown(self, rows: Rows) -> Tensor:
        """(B, M, L) 1 / length where an event of a history is of each behaviour, 0 elsewhere."""
        behavior_M11 = torch.arange(self.n_behaviors, device=rows.behavior_BL.device)[:, None]
        is_shown = (rows.behavior_BL[:, None] == behavior_M11) & rows.real_BL[:, None]
        return is_shown.to(self.bias_T.dtype) / rows.real_BL.sum(1).clamp(min=1)[:, None, None]


class Layers(nn.Sequential):
    """Hidden layers with ReLU and dropout, as many as the parameters say or `layers`, and what they give out: `n_out` wide,
    or the last hidden layer where that is 0."""

    def __init__(self, n_in: int, params: DeepParams, n_out: int = 0, layers: int = 0) -> None:
        parts: list[nn.Module] = []
        for size in [n_in, *[params.width] * ((layers or params.layers) - 1)]:
            norm = [BatchNorm(params.width)] if params.batch_norm else []
            parts += [nn.Linear(size, params.width), *norm, nn.ReLU(inplace=True), Dropout(params.dropout)]
        super().__init__(*parts, *([nn.Linear(params.width, n_out)] if n_out else []))


class BatchNorm(nn.BatchNorm1d):
    """Batch normalisation (arXiv 1502.03167); a batch of one question, which has no spread, takes the running one."""

    def forward(self, x_BX: Tensor) -> Tensor:
        """(B, X) normalised."""
        if len(x_BX) > 1:
            return super().forward(x_BX)
        return F.batch_norm(x_BX, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps)
