"""What the command line prints as tables; readable at 80 columns, and nothing is cut."""

from __future__ import annotations

import dataclasses
import shutil
import textwrap
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from recbench import params, registry
from recbench.entry import Entry
from recbench.errors import RecbenchError

LISTED = (*registry.KINDS, "board")
FOLDED = ("meaning", "allowed")  # columns that hold sentences
WIDEST = {"default": 18}  # columns whose rare long words are folded
NAME = 23  # width of a column of names, where none is longer


def scores(entry: Entry) -> None:
    """Every metric of a run with its interval."""
    rows = [
        {
            "metric": label,
            "test": f"{s['value']:.4f}",
            "95% interval over users": "" if s["low"] is None else f"{s['low']:.4f} to {s['high']:.4f}",
        }
        for label, s in entry.scores.items()
    ]
    table(rows, f"{entry.model} on {entry.board}: {entry.n_queries} queries, seed {entry.seed}")
    for name, value in entry.chosen.items():
        told = str(value)
        print(f"Chosen on validation: {name} {told if len(told) <= 100 else f'{told[:97]}...'}")


def table(rows: list[dict[str, Any]], title: str = "", columns: list[str] | None = None) -> None:
    """Rows as wide as their cells, only sentences folded to the terminal; the row of this run is bold."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    tight = {"box": box.SIMPLE_HEAD, "show_edge": False, "pad_edge": False, "padding": (0, 1, 0, 0)}
    drawn = Table(title=title, title_justify="left", **tight)
    for name in columns or rows[0]:
        folds = name in FOLDED or name in WIDEST
        drawn.add_column(name, no_wrap=not folds, overflow="fold" if folds else "ellipsis", max_width=WIDEST.get(name))
    for row in rows:
        cells = [str(row[name]) for name in columns or row]
        drawn.add_row(*cells, style="bold" if "(this run)" in row.get("model", "") else "")
    print()
    Console().print(drawn)


def pairs(rows: list[tuple[str, str]]) -> None:
    """Name and text, the text folded beside the name."""
    column = max([NAME, *(len(name) for name, _ in rows)])
    width = max(40, shutil.get_terminal_size().columns - column - 4)
    for name, text in rows:
        for line in textwrap.wrap(text, width, break_on_hyphens=False) or [""]:
            print(f"  {name:<{column}} {line}".rstrip())
            name = ""


def installed(kinds: list[str]) -> None:
    """Plugins under the distribution that brings them, and the boards of data plugins; of the kinds named, or all."""
    found: dict[str, list[tuple[str, str]]] = {}
    for plugin in (plugin for kind in registry.KINDS for plugin in registry.plugins(kind)):
        source = f"from {plugin.distribution} {plugin.version}"
        try:
            rows = [(plugin.kind, plugin.name, plugin.meaning)]
            if plugin.kind == "data" and plugin.name != plugin.load().info.name:
                rows = [(plugin.kind, plugin.name, f"The same as {plugin.load().info.name}.")]
            elif plugin.kind == "data":
                rows += [("board", board.name, board.meaning) for board in plugin.load().boards]
        except RecbenchError as error:
            rows = [(plugin.kind, plugin.name, f"BROKEN: {error}")]
        for kind, name, meaning in rows:
            found.setdefault(f"{kind}, {source}", []).append((name, meaning))
    for title, rows in found.items():
        if title.partition(",")[0] in (kinds or LISTED):
            print(title)
            pairs(rows)
            print()


def plugin(kind: str, name: str) -> None:
    """Where a plugin comes from, what it is, and its parameters."""
    found = registry.find(kind, name)
    cls = found.load()
    facts = {"meaning": found.meaning}
    if kind == "data":
        facts |= {f.name: getattr(cls.info, f.name) for f in dataclasses.fields(cls.info)} | {"name": "", "holds": ""}
        if (holds := cls.info.holds) is not None:
            held = f"{holds.n_events:,} events of {holds.n_users:,} users on {holds.n_items:,} items"
            facts["holds"] = f"{held}: {', '.join(holds.behaviors)}"
        facts["boards"] = ", ".join(b.name for b in cls.boards) or cls.no_board
    if kind == "metric":
        facts["definition"] = cls.definition
    print(f"{kind}={name}, from {found.distribution} {found.version}")
    pairs([(name, text) for name, text in facts.items() if text])
    rows = [] if kind == "metric" else params.table(cls.Params)
    for row in rows:  # the range of the search is the allowed one, so that one word says all
        row["search"] = "log" if "(log)" in row["search"] else "yes" if row["search"] else ""
    if rows:
        table(rows)


def choices() -> None:
    """What a command may say beside the parameters of its plugins."""
    from recbench.settings import Run, Search, Trainer
    from recbench.track import TRACKERS

    kinds = next(f for f in dataclasses.fields(Search) if f.name == "kind").metadata["choices"]
    print("Choices, written name=choice")
    pairs([(kind, ", ".join(registry.names(kind))) for kind in ("model", "data")])
    pairs([("sweep", f"{', '.join(kinds)}; with -m"), ("track", ", ".join(TRACKERS))])
    for title, cls, prefix in (("Settings, written name=value", Run, ""), ("Training", Trainer, "trainer.")):
        print(f"\n{title}")
        rows = params.table(cls)
        pairs([(prefix + row["name"], f"{row['meaning']} Default: {row['default'].lower()}.") for row in rows])
    print("\nA plugin's parameters are written model.NAME=value and data.NAME=value.")


def board(protocol: Any) -> None:
    """Every field of a board."""
    print(f"board={protocol.name}")
    fields = dataclasses.asdict(protocol).items()
    pairs([(name, ", ".join(map(str, v)) if isinstance(v, (tuple, list)) else str(v)) for name, v in fields])


def card(sections: list[Any]) -> None:
    """A data card, what the data are fit for last: at the end of the screen."""
    for section in (*sections[1:], sections[0]):
        if section.table:
            table(list(section.table), section.title)
        else:
            print(f"\n{section.title}")
            pairs(list(section.pairs))


@contextmanager
def progress(title: str, steps: int) -> Iterator[Callable[[str], None]]:
    """A bar on a terminal that moves on with each word said to it and is gone at the end; elsewhere nothing."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(title, total=steps)

        def say(what: str) -> None:
            bar.update(task, description=f"{title}: {what}", advance=1)

        yield say
