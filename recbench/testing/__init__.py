"""The conformance kit: every check a plugin must pass, and the tiny worlds they run on. Names load when used."""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from recbench.testing import worlds
    from recbench.testing.kit import checks, run_checks

_HOME = {"checks": "kit", "run_checks": "kit"}
__all__ = ["checks", "run_checks", "worlds"]


def __getattr__(name: str):
    if name == "worlds":
        return importlib.import_module("recbench.testing.worlds")
    if name not in _HOME:
        raise AttributeError(f"module 'recbench.testing' has no attribute {name!r}")
    return getattr(importlib.import_module(f"recbench.testing.{_HOME[name]}"), name)
