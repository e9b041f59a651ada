"""What data are installed, and what they hold, told without loading."""

from __future__ import annotations

from dataclasses import dataclass

from recbench import prepared, registry
from recbench.dataset import DatasetSource, Holds
from recbench.errors import RecbenchError, one_line


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
    found: dict[str, tuple[type[DatasetSource], Holds | None]] = {}
    notes = []
    for plugin in registry.plugins("data"):
        try:
            source = plugin.load()
            name = source.info.name
            if name not in found:
                found[name] = source, _loaded(source) if load else source.info.holds
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


def _loaded(source: type[DatasetSource]) -> Holds | None:
    params = source.boards[0].data_params if source.boards else {}
    try:
        return Holds.of(prepared.load(source(source.Params(**params))))
    except RecbenchError:
        return None


def _sizes(source: type[DatasetSource], facts: Holds | None) -> dict[str, str]:
    known = ("-",) * 5
    if facts is not None:
        numbers = (f"{n:,}" for n in (facts.n_events, facts.n_users, facts.n_items))
        known = (*numbers, "yes" if facts.text else "no", " ".join(facts.graphs) or "no")
    named = {"data": source.info.name, "clock": source.info.clock}
    return named | dict(zip(("events", "users", "items", "text", "graph"), known, strict=True))


def _terms(source: type[DatasetSource], facts: Holds | None) -> str:
    boards = ", ".join(board.name for board in source.boards) or "none"
    behaviors = f"{', '.join(facts.behaviors)}. " if facts else ""
    return f"{behaviors}Boards: {boards}. Licence: {source.info.licence}."
