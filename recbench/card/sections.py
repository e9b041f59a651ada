"""A card in words and tables, read by the terminal and by the page alike."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from recbench.card import Card
from recbench.card.counts import CLOCKED, gini, top_share
from recbench.evaluate import Score
from recbench.parts import DAY

MEANINGS = {
    "chance": "a list drawn by lot",
    "popular": "what most users met",
    "recent popular": "what most users met in the last tenth of the training events",
    "last item": "the own items again, the newest first",
    "item transitions": "what followed the last item elsewhere",
    "base rate": "the share of the training questions",
}


@dataclass(frozen=True)
class Section:
    """A heading with pairs of a name and a text, or with a table of equal rows; `pictures` names what is drawn beside."""

    title: str
    pairs: tuple[tuple[str, str], ...] = ()
    table: tuple[dict[str, Any], ...] = ()
    pictures: tuple[str, ...] = ()


def sections(card: Card) -> list[Section]:
    """What the card says, what the data are fit for first."""
    made: tuple[Callable[[Card], Section | None], ...] = (
        fitness,
        _origin,
        _size,
        _behaviors,
        _users_and_items,
        _time,
        _order,
        _known,
        _split,
        _leakage,
        _shortcuts,
        _cleaning,
    )
    return [section for make in made if (section := make(card)) is not None]


def share(part: float | np.floating) -> str:
    """A share as a percentage; a small one keeps two digits."""
    if not 0 < part < 0.001:
        return f"{part:.1%}"
    return f"{100 * part:.2g}%" if part >= 1e-6 else f"{100 * part:.1e}%"


def moment(seconds: int, clock: str) -> str:
    """A time in UTC, as exact as the clock."""
    length = {"months": 7, "days": 10, "minutes": 16}.get(clock, 19)
    text = str(np.datetime64(seconds, "s"))[:length].replace("T", " ")
    return text if length <= 10 else f"{text} UTC"


def fitness(card: Card) -> Section:
    """What the data can and cannot show, one line a use."""
    data, clock, counts = card.dataset, card.dataset.info.clock, card.counts
    best, texts = best_shortcut(card), card.texts
    rows = [
        ("split", _splits(card)),
        ("sequential models", _order_verdict(card)),
        (
            "repeats",
            f"{share(counts.repeats)} of the events repeat a pair of user and item: "
            + ("ask with repeat=any too" if counts.repeats > 0.1 else "only new items are worth asking for"),
        ),
        (
            "several behaviours",
            f"yes: {', '.join(data.interactions.behaviors)}"
            if len(counts.by_behavior) > 1
            else "no, one behaviour only",
        ),
        (
            "text models",
            f"yes: text for {share(texts.coverage)} of the items" if texts and texts.coverage else "no text",
        ),
        ("knowledge graph", "no" if data.knowledge is None else f"yes: {len(data.knowledge):,} triples"),
        ("social models", "no" if data.social is None else f"yes: {len(data.social):,} edges between users"),
        ("time features", "yes" if clock in CLOCKED[:3] else f"no: the clock is {clock}"),
    ]
    if best and card.board:
        bar = f"{card.board.headline} {best[1].value:.4f} on validation, by the shortcut {best[0]}"
        rows.append(("bar to beat", bar))
    return Section("Fit for", tuple(rows))


def _splits(card: Card) -> str:
    clock, again = card.dataset.info.clock, "" if card.parts else f" ({card.missing['split']})"
    can = {"order": "leave_last_out, random_users", "none": "random_pairs, random_users"}
    words = "by time, leak-free: global_time" if clock in CLOCKED else f"{can[clock]}; none by time"
    return words + ("; given with the data" if card.dataset.part is not None else "") + again


def _order_verdict(card: Card) -> str:
    if card.order is None:
        return f"cannot be judged: {card.missing['order']}"
    true, shuffled = card.order.true, card.order.shuffled
    verdict = "yes, order matters" if card.order.matters else "no order shows"
    return f"{verdict}: the next item is found with {true:.4f} on the true order, {shuffled:.4f} on a shuffled one"


def shortcuts(card: Card) -> list[tuple[str, Score]]:
    """The shortcuts that could be tried, and what each reaches on validation."""
    return [(name, score) for name, score in card.shortcuts.items() if not isinstance(score, str)]


def best_shortcut(card: Card) -> tuple[str, Score] | None:
    """The one that the board's headline finds best: what a model must beat. None where none could be tried."""
    return max(shortcuts(card), key=lambda row: row[1].value * (1 if row[1].higher_is_better else -1), default=None)


