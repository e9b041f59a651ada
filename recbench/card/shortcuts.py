"""What a board's headline is worth without learning: the scores of five shortcuts on the validation holdout.

On a board that asks whether a user will do it, they are the base rate and rules of one feature (`rules`).

A model that does not beat them has found nothing in the data. The test holdout is not opened.

Letters: Q queries, I items, N pairs of a query and an item.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from recbench.card.order import Transitions, links
from recbench.card.rules import one_feature_rules
from recbench.data import Queries, Ragged
from recbench.dataset import Dataset
from recbench.errors import RecbenchError
from recbench.evaluate import Score, judge, measure, rank
from recbench.holdout import Holdout, distinct
from recbench.metric import metric
from recbench.model import Context, Recommender, nothing
from recbench.plan import Board
from recbench.split import Split

CELLS = 60_000_000  # scores computed for one shortcut at most; beyond that queries are drawn by lot
LIST_LENGTH = 10
RECENT = 10  # recent popularity counts the last training event in so many


class Chance(Recommender):
    """All items alike: what a list drawn by lot is worth."""

    def fit(self, train: Dataset, context: Context) -> None:
        """Nothing to learn."""

    def score(self, queries: Queries) -> NDArray:
        """(Q, I) float32."""
        return np.zeros((len(queries), queries.n_items), np.float32)


class Popular(Recommender):
    """Items by how many users met them."""

    share = 1

    def fit(self, train: Dataset, context: Context) -> None:
        """Count each user once an item, in the last events of the log."""
        log = train.interactions
        recent = slice(len(log) - len(log) // self.share, None)
        pair = distinct(log.user[recent] * np.int64(log.n_items) + log.item[recent])
        self.popularity_I = np.bincount(pair % log.n_items, minlength=log.n_items).astype(np.float32)

    def score(self, queries: Queries) -> NDArray:
        """(Q, I) float32, the same for everyone."""
        return np.tile(self.popularity_I, (len(queries), 1))


class RecentPopular(Popular):
    """Items by how many users met them in the last tenth of the training events."""

    share = RECENT


class LastItem(Popular):
    """The user's own items again, the newest first, then by popularity."""

    def score(self, queries: Queries) -> NDArray:
        """(Q, I) float32: a seen item scores 1 plus the place of its last event in the history."""
        scores_QI = super().score(queries) / (self.popularity_I.max(initial=0) + 1)
        query, item = queries.items.flat()
        place = np.arange(len(query)) - np.searchsorted(query, query)
        scores_QI[query, item] = place + 1  # oldest first, so that an item's last place is written last and stays
        return scores_QI


class ItemTransitions(Popular):
    """Items by how often they followed the user's last item, then by popularity."""

    def fit(self, train: Dataset, context: Context) -> None:
        """Count what followed what in the next moment of the same user."""
        super().fit(train, context)
        log = train.interactions
        order, _ = log.by_user()
        item = log.item[order]
        first, after = links(log.user[order], log.time[order])
        self.next = Transitions.of(item[first], item[after], log.n_items)

    def score(self, queries: Queries) -> NDArray:
        """(Q, I) float32."""
        scores_QI = super().score(queries) / (self.popularity_I.max(initial=0) + 1)
        query, last = queries.items.last(1).flat()
        row, at = Ragged(np.arange(len(self.next.key)), *self.next.row(last)).flat()
        scores_QI[query[row], self.next.key[at] % queries.n_items] += self.next.count[at]
        return scores_QI


def shortcut_scores(
    parts: Split, board: Board, clock: str, say: Callable[[str], object] = nothing
) -> tuple[dict[str, Score | str], int]:
    """The board's headline of each shortcut on validation, or the reason why it has none; and how many queries answered.

    `say` hears of each shortcut. RecbenchError where the headline's metric is not installed.
    """
    if board.task == "behavior":
        return _rule_scores(parts, board, say), len(parts.valid.queries)
    if board.task != "ranking":
        raise RecbenchError(f"the board asks for {board.task}, and shortcuts rank")
    headline = metric(board.headline, board.task)
    holdout = _drawn(parts.valid)
    scores: dict[str, Score | str] = {}
    for name, cls, needs in (
        ("chance", Chance, ""),
        ("popular", Popular, ""),
        ("recent popular", RecentPopular, "clock"),
        ("last item", LastItem, "repeats"),
        ("item transitions", ItemTransitions, "order"),
    ):
        say(name)
        if why := _lacking(needs, board, clock):
            scores[name] = why
            continue
        model = cls()
        model.fit(parts.train, Context())
        scores[name] = measure(rank(model, holdout, headline.k or LIST_LENGTH), holdout, [headline], parts.train)[0]
    return scores, len(holdout.queries)


def _rule_scores(parts: Split, board: Board, say: Callable[[str], object]) -> dict[str, Score | str]:
    """The headline of the base rate and of the best rules that look at one feature."""
    say("rules of one feature")
    headline = metric(board.headline, board.task)
    rules = one_feature_rules(parts.train, board)
    return {
        name: measure(judge(rule, parts.valid), parts.valid, [headline], parts.train)[0] for name, rule in rules.items()
    }


def _lacking(needs: str, board: Board, clock: str) -> str:
    """Why a shortcut cannot answer, empty where it can."""
    if needs in ("order", "repeats") and clock == "none":
        return "no order: there is no last item"
    if needs == "repeats" and board.repeat == "new":
        return "seen items are masked on this board"
    if needs == "clock" and clock in ("order", "none"):
        return "no clock: what is recent cannot be said"
    return ""


def _drawn(holdout: Holdout, seed: int = 0) -> Holdout:
    """The holdout, or as many of its queries, drawn by lot, as `CELLS` allows."""
    queries = holdout.queries
    room = max(1, CELLS // queries.n_items)
    if len(queries) <= room:
        return holdout
    rows = np.sort(np.random.default_rng(seed).choice(len(queries), room, replace=False))
    return holdout.take(rows)
