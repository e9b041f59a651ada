"""recbench in benchmarks/sequential.py: its Transformer on its own road, from a plan to ranked lists, in the rivals' shape.

Letters: U users, Q queries, K list length, I items.
"""

from __future__ import annotations

import contextlib
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from recbench import registry, run
from recbench.data import Interactions
from recbench.dataset import Dataset
from recbench.evaluate import measure, rank
from recbench.metric import RankedLists, metric
from recbench.model import Context
from recbench.plan import Plan
from recbench.run import Prepared

K = 10


class Enough(Exception):
    """Ends a training that has shown what was asked."""


def plan_of(data: str, params: dict[str, Any]) -> Plan:
    """The Transformer on the leave-last-out board of a data plugin."""
    board = next(b for b in registry.find("data", data).load().boards if b.split == "leave_last_out")
    plugin, source = registry.find("model", "transformer"), registry.find("data", data).load()
    return Plan(
        board=board,
        on_board=True,
        data=data,
        data_params=source.Params(**board.data_params).as_dict(),
        model=plugin.name,
        model_params=plugin.load().Params(**params).as_dict(),
        distribution=plugin.distribution,
        version=plugin.version,
        seed=1,
    )


def params_of(shape: dict[str, Any]) -> dict[str, Any]:
    """The shape of all contestants as parameters of the Transformer; what the rivals do not do is switched off."""
    return {
        "dim": shape["width"],
        "blocks": shape["blocks"],
        "heads": shape["heads"],
        "feed_forward": shape["feed_forward"] // shape["width"],
        "dropout": shape["dropout"],
        "attention_dropout": shape["dropout"],
        "vector_dropout": 0.0,
        "scale_read": False,
        "item_bias": False,
        "max_length": shape["length"],
        "batch_size": shape["batch"],
        "learning_rate": shape["rate"],
        "optimizer": "adam",
        "clip": 0.0,
        "averaging": 0.0,
        "loss": shape["loss"],
        "negatives": shape["negatives"],
        "sampling": "uniform",
        "targets": "all",
        "target_days": 0.0,
    }


def newest(train: Dataset, events: int) -> Dataset:
    """The newest events of each user."""
    log = train.interactions
    order, start_U = log.by_user()
    keep = np.zeros(len(log), bool)
    keep[order[np.arange(len(log)) >= np.repeat(start_U[1:] - events, np.diff(start_U))]] = True
    return replace(train, interactions=log.where(keep))


def write(data: str, path: Path) -> None:
    """The histories, validation and test items of a board, as every contestant reads them."""
    parts = run.prepare(plan_of(data, {})).parts
    log: Interactions = parts.train.interactions
    order, start_U = log.by_user()
    if not all(np.array_equal(h.queries.user, np.arange(log.n_users)) for h in (parts.valid, parts.test)):
        raise SystemExit(f"data={data}: not every user has a validation and a test item")
    valid_U, test_U = (h.truth.values[h.truth.start] for h in (parts.valid, parts.test))
    arrays = {"items": log.item[order].astype(np.int64), "start": start_U, "valid": valid_U, "test": test_U}
    np.savez(path, **arrays, n_items=np.int64(log.n_items))


