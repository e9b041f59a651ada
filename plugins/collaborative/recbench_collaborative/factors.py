"""Factor models with what is known beside the events: facts of items, friends of users.

The network is imported when it is first needed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from recbench.model import Traits
from recbench.neural.by_user import RowParams, RowRecommender
from recbench.params import param

if TYPE_CHECKING:
    from recbench.dataset import Dataset
    from recbench.neural.network import Network


@dataclass(frozen=True)
class FactorParams(RowParams):
    """Width and regularisation of the factors, beside the parameters of their training."""

    dim: int = param(64, "Width of users and items.", low=1, high=1024, log=True, tune=True)
    dropout: float = param(
        0.5, "Share of a user's items that are hidden from its vector in training.", low=0.0, high=0.9, tune=True
    )
    weight_decay: float = param(0.2, "Decay of the vectors.", low=1e-4, high=1.0, log=True, tune=True)


@dataclass(frozen=True)
class KGAttributesParams(FactorParams):
    """Factors with facts of the knowledge graph."""

    use_graph: bool = param(True, "Items have vectors of their facts beside their own; false: the same model without.")


@dataclass(frozen=True)
class TrustMFParams(FactorParams):
    """Factors with friends."""

    use_graph: bool = param(True, "Friends pull at each other's vectors; false: the same model without.")
    pull: float = param(1.0, "Weight of the distance to friends.", low=1e-4, high=100.0, log=True, tune=True)


class KGAttributes(RowRecommender):
    """Item factors with the facts of a knowledge graph as features.

    A user is the sum of the vectors read for its items, divided by the root of their number (the asymmetric factors of
    Paterek, KDD Cup 2007, which are FISM's, Kabbur et al., KDD 2013), some of them hidden in training. An item's
    vectors, read and compared, are its own and the sum of its facts', divided by the root of their number; a fact is a
    relation with the entity at its other end. `use_graph=false` is the same model without facts. New users and items
    without an event are answered by histories and facts alone.
    """

    Params = KGAttributesParams
    traits = Traits(trained=True, stochastic=True, needs_knowledge=True)
    small = {"dim": 32, "epochs": 20, "batch_size": 32, "learning_rate": 1e-2}

    def network(self, train: Dataset) -> Network:
        from recbench_collaborative.factor_network import Factors, Features, unmet_items
        from recbench_collaborative.knowledge import facts_of

        features = None
        if self.params.use_graph:
            facts = facts_of(train) if hasattr(train, "interactions") else None
            if facts is not None:
                self.facts = {"facts": facts.n_facts, "of_items": len(facts.fact)}
            features = Features(train.n_items, self.facts["facts"], self.facts["of_items"], self.params.dim, facts)
        shares_I, unmet_I = self.item_shares(train), unmet_items(train)
        return Factors(train.n_items, self.params, shares_I, features=features, unmet_I=unmet_I)


class TrustMF(RowRecommender):
    """Matrix factors in which friends pull at each other (SoReg, Ma et al., WSDM 2011, doi 10.1145/1935826.1935877).

    A user is its own vector plus what its items say, as in SVD++ (Koren, KDD 2008): their sum, divided by the root of
    their number. The loss is the softmax over all items plus `pull` / 2 times the mean over users of the mean over
    friends of |p_u - p_f|^2, by users' own vectors: the individual-based term of the paper, all friends being alike.
    Trust counts in both directions. A user without an event in training has no vector but what friends pull it to;
    where there are none either, its history alone answers.
    """

    Params = TrustMFParams
    traits = Traits(trained=True, stochastic=True, needs_social=True)
    small = {"dim": 32, "epochs": 20, "batch_size": 32, "learning_rate": 1e-2}

    def network(self, train: Dataset) -> Network:
        from recbench_collaborative.factor_network import Factors, Friends, known_users
        from recbench_collaborative.knowledge import friends_of

        known_U, friends = known_users(self, train), None
        if self.params.use_graph:
            edges = friends_of(train) if hasattr(train, "interactions") else None
            if edges is not None:
                self.facts = self.facts | {"edges": len(edges[0])}
            friends = Friends(len(known_U), self.facts["edges"], edges)
        return Factors(train.n_items, self.params, self.item_shares(train), known_U=known_U, friends=friends)
