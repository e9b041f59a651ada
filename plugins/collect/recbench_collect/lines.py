"""What the plugins that read lines share: which files, their lines with numbers, blocks of rows, and the data set.

Letters: E events, I items.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from recbench.dataset import Dataset, DatasetSource
from recbench.errors import RecbenchError
from recbench.ingest import Cleaned, Cleaning, Columns, Quarantine
from recbench.params import param


@dataclass(frozen=True)
class LineParams(Cleaning):
    """Where the lines are, beside the rules of cleaning."""

    path: str = param("", "File, plain or .gz or .zst, or a folder of them.")


@dataclass(frozen=True)
class Row:
    """One event or search with its place in the input; `roles` as in `Columns`."""

    file: str
    line: int
    raw: str
    roles: dict[str, Any]


def files_of(source: DatasetSource) -> list[Path]:
    """The files that `data.path` stands for, by name; RecbenchError where there is none."""
    name, given = source.info.name, source.params.path
    if not given:
        raise RecbenchError(f"data={name} needs data.path=FILE or data.path=FOLDER")
    path = Path(given).expanduser()
    found = [path] if path.is_file() else sorted(p for p in path.glob("*") if p.is_file() and p.name[0] not in "._")
    if not found:
        raise RecbenchError(f"data={name}: no file at data.path={given}")
    return found


def lines_of(paths: Iterable[Path], digest: Any) -> Iterator[tuple[str, int, str]]:
    """File name, line number and text of every line that is not blank; `digest` is fed the unpacked content."""
    from recbench.reading.sources import Layout, text_blocks

    for path in paths:
        for first, block in text_blocks(path, Layout(), digest):
            for number, line in enumerate(block.split(b"\n")[:-1], first):
                if line.strip():
                    yield path.name, number, line.decode("utf-8", "backslashreplace").rstrip("\r")


def quarantine_of(source: DatasetSource) -> Quarantine:
    """The place of a source's broken lines, told apart by all that decides which they are."""
    key = json.dumps([asdict(source.params), [str(path.resolve()) for path in files_of(source)]])
    return Quarantine(source.info.name, key, source.params.max_broken)


def blocks_of(rows: list[Row]) -> Iterator[Columns]:
    """The rows as blocks, one a file; a role that a row has not is None there."""
    names = list(dict.fromkeys(name for row in rows for name in row.roles))
    files: dict[str, list[Row]] = {}
    for row in rows:
        files.setdefault(row.file, []).append(row)
    for file, mine in files.items():
        columns = {name: [row.roles.get(name) for row in mine] for name in names}
        raws = [row.raw for row in mine]
        yield Columns(columns, file, np.array([row.line for row in mine]), raws.__getitem__)


def dataset_of(
    source: DatasetSource, cleaned: Cleaned, dropped: Counter[str], checksum: str, items: Any = None, users: Any = None
) -> Dataset:
    """The data set of cleaned rows; `dropped` counts the lines that are no event, by what they are instead."""
    counts = cleaned.cleaning | {f"dropped: {reason}": n for reason, n in dropped.items() if n}
    return Dataset(
        replace(source.info, clock=cleaned.clock),
        cleaned.log,
        cleaned.user_ids,
        cleaned.item_ids,
        items,
        users,
        cleaned.context,
        checksum=checksum,
        cleaning=counts,
    )
