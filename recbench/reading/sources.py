"""Which files a path stands for, how they are packed and written, and their text in blocks of whole lines."""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from recbench.errors import RecbenchError, one_line

FORMATS = {
    "delimited": (".csv", ".tsv", ".txt", ".tab", ".inter", ".item"),
    "lines": (".jsonl", ".ndjson", ".json"),
    "parquet": (".parquet", ".pq"),
}
PACKINGS = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd"}
PACKED = (".gz", ".zst", ".zstd")
BLOCK = 1 << 21  # bytes of text taken apart at once
LONGEST = 1 << 26  # bytes of a line that is still believed to be one
BLANK = b" \r\n"  # of nothing else a blank line is made
UNKNOWN = "\ufffd".encode()  # what decoding puts where the encoding has no letter
MARKS = {codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}


@dataclass(frozen=True)
class Layout:
    """How text lies in its files; empty: found out. `columns` names them where the files have no header.

    With `multiline` a quoted value may hold line breaks. `prefix` is how its parameters are addressed.
    """

    delimiter: str = ""
    encoding: str = ""
    columns: tuple[str, ...] = ()
    multiline: bool = False
    prefix: str = "data."


def find(path: str | Path, ask: str) -> tuple[list[Path], list[Path]]:
    """The tables that `path`, a file or a folder, stands for, sorted by name, and the other files of the folder.

    RecbenchError where there is none; `ask` is the parameter that named it.
    """
    with reading(Path(path)):
        found = Path(path).expanduser()
        is_folder, is_file = found.is_dir(), found.is_file()
        listed = sorted(p for p in found.iterdir() if p.is_file() and p.name[0] not in "._") if is_folder else [found]
    if not is_folder and not is_file:
        raise RecbenchError(f"{ask}={path}: no such file or folder")
    tables = [p for p in listed if format_of(p)]
    if not tables:
        what = "the folder holds no table" if is_folder else "cannot tell what it holds"
        raise RecbenchError(f"{ask}={path}: {what}; a table ends in {_endings()}")
    return tables, [p for p in listed if p not in tables]


def format_of(path: Path) -> str:
    """delimited, lines or parquet by the ending, empty where it is another."""
    endings = [e.lower() for e in path.suffixes[-2:]]
    ending = endings[0] if len(endings) > 1 and endings[1] in PACKED else endings[-1] if endings else ""
    return next((name for name, known in FORMATS.items() if ending in known), "")


def _endings() -> str:
    return ", ".join(chain(*FORMATS.values())) + ", where text also with .gz or .zst behind it"


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Whatever goes wrong while a file is taken apart is one line that names it."""
    try:
        yield
    except RecbenchError:
        raise
    except Exception as error:
        raise RecbenchError(f"{path} cannot be read ({one_line(error)}); restore the file and run again") from error


def text_blocks(path: Path, layout: Layout, digest: Any = None) -> Iterator[tuple[int, bytes]]:
    """The number of a first line and a block of whole lines as UTF-8, each line ended, from the first that is not blank on.

    `digest` is fed the unpacked content. RecbenchError where the file is empty, no text, or its packing is damaged.
    """
    line, rest, blank = 1, b"", True
    for chunk in _decoded(path, layout, digest):
        cut = chunk.rfind(b"\n") + 1
        if layout.multiline or not cut:
            rest += chunk
            if not layout.multiline and len(rest) > LONGEST:
                raise RecbenchError(f"{path} holds a line of more than {LONGEST >> 20} MiB; is it text?")
            continue
        block, rest = rest + chunk[:cut], chunk[cut:]
        blank = blank and not block.strip(BLANK)
        if not blank:
            yield line, block
        line += n_ends(block)
    if rest.strip(BLANK) or (rest and not blank):
        yield line, rest if rest.endswith(b"\n") else rest + b"\n"
    elif blank:
        raise RecbenchError(f"{path} is empty")


def n_ends(block: bytes) -> int:
    """How many lines end in a block; numpy counts them several times as fast as bytes.count."""
    return int(np.count_nonzero(np.frombuffer(block, np.uint8) == ord("\n")))


def is_text(block: bytes, layout: Layout) -> bool:
    """Whether a block is text throughout: UTF-8, no NUL, and no letter that the encoding given does not have."""
    if b"\0" in block or (layout.encoding and UNKNOWN in block):
        return False
    try:
        return block.isascii() or bool(block.decode())
    except UnicodeDecodeError:
        return False


def _decoded(path: Path, layout: Layout, digest: Any) -> Iterator[bytes]:
    """The content as UTF-8 without byte order mark."""
    chunks = _unpacked(path)
    with reading(path):
        first = next(chunks, b"")
    decoder = _decoder(path, first, layout)
    for chunk in chain([first], chunks):
        if digest is not None:
            digest.update(chunk)
        if decoder:
            with reading(path):
                chunk = decoder.decode(chunk).encode("utf-8", "replace")
        elif chunk is first:
            chunk = chunk.removeprefix(codecs.BOM_UTF8)
        yield chunk
    if decoder:
        with reading(path):
            tail = decoder.decode(b"", True).encode("utf-8", "replace")
        yield tail


def _decoder(path: Path, first: bytes, layout: Layout) -> codecs.IncrementalDecoder | None:
    """None where the text is UTF-8; RecbenchError where it is no text, or in an encoding that must be named."""
    ask = f"{layout.prefix}encoding"
    if layout.encoding and layout.encoding.lower() not in ("utf-8", "utf8", "utf-8-sig"):
        try:
            "a".encode(layout.encoding)
            return codecs.getincrementaldecoder(layout.encoding)("replace")
        except (LookupError, TypeError, UnicodeError) as error:
            raise RecbenchError(
                f"{ask}={layout.encoding}: no such encoding; for instance latin-1, cp1252, utf-16"
            ) from error
    head = first[:4096]
    zeros = head.count(0)
    if head[:2] in MARKS or (zeros > len(head) / 4 and b"\n\0" in head):
        raise RecbenchError(f"{path} is not UTF-8 but UTF-16; write {ask}=utf-16")
    if zeros > len(head) / 20:
        raise RecbenchError(f"{path} is not text; a table of another kind needs its own ending: {_endings()}")
    return None


def _unpacked(path: Path) -> Iterator[bytes]:
    """The content in chunks; RecbenchError where the packing is damaged: what is lost then, nobody can count."""
    import pyarrow as pa

    with reading(path), open(path, "rb") as file:
        start = file.read(4)
        file.seek(0)
        packing = next((name for magic, name in PACKINGS.items() if start.startswith(magic)), None)
        stream: Any = pa.CompressedInputStream(pa.PythonFile(file, "r"), packing) if packing else file
        size = 0
        try:
            while chunk := stream.read(BLOCK):
                size += len(chunk)
                yield chunk
        except OSError as error:
            raise RecbenchError(
                f"{path} is damaged: unpacked it ends after {size} bytes ({one_line(error)}), and what follows is lost; "
                "restore the file and run again"
            ) from error
