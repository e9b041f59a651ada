"""A card as one HTML file that needs nothing else: tables, pictures inside, no script, no reference to anywhere."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from html import escape
from typing import TYPE_CHECKING

from recbench import __version__
from recbench.card import Card
from recbench.card.sections import Section, sections

if TYPE_CHECKING:
    from recbench.draw import Picture

HEAD = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<title>{title}</title>
<style>
:root {{ color-scheme: light dark; --paper: #fff; --ink: #1f2328; --faint: #59636e; --rule: #d8dce2; }}
body {{ margin: 0 auto; max-width: 46rem; padding: 1.5rem; background: var(--paper); color: var(--ink);
  font: 1rem/1.5 system-ui, sans-serif; }}
h1 {{ font-size: 1.7rem; margin: 0; }}
h2 {{ font-size: 1.15rem; margin: 2.2rem 0 0.5rem; }}
p {{ margin: 0.3rem 0; color: var(--faint); }}
div {{ overflow-x: auto; }}
table {{ border-collapse: collapse; width: 100%; font-size: 0.92rem; font-variant-numeric: tabular-nums; }}
th, td {{ padding: 0.3rem 1rem 0.3rem 0; text-align: left; vertical-align: top; border-bottom: 1px solid var(--rule); }}
th, td {{ white-space: nowrap; }}
th {{ color: var(--faint); font-weight: 600; }}
td:last-child {{ overflow-wrap: anywhere; white-space: normal; }}
figure {{ margin: 1rem 0; }}
img {{ display: block; width: 100%; height: auto; }}
@media screen and (prefers-color-scheme: dark) {{
  :root {{ --paper: #14171a; --ink: #e6e8eb; --faint: #a3abb5; --rule: #343a41; }}
  img {{ filter: invert(1) hue-rotate(180deg); mix-blend-mode: screen; }}
}}
@media print {{ body {{ max-width: none; }} section {{ break-inside: avoid; }} }}
</style>
</head>
<body>
"""


def page(card: Card, pictures: Mapping[str, Picture]) -> str:
    """The HTML text; a picture stands under the section that names it."""
    title = f"Data card: {card.name}"
    counts = card.counts
    opening = f"{counts.events:,} events of {counts.users:,} users on {counts.items:,} items. recbench {__version__}."
    body = "".join(_section(section, pictures) for section in sections(card))
    return f"{HEAD.format(title=escape(title))}<h1>{escape(title)}</h1>\n<p>{escape(opening)}</p>\n{body}</body>\n</html>\n"


def _section(section: Section, pictures: Mapping[str, Picture]) -> str:
    rows = "".join(
        f"<tr><th scope=row>{escape(name)}</th><td>{escape(text)}</td></tr>\n" for name, text in section.pairs
    )
    if section.table:
        names = "".join(f"<th scope=col>{escape(name)}</th>" for name in section.table[0])
        cells = ("".join(f"<td>{escape(str(cell))}</td>" for cell in row.values()) for row in section.table)
        rows = f"<tr>{names}</tr>\n" + "".join(f"<tr>{row}</tr>\n" for row in cells)
    drawn = "".join(_figure(pictures[name]) for name in section.pictures if name in pictures)
    return f"<section>\n<h2>{escape(section.title)}</h2>\n<div><table>\n{rows}</table></div>\n{drawn}</section>\n"


def _figure(picture: Picture) -> str:
    inside = b64encode(picture.png).decode()
    return f'<figure><img alt="{escape(picture.title)}" src="data:image/png;base64,{inside}"></figure>\n'
