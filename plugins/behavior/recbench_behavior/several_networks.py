"""Networks with a part for each behaviour above what all share.

Letters: B questions of a batch, T behaviours asked about, X width of all inputs, W width of an expert, N experts a gate
weighs.
"""

from __future__ import annotations

from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from recbench.neural.network import Network
from recbench_behavior.crossing_networks import Pooled
from recbench_behavior.fields import Fields
from recbench_behavior.networks import BehaviorNetwork, Layers, Read
from recbench_behavior.neural import DeepParams
from recbench_behavior.rows import Rows
from recbench_behavior.several import MMoEParams

SUREST = 1e-6  # how far at least the logarithm of a probability stays below 0
LIKELIEST = 0.95  # that a behaviour is taken to follow the one before it, at first


class Level(nn.Module):
    """Experts of each behaviour and shared ones, and gates over them; the last level has no state that is shared."""

    def __init__(self, n_in: int, n_targets: int, params: MMoEParams, last: bool) -> None:
        super().__init__()
        n_own, n_shared = getattr(params, "own_experts", 0), params.experts
        groups = [*[n_own] * n_targets, n_shared]
        self.experts = nn.ModuleList(nn.ModuleList(Layers(n_in, params) for _ in range(n)) for n in groups)
        seen = [*[n_own + n_shared] * n_targets, *([] if last else [sum(groups)])]
        self.gates = nn.ModuleList(nn.Linear(n_in, n) for n in seen)

    def forward(self, states: list[Tensor]) -> list[Tensor]:
        """(B, W) of each behaviour and, but in the last level, of the shared state, from the same of the level below."""
        told = [[expert(x) for expert in group] for group, x in zip(self.experts, states, strict=True)]
        n_targets, out = len(told) - 1, []
        for number, gate in enumerate(self.gates):
            seen = [*told[number], *told[-1]] if number < n_targets else [x for group in told for x in group]
            weight_BN = gate(states[number]).softmax(dim=1)
            out.append((weight_BN[:, :, None] * torch.stack(seen, dim=1)).sum(1))
        return out


class ExpertNetwork(Pooled):
    """Levels of experts, and a tower of one hidden layer for each behaviour."""

    def __init__(self, facts: dict[str, Any], params: MMoEParams) -> None:
        super().__init__(facts, params)
        n_targets, n_levels = len(facts["targets"]), getattr(params, "levels", 1)
        widths = [self.input_width, *[params.width] * (n_levels - 1)]
        self.levels = nn.ModuleList(
            Level(width, n_targets, params, number == n_levels) for number, width in enumerate(widths, 1)
        )
        self.towers = nn.ModuleList(Layers(params.width, params, n_out=1, layers=1) for _ in range(n_targets))

    def logits(self, read: Read, rows: Rows) -> Tensor:
        """(B, T) of all inputs."""
        x_BX = torch.cat([self.all_fields(read, rows).flatten(1), read.dense_BK], dim=1)
        states = [x_BX] * (len(self.towers) + 1)
        for level in self.levels:
            states = level(states)
        return self.bias_T + torch.cat([tower(x) for tower, x in zip(self.towers, states, strict=True)], dim=1)


def chained(logits_BT: Tensor) -> Tensor:
    """(B, T) the logits of p_1, p_1 p_2, p_1 p_2 p_3 and so on, from those of the factors."""
    log_p_BT = F.logsigmoid(logits_BT).cumsum(1).clamp(max=-SUREST)
    return log_p_BT - (-torch.expm1(log_p_BT)).log()


class ChainNetwork(Pooled):
    """Hidden layers for each behaviour, which tell how likely it follows the one before it."""

    def __init__(self, facts: dict[str, Any], params: DeepParams) -> None:
        super().__init__(facts, params)
        self.towers = nn.ModuleList(Layers(self.input_width, params, n_out=1) for _ in facts["targets"])

    def begun(self, fields: Fields, rate_T: NDArray) -> Self:
        """The network that answers at first with the rates, where they fall from one behaviour to the next."""
        of_before_T = np.minimum(rate_T / np.r_[1.0, rate_T[:-1]], LIKELIEST)
        return super().begun(fields, of_before_T)

    def logits(self, read: Read, rows: Rows) -> Tensor:
        """(B, T) of the behaviours themselves."""
        x_BX = torch.cat([self.all_fields(read, rows).flatten(1), read.dense_BK], dim=1)
        return chained(self.bias_T + torch.cat([tower(x_BX) for tower in self.towers], dim=1))


class Apart(Network):
    """A network of one behaviour for each of those asked about: they share the batches and nothing else."""

    compiles = ()
    kind: type[BehaviorNetwork]

    def __init__(self, facts: dict[str, Any], params: DeepParams) -> None:
        super().__init__()
        self.nets = nn.ModuleList(self.kind(facts | {"targets": [name]}, params) for name in facts["targets"])

    @property
    def bias_T(self) -> Tensor:
        """(T,) of all networks."""
        return torch.cat([net.bias_T for net in self.nets])

    def begun(self, fields: Fields, rate_T: NDArray) -> Self:
        """Each network with its rows and its rate."""
        for net, rate in zip(self.nets, rate_T, strict=True):
            net.begun(fields, np.array([rate]))
        return self

    def forward(self, rows: Rows) -> Tensor:
        """(B, T) the logits, one of each network."""
        return torch.cat([net(rows) for net in self.nets], dim=1)

    def loss(self, batch: Rows, params: DeepParams, share_I: Tensor | None) -> tuple[Tensor, int]:
        """The mean of the networks' losses, and the number of questions."""
        assert batch.outcome_BT is not None
        alone = [batch._replace(outcome_BT=true_B1) for true_B1 in batch.outcome_BT.split(1, dim=1)]
        losses = [net.loss(own, params, share_I)[0] for net, own in zip(self.nets, alone, strict=True)]
        return torch.stack(losses).mean(), len(batch.user_B)


class ExpertsApart(Apart):
    """Experts and a gate for each behaviour."""

    kind = ExpertNetwork


class TowersApart(Apart):
    """Hidden layers for each behaviour: a chain of one link."""

    kind = ChainNetwork
