"""Frames in memory to blocks of columns."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from recbench.errors import RecbenchError
from recbench.reading.delimited import Wanted
from recbench.reading.policy import Columns
from recbench.reading.records import ROWS, from_arrow
from recbench.reading.typed import plain


def pandas_of(frame: Any, what: str) -> pd.DataFrame:
    """A frame of any library with a way to pandas, its columns named by text; RecbenchError where it is none."""
    found = frame.to_pandas() if hasattr(frame, "to_pandas") else frame
    if not isinstance(found, pd.DataFrame):
        raise RecbenchError(f"from_frame needs {what} as a data frame; given {type(frame).__name__}")
    if not len(found):
        raise RecbenchError(f"from_frame: the frame of {what} is empty")
    named = found.rename(columns=str).reset_index(drop=True)
    twice = named.columns[named.columns.duplicated()].tolist()
    if twice:
        raise RecbenchError(f"from_frame: the frame of {what} has more than one column {', '.join(twice)}; rename them")
    return named


def blocks(frame: pd.DataFrame, wanted: Wanted, name: str) -> Iterator[Columns]:
    """The wanted columns, block after block; a row's number, from 1 on, is its line."""
    before: dict[str, pa.DataType] = {}
    for start in range(0, len(frame), ROWS):
        part = frame.iloc[start : start + ROWS]
        columns = {}
        for column, kind in wanted.values():
            try:
                columns[column] = pa.array(part[column], from_pandas=True) if kind == "any" else plain(part[column])
            except (pa.ArrowInvalid, pa.ArrowTypeError, TypeError) as error:
                if kind != "any":
                    raise RecbenchError(f"from_frame: column {column} cannot be used: {error}") from error
                columns[column] = plain([None if v is None else str(v) for v in part[column]])
        yield from_arrow(pa.table(columns), wanted, name, start + 1, before)


def digest_of(frame: pd.DataFrame) -> str:
    """SHA-256 of the values, column by column."""
    digest = hashlib.sha256("\n".join(frame.columns).encode())
    for column in frame.columns:
        values = frame[column]
        known = values.notna().to_numpy()
        digest.update(known.tobytes())
        if values.dtype.kind in "iufbM":
            digest.update(np.ascontiguousarray(values.to_numpy()).tobytes())
        else:
            digest.update("\n".join(values[known].astype(str)).encode("utf-8", "surrogatepass"))
    return digest.hexdigest()