def _origin(card: Card) -> Section:
    info = card.dataset.info
    rows = {name: getattr(info, name) for name in ("scenario", "licence", "source", "citation", "notes")}
    return Section(
        "Origin", tuple((name, text) for name, text in (rows | {"sha256": card.dataset.checksum}).items() if text)
    )


def _size(card: Card) -> Section:
    counts, data = card.counts, card.dataset
    idle_users, idle_items = data.n_users - counts.users, data.n_items - counts.items
    value = data.interactions.value
    rows = [
        ("events", f"{counts.events:,}"),
        ("users", f"{counts.users:,}" + (f", and {idle_users:,} without an event" if idle_users else "")),
        ("items", f"{counts.items:,}" + (f", and {idle_items:,} without an event" if idle_items else "")),
        ("distinct pairs", f"{counts.pairs:,}"),
        ("density", f"{share(counts.density)} of all pairs occur; {share(1 - counts.density)} do not"),
        ("repeats", f"{share(counts.repeats)} of the events, {share(counts.repeats_alike)} under the same behaviour"),
    ]
    if value.min() < value.max():
        low, middle, high = value.min(), np.median(value), value.max()
        rows.append(("values", f"{low:g} to {high:g}, median {middle:g}, mean {value.mean(dtype=np.float64):.3g}"))
    if data.context is not None:
        rows.append(("events without item", f"{len(data.context):,}: {', '.join(data.context.behaviors)}"))
    return Section("Size", tuple(rows))


def _behaviors(card: Card) -> Section:
    counts = card.counts
    table = tuple(
        {
            "behaviour": name,
            "events": f"{events:,}",
            "of events": share(events / counts.events),
            "users": f"{users:,}",
            "of users": share(users / counts.users),
            "pairs": f"{pairs:,}",
        }
        for name, (events, users, pairs) in sorted(counts.by_behavior.items(), key=lambda row: -row[1][0])
    )
    return Section("Behaviours", table=table, pictures=("behaviours",))


def _users_and_items(card: Card) -> Section:
    table = tuple(
        {"events of": kind, "min": f"{column.min():,}"}
        | {name: f"{np.quantile(column, q):,.0f}" for name, q in (("25%", 0.25), ("median", 0.5), ("75%", 0.75))}
        | {"mean": f"{column.mean():,.1f}", "95%": f"{np.quantile(column, 0.95):,.0f}", "max": f"{column.max():,}"}
        | {"gini": f"{gini(column):.2f}", "top 1% hold": share(top_share(column))}
        for kind, column in (("a user", card.counts.lengths_U), ("an item", card.counts.sizes_I))
    )
    return Section("Histories and the long tail", table=table, pictures=("histories", "long-tail"))


def _time(card: Card) -> Section:
    clock, log = card.dataset.info.clock, card.dataset.interactions
    if card.activity is None:
        return Section("Time", (("clock", clock), ("dates, ties, drift", card.missing["time"])))
    first, last = int(log.time[0]), int(log.time[-1])
    rows = [
        ("clock", clock),
        ("first event", moment(first, clock)),
        ("last event", moment(last, clock)),
        ("span", f"{(last - first) / DAY:,.1f} days"),
        ("ties", f"{share(card.counts.ties or 0.0)} of the events share their moment with another of the same user"),
        (
            "new items",
            f"{share(card.activity.new_later)} of the events are on items new in that {card.activity.period}",
        ),
    ]
    if (drift := card.drift) is not None:
        rows += [
            ("drift", f"distance {drift.distance:.2f} between the halves; {drift.distance_by_lot:.2f} by chance alone"),
            (
                "rank correlation",
                f"{drift.correlation:.2f} between the halves; {drift.correlation_by_lot:.2f} by chance",
            ),
        ]
    return Section("Time", tuple(rows), pictures=("activity",))


