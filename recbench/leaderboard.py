"""Entries of one protocol, averaged over seeds, ranked and rendered; the files are the truth, the page is a view."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from recbench.entry import Entry, write_atomically
from recbench.errors import RecbenchError, one_line
from recbench.params import plain
from recbench.plan import Board, digest

KEY = r"\b[0-9a-f]{12}\b"
NOTED = {  # columns of what models tell beside scores, where a row of the board has them: title and place in `Entry.notes`
    "language model": ("language", "model"),
    "met the data": ("language", "contamination"),
    "tokens": ("language", "tokens"),
    "tokens/CPU s": ("tokens_per_cpu_second",),
    "CPU s per 1,000 users": ("cpu_seconds_per_1000_users",),
    "invalid": ("invalid",),
    "duplicates": ("duplicates",),
}


@dataclass(frozen=True)
class Row:
    """Entries equal in board, model, distribution, version and parameters: means over their seeds."""

    model: str
    entries: tuple[Entry, ...]

    def mean(self, label: str) -> float:
        return float(np.mean([e.scores[label]["value"] for e in self.entries]))

    @property
    def merit(self) -> float:
        """The mean headline where higher is better, else its negative."""
        label = self.entries[0].headline
        return -self.mean(label) if self.lower_is_better(label) else self.mean(label)

    def lower_is_better(self, label: str) -> bool:
        return self.entries[0].scores[label].get("better") == "lower"

    def interval(self, label: str) -> tuple[float, float] | None:
        """Mean over seeds of the bootstrap bounds over users; seeds share the users."""
        bounds = [(e.scores[label]["low"], e.scores[label]["high"]) for e in self.entries]
        if any(low is None for low, _ in bounds):
            return None
        return float(np.mean([low for low, _ in bounds])), float(np.mean([high for _, high in bounds]))


def rows(entries: list[Entry]) -> list[Row]:
    """Entries grouped into rows, best headline first.

    Where a parameter names a run of this board by its key, as a blend of it does, the run stands for its row if it has the
    entry's own seed: a blend of each seed of a model is one row, and so is what names these blends.
    """
    run_of = {e.key: e for e in entries}

    def row_of(entry: Entry) -> str:
        def stands(key: re.Match[str]) -> str:
            run = run_of.get(key[0])
            return row_of(run) if run is not None and run.seed == entry.seed else key[0]

        params = {p: re.sub(KEY, stands, v) if isinstance(v, str) else v for p, v in _decisive(entry).items()}
        return digest([entry.model, entry.distribution, entry.version, params])

    groups: dict[str, list[Entry]] = {}
    for entry in sorted(entries, key=lambda e: e.seed):
        groups.setdefault(row_of(entry), []).append(entry)
    found = [Row(group[0].model, tuple(group)) for group in groups.values()]
    return sorted(found, key=lambda row: (-row.merit, row.model))


def labels(ordered: list[Row]) -> list[str]:
    """The model of each row, and behind it the parameters that tell it from other rows of the model.

    Those that the row's own sweep searched are left out where the others tell the rows apart.
    """
    told = []
    for row in ordered:
        params = _decisive(row.entries[0])
        known = [_decisive(r.entries[0]) for r in ordered if r.model == row.model]
        differ = {name: params[name] for name in params if any(other.get(name) != params[name] for other in known)}
        searched = {name for entry in row.entries for trial in entry.tuning for name in trial["params"]}
        told.append((_label(row, {n: v for n, v in differ.items() if n not in searched}), _label(row, differ)))
    short = [label for label, _ in told]
    return [label if short.count(label) == 1 else long for label, long in told]


def _label(row: Row, params: dict[str, Any]) -> str:
    return " ".join([row.model, *(f"{name}={value}" for name, value in params.items())])


def _decisive(entry: Entry) -> dict[str, Any]:
    """What tells a model's rows apart: its parameters, and how its probabilities were bent where they were."""
    bent = entry.chosen.get("calibration", "none")
    return entry.params | ({} if bent == "none" else {"calibration": bent})


def ranks(ordered: list[Row]) -> list[str]:
    """Rank of each row; a row whose interval reaches the mean of the row that opened the rank shares it, marked '='."""
    out, leader, rank = [], None, 0
    for position, row in enumerate(ordered, 1):
        label = row.entries[0].headline
        reach = row.interval(label)
        best = None if reach is None else -reach[0] if row.lower_is_better(label) else reach[1]
        if leader is None or best is None or best < leader.merit:
            leader, rank = row, position
        out.append(rank)
    return [f"{r}=" if out.count(r) > 1 else str(r) for r in out]


def read(folder: Path) -> list[Entry]:
    """Every entry in a board's folder."""
    return [Entry.read(path) for path in sorted(folder.glob("*.json")) if path.name != "board.json"]


def submit(entry: Entry, board: Board, root: Path) -> Path:
    """Copy an entry into `root/BOARD/` and render the page; RecbenchError names the difference of a mixed protocol."""
    folder = root / board.name
    if not entry.on_board:
        raise RecbenchError(
            f"this run left the protocol of board {board.name} (data.* was changed); run without those overrides to submit"
        )
    frozen = folder / "board.json"
    protocol = {
        "board": plain(board),
        "data_checksum": entry.data_checksum,
        "split_fingerprint": entry.split_fingerprint,
    }
    protocol = json.loads(json.dumps(protocol))
    if frozen.is_file():
        _refuse_mixture(_frozen(frozen), protocol, folder)
    else:
        write_atomically(frozen, json.dumps(protocol, indent=2, sort_keys=True) + "\n")
    write_atomically(folder / f"{entry.model}-{entry.key}.json", entry.to_json())
    write_atomically(folder / "README.md", page(board, read(folder)))
    return folder


