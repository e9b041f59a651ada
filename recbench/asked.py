"""Questions as a model meets them: with a history each, and what was learned from as all else.

Letters: N questions, E events, B behaviours.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from recbench.data import ContextEvents, Interactions, Queries, Ragged, ascending
from recbench.dataset import Dataset, DatasetInfo
from recbench.errors import RecbenchError
from recbench.features import Asked, FeatureParams, Features, features_of, rate_prior
from recbench.holdout import Holdout
from recbench.parts import drawn_by
from recbench.questions import training_parts, training_questions
from recbench.standard import Standard

if TYPE_CHECKING:
    import pandas as pd

    from recbench.plan import Board

AT_ONCE = 1 << 16  # questions of a part: features of so many and what they are made of take some 100 MB


def answered(answer: Callable[[Queries], NDArray], queries: Queries, width: int) -> NDArray:
    """(Q, width) float64 what `answer` says of the questions, part after part, so that memory does not grow with Q.

    A user's questions come together, so that few histories are read in a part; parts are of like size, for a product of one
    row may be rounded in another way than that of several.
    """
    out_QB, order = np.empty((len(queries), width)), ascending(queries.user)[0]
    for some in np.array_split(order, -(-len(order) // AT_ONCE)) if len(order) else ():
        out_QB[some] = answer(queries.take(some))
    return out_QB


def question_features(
    known: Dataset, queries: Queries, params: FeatureParams | None = None, prior_B: NDArray | None = None
) -> Features:
    """The features of questions about items: of the users' side from each question's own history, of items from `known`.

    `known`: what was learned from, in which a question's own answer is not; of it only events strictly before the moment
    count. The columns are those of `behaviour_features`, and so are the values where `known` holds the histories.
    """
    assert queries.item is not None
    met, who_N = histories(queries, known.interactions.behaviors)
    context = _searched(queries, who_N, met.n_users)
    sides = met, context, who_N, queries.item.astype(np.int64), queries.time.astype(np.int64)
    return features_of(Asked(known, *sides, params or FeatureParams()), prior_B)


def histories(queries: Queries, behaviors: tuple[str, ...]) -> tuple[Interactions, NDArray]:
    """All histories as a log of their own, and (N,) whose each question is in it: histories of one user that begin
    together are one that grows, of which a question knows what is strictly before its moment."""
    begin = queries.items.start.astype(np.int64)
    who = queries.user * (begin.max(initial=0) + 1) + begin
    known, first, who_N = np.unique(who, return_index=True, return_inverse=True)
    ends = np.zeros(len(known), np.int64)
    np.maximum.at(ends, who_N, queries.items.stop)
    (user, item), (_, time), (_, behavior), (_, value) = (
        Ragged(rows.values, begin[first], ends).flat()
        for rows in (queries.items, queries.times, queries.behaviors, queries.values)
    )
    size = {"n_users": len(known), "n_items": queries.n_items}
    return Interactions.sorted(user, item, time, behavior=behavior, value=value, behaviors=behaviors, **size), who_N


def _searched(queries: Queries, who_N: NDArray, n: int) -> ContextEvents | None:
    """The events without an item of the histories, theirs in place of the users' numbers."""
    context, rows = queries.context, queries.searches
    if context is None or rows is None:
        return None
    begins, ends = np.full(n, np.iinfo(np.int64).max), np.zeros(n, np.int64)
    np.minimum.at(begins, who_N, rows.start)
    np.maximum.at(ends, who_N, rows.stop)
    who, row = Ragged(rows.values, begins, ends).flat()
    order = np.argsort(context.time[row], kind="stable")
    who, row = who[order], row[order]
    return ContextEvents(who, context.time[row], context.behavior[row], context.text[row], context.behaviors)


