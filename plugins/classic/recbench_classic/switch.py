"""A switch between models: whoever knows a user or an item answers for it.

Letters: Q queries, I items, W queries of warm users.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from recbench.data import Queries
from recbench.model import Context
from recbench.params import Params, param
from recbench_classic.fusion import standard
from recbench_classic.members import Combined, Member, decisions, member_of, scores_of

if TYPE_CHECKING:
    from recbench.dataset import Dataset

ROLES = ("warm", "cold_users", "cold_items")


@dataclass(frozen=True)
class SwitchParams(Params):
    """Which model answers for whom, and who is cold."""

    warm: str = param("ease", "The model for all others, as ease, ease@l2:500 or run:KEY.")
    cold_users: str = param("popular", "The model for users with a short history.")
    cold_items: str = param(
        "tfidf", "The model for items that training has hardly met; empty: none, they count as the others."
    )
    min_history: int = param(1, "Events of a history below which a user is cold.", low=0, high=1000)
    min_events: int = param(1, "Training events of an item below which it is cold.", low=1, high=1000)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.roles()

    def roles(self) -> dict[str, Member]:
        """The member of each role that has one; RecbenchError where a role names none, or several."""
        given = {role: getattr(self, role) for role in ROLES if role != "cold_items" or self.cold_items}
        return {role: member_of(text, f"switch: {role}") for role, text in given.items()}


class Switch(Combined):
    """One model for most, others for cold users and for cold items (a switching hybrid; Burke 2002).

    The paper: doi 10.1023/A:1021240730564. Users with a short history and items that training has hardly met are cold. All
    three models are brought to one scale query by query: scores of the warm model, and of the one for cold users, are
    z-scores among the items that are not cold, for of cold ones these models know nothing; those of the third are z-scores
    among all items, and are what cold items get. So a cold item stands as high above the mean of its model as a warm one
    above that of its own. Where the third model tells nothing, as of a user without history, its items are at 0, the mean.
    """

    Params = SwitchParams
    small = {"warm": "ease@l2:10", "cold_users": "popular", "cold_items": "attributes"}
    fitted = ("cold_I",)

    def fit(self, train: Dataset, context: Context) -> None:
        """Fit each model once, and note which items are cold."""
        wanted = list(dict.fromkeys(self.params.roles().values()))
        self.keep(self.learn(wanted, train, context))
        log = train.interactions
        self.cold_I = np.bincount(log.item, minlength=log.n_items) < self.params.min_events
        self.chosen = decisions(wanted, self.members)

    def score(self, queries: Queries) -> NDArray:
        """(Q, I) float32."""
        roles = self.params.roles()
        member = dict(zip(dict.fromkeys(roles.values()), self.members, strict=True))
        known_I = ~self.cold_I if "cold_items" in roles else np.ones(len(self.cold_I), bool)
        cold_Q = queries.items.lengths < self.params.min_history
        scores_QI = np.empty((len(queries), queries.n_items), np.float32)
        for role, rows in (("warm", np.flatnonzero(~cold_Q)), ("cold_users", np.flatnonzero(cold_Q))):
            if len(rows):
                scores_QI[rows] = standard(scores_of(member[roles[role]], queries.take(rows)), known_I)
        if not known_I.all():
            told_QI = standard(scores_of(member[roles["cold_items"]], queries))
            scores_QI[:, self.cold_I] = told_QI[:, self.cold_I]
        return scores_QI
