"""Translations between users, items and entities; the network is imported when it is first needed."""

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
class TransEParams(RowParams):
    """Width, and the say of the graph, beside the parameters of the training."""

    batch_size: int = param(128, "Users in a batch, each with all its items.", low=1, high=65_536)
    learning_rate: float = param(2e-2, "Step size of the optimizer.", low=1e-4, high=1e-1, log=True, tune=True)
    dim: int = param(64, "Width of users, entities and relations.", low=1, high=1024, log=True, tune=True)
    use_graph: bool = param(True, "The triples are learned beside the events; false: the same model without.")
    graph_weight: float = param(0.3, "Weight of the triples' loss.", low=1e-3, high=10.0, log=True, tune=True)
    triples: int = param(1024, "Triples drawn for a batch.", low=1, high=65_536)
    triple_negatives: int = param(256, "Entities drawn for a batch, negatives of all its triples.", low=1, high=65_536)
    weight_decay: float = param(0.03, "Decay of the vectors.", low=1e-4, high=1.0, log=True, tune=True)


class TransE(RowRecommender):
    """Users, items and entities in one space, in which a relation is a translation (TransE, Bordes et al., NeurIPS
    2013).

    A triple costs |h + r - t|^2, and an event is a triple of one more relation: user + meets = item. Changed from the
    paper: in place of a margin over one corrupted triple, cross-entropy over all items for events, and over drawn
    entities at either end for triples, with minus the squared distance as logit; weights decay in place of entities
    kept at length 1. An item that the graph names is that entity. Scores are -|u + meets - i|^2. A user that was
    trained has its vector; any other is put where its history says, at the mean of i - meets, and at 0 where that is
    empty. `use_graph=false` is the same model without the triples. The triples help
    where they tie items to items, as the groceries bought and viewed together do, and cost where they tie them to people
    and genres, as Freebase does the films of ML-100K (docs/comparisons.md).
    """

    Params = TransEParams
    traits = Traits(trained=True, stochastic=True, needs_knowledge=True)
    small = {"dim": 32, "epochs": 20, "batch_size": 32, "learning_rate": 1e-2}

    def network(self, train: Dataset) -> Network:
        from recbench_collaborative.factor_network import known_users, unmet_items
        from recbench_collaborative.knowledge import triples_of
        from recbench_collaborative.transe_network import Translations

        known_U, graph = known_users(self, train), None
        if hasattr(train, "interactions") and self.params.use_graph:
            graph = triples_of(train)
            self.facts = self.facts | {"nodes": graph.n_nodes, "relations": graph.n_relations}
        n_nodes, n_relations = self.facts.get("nodes", train.n_items), self.facts.get("relations", 0)
        n_others, unmet_I = n_nodes - train.n_items, unmet_items(train)
        return Translations(train.n_items, known_U, n_others, n_relations, self.params, graph, unmet_I)
