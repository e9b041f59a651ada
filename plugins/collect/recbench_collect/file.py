"""A user's own files: events as csv, tsv, parquet or JSON lines, and what is known of the items."""

from __future__ import annotations

import hashlib
import json
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recbench.dataset import Dataset, DatasetInfo, DatasetSource
from recbench.errors import RecbenchError
from recbench.ingest import Cleaning, Quarantine, clean
from recbench.params import param
from recbench.protocols import leave_last_out, random_pairs, time_split

if TYPE_CHECKING:
    import pandas as pd

    from recbench.reading.sources import Layout

ROLES = ("user", "item", "time", "behavior", "value", "text")


@dataclass(frozen=True)
class FileParams(Cleaning):
    """Where the tables are and what their columns mean; a role is guessed where it is empty, and `none` switches it off."""

    path: str = param(
        "", "The events: a csv, tsv, parquet or JSON lines file, plain, .gz or .zst, or a folder of them."
    )
    user: str = param("", "Column of users.")
    item: str = param("", "Column of items; a row without one but with text is a search.")
    time: str = param("", "Column of times: epoch numbers, ISO 8601, or as time_format says.")
    behavior: str = param("", "Column of behaviors, as view or purchase.")
    value: str = param("", "Column of ratings, quantities or watch ratios.")
    text: str = param("", "Column of words that were searched.")
    items: str = param("", "A table of items, or a folder of them.")
    items_id: str = param("", "Its column of items; empty: the one named as in the events, or guessed.")
    items_text: str = param(
        "", "Its columns that make the text, divided by a colon; empty: title, description and the like."
    )
    delimiter: str = param(
        "", "What divides fields: a character, or comma, semicolon, tab, pipe, space; empty: found out."
    )
    encoding: str = param("", "Encoding of text, as latin-1; empty: UTF-8.")
    columns: str = param("", "Names of the columns, divided by a colon, of files that have no header.")
    multiline: bool = param(False, "A quoted value may hold line breaks; slower, and always so for items.")


class File(DatasetSource):
    """A user's own files of events, with the columns named or guessed and every broken row set aside and counted."""

    Params = FileParams
    info = DatasetInfo(
        "file", "own", "seconds", "the user's own", "the files at data.path", notes="The clock is measured."
    )
    boards = (
        time_split("file", "file", 28, meaning="Which items new to the user come in the last four weeks?"),
        time_split("file-week", "file", 7, meaning="Which items new to the user come in the last week?"),
        leave_last_out("file-order", "file"),
        random_pairs("file-pairs", "file"),
    )

    def load(self) -> Dataset:
        """Read, clean and count; RecbenchError says in one line what is missing, unclear or broken."""
        from recbench.reading.roles import assign, told
        from recbench.reading.tables import blocks_of, names_of
        from recbench.reading.typed import kind_of
        from recbench.streaming import is_large
        from recbench_collect.large import streamed

        params, layout, digest = self.params, self._layout(), hashlib.sha256()
        paths = self._events()
        self._say_left_out()
        found, guessed = assign(names_of(paths[0], layout), {role: getattr(params, role) for role in ROLES})
        self._say(told(found, guessed))
        if is_large(paths):
            return streamed(self.info, params, paths, found)
        wanted = {role: (column, kind_of(role, params)) for role, column in found.items()}
        quarantine = self._quarantine("")
        cleaned = clean(blocks_of(paths, wanted, layout, quarantine, digest), params, quarantine)
        table = None
        if params.items:
            table, counts = self._items(found["item"], cleaned.item_ids, digest)
            cleaned.cleaning.update(counts)
        if cleaned.time_form not in ("", "dates"):
            self._say(f"times are {cleaned.time_form}, the clock shows {cleaned.clock}")
        if cleaned.clock in ("order", "none"):
            self._say(f"there is no clock, only {cleaned.clock}: run it with board=file-order or board=file-pairs")
        if broken := quarantine.counts.total():
            self._say(f"{broken} of {quarantine.n_rows} rows are broken and in {quarantine.path}")
        return Dataset(
            replace(self.info, clock=cleaned.clock),
            cleaned.log,
            cleaned.user_ids,
            cleaned.item_ids,
            table,
            context=cleaned.context,
            checksum=digest.hexdigest(),
            cleaning=cleaned.cleaning,
        )

    def paths(self) -> list[Path]:
        """Every file that is read, sorted by name, those of events first; RecbenchError where there is none."""
        return [*self._events(), *(self._found(self.params.items, "data.items") if self.params.items else ())]

    def _events(self) -> list[Path]:
        if not self.params.path:
            raise RecbenchError(f"data={self.info.name}: say which file, as in data.path=events.csv")
        return self._found(self.params.path, "data.path")

    def _say_left_out(self) -> None:
        from recbench.reading.sources import find

        if others := find(self.params.path, "data.path")[1]:
            self._say(f"left out of the folder, no tables: {', '.join(path.name for path in others)}")

    def _found(self, path: str, ask: str) -> list[Path]:
        from recbench.reading.sources import find

        return find(path, ask)[0]

    def _layout(self, **changes: Any) -> Layout:
        from recbench.reading.sources import Layout

        params = self.params
        named = tuple(name for name in params.columns.split(":") if name)
        return replace(Layout(params.delimiter, params.encoding, named, params.multiline), **changes)

    def _quarantine(self, part: str) -> Quarantine:
        params = self.params
        key = json.dumps({**params.as_dict(), "path": str(Path(params.path).resolve()), "part": part}, sort_keys=True)
        return Quarantine(self.info.name + part, key, params.max_broken)

    def _items(self, item: str, item_ids: Any, digest: Any) -> tuple[pd.DataFrame, dict[str, int]]:
        """The table of items, aligned."""
        from recbench.reading.roles import id_of
        from recbench.reading.tables import blocks_of, described, names_of

        params = self.params
        layout = self._layout(delimiter="", columns=(), multiline=True)
        paths = self._found(params.items, "data.items")
        names = names_of(paths[0], layout)
        column = id_of(names, params.items_id, item)
        texts = [name for name in params.items_text.split(":") if name]
        if unknown := [name for name in texts if name not in names]:
            raise RecbenchError(f"data.items_text: no column {', '.join(unknown)}; there are: {', '.join(names)}")
        quarantine = self._quarantine("-items")
        wanted = {name: (name, "id" if name == column else "any") for name in names}
        return described(blocks_of(paths, wanted, layout, quarantine, digest), column, texts, item_ids, quarantine)

    def _say(self, what: str) -> None:
        print(f"data={self.info.name}: {what}", file=sys.stderr)
