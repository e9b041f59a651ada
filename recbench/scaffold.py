"""Writes the files of a new plugin: a package of its own that passes the conformance kit as it stands."""

from __future__ import annotations

import keyword
import re
from pathlib import Path

import recbench
from recbench.errors import RecbenchError, nearest
from recbench.templates import PYPROJECT, SOURCES, TEST


def new_plugin(kind: str, name: str, folder: Path, task: str = "ranking") -> list[Path]:
    """Write the package of a new plugin into `folder`, which must not exist, and name its files.

    RecbenchError where kind or task is unknown, the name is not lower-case words with dashes, or the folder exists.
    """
    folder = Path(folder)
    if kind not in SOURCES:
        raise RecbenchError(f"kind must be one of {', '.join(SOURCES)}; given {kind!r}{nearest(kind, SOURCES)}")
    tasks = SOURCES[kind]
    if task not in tasks:
        raise RecbenchError(
            f"the task of a new {kind} must be one of {', '.join(tasks)}; given {task!r}{nearest(task, tasks)}"
        )
    if not re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", name):
        raise RecbenchError(f"name must be lower-case words with dashes, such as my-{kind}; given {name!r}")
    if folder.exists():
        raise RecbenchError(f"folder {folder} exists; choose another, nothing was written")
    words = _words(kind, name, task)
    files = {"pyproject.toml": PYPROJECT.format(**words), f"test_{words['module']}.py": TEST.format(**words)}
    source = tasks[task].format(**words)
    if kind == "data":
        files |= {f"{words['module']}/__init__.py": source, f"{words['module']}/events.csv": _events()}
    else:
        files[f"{words['module']}.py"] = source
    for path, text in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text, encoding="utf-8")
    return [folder / path for path in sorted(files)]


def _words(kind: str, name: str, task: str) -> dict[str, str]:
    """What the templates need to know."""
    cls = "".join(word.capitalize() for word in name.split("-"))
    if cls in recbench.__all__ or keyword.iskeyword(cls):
        cls += {"model": "Model", "data": "Source", "metric": "Value"}[kind]
    module = f"recbench_{kind}_{name.replace('-', '_')}"
    wheel = f'packages = ["{module}"]' if kind == "data" else f'only-include = ["{module}.py"]'
    entry = f"{task}.{name}" if kind == "metric" else name
    return {"kind": kind, "name": name, "cls": cls, "module": module, "wheel": wheel, "entry": entry}


def _events() -> str:
    """Five users who walk around six items, one step a day, for twelve days."""
    rows = [f"user-{u},item-{(u + day) % 6},{1_700_000_000 + 86400 * day + u}" for day in range(12) for u in range(5)]
    return "\n".join(["user,item,time", *rows]) + "\n"