def training(data: str, shape: dict[str, Any], epochs: int, folder: Path, **options: Any) -> dict[str, float]:
    """CPU seconds of whole epochs as `report` tells them, checkpoints included, and of ranking all items for all users.
    `options`: precision and compile, as a run has them.
    """
    import recbench.neural.training  # noqa: F401  (imports are no part of the first epoch)

    plan = plan_of(data, params_of(shape) | {"epochs": epochs})
    prepared = run.prepare(plan)
    train = newest(prepared.parts.train, shape["length"] + 1)
    cls = registry.find("model", plan.model).load()
    log = train.interactions
    few = replace(train, interactions=log.where(log.user < shape["batch"]))
    cls(cls.Params.of(plan.model_params | {"epochs": 1})).fit(few, Context())
    stamps = [time.process_time()]
    context = Context(seed=1, folder=folder / "select", report=lambda *_: stamps.append(time.process_time()), **options)
    model = cls(cls.Params.of(plan.model_params))
    model.fit(train, context)
    laps = np.diff(stamps)
    steps = -(-int((np.bincount(log.user) > 0).sum()) // shape["batch"])
    cpu = float(np.median(laps[1:] if len(laps) > 1 else laps))
    found = {"targets": len(log), "steps": steps, "cpu": cpu, "ms": 1000 * cpu / steps, "begin": laps[0] - cpu}
    return found | ranking(model, prepared)


def ranking(model: Any, prepared: Prepared) -> dict[str, float]:
    """CPU seconds of all users' lists with the headline, and of all other metrics with their intervals."""
    holdout, train = prepared.parts.test, prepared.parts.train
    begun = time.process_time()
    lists = rank(model, holdout, K)
    ndcg = float(metric(f"ndcg@{K}", "ranking")(lists, train).mean())
    ranked = time.process_time()
    measure(lists, holdout, prepared.metrics, train)
    return {"ranking": ranked - begun, "ndcg": ndcg, "measuring": time.process_time() - ranked}


def first(data: str, shape: dict[str, Any], folder: Path, since: float) -> dict[str, float]:
    """From the command to the end of the first training step, by the command line's own main()."""
    from recbench import cli
    from recbench.neural.training import Watch

    def stop(*_: Any) -> None:
        found.update(cpu=time.process_time(), seconds=time.time() - since)
        raise Enough

    found: dict[str, float] = {}
    Watch.on_train_batch_end = stop
    board = plan_of(data, {}).board
    words = [f"model.{name}={value}" for name, value in params_of(shape).items()]
    words += [f"data={data}", f"board={board.name}", "model=transformer", f"out={folder}", "trainer.threads=1"]
    with contextlib.suppress(Enough):
        cli.main(words)
    return found


def reach(data: str, params: dict[str, Any], goal: float, limit: float, folder: Path) -> dict[str, float]:
    """CPU seconds from nothing to the epoch whose validation NDCG@10 is the goal, with these parameters."""
    plan, box = plan_of(data, params | {"epochs": 1000}), SimpleNamespace(best=0.0, epochs=0)

    class Judge:
        def start(self, *_: Any) -> None: ...

        def log(self, step: int, values: dict[str, float]) -> None:
            box.best, box.epochs = max(box.best, values["headline"]), step
            if box.best >= goal or time.process_time() > limit:
                raise Enough

    prepared = run.prepare(plan)
    with contextlib.suppress(Enough):
        run.select(plan, run.Surroundings(out=folder, trackers=[Judge()]), prepared)  # type: ignore[list-item]
    return {"cpu": time.process_time(), "valid": box.best, "epochs": box.epochs, "reached": box.best >= goal}


def metrics(users: int = 100_000, length: int = 100, n_items: int = 27_000) -> dict[str, float]:
    """CPU seconds of NDCG, recall and MRR at 10 and 100 on lists with one right answer a user, half of them found."""
    rng = np.random.default_rng(0)
    items_QK = rng.integers(n_items, size=(users, length)).astype(np.int32)
    place_Q = np.where(rng.random(users) < 0.5, rng.integers(length, size=users), length)
    relevant_QK = (np.arange(length) == place_Q[:, None]).astype(np.int64)
    scores_QK = np.broadcast_to(np.linspace(1, 0, length, dtype=np.float32), items_QK.shape)
    start_QK = np.broadcast_to(np.arange(length), items_QK.shape)
    lists = RankedLists(items_QK, scores_QK, start_QK, np.ones_like(relevant_QK), relevant_QK, np.ones(users, np.int64))
    asked = [metric(f"{name}@{k}", "ranking") for name in ("ndcg", "recall", "mrr") for k in (10, 100)]
    train: Any = SimpleNamespace(n_items=n_items)
    begun = time.process_time()
    for one in asked:
        one(lists, train).mean()
    return {"cpu": time.process_time() - begun}
