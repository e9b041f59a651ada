"""The cache folder, its locks, and the contents and checksums of files in it and elsewhere."""

from __future__ import annotations

import gzip
import hashlib
import json
import math
import os
import sys
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from recbench.errors import one_line

CHUNK_BYTES = 1 << 20
NOTED_BYTES = 1 << 20  # a smaller file is hashed faster than a note of it is kept
SETTLED_NS = 2_000_000_000  # a younger file may change once more and keep its date


def cache_folder() -> Path:
    """RECBENCH_CACHE, else recbench in the user's cache folder."""
    given = os.environ.get("RECBENCH_CACHE", "")
    home = os.environ.get("XDG_CACHE_HOME", "") or Path.home() / ".cache"
    return Path(given) if given else Path(home) / "recbench"


@contextmanager
def locked(path: Path, waiting: str = "") -> Iterator[None]:
    """Alone with `path` among all processes, its folder made; OSError where the cache cannot be written.

    `waiting` is told on stderr where another process has it for more than a second.
    """
    from filelock import FileLock, Timeout

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(path.with_name(f"{path.name}.lock"))
        try:
            lock.acquire(timeout=1 if waiting else -1)
        except Timeout:
            print(f"recbench: {waiting}", file=sys.stderr, flush=True)
            lock.acquire()
    except (OSError, NotImplementedError) as error:
        advice = "set RECBENCH_CACHE to a folder that can"
        raise OSError(f"the cache {cache_folder()} cannot be written: {one_line(error)}; {advice}") from error
    try:
        yield
    finally:
        lock.release()


def part_of(target: Path) -> Path:
    """Where a file lies while it is not whole."""
    return target.with_name(f"{target.name}.part")


def content(path: Path) -> bytes:
    """The bytes of a file, unpacked where its name ends in .gz; OSError where the packing is damaged."""
    with _opened(path) as stream:
        return stream.read()


def digest_of(path: Path, limit_bytes: float = math.inf) -> str:
    """SHA-256 of the content; OSError where the packing is damaged or holds more than `limit_bytes`."""
    digest, n_bytes = hashlib.sha256(), 0
    with _opened(path) as stream:
        while chunk := stream.read(CHUNK_BYTES):
            digest.update(chunk)
            n_bytes += len(chunk)
            if n_bytes > limit_bytes:
                raise OSError(f"the content is larger than the {limit_bytes} bytes that it may have")
    return digest.hexdigest()


def known_digest(path: Path) -> str:
    """`digest_of`, for a big file taken once as long as its size and date stay the same."""
    notes, name, stamp = cache_folder() / "digests.json", str(path.resolve()), _stamp(path)
    note = _read(notes).get(name)
    if isinstance(note, list) and note[:2] == stamp:
        return str(note[-1])
    found = digest_of(path)
    if stamp[0] >= NOTED_BYTES and time.time_ns() - stamp[1] > SETTLED_NS and _stamp(path) == stamp:
        with suppress(OSError), locked(notes):  # without the note it only takes longer
            current = {name: note for name, note in _read(notes).items() if os.path.exists(name)}
            part_of(notes).write_text(json.dumps(current | {name: [*stamp, found]}, indent=0))
            os.replace(part_of(notes), notes)
    return found


def _stamp(path: Path) -> list[int]:
    found = path.stat()
    return [found.st_size, found.st_mtime_ns]


def _read(notes: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(notes.read_text()))
    except (OSError, ValueError, TypeError):
        return {}


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """The content as a stream; whatever is wrong with its packing is an OSError."""
    packed = path.name.removesuffix(".part").endswith(".gz")
    try:
        with gzip.open(path) if packed else path.open("rb") as stream:
            yield stream
    except (EOFError, zlib.error) as error:
        raise OSError(one_line(error)) from error
