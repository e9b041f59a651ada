"""Checks every kind of plugin shares: a light import and declared parameters."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from typing import Any

from recbench.errors import RecbenchError

HEAVY = ("torch", "lightning", "pytorch_lightning", "pandas", "scipy", "sklearn", "optuna", "wandb")

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
    arguments = [cls.__module__, json.dumps([p for p in sys.path if isinstance(p, str)]), json.dumps(HEAVY)]
    done = subprocess.run([sys.executable, "-c", _SCRIPT, *arguments], capture_output=True, text=True, timeout=120)
    tail = done.stderr.strip().splitlines()[-1:] or ["no message"]
    assert done.returncode == 0, f"{cls.__name__}: module {cls.__module__} cannot be imported alone: {tail[0]}"
    line = next(line for line in done.stdout.splitlines() if line.startswith("HEAVY "))
    heavy = ", ".join(json.loads(line.removeprefix("HEAVY ")))
    assert not heavy, (
        f"{cls.__name__}: importing {cls.__module__} imports {heavy}; import it inside the method that uses it"
    )


def params_declared(cls: Any) -> None:
    """Every parameter has a meaning and a default in its range; `small`, where given, is legal."""
    assert dataclasses.is_dataclass(cls.Params), f"{cls.__name__}: Params must be a dataclass"
    for f in dataclasses.fields(cls.Params):
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
        cls.Params()
        cls.Params(**getattr(cls, "small", {}))
    except (RecbenchError, TypeError) as error:
        raise AssertionError(f"{cls.__name__}: a default or a value of `small` is not legal: {error}") from error


def documented(cls: Any) -> None:
    """The class says in one line what it is: `show` prints it."""
    assert (cls.__dict__.get("__doc__") or "").strip(), (
        f"{cls.__name__}: the class needs a docstring; its first line is what `show` prints"
    )
