"""A log too large for memory, from parquet files to mapped arrays, by DuckDB.

Letters: E events, U users, I items.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from recbench.data import Interactions
from recbench.errors import RecbenchError, one_line

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection, DuckDBPyRelation

LARGE_ROWS = 20_000_000  # in memory these take some 3 GB
BATCH_ROWS = 500_000
MOST_BEHAVIORS = 127
COLUMNS = {"user": "int32", "item": "int32", "time": "int64", "behavior": "int8", "value": "float32"}
REQUIRED = ("user", "item", "time", "behavior")


def is_large(paths: Sequence[Path]) -> bool:
    """Whether these files are parquet and hold more rows than memory should; only their ends are read.

    Of a broken file the reader in memory tells what is wrong.
    """
    import pyarrow.parquet as pq

    if not all(path.suffix in (".parquet", ".pq") for path in paths):
        return False
    try:
        return sum(pq.read_metadata(path).num_rows for path in paths) > LARGE_ROWS
    except (OSError, ValueError):
        return False


def stream(
    paths: Sequence[Path],
    roles: Mapping[str, str],
    folder: Path,
    *,
    per_second: int = 1,
    memory_limit: str = "2GB",
    threads: int | None = None,
) -> tuple[Interactions, NDArray, NDArray, dict[str, int]]:
    """The log of the rows of parquet files as `ingest.log_of` gives it, with the user ids (U,), the item ids (I,), and counts.

    The arrays are mapped from .npy files that are written to `folder`; on POSIX they outlive it. `roles` maps user and
    item, and if wanted time, behavior and value, to columns. Ids are whole numbers or text. Times are dates, or numbers
    of which `per_second` make a second. Rows that lack one of the four first are left out and counted; without a value
    it is 1. DuckDB keeps to `memory_limit` and puts what is beyond into `folder`.

    RecbenchError where DuckDB is missing, a column is missing or of the wrong kind, or a file is broken.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with _engine(paths, folder, memory_limit, threads) as engine:
        types = _view(engine, paths, roles, per_second)
        codes = {role: _code(engine, role, types[role], folder) for role in ("user", "item")}
        behaviors = _behaviors(engine) if "behavior" in roles else ("interact",)
        n_rows, n_kept = engine.sql("SELECT (SELECT count(*) FROM source), (SELECT count(*) FROM kept)").fetchall()[0]
        _write(engine.sql(_log(roles)), n_kept, COLUMNS, folder)
    columns = {name: _mapped(folder, name) for name in COLUMNS}
    log = Interactions.trusted(**columns, behaviors=behaviors, n_users=codes["user"], n_items=codes["item"])
    counts = {"rows read": n_rows, "dropped: incomplete": n_rows - n_kept, "events": n_kept}
    return log, _mapped(folder, "user_ids"), _mapped(folder, "item_ids"), counts


@contextmanager
def _engine(
    paths: Sequence[Path], folder: Path, memory_limit: str, threads: int | None
) -> Iterator[DuckDBPyConnection]:
    """A database of its own that keeps to the limits; its errors are one line."""
    try:
        import duckdb
    except ImportError as error:
        raise RecbenchError(
            "a log of this size is read as a stream, which needs duckdb; python -m pip install 'recbench-core[large]'"
        ) from error
    config: dict[str, Any] = {"memory_limit": memory_limit, "temp_directory": str(folder / "spill")}
    try:
        with duckdb.connect(config=config | ({"threads": threads} if threads else {})) as engine:
            yield engine
    except (duckdb.Error, OSError) as error:
        names = ", ".join(path.name for path in paths[:3]) + (", ..." if len(paths) > 3 else "")
        raise RecbenchError(f"{names} cannot be read as a stream: {one_line(error)[:300]}") from error


def _view(
    engine: DuckDBPyConnection, paths: Sequence[Path], roles: Mapping[str, str], per_second: int
) -> dict[str, str]:
    """Make the views `source` of all rows by role, in the order of the files, and `kept` of those that are complete."""
    files = ", ".join(_quoted(re.sub(r"([*?\[])", r"[\1]", str(path)), "'") for path in paths)
    engine.execute(f"CREATE TEMP VIEW files AS SELECT * FROM read_parquet([{files}])")
    given = dict(engine.sql("SELECT column_name, column_type FROM (DESCRIBE files)").fetchall())
    missing = [column for column in roles.values() if column not in given]
    if missing:
        raise RecbenchError(f"{paths[0].name} has no column {missing[0]!r}; it has: {', '.join(given)}")
    types = {role: given[column] for role, column in roles.items()}
    chosen = [
        f"{_as(role, _quoted(column), given[column], per_second)} AS {_quoted(role)}" for role, column in roles.items()
    ]
    engine.execute(f"CREATE TEMP VIEW source AS SELECT {', '.join(chosen)}, row_number() OVER () AS place FROM files")
    whole = " AND ".join(f"{_quoted(role)} IS NOT NULL" for role in REQUIRED if role in roles)
    engine.execute(f"CREATE TEMP VIEW kept AS SELECT * FROM source WHERE {whole}")
    return types


