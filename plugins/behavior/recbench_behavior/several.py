"""Models of several behaviours at once; their networks are imported when they are first needed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from recbench.params import param
from recbench_behavior.neural import BehaviorModel, DeepParams

if TYPE_CHECKING:
    from recbench_behavior.networks import BehaviorNetwork


@dataclass(frozen=True)
class SeveralParams(DeepParams):
    """The same for several behaviours."""

    apart: bool = param(
        False,
        "Whether each behaviour has a network of its own and nothing is shared: the single-task self to compare with.",
    )


@dataclass(frozen=True)
class MMoEParams(SeveralParams):
    """The same with experts, which are hidden layers."""

    width: int = param(64, "Width of the hidden layers of experts and towers.", low=4, high=4096)
    layers: int = param(1, "Hidden layers of an expert.", low=1, high=10)
    experts: int = param(4, "Experts that all behaviours share.", low=1, high=64)


@dataclass(frozen=True)
class PLEParams(MMoEParams):
    """The same with experts of single behaviours, and levels of experts."""

    experts: int = param(2, "Experts of a level that all behaviours share.", low=1, high=64)
    own_experts: int = param(2, "Experts of a level that each behaviour has for itself.", low=1, high=64)
    levels: int = param(1, "Levels of experts.", low=1, high=4)


class MMoE(BehaviorModel):
    """Multi-gate mixture of experts: behaviours share hidden layers, and each weighs them in its own way (Ma et al., KDD
    2018, doi 10.1145/3219819.3220007).

    Inputs are those of `deepfm`'s hidden layers; the gate of a behaviour is a softmax of a linear map of them, and a tower
    of one hidden layer stands above each mixture. The losses of the behaviours have equal weight.
    """

    Params = MMoEParams
    small = BehaviorModel.small | {"width": 8}

    def network_class(self) -> type[BehaviorNetwork]:
        from recbench_behavior.several_networks import ExpertNetwork, ExpertsApart

        return ExpertsApart if self.params.apart else ExpertNetwork


class PLE(BehaviorModel):
    """Progressive layered extraction: beside shared experts each behaviour has its own, level after level (Tang et al.,
    RecSys 2020, doi 10.1145/3383313.3412236).

    A behaviour's gate sees its own experts and the shared ones, that of the shared state all. Else it is `mmoe`.
    """

    Params = PLEParams
    small = BehaviorModel.small | {"width": 8, "levels": 2}

    def network_class(self) -> type[BehaviorNetwork]:
        from recbench_behavior.several_networks import ExpertNetwork, ExpertsApart

        return ExpertsApart if self.params.apart else ExpertNetwork


class ESMM(BehaviorModel):
    """Entire-space model of behaviours that follow each other: p(purchase) = p(cart) * p(purchase | cart) (arXiv
    1804.07931).

    The order is that of the board's `behaviors`, the earliest first; each has its own hidden layers over shared vectors,
    and what is learned are the products, over all questions. So no behaviour is told to be likelier than the one before
    it: name them in an order in which each comes through the one before.
    """

    Params = SeveralParams
    small = BehaviorModel.small | {"width": 16}
    least_behaviors = 2

    def network_class(self) -> type[BehaviorNetwork]:
        from recbench_behavior.several_networks import ChainNetwork, TowersApart

        return TowersApart if self.params.apart else ChainNetwork
