"""Whether the order of events tells anything: what followed what, counted on the true order and on shuffled histories.

A moment is all events of one user at one time; a link leads from each event of a moment to one of the user's next
moment, so that events of one moment are no order. The last moment of a user is asked for: the item before it is looked
up, and the items that followed it elsewhere are ranked by how often. A shuffle deals a user's history anew over its own
moments and leaves what is asked alone. If order says nothing, both score alike (the idea: Klenitskiy, Volodkevich,
Pembek, Vasilev, Does It Look Sequential?, RecSys 2024). Links from an item to itself are left out on both sides.

Letters: E events of users one after another, N links, P distinct pairs of items, Q users asked, S shuffles.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recbench.data import Interactions
from recbench.model import nothing
from recbench.stats import bootstrap_interval

SHUFFLES = 5
ASKED = 50_000  # users that are asked at most, drawn by lot


@dataclass(frozen=True, eq=False)
class OrderTest:
    """`true`: mean reciprocal rank of the next item on the true order. `gain`: by how much it beats the shuffles, with
    its 95% interval over users; `gain_S`: the same for each shuffle. `users`: how many were asked."""

    users: int
    true: float
    gain: float
    low: float
    high: float
    gain_S: NDArray

    @property
    def shuffled(self) -> float:
        """Mean reciprocal rank on shuffled histories."""
        return self.true - self.gain

    @property
    def matters(self) -> bool:
        """Whether the true order beats every shuffle, and all of them beyond what the choice of users makes."""
        return self.low > 0 and bool((self.gain_S > 0).all())


def links(user: NDArray, time: NDArray) -> tuple[NDArray, NDArray]:
    """(N,) row numbers from and to, of (E,) rows user after user in order of time."""
    new = np.ones(len(user), bool)
    new[1:] = (np.diff(user) != 0) | (np.diff(time) != 0)
    start, moment = np.flatnonzero(new), np.cumsum(new) - 1
    size = np.diff(start, append=len(user))
    row = np.flatnonzero(moment < len(start) - 1)
    following = moment[row] + 1
    to = start[following] + (row - start[moment[row]]) % size[following]
    same = user[to] == user[row]
    return row[same], to[same]


@dataclass(frozen=True, eq=False)
class Transitions:
    """How often one item followed another: sorted keys `first * n_items + next` and their (P,) counts."""

    key: NDArray
    count: NDArray
    n_items: int

    @classmethod
    def of(cls, first_N: NDArray, next_N: NDArray, n_items: int) -> Transitions:
        """Counted from the two ends of every link."""
        key = np.sort(first_N * np.int64(n_items) + next_N)
        start = np.flatnonzero(np.diff(key, prepend=-1))
        return cls(key[start], np.diff(start, append=len(key)), n_items)

    def row(self, first: NDArray) -> tuple[NDArray, NDArray]:
        """(Q,) where the pairs of each item start and end."""
        low = first * np.int64(self.n_items)
        return np.searchsorted(self.key, low), np.searchsorted(self.key, low + self.n_items)

    def reciprocal_rank(self, first_Q: NDArray, next_Q: NDArray) -> NDArray:
        """(Q,) 1/rank of the next item among all items by count after the first; expected over ties."""
        start, stop = self.row(first_Q)
        key = first_Q * np.int64(self.n_items) + next_Q
        at = np.minimum(np.searchsorted(self.key, key), len(self.key) - 1)
        count_Q = np.where(self.key[at] == key, self.count[at], 0)
        most = int(self.count.max()) + 1
        rising = np.sort(self.key // self.n_items * most + self.count)  # by first item, then by count
        level = first_Q * np.int64(most) + count_Q
        below_Q, upto_Q = (np.searchsorted(rising, level, side=side) for side in ("left", "right"))
        above_Q = stop - upto_Q
        equal_Q = np.where(count_Q > 0, upto_Q - below_Q, self.n_items - (stop - start))
        harmonic = np.r_[0, np.cumsum(1 / np.arange(1, self.n_items + 1))]
        return (harmonic[above_Q + equal_Q] - harmonic[above_Q]) / equal_Q


def order_test(log: Interactions, seed: int = 0, say: Callable[[str], object] = nothing) -> OrderTest | None:
    """The test on a log in true order, ties in drawn order; None where no user has three moments.

    `say` hears of each shuffle.
    """
    order, _ = log.by_user()
    user, item, time = log.user[order], log.item[order], log.time[order]
    asked, last, history = _questions(user, time, seed)
    if not len(asked):
        return None
    origin, to = links(user[history], time[history])

    def ranks(item_H: NDArray) -> NDArray:
        """(Q,) reciprocal ranks, NaN where the item before is the one asked for."""
        first, after, before, wanted = item_H[origin], item_H[to], item_H[last], item[asked]
        learned = Transitions.of(first[first != after], after[first != after], log.n_items)
        if not len(learned.key):
            return np.full(len(asked), np.nan)
        return np.where(before != wanted, learned.reciprocal_rank(before, wanted), np.nan)

    rng, item_H, user_H = np.random.default_rng(seed), item[history], user[history]
    true_Q, shuffled_QS = ranks(item_H), np.empty((len(asked), SHUFFLES))
    for s in range(SHUFFLES):
        say(f"shuffle {s + 1} of {SHUFFLES}")
        shuffled_QS[:, s] = ranks(item_H[np.argsort(user_H + rng.random(len(user_H)))])
    return _compared(true_Q, shuffled_QS)


def _questions(user: NDArray, time: NDArray, seed: int) -> tuple[NDArray, NDArray, NDArray]:
    """Rows asked for, (Q,); the place in the history before each, (Q,); rows of the history: all but last moments."""
    new = np.ones(len(user), bool)
    new[1:] = (np.diff(user) != 0) | (np.diff(time) != 0)
    n_moments = np.bincount(user[new], minlength=int(user[-1]) + 1)
    ends = np.flatnonzero(np.diff(user, append=-1))
    in_last = time == time[ends[np.searchsorted(ends, np.arange(len(user)))]]
    history = np.flatnonzero(~in_last)
    asked = ends[n_moments[user[ends]] > 2]
    if len(asked) > ASKED:
        asked = np.sort(np.random.default_rng(seed).choice(asked, ASKED, replace=False))
    return asked, np.searchsorted(history, asked) - 1, history


def _compared(true_Q: NDArray, shuffled_QS: NDArray) -> OrderTest | None:
    """A user counts in a shuffle where both orders have an answer: without order that is as likely on either side."""
    both_QS = np.isfinite(shuffled_QS) & np.isfinite(true_Q)[:, None]
    if not both_QS.any(0).all():
        return None
    gain_QS = np.where(both_QS, true_Q[:, None] - shuffled_QS, 0)
    kept = both_QS.any(1)
    true_Q, gain_Q = true_Q[kept], gain_QS[kept].sum(1) / both_QS[kept].sum(1)
    low, high = bootstrap_interval(gain_Q)
    gain_S = gain_QS.sum(0) / both_QS.sum(0)
    return OrderTest(len(true_Q), float(true_Q.mean()), float(gain_Q.mean()), low, high, gain_S)
