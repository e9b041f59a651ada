"""JSON lines, parquet and frames in memory to blocks of columns."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.json as pajson

from recbench.errors import RecbenchError
from recbench.reading.delimited import ENCODING, Wanted
from recbench.reading.policy import Columns
from recbench.reading.quarantine import Quarantine
from recbench.reading.sources import BLANK, UNKNOWN, Layout, is_text, n_ends, reading, text_blocks
from recbench.reading.typed import plain, typed

SAMPLE = 5000  # lines of JSON that show which columns there are
ROWS = 1 << 18  # rows of parquet taken apart at once
NO_OBJECT, NO_VALUE = "not one JSON object", "a value that is neither text nor number"


def names_of_lines(path: Path, layout: Layout) -> list[str]:
    """The keys of the first objects, in the order in which they come up; RecbenchError where there is no object."""
    names: dict[str, None] = {}
    _, block = next(text_blocks(path, layout))
    for line in islice(block.split(b"\n"), SAMPLE):
        found = _object(line)
        names |= dict.fromkeys(found) if isinstance(found, dict) else {}
    if not names:
        start = block[:40].decode("utf-8", "replace").strip()
        raise RecbenchError(f"{path} must hold one JSON object a line; it begins with {start!r}")
    return list(names)


def names_of_parquet(path: Path) -> list[str]:
    import pyarrow.parquet as pq

    with reading(path):
        return pq.ParquetFile(path).schema_arrow.names


def lines(path: Path, wanted: Wanted, layout: Layout, quarantine: Quarantine, digest: Any = None) -> Iterator[Columns]:
    """The wanted keys of JSON lines, block after block, in the types of `typed`; broken lines are in the quarantine."""
    types: dict[str, pa.DataType] = {}
    before: dict[str, pa.DataType] = {}
    for first, block in text_blocks(path, layout, digest):
        types = types or _types(block, wanted)
        columns = _fast(path.name, first, block, wanted, types, before) if is_text(block, layout) else None
        yield columns or _by_hand(path.name, first, block, wanted, layout, quarantine)


def _types(block: bytes, wanted: Wanted) -> dict[str, pa.DataType]:
    """Column -> how its values are written: whole numbers, numbers or text."""
    sample = [found for line in islice(block.split(b"\n"), 200) if isinstance(found := _object(line), dict)]
    types = {}
    for column, _ in wanted.values():
        kinds = {type(row[column]) for row in sample if row.get(column) is not None}
        whole = pa.int64() if kinds == {int} else pa.string()
        types[column] = pa.float64() if float in kinds and kinds <= {int, float} else whole
    return types


def _fast(
    file: str, first: int, block: bytes, wanted: Wanted, types: dict[str, pa.DataType], before: dict[str, pa.DataType]
) -> Columns | None:
    """The block by arrow, None where a line of it may be broken or a value is of another type than those before."""
    schema = pa.schema(types)
    try:
        table = pajson.read_json(
            pa.BufferReader(block),
            pajson.ReadOptions(use_threads=False, block_size=len(block) + 1),
            pajson.ParseOptions(explicit_schema=schema, unexpected_field_behavior="ignore"),
        )
    except pa.ArrowInvalid:
        return None
    if len(table) != n_ends(block):
        return None
    columns = from_arrow(table, wanted, file, first, before)
    return replace(columns, raw=lambda row: block.split(b"\n")[row].decode("utf-8", "backslashreplace"))


def _by_hand(file: str, first: int, block: bytes, wanted: Wanted, layout: Layout, quarantine: Quarantine) -> Columns:
    """The block line by line; a line that is broken goes to the quarantine."""
    fields: dict[str, list[str | None]] = {name: [] for name in wanted}
    numbers, raws, n_broken = [], [], 0
    for number, line in enumerate(block.split(b"\n")[:-1], first):
        if not line.strip(BLANK):
            continue
        raw, found = line.decode("utf-8", "backslashreplace"), _object(line)
        if layout.encoding and UNKNOWN in line:
            found = ENCODING
        values: Any = found
        if isinstance(found, dict):
            values = [_text(found.get(column), kind) for column, kind in wanted.values()]
        if isinstance(values, list) and any(value is NO_VALUE for value in values):
            values = NO_VALUE
        if isinstance(values, str):
            quarantine.add(file, number, values, raw)
            n_broken += 1
            continue
        numbers.append(number)
        raws.append(raw)
        for name, value in zip(fields, values, strict=True):
            fields[name].append(value)
    quarantine.seen(n_broken)
    columns = {name: typed(pa.array(values, pa.string()), wanted[name][1]) for name, values in fields.items()}
    return Columns(columns, file, np.array(numbers, np.int64), raws.__getitem__)


def _object(line: bytes) -> dict[str, Any] | str:
    """The object of a line, or what is wrong with it."""
    try:
        found = json.loads(line.decode())
        json.dumps(found, ensure_ascii=False).encode() if b"\\u" in line else None  # half a letter cannot be kept
    except UnicodeError:
        return ENCODING
    except (ValueError, RecursionError):
        return NO_OBJECT
    return found if isinstance(found, dict) else NO_OBJECT


def _text(value: Any, kind: str) -> str | None:
    """A value as text, exactly; a list, an object, true or false only where it is an attribute, else NO_VALUE."""
    if value is None or isinstance(value, str):
        return value
    if not isinstance(value, (bool, list, dict)):
        return repr(value)
    if kind != "any":
        return NO_VALUE
    if isinstance(value, list) and all(isinstance(v, str) for v in value):
        return ", ".join(value)
    return json.dumps(value, ensure_ascii=False, default=str)


def parquet(path: Path, wanted: Wanted, quarantine: Quarantine, digest: Any = None) -> Iterator[Columns]:
    """The wanted columns of a parquet file, block after block; RecbenchError where it does not hold what it promises."""
    import pyarrow.parquet as pq

    with reading(path):
        if digest is not None:
            with open(path, "rb") as file:
                while chunk := file.read(1 << 23):
                    digest.update(chunk)
        schema = pq.read_schema(path)
        text = {
            field.name for field in schema if pa.types.is_string(field.type) or pa.types.is_large_string(field.type)
        }
        words = sorted(text & {column for column, kind in wanted.values() if kind in ("id", "word")})
        table = pq.ParquetFile(path, page_checksum_verification=True, read_dictionary=words)
        done, before = 0, {}
        for batch in table.iter_batches(ROWS, columns=sorted({column for column, _ in wanted.values()})):
            yield from_arrow(batch, wanted, path.name, done + 1, before)
            done += len(batch)
        if done != table.metadata.num_rows:
            raise RecbenchError(
                f"{path} is damaged: {done} rows where {table.metadata.num_rows} are promised; restore it"
            )


def from_arrow(table: Any, wanted: Wanted, file: str, first: int, before: dict[str, pa.DataType]) -> Columns:
    """The wanted columns of an arrow table, in the types of `typed`; rows are numbered from `first` on.

    `before` keeps the types from one block to the next.
    """
    found = {}
    for name, (column, kind) in wanted.items():
        values = plain(_flat(table.column(column)) if kind == "any" else table.column(column))
        found[name] = typed(values, kind, before.get(name)) if values.type == pa.string() else values
        before[name] = found[name].type
    return Columns(found, file, first)


def _flat(column: Any) -> Any:
    """An attribute as it is, lists, objects and truths as text."""
    if pa.types.is_nested(column.type) or pa.types.is_boolean(column.type):
        return pa.array([_text(value, "any") for value in column.to_pylist()], pa.string())
    return column
