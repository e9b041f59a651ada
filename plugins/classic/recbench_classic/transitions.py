"""What follows what: items counted by the items that came before them in a history.

Letters: Q queries, I items, E events in the order of users and times, N pairs of events.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from recbench.data import Interactions, Queries
from recbench.errors import RecbenchError
from recbench.model import Context, Recommender, Traits
from recbench.params import Params, param
from recbench_classic.matrices import DAY, dense, history, latest
from recbench_classic.memory import refuse_larger
from recbench_classic.similarity import with_data

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

    from recbench.dataset import Dataset

BYTES_PER_PAIR = 40  # number, row and column while they are added up, and the sums before and after
WEIGHTS: dict[str, Callable[[int], float]] = {  # of a pair, by how many steps its events lie apart
    "inverse": lambda steps: 1 / steps,
    "quadratic": lambda steps: 1 / steps**2,
    "log": lambda steps: 1 / np.log10(steps + 1.7),
    "same": lambda steps: 1.0,
}


@dataclass(frozen=True)
class SequentialRulesParams(Params):
    """How far a rule reaches and how it fades."""

    window: int = param(10, "Steps back that an event has rules from.", low=1, high=50, tune=True, unit="events")
    weighting: str = param(
        "inverse",
        "Weight of a pair x steps apart: 1/x, 1/x^2, 1/log10(x + 1.7), or 1.",
        choices=tuple(WEIGHTS),
        tune=True,
    )


@dataclass(frozen=True)
class MarkovParams(Params):
    """How far a transition reaches and how it fades."""

    window: int = param(
        10, "Steps that a transition reaches; 1: the plain chain.", low=1, high=50, tune=True, unit="events"
    )
    position_half_life: float = param(
        2.0,
        "Steps beyond the first after which a transition counts half; 0: never.",
        low=0.0,
        high=50.0,
        tune=True,
        unit="events",
    )
    half_life_days: float | None = param(
        None,
        "Days between two events after which their transition counts half; none: never. Needs a clock.",
        low=0.01,
        high=365.0,
        log=True,
        unit="days",
    )


class SequentialRules(Recommender):
    """Items that came after the last item of the history, the nearer the more (Ludewig, Jannach, arXiv 1803.09587).

    The score of j after a history that ends with i is the sum of w(x) over all pairs of events of one training user in
    which j came x steps after i, x up to `window` (SR, section 3.1 of the paper; UMUAI 2018, doi
    10.1007/s11257-018-9209-6); the paper's division by the rules of i changes no order and is left out. Repeats are
    events of their own, and an item may follow itself. Items that no rule reaches score 0.
    """

    Params = SequentialRulesParams
    traits = Traits(sequential=True)
    small = {}
    fitted = ("rule_II",)

    def fit(self, train: Dataset, context: Context) -> None:
        """Count the rules; row: the earlier item, column: the later one."""
        weight = WEIGHTS[self.params.weighting]
        weights = [weight(steps) for steps in range(1, self.params.window + 1)]
        self.rule_II = transitions(train.interactions, weights).astype(np.float32)

    def score(self, queries: Queries) -> NDArray:
        """(Q, I) float32 from the last event of the history alone."""
        return dense(history(latest(queries, 1)), self.rule_II)


class Markov(Recommender):
    """First-order Markov chain: how likely an item comes next after an item (Shani, Heckerman, Brafman, JMLR 6, 2005).

    P(j | i) is the weight of the transitions from i to j divided by that of all from i. With `window` w a transition may
    skip w - 1 events: two events x steps apart count 0.5 ** ((x - 1) / position_half_life), and with `half_life_days`
    also half for every so many days between them. The score of j is the sum of P(j | i) over the last w events of the
    history, each discounted as its distance, in steps and days, to the moment of asking; w = 1 is the plain chain from the
    last item. Repeats in those count once, at the last occurrence. An item may follow itself. Items that no transition
    reaches score 0. RecbenchError where `half_life_days` is set and the data have no clock.
    """

    Params = MarkovParams
    traits = Traits(sequential=True)
    small = {}
    fitted = ("chance_II",)

    def fit(self, train: Dataset, context: Context) -> None:
        """Count the transitions; row: the earlier item, column: the later one."""
        p = self.params
        if p.half_life_days is not None and train.info.clock in ("order", "none"):
            raise RecbenchError(
                f"model=markov: half_life_days={p.half_life_days:g} needs real timestamps; data={train.info.name} has "
                f"{train.info.clock} only: leave it out"
            )
        weights = np.exp2(-np.arange(p.window) / (p.position_half_life or np.inf)).tolist()
        count_II = transitions(train.interactions, weights, p.half_life_days)
        sum_I = np.asarray(count_II.sum(axis=1)).ravel()
        chance_N = count_II.data / np.repeat(sum_I, np.diff(count_II.indptr))
        self.chance_II = with_data(count_II, chance_N.astype(np.float32))

    def score(self, queries: Queries) -> NDArray:
        """(Q, I) float32 from the last events of the history alone."""
        p = self.params
        return dense(history(latest(queries, p.window), p.position_half_life, p.half_life_days), self.chance_II)


def transitions(log: Interactions, weights: list[float], half_life_days: float | None = None) -> csr_matrix:
    """(I, I) float64 sum of the weights of all pairs of events of one user that lie 1, 2, ... steps apart.

    Row: the earlier item. One distance is counted after another, so that E pairs are held at once. RecbenchError where
    the sums may not fit into memory.
    """
    from scipy.sparse import csr_matrix

    shape = (log.n_items, log.n_items)
    n_pairs = min(float(len(log)) * len(weights), float(log.n_items) ** 2) + len(log)
    refuse_larger(
        BYTES_PER_PAIR * n_pairs, f"{len(log)} events with window={len(weights)}", "give a smaller model.window"
    )
    order, _ = log.by_user()
    user_E, item_E, time_E = log.user[order], log.item[order], log.time[order]
    sum_II = csr_matrix(shape, dtype=np.float64)
    for steps, weight in enumerate(weights, 1):
        at_N = np.flatnonzero(user_E[steps:] == user_E[:-steps])
        weight_N = np.full(len(at_N), weight)
        if half_life_days is not None:
            weight_N *= np.exp2(-(time_E[at_N + steps] - time_E[at_N]) / (DAY * half_life_days))
        sum_II = sum_II + csr_matrix((weight_N, (item_E[at_N], item_E[at_N + steps])), shape=shape)
    return sum_II
