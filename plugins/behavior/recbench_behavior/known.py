"""The training part as files, for models whose inputs are counted from it anew for each question.

Letters: E events.
"""

from __future__ import annotations

import io
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from recbench.data import Interactions
from recbench.dataset import Dataset, DatasetInfo, Holds
from recbench.entry import write_atomically

COLUMNS = ("user", "item", "time", "behavior", "value")
ARRAYS, TOLD = "known.npz", "known.json"


def save_known(folder: Path, known: Dataset) -> None:
    """The log as npz; its table of items and what else a `Dataset` needs as JSON, without graphs, users and searches."""
    log, buffer = known.interactions, io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **{name: getattr(log, name) for name in COLUMNS})
    table = None if known.items is None else {str(name): _plain(known.items[name]) for name in known.items}
    told = {"info": asdict(known.info), "behaviors": log.behaviors, "n_users": log.n_users, "n_items": log.n_items}
    write_atomically(folder / ARRAYS, buffer.getbuffer())
    write_atomically(folder / TOLD, json.dumps(told | {"items": table}))


def load_known(folder: Path) -> Dataset:
    """What `save_known` left, with row numbers for ids."""
    import pandas as pd

    told = json.loads((folder / TOLD).read_text())
    with np.load(folder / ARRAYS, allow_pickle=False) as arrays:
        columns = {name: arrays[name] for name in COLUMNS}
    n_users, n_items = told["n_users"], told["n_items"]
    log = Interactions(**columns, behaviors=tuple(told["behaviors"]), n_users=n_users, n_items=n_items)
    info = told["info"]
    holds = info.pop("holds")
    if holds is not None:
        holds = Holds(**holds | {"behaviors": tuple(holds["behaviors"]), "graphs": tuple(holds["graphs"])})
    table = None if told["items"] is None else pd.DataFrame(told["items"])
    return Dataset(DatasetInfo(**info, holds=holds), log, np.arange(n_users), np.arange(n_items), table)


def _plain(cells: Any) -> list[Any]:
    """The cells of a column as JSON can hold them."""
    return [cell.tolist() if isinstance(cell, np.ndarray | np.generic) else cell for cell in cells]
