"""An empty picture in the project's hand, and a finished one as PNG.

Colours are those of Okabe and Ito, told apart by the colour-blind too; every line and bar is labelled as well.
"""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH, DPI = 7.2, 150  # inches, dots an inch
INK, RULE = "#1f2328", "#d8dce2"
MARKS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#7f7f7f")  # in the order of behaviours
DASHES = ("-", "--", "-.", ":")


@dataclass(frozen=True)
class Picture:
    """A PNG; `title` says what it shows."""

    title: str
    png: bytes


def canvas(title: str, rows: int = 1, height: float = 4.0, columns: int = 1) -> tuple[Figure, list[Axes]]:
    """An empty figure, `height` in inches, of panels row by row; of two below each other the first is the taller."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure((WIDTH, height), DPI, facecolor="white", layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.add_gridspec(rows, columns, height_ratios=(2.2, 1) if (rows, columns) == (2, 1) else None)
    panels = [figure.add_subplot(grid[row, column]) for row in range(rows) for column in range(columns)]
    figure.suptitle(textwrap.fill(title, 72), x=0.01, ha="left", fontsize=11, fontweight="bold", color=INK)
    for axes in panels:
        axes.set_facecolor("white")
        axes.set_axisbelow(True)
        axes.grid(visible=True, color=RULE, linewidth=0.7)
        axes.tick_params(colors=INK, which="both", labelsize=9)
        for side, spine in axes.spines.items():
            spine.set(visible=side in ("left", "bottom"), color=RULE)
        for label in (axes.xaxis.label, axes.yaxis.label):
            label.set(color=INK, fontsize=10)
    return figure, panels


def png(figure: Any) -> bytes:
    """The bytes of a figure, the same for the same figure."""
    buffer = BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()
