"""The pictures of a data card as PNG; a title says what its picture shows.

Letters: U users, I items, B behaviours, T periods.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from recbench.canvas import DASHES, INK, MARKS, Picture, canvas, png
from recbench.card import Card
from recbench.card.counts import CLOCKED, gini, top_share
from recbench.card.sections import best_shortcut, moment, share, shortcuts

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def pictures(card: Card) -> dict[str, Picture]:
    """By name, all that the card's numbers allow."""
    drawers: dict[str, Callable[[Card], tuple[str, Figure] | None]] = {
        "long-tail": _long_tail,
        "histories": _histories,
        "behaviours": _behaviors,
        "activity": _activity,
        "order": _order,
        "shortcuts": _shortcuts,
    }
    drawn = {name: draw(card) for name, draw in drawers.items()}
    return {name: Picture(found[0], png(found[1])) for name, found in drawn.items() if found}


def _long_tail(card: Card) -> tuple[str, Figure]:
    sizes_I = card.counts.sizes_I
    top = max(1, round(0.01 * len(sizes_I)))
    rank = np.unique(np.r_[np.geomspace(1, len(sizes_I), 500).round().astype(np.int64), top])
    size, held = sizes_I[rank - 1], rank <= top
    title = f"The most frequent 1% of the items hold {share(top_share(sizes_I))} of the events"
    figure, (axes,) = canvas(title)
    axes.loglog(rank, size, color=MARKS[0], linewidth=2, marker="o", markersize=2.5)
    axes.fill_between(rank[held], size[held], 0.8, color=MARKS[1], alpha=0.3, linewidth=0)
    axes.axvline(top, color=MARKS[1], linestyle="--", linewidth=1.2)
    words = f"top 1%: {top:,} of {len(sizes_I):,} items\nGini of all items {gini(sizes_I):.2f}"
    where = {"xycoords": ("data", "axes fraction"), "xytext": (6, 6), "textcoords": "offset points"}
    axes.annotate(words, (top, 0), color=INK, **where)
    axes.set(xlabel="item, by rank (log)", ylabel="events of the item (log)", ylim=(0.8, None))
    return title, figure


def _histories(card: Card) -> tuple[str, Figure]:
    lengths_U = card.counts.lengths_U
    middle, longest = float(np.median(lengths_U)), int(lengths_U.max())
    title = f"Half of the users have {middle:,.0f} events or fewer; the longest history has {longest:,}"
    figure, (axes,) = canvas(title)
    doublings_U = np.ceil(np.log2(lengths_U)).astype(np.int64)  # 1, 2, 3 to 4, 5 to 8, ...
    first, last = int(doublings_U.min()), int(doublings_U.max())
    users = np.bincount(doublings_U - first)
    bars = axes.bar(np.arange(len(users)), users, 0.85, color=MARKS[0])
    axes.bar_label(bars, [share(n / len(lengths_U)) for n in users], color=INK, fontsize=8, padding=2)
    names = [f"{2**k:,}" if k < 2 else f"{2 ** (k - 1) + 1:,}-{2**k:,}" for k in range(first, last + 1)]
    axes.set_xticks(np.arange(len(users)), names, rotation=30 if len(users) > 8 else 0)
    axes.set(xlabel=f"events of a user; mean {lengths_U.mean():,.1f}", ylabel="users")
    axes.yaxis.set_major_formatter("{x:,.0f}")
    axes.grid(visible=False, axis="x")
    return title, figure


def _behaviors(card: Card) -> tuple[str, Figure]:
    """Bars from the most frequent behaviour down; with one behaviour the bar is the whole."""
    counts = card.counts
    rows = sorted(counts.by_behavior.items(), key=lambda row: -row[1][0])
    (most, (n_most, _, _)), (least, (n_least, _, _)) = rows[0], rows[-1]
    title = f"One behaviour: {n_most:,} times {most}"
    if len(rows) > 1:
        title = f"{most} is {share(n_most / counts.events)} of the events, {least} {share(n_least / counts.events)}"
    figure, (axes,) = canvas(title, height=1.4 + 0.5 * len(rows))
    names, events = [name for name, _ in rows], np.array([row[0] for _, row in rows])
    place = np.arange(len(rows))[::-1]
    axes.barh(place, events, color=[_colour(card, name) for name in names], height=0.7)
    for y, (_, (n, users, _)) in zip(place, rows, strict=True):
        part = "" if n == n_most else f", {share(n / n_most)} of {most}"
        text = f" {n:,} events{part}; {share(users / counts.users)} of the users"
        inside = n > 0.45 * n_most
        axes.text(
            0.01 * n_most if inside else n,
            y,
            text,
            va="center",
            color="white" if inside else INK,
            fontweight="bold" if inside else "normal",
        )
    axes.set_yticks(place, names)
    axes.set(xlabel="events", ylim=(-0.6, len(rows) - 0.4))
    axes.xaxis.set_major_formatter("{x:,.0f}")
    axes.grid(visible=False)
    return title, figure


