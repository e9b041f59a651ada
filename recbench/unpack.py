"""Archives of strangers are taken apart safely: no path outside the folder, no link, no device, no bomb."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import shutil
import stat
import tarfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import IO, Any

from recbench.errors import one_line

CHUNK_BYTES = 1 << 20
MOST_MEMBERS = 100_000
MOST_RATIO = 200  # tables of text stay below 50
FREE_BYTES = 16 << 20  # what any archive may hold, however small it is itself
PACKED: dict[bytes, Any] = {b"\x1f\x8b": gzip.open, b"BZ": bz2.open, b"\xfd7": lzma.open}
TOO_MUCH = "it unpacks to more than it may hold"


def zip_member(archive: Path, member: str, limit_bytes: int) -> bytes:
    """The bytes of one file of a zip; OSError where it is absent, no plain file, too large or damaged."""
    with _one(archive, member) as stream:
        return b"".join(_chunks(stream, _allowed(archive, limit_bytes)))


def extract(archive: Path, member: str, target: Path, limit_bytes: int) -> None:
    """Write one file of a zip to `target`, which is gone after an OSError as in `zip_member`."""
    try:
        with _one(archive, member) as stream, target.open("wb") as out:
            for chunk in _chunks(stream, _allowed(archive, limit_bytes)):
                out.write(chunk)
    except OSError:
        target.unlink(missing_ok=True)
        raise


def unpack(archive: Path, folder: Path, limit_bytes: int) -> None:
    """Write all files of a zip or tar into `folder`, which must be absent or empty and appears whole.

    OSError where the archive is damaged, unpacks to more than `limit_bytes` or 200 times its size, or where a member
    leaves the folder, comes twice, or is a link or a device.
    """
    temporary = folder.with_name(f"{folder.name}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    members, seen, left_bytes = _zip if zipfile.is_zipfile(archive) else _tar, set(), _allowed(archive, limit_bytes)
    try:
        with _damage(archive):
            for name, is_folder, stream in members(archive, limit_bytes):
                path = temporary / _inside(name)
                if path in seen or len(seen) == MOST_MEMBERS:
                    raise OSError(f"{name!r} comes twice" if path in seen else f"more than {MOST_MEMBERS} members")
                seen.add(path)
                (path if is_folder else path.parent).mkdir(parents=True, exist_ok=True)
                if not is_folder:
                    with path.open("xb") as out:
                        for chunk in _chunks(stream, left_bytes):
                            left_bytes -= out.write(chunk)
        os.rename(temporary, folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


@contextmanager
def _damage(archive: Path) -> Iterator[None]:
    """Whatever goes wrong inside is an OSError that names the archive: readers of archives raise a dozen classes."""
    try:
        yield
    except Exception as error:
        text = str(error) if type(error) is OSError else one_line(error)
        raise OSError(f"{archive.name}: {text}") from error


@contextmanager
def _one(archive: Path, member: str) -> Iterator[IO[bytes]]:
    with _damage(archive), zipfile.ZipFile(archive) as opened:
        found = [info for info in opened.infolist() if info.filename == member]
        if len(found) != 1:
            raise OSError(f"{member!r} comes twice" if found else f"it holds no {member!r}")
        if _is_folder(found[0]):
            raise OSError(f"{member!r} is a folder")
        with opened.open(found[0]) as stream:
            yield stream


def _zip(archive: Path, limit_bytes: int) -> Iterator[tuple[str, bool, Any]]:
    """(name, whether it is a folder, its bytes) of each member."""
    with zipfile.ZipFile(archive) as opened:
        for info in opened.infolist():
            is_folder = _is_folder(info)
            with opened.open(info) as stream:
                yield info.filename, is_folder, stream


def _is_folder(info: zipfile.ZipInfo) -> bool:
    kind = stat.S_IFMT(info.external_attr >> 16)
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise OSError(f"{info.filename!r} is a link or a device")
    return info.is_dir()


def _tar(archive: Path, limit_bytes: int) -> Iterator[tuple[str, bool, Any]]:
    """As `_zip`; read as a stream, since already the headers may be a bomb."""
    with archive.open("rb") as raw:
        bounded: Any = _Bounded(raw, archive, limit_bytes)
        with tarfile.open(fileobj=bounded, mode="r|") as opened:
            for info in opened:
                if not (info.isreg() or info.isdir()):
                    raise OSError(f"{info.name!r} is a link or a device")
                yield info.name, info.isdir(), opened.extractfile(info)


class _Bounded:
    """Reads what a packed file holds, and no more than it may."""

    def __init__(self, raw: io.BufferedReader, archive: Path, limit_bytes: int) -> None:
        packed = PACKED.get(raw.peek(2)[:2])
        self.left_bytes = _allowed(archive, limit_bytes) + FREE_BYTES  # of headers and padding
        self.stream: Any = packed(raw) if packed else raw

    def read(self, n_bytes: int) -> bytes:
        chunk = self.stream.read(n_bytes)
        self.left_bytes -= len(chunk)
        if self.left_bytes < 0:
            raise OSError(TOO_MUCH)
        return chunk


def _allowed(archive: Path, limit_bytes: int) -> int:
    return min(limit_bytes, max(FREE_BYTES, MOST_RATIO * archive.stat().st_size))


def _chunks(stream: Any, left_bytes: int) -> Iterator[bytes]:
    """The bytes of a member as they really come: a header may claim anything."""
    while chunk := stream.read(CHUNK_BYTES):
        left_bytes -= len(chunk)
        if left_bytes < 0:
            raise OSError(TOO_MUCH)
        yield chunk


def _inside(name: str) -> PurePosixPath:
    """The path of a member below its folder; OSError where it would lie elsewhere, on any system."""
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or "\\" in name or "\0" in name or PureWindowsPath(name).drive:
        raise OSError(f"{name!r} lies outside the folder")
    return path
