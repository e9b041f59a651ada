"""What data are installed, and what the cache of prepared data tells of them without loading."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from recbench import prepared, registry
from recbench.dataset import Dataset, DatasetSource
from recbench.errors import RecbenchError, one_line
from recbench.fetch import cache_folder

GRAPHS = {"knowledge": "triples", "social": "friends"}


@dataclass(frozen=True)
class Facts:
    """What is known only once a data set was loaded."""

    events: int
    users: int
    items: int
    behaviors: tuple[str, ...]
    text: bool
    graphs: tuple[str, ...]

    @classmethod
    def of(cls, data: Dataset) -> Facts:
        """The facts of a loaded data set."""
        log, columns = data.interactions, () if data.items is None else tuple(data.items.columns)
        graphs = tuple(word for name, word in GRAPHS.items() if getattr(data, name) is not None)
        return cls(len(log), log.n_users, log.n_items, log.behaviors, "text" in columns, graphs)

    @classmethod
    def kept(cls, name: str) -> Facts | None:
        """The facts of the data set that was last used under this name, None where the cache has none."""
        name = re.sub(r"[^\w.-]", "_", name)
        whole = re.compile(re.escape(name) + "-[0-9a-f]{16}")
        try:
            entries = [entry for entry in (cache_folder() / "prepared").iterdir() if whole.fullmatch(entry.name)]
            entry = max(entries, key=lambda path: path.stat().st_mtime_ns)
            held = json.loads((entry / "meta.json").read_text())["dataset"]["fields"]
            log = held["interactions"]["fields"]
            n_events = len(np.load(entry / log["user"]["array"], mmap_mode="r"))
            n_users, n_items = log["n_users"]["value"], log["n_items"]["value"]
            columns = _columns(entry / held["items"]["table"]) if "table" in held["items"] else ()
            graphs = tuple(word for field, word in GRAPHS.items() if "table" in held[field])
            return cls(n_events, n_users, n_items, tuple(log["behaviors"]["words"]), "text" in columns, graphs)
        except (OSError, ValueError, KeyError):  # no entry, or a damaged one, which the next use prepares anew
            return None


def _columns(path: Path) -> Sequence[str]:
    import pyarrow as pa

    return pa.ipc.open_file(pa.memory_map(str(path))).schema.names


@dataclass(frozen=True)
class Listing:
    """By scenario a row of sizes a data set; by name what it holds and its terms; by other name an alias or a defect."""

    sizes: dict[str, list[dict[str, str]]]
    terms: list[tuple[str, str]]
    notes: list[tuple[str, str]]


def listing(load: bool = False) -> Listing:
    """All installed data sets by scenario and name, each once.

    `load` loads every set first, as its first use would; what cannot be had stays unknown.
    """
    found: dict[str, tuple[type[DatasetSource], Facts | None]] = {}
    notes = []
    for plugin in registry.plugins("data"):
        try:
            source = plugin.load()
            name = source.info.name
            if name not in found:
                found[name] = source, _loaded(source) if load else Facts.kept(name)
        except Exception as error:  # whatever is wrong with one plugin hurts no other
            notes.append((plugin.name, f"BROKEN: {error if isinstance(error, RecbenchError) else one_line(error)}"))
            continue
        if plugin.name != name:
            notes.append((plugin.name, f"another name for {name}"))
    sizes: dict[str, list[dict[str, str]]] = {}
    ordered = sorted(found.values(), key=lambda row: (row[0].info.scenario, row[0].info.name))
    for source, facts in ordered:
        sizes.setdefault(source.info.scenario, []).append(_sizes(source, facts))
    return Listing(sizes, [(source.info.name, _terms(source, facts)) for source, facts in ordered], notes)


def _loaded(source: type[DatasetSource]) -> Facts | None:
    params = source.boards[0].data_params if source.boards else {}
    try:
        return Facts.of(prepared.load(source(source.Params(**params))))
    except RecbenchError:
        return None


def _sizes(source: type[DatasetSource], facts: Facts | None) -> dict[str, str]:
    known = ("-",) * 5
    if facts is not None:
        numbers = (f"{n:,}" for n in (facts.events, facts.users, facts.items))
        known = (*numbers, "yes" if facts.text else "no", " ".join(facts.graphs) or "no")
    named = {"data": source.info.name, "clock": source.info.clock}
    return named | dict(zip(("events", "users", "items", "text", "graph"), known, strict=True))


def _terms(source: type[DatasetSource], facts: Facts | None) -> str:
    boards = ", ".join(board.name for board in source.boards) or "none"
    behaviors = f"{', '.join(facts.behaviors)}. " if facts else ""
    return f"{behaviors}Boards: {boards}. Licence: {source.info.licence}."
