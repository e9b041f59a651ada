"""Models of behaviour that look for the item in the history; their networks are imported when they are first needed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from recbench.errors import RecbenchError
from recbench.params import param
from recbench_behavior.neural import BehaviorModel, DeepParams

if TYPE_CHECKING:
    from recbench_behavior.networks import BehaviorNetwork


@dataclass(frozen=True)
class HistoryParams(DeepParams):
    """The same where events of a history are told apart, so that an item needs a vector."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.max_length and not self.items and not self.categories.strip():
            raise RecbenchError(
                f"{type(self).__name__}: a history of items without a vector tells nothing; set items or categories, "
                "or max_length=0"
            )


@dataclass(frozen=True)
class DINParams(HistoryParams):
    """The same with the network that weighs events."""

    attention: int = param(32, "Width of the hidden layer that weighs an event.", low=1, high=1024)
    softmax: bool = param(False, "Whether the weights of a history's events add up to 1.")


@dataclass(frozen=True)
class BSTParams(HistoryParams):
    """The same with the Transformer."""

    heads: int = param(2, "Heads of the attention; the width of a field must be a multiple of it.", low=1, high=64)
    blocks: int = param(1, "Transformer blocks.", low=1, high=10)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.dim % self.heads:
            raise RecbenchError(
                f"{type(self).__name__}: dim must be a multiple of heads; given dim={self.dim}, heads={self.heads}"
            )


class DIN(BehaviorModel):
    """Deep interest network: events of the history weighed by a small network that sees them and the item (arXiv
    1706.06978).

    An event k is the vector of its item plus those of its behaviour and of its age (class of log2). Its weight for the
    item q is a hidden layer of [q, k, q - k, q * k] summed up; the weighted sum of events joins the fields in the hidden layers. By
    default weights add up to nothing in particular, as in the paper. With max_length=0 it is the same network without
    the history. Changed from the paper: leaky ReLU and ReLU in place of PReLU and Dice, and
    dropout in the hidden layers.
    """

    Params = DINParams
    small = BehaviorModel.small | {"width": 16, "attention": 8}

    def network_class(self) -> type[BehaviorNetwork]:
        from recbench_behavior.history_networks import InterestNetwork

        return InterestNetwork


class BST(BehaviorModel):
    """Behaviour sequence Transformer: the item stands behind its user's events in a Transformer (arXiv 1905.06874).

    An event is the vector of its item plus those of its behaviour and of its age (class of log2), which are its position.
    What the item's place says joins the fields in the hidden layers. With max_length=0 it is the same network without the
    history. Changed from the paper: only the item's place is read out, where the paper reads all, so that histories may
    be of any length; norms come first in a block.
    """

    Params = BSTParams
    small = BehaviorModel.small | {"width": 16}

    def network_class(self) -> type[BehaviorNetwork]:
        from recbench_behavior.history_networks import SequenceNetwork

        return SequenceNetwork
