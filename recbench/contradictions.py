"""What contradicts itself among the fields of a board that asks whether a user will do it: pairs of whether it does, and why."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from recbench.plan import Board


def wrong_questions(board: Board) -> tuple[tuple[bool, str], ...]:
    """Whether something is wrong with what is asked and when, and what."""
    splits = {
        "each_event": ("global_time", "random_users", "given"),
        "window_start": ("global_time", "random_pairs"),
    }
    windows = (board.test_window_days, board.valid_window_days)
    return (
        (not board.behaviors, "behaviors must name what is asked about"),
        (
            len(set(board.behaviors)) < len(board.behaviors),
            f"behaviors must name each behaviour once; given {', '.join(board.behaviors)}",
        ),
        (
            len(board.behaviors) == 1 and set(board.exposures) == set(board.behaviors),
            f"exposures and behaviors must differ: whether there is a {', '.join(board.behaviors)} where there is one "
            "needs no answer",
        ),
        (board.target != "all_in_window", f"target must be all_in_window; given {board.target}"),
        (board.split not in splits.get(board.ask, ()), _allowed_splits(board, splits)),
        (board.horizon_days < 0, f"horizon_days must be at least 0; given {board.horizon_days:g}"),
        (
            bool(board.horizon_days) and board.ask != "each_event",
            f"horizon_days is for ask each_event, a window answers whole; given {board.horizon_days:g}",
        ),
        (
            board.ask == "window_start" and board.split == "global_time" and windows[0] != windows[1],
            "test_window_days and valid_window_days must be equal, or validation answers another question; "
            f"given {windows[0]:g} and {windows[1]:g}",
        ),
        (
            board.split == "given" and board.horizon_days > 0,
            f"horizon_days must be 0 with split given, whose parts end anywhere; given {board.horizon_days:g}",
        ),
    )


def wrong_draws(board: Board) -> tuple[tuple[bool, str], ...]:
    """Whether something is wrong with where the questions without the behaviour come from, and what."""
    drawn = board.negatives != "none"
    return (
        (
            not board.exposures and not drawn,
            "name the exposures at which a question is put, or a rule for negatives where the data have none",
        ),
        (
            drawn and (board.ask != "window_start" or len(board.behaviors) != 1 or board.n_negatives < 1),
            "negatives are drawn for ask window_start, one behaviour and n_negatives of at least 1; "
            f"given {board.ask}, {len(board.behaviors)} and {board.n_negatives}",
        ),
        (
            drawn and bool(board.exposures),
            f"negatives are drawn where no exposure is known: name no exposures; given {', '.join(board.exposures)}",
        ),
        (
            drawn and board.split == "random_pairs" and board.repeat != "new",
            "negatives drawn with split random_pairs need repeat new: a pair held out is in no history, so that a pair "
            f"of the history would be known to be drawn; given {board.repeat}",
        ),
        (not drawn and board.n_negatives != 0, f"n_negatives={board.n_negatives} needs a rule: negatives uniform"),
    )


def _allowed_splits(board: Board, splits: dict[str, tuple[str, ...]]) -> str:
    allowed = "; ".join(f"{ask} with {', '.join(names)}" for ask, names in splits.items())
    return f"allowed are {allowed}; given {board.ask} with {board.split}"
