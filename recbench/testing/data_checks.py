"""What every data set must keep; the data set is loaded once for all checks."""

from __future__ import annotations

import re
import tempfile
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from recbench.data import EARLIEST, LATEST
from recbench.dataset import CLOCKS, DataParams, Dataset, DatasetInfo, DatasetSource, Holds
from recbench.errors import RecbenchError, one_line
from recbench.plan import Board
from recbench.split import split
from recbench.testing.common import Check, documented, loads_light, params_declared
from recbench.testing.snapshot import changed, snapshot


def chosen(cls: type[DatasetSource]) -> list[Check]:
    """The checks that apply to a data class."""
    return [
        loads_light,
        documented,
        params_declared,
        absent_folder_named,
        info_complete,
        holds_what_it_says,
        boards_declared,
        ids_unique,
        time_sorted,
        values_finite,
        checksum_set,
        tables_aligned,
        boards_split,
        loads_twice_alike,
    ]


@cache
def loaded(cls: type[DatasetSource], **params: Any) -> Dataset:
    """The data set, loaded once for each choice of parameters."""
    return cls(cls.Params(**params)).load()


def absent_folder_named(cls: type[DatasetSource]) -> None:
    """A data set that needs files says in one line what is missing, and never ends in a traceback."""
    params = cls.Params
    if not issubclass(params, DataParams):
        return
    with tempfile.TemporaryDirectory() as empty:
        for root in (empty, str(Path(empty) / "absent")):
            try:
                cls(params(root=root)).load()
            except RecbenchError as error:
                assert "\n" not in str(error), f"{cls.__name__}: an error must be one line; given {str(error)!r}"
            except Exception as error:
                raise AssertionError(
                    f"{cls.__name__}: where its files are absent, load must raise a RecbenchError that says so, as "
                    f"self.file(...) does; given {one_line(error)}"
                ) from error


def info_complete(cls: type[DatasetSource]) -> None:
    """Name, scenario, licence and source are given; the clock is a legal word; the loaded data says the same."""
    info = getattr(cls, "info", None)
    assert isinstance(info, DatasetInfo), f"{cls.__name__}: info must be a DatasetInfo"
    empty = [name for name in ("name", "scenario", "licence", "source") if not str(getattr(info, name)).strip()]
    assert not empty, f"{cls.__name__}: info lacks {', '.join(empty)}"
    assert info.clock in CLOCKS, f"{cls.__name__}: info.clock must be one of {', '.join(CLOCKS)}; given {info.clock!r}"
    assert loaded(cls).info == info, f"{cls.__name__}: load() gives another info than the class: {loaded(cls).info}"


def holds_what_it_says(cls: type[DatasetSource]) -> None:
    """What info.holds tells before loading is what is loaded; text may come on top, out of an optional file."""
    told = cls.info.holds
    if told is not None:
        found = Holds.of(loaded(cls))
        found = replace(found, text=told.text) if found.text else found
        assert found == told, f"{cls.__name__}: info.holds tells {told}, but load() gives {found}"


def boards_declared(cls: type[DatasetSource]) -> None:
    """At least one board, each with its own name, on this data; or the reason why there is none."""
    assert bool(cls.boards) != bool(cls.no_board), (
        f"{cls.__name__}: boards must hold at least one Board, the default first, or no_board the reason why none"
    )
    assert all(isinstance(b, Board) for b in cls.boards), f"{cls.__name__}: boards must hold Board objects only"
    names = [board.name for board in cls.boards]
    assert len(set(names)) == len(names), f"{cls.__name__}: two boards share a name: {', '.join(names)}"
    foreign = [board.name for board in cls.boards if board.data != cls.info.name]
    assert not foreign, f"{cls.__name__}: boards on other data than {cls.info.name}: {', '.join(foreign)}"


def ids_unique(cls: type[DatasetSource]) -> None:
    """Every user and item has one id, and no two share one."""
    data = loaded(cls)
    for kind, ids, n in (("user", data.user_ids, data.n_users), ("item", data.item_ids, data.n_items)):
        assert len(ids) == n, f"{cls.__name__}: {n} {kind}s, but {len(ids)} {kind}_ids"
        assert len(np.unique(ids)) == n, f"{cls.__name__}: {n - len(np.unique(ids))} {kind}_ids come more than once"


def time_sorted(cls: type[DatasetSource]) -> None:
    """Events are in time order, and clock times are seconds between 1900 and 2262."""
    data = loaded(cls)
    time = data.interactions.time
    assert len(time), f"{cls.__name__}: the data set is empty"
    assert not np.any(np.diff(time) < 0), f"{cls.__name__}: events are not in time order; use Interactions.sorted(...)"
    if data.info.clock in ("order", "none"):
        return
    legal = time[0] >= EARLIEST and time[-1] < LATEST
    assert legal, f"{cls.__name__}: times {time[0]}..{time[-1]} are no seconds between 1900 and 2262; milliseconds?"


def values_finite(cls: type[DatasetSource]) -> None:
    """Ratings and quantities hold no NaN and no infinity."""
    assert np.isfinite(loaded(cls).interactions.value).all(), (
        f"{cls.__name__}: interactions.value holds NaN or infinity"
    )


def checksum_set(cls: type[DatasetSource]) -> None:
    """The SHA-256 of the source is kept: a changed file changes the number it is compared by."""
    checksum = loaded(cls).checksum
    assert re.fullmatch("[0-9a-f]{64}", checksum), (
        f"{cls.__name__}: checksum must be the SHA-256 of the source as 64 hex digits; given {checksum!r}"
    )


def tables_aligned(cls: type[DatasetSource]) -> None:
    """Row i of the tables is item i or user i; the given split has one word for each event."""
    data = loaded(cls)
    for name, table, n in (("items", data.items, data.n_items), ("users", data.users, data.n_users)):
        if table is None:
            continue
        assert len(table) == n, f"{cls.__name__}: table {name} has {len(table)} rows for {n} {name}"
        aligned = np.array_equal(table.index, np.arange(n))
        assert aligned, (
            f"{cls.__name__}: table {name} needs the row numbers 0..{n - 1} as index; call reset_index(drop=True)"
        )
    if data.part is not None:
        assert len(data.part) == len(data.interactions), (
            f"{cls.__name__}: part has {len(data.part)} entries for {len(data.interactions)} events"
        )
        assert np.isin(data.part, (0, 1, 2)).all(), f"{cls.__name__}: part must hold 0, 1 and 2 only"


def boards_split(cls: type[DatasetSource]) -> None:
    """Every board divides the data, as loaded with the board's parameters, without an empty part."""
    for board in cls.boards:
        try:
            parts = split(loaded(cls, **board.data_params), board)
        except (RecbenchError, TypeError, ValueError) as error:
            raise AssertionError(f"{cls.__name__}: board {board.name} cannot split the data: {error}") from error
        sizes = (len(parts.train.interactions), len(parts.valid.queries), len(parts.test.queries))
        assert min(sizes), f"{cls.__name__}: board {board.name} leaves a part empty: train, validation, test = {sizes}"


def loads_twice_alike(cls: type[DatasetSource]) -> None:
    """A second load gives the same events, ids, tables and checksum: no draw, no clock and no order of a set enters."""
    differing = changed(snapshot(loaded(cls)), snapshot(cls().load()))
    assert not differing, f"{cls.__name__}: a second load differs in {differing}; sort what has no order of its own"
