"""The few questions that are learned from: drawn from those of the training part, as many that came true as not.

Letters: Q questions, N shots, B behaviours asked about.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from recbench.asked import asked_in_training
from recbench.errors import RecbenchError
from recbench.parts import drawn_by

if TYPE_CHECKING:
    from recbench.data import Queries
    from recbench.dataset import Dataset
    from recbench.plan import Board


@dataclass(frozen=True, eq=False)
class Shots:
    """`queries`: N questions. `target_N`: the behaviour asked about, by its place on the board; `true_N`: bool, what came.
    `rate_B`: the share of all training questions that came true."""

    queries: Queries
    target_N: NDArray
    true_N: NDArray
    rate_B: NDArray

    def take(self, rows: NDArray) -> Shots:
        """The chosen shots, in the order given."""
        return Shots(self.queries.take(rows), self.target_N[rows], self.true_N[rows], self.rate_B)


def drawn_shots(owner: str, train: Dataset, board: Board, n: int, seed: int) -> Shots:
    """`n` questions of a training part by a seed, in equal parts for each behaviour and outcome, in mixed order.

    More shots of one seed hold the fewer. RecbenchError where there are not so many.
    """
    asked = asked_in_training(owner, train, board)
    queries, true_QB = asked.queries, asked.outcomes
    assert true_QB is not None and queries.item is not None
    n_targets = true_QB.shape[1]
    each = -(-n // (2 * n_targets))
    lot_Q = drawn_by(seed, queries.user, queries.item, queries.time)
    order_Q = np.argsort(lot_Q, kind="stable")
    rows, targets, outcomes = [], [], []
    for b in range(n_targets):
        for outcome in (True, False):
            found = order_Q[true_QB[order_Q, b] == outcome][:each]
            if len(found) < each:
                raise RecbenchError(
                    f"{owner}: shots={n} needs {each} training questions with the answer {'yes' if outcome else 'no'} for "
                    f"{board.behaviors[b]}; board {board.name} has {len(found)}; use fewer shots"
                )
            rows, targets, outcomes = [*rows, found], [*targets, np.full(each, b)], [*outcomes, np.full(each, outcome)]
    row_N, target_N, true_N = (np.concatenate(column) for column in (rows, targets, outcomes))
    rank_N = np.tile(np.arange(each), 2 * n_targets)
    mixed = np.lexsort((~true_N, target_N, rank_N))[:n]  # behaviours and outcomes take turns
    return Shots(queries.take(row_N[mixed]), target_N[mixed], true_N[mixed], true_QB.mean(axis=0))
