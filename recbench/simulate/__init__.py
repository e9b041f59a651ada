"""Simulated worlds: seeded logs of any size whose true probabilities are known.

`recipe` says what a world is made from, `truth` holds what is true of it, `walk` lets its users live, `words` names
things, `oracle` answers as one who knows it all, `scholar` as one who knows the laws and reads the history. A world follows
from its recipe and parameters alone.

Letters: E events, U users, I items, S searches, Q queries, N rows, B behaviours.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from recbench.data import ContextEvents, Interactions, Queries
from recbench.dataset import Dataset, DatasetInfo
from recbench.simulate import words
from recbench.simulate.oracle import Oracle, oracle_scores
from recbench.simulate.recipe import Recipe, WorldParams
from recbench.simulate.scholar import BUDGETS, Scholar
from recbench.simulate.truth import FRIEND, Truth, drawn, keys
from recbench.simulate.walk import Log, log_of_users

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Oracle", "Recipe", "Scholar", "World", "WorldParams"]
GENERATOR = 1  # raised with every change that gives the same parameters another log
CHUNK = 65_536  # users generated at once
FRIENDS, NEAR = 5, 0.8  # friends drawn, and how likely one is of the user's own community


@dataclass(frozen=True, eq=False)
class World:
    """A simulated world: its log, and the truth behind it."""

    info: DatasetInfo
    truth: Truth

    @classmethod
    def from_params(cls, info: DatasetInfo, recipe: Recipe, params: WorldParams) -> World:
        """The world of a recipe; RecbenchError where its tables would be too large."""
        return cls(info, Truth(recipe, params))

    @property
    def checksum(self) -> str:
        """SHA-256 of all that the world follows from."""
        source = [GENERATOR, self.info.name, asdict(self.truth.recipe), self.truth.params.as_dict()]
        return hashlib.sha256(json.dumps(source, sort_keys=True).encode()).hexdigest()

    def logs(self, chunk_users: int = CHUNK) -> Iterator[Log]:
        """The log in chunks of users, each in order of time; all together hold the same events for any chunk size."""
        for first in range(0, self.truth.params.n_users, chunk_users):
            yield log_of_users(self.truth, first, min(first + chunk_users, self.truth.params.n_users))

    def dataset(self, chunk_users: int = CHUNK) -> Dataset:
        """The whole world in memory."""
        truth, logs = self.truth, list(self.logs(chunk_users))
        n_users, n_items = truth.params.n_users, truth.params.n_items
        names = ("user", "item", "time", "behavior", "value", "search_user", "search_time", "search_word")
        columns = {name: np.concatenate([getattr(log, name) for log in logs]) for name in names}
        asked = [columns.pop(name) for name in names[5:]]
        log = Interactions.sorted(n_users=n_users, n_items=n_items, behaviors=truth.recipe.behaviors, **columns)
        return Dataset(
            self.info,
            log,
            np.arange(n_users),
            np.arange(n_items),
            words.item_table(truth),
            context=self._searches(*asked),
            knowledge=words.knowledge(truth),
            social=_friends(truth, 0, n_users) if truth.recipe.social else None,
            checksum=self.checksum,
        )

    def _searches(self, user: NDArray, time: NDArray, word: NDArray) -> ContextEvents:
        order = np.argsort(time, kind="stable")
        text = words.vocabulary(self.truth.recipe, self.truth.n_categories)[word[order]]
        return ContextEvents(user[order], time[order], np.zeros(len(order), np.int8), text, ("search",))

    def write_parquet(self, folder: Path, chunk_users: int = CHUNK) -> int:
        """Write the world chunk by chunk in bounded memory, and give the number of events.

        events.parquet, searches.parquet and, where there are friends, friends.parquet: a row group a chunk of users, in
        order of time inside. items.parquet and knowledge.parquet as in the data set.
        """
        from pyarrow import Table, parquet

        folder.mkdir(parents=True, exist_ok=True)
        parquet.write_table(Table.from_pandas(words.item_table(self.truth)), folder / "items.parquet")
        parquet.write_table(Table.from_pandas(words.knowledge(self.truth)), folder / "knowledge.parquet")
        n_events, writers = 0, {}
        with ExitStack() as stack:
            for number, log in enumerate(self.logs(chunk_users)):
                n_events += len(log.user)
                for name, table in self._tables(log, number * chunk_users, chunk_users).items():
                    if name not in writers:
                        file = parquet.ParquetWriter(folder / f"{name}.parquet", table.schema)
                        writers[name] = stack.enter_context(file)
                    writers[name].write_table(table)
        return n_events

    def _tables(self, log: Log, first: int, n_users: int) -> dict[str, Any]:
        """One chunk of each file as Arrow tables."""
        import pyarrow as pa

        truth = self.truth
        spoken = pa.array(words.vocabulary(truth.recipe, truth.n_categories))
        behavior = pa.DictionaryArray.from_arrays(log.behavior, list(truth.recipe.behaviors))
        text = pa.DictionaryArray.from_arrays(log.search_word, spoken)
        events = {"user": log.user, "item": log.item, "time": log.time, "behavior": behavior, "value": log.value}
        searches = {"user": log.search_user, "time": log.search_time, "text": text}
        tables = {"events": pa.table(events), "searches": pa.table(searches)}
        if truth.recipe.social:
            friends = _friends(truth, first, min(first + n_users, truth.params.n_users))
            tables["friends"] = pa.Table.from_pandas(friends, preserve_index=False)
        return tables

    def oracle_scores(self, queries: Queries, behavior: str = "", ahead: int = 0) -> NDArray:
        """(Q, I) true probabilities of visits, or that `behavior` follows; see `recbench.simulate.oracle`."""
        return oracle_scores(self.truth, queries, behavior, ahead)

    def oracle(self, behavior: str = "", ahead: int = 0) -> Oracle:
        """The same as a recommender for `evaluate.rank`."""
        return Oracle(self.truth, behavior, ahead)

    def scholar(self, n_budgets: int = BUDGETS) -> Scholar:
        """Who knows the world's laws and reads the user's history: the best answers about behaviours that can be learned."""
        return Scholar(self.truth, n_budgets)

    def probabilities(self, user: NDArray, item: NDArray, time: NDArray, familiar: Any = False) -> NDArray:
        """(N, B) the chance of each behaviour, given that the user visits the item at that time (s since 1970).

        `familiar`: whether the item is among the last five that the user visited.
        """
        return self.truth.probabilities(user, item, time, familiar)


def _friends(truth: Truth, first: int, stop: int) -> pd.DataFrame:
    """Edges user, friend of users `first` to `stop` - 1, each once, nobody their own friend."""
    import pandas as pd

    n_users = truth.params.n_users
    user = np.repeat(np.arange(first, stop), FRIENDS)
    key, turn = keys(truth.params.seed, FRIEND, user), np.tile(np.arange(FRIENDS), stop - first)
    near = drawn(key + turn.astype(np.uint64), 0) < NEAR
    community, members = user % truth.n_communities, -(-(n_users - user % truth.n_communities) // truth.n_communities)
    place = drawn(key + turn.astype(np.uint64), 1)
    ours = community + truth.n_communities * (place * members).astype(np.int64)
    friend = np.where(near, ours, (place * n_users).astype(np.int64))
    pair = np.unique(user[friend != user] * n_users + friend[friend != user])
    return pd.DataFrame({"user": pair // n_users, "friend": pair % n_users})
