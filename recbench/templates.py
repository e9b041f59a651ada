"""The texts of a new plugin, by kind and task, with {names} to be filled in."""

PYPROJECT = """[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[project]
name = "recbench-{kind}-{name}"
version = "0.1.0"
description = "The {kind} {name} for recbench."
requires-python = ">=3.11"
dependencies = ["recbench-core", "numpy>=2.0"]

[project.entry-points."recbench.{kind}"]
"{entry}" = "{module}:{cls}"

[tool.hatch.build.targets.wheel]
{wheel}
"""

TEST = '''"""{cls} keeps the contract: every check the framework has for a {kind}."""

from {module} import {cls}

from recbench.testing import checks


@checks({cls})
def test_contract(check):
    check()
'''

MODEL = '''"""The recommender {name}: install the package and run it as model={name}.

Letters: Q queries, U users, I items.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from recbench.data import Queries
from recbench.model import Context, Recommender, Traits
from recbench.params import Params, param

if TYPE_CHECKING:
    from recbench.dataset import Dataset


@dataclass(frozen=True)
class {cls}Params(Params):
    """What can be set as model.NAME=VALUE, and what tuning searches."""

    shrink: float = param(10.0, "Doubts items that few users met.", low=0.0, high=1000.0, tune=True)


class {cls}(Recommender):
    """Items that were met by the same users as the items of the history: a start to be replaced."""

    Params = {cls}Params
    traits = Traits()
    small = {{"shrink": 1.0}}
    fitted = ("together_II",)

    def fit(self, train: Dataset, context: Context) -> None:
        """Count, for every two items, the users who met both."""
        log = train.interactions
        seen_UI = np.zeros((log.n_users, log.n_items), np.float32)
        seen_UI[log.user, log.item] = 1
        users_I = seen_UI.sum(axis=0)
        self.together_II = seen_UI.T @ seen_UI / (users_I + np.float32(self.params.shrink) + 1)
        np.fill_diagonal(self.together_II, 0)

    def score(self, queries: Queries) -> NDArray:
        """(Q, I) float32: the sum over the items of the history."""
        seen_QI = np.zeros((len(queries), queries.n_items), np.float32)
        seen_QI[queries.items.flat()] = 1
        return seen_QI @ self.together_II
'''

BEHAVIOR_MODEL = '''"""Will the user do it? The model {name}: install the package and run it as model={name}.

Letters: N questions learned from, Q questions, I items, B behaviours asked about.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from recbench.data import Queries
from recbench.model import Context, Recommender, Traits
from recbench.params import Params, param
from recbench.questions import training_questions

if TYPE_CHECKING:
    from recbench.dataset import Dataset


@dataclass(frozen=True)
class {cls}Params(Params):
    """What can be set as model.NAME=VALUE, and what tuning searches."""

    shrink: float = param(10.0, "Doubts items that few questions were about.", low=0.1, high=1000.0, tune=True)


class {cls}(Recommender):
    """How often each behaviour followed where the item was shown: a start to be replaced."""

    Params = {cls}Params
    traits = Traits(tasks=("behavior",))
    small = {{"shrink": 1.0}}
    fitted = ("rate_IB",)

    def fit(self, train: Dataset, context: Context) -> None:
        """Count, of the questions that the board would have asked of the training part, what came of them."""
        asked = training_questions(train, context.board)
        item_N, outcomes_NB = asked.queries.item, asked.outcomes
        rate_B = (outcomes_NB.sum(axis=0) + 1) / (len(outcomes_NB) + 2)
        count_I = np.bincount(item_N, minlength=train.n_items)
        with_IB = np.stack([np.bincount(item_N, column_N, train.n_items) for column_N in outcomes_NB.T], axis=1)
        self.rate_IB = (with_IB + self.params.shrink * rate_B) / (count_I[:, None] + self.params.shrink)

    def predict(self, queries: Queries) -> NDArray:
        """(Q, B) float64 probabilities; `queries` hold the user's history too."""
        return self.rate_IB[queries.item]
'''

