"""What a value holds, array by array: shows what a call changed, or where two loads differ."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np


def snapshot(value: Any, *path: str) -> dict[str, Any]:
    """Copies of everything inside a dataclass of arrays and tables, each under its dotted path."""
    if dataclasses.is_dataclass(value):
        inner = (snapshot(getattr(value, f.name), *path, f.name) for f in dataclasses.fields(value))
        return {name: part for found in inner for name, part in found.items()}
    if hasattr(value, "columns"):
        return {".".join((*path, str(column))): value[column].copy() for column in value.columns}
    return {".".join(path): np.array(value)}


def changed(before: dict[str, Any], after: dict[str, Any]) -> str:
    """The paths that differ, or that only one of the two has, in words; empty where all is the same."""
    names = sorted(before.keys() | after.keys())
    return ", ".join(n for n in names if n not in before or n not in after or not _same(before[n], after[n]))


def _same(a: Any, b: Any) -> bool:
    if hasattr(a, "equals"):  # a table's column: missing values are equal, whatever its type
        return a.equals(b)
    return np.array_equal(a, b, equal_nan=a.dtype.kind == "f")
