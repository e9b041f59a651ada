"""What ranking, tie groups, metrics and intervals cost, each beside what nobody can save, in turn in one run.

    OMP_NUM_THREADS=1 python benchmarks/evaluation.py [--users 22363] [--items 12101] [--repeats 3] [--large]

Prints CPU seconds, the least of the repeats, and ratios:
- scores alone: a model that draws its scores, beside drawing them and finding each row's largest. Once all different,
  once mostly tied at zero as neighbour models give them.
- transformer: width 64, 2 blocks, histories of 8 items on average, beside hand loops of the same network: forward,
  matmul, mask by index, torch.topk, 1,024 users a batch, as they come and sorted by length.
- metrics alone: 100,000 users and lists of 100.
- with --large: 200 users of a catalogue of 1 million items, and the memory it takes.
"""

from __future__ import annotations

import argparse
import resource
import time
from types import SimpleNamespace
from typing import Any

import numpy as np

from recbench.data import Interactions, Queries, Ragged
from recbench.dataset import Dataset, DatasetInfo
from recbench.evaluate import measure, rank
from recbench.holdout import Holdout
from recbench.metric import RankedLists, metric
from recbench.model import Recommender

LABELS = ("ndcg@10", "ndcg@5", "hit-rate@10", "recall@10", "precision@10", "f1@10", "mrr@10", "map@10", "gini@10")
LONG = ("ndcg@10", "ndcg@100", "recall@10", "recall@100", "mrr@10", "mrr@100")


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
    """Histories of 4 items and more, 8 on average, as in amazon-beauty; one right answer each."""
    rng = np.random.default_rng(0)
    ends = np.cumsum(3 + rng.geometric(1 / 5, n_users))
    rows = Ragged(rng.integers(n_items, size=ends[-1]), np.r_[0, ends[:-1]], ends)
    truth = Ragged(rng.integers(n_items, size=n_users), np.arange(n_users), np.arange(1, n_users + 1))
    everything, times = np.ones(n_items, bool), np.zeros(n_users, np.int64)
    return Holdout(Queries(np.arange(n_users), times, rows, rows, rows, rows, everything, False), truth)


def in_turn(repeats: int, **calls) -> dict[str, float]:
    """The least CPU seconds of each call, all of them called one after another, `repeats` times."""
    spent: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(repeats):
        for name, call in calls.items():
            begun = time.process_time()
            call()
            spent[name].append(time.process_time() - begun)
    return {name: min(seconds) for name, seconds in spent.items()}


def transformer(n_items: int) -> Any:
    """An untrained one: what it costs to answer does not depend on what was learned."""
    item, user = np.arange(n_items), np.zeros(n_items, np.int32)
    log = Interactions.sorted(user, item, item, n_users=1, n_items=n_items)
    info = DatasetInfo("made up", "every item once", "order", "MIT", "here")
    import torch
    from recbench_sequential.transformer import Transformer

    torch.manual_seed(0)
    model: Any = Transformer(Transformer.Params(dim=64, blocks=2, heads=2, max_length=50))
    model.n_items, model.facts = n_items, {}
    model.net = model.network(Dataset(info, log, user[:1], item, None)).eval()
    return model


def hand_loop(model: Any, queries: Queries) -> None:
    """Top 10 of every query, as one writes it who needs no ties, no checks and no metrics."""
    import torch

    from recbench.neural.batches import question

    weights_ID, bias_I = model.net.item_vectors(), model.net.item_bias
    with torch.no_grad():
        for at in range(0, len(queries), 1024):
            part = queries.take(slice(at, at + 1024))
            scores_QI = model.net.last(question(part, model.params.max_length)) @ weights_ID.T
            if bias_I is not None:
                scores_QI += bias_I
            scores_QI[part.items.flat()] = -torch.inf
            scores_QI.topk(10)


def scores_alone(holdout: Holdout, repeats: int) -> None:
    n_items = holdout.queries.n_items
    train: Any = SimpleNamespace(n_items=n_items)
    metrics = [metric(label, "ranking") for label in LABELS]
    for name, share in (("all different", 1.0), ("0.5% above zero", 0.005)):
        model = Drawn(n_items, share)

        def limit(model=model) -> None:
            for first in range(0, len(holdout.queries), 330):
                model.score(holdout.queries.take(slice(first, first + 330))).max(axis=1)

        spent = in_turn(
            repeats, limit=limit, ours=lambda m=model: measure(rank(m, holdout, 10), holdout, metrics, train)
        )
        print(f"scores {name:16s} limit {spent['limit']:5.2f}   evaluation {spent['ours']:5.2f}", end="   ")
        print(f"ratio {spent['ours'] / spent['limit']:4.2f}")


def of_a_transformer(holdout: Holdout, repeats: int) -> None:
    model, queries = transformer(holdout.queries.n_items), holdout.queries
    in_order = queries.take(np.argsort(queries.items.lengths, kind="stable"))
    train: Any = SimpleNamespace(n_items=queries.n_items)
    metrics = [metric(label, "ranking") for label in LABELS]
    spent = in_turn(
        repeats,
        hand=lambda: hand_loop(model, queries),
        tight=lambda: hand_loop(model, in_order),
        lists=lambda: rank(model, holdout, 10),
        ours=lambda: measure(rank(model, holdout, 10), holdout, metrics, train),
    )
    print(f"transformer            hand loop {spent['hand']:5.2f}, sorted by length {spent['tight']:5.2f}", end="   ")
    print(f"lists {spent['lists']:5.2f}, with metrics and intervals {spent['ours']:5.2f}", end="   ")
    print(f"ratios {spent['ours'] / spent['hand']:4.2f}, {spent['ours'] / spent['tight']:4.2f}")


def metrics_alone(repeats: int, n_users: int = 100_000, k: int = 100) -> None:
    rng = np.random.default_rng(0)
    place_QK, one_QK = np.tile(np.arange(k), (n_users, 1)), np.ones((n_users, k), np.int64)
    right_QK = np.zeros_like(one_QK)
    right_QK[np.arange(n_users), rng.integers(k, size=n_users)] = rng.random(n_users) < 0.5
    columns = (place_QK.astype(np.int32), -place_QK.astype(np.float32), place_QK, one_QK, right_QK, one_QK[:, 0])
    metrics, nobody = [metric(label, "ranking") for label in LONG], Any
    spent = in_turn(repeats, ours=lambda: [m(answers, nobody) for answers in [RankedLists(*columns)] for m in metrics])  # type: ignore[arg-type]
    print(f"metrics                {n_users} users, lists of {k}, {', '.join(LONG)}: {spent['ours']:.3f}")


def large() -> None:
    holdout, model = asked(200, 1_000_000), transformer(1_000_000)
    rank(model, holdout.take(slice(0, 1)), 10)
    before, begun = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    rank(model, holdout, 10)
    more = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    print(f"1 million items        200 users: {time.process_time() - begun:5.2f}, {more:.0f} MB beyond one user's")


def main() -> None:
    options = argparse.ArgumentParser()
    options.add_argument("--users", type=int, default=22_363)
    options.add_argument("--items", type=int, default=12_101)
    options.add_argument("--repeats", type=int, default=3)
    options.add_argument("--large", action="store_true")
    given = options.parse_args()
    holdout = asked(given.users, given.items)
    print(f"{given.users} users, {given.items} items, {len(LABELS)} metrics with intervals; CPU seconds")
    scores_alone(holdout, given.repeats)
    of_a_transformer(holdout, given.repeats)
    metrics_alone(given.repeats)
    if given.large:
        large()


if __name__ == "__main__":
    main()
