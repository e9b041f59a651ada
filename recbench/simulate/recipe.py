"""What a simulated world is made from: a recipe, the kind of world, and parameters, its size and how much it changes."""

from __future__ import annotations

from dataclasses import dataclass

from recbench.errors import RecbenchError
from recbench.params import Params, param

MOST_BEHAVIORS = 8


@dataclass(frozen=True)
class WorldParams(Params):
    """How large a world is and how much it changes."""

    n_users: int = param(2000, "Users.", low=1, high=20_000_000)
    n_items: int = param(1000, "Items.", low=1, high=1_000_000)
    n_categories: int = param(20, "Categories, at most one an item.", low=1, high=10_000)
    days: int = param(60, "Length of the log.", low=1, high=3650, unit="days")
    visits: float = param(25.0, "Mean visits of a user, each the view or watch of one item.", low=1, high=1000)
    drift: float = param(0.5, "How far popularity rises and falls and tastes move; 0 never.", low=0, high=1)
    seed: int = param(0, "Which of the worlds with these parameters.", low=0, high=2**31 - 1)


@dataclass(frozen=True)
class Recipe:
    """The kind of world. `behaviors[0]` is the visit; behaviour b never happens where `parents[b]` < b did not.

    `chances`: by behaviour the constant and the weights of affinity, price and familiarity in its logit; those of the
    visit give its mean value where it is `valued`, a share. `weights`: popular, favourite, search, follower, again; their
    sum is 1. `half_life_days`: of an item's appeal, 0 where it does not age. `noun`, `kinds`: what an item, its
    category and its maker are called.
    """

    behaviors: tuple[str, ...]
    parents: tuple[int, ...]
    chances: tuple[tuple[float, float, float, float], ...]
    weights: tuple[float, float, float, float, float]
    categories: tuple[str, ...]
    period_days: int = 7
    half_life_days: float = 0.0
    valued: bool = False
    social: bool = False
    priced: bool = False
    noun: str = "item"
    kinds: tuple[str, str] = ("category", "brand")

    def __post_init__(self) -> None:
        n = len(self.behaviors)
        before = all(0 <= parent < max(b, 1) for b, parent in enumerate(self.parents))
        if not (1 <= n <= MOST_BEHAVIORS and len(self.parents) == len(self.chances) == n and before):
            raise RecbenchError(
                f"a recipe needs 1 to {MOST_BEHAVIORS} behaviors, for each a row of chances and an earlier one as parent; "
                f"given {n} behaviors, {len(self.chances)} rows and the parents {self.parents}"
            )
        if abs(sum(self.weights) - 1) > 1e-9 or min(self.weights) < 0 or self.weights[2] == 1:
            raise RecbenchError(
                f"the weights of a recipe lie in 0..1, search below 1, and sum to 1; given {self.weights}"
            )