def _order(card: Card) -> Section:
    test = card.order
    if test is None:
        return Section("Does order matter", (("shuffle test", card.missing["order"]),))
    rows = (
        ("true order", f"{test.true:.4f} mean reciprocal rank of the next item, from what followed the one before"),
        ("shuffled", f"{test.shuffled:.4f} where each history is shuffled, mean of {len(test.gain_S)} shuffles"),
        ("difference", f"{test.gain:+.4f}, 95% interval {test.low:+.4f} to {test.high:+.4f} over {test.users:,} users"),
        ("each shuffle", ", ".join(f"{gain:+.4f}" for gain in test.gain_S)),
        ("verdict", "order matters" if test.matters else "no order shows: a set of items says as much"),
    )
    return Section("Does order matter", rows, pictures=("order",))


def _known(card: Card) -> Section:
    data, rows = card.dataset, []
    if (texts := card.texts) is not None:
        length = f"; median {texts.median_words:g} words, mean {texts.mean_words:.1f}" if texts.coverage else ""
        rows.append(("text", f"{share(texts.coverage)} of the items{length}"))
    for kind, table in (("items", data.items), ("users", data.users)):
        if table is not None:
            filled = ", ".join(f"{name} {share(_filled(table[name]))}" for name in table.columns)
            rows.append((f"columns of {kind}", filled))
    if (triples := data.knowledge) is not None:
        entities = set(triples["head"]) | set(triples["tail"])
        linked = ""
        if data.items is not None and "entity" in data.items:
            linked = f"; {share(np.mean([e in entities for e in data.items['entity']]))} of the items are entities"
        kinds = triples["relation"].nunique()
        rows.append(("knowledge", f"{len(triples):,} triples, {kinds:,} relations, {len(entities):,} entities{linked}"))
    if (edges := data.social) is not None:
        befriended = np.isin(data.user_ids, edges["user"].to_numpy())
        rows.append(("social", f"{len(edges):,} edges; {share(np.mean(befriended))} of the users have one"))
    return Section("Known of items and users", tuple(rows) or (("nothing", "ids only"),))


def _filled(column: Any) -> float:
    """Share of cells that hold something: an empty text or list is nothing."""
    sizes = column.dropna().map(lambda cell: len(cell) if hasattr(cell, "__len__") else 1)
    return float((sizes > 0).sum() / max(1, len(column)))


def _split(card: Card) -> Section:
    if card.board is None or card.parts is None:
        return Section("Split", (("none", card.missing["split"]),))
    table = tuple(
        {
            "part": part,
            "queries": f"{cold.queries:,}",
            "answers": f"{cold.answers:,}",
            "no history": share(cold.without_history),
            "answers never seen": share(cold.unseen_answers),
        }
        for part, cold in card.cold.items()
    )
    return Section(f"Split of board {card.board.name}: {card.board.split}, {card.board.repeat} items", table=table)


def _leakage(card: Card) -> Section | None:
    if card.parts is None:
        return None
    rows = tuple(
        {"measured": share(v) if isinstance(v, float) else f"{v:,}", "meaning": name.replace("_", " ")}
        for name, v in card.parts.leakage.items()
        if not (name.startswith("test_events_before") and card.dataset.info.clock == "none")  # nothing is before
    )
    return Section("What leaks through the split, and who is cold", table=rows)


def _shortcuts(card: Card) -> Section | None:
    if card.board is None or not card.shortcuts:
        why = card.missing.get("shortcuts")
        return Section("Shortcuts", (("none", why),)) if why else None
    table = tuple(
        {"shortcut": name, card.board.headline: "-", "95% interval": "", "meaning": score}
        if isinstance(score, str)
        else {
            "shortcut": name,
            card.board.headline: f"{score.value:.4f}",
            "95% interval": "" if score.low is None else f"{score.low:.4f} to {score.high:.4f}",
            "meaning": MEANINGS.get(name, "this feature alone, in 20 bins"),
        }
        for name, score in card.shortcuts.items()
    )
    drawn = "" if card.asked == len(card.parts.valid.queries) else ", drawn by lot"  # type: ignore[union-attr]
    return Section(f"Shortcuts on validation, {card.asked:,} queries{drawn}", table=table, pictures=("shortcuts",))


def _cleaning(card: Card) -> Section:
    steps = card.dataset.cleaning.items()
    if not steps:
        return Section("Cleaning", (("none", "the data set reports no step"),))
    return Section("Cleaning", table=tuple({"count": f"{n:,}", "meaning": step.replace("_", " ")} for step, n in steps))
