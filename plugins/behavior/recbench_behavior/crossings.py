"""Models of behaviour that cross fields; their networks are imported when they are first needed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from recbench.params import param
from recbench_behavior.neural import BehaviorModel, DeepParams, VectorParams

if TYPE_CHECKING:
    from recbench_behavior.networks import BehaviorNetwork


@dataclass(frozen=True)
class CrossParams(DeepParams):
    """The same with cross layers."""

    crosses: int = param(2, "Cross layers.", low=1, high=10)


class LogisticSGD(BehaviorModel):
    """Logistic regression as a network of one layer, trained in batches: for logs whose questions no memory holds at once
    (as for clicks in McMahan et al., KDD 2013, doi 10.1145/2487575.2488200).

    y = w_0 + sum_i w_i x_i: a weight for each value of a field (hashed where there are more than `buckets`) and one for
    each dense input, no products. Each behaviour asked about has its own. `embedding_l2` counts a weight once for each
    question that looks it up. Of a history it reads how long it is and the share of each behaviour; `statistics` tell more.
    """

    small = {name: value for name, value in BehaviorModel.small.items() if name != "dim"}

    def network_class(self) -> type[BehaviorNetwork]:
        from recbench_behavior.crossing_networks import OneLayer

        return OneLayer


class FM(BehaviorModel):
    """Factorization machine: linear weights and a product of vectors for each pair of fields (Rendle, ICDM 2010, doi
    10.1109/ICDM.2010.127).

    y = w_0 + sum_i w_i x_i + sum_{i<j} <v_i, v_j> x_i x_j. Changed from the paper: the mean of a history's events of each
    behaviour is one feature, whose vector is that of its items times one of the behaviour; the vectors of several
    categories are averaged; several behaviours asked about share the vectors and have their own weights.
    """

    Params = VectorParams

    def network_class(self) -> type[BehaviorNetwork]:
        from recbench_behavior.crossing_networks import FactorizationMachine

        return FactorizationMachine


class DeepFM(BehaviorModel):
    """A factorization machine plus hidden layers over the same vectors (DeepFM, arXiv 1703.04247).

    What differs from the paper's machine is told at `fm`; dense inputs reach the hidden layers as they are.
    """

    Params = DeepParams
    small = BehaviorModel.small | {"width": 16}

    def network_class(self) -> type[BehaviorNetwork]:
        from recbench_behavior.crossing_networks import DeepFactorizationMachine

        return DeepFactorizationMachine


class DCNV2(BehaviorModel):
    """Cross layers of full rank beside hidden layers (DCN-V2, its parallel form, arXiv 2008.13535).

    Fields are those of `fm`, the means of a history among them; dense inputs are crossed as they are.
    """

    Params = CrossParams
    small = BehaviorModel.small | {"width": 16}

    def network_class(self) -> type[BehaviorNetwork]:
        from recbench_behavior.crossing_networks import DeepCross

        return DeepCross
