"""Writes the files of a new plugin: a package of its own that passes the conformance kit as it stands."""

from __future__ import annotations

import keyword
import re
from pathlib import Path

import recbench
from recbench.errors import RecbenchError, nearest

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

SOURCES = {"model": MODEL, "data": DATA, "metric": METRIC}


def new_plugin(kind: str, name: str, folder: Path) -> list[Path]:
    """Write the package of a new plugin into `folder`, which must not exist, and name its files.

    RecbenchError where the kind is unknown, the name is not lower-case words with dashes, or the folder exists.
    """
    folder = Path(folder)
    if kind not in SOURCES:
        raise RecbenchError(f"kind must be one of {', '.join(SOURCES)}; given {kind!r}{nearest(kind, SOURCES)}")
    if not re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", name):
        raise RecbenchError(f"name must be lower-case words with dashes, such as my-{kind}; given {name!r}")
    if folder.exists():
        raise RecbenchError(f"folder {folder} exists; choose another, nothing was written")
    words = _words(kind, name)
    files = {"pyproject.toml": PYPROJECT.format(**words), f"test_{words['module']}.py": TEST.format(**words)}
    source = SOURCES[kind].format(**words)
    if kind == "data":
        files |= {f"{words['module']}/__init__.py": source, f"{words['module']}/events.csv": _events()}
    else:
        files[f"{words['module']}.py"] = source
    for path, text in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text, encoding="utf-8")
    return [folder / path for path in sorted(files)]


def _words(kind: str, name: str) -> dict[str, str]:
    """What the templates need to know."""
    cls = "".join(word.capitalize() for word in name.split("-"))
    if cls in recbench.__all__ or keyword.iskeyword(cls):
        cls += {"model": "Model", "data": "Source", "metric": "Value"}[kind]
    module = f"recbench_{kind}_{name.replace('-', '_')}"
    wheel = f'packages = ["{module}"]' if kind == "data" else f'only-include = ["{module}.py"]'
    entry = f"ranking.{name}" if kind == "metric" else name
    return {"kind": kind, "name": name, "cls": cls, "module": module, "wheel": wheel, "entry": entry}


def _events() -> str:
    """Five users who walk around six items, one step a day, for twelve days."""
    rows = [f"user-{u},item-{(u + day) % 6},{1_700_000_000 + 86400 * day + u}" for day in range(12) for u in range(5)]
    return "\n".join(["user,item,time", *rows]) + "\n"
