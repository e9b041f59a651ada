"""One road to the columns of every kind of file, and to a table of items.

Letters: I items.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from recbench.errors import RecbenchError
from recbench.reading import delimited, records
from recbench.reading.convert import ids_of
from recbench.reading.delimited import Wanted
from recbench.reading.policy import Columns
from recbench.reading.quarantine import Quarantine
from recbench.reading.roles import ITEM_NAMES, TEXTS, bare, fitting
from recbench.reading.sources import Layout, format_of
from recbench.reading.table import coded

if TYPE_CHECKING:
    import pandas as pd


def names_of(path: Path, layout: Layout) -> list[str]:
    """The names of a table's columns."""
    if format_of(path) == "parquet":
        return records.names_of_parquet(path)
    return records.names_of_lines(path, layout) if format_of(path) == "lines" else delimited.header(path, layout)[0]


def blocks_of(
    paths: Sequence[Path], wanted: Wanted, layout: Layout, quarantine: Quarantine, digest: Any = None
) -> Iterator[Columns]:
    """The wanted columns of all files in turn; RecbenchError where a later file lacks one."""
    for path in paths:
        kind = format_of(path)
        lacking = {column for column, _ in wanted.values()} - set(names_of(path, layout))
        if lacking and not (kind == "lines" and path is not paths[0]):
            raise RecbenchError(f"{path} has no column {', '.join(sorted(lacking))}, which {paths[0].name} has")
        if kind == "parquet":
            yield from records.parquet(path, wanted, quarantine, digest)
        else:
            read = records.lines if kind == "lines" else delimited.blocks
            yield from read(path, wanted, layout, quarantine, digest)


def described(
    blocks: Iterator[Columns], id_column: str, texts: Sequence[str], item_ids: NDArray, quarantine: Quarantine
) -> tuple[pd.DataFrame, dict[str, int]]:
    """A table of items aligned with `item_ids` (I,), its text made of the columns `texts`, and what was counted.

    The first row of an item counts. `title`, `price` and `category` are named so where the names are clear.
    """
    columns: dict[str, list[pa.Array]] = {}
    for block in blocks:
        quarantine.seen(len(block))
        for name, values in block.columns.items():
            columns.setdefault(name, []).append(values)
    quarantine.done()
    ids, code = coded([ids_of(chunk) for chunk in columns.pop(id_column, ())] or [pa.array([], pa.int64())])
    if not len(ids):
        raise RecbenchError(
            f"data={quarantine.name}: the table of items names no item; there should be one in {id_column}"
        )
    table = pa.table({name: _alike(chunks) for name, chunks in columns.items()}).to_pandas()
    known, first = np.unique(code, return_index=True)
    first = first[known >= 0]
    row_I = _rows(ids, first, item_ids)
    counts = {
        "items: rows read": quarantine.n_rows,
        **{f"items: quarantined: {reason}": n for reason, n in quarantine.counts.most_common()},
        "items: rows without an id": int((code < 0).sum()),
        "items: rows of an item that had one": int((code >= 0).sum() - len(first)),
        "items: without an event, not kept": len(first) - int((row_I >= 0).sum()),
        "items: with an event, but without a row": int((row_I < 0).sum()),
    }
    aligned = table.take(np.maximum(row_I, 0)).reset_index(drop=True)
    aligned = (
        aligned.where(np.broadcast_to((row_I >= 0)[:, None], aligned.shape), None) if (row_I < 0).any() else aligned
    )
    return _named(aligned, texts), {step: n for step, n in counts.items() if n}


def _rows(ids: NDArray, first: NDArray, item_ids: NDArray) -> NDArray:
    """(I,) the row that describes an item, -1 where none does."""
    if ids.dtype.kind != item_ids.dtype.kind:
        ids, item_ids = ids.astype(str), item_ids.astype(str)
    order = np.argsort(ids)
    at = np.minimum(np.searchsorted(ids, item_ids, sorter=order), len(ids) - 1)
    return np.where(ids[order[at]] == item_ids, first[order[at]], -1)


def _alike(chunks: Sequence[pa.Array]) -> pa.ChunkedArray:
    """Blocks of one attribute; as text where they differ in type."""
    kinds = {chunk.type for chunk in chunks}
    return pa.chunked_array(chunks if len(kinds) == 1 else [chunk.cast(pa.string()) for chunk in chunks])


def _named(table: pd.DataFrame, texts: Sequence[str]) -> pd.DataFrame:
    """With `text`, and the usual attributes under their usual names."""
    texts = texts or [column for word in TEXTS[0].split() for column in table.columns if bare(column) == word]
    if texts:
        parts = table[list(texts)].astype(object)
        text = parts.where(parts.notna(), "").astype(str).agg(" ".join, axis=1).str.strip()
        table = table.assign(text=text)
    for name, usual in ITEM_NAMES.items():
        clear = fitting(list(table.columns), usual)
        if len(clear) == 1 and name not in table.columns:
            table = table.rename(columns={clear[0]: name})
    return table