DATA = '''"""The data set {name}: install the package and use it as data={name}."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np

from recbench.data import Interactions
from recbench.dataset import Dataset, DatasetInfo, DatasetSource
from recbench.errors import RecbenchError, one_line
from recbench.plan import Board


class {cls}(DatasetSource):
    """Sixty made-up events in events.csv: a start to be replaced."""

    info = DatasetInfo("{name}", "other", "seconds", "CC0-1.0", "made up by recbench new-plugin")
    boards = (
        Board(
            "{name}",
            "{name}",
            ("ndcg@10", "recall@10"),
            "ndcg@10",
            test_window_days=4,
            valid_window_days=4,
            repeat="any",
            meaning="Which items will a user meet in the next four days?",
        ),
    )

    def load(self) -> Dataset:
        """Read events.csv: user, item, seconds since 1970."""
        path = self.file("events.csv") if self.params.root else Path(__file__).with_name("events.csv")
        try:
            table = np.loadtxt(path, dtype=str, delimiter=",", skiprows=1, ndmin=2)
            time = table[:, 2].astype(np.int64)
        except (OSError, ValueError, IndexError) as error:
            cause = one_line(error)
            raise RecbenchError(f"data={name}: {{path}} must hold the columns user,item,time ({{cause}})") from error
        user_ids, user = np.unique(table[:, 0], return_inverse=True)
        item_ids, item = np.unique(table[:, 1], return_inverse=True)
        log = Interactions.sorted(user, item, time, n_users=len(user_ids), n_items=len(item_ids))
        return Dataset(self.info, log, user_ids, item_ids, checksum=hashlib.sha256(path.read_bytes()).hexdigest())
'''

METRIC = '''"""The metric {name}: install the package and write it on a board as {name}@10."""

from __future__ import annotations

from typing import TYPE_CHECKING

from numpy.typing import NDArray

from recbench.metric import Metric, RankedLists

if TYPE_CHECKING:
    from recbench.dataset import Dataset


class {cls}(Metric):
    """Share of the first k positions that are right, in expectation over ties: a start to be replaced."""

    definition = "{name}/divisor=k/users=with-relevant/ties=expected/v1"

    def __call__(self, answers: RankedLists, train: Dataset) -> NDArray:
        """(Q,) hits@k / k."""
        return answers.hit_QK[:, : self.k].sum(axis=1) / self.k
'''

BEHAVIOR_METRIC = '''"""The metric {name}: install the package and write it on a board of the task behavior, as {name} or {name}@BEHAVIOUR."""

from __future__ import annotations

from typing import TYPE_CHECKING

from numpy.typing import NDArray

from recbench.metric import Metric, Probabilities

if TYPE_CHECKING:
    from recbench.dataset import Dataset


class {cls}(Metric):
    """Mean squared distance of probability and outcome, of one behaviour or of all asked about: a start to be replaced."""

    task = "behavior"
    needs_k = False
    higher_is_better = False
    definition = "{name}/mean=questions/behaviors=mean/v1"

    def __call__(self, answers: Probabilities, train: Dataset) -> NDArray:
        """(Q,) the mean over the behaviours."""
        told = [b for b, behavior in enumerate(answers.behaviors) if self.behavior in (None, behavior)]
        return ((answers.predicted_QB - answers.true_QB)[:, told] ** 2).mean(axis=1)
'''

RATING_METRIC = '''"""The metric {name}: install the package and write it on a board of the task rating as {name}."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from recbench.metric import Metric, Ratings

if TYPE_CHECKING:
    from recbench.dataset import Dataset


class {cls}(Metric):
    """Mean distance of the predicted value from the true one: a start to be replaced."""

    task = "rating"
    needs_k = False
    higher_is_better = False
    definition = "{name}/mean=questions/v1"

    def __call__(self, answers: Ratings, train: Dataset) -> NDArray:
        """(Q,) |predicted - true|."""
        return np.abs(answers.predicted_Q - answers.true_Q)
'''

SOURCES = {
    "model": {"ranking": MODEL, "behavior": BEHAVIOR_MODEL},
    "data": {"ranking": DATA},
    "metric": {"ranking": METRIC, "behavior": BEHAVIOR_METRIC, "rating": RATING_METRIC},
}
