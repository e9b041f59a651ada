"""Networks that cross fields: factorization machines, cross layers, and a tower of hidden layers beside them.

Where the history is read, the mean of its events of each behaviour gives further fields.

Letters: B questions of a batch, F fields, D width of a field, M behaviours of the log, T behaviours asked about, K dense
inputs, X width of all inputs.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from recbench_behavior.networks import BehaviorNetwork, Layers, Read
from recbench_behavior.neural import DeepParams, FieldParams, VectorParams
from recbench_behavior.rows import Rows


def pairwise(fields_BFD: Tensor, dense_BK: Tensor, dense_KD: Tensor) -> Tensor:
    """(B, D) the sum over pairs of the products of their vectors, of fields and of dense inputs, which scale vectors of
    their own: ((sum)^2 - sum of squares) / 2 (Rendle, ICDM 2010, doi 10.1109/ICDM.2010.127), before it is summed over D."""
    sum_BD = fields_BFD.sum(1) + dense_BK @ dense_KD  # no (B, K, D) of the scaled vectors: that took a third of a step
    squares_BD = fields_BFD.square().sum(1) + dense_BK.square() @ dense_KD.square()
    return (sum_BD.square() - squares_BD) / 2


class OneLayer(BehaviorNetwork):
    """Bias + a weight of each field's value + weights of the dense inputs."""

    def __init__(self, facts: dict[str, Any], params: FieldParams) -> None:
        super().__init__(facts, params)
        self.reads_history = False  # but for the dense inputs
        self.dense_linear = nn.Linear(self.n_dense, len(facts["targets"]), bias=False)
        for weights in (self.table.weight, self.dense_linear.weight):
            nn.init.zeros_(weights)

    def logits(self, read: Read, rows: Rows) -> Tensor:
        """(B, T) the sum."""
        return self.bias_T + read.fields_BFD.sum(1) + self.dense_linear(read.dense_BK)


class Pooled(BehaviorNetwork):
    """Base of networks that read a history as means: of each behaviour the mean over all events, scaled by a vector of
    the behaviour, so that what was shown and not liked can count against its like."""

    def __init__(self, facts: dict[str, Any], params: VectorParams) -> None:
        super().__init__(facts, params)
        if self.reads_history:
            self.role_ME = nn.Parameter(torch.ones(self.n_behaviors, self.item_width))
            self.n_fields += self.n_behaviors * self.n_columns
        self.input_width = self.n_fields * params.dim + self.n_dense

    def all_fields(self, read: Read, rows: Rows) -> Tensor:
        """(B, F, D) the fields, those of the history last."""
        if not self.reads_history:
            return read.fields_BFD
        means_BME = torch.bmm(self.shown(rows), read.events_BLE) * self.role_ME
        return torch.cat([read.fields_BFD, means_BME.unflatten(2, (self.n_columns, -1)).flatten(1, 2)], dim=1)


class FactorizationMachine(Pooled):
    """Bias + linear weights + sum over pairs of <v_i, v_j>; where several behaviours are asked about, each has its own
    weights of the D products, 1 at first."""

    def __init__(self, facts: dict[str, Any], params: VectorParams) -> None:
        super().__init__(facts, params)
        n_targets = len(facts["targets"])
        self.linear = nn.Embedding(self.table.num_embeddings, n_targets)
        nn.init.zeros_(self.linear.weight)
        self.dense_linear = nn.Linear(self.n_dense, n_targets, bias=False)
        nn.init.zeros_(self.dense_linear.weight)
        self.dense_KD = nn.Parameter(0.02 * torch.randn(self.n_dense, params.dim))
        self.weight_TD = nn.Parameter(torch.ones(n_targets, params.dim), requires_grad=n_targets > 1)

    def logits(self, read: Read, rows: Rows) -> Tensor:
        """(B, T) of fields, means and dense inputs, which scale vectors of their own."""
        return self.crossed(read, rows, self.all_fields(read, rows))

    def crossed(self, read: Read, rows: Rows, fields_BFD: Tensor) -> Tensor:
        """(B, T) the machine's logits."""
        items_NCT, asked_BFT = self.looked_up(self.linear, read.places)
        linear_BT = items_NCT.sum(1)[rows.target_B] + asked_BFT.sum(1) + self.dense_linear(read.dense_BK)
        return self.bias_T + linear_BT + pairwise(fields_BFD, read.dense_BK, self.dense_KD) @ self.weight_TD.T


class DeepFactorizationMachine(FactorizationMachine):
    """The machine's logits plus those of hidden layers over the same vectors."""

    def __init__(self, facts: dict[str, Any], params: DeepParams) -> None:
        super().__init__(facts, params)
        self.deep = Layers(self.input_width, params, n_out=len(facts["targets"]))

    def logits(self, read: Read, rows: Rows) -> Tensor:
        """(B, T) the sum of both."""
        fields_BFD = self.all_fields(read, rows)
        deep_BT = self.deep(torch.cat([fields_BFD.flatten(1), read.dense_BK], dim=1))
        return self.crossed(read, rows, fields_BFD) + deep_BT


class Crosses(nn.Module):
    """Cross layers x_{l+1} = x_0 * (W x_l + b) + x_l (DCN-V2, arXiv 2008.13535)."""

    def __init__(self, n_in: int, layers: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(n_in, n_in) for _ in range(layers))

    def forward(self, first_BX: Tensor) -> Tensor:
        """(B, X) after the last layer."""
        x_BX = first_BX
        for layer in self.layers:
            x_BX = torch.addcmul(x_BX, first_BX, layer(x_BX))
        return x_BX


class DeepCross(Pooled):
    """Cross layers and hidden layers side by side, and one linear layer over both."""

    def __init__(self, facts: dict[str, Any], params: Any) -> None:
        super().__init__(facts, params)
        self.cross = Crosses(self.input_width, params.crosses)
        self.deep = Layers(self.input_width, params)
        self.out = nn.Linear(self.input_width + params.width, len(facts["targets"]), bias=False)

    def logits(self, read: Read, rows: Rows) -> Tensor:
        """(B, T) of all inputs."""
        x_BX = torch.cat([self.all_fields(read, rows).flatten(1), read.dense_BK], dim=1)
        return self.bias_T + self.out(torch.cat([self.cross(x_BX), self.deep(x_BX)], dim=1))
