"""A parameter is declared once: default, meaning, range and search space, read by everyone.

Hydra reads the types, `__post_init__` the ranges, tuning the space, the docs the table, the entry the values.
"""

from __future__ import annotations

import dataclasses
import math
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Self

from recbench.errors import RecbenchError, nearest

NEVER = object()  # no value: of a parameter that every entry has


def param(
    default: Any,
    meaning: str,
    *,
    low: float | None = None,
    high: float | None = None,
    choices: tuple[str, ...] | None = None,
    log: bool = False,
    tune: bool = False,
    unit: str = "",
    formerly: Any = NEVER,
    task: str = "",
) -> Any:
    """A field of a `Params` dataclass.

    `low` and `high` are inclusive and bound both the legal range and the search space; `log` searches on a log scale;
    `tune` puts the parameter into the default search space; `choices` lists the legal words. `formerly`, of one that is
    younger than the plugin's first entries: the value at which all is as it was before (`plain`). `task`: of one that says
    something on boards of this task alone, so that it is searched only there.
    """
    meta = {"meaning": meaning, "low": low, "high": high, "choices": choices, "log": log, "tune": tune, "unit": unit}
    meta["task"] = task
    return field(default=default, metadata=meta | ({} if formerly is NEVER else {"formerly": formerly}))


@dataclass(frozen=True)
class Params:
    """Base of every plugin's parameters; checks each value when it is made, also from Python."""

    def __post_init__(self) -> None:
        for f in dataclasses.fields(self):
            object.__setattr__(self, f.name, checked(type(self), f.name, getattr(self, f.name)))

    def as_dict(self) -> dict[str, Any]:
        """Its `plain` values."""
        return plain(self)

    @classmethod
    def of(cls, told: Mapping[str, Any]) -> Self:
        """The parameters that `as_dict` told of; what a user gives goes to the class, where what is missing is at its default."""
        return cls(**(_formerly(cls) | {name: checked(cls, name, value) for name, value in told.items()}))


def plain(value: Any) -> dict[str, Any]:
    """The fields of a dataclass as plain values, ready for JSON, without those that are as they were `formerly`: what was
    hashed or stored before there were such fields stays equal."""
    past = _formerly(type(value))
    return {k: v for k, v in dataclasses.asdict(value).items() if k not in past or v != past[k]}


def _formerly(cls: type) -> dict[str, Any]:
    return {f.name: f.metadata["formerly"] for f in dataclasses.fields(cls) if "formerly" in f.metadata}


@cache
def types_of(cls: type[Params]) -> dict[str, tuple[type, bool]]:
    """Field name -> (plain type, whether None is allowed)."""
    found = {}
    for name, hint in typing.get_type_hints(cls).items():
        arguments = typing.get_args(hint) if isinstance(hint, types.UnionType) or typing.get_origin(hint) else (hint,)
        plain = [a for a in arguments if a is not type(None)]
        found[name] = (plain[0], len(plain) < len(arguments))
    return found


def allowed(f: dataclasses.Field) -> str:
    """The legal values of a field in words, empty where anything of its type is legal."""
    meta = f.metadata
    if meta.get("choices"):
        return ", ".join(meta["choices"])
    low, high = meta.get("low"), meta.get("high")
    if low is None and high is None:
        return ""
    return f"{'-inf' if low is None else _plain(low)} to {'inf' if high is None else _plain(high)}"


def _plain(bound: float) -> str:
    """Whole numbers in full, others in the shortest form."""
    return str(int(bound)) if float(bound).is_integer() else f"{bound:g}"


def checked(cls: type[Params], name: str, value: Any, owner: str = "") -> Any:
    """The value in the declared type; RecbenchError names the parameter, the value and what is allowed.

    `owner` is how the user addressed it ("model=ease"); Python callers get the class's name.
    """
    fields = {f.name: f for f in dataclasses.fields(cls)}
    owner = owner or cls.__name__
    if name not in fields:
        known = ", ".join(fields) or "none"
        raise RecbenchError(f"{owner} has no parameter '{name}'{nearest(name, fields) or '.'} It has: {known}")
    kind, optional = types_of(cls)[name]
    if value is None and optional:
        return None
    converted = _convert(value, kind)
    if converted is None and fields[name].metadata.get("choices"):
        converted = value  # refused below, with the list of what is allowed
    if converted is None:
        raise RecbenchError(f"{owner}: {name} must be {_article(kind)}; given {value!r}")
    meta = fields[name].metadata
    low, high, choices = meta.get("low"), meta.get("high"), meta.get("choices")
    wrong_word = choices is not None and converted not in choices
    wrong_size = (low is not None and converted < low) or (high is not None and converted > high)
    if wrong_word or wrong_size or (kind is float and math.isnan(converted)):
        hint = nearest(str(value), choices) if choices else ""
        what = "one of " if choices else "in "
        raise RecbenchError(f"{owner}: {name} must be {what}{allowed(fields[name])}; given {value!r}{hint}")
    return converted


def _convert(value: Any, kind: type) -> Any:
    """The value as `kind`, or None where that would lose or invent something."""
    if kind is bool:
        return {"true": True, "false": False}.get(str(value).lower())
    if isinstance(value, bool):
        return None
    try:
        if kind is int:
            return int(value) if float(value) == int(float(value)) else None
        if kind is float:
            return float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return value if isinstance(value, kind) else None


def _article(kind: type) -> str:
    return {int: "a whole number", float: "a number", bool: "true or false", str: "text"}.get(kind, kind.__name__)


def table(cls: type[Params]) -> list[dict[str, str]]:
    """One row a parameter: name, default, allowed, search space, meaning; what `show` and the docs print."""
    rows = []
    for f in dataclasses.fields(cls):
        meta = f.metadata
        space = ""
        if meta.get("tune"):
            space = allowed(f) or ("true, false" if types_of(cls)[f.name][0] is bool else "")
            space += " (log)" if meta.get("log") else ""
            space += f" (task {meta['task']})" if meta.get("task") else ""
        unit = f" [{meta['unit']}]" if meta.get("unit") else ""
        rows.append(
            {
                "name": f.name,
                "default": str(f.default),
                "allowed": allowed(f),
                "search": space,
                "meaning": meta.get("meaning", "") + unit,
            }
        )
    return rows
