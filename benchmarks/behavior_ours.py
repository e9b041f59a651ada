"""recbench in benchmarks/behavior.py: the log that all learn from, and its models on their own road.

Letters: E events, N questions, Q questions answered, L history length.
"""

from __future__ import annotations

import ctypes
import statistics
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from behavior_rivals import EPOCHS, seconds
from classic_rivals import megabytes

from recbench import registry
from recbench.data import Interactions
from recbench.dataset import Dataset, DatasetInfo
from recbench.machine import keep_freed_memory
from recbench.model import Context, Recommender
from recbench.parts import DAY
from recbench.plan import Board
from recbench.questions import training_questions

INFO = DatasetInfo("clicks", "simulated", "seconds", "", "")
BOARD = Board(
    "clicks",
    "clicks",
    ("auc",),
    "auc",
    task="behavior",
    ask="each_event",
    behaviors=("like",),
    exposures=("view",),
    horizon_days=0.01,
    repeat="any",
    candidates="all",
    test_window_days=7,
    valid_window_days=7,
)


def clicks(n_views: int, n_users: int, n_items: int, n_categories: int) -> Dataset:
    """Views within 60 days, item i with a probability falling like 1 / sqrt(i + 1); of each user a third of the categories
    is liked where it is viewed."""
    rng = np.random.default_rng(0)
    user, item = rng.integers(n_users, size=n_views), (n_items * rng.random(n_views) ** 2).astype(np.int64)
    time_E = 1_700_000_000 + rng.integers(60 * DAY, size=n_views)
    liked = np.flatnonzero((item % n_categories + user) % 3 == 0)
    columns = [np.r_[c, c[liked]] for c in (user, item)]
    behavior = np.r_[np.zeros(n_views, np.int8), np.ones(len(liked), np.int8)]
    log = Interactions.sorted(
        *columns,
        np.r_[time_E, time_E[liked] + 30],
        behavior=behavior,
        behaviors=("view", "like"),
        n_users=n_users,
        n_items=n_items,
    )
    items = pd.DataFrame({"category": [f"c{i % n_categories}" for i in range(n_items)]})
    return Dataset(INFO, log, np.arange(n_users), np.arange(n_items), items)


