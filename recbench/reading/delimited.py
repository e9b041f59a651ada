"""Delimited text to blocks of columns: arrow where every line is whole, by hand where one is not.

A line is a row unless `multiline` says otherwise. Otherwise a quote that somebody opened by mistake would swallow the
lines up to the next one, and nobody would miss them.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv

from recbench.errors import RecbenchError
from recbench.reading.policy import Columns
from recbench.reading.quarantine import Quarantine
from recbench.reading.sources import BLANK, UNKNOWN, Layout, is_text, n_ends, text_blocks
from recbench.reading.typed import EMPTY, typed

DELIMITERS = {"comma": ",", "semicolon": ";", "tab": "\t", "pipe": "|", "space": " "}
FIELDS, ENCODING, ZERO, RETURN, QUOTE, OPEN, AGAIN = (
    "wrong number of fields",
    "not in the encoding of the file",
    "a NUL byte",
    "a carriage return inside the line",
    "a quote inside a quoted value",
    "a quote that its line does not close (values with line breaks need multiline=true)",
    "the header once more",
)
Wanted = Mapping[str, tuple[str, str]]  # name -> (column, kind)


def header(path: Path, layout: Layout) -> tuple[list[str], str, str]:
    """The names of the columns, the delimiter, and the first line; RecbenchError where it is no header."""
    _, block = next(text_blocks(path, replace(layout, multiline=False)))
    line = next(text for text in block.split(b"\n") if text.strip(BLANK)).rstrip(b"\r").decode("utf-8", "replace")
    delimiter = DELIMITERS.get(layout.delimiter, layout.delimiter) or max(",;\t|", key=line.count)
    ask = f"{layout.prefix}delimiter"
    if len(delimiter.encode()) != 1 or delimiter in '"\r\n':
        raise RecbenchError(f"{ask}={layout.delimiter}: write one character, or {', '.join(DELIMITERS)}")
    if delimiter not in line:
        raise RecbenchError(
            f"{path} has a single column, {line[:60]!r}, where {delimiter!r} divides; write {ask}=CHARACTER"
        )
    if UNKNOWN.decode() in line or not line.replace("\t", "").isprintable():
        ask = f"if it is text, write {layout.prefix}encoding=latin-1 or another"
        raise RecbenchError(
            f"{path} is not text in {layout.encoding or 'UTF-8'}: its first line is {line[:60]!r}; {ask}"
        )
    try:
        found = [name.strip() for name in next(csv.reader([line], delimiter=delimiter, strict=True))]
    except csv.Error as error:
        raise RecbenchError(f"{path}: line 1 is no header ({error}): {line[:60]!r}") from error
    if layout.columns:
        if len(layout.columns) != len(found):
            named, n = len(layout.columns), len(found)
            raise RecbenchError(f"{layout.prefix}columns names {named} columns; {path} has {n} in its first line")
        return list(layout.columns), delimiter, ""
    names = [recbole(name) for name in found]
    twice = sorted({name for name in names if name and names.count(name) > 1})
    if twice:
        raise RecbenchError(f"{path} has more than one column {', '.join(twice)}; rename them in its first line")
    return names, delimiter, line


def recbole(name: str) -> str:
    """`user_id` for the `user_id:token` of atomic files."""
    stem, _, kind = name.partition(":")
    return stem if kind in ("token", "float", "token_seq", "float_seq") else name


def blocks(path: Path, wanted: Wanted, layout: Layout, quarantine: Quarantine, digest: Any = None) -> Iterator[Columns]:
    """The wanted columns, block after block, in the types of `typed`; broken lines are in the quarantine."""
    names, delimiter, head = header(path, layout)
    form = _Form(path.name, names, delimiter, head.encode(), wanted, layout)
    types: dict[str, pa.DataType] = {}
    to_come = bool(head)
    for first, block in text_blocks(path, layout, digest):
        if to_come:
            first, block = form.after_header(first, block)
            to_come = False
        columns = form.fast(first, block, types) or form.by_hand(first, block, quarantine)
        if not types and len(columns):
            types = {name: values.type for name, values in columns.columns.items()}
        yield columns


class _Form:
    """The form of one file: what a line must look like, and how a block of lines is taken apart."""

    def __init__(
        self, file: str, names: list[str], delimiter: str, head: bytes, wanted: Wanted, layout: Layout
    ) -> None:
        self.file, self.width, self.delimiter, self.head = file, len(names), delimiter, head
        self.layout = layout
        self.at = {name: names.index(column) for name, (column, _) in wanted.items()}
        self.kinds = {name: kind for name, (_, kind) in wanted.items()}

    def after_header(self, line: int, block: bytes) -> tuple[int, bytes]:
        """The block without its header, and the number of the line behind it."""
        while not (text := block[: block.index(b"\n") + 1]).strip(BLANK):
            line, block = line + 1, block[len(text) :]
        return line + 1, block[len(text) :]

    def fast(self, first: int, block: bytes, types: Mapping[str, pa.DataType]) -> Columns | None:
        """The block by arrow, None where a line of it may be broken: then lines and rows are not the same."""
        if self.layout.multiline or self._suspicious(block):
            return None
        as_number = [name for name in self.at if types.get(name) == pa.int64() and self.kinds[name] == "id"]
        if as_number and _leading_zero(block, self.delimiter):
            types = {**types} | dict.fromkeys(as_number, pa.string())
        n_lines = n_ends(block)
        for expected in (types, {}) if types else ({},):
            table = self._arrow(block, expected)
            if table is not None and len(table) != n_lines:
                return None
            if table is not None:
                lines: list[bytes] = []

                def raw(row: int, lines: list[bytes] = lines) -> str:
                    if not lines:
                        lines.extend(block.split(b"\n"))
                    return lines[row].decode("utf-8", "backslashreplace")

                return Columns(self._columns(table), self.file, first, raw)
        return None

    def _columns(self, table: pa.Table) -> dict[str, pa.Array]:
        """Column after column by role, text narrowed."""
        found = {}
        for name, at in self.at.items():
            column = table.column(f"f{at}").combine_chunks()
            found[name] = typed(column, self.kinds[name]) if column.type == pa.string() else column
        return found

    def _suspicious(self, block: bytes) -> bool:
        if not is_text(block, self.layout) or (b"\r" in block and block.count(b"\r") != block.count(b"\r\n")):
            return True
        if b'"' in block and _stray_quote(block, self.delimiter):
            return True
        return bool(self.head) and (block.startswith(self.head) or b"\n" + self.head in block)

    def _arrow(self, block: bytes, types: Mapping[str, pa.DataType]) -> pa.Table | None:
        named = {f"f{at}": types.get(name, pa.string()) for name, at in self.at.items()}
        try:
            return pacsv.read_csv(
                pa.BufferReader(block),
                pacsv.ReadOptions(
                    column_names=[f"f{i}" for i in range(self.width)], use_threads=False, block_size=len(block) + 1
                ),
                pacsv.ParseOptions(delimiter=self.delimiter),
                pacsv.ConvertOptions(
                    include_columns=list(named), column_types=named, null_values=EMPTY, check_utf8=False
                ),
            )
        except pa.ArrowInvalid:
            return None

    def by_hand(self, first: int, block: bytes, quarantine: Quarantine) -> Columns:
        """The block line by line; a line that is broken goes to the quarantine."""
        fields: dict[str, list[str]] = {name: [] for name in self.at}
        lines, raws, n_broken = [], [], 0
        for number, raw, found in self._records(first, block):
            if isinstance(found, str):
                quarantine.add(self.file, number, found, raw)
                n_broken += 1
                continue
            lines.append(number)
            raws.append(raw)
            for name, at in self.at.items():
                fields[name].append(found[at])
        quarantine.seen(n_broken)
        columns = {n: typed(pa.array(values, pa.string()), self.kinds[n]) for n, values in fields.items()}
        return Columns(columns, self.file, np.array(lines, np.int64), raws.__getitem__)

    def _records(self, first: int, block: bytes) -> Iterator[tuple[int, str, list[str] | str]]:
        """Line number, text, and the fields or the reason why there are none, of every line that is not blank."""
        lines = block.split(b"\n")[:-1]
        if self.layout.multiline:
            yield from self._joined(first, [line.decode("utf-8", "surrogateescape") for line in lines])
            return
        for number, line in enumerate(lines, first):
            line = line.removesuffix(b"\r")
            if line.strip(BLANK):
                raw = line.decode("utf-8", "backslashreplace")
                yield number, raw, self._fields(line)

    def _fields(self, line: bytes) -> list[str] | str:
        """The fields of one line, or what is wrong with it."""
        if b"\0" in line or b"\r" in line:
            return ZERO if b"\0" in line else RETURN
        if self.head and line == self.head:
            return AGAIN
        try:
            text = line.decode()
            found = next(csv.reader([text], delimiter=self.delimiter, strict=True)) if '"' in text else None
        except UnicodeDecodeError:
            return ENCODING
        except csv.Error as error:
            return OPEN if "end of data" in str(error) else QUOTE
        found = text.split(self.delimiter) if found is None else found
        return self._judged(text, found)

    def _judged(self, text: str, found: list[str]) -> list[str] | str:
        if self.layout.encoding and UNKNOWN.decode() in text:
            return ENCODING
        return FIELDS if len(found) != self.width else found

    def _joined(self, first: int, lines: list[str]) -> Iterator[tuple[int, str, list[str] | str]]:
        """The same where a quoted value may hold line breaks."""
        reader = csv.reader((line + "\n" for line in lines), delimiter=self.delimiter, strict=True)
        while reader.line_num < len(lines):
            start = reader.line_num
            try:
                found: list[str] | str = next(reader, [])
            except csv.Error as error:
                found = OPEN if "end of data" in str(error) else QUOTE
            text = "\n".join(lines[start : reader.line_num])
            if not text.strip(" \r"):
                continue
            raw = text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
            if isinstance(found, list):
                found = ENCODING if raw != text else ZERO if "\0" in text else self._judged(text, found)
            yield first + start, raw, found


def _stray_quote(block: bytes, delimiter: str) -> bool:
    """Whether a quote is not where a field begins, ends, or doubles it: arrow would read on as if nothing were."""
    text = np.frombuffer(b"\n" + block, np.uint8)
    at = np.flatnonzero(text == ord('"'))
    before, after = text[at[::2] - 1], text[at[1::2] + 1]
    begins = np.isin(before, [ord(c) for c in f'{delimiter}\n"'])
    ends = np.isin(after, [ord(c) for c in f'{delimiter}\r\n"'])
    return len(at) % 2 == 1 or not begins.all() or not ends.all()


def _leading_zero(block: bytes, delimiter: str) -> bool:
    """Whether a field is written as no whole number is, as 007, -0 or 0x1f: read as a number it would be another id."""
    text, found = np.frombuffer(block, np.uint8), []
    for shift in (0, 1):  # two letters are compared as one number, on even places and on odd ones
        pairs = np.frombuffer(block, "<u2", (len(block) - shift) // 2, shift)
        starts = [delimiter, "\n", "-", *(['"'] if b'"' in block else [])]
        found += [2 * np.flatnonzero(pairs == (ord(start) | ord("0") << 8)) + shift for start in starts]
    at = np.concatenate(found)
    after, minus = text[np.minimum(at + 2, len(text) - 1)], text[at] == ord("-")
    goes_on = (after >= ord("0")) & (after != ord(delimiter)) & ~minus
    negative = np.isin(text[at[minus] - 1], [ord(delimiter), ord("\n"), ord('"')])
    return bool(goes_on.any() or negative.any()) or block[:1] == b"0" or block[:2] == b"-0"
