"""Broken rows, set aside in a file and counted, so that none is dropped in silence."""

from __future__ import annotations

import hashlib
import json
import os
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import IO

from recbench.cache import cache_folder
from recbench.errors import RecbenchError

EARLY = 1000  # broken rows after which a source that is broken by half is given up before its end


class Quarantine:
    """Takes broken rows into `quarantine/NAME-KEY.jsonl` beside the cache, one JSON object a row: file, line, reason, raw.

    `name` is the data set, `key` tells apart what else decides which rows are broken. Past `max_broken`, a share of the
    rows, `done` stops the run. `allow` says how to write that parameter.
    """

    def __init__(self, name: str, key: str, max_broken: float, allow: str = "data.max_broken=SHARE") -> None:
        short = hashlib.sha256(key.encode()).hexdigest()[:12]
        self.path = cache_folder() / "quarantine" / f"{name}-{short}.jsonl"
        self.name, self.max_broken, self.allow = name, max_broken, allow
        self.counts: Counter[str] = Counter()
        self.first = ""
        self.n_rows = 0
        self._out: IO[str] | None = None

    def seen(self, n_rows: int) -> None:
        """Count rows that were read, broken or not; RecbenchError where half of very many are broken."""
        self.n_rows += n_rows
        broken = self.counts.total()
        if broken > max(EARLY, self.n_rows / 2) and self.max_broken < 0.5:
            self.done()

    def add(self, file: str, line: int, reason: str, raw: str) -> None:
        """Set one row aside; it must be among those told to `seen` as well."""
        self.counts[reason] += 1
        self.first = self.first or f"line {line} of {file}: {reason}"
        row = {"file": file, "line": line, "reason": reason, "raw": raw}
        try:
            if self._out is None:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                self._out = self._part().open("w", encoding="utf-8", errors="backslashreplace")
            self._out.write(json.dumps(row, ensure_ascii=False) + "\n")
        except OSError as error:
            raise self._unwritable(error) from error

    def done(self) -> None:
        """Put the file in place; RecbenchError names the first broken row where too many are broken."""
        if self._out is None:
            with suppress(OSError):
                self.path.unlink()  # what an earlier run left of the same source
            return
        try:
            self._out.close()
            self._out = None
            os.replace(self._part(), self.path)
        except OSError as error:
            raise self._unwritable(error) from error
        broken = self.counts.total()
        if broken > self.max_broken * self.n_rows:
            raise RecbenchError(
                f"data={self.name}: {broken} of {self.n_rows} rows are broken ({broken / self.n_rows:.1%}, allowed "
                f"{self.max_broken:.1%}), first {self.first}; all of them are in {self.path}: mend the source, or allow "
                f"more with {self.allow}"
            )

    def discard(self) -> None:
        """Leave nothing half written."""
        if self._out is not None:
            self._out.close()
            self._out = None
            self._part().unlink(missing_ok=True)

    def _part(self) -> Path:
        return self.path.with_suffix(f".{os.getpid()}.part")

    def _unwritable(self, error: OSError) -> RecbenchError:
        return RecbenchError(
            f"cannot write {self.path}: {error.strerror or error}; free space, or set RECBENCH_CACHE to another folder"
        )