def _activity(card: Card) -> tuple[str, Figure] | None:
    activity, clock, log = card.activity, card.dataset.info.clock, card.dataset.interactions
    if activity is None:
        return None
    first, last = (moment(int(log.time[at]), "days" if clock in CLOCKED[:2] else clock) for at in (0, -1))
    title = f"{len(log):,} events from {first} to {last}"
    if len(activity.starts_T) > 1:
        title += f"; {share(activity.new_later)} of them on items new that {activity.period}"
    figure, (axes, below) = canvas(title, rows=2, height=5.0)
    starts_T = activity.starts_T
    step = np.diff(starts_T[-2:])[0] if len(starts_T) > 1 else np.timedelta64(1, "D")
    edges_T = np.append(starts_T, starts_T[-1] + step)
    if clock in CLOCKED[:2]:  # a period that was cut short is as narrow as it was
        edges_T[[0, -1]] = log.time[[0, -1]].astype("datetime64[s]") + np.array([0, 1], "timedelta64[s]")
    totals_B = activity.events_TB.sum(0)
    for code in np.argsort(-totals_B, kind="stable"):
        name = log.behaviors[code]
        events_T = np.where(activity.events_TB[:, code] > 0, activity.events_TB[:, code], np.nan)
        line = {"linestyle": DASHES[code % len(DASHES)], "linewidth": 1.8, "label": name}
        axes.stairs(events_T, edges_T, baseline=None, color=_colour(card, name), **line)
    spread = totals_B.max() > 20 * totals_B[totals_B > 0].min()
    axes.set_yscale("log" if spread else "linear")
    if not spread:
        axes.yaxis.set_major_formatter("{x:,.0f}")
    axes.set(ylabel=f"events a {activity.period}{' (log)' if spread else ''}", ylim=(None if spread else 0, None))
    if len(log.behaviors) > 1:
        axes.legend(frameon=False, labelcolor=INK, ncols=5, loc="lower left", bbox_to_anchor=(0, 1), borderpad=0)
    below.stairs(100 * activity.new_T, edges_T, fill=True, color=MARKS[5], alpha=0.8)
    below.set(ylabel="of them on\nnew items (%)", ylim=(0, 105), xlabel=f"{activity.period}, UTC")
    for panel in (axes, below):
        panel.set_xlim(edges_T[0], edges_T[-1])
    _dates(below)
    axes.tick_params(labelbottom=False)
    return title, figure


def _order(card: Card) -> tuple[str, Figure] | None:
    test = card.order
    if test is None:
        return None
    verdict = "Order matters" if test.matters else "No order shows"
    title = f"{verdict}: the next item's reciprocal rank is {test.true:.3f}, shuffled {test.shuffled:.3f}"
    figure, (axes,) = canvas(title, height=2.6)
    axes.barh([1, 0], [test.true, test.shuffled], color=[MARKS[0], MARKS[6]], height=0.6)
    low, high = test.true - test.high, test.true - test.low
    axes.plot([low, high], [0, 0], color=INK, linewidth=2, marker="|", markersize=10)
    each = test.true - test.gain_S
    axes.plot(each, np.full(len(each), 0.4), "v", color=MARKS[1], markersize=5, label="each shuffle")
    axes.set_yticks([1, 0], ["true order", "shuffled"])
    axes.text(test.true, 1, f" {test.true:.4f}", va="center", color=INK)
    axes.text(test.shuffled, -0.42, f" {test.shuffled:.4f}", va="top", color=INK)
    words = "mean reciprocal rank of the next item; triangles: each shuffle\nline: 95% interval of the difference"
    axes.set(xlabel=words, xlim=(0, 1.12 * max(test.true, high)), ylim=(-0.85, 1.4))
    axes.grid(visible=False, axis="y")
    return title, figure


def _shortcuts(card: Card) -> tuple[str, Figure] | None:
    scored, best = shortcuts(card), best_shortcut(card)
    if best is None or card.board is None:
        return None
    title = f"The bar to beat: {best[0]} reaches {card.board.headline} {best[1].value:.4f} on validation"
    figure, (axes,) = canvas(title, height=1.3 + 0.42 * len(scored))
    place = np.arange(len(scored))[::-1]
    colours = [MARKS[1] if name == best[0] else MARKS[0] for name, _ in scored]
    axes.barh(place, [score.value for _, score in scored], color=colours, height=0.65)
    reach = max(score.high or score.value for _, score in scored) or 1.0
    for y, (_, score) in zip(place, scored, strict=True):
        if score.low is not None and score.high is not None:
            axes.plot([score.low, score.high], [y, y], color=INK, linewidth=1.5, marker="|", markersize=8)
        axes.text((score.high or score.value) + 0.015 * reach, y, f"{score.value:.4f}", va="center", color=INK)
    axes.set_yticks(place, [name for name, _ in scored])
    axes.set(xlabel=f"{card.board.headline} on validation, 95% interval over users", xlim=(0, 1.14 * reach))
    axes.grid(visible=False, axis="y")
    return title, figure


def _dates(axes: Axes) -> None:
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

    locator = AutoDateLocator()
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))
    axes.xaxis.get_offset_text().set_color(axes.xaxis.label.get_color())


def _colour(card: Card, behavior: str) -> str:
    """A behaviour has one colour in every picture."""
    return MARKS[card.dataset.interactions.behaviors.index(behavior) % len(MARKS)]
