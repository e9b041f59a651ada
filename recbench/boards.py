"""Boards by name, as installed data plugins declare them, or from a YAML file of the user's."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from recbench import registry
from recbench.errors import RecbenchError, nearest, one_line
from recbench.plan import Board


def boards() -> dict[str, Board]:
    """Every board that an installed data plugin declares, by name; broken plugins hurt nobody else."""
    found: dict[str, Board] = {}
    for plugin in registry.plugins("data"):
        try:
            found |= {b.name: b for b in plugin.load().boards}
        except RecbenchError:
            continue
    return found


def board(name: str) -> Board:
    """The board called `name`, or the one in a YAML file; RecbenchError with the nearest names."""
    if name.endswith((".yaml", ".yml")):
        return _board_file(Path(name))
    known = boards()
    if name not in known:
        raise RecbenchError(
            f"board={name} is unknown{nearest(name, known) or '.'} Installed: {', '.join(sorted(known)) or 'none'}, or a YAML file"
        )
    return known[name]


def _board_file(path: Path) -> Board:
    import yaml

    if not path.is_file():
        raise RecbenchError(f"board={path}: no such file")
    try:
        fields: Any = yaml.safe_load(path.read_text())
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise RecbenchError(f"board={path} is not readable YAML ({one_line(error)})") from error
    if not isinstance(fields, dict):
        raise RecbenchError(f"board={path} must hold the fields of a board, as name: value")
    names = [f.name for f in dataclasses.fields(Board)]
    for name in fields:
        if name not in names:
            raise RecbenchError(
                f"board={path} has no field '{name}'{nearest(str(name), names) or '.'} It has: {', '.join(names)}"
            )
    missing = [n for n in ("name", "data", "metrics", "headline") if n not in fields]
    if missing:
        raise RecbenchError(f"board={path} lacks {', '.join(missing)}; compare python -m recbench show board=NAME")
    values: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in fields.items()}
    return Board(**values)
