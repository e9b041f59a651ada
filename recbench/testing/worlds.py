"""Tiny data sets whose right answer is known, each with the board that asks for it.

Letters: E events, U users, I items.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recbench.data import Interactions
from recbench.dataset import Dataset, DatasetInfo
from recbench.parts import DAY
from recbench.plan import Board
from recbench.split import Split, split

START = 1_600_000_000  # seconds since 1970 of the first event
CHAIN_ITEMS = 12


@dataclass(frozen=True, eq=False)
class World:
    """A data set, the board that asks the question whose answer is known, and the split of the two."""

    dataset: Dataset
    board: Board

    def split(self, **changes: Any) -> Split:
        """The split by the board, or by the board with some fields changed."""
        return split(self.dataset, replace(self.board, **changes))


def checkerboard(rounds: int = 1) -> World:
    """Even users like even items, odd users odd ones: 80 users a round, 20 items, every item equally popular.

    A user meets 7 of the 10 items of its colour, each step at its own start and stride, so that popularity and recency
    say nothing and the own history everything; the last two are held out.
    """
    grid = np.meshgrid(np.arange(10), [1, 3, 7, 9], [0, 1], indexing="ij")
    start, stride, colour = (np.tile(axis.ravel(), rounds)[:, None] for axis in grid)
    n_users = len(colour)
    user = np.arange(n_users)
    step = np.arange(7)
    item = 2 * ((start + step * stride) % 10) + colour
    time = START + step * DAY + user[:, None]
    return _world("checkerboard", np.repeat(user, 7), item.ravel(), time.ravel(), n_users, 20, _last("new"))


def chain(n_users: int = 144) -> World:
    """A first-order chain, i -> i + 1 mod 12: every history holds every item, so only the order tells the next."""
    length = 15
    step = np.arange(length)
    item = (np.arange(n_users)[:, None] + step) % CHAIN_ITEMS
    time = START + step * DAY + np.arange(n_users)[:, None]
    user = np.repeat(np.arange(n_users), length)
    return _world("chain", user, item.ravel(), time.ravel(), n_users, CHAIN_ITEMS, _last("any"))


def fashion(n_users: int = 30, steps: int = 40) -> World:
    """A wave through the items, ten days a step: at step s everyone picks among items s, s + 1 and s + 2."""
    rng = np.random.default_rng(0)
    step = np.repeat(np.arange(steps), n_users)
    user = np.tile(np.arange(n_users), steps)
    item = step + rng.integers(3, size=len(step))
    board = {"split": "global_time", "test_window_days": 20.0, "valid_window_days": 20.0, "repeat": "any"}
    return _world("fashion", user, item, START + 10 * step * DAY + user, n_users, steps + 2, board)


def cold(n_users: int = 30) -> World:
    """Two tastes, red and blue; items 16..19 first appear in the last days, and only their text tells their colour."""
    rng = np.random.default_rng(0)
    day = np.repeat(np.arange(14), n_users)
    user = np.tile(np.arange(n_users), 14)
    old = 2 * rng.integers(8, size=len(day))
    new = 16 + 2 * rng.integers(2, size=len(day))
    item = np.where(day < 10, old, new) + user % 2
    board = {
        "split": "global_time",
        "test_window_days": 2.0,
        "valid_window_days": 2.0,
        "candidates": "all",
    }
    return _world("cold", user, item, START + day * DAY + user, n_users, 20, board)


def ratings(n_users: int = 60) -> World:
    """Stars from 1 to 5: a level of the user, one of the item, one more for items of the user's colour, and some noise."""
    n_items, rng = 24, np.random.default_rng(0)
    user, item = np.divmod(np.arange(n_users * n_items), n_items)
    met = rng.random(len(user)) < 0.5
    user, item = user[met], item[met]
    level = 3 + rng.normal(0, 0.9, n_users)[user] + rng.normal(0, 0.6, n_items)[item]
    stars = np.clip(np.rint(level + 0.8 * ((user + item) % 2 == 0) + rng.normal(0, 0.3, len(user))), 1, 5)
    time = START + rng.permutation(len(user)) * 60
    board = {"task": "rating", "split": "random_pairs", "candidates": "all"}
    return _world("ratings", user, item, time, n_users, n_items, board, stars)


