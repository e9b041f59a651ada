"""Will the user do it? What a behaviour board asks and what answers it, of a holdout and of a training part alike.

- ask `each_event` puts a question at each exposure: an event of the board's `exposures`, those of one pair at one moment
  being one. The history is all strictly before. A behaviour is the answer where the user shows it to the item at that
  moment or within `horizon_days`, and before the next exposure of the pair, to which it then belongs. Where the horizon
  reaches beyond the part, nothing is asked: what lies there is not to be known.
- ask `window_start` puts a question where the window opens for each pair exposed in it, and the window answers.
- negatives `uniform`: of the pairs of a user with the behaviour in the window and a candidate without it there,
  `n_negatives` for each pair with it are drawn, each as likely as any other. Such a question holds the share drawn in
  `rates`, so that probabilities and measures can speak of all pairs.
- repeat `new` leaves out pairs whose history shows a behaviour asked about.
- Where nothing has a time, pairs are parts: a training pair is asked about with a tenth of the others unknown, its own
  among them.

Letters: E events, U users, I items, Q questions, B behaviours asked about, N exposures, T targets, P pairs, D draws.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from recbench.data import Interactions, Ragged
from recbench.dataset import Dataset
from recbench.exposures import COLUMNS, Exposed, at_exposures, exposing, target_numbers
from recbench.holdout import Asked, Holdout, Line, candidates_of, distinct, line_of, queries_of
from recbench.parts import DAY, TEST, cuts, drawn_by

if TYPE_CHECKING:
    from recbench.plan import Board

TRAINING_WINDOWS = 4  # at most; those that end where the training part does
FOLDS = 10  # of the training pairs where pairs are held out by lot


def behavior_holdout(
    dataset: Dataset, asked: Asked, part: NDArray, which: int, board: Board, keep_item: NDArray
) -> tuple[Holdout, float]:
    """The questions of one part and their answers; also the share of its exposures that are of no candidate."""
    log, line = dataset.interactions, line_of(dataset, asked, which, board)
    candidates = candidates_of(log, part, which, board, keep_item)
    end = int(log.time[-1]) + 1
    if board.ask == "each_event":
        if board.split == "global_time" and which != TEST:
            end = cuts(log, board)[0]
        found, outside = at_exposures(dataset, line, candidates, board, end)
    else:
        opens = cuts(log, board)[0 if which == TEST else 1] if board.split == "global_time" else end
        found, outside = _in_window(dataset, line, line.window, opens, candidates, board, which)
    return _holdout(dataset, line, found, candidates, board), outside


def training_questions(train: Dataset, board: Board) -> Holdout:
    """The questions that the board would have asked of its training part, with their answers: what a model learns from.

    The same training part and board give the same ones, in the same order.
    """
    log = train.interactions
    line, candidates, end = _whole(log), np.bincount(log.item, minlength=log.n_items) > 0, int(log.time[-1]) + 1
    if board.ask == "each_event":
        asked = at_exposures(train, line, candidates, board, end)[0]
        if board.split == "global_time":  # window after window, as they come apart in `training_parts`
            order = np.argsort(-_windows_back(asked.time, log, board), kind="stable")
            asked = Exposed(*(column[order] for column in asked))
        return _holdout(train, line, asked, candidates, board)
    if board.split == "random_pairs":
        folds = [_fold(train, line, fold, end, candidates, board) for fold in range(FOLDS)]
        return _holdout(train, *_stacked(*zip(*folds, strict=True)), candidates, board)
    length = round(board.test_window_days * DAY)
    n_windows = min(TRAINING_WINDOWS, max(1, (end - int(log.time[0])) // length - 1))
    parts = []
    for back in range(n_windows, 0, -1):
        opens = end - back * length
        window = (line.time >= opens) & (line.time < opens + length)
        asked = candidates
        if board.candidates == "known":
            asked = np.bincount(log.item[log.time < opens], minlength=log.n_items) > 0
        parts.append(_in_window(train, line, window, opens, asked, board, -back)[0])
    return _holdout(train, line, Exposed.of(parts), candidates, board)


def training_parts(train: Dataset, board: Board) -> Iterator[tuple[Dataset, Holdout]]:
    """The same questions in parts, each with what may be known beside the histories: what features of items are made of.

    Where pairs are held out by lot nothing is earlier than anything else, and what is known lacks the pairs asked about. A
    window of the test is answered with what was learned before it opens: so are training questions, in windows of the
    same length that end where the training part does, or items would look younger and rarer in the test than they did in
    training. Where parts are not cut in time it is the training part, of which what is strictly before a moment counts.
    """
    log = train.interactions
    if board.split != "random_pairs":
        asked = training_questions(train, board)
        if board.split != "global_time":
            yield train, asked
            return
        back_Q = _windows_back(asked.queries.time, log, board)
        for back in np.unique(back_Q)[::-1]:
            opens = int(log.time[-1]) + 1 - (int(back) + 1) * round(board.test_window_days * DAY)
            yield replace(train, interactions=log.where(log.time < opens)), asked.take(back_Q == back)
        return
    line, candidates, end = _whole(log), np.bincount(log.item, minlength=log.n_items) > 0, int(log.time[-1]) + 1
    fold_E = _fold_of(log.user * np.int64(log.n_items) + log.item)
    for fold in range(FOLDS):
        moved, asked = _fold(train, line, fold, end, candidates, board)
        yield replace(train, interactions=log.where(fold_E != fold)), _holdout(train, moved, asked, candidates, board)


def _windows_back(time_Q: NDArray, log: Interactions, board: Board) -> NDArray:
    """(Q,) in which window of the test's length each moment lies, 0 being the one that ends where the log does."""
    return (int(log.time[-1]) - time_Q) // round(board.test_window_days * DAY)


