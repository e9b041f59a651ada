"""Plugins by kind and name, from entry points; nothing is imported before it is chosen."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from recbench.errors import PluginError, nearest, one_line

KINDS = ("model", "data", "metric", "command")


@dataclass(frozen=True)
class Plugin:
    """An installed plugin; `load()` imports its class."""

    kind: str
    name: str
    distribution: str
    version: str
    entry_point: EntryPoint

    def load(self) -> Any:
        """The plugin's class; PluginError names the distribution and the cause where it cannot be imported."""
        try:
            return self.entry_point.load()
        except (Exception, SystemExit) as error:
            raise PluginError(
                f"{self.kind}={self.name} from {self.distribution} {self.version} ({self.entry_point.value}) "
                f"cannot be loaded: {one_line(error)}"
            ) from error

    @property
    def meaning(self) -> str:
        """The first line of the class's docstring."""
        return (self.load().__doc__ or "").strip().split("\n")[0]


@cache
def plugins(kind: str) -> tuple[Plugin, ...]:
    """Every plugin of a kind, sorted by name and distribution. RECBENCH_PLUGINS=a,b limits it to these distributions."""
    only = [name.strip() for name in os.environ.get("RECBENCH_PLUGINS", "").split(",") if name.strip()]
    found = {
        (entry.name, entry.dist.name): Plugin(kind, entry.name, entry.dist.name, entry.dist.version, entry)
        for entry in entry_points(group=f"recbench.{kind}")
        if entry.dist is not None and (not only or entry.dist.name in only)
    }
    return tuple(found[key] for key in sorted(found))


def names(kind: str) -> list[str]:
    """The installed names of a kind, sorted."""
    return sorted({plugin.name for plugin in plugins(kind)})


def find(kind: str, name: str) -> Plugin:
    """The plugin called `name` or `distribution/name`; PluginError where there is none or more than one."""
    distribution, _, short = name.rpartition("/")
    matches = [p for p in plugins(kind) if p.name == short and distribution in ("", p.distribution)]
    if not matches:
        known = ", ".join(names(kind)) or "none"
        raise PluginError(f"{kind}={name} is not installed{nearest(short, names(kind)) or '.'} Installed: {known}")
    if len(matches) > 1:
        owners = " and ".join(f"{p.distribution} {p.version}" for p in matches)
        choice = f"{kind}={matches[0].distribution}/{short}"
        raise PluginError(f"{kind}={name} is claimed by {owners}; choose one, for instance {choice}")
    return matches[0]
