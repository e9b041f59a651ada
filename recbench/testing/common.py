"""Checks every kind of plugin shares: a light import and declared parameters."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from typing import Any

from recbench.errors import RecbenchError
from recbench.params import Params

Check = Callable[[Any], None]  # of a plugin class; AssertionError says in one line what is wrong
HEAVY = ("torch", "lightning", "pytorch_lightning", "pandas", "scipy", "sklearn", "lightgbm", "optuna", "wandb")

_SCRIPT = """
import importlib, json, sys
sys.path[:] = json.loads(sys.argv[2])
before = set(sys.modules)
importlib.import_module(sys.argv[1])
print("HEAVY " + json.dumps([m for m in json.loads(sys.argv[3]) if m in sys.modules and m not in before]))
"""


def loads_light(cls: Any) -> None:
    """Importing the class brings in no heavy library: listing plugins and --help stay fast."""
    if cls.__module__ == "__main__":
        return
    heavy, error = _imported_alone(cls.__module__, tuple(p for p in sys.path if isinstance(p, str)))
    assert not error, f"{cls.__name__}: module {cls.__module__} cannot be imported alone: {error}"
    assert not heavy, (
        f"{cls.__name__}: importing {cls.__module__} imports {heavy}; import it inside the method that uses it"
    )


@cache
def _imported_alone(module: str, path: tuple[str, ...]) -> tuple[str, str]:
    """The heavy libraries that a module brings into a fresh process, and why it cannot be imported, each in words."""
    arguments = [module, json.dumps(path), json.dumps(HEAVY)]
    done = subprocess.run([sys.executable, "-c", _SCRIPT, *arguments], capture_output=True, text=True, timeout=120)
    if done.returncode:
        return "", (done.stderr.strip().splitlines()[-1:] or ["no message"])[0]
    line = next(line for line in done.stdout.splitlines() if line.startswith("HEAVY "))
    return ", ".join(json.loads(line.removeprefix("HEAVY "))), ""


def params_declared(cls: Any) -> None:
    """Every parameter has a meaning and a default in its range; `small`, where given, is legal."""
    params = cls.Params
    declared = isinstance(params, type) and issubclass(params, Params) and "__dataclass_fields__" in vars(params)
    assert declared, f"{cls.__name__}: Params must be a dataclass: a subclass of Params under @dataclass(frozen=True)"
    for f in dataclasses.fields(params):
        assert f.metadata.get("meaning"), (
            f"{cls.__name__}: parameter {f.name} needs a meaning: {f.name} = param(..., 'What it does.')"
        )
        bounded = f.metadata.get("choices") or (
            f.metadata.get("low") is not None and f.metadata.get("high") is not None
        )
        numeric = isinstance(f.default, int | float) and not isinstance(f.default, bool)
        assert not (f.metadata.get("tune") and numeric and not bounded), (
            f"{cls.__name__}: tuned parameter {f.name} needs low and high"
        )
    try:
        params()
        params(**getattr(cls, "small", {}))
    except (RecbenchError, TypeError) as error:
        raise AssertionError(f"{cls.__name__}: a default or a value of `small` is not legal: {error}") from error


def documented(cls: Any) -> None:
    """The class says in one line what it is: `show` prints it."""
    assert (cls.__dict__.get("__doc__") or "").strip(), (
        f"{cls.__name__}: the class needs a docstring; its first line is what `show` prints"
    )
