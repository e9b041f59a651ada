"""A data set: the log, its ids, what is known of items and users, and where it comes from.

Letters: E events, U users, I items.
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from numpy.typing import NDArray

from recbench.data import ContextEvents, Interactions
from recbench.errors import RecbenchError, one_line
from recbench.params import Params, param

if TYPE_CHECKING:
    import pandas as pd

CLOCKS = ("seconds", "minutes", "days", "months", "order", "none")


@dataclass(frozen=True)
class DatasetInfo:
    """Origin and terms. `clock` is the true resolution of time, one of `CLOCKS`."""

    name: str
    scenario: str
    clock: str
    licence: str
    source: str
    citation: str = ""


@dataclass(frozen=True, eq=False)
class Dataset:
    """Frozen. `user_ids` (U,) and `item_ids` (I,) name the rows; `items` and `users` are tables aligned with them
    (item columns may include text, price and categories). `knowledge`: triples of item facts. `social`: user edges.
    `part`: (E,) 0 train, 1 valid, 2 test where the data set comes with its split. `checksum`: SHA-256 of the source.
    """

    info: DatasetInfo
    interactions: Interactions
    user_ids: NDArray
    item_ids: NDArray
    items: pd.DataFrame | None = None
    users: pd.DataFrame | None = None
    context: ContextEvents | None = None
    knowledge: pd.DataFrame | None = None
    social: pd.DataFrame | None = None
    part: NDArray | None = None
    checksum: str = ""

    @property
    def n_items(self) -> int:
        return self.interactions.n_items

    @property
    def n_users(self) -> int:
        return self.interactions.n_users


@dataclass(frozen=True)
class DataParams(Params):
    """Parameters every data plugin has."""

    root: str = param("", "Folder that holds the files; empty: RECBENCH_DATA_DIR/SCENARIO/NAME.")


class DatasetSource(ABC):
    """Base of a data plugin: loads one data set and declares the boards that belong to it, the default first."""

    Params: ClassVar[type[Params]] = DataParams
    info: ClassVar[DatasetInfo]
    boards: ClassVar[tuple[Any, ...]] = ()

    def __init__(self, params: Params | None = None) -> None:
        self.params: Any = params or self.Params()

    @abstractmethod
    def load(self) -> Dataset:
        """Read the files; RecbenchError says in one line what is missing or broken."""

    def file(self, name: str) -> Path:
        """The path of a file in the user's folder; RecbenchError names the ways to provide it."""
        base = os.environ.get("RECBENCH_DATA_DIR", "")
        folder = Path(self.params.root or Path(base) / self.info.scenario / self.info.name)
        path = folder / name
        if not (self.params.root or base) or not path.is_file():
            raise RecbenchError(
                f"data={self.info.name}: {name} not found{f' in {folder}' if self.params.root or base else ''}; give its "
                f"folder as data.root=FOLDER or set RECBENCH_DATA_DIR so that it lies in "
                f"RECBENCH_DATA_DIR/{self.info.scenario}/{self.info.name} (from {self.info.source})"
            )
        return path

    def unreadable(self, path: Path, error: Exception) -> RecbenchError:
        """The error to raise where a file of the data set is damaged."""
        return RecbenchError(
            f"data={self.info.name}: {path.name} cannot be read ({one_line(error)}); restore the file and run again"
        )