def _frozen(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text())
        return {name: found[name] for name in ("board", "data_checksum", "split_fingerprint")}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RecbenchError(
            f"{path} is not a frozen protocol ({one_line(error)}); restore it from version control"
        ) from error


def _refuse_mixture(frozen: dict[str, Any], given: dict[str, Any], folder: Path) -> None:
    for name in (f.name for f in fields(Board)):
        if name != "meaning" and frozen["board"].get(name) != given["board"].get(name):
            raise RecbenchError(
                f"{folder} is frozen with {name}={frozen['board'].get(name)!r}; this run has {given['board'].get(name)!r}: "
                "give the board a new name or version"
            )
    for name in ("data_checksum", "split_fingerprint"):
        if frozen[name] != given[name]:
            raise RecbenchError(
                f"{folder} is frozen with another {name} ({frozen[name][:12]}, this run {given[name][:12]}): the data differ"
            )


def table(entries: list[Entry], mine: str = "", shown: Sequence[str] = ()) -> list[dict[str, Any]]:
    """The board as plain rows; `mine` is the key of the run to mark, `shown` the metrics to show; none: all."""
    ordered = rows(entries)
    out = []
    for rank, name, row in zip(ranks(ordered), labels(ordered), ordered, strict=True):
        first = row.entries[0]
        cells: dict[str, Any] = {
            "rank": rank,
            "model": name + (" (this run)" if mine in [e.key for e in row.entries] else ""),
        }
        for label in shown or first.scores:
            reach = row.interval(label)
            spread = f" [{reach[0]:.4f}, {reach[1]:.4f}]" if reach and label == first.headline else ""
            cells[label] = f"{row.mean(label):.4f}{spread}"
        cells |= {
            "seeds": len(row.entries),
            "tuned": "yes" if first.tuning else "no",
            "fit s": f"{np.mean([e.seconds['fit'] for e in row.entries]):.1f}",
            "MB": f"{max(e.peak_memory_mb for e in row.entries):.0f}",
        }
        out.append(cells | {title: noted(row, place) for title, place in NOTED.items()})
    empty = [title for title in NOTED if all(cells[title] == "" for cells in out)]
    return [{name: value for name, value in cells.items() if name not in empty} for cells in out]


def noted(row: Row, place: Sequence[str]) -> str:
    """What the entries of a row tell beside scores, numbers as their mean; empty where they tell nothing of the kind."""
    found = []
    for entry in row.entries:
        value: Any = entry.notes
        for name in place:
            value = value.get(name) if isinstance(value, dict) else None
        found.append(value)
    if any(value is None for value in found):
        return ""
    if all(isinstance(value, int | float) for value in found):
        return f"{np.mean(found):,.4g}" if max(found) < 1000 else f"{np.mean(found):,.0f}"
    return ", ".join(dict.fromkeys(map(str, found)))


def page(board: Board, entries: list[Entry]) -> str:
    """The board's page in Markdown, a function of the files alone."""
    lines = [f"# {board.name} (version {board.version})", "", board.meaning, ""]
    lines += [
        f"Data {board.data}, split {board.split}, ask {board.ask}, {_target(board)}, repeat {board.repeat}, fit on {board.fit_on}."
    ]
    lower = any(e.scores[e.headline].get("better") == "lower" for e in entries)
    lines += [
        f"Headline {board.headline}{', lower is better' if lower else ''}; 95% intervals by bootstrap over users; rows that "
        "share a rank (=) cannot be told apart from its first row.",
        "",
    ]
    if entries:
        for title, shown in _tables(board):
            cells = table(entries, shown=shown)
            lines += [f"## {title}", ""] if title else []
            lines += ["| " + " | ".join(cells[0]) + " |", "|" + " --- |" * len(cells[0])]
            lines += ["| " + " | ".join(str(value) for value in row.values()) + " |" for row in cells]
            lines += [""]
        if any("language" in e.notes for e in entries):
            lines += [
                "Met the data: whether the language model may have read the data set in its own training: known (it is "
                "published that it recites it), possible (it is public), unknown (the data are your own), none.",
                "",
            ]
        lines += ["Leakage of the split:", ""]
        lines += [f"- {name.replace('_', ' ')}: {value:.4g}" for name, value in entries[0].leakage.items()]
    return "\n".join(lines) + "\n"


def _target(board: Board) -> str:
    """What is asked about, in words."""
    if board.task != "behavior":
        return f"target {f'the next {board.next_k} in order' if board.ordered else board.target}"
    asked = f"about {', '.join(board.behaviors)}"
    asked += f" given {' or '.join(board.exposures)}" if board.exposures else ""
    hours = round(board.horizon_days * 24, 2)
    asked += (f" within {hours:g} hours" if hours else " at that moment") if board.ask == "each_event" else ""
    each = f"{board.n_negatives} for each pair that shows it" if board.n_negatives else ""
    return asked + (f", negatives {board.negatives}, {each}" if each else "")


def _tables(board: Board) -> list[tuple[str, Sequence[str]]]:
    """Title and metrics of each table: one, or where several behaviours are asked about one for all and for each."""
    if board.task != "behavior" or len(board.behaviors) < 2:
        return [("", ())]
    of = {name: [m for m in board.metrics if m.endswith(f"@{name}")] for name in board.behaviors}
    together = [m for m in board.metrics if not any(m in some for some in of.values())]
    return [("All together, the mean over behaviours", together), *of.items()]
