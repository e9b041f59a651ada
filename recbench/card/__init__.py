"""What a data set is fit for: everything that its card says, as numbers.

`counts` counts, `order` tests whether order matters, `shortcuts` scores what needs no learning, `sections` puts it into
words and tables, `page` into one HTML file, `listing` tells what is installed, `command` is `python -m recbench data`.

Letters: E events, U users, I items, Q queries.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from recbench.card.counts import CLOCKED, Activity, Counts, Drift, activity_of, counts_of, drift_of
from recbench.card.order import OrderTest, order_test
from recbench.card.shortcuts import shortcut_scores
from recbench.dataset import Dataset
from recbench.errors import RecbenchError
from recbench.evaluate import Score
from recbench.holdout import Holdout
from recbench.model import nothing
from recbench.parts import drawn_order
from recbench.plan import Board
from recbench.split import Split, split

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Card", "Cold", "Texts", "card_of"]


@dataclass(frozen=True)
class Cold:
    """A holdout against what is learned before it: shares of queries without a history and of answers never seen."""

    queries: int
    answers: int
    without_history: float
    unseen_answers: float


@dataclass(frozen=True)
class Texts:
    """Share of items with text, and the median and mean number of its words where there is some."""

    coverage: float
    median_words: float
    mean_words: float


@dataclass(frozen=True, eq=False)
class Card:
    """All that is known of a data set. `missing` says, part by part, why something is not known.

    `parts`, `cold` (validation, test), `shortcuts` (by name a score, or why there is none) and `asked`, the validation
    queries that they answered, belong to `board`.
    """

    dataset: Dataset
    board: Board | None
    counts: Counts
    activity: Activity | None = None
    drift: Drift | None = None
    order: OrderTest | None = None
    parts: Split | None = None
    cold: dict[str, Cold] = field(default_factory=dict)
    shortcuts: dict[str, Score | str] = field(default_factory=dict)
    asked: int = 0
    texts: Texts | None = None
    missing: dict[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return self.dataset.info.name


def card_of(
    dataset: Dataset, board: Board | None = None, no_board: str = "", say: Callable[[str], object] = nothing
) -> Card:
    """The card of a data set, split by `board`; `no_board` is the reason where there is none.

    `say` hears what is being computed. RecbenchError where the data set holds no events.
    """
    log, clock = dataset.interactions, dataset.info.clock
    if not len(log):
        raise RecbenchError(f"data={dataset.info.name} holds no events; check the files or the parameters")
    say("counts")
    missing: dict[str, str] = {}
    counts, activity, drift = counts_of(log, clock), None, None
    if clock in CLOCKED:
        activity, drift = activity_of(log, clock), drift_of(log)
    else:
        have = "there is an order inside each user only" if clock == "order" else "events have no order"
        missing["time"] = f"no clock: {have}"
    say("split")
    parts, cold, shortcuts, asked = None, {}, {}, 0
    try:
        if board is None:
            raise RecbenchError(f"no board{f': {no_board}' if no_board else ''}")
        parts = split(dataset, board)
        cold = {"validation": _cold(parts.valid, parts.train), "test": _cold(parts.test, parts.refit)}
    except RecbenchError as error:
        missing["split"] = str(error)
    order = None
    if clock == "none":
        missing["order"] = "no order: there is nothing to shuffle"
    else:
        say("shuffle test")
        learned = parts.train if parts else drawn_order(dataset, 0)
        order = order_test(learned.interactions, say=say)
        if order is None:
            missing["order"] = "no user has three moments: there is no history to shuffle"
    if parts and board:
        try:
            shortcuts, asked = shortcut_scores(parts, board, clock, say)
        except RecbenchError as error:
            missing["shortcuts"] = str(error)
    texts = _texts(dataset.items)
    return Card(dataset, board, counts, activity, drift, order, parts, cold, shortcuts, asked, texts, missing)


def _cold(holdout: Holdout, learned: Dataset) -> Cold:
    known_I = np.bincount(learned.interactions.item, minlength=learned.n_items) > 0
    _, answers = holdout.truth.flat()
    empty = float(np.mean(holdout.queries.items.lengths == 0))
    return Cold(len(holdout.queries), len(answers), empty, float(np.mean(~known_I[answers])))


def _texts(items: pd.DataFrame | None) -> Texts | None:
    """What there is of the column `text`, or else `title`; None without either."""
    column = next((c for c in ("text", "title") if items is not None and c in items), None)
    if items is None or column is None:
        return None
    words_I = np.array([len(text.split()) if isinstance(text, str) else 0 for text in items[column].tolist()])
    there = words_I[words_I > 0]
    if not len(there):
        return Texts(0.0, 0.0, 0.0)
    return Texts(len(there) / len(words_I), float(np.median(there)), float(there.mean()))