def acts(n_users: int = 240) -> World:
    """Views, of which some are followed by a like and some by a purchase: for items of the user's colour, which three of
    four views are of, for items of quality, and for users who have liked before.

    A user views 12 items, half a day apart, and users come one after another over 24 days, as in the days asked about; a
    like comes ten seconds after the view, a purchase twenty.
    """
    n_items, n_views, rng = 24, 12, np.random.default_rng(0)
    shape = (n_users, n_views)
    user = np.repeat(np.arange(n_users), n_views).reshape(shape)
    same = rng.random(shape) < 0.75
    item = 2 * rng.integers(n_items // 2, size=shape) + np.where(same, user, user + 1) % 2
    time = START + 43_200 * (np.arange(n_views) + rng.integers(0, 48, n_users)[:, None]) + 60 * user
    level = 1.6 * same + rng.normal(0, 1.2, n_items)[item] - 2.2
    liked, bought, luck = np.zeros(shape, bool), np.zeros(shape, bool), rng.random((2, *shape))
    for view in range(n_views):
        chance = level[:, view] + 1.2 * liked[:, :view].any(axis=1)
        liked[:, view] = luck[0][:, view] < 1 / (1 + np.exp(-chance))
        bought[:, view] = luck[1][:, view] < 1 / (1 + np.exp(1 - chance))
    done = [(np.ones(shape, bool), 0), (liked, 10), (bought, 20)]
    rows = [np.stack([user[came], item[came], time[came] + later], axis=1) for came, later in done]
    behavior = np.repeat(np.arange(3), [len(part) for part in rows])
    asked = {"task": "behavior", "behaviors": ("like", "buy"), "exposures": ("view",), "ask": "each_event"}
    windows = {"test_window_days": 6.0, "valid_window_days": 4.0, "horizon_days": 0.01}
    board = asked | windows | {"repeat": "any", "candidates": "all"}
    user, item, time = np.concatenate(rows).T
    return _world("acts", user, item, time, n_users, n_items, board, behavior=behavior)


WORLDS = {
    "checkerboard": checkerboard,
    "chain": chain,
    "fashion": fashion,
    "cold": cold,
    "ratings": ratings,
    "acts": acts,
}


def _last(repeat: str) -> dict[str, Any]:
    return {"split": "leave_last_out", "ask": "last", "target": "first", "repeat": repeat, "candidates": "all"}


def _world(
    name: str,
    user: NDArray,
    item: NDArray,
    time: NDArray,
    n_users: int,
    n_items: int,
    board: dict[str, Any],
    value: NDArray | None = None,
    behavior: NDArray | None = None,
) -> World:
    import pandas as pd

    colours = ["blue" if i % 2 else "red" for i in range(n_items)]
    items = pd.DataFrame(
        {
            "text": [f"{colour} thing" for colour in colours],
            "price": np.arange(n_items, dtype=np.float64) + 1,
            "category": colours,
        }
    )
    info = DatasetInfo(name, "testing", "seconds", "MIT", "recbench.testing.worlds")
    names = ("interact",) if behavior is None else ("view", "like", "buy")
    kinds = {"behavior": behavior, "behaviors": names, "n_users": n_users, "n_items": n_items}
    log = Interactions.sorted(user, item, time, value=value, **kinds)
    ids = (np.array([f"u{u}" for u in range(n_users)]), np.array([f"i{i}" for i in range(n_items)]))
    dataset = Dataset(info, log, *ids, items, checksum="0" * 64)
    headline = {"rating": "rmse", "behavior": "log-loss"}.get(board.get("task", ""), "ndcg@10")
    return World(dataset, Board(name, name, (headline,), headline, **board))