@dataclass(frozen=True, eq=False)
class Known:
    """What features of questions need of the training part, arrays alone, so that a model can keep it and files hold it.

    `clock`, `behaviors`: as the data have them. `event_*`: (E,) the log. `table`: uint8, the columns of the item table that
    are read, as JSON: categories, prices, and where there are searches the text. `prior_B`: `rate_prior`.
    """

    clock: NDArray
    behaviors: NDArray
    n_items: NDArray
    event_user: NDArray
    event_item: NDArray
    event_time: NDArray
    event_behavior: NDArray
    event_value: NDArray
    table: NDArray
    prior_B: NDArray

    @classmethod
    def of(cls, train: Dataset, searches: bool = True) -> Known:
        """Of a training part; without `searches` texts are left out."""
        log, texts = train.interactions, ("text", "title") if searches and train.context is not None else ()
        wanted = [*FeatureParams().categories.split(","), "price", *texts]
        held = () if train.items is None else [name for name in wanted if name in train.items]
        table = {name: [_plain(cell) for cell in train.items[name]] for name in held} if train.items is not None else {}
        sizes = np.array(train.info.clock), np.array(log.behaviors), np.array(train.n_items)
        events = log.user, log.item, log.time, log.behavior, log.value
        return cls(*sizes, *events, np.frombuffer(json.dumps(table).encode(), np.uint8), rate_prior(log))

    @cached_property
    def dataset(self) -> Dataset:
        """The same as features read it: log and item table."""
        names = tuple(map(str, self.behaviors))
        events = self.event_user, self.event_item, self.event_time, self.event_behavior, self.event_value
        n_users, n_items = int(self.event_user.max(initial=-1)) + 1, int(self.n_items)
        log = Interactions(*events, names, n_users, n_items)
        info = DatasetInfo("known", "", str(self.clock), "", "")
        return Dataset(info, log, np.arange(n_users), np.arange(n_items), self._items())

    def features(self, queries: Queries, log: Interactions | None = None) -> Features:
        """`question_features` with this as what is known; `log`: with these events in place of the training part's."""
        known = self.dataset if log is None else replace(self.dataset, interactions=log)
        return question_features(known, queries, None, self.prior_B)

    def _items(self) -> pd.DataFrame | None:
        import pandas as pd

        table = json.loads(self.table.tobytes())
        return pd.DataFrame(table) if table else None


def _plain(cell: Any) -> Any:
    """A cell as JSON can hold it: a list, text, a number, or None where it is missing."""
    if isinstance(cell, list | tuple | set | np.ndarray):
        return [str(word) for word in cell]
    plain = cell.item() if isinstance(cell, np.generic) else cell
    return plain if isinstance(plain, str | int | float) and plain == plain else None


def asked_in_training(owner: str, train: Dataset, board: Board) -> Holdout:
    """The questions that the board would have asked of the training part; RecbenchError, to the user of model `owner`,
    where there are none."""
    asked = training_questions(train, board)
    if not len(asked.queries):
        raise RecbenchError(
            f"model {owner}: the training part holds no question of board {board.name}; "
            "lengthen it, or shorten horizon_days or test_window_days"
        )
    return asked


def statistics_in_training(train: Dataset, board: Board, asked: Holdout) -> tuple[Known, Standard, NDArray]:
    """The statistics of the questions of a training part as inputs of a network: what those of other questions are made
    of, the rules that standardise them, and (Q, K) float32 those of `asked`, the board's questions of it."""
    assert asked.queries.item is not None
    prior_B, items, values, names = rate_prior(train.interactions), [], [], ()
    for known, some in training_parts(train, board):
        items.append(some.queries.item)
        told = question_features(known, some.queries, None, prior_B)
        values.append(told.values)
        names = told.names
    assert np.array_equal(np.concatenate(items), asked.queries.item)  # the same questions in the same order
    whole = Features(values[0] if len(values) == 1 else np.concatenate(values), names)
    values.clear()  # of a million questions they would take some 300 MB more
    rules = Standard.fit(whole)
    return Known.of(train), rules, rules(whole).values


def statistics_of(
    queries: Queries, known: Known | None, rules: Standard | None, kept: dict[bytes, NDArray] | None
) -> NDArray | None:
    """(Q, K) float32 the statistics of questions; None where nothing is known of any.

    `kept`: where those that were asked before are found, and others left: a network meets the same questions of validation
    after every epoch.
    """
    if known is None or rules is None:
        return None
    if kept is None:
        return rules(known.features(queries)).values
    assert queries.item is not None
    rows = queries.items
    asked = b"".join(
        np.ascontiguousarray(x).data for x in (queries.user, queries.item, queries.time, rows.start, rows.stop)
    )
    if asked not in kept:
        kept[asked] = rules(known.features(queries)).values
    return kept[asked]


def lessons(train: Dataset, board: Board | None, most: int, seed: int) -> Iterator[tuple[Interactions, Holdout]]:
    """`training_parts` as a model learns from them: the events known, and questions, at most about `most` in all.

    Where there are more, each is as likely as any other to be left out. RecbenchError where there is no board that asks
    about behaviours, or no question.
    """
    if board is None or board.task != "behavior":
        raise RecbenchError("who learns behaviours needs a board of task behavior, in Context.board; given none")
    asked = len(training_questions(train, board).queries)
    if not asked:
        raise RecbenchError(f"board {board.name} asks no question of the training part: there is nothing to learn from")
    for part, (known, holdout) in enumerate(training_parts(train, board)):
        n = len(holdout.queries)
        kept = n if asked <= most else -(-n * most // asked)
        if kept < n:
            place = np.argsort(drawn_by(seed, np.full(n, part), np.arange(n)), kind="stable")
            holdout = holdout.take(np.sort(place[:kept]))
        if kept:
            yield known.interactions, holdout
