"""Writes docs/models/NAME.md, a card for every model of this repository, from its docstring and its parameters.

    python docs/model_cards.py

The text on the paper and on what was changed from it is the docstring of the class: mend it there.
"""

from __future__ import annotations

import dataclasses
import inspect
import sys
from pathlib import Path

from recbench import params, registry
from recbench.entry import write_atomically

DOCS = Path(__file__).parent
OURS = (
    "recbench-behavior",
    "recbench-classic",
    "recbench-collaborative",
    "recbench-language",
    "recbench-sequential",
)
ASKED = {
    "ranking": "data=ecommerce",
    "rating": "board=video-rating",
    "behavior": "board=ecommerce-sim-purchase",
}  # where a model's first task is asked
NEEDED = {"needs_knowledge": "data=video", "needs_social": "data=lastfm-2k"}  # data that have it


def cards() -> dict[str, str]:
    """Page by file name."""
    plugins = [plugin for plugin in registry.plugins("model") if plugin.distribution in OURS]
    pages = {f"{plugin.name}.md": card(plugin) for plugin in plugins}
    lines = [f"- [{plugin.name}]({plugin.name}.md): {first_sentence(plugin)}" for plugin in plugins]
    pages["README.md"] = "# Models\n\nWritten by `python docs/model_cards.py`.\n\n" + "\n".join(lines) + "\n"
    return pages


def card(plugin: registry.Plugin) -> str:
    """What it is, how to run it, what it needs, the bars it is held to, and its parameters."""
    cls = plugin.load()
    asked = next((data for need, data in NEEDED.items() if getattr(cls.traits, need)), ASKED[cls.traits.tasks[0]])
    parts = [f"# {plugin.name}", inspect.getdoc(cls) or "", f"    python -m recbench model={plugin.name} {asked}"]
    known = [f.name for f in dataclasses.fields(cls.traits) if getattr(cls.traits, f.name) is True]
    parts += [
        f"From `{plugin.distribution}`. Answers: {', '.join(cls.traits.tasks)}. Traits: {', '.join(known) or 'none'}."
    ]
    if bars := bars_of(plugin.name):
        parts += [
            "## Bars",
            "\n".join(bars),
            "All of them, with what they compare: [published tables](../published.md).",
        ]
    if rows := params.table(cls.Params):
        columns = list(rows[0])
        lines = [columns, ["---"] * len(columns), *[[row[c].replace("|", "\\|") for c in columns] for row in rows]]
        parts += ["## Parameters", "\n".join(f"| {' | '.join(line)} |" for line in lines)]
    return "\n\n".join(parts) + "\n"


def bars_of(model: str) -> list[str]:
    """The lines of docs/published.md that are about the model, under their head."""
    page = DOCS / "published.md"
    table = [line for line in page.read_text().splitlines() if line.startswith("|")] if page.is_file() else []
    mine = [line for line in table[2:] if line.split("|")[3].strip() == model]
    return [*table[:2], *mine] if mine else []


def first_sentence(plugin: registry.Plugin) -> str:
    """The docstring's first line, whole."""
    return " ".join((inspect.getdoc(plugin.load()) or "").split("\n\n")[0].split())


if __name__ == "__main__":
    for name, page in cards().items():
        write_atomically(DOCS / "models" / name, page)
    print(f"wrote {len(cards())} pages under docs/models", file=sys.stderr)
