"""python -m recbench data: the installed data sets, and the card of one."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from recbench import prepared, registry, show
from recbench.boards import board as board_named
from recbench.errors import RecbenchError, nearest
from recbench.params import checked, types_of

USAGE = "data list, data list load=true, or data show NAME [data.PARAMETER=VALUE ...] [board=NAME] [out=FOLDER]"
STEPS = 16  # what a card says while it is made: load, three parts, five shuffles, five shortcuts, pictures, files


def data(words: list[str]) -> int:
    """`list` or `show NAME`; RecbenchError says what may be written."""
    command, rest = (words or [""])[0], words[1:]
    if command == "list":
        return _list(rest)
    if command == "show" and rest and "=" not in rest[0]:
        return _show(rest[0], rest[1:])
    hint = "" if command in ("", "list", "show") else nearest(command, ("list", "show"))
    raise RecbenchError(f"{' '.join(('data', *words))}: say what{hint or '.'} Write one of: {USAGE}")


def _list(words: list[str]) -> int:
    from recbench.card.listing import listing

    if set(words) - {"load=true"}:
        raise RecbenchError(f"data list {' '.join(words)}: write data list, or data list load=true")
    found = listing(load=bool(words))
    if not found.terms and not found.notes:
        raise RecbenchError(
            "no data plugin is installed; pip install one, such as recbench-ecommerce, or write your own"
        )
    for scenario, rows in found.sizes.items():
        show.table(rows, f"Scenario {scenario}")
    print("\nBehaviours, boards and terms")
    show.pairs(found.terms)
    if found.notes:
        print("\nOther names")
        show.pairs(found.notes)
    if any(row["events"] == "-" for rows in found.sizes.values() for row in rows):
        print(
            "\n- : depends on your files or parameters; python -m recbench data list load=true loads every data set that is at hand"
        )
    return 0


def _given(words: list[str], parameters: Iterable[str]) -> dict[str, str]:
    """The words `name=value` after the name of the data."""
    known = ("board", "out", *(f"data.{name}" for name in parameters))
    given = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals or not (name in known or name.startswith("data.")):
            raise RecbenchError(f"data show: '{word}' is not understood{nearest(name, known) or '.'} Write {USAGE}")
        given[name] = value
    return given


def _show(name: str, words: list[str]) -> int:
    """Load, compute, draw, print."""
    from recbench.card import card_of
    from recbench.card.page import page
    from recbench.card.sections import sections
    from recbench.draw import pictures
    from recbench.entry import write_atomically

    plugin = registry.find("data", name)
    source: Any = plugin.load()
    given = _given(words, types_of(source.Params))
    declared = source.boards[0] if source.boards else None
    board = board_named(given["board"]) if "board" in given else declared
    params = dict(board.data_params) if board and board.data == source.info.name else {}
    for key, value in given.items():
        if key.startswith("data."):
            wanted = None if value == "null" else value
            params[key[5:]] = checked(source.Params, key[5:], wanted, f"data={name}")
    with show.progress(f"data={name}", STEPS) as say:
        say("load")
        dataset = prepared.load(source(source.Params(**params)))
        card = card_of(dataset, board, source.no_board, say)
        say("pictures")
        drawn = pictures(card)
        folder = Path(given.get("out", f"data-cards/{card.name}"))
        say("files")
        for stem, picture in drawn.items():
            write_atomically(folder / f"{stem}.png", picture.png)
        write_atomically(folder / "card.html", page(card, drawn))
    alias = (
        "" if name in (card.name, f"{plugin.distribution}/{card.name}") else f" (data={name} is another name for it)"
    )
    print(f"data={card.name}{alias}, from {plugin.distribution} {plugin.version}")
    show.card(sections(card))
    print(f"\nwrote {folder / 'card.html'} and {', '.join(f'{stem}.png' for stem in drawn)}")
    return 0
