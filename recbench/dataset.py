"""A data set: the log, its ids, what is known of items and users, and where it comes from.

Letters: E events, U users, I items.
"""

from __future__ import annotations

import hashlib
import io
import os
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from numpy.typing import NDArray

from recbench import fetch, unpack
from recbench.data import ContextEvents, Interactions
from recbench.errors import RecbenchError, one_line
from recbench.fetch import SourceFile
from recbench.params import Params, param

if TYPE_CHECKING:
    import pandas as pd

NO_ATTRIBUTES = ("text", "title", "entity")  # columns of the item table that are words or a name
GRAPHS = {"knowledge": "triples", "social": "friends"}
CLOCKS = ("seconds", "minutes", "days", "months", "order", "none")


@dataclass(frozen=True)
class Holds:
    """What a data set whose content is fixed holds: told before anything is loaded, and checked against what is."""

    n_events: int
    n_users: int
    n_items: int
    behaviors: tuple[str, ...]
    text: bool = False
    graphs: tuple[str, ...] = ()

    @classmethod
    def of(cls, data: Dataset) -> Holds:
        """The same of a data set as loaded."""
        log, columns = data.interactions, () if data.items is None else tuple(data.items.columns)
        graphs = tuple(word for name, word in GRAPHS.items() if getattr(data, name) is not None)
        return cls(len(log), log.n_users, log.n_items, log.behaviors, "text" in columns, graphs)


@dataclass(frozen=True)
class DatasetInfo:
    """Origin and terms. `clock` is the true resolution of time, one of `CLOCKS`; `notes` names what to beware of.

    `holds` is left out where the content depends on the user's files or parameters.
    """

    name: str
    scenario: str
    clock: str
    licence: str
    source: str
    citation: str = ""
    notes: str = ""
    holds: Holds | None = None


