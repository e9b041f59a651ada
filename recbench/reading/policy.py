"""What the readers and the cleaning share: a block of columns, and the rules by which rows are judged.

Letters: E rows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from recbench.params import Params, param

ROLES = ("user", "item", "time", "behavior", "value", "text")
CLOCKS = ("auto", "seconds", "minutes", "days", "months", "order", "none")
MISSING = ("", "NULL", "null", "None", "NaN", "nan", "NA", "N/A", "\\N")


@dataclass(frozen=True)
class Cleaning(Params):
    """How rows are judged and converted; the parameters of every plugin that reads a user's own data."""

    clock: str = param(
        "auto", "True resolution of time; auto measures it, order where there is no time.", choices=CLOCKS
    )
    timezone: str = param("UTC", "Zone of times that name none, as Europe/Berlin.")
    time_format: str = param("", "How times are written, as %d/%m/%Y %H:%M; empty: epoch numbers or ISO 8601.")
    duplicates: str = param(
        "keep",
        "Rows equal in user, item, time and behavior: keep them, keep the first, or count them into its value.",
        choices=("keep", "first", "count"),
    )
    missing_value: str = param("one", "An empty value is 1, or drops the row.", choices=("one", "drop"))
    value_low: float | None = param(None, "Lowest legal value.")
    value_high: float | None = param(None, "Highest legal value.")
    value_outside: str = param("refuse", "A value beyond these is refused or clipped.", choices=("refuse", "clip"))
    max_events_per_user_day: int = param(0, "A user with more events on any day is a bot and dropped; 0: off.", low=0)
    max_broken: float = param(0.01, "Share of broken rows past which the run stops.", low=0.0, high=1.0)


@dataclass(frozen=True, eq=False)
class Columns:
    """Some rows of a source: `columns` maps a role of `ROLES` to its (E,) values, and where each row comes from.

    Values may be lists, numpy, pandas or arrow arrays of numbers, text or dates, with None where one is missing.
    `file` names the source. `line`: (E,) line numbers, or the number of the first row where they follow one another.
    `raw` gives the text of row 0..E-1 for the quarantine; without it the row's values are written out.
    """

    columns: Mapping[str, Any]
    file: str = ""
    line: Any = 1
    raw: Callable[[int], str] | None = None

    def __len__(self) -> int:
        return len(next(iter(self.columns.values())))

    def line_of(self, row: int) -> int:
        """The line number of a row."""
        return int(self.line) + row if isinstance(self.line, int) else int(self.line[row])

    def raw_of(self, row: int) -> str:
        """The text of a row as it was read."""
        if self.raw is not None:
            return self.raw(row)
        values = {role: column[row] for role, column in self.columns.items() if column is not None}
        return ", ".join(f"{role}={getattr(v, 'as_py', lambda v=v: v)()}" for role, v in values.items())
