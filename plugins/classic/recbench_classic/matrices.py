"""Logs and histories as sets of pairs and as sparse matrices.

Letters: Q queries, U users, I items, E events, N pairs; R rows, B of them a block.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from recbench.data import Interactions, Queries

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

DAY = 86400  # seconds
CELLS = 1 << 22  # numbers of a dense block held at once: 32 MB as float64


def last_of_pair(row: NDArray, item: NDArray, n_items: int) -> NDArray:
    """(N,) position of the last occurrence of each distinct (row, item), sorted by row, then item."""
    key = row.astype(np.int64) * n_items + item
    return len(key) - 1 - np.unique(key[::-1], return_index=True)[1]


def user_item(log: Interactions) -> csr_matrix:
    """(U, I) float32, 1 where the user met the item."""
    from scipy.sparse import csr_matrix

    last = last_of_pair(log.user, log.item, log.n_items)
    ones = np.ones(len(last), np.float32)
    return csr_matrix((ones, (log.user[last], log.item[last])), shape=(log.n_users, log.n_items))


def counts(row: NDArray, column: NDArray, shape: tuple[int, int]) -> csr_matrix:
    """float32 how often each (row, column) comes, columns sorted."""
    from scipy.sparse import csr_matrix

    matrix = csr_matrix((np.ones(len(row), np.float32), (row, column)), shape=shape)
    matrix.sum_duplicates()
    return matrix


def latest(queries: Queries, n: int) -> Queries:
    """The queries with nothing but the last n events of each history to be read by `history`."""
    return replace(queries, items=queries.items.last(n), times=queries.times.last(n))


def history(queries: Queries, position_half_life: float = 0.0, half_life_days: float | None = None) -> csr_matrix:
    """(Q, I) float32: 1 at each item of the history, halved every so many events and days since its last occurrence.

    `position_half_life`: events, 0 for never; `half_life_days`: days to the moment of asking, None for never.
    """
    from scipy.sparse import csr_matrix

    row, item = queries.items.flat()
    last = last_of_pair(row, item, queries.n_items)
    weight = np.ones(len(last), np.float32)
    if position_half_life > 0:
        since = np.cumsum(queries.items.lengths)[row] - 1 - np.arange(len(row))
        weight = np.exp2(-since[last] / position_half_life).astype(np.float32)
    if half_life_days is not None:
        age = np.maximum(queries.time[row] - queries.times.flat()[1], 0)[last]
        weight = weight * np.exp2(-age / (DAY * half_life_days)).astype(np.float32)
    return csr_matrix((weight, (row[last], item[last])), shape=(len(queries), queries.n_items))


def dense(left_QI: csr_matrix, right_II: csr_matrix) -> NDArray:
    """(Q, I) float32 left @ right; 0 where nothing of the left reaches."""
    return (left_QI @ right_II).toarray().astype(np.float32, copy=False)


def padded_blocks(length_R: NDArray, width: int, parts: int = 1) -> Iterator[NDArray]:
    """(B,) rows that have any entries, the shortest first, as many as keep entries and squares below CELLS / parts numbers.

    For solves in which a row has `length_R` entries of `width` numbers, padded to the longest of its block, and a square
    of that width.
    """
    cells, order = CELLS // parts, np.argsort(length_R, kind="stable")
    order = order[np.searchsorted(length_R[order], 1) :]
    while len(order):
        most = max(1, cells // (width * max(width, length_R[order[0]])))
        cells_B = np.arange(1, most + 1)[: len(order)] * np.maximum(length_R[order[:most]], width) * width
        n_rows = max(1, np.searchsorted(cells_B, cells, side="right"))
        yield order[:n_rows]
        order = order[n_rows:]