def _as(role: str, column: str, kind: str, per_second: int) -> str:
    """The expression that gives a column the type of its role; RecbenchError where it cannot have it."""
    whole = kind in ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER")
    number = whole or kind in ("FLOAT", "DOUBLE", "UBIGINT") or kind.startswith("DECIMAL")
    dated = kind.startswith(("TIMESTAMP", "DATE"))
    if role in ("user", "item") and (whole or kind in ("UBIGINT", "VARCHAR")):
        return f"CAST({column} AS BIGINT)" if whole else column
    if role == "time" and dated:
        return f"CAST(floor(epoch_us({column}::TIMESTAMP) / 1e6) AS BIGINT)"
    if role == "time" and number:
        n = per_second
        floored = f"({column} - ({column} % {n} + {n}) % {n}) // {n}" if whole else f"floor({column} / {n})"
        return f"CAST({column if n == 1 and whole else floored} AS BIGINT)"
    if role == "behavior" and (kind == "VARCHAR" or kind.startswith("ENUM") or whole):
        return f"CAST({column} AS VARCHAR)"
    if role == "value" and number:
        return f"CAST(coalesce({column}, 1) AS FLOAT)"
    needs = {"time": "dates or numbers", "behavior": "text", "value": "numbers"}.get(role, "whole numbers or text")
    raise RecbenchError(
        f"column {column} cannot be {role}: it holds {kind}, where {needs} are needed; convert it first"
    )


def _quoted(name: str, quote: str = '"') -> str:
    return quote + name.replace(quote, 2 * quote) + quote


def _code(engine: DuckDBPyConnection, role: str, kind: str, folder: Path) -> int:
    """Number the distinct ids in their order, write them, and tell how many there are."""
    engine.execute(f"""
        CREATE TEMP TABLE {role}_ids AS SELECT id, CAST(row_number() OVER (ORDER BY id) - 1 AS INTEGER) AS code
        FROM (SELECT DISTINCT {_quoted(role)} AS id FROM kept)
    """)
    n, longest = engine.sql(f"SELECT count(*), coalesce(max(length(id::VARCHAR)), 1) FROM {role}_ids").fetchall()[0]
    dtype = {"VARCHAR": f"U{max(longest, 1)}", "UBIGINT": "uint64"}.get(kind, "int64")
    _write(engine.sql(f"SELECT id FROM {role}_ids ORDER BY code"), n, {f"{role}_ids": dtype}, folder)
    return n


def _behaviors(engine: DuckDBPyConnection) -> tuple[str, ...]:
    found = [word for (word,) in engine.sql("SELECT DISTINCT behavior FROM kept ORDER BY 1").fetchall()]
    if len(found) > MOST_BEHAVIORS:
        some = ", ".join(found[:5])
        raise RecbenchError(f"the column of behaviors holds {len(found)} of them ({some}, ...); name another")
    words = ", ".join(f"({_quoted(word, chr(39))}, {code})" for code, word in enumerate(found))
    engine.execute(f"CREATE TEMP TABLE behaviors AS SELECT * FROM (VALUES {words or '(NULL, 0)'}) AS t(id, code)")
    return tuple(found)


def _log(roles: Mapping[str, str]) -> str:
    """The query for the columns of the log in the order of time, ties in the order of the files."""
    rows = "kept"
    if "time" not in roles:
        rows = '(SELECT *, row_number() OVER (PARTITION BY "user" ORDER BY place) - 1 AS time FROM kept)'
    behavior, value = ("b.code" if "behavior" in roles else "0"), ("e.value" if "value" in roles else "1")
    names = "JOIN behaviors b ON e.behavior = b.id" if "behavior" in roles else ""
    return f"""
        SELECT u.code, i.code, e.time, {behavior}, {value} FROM {rows} e
        JOIN user_ids u ON e."user" = u.id JOIN item_ids i ON e.item = i.id {names} ORDER BY e.time, e.place
    """


def _write(rows: DuckDBPyRelation, n: int, dtypes: Mapping[str, str], folder: Path) -> None:
    """One .npy file a column, batch after batch."""
    with ExitStack() as opened:
        files = [opened.enter_context((folder / f"{name}.npy").open("wb")) for name in dtypes]
        for file, dtype in zip(files, dtypes.values(), strict=True):
            head = {"descr": np.dtype(dtype).str, "fortran_order": False, "shape": (n,)}
            np.lib.format.write_array_header_1_0(file, head)
        for batch in rows.to_arrow_reader(BATCH_ROWS):
            for file, dtype, column in zip(files, dtypes.values(), batch.columns, strict=True):
                file.write(column.to_numpy(zero_copy_only=False).astype(dtype, copy=False).tobytes())


def _mapped(folder: Path, name: str) -> NDArray[Any]:
    return np.asarray(np.load(folder / f"{name}.npy", mmap_mode="r"))
