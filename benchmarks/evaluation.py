"""How much ranking, tie groups, metrics and intervals cost beside making and reading the scores once.

    OMP_NUM_THREADS=1 python benchmarks/evaluation.py [--users 22000] [--items 12000]

Prints CPU seconds and the ratio to the limit: writing the scores and finding each row's largest, which nobody can save.
Two kinds of scores: all different, and mostly tied at zero as neighbour models give them.
"""

from __future__ import annotations

import argparse
import time
from types import SimpleNamespace
from typing import Any

import numpy as np

from recbench.data import Queries, Ragged
from recbench.evaluate import measure, rank
from recbench.holdout import Holdout
from recbench.metric import metric
from recbench.model import Recommender

LABELS = ("ndcg@10", "ndcg@5", "hit-rate@10", "recall@10", "precision@10", "f1@10", "mrr@10", "map@10", "gini@10")


class Drawn(Recommender):
    """Scores drawn anew for each chunk; with `share` of them above zero, the rest tied at zero."""

    def __init__(self, n_items: int, share: float) -> None:
        super().__init__()
        self.n_items, self.share = n_items, share

    def fit(self, train, context) -> None: ...

    def score(self, queries):
        rng = np.random.default_rng(int(queries.user[0]))
        scores_QI = rng.random((len(queries), self.n_items), np.float32)
        return scores_QI if self.share == 1 else np.where(scores_QI < self.share, scores_QI, np.float32(0))


def asked(n_users: int, n_items: int) -> Holdout:
    rng = np.random.default_rng(0)
    rows = Ragged(rng.integers(n_items, size=9 * n_users), 9 * np.arange(n_users), 9 * np.arange(1, n_users + 1))
    truth = Ragged(rng.integers(n_items, size=n_users), np.arange(n_users), np.arange(1, n_users + 1))
    everything = np.ones(n_items, bool)
    times = np.zeros(n_users, np.int64)
    return Holdout(Queries(np.arange(n_users), times, rows, rows, rows, rows, everything, False), truth)


def seconds(call) -> float:
    begun = time.process_time()
    call()
    return time.process_time() - begun


def main() -> None:
    options = argparse.ArgumentParser()
    options.add_argument("--users", type=int, default=22_000)
    options.add_argument("--items", type=int, default=12_000)
    given = options.parse_args()
    holdout = asked(given.users, given.items)
    train: Any = SimpleNamespace(n_items=given.items)
    metrics = [metric(label, "ranking") for label in LABELS]
    print(f"{given.users} users, {given.items} items, {len(LABELS)} metrics with intervals; CPU seconds")
    for name, share in (("all different", 1.0), ("0.5% above zero", 0.005)):
        model = Drawn(given.items, share)

        def limit(model=model) -> None:
            for first in range(0, given.users, 1333):
                model.score(holdout.queries.take(slice(first, first + 1333))).max(axis=1)

        def whole(model=model) -> None:
            measure(rank(model, holdout, 10), holdout, metrics, train)

        floor, taken = seconds(limit), seconds(whole)
        print(f"{name:18s} limit {floor:5.2f}   evaluation {taken:5.2f}   ratio {taken / floor:4.1f}")


if __name__ == "__main__":
    main()
