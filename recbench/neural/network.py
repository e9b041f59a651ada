"""What the trainer and the answers need of a network, and what most networks of items share.

Letters: B batch, L length, D width, I items, N chosen items, P positions that count.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from recbench.neural.augment import augmented
from recbench.neural.batches import Batch
from recbench.neural.contrast import contrast
from recbench.neural.losses import loss_of


class Asked(NamedTuple):
    """What the loss compares: states with the items that came next. `extra`: a further loss, already weighted."""

    states_PD: Tensor
    target_P: Tensor
    extra: Tensor | None = None


class Network(nn.Module):
    """Base of the networks: `encode` is theirs, the rest has a default; one that learns from other batches than windows
    has a `loss` instead.

    `reads`: the fields of a `Batch` beyond items that `encode` looks at; others are left out of the batches.
    `compiles`: the methods on the road of training that `trainer.compile` compiles.
    """

    reads: tuple[str, ...] = ()
    compiles: tuple[str, ...] = ("encode",)
    items: nn.Embedding
    item_bias: nn.Parameter | None

    def __init__(self) -> None:
        super().__init__()
        self.register_parameter("item_bias", None)

    def rate(self, name: str) -> float:
        """The part of the learning rate at which the weight of that name moves."""
        return 1.0

    def loss(self, batch: Any, params: Any, share_I: Tensor | None) -> tuple[Tensor, int]:
        """The loss of a training batch, and how many targets, or what else, it is the mean over: shares of a batch are
        weighted by that. Here: of the targets of windows, by the rules that `TrainParams` names."""
        asked = self.asked(augmented(batch, params))
        loss = loss_of(asked, self, params, share_I)
        if params.ssl != "none":
            loss = loss + params.ssl_weight * contrast(self, batch, params)
        return loss, len(asked.target_P)

    def encode(self, batch: Batch) -> Tensor:
        """(B, L, D): position p knows the start token and the p events before it, and no more."""
        raise NotImplementedError

    def item_vectors(self, item_N: Tensor | None = None) -> Tensor:
        """(N, D) what states are compared with by dot product: of the items given, of all (I, D) where none are."""
        return self.items.weight if item_N is None else nn.functional.embedding(item_N, self.items.weight)

    def compared(self, item_N: Tensor | None = None) -> Tensor:
        """What of `item_vectors` the losses compare states with: a network may drop some of it in training."""
        return self.item_vectors(item_N)

    def asked(self, batch: Batch) -> Asked:
        """The states and targets of a training batch: every event that counts, at the position that may know of it."""
        return self.asked_of(self.encode(batch), batch)

    def asked_of(self, states_BLD: Tensor, batch: Batch) -> Asked:
        """The same of states that are known already."""
        flat_P = batch.mask_BL.flatten().nonzero().squeeze(1)
        length = batch.mask_BL.shape[1]
        asked_P = flat_P - flat_P % length + batch.asked_BL.flatten()[flat_P]
        return Asked(states_BLD.flatten(0, 1).index_select(0, asked_P), batch.targets_BL.flatten()[flat_P])

    def last(self, batch: Batch) -> Tensor:
        """(B, D) the state that answers what follows each history."""
        return self.encode(batch)[torch.arange(len(batch.last_B), device=batch.last_B.device), batch.last_B]
