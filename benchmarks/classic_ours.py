"""recbench in benchmarks/classic.py: its models fitted on the pairs, and the lists that its evaluation makes of them.

Letters: U users, N pairs, Q queries, K list length, I items.
"""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from classic_rivals import Contestant, K

from recbench import registry
from recbench.data import Interactions, Queries, Ragged
from recbench.dataset import Dataset, DatasetInfo
from recbench.evaluate import rank
from recbench.holdout import Holdout
from recbench.machine import keep_freed_memory
from recbench.metric import RankedLists, metric
from recbench.model import Context


def classic(model: str, options: dict[str, Any], data: SimpleNamespace, folder: Path) -> Contestant:
    """A model of recbench; its lists are those of an evaluation, ties drawn."""
    keep_freed_memory()  # as a run does
    cls = registry.find("model", model).load()
    trained, train, holdout = cls(cls.Params(**options)), dataset_of(data), asked(data)

    def lists(answer: RankedLists) -> np.ndarray:
        lists_UK = np.full((len(data.test), K), -1, np.int64)
        lists_UK[holdout.queries.user] = answer.items_QK
        return lists_UK

    return Contestant(lambda: trained.fit(train, Context(seed=1)), lambda: rank(trained, holdout, K), lists)


def dataset_of(data: SimpleNamespace) -> Dataset:
    """The pairs as a training set, one a second."""
    info = DatasetInfo("pairs", "the training pairs of a board", "order", "", "")
    n_users, place_N = len(data.test), np.arange(len(data.user))
    log = Interactions.sorted(data.user, data.item, place_N, n_users=n_users, n_items=data.n_items)
    return Dataset(info, log, np.arange(n_users), np.arange(data.n_items), None)


def asked(data: SimpleNamespace) -> Holdout:
    """One question a user, at the end of its pairs; what was met may not be recommended."""
    order = np.argsort(data.user, kind="stable")
    end_U = np.cumsum(np.bincount(data.user, minlength=len(data.test)))
    user_Q = np.flatnonzero(data.test >= 0)
    rows = [Ragged(c, np.r_[0, end_U[:-1]], end_U).take(user_Q) for c in (data.item[order], np.zeros_like(order))]
    ask_Q, everything = np.full(len(user_Q), len(order)), np.ones(data.n_items, bool)
    queries = Queries(user_Q, ask_Q, rows[0], rows[1], rows[1], rows[1], everything, False)
    return Holdout(queries, Ragged(data.test, user_Q, user_Q + 1))


def write(name: str, path: Path) -> None:
    """The pairs that the leave-last-out board of a data plugin fits on, and the item that it asks each user for."""
    from recbench.prepared import load
    from recbench.split import split

    source = registry.find("data", name).load()
    board = next((b for b in source.boards if b.split == "leave_last_out"), None)
    if board is None:
        raise SystemExit(f"classic: data={name} has no leave-last-out board; give data that has one")
    parts = split(load(source(source.Params(**board.data_params))), board)
    log, queries = parts.refit.interactions, parts.test.queries
    _, first = np.unique(log.user.astype(np.int64) * log.n_items + log.item, return_index=True)
    first.sort()  # a pair once, in the order of time
    test_U = np.full(log.n_users, -1, np.int64)
    test_U[queries.user] = parts.test.truth.values[parts.test.truth.start]
    np.savez(path, user=log.user[first], item=log.item[first], test=test_U, n_items=np.int64(log.n_items))


def simulate(path: Path, n_items: int, n_users: int, length: int, n_asked: int) -> None:
    """A sparse log: each user meets about `length` items, item i with a probability falling like 1 / sqrt(i + 1)."""
    rng = np.random.default_rng(0)
    item_N = (n_items * rng.random(n_users * length) ** 2).astype(np.int64)
    pair = np.unique(np.repeat(np.arange(n_users), length) * n_items + item_N)
    test_U = np.where(np.arange(n_users) < n_asked, rng.integers(n_items, size=n_users), -1)
    np.savez(path, user=pair // n_items, item=pair % n_items, test=test_U, n_items=np.int64(n_items))


def ndcg(lists_UK: np.ndarray, test_U: np.ndarray) -> float:
    """NDCG of anybody's lists over the users who are asked, by recbench's metric."""
    asked_U = test_U >= 0
    items_QK, test_Q = lists_UK[asked_U].astype(np.int32), test_U[asked_U]
    place_QK, one_QK = np.tile(np.arange(K), (len(items_QK), 1)), np.ones(items_QK.shape, np.int64)
    hit_QK = (items_QK == test_Q[:, None]).astype(np.int64)
    lists = RankedLists(items_QK, -place_QK.astype(np.float32), place_QK, one_QK, hit_QK, one_QK[:, 0])
    nobody: Any = None
    return float(metric(f"ndcg@{K}", "ranking")(lists, nobody).mean())