@dataclass(frozen=True, eq=False)
class Dataset:
    """Frozen. `user_ids` (U,) and `item_ids` (I,) name the rows; `items` and `users` are tables aligned with them.

    `items` may hold `text`, `title`, `price`, `category`, other attributes, and `entity`: the item's name in `knowledge`.
    `knowledge`: triples `head`, `relation`, `tail`, all text. `social`: edges `user`, `friend`, both as in `user_ids`
    though ids without an event may occur. `part`: (E,) 0 train, 1 valid, 2 test where the data set comes with its split.
    `checksum`: SHA-256 of the source. `cleaning`: how many rows each step of cleaning met or dropped, by step.
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
    cleaning: dict[str, int] = field(default_factory=dict)

    @classmethod
    def from_frame(
        cls, frame: Any, *, items: Any = None, items_id: str = "", name: str = "frame", **given: Any
    ) -> Dataset:
        """A pandas frame of events, and one of items, by the road of `data=file`.

        `given`: user, item, time, behavior, value, text name columns, guessed where left out; the rest are fields of
        `Cleaning`, as duplicates="first". Broken rows are set aside and counted; RecbenchError where too many are.
        """
        from recbench.ingest import of_frame

        cleaned, table, checksum = of_frame(frame, items, items_id, name, given)
        info = DatasetInfo(name, "own", cleaned.clock, "the user's own", "a data frame")
        ids, kept = (cleaned.user_ids, cleaned.item_ids), {"checksum": checksum, "cleaning": cleaned.cleaning}
        return cls(info, cleaned.log, *ids, table, context=cleaned.context, **kept)

    @property
    def attributes(self) -> tuple[str, ...]:
        """The columns of the item table that say what an item is: categories, brand, price, but no text and no name."""
        return () if self.items is None else tuple(str(c) for c in self.items.columns if c not in NO_ATTRIBUTES)

    @property
    def n_items(self) -> int:
        return self.interactions.n_items

    @property
    def n_users(self) -> int:
        return self.interactions.n_users


@dataclass(frozen=True)
class DataParams(Params):
    """Parameters every data plugin has."""

    root: str = param("", "Folder that holds the files; empty: RECBENCH_DATA_DIR/SCENARIO/NAME, then the cache.")


class DatasetSource(ABC):
    """Base of a data plugin: loads one data set and declares its files and boards, the default board first.

    `no_board` is the reason where there is none.
    """

    Params: ClassVar[type[Params]] = DataParams
    info: ClassVar[DatasetInfo]
    files: ClassVar[tuple[SourceFile, ...]] = ()
    boards: ClassVar[tuple[Any, ...]] = ()
    no_board: ClassVar[str] = ""

    def __init__(self, params: Params | None = None) -> None:
        self.params: Any = params or self.Params()

    @abstractmethod
    def load(self) -> Dataset:
        """Read the files; RecbenchError says in one line what is missing or broken."""

    def file(self, name: str) -> Path:
        """The path of a declared file, NAME or NAME.gz, fetched where no folder holds it.

        RecbenchError names the ways to provide it, or says that it is not the file that was published.
        """
        declared = next((f for f in self.files if f.name == name), SourceFile(name))
        path = fetch.locate(declared, self.info.scenario, self.info.name, self.params.root, self._terms())
        if path is None:
            raise RecbenchError(self._absent(name))
        return path

    def has(self, name: str) -> bool:
        """Whether a declared optional file is at hand or can be fetched; RecbenchError where the user's copy is damaged."""
        try:
            return self.file(name).is_file()
        except RecbenchError:
            if fetch.own_copy(name, self.info.scenario, self.info.name, self.params.root):
                raise  # a damaged file is not the same as none
            return False

    def paths(self) -> list[Path] | None:
        """Every file that `load` reads: what it gives is kept and reused while they and the parameters stay the same.

        None: nothing is kept. Override it where load reads files that are not declared, or none at all: with an empty
        list the parameters and the code decide alone, as for a world that is made up.
        """
        declared = [f.name for f in self.files if not f.optional or self.has(f.name)]
        return [self.file(name) for name in declared] or None

    def content(self, name: str) -> bytes:
        """The bytes of a file, unpacked; RecbenchError where it is missing or damaged."""
        path = self.file(name)
        try:
            return fetch.content(path)
        except OSError as error:
            raise self.unreadable(path, error) from error

    def table(self, name: str, columns: Sequence[str] = (), member: str = "", **options: Any) -> Any:
        """A declared file as pandas reads it, as parquet or text by its name; typed Any, for its stubs follow no chain of calls.

        `columns`: the names, where text has no header, or those that are read of a parquet file. `member`: a file inside a zip.
        `sep` may be ::, too. RecbenchError where the file is missing, damaged, or has other columns.
        """
        import pandas as pd

        path = self.file(name)
        with self.reading(name):
            content = unpack.zip_member(path, member, fetch.LIMIT_BYTES) if member else fetch.content(path)
            if name.endswith(".parquet"):
                return pd.read_parquet(io.BytesIO(content), columns=list(columns) or None, **options)
            if options.get("sep") == "::":  # pandas reads one letter as separator many times faster than two
                content, options["sep"] = content.replace(b"::", b"\x1f"), "\x1f"
            frame = pd.read_csv(io.BytesIO(content), header=None if columns else 0, **options)
            return frame.set_axis(list(columns), axis=1) if columns else frame

    @contextmanager
    def reading(self, name: str) -> Iterator[None]:
        """Whatever goes wrong while a file's content is taken apart is one line that names the file."""
        try:
            yield
        except RecbenchError:
            raise
        except Exception as error:
            raise self.unreadable(self.file(name), error) from error

    def unreadable(self, path: Path, error: Exception) -> RecbenchError:
        """The error to raise where a file of the data set is damaged."""
        return RecbenchError(
            f"data={self.info.name}: {path.name} cannot be read ({one_line(error)}); restore the file and run again"
        )

    def checksum(self) -> str:
        """SHA-256 of the contents of all declared files that are at hand, one after another as declared."""
        digest = hashlib.sha256()
        for declared in self.files:
            if not declared.optional or self.has(declared.name):
                digest.update(self.content(declared.name))
        return digest.hexdigest()

    def _terms(self) -> str:
        info = self.info
        cited = f" Cite: {info.citation}." if info.citation else ""
        return f"{info.name}, from {info.source}. Terms: {info.licence}.{cited}"

    def _absent(self, name: str) -> str:
        info, base = self.info, os.environ.get("RECBENCH_DATA_DIR", "")
        folder = self.params.root or (Path(base) / info.scenario / info.name if base else "")
        return (
            f"data={info.name}: {name} not found{f' in {folder}' if folder else ''}; give its folder as data.root=FOLDER "
            f"or set RECBENCH_DATA_DIR so that it lies in RECBENCH_DATA_DIR/{info.scenario}/{info.name} (from {info.source})"
        )