def write(sizes: dict[str, int], length: int, path: Path) -> None:
    """The questions of the log as every contestant reads them."""
    data = clicks(**sizes)
    asked = training_questions(data, BOARD)
    queries, of_item = asked.queries, np.arange(sizes["n_items"]) % sizes["n_categories"] + 1
    _, starts = data.interactions.by_user()
    item_I = np.r_[0, of_item]
    history = queries.items.last(length)
    history = replace(history, values=history.values.astype(np.int64) + 1).padded(length, 0)
    moment = {"hour": queries.time // 3600 % 24, "weekday": queries.time // DAY % 7}
    met = {"user": queries.user, "item": queries.item + 1, "category": of_item[queries.item]}
    told = {"history": history, "history_category": item_I[history], "known": queries.items.lengths}
    line = {"line": queries.items.values.astype(np.int64) + 1, "first": starts, "category_of": item_I}
    arrays = {**met, **moment, **told, **line, "label": asked.outcomes[:, 0]}
    whole = {name: np.asarray(column, np.int64) for name, column in arrays.items()}
    counts = {name: np.int64(sizes[name]) for name in ("n_users", "n_items", "n_categories")}
    np.savez(path, **whole, **counts)


def params_of(model: str, shape: dict[str, Any]) -> dict[str, Any]:
    """The shape of all contestants as parameters of the model; what the rivals do not do is switched off."""
    equal = {
        "dim": shape["dim"],
        "width": shape["width"],
        "layers": shape["layers"],
        "dropout": shape["dropout"],
        "learning_rate": shape["rate"],
        "batch_size": shape["batch"],
        "max_length": shape["length"] if model == "din" else 0,
        "optimizer": "adam",
        "users": True,
        "statistics": False,
        "min_events": 1,
        "averaging": 0.0,
        "id_dropout": 0.0,
        "clip": 10.0,
        "embedding_l2": 1e-7,
    }
    return equal | ({"attention": shape["attention"]} if model == "din" else {})


def made(model: str, params: dict[str, Any]) -> Recommender:
    cls = registry.find("model", model).load()
    return cls(cls.Params(**params))


def training(model: str, shape: dict[str, Any], sizes: dict[str, int], shipped: bool) -> dict[str, float]:
    """CPU seconds of whole epochs as `report` tells them, and of making the batches of one."""
    from recbench_behavior.rows import Questions, loader

    data, stamps = clicks(**sizes), []
    own = {"batch_size": shape["batch"], "statistics": False} if shipped else params_of(model, shape)
    context = Context(seed=1, board=BOARD, report=lambda *_: stamps.append(time.process_time()))
    trained = made(model, own | {"epochs": 1 + EPOCHS})
    trained.fit(data, context)
    asked = training_questions(data, BOARD)
    questions = Questions(asked.queries, asked.outcomes, trained.params.max_length)
    batches = loader(questions, shape["batch"], 1, context.team)
    found = {"rows": len(questions), "cpu": statistics.median(np.diff(stamps))}
    return found | {"batches": seconds(lambda: [None for _ in batches])}


@contextmanager
def growth() -> Iterator[dict[str, float]]:
    """Fills in, at the end, how many MB of memory of its own, not of mapped files, the process came to hold more at most."""
    found: dict[str, float] = {}
    ctypes.CDLL(None).malloc_trim(0)  # what was freed before is no reserve
    begun, ended, most = megabytes("RssAnon"), threading.Event(), [0.0]

    def watch() -> None:
        while not ended.wait(0.02):
            most[0] = max(most[0], megabytes("RssAnon"))

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield found
    finally:
        ended.set()
        watcher.join()
        found["mb"] = max(most[0], megabytes("RssAnon")) - begun


def scoring(model: str, params: dict[str, Any], sizes: dict[str, int], n_asked: int) -> dict[str, float]:
    """CPU seconds and growing memory of answers to so many questions about a fitted log, drawn with their histories."""
    keep_freed_memory()  # as a run does
    data = clicks(**sizes)
    trained = made(model, params)
    trained.fit(data, Context(seed=1, board=BOARD))
    queries = training_questions(data, BOARD).queries
    queries = queries.take(np.random.default_rng(0).integers(len(queries), size=n_asked))
    trained.predict(queries.take(slice(0, 5000)))
    with growth() as found:
        found["cpu"] = seconds(lambda: trained.predict(queries))
    return {"asked": n_asked, "history": float(queries.items.lengths.mean())} | found


def log_file(path: Path, n_events: int, n_users: int, n_items: int) -> None:
    """A log of views and likes as a parquet file, in pieces."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = {"user_id": pa.int32(), "item_id": pa.int32(), "timestamp": pa.int64(), "event": pa.string()}
    with pq.ParquetWriter(path, pa.schema(list(columns.items()))) as writer:
        for number, at in enumerate(range(0, n_events, PIECE)):
            rng, n = np.random.default_rng(number), min(PIECE, n_events - at) // 5
            user, item = rng.integers(n_users, size=4 * n), (n_items * rng.random(4 * n) ** 2).astype(np.int64)
            moment = 1_700_000_000 + rng.integers(60 * DAY, size=4 * n)
            liked = np.argsort((item + user) % 50, kind="stable")[:n]
            cells = [np.r_[c, c[liked]] for c in (user, item)] + [np.r_[moment, moment[liked] + 30]]
            kinds = np.repeat(np.array(["view", "like"], object), [4 * n, n])
            table = dict(zip(columns, [*cells, kinds], strict=True))
            writer.write_table(pa.table(table, schema=writer.schema))


PIECE = 1_000_000  # rows written at once


def large(path: Path, params: dict[str, Any], n_events: int) -> dict[str, float]:
    """CPU seconds and growing memory from a mapped log to its split, and of an epoch of deepfm."""
    from recbench.prepared import load
    from recbench.split import split

    keep_freed_memory()  # as a run does
    source = registry.find("data", "file").load()
    data = load(source(source.Params(path=str(path))))
    import recbench.neural.training  # noqa: F401  (imports are no part of what grows)

    with growth() as cut:
        begun = time.process_time()
        parts = split(data, BOARD)
        cut["cpu"] = time.process_time() - begun
    trained = made("deepfm", params)
    with growth() as fit:
        fit["cpu"] = seconds(lambda: trained.fit(parts.train, Context(seed=1, board=BOARD)))
    rows = len(parts.train.interactions)
    told = {"events": n_events, "train": rows, "questions": len(training_questions(parts.train, BOARD).queries)}
    told |= {f"split_{k}": v for k, v in cut.items()} | {f"fit_{k}": v for k, v in fit.items()}
    return told | {"split_bytes": cut["mb"] * 2**20 / n_events, "fit_bytes": fit["mb"] * 2**20 / rows}