def _whole(log: Interactions) -> Line:
    """A whole log as the line of events, all in the window."""
    order, starts = log.by_user()
    columns = {name: getattr(log, name)[order] for name in COLUMNS}
    return Line(log.n_items, **columns, window=np.ones(len(order), bool), starts=starts)


def _fold_of(pair: NDArray) -> NDArray:
    """Which fold each pair is in, the same in every training part."""
    return (drawn_by(-1, pair) % np.uint64(FOLDS)).astype(np.int64)


def _in_window(
    dataset: Dataset, line: Line, window: NDArray, opens: int, candidates: NDArray, board: Board, draw: int
) -> tuple[Exposed, float]:
    """A question where a window opens for each pair exposed in it, and for the pairs drawn by the rule `draw` seeds."""
    behaviors, n_items = dataset.interactions.behaviors, np.int64(line.n_items)
    target_B = target_numbers(board, behaviors)
    is_target = np.isin(line.behavior, target_B)
    exposed = (exposing(board, behaviors)[line.behavior] if board.exposures else is_target) & window
    pair_P = distinct(line.pair[exposed])
    before = ~window & (line.time < opens)
    if board.repeat == "new":
        pair_P = pair_P[~_within(pair_P, distinct(line.pair[before & is_target]))]
    known_P = candidates[pair_P % n_items]
    outside = float(np.mean(~known_P)) if len(pair_P) else 0.0
    pair_P, rates = pair_P[known_P], np.ones(int(known_P.sum()))
    if board.negatives != "none":
        shown = distinct(line.pair[is_target & (window if board.repeat == "any" else window | before)])
        positive_P = pair_P[_within(pair_P, distinct(line.pair[is_target & window]))]
        drawn_P, rate_P = _negatives(positive_P, shown, candidates, board.n_negatives, draw)
        pair_P, rates = np.r_[pair_P, drawn_P], np.r_[rates, rate_P]
        order = np.argsort(pair_P, kind="stable")
        pair_P, rates = pair_P[order], rates[order]
    user, item = (pair_P // n_items).astype(line.user.dtype), (pair_P % n_items).astype(line.item.dtype)
    outcomes_QB = np.empty((len(pair_P), len(target_B)), bool)
    for b, target in enumerate(target_B):
        outcomes_QB[:, b] = _within(pair_P, distinct(line.pair[window & (line.behavior == target)]))
    before_U = np.bincount(line.user[before], minlength=len(line.starts) - 1)
    start, moment = line.starts[user], np.full(len(user), opens)
    return Exposed(user, item, moment, start, start + before_U[user], outcomes_QB, rates), outside


def _within(values: NDArray, known: NDArray) -> NDArray:
    """Which values are among the known ones, which are sorted and distinct."""
    return np.append(known, -1)[np.searchsorted(known, values)] == values


def _negatives(
    positive_P: NDArray, shown_P: NDArray, candidates: NDArray, n_each: int, draw: int
) -> tuple[NDArray, NDArray]:
    """Pairs drawn evenly, without repeats, from the candidates that a user has not shown the behaviour to, `n_each` for
    each pair with it but at most half of what there is; and the share of these pairs that was drawn."""
    n_items, item_D = np.int64(len(candidates)), np.flatnonzero(candidates)
    user_U, n_positive_U = np.unique(positive_P // n_items, return_counts=True)
    known_P = shown_P[candidates[shown_P % n_items]]
    n_known_U = np.searchsorted(known_P // n_items, user_U, side="right") - np.searchsorted(known_P // n_items, user_U)
    possible_U = len(item_D) - n_known_U
    wanted_U = np.minimum(n_each * n_positive_U, possible_U // 2)
    pairs, n_found_U, at = np.empty(0, np.int64), np.zeros(len(user_U), np.int64), 0
    while np.any(short_U := n_found_U < wanted_U):
        missing_U = np.where(short_U, wanted_U - n_found_U, 0)
        place = np.repeat(np.arange(len(user_U)), missing_U)
        counter = at + np.arange(len(place)) - np.repeat(np.cumsum(missing_U) - missing_U, missing_U)
        at += int(missing_U.max())
        uniform = drawn_by(draw, user_U[place], counter) / 2.0**64
        found = user_U[place] * n_items + item_D[(uniform * len(item_D)).astype(np.int64)]
        found = found[~_within(found, shown_P)]
        pairs = np.unique(np.r_[pairs, found])
        n_found_U = np.bincount(np.searchsorted(user_U, pairs // n_items), minlength=len(user_U))
    rate_U = wanted_U / np.maximum(possible_U, 1)
    return pairs, rate_U[np.searchsorted(user_U, pairs // n_items)]


def _fold(train: Dataset, line: Line, fold: int, opens: int, candidates: NDArray, board: Board) -> tuple[Line, Exposed]:
    """The training pairs of one fold, asked about with the events of the others as history, and the line of these."""
    window = _fold_of(line.pair) == fold
    order = np.lexsort((window, line.user))
    columns = {name: getattr(line, name)[order] for name in COLUMNS}
    moved = Line(line.n_items, **columns, window=window[order], starts=line.starts)
    return moved, _in_window(train, moved, moved.window, opens, candidates, board, -1 - fold)[0]


def _stacked(lines: Sequence[Line], parts: Sequence[Exposed]) -> tuple[Line, Exposed]:
    """Lines one behind the other, and the questions of all."""
    columns = {name: np.concatenate([getattr(line, name) for line in lines]) for name in (*COLUMNS, "window")}
    begins = np.cumsum([0, *(len(line.user) for line in lines[:-1])])
    moved = [part._replace(start=part.start + at, stop=part.stop + at) for part, at in zip(parts, begins, strict=True)]
    return Line(lines[0].n_items, **columns, starts=lines[0].starts), Exposed.of(moved)


def _holdout(dataset: Dataset, line: Line, asked: Exposed, candidates: NDArray, board: Board) -> Holdout:
    at = np.arange(len(asked.item))
    user, item, time, start, stop, outcomes, rates = asked
    queries = queries_of(dataset, line, user, time, start, stop, candidates, board, item)
    truth, behaviors = Ragged(item, at, at + 1), dataset.interactions.behaviors
    return Holdout(queries, truth, behaviors, outcomes=outcomes, rates=rates, targets=board.behaviors)
