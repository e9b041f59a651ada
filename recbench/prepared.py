"""The one road by which a run gets its data: prepared once, afterwards mapped from the cache.

An entry is a folder NAME-KEY: arrays as .npy, tables and texts as .arrow, all else in meta.json with each file's size.
KEY follows from what decides the content: parameters, code, and path, size and date of every file that is read.
An entry appears whole, by a rename under the lock of its name; a damaged one is prepared anew.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import sys
from contextlib import ExitStack, suppress
from dataclasses import fields, is_dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from recbench import __version__, registry
from recbench.cache import cache_folder, locked
from recbench.data import ContextEvents, Interactions
from recbench.dataset import Dataset, DatasetInfo, DatasetSource, Holds
from recbench.errors import one_line

FORMAT = 2
KEPT = 4  # entries of one name; the one unused for longest goes first


def load(source: DatasetSource) -> Dataset:
    """The source's data set: mapped from the cache where that holds it, else loaded and kept there.

    Whatever keeps the cache from being used is told on stderr and costs time only; errors are those of `source.load`.
    """
    key = _key(source)
    if key is None:
        return source.load()
    name = re.sub(r"[^\w.-]", "_", source.info.name)
    entry = cache_folder() / "prepared" / f"{name}-{key}"
    if found := _read(entry):
        return found
    with ExitStack() as alone:
        try:
            alone.enter_context(locked(entry.with_name(name)))
        except OSError as error:
            _say(source, error)
            return source.load()
        return _read(entry) or _prepare(source, entry, key)


def _prepare(source: DatasetSource, entry: Path, key: str) -> Dataset:
    """Load and keep; under the lock."""
    dataset = source.load()
    if _key(source) != key:  # a file changed while it was read: no key names what was loaded
        return dataset
    try:
        _write(dataset, entry)
    except Exception as error:  # a full disk, a column that no file can hold: nothing here may stop a run
        _say(source, error)
    return _read(entry) or dataset


@cache
def _say_once(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _say(source: DatasetSource, error: Exception) -> None:
    _say_once(f"recbench: data={source.info.name} is not kept in the cache and is loaded anew ({one_line(error)})")


def _key(source: DatasetSource) -> str | None:
    """16 hex digits for what decides the content, None where the source does not say what it reads."""
    read = source.paths()
    if read is None:
        return None
    modules = dict.fromkeys(cls.__module__ for cls in type(source).__mro__)
    code = [file for name in modules if (file := getattr(sys.modules.get(name), "__file__", None))]
    package = type(source).__module__.partition(".")[0]
    versions = sorted(
        {
            (p.distribution, p.version)
            for p in registry.plugins("data")
            if p.entry_point.module.partition(".")[0] == package
        }
    )
    params = {name: value for name, value in source.params.as_dict().items() if name != "root"}
    decides = [
        FORMAT,
        __version__,
        versions,
        type(source).__qualname__,
        params,
        [_stamp(Path(f)) for f in (*read, *code)],
    ]
    return hashlib.sha256(json.dumps(decides, sort_keys=True, default=str).encode()).hexdigest()[:16]


def _stamp(path: Path) -> tuple[str, int, int]:
    """Path, size and date in ns; -1 where the file is missing, which loading will tell better."""
    try:
        found = path.stat()
    except OSError:
        return str(path), -1, -1
    return str(path.resolve()), found.st_size, found.st_mtime_ns


def _read(entry: Path) -> Dataset | None:
    """The data set of an entry, None where it is absent or damaged; nothing is read but sizes and heads."""
    try:
        meta = json.loads((entry / "meta.json").read_text())
        if any((entry / name).stat().st_size != size for name, size in meta["sizes"].items()):
            return None
        dataset = _get(meta["dataset"], entry)
    except Exception:  # however it is damaged, it is prepared anew
        return None
    with suppress(OSError):
        os.utime(entry)
    return dataset if isinstance(dataset, Dataset) else None


def keep(dataset: Dataset, folder: Path) -> None:
    """Write a data set into a folder of its own, for `kept`; TypeError or ValueError where no file can hold it."""
    folder.mkdir(parents=True)
    meta = {"dataset": _put(dataset, folder, "dataset")}
    meta["sizes"] = {file.name: file.stat().st_size for file in folder.iterdir()}
    (folder / "meta.json").write_text(json.dumps(meta, indent=1, default=lambda number: number.item()))


def kept(folder: Path) -> Dataset:
    """The data set that `keep` left, mapped; ValueError where it is absent or damaged."""
    dataset = _read(folder)
    if dataset is None:
        raise ValueError(f"{folder} holds no data set")
    return dataset


def _write(dataset: Dataset, entry: Path) -> None:
    """Make the entry, and remove what a killed process left and what was unused for longest; under the lock."""
    ours = re.compile(re.escape(entry.name.rpartition("-")[0]) + r"-[0-9a-f]{16}(\.tmp)?")
    found = [path for path in entry.parent.iterdir() if ours.fullmatch(path.name) and path != entry]
    whole = sorted((path for path in found if path.suffix != ".tmp"), key=lambda path: -path.stat().st_mtime_ns)
    for path in (entry, *whole[KEPT - 1 :], *(path for path in found if path.suffix == ".tmp")):
        shutil.rmtree(path, ignore_errors=True)
    temporary = entry.with_name(f"{entry.name}.tmp")
    try:
        keep(dataset, temporary)
        for path in (*temporary.iterdir(), temporary):
            _sync(path)
        os.rename(temporary, entry)
        _sync(entry.parent)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


KINDS: dict[str, type] = {cls.__name__: cls for cls in (Dataset, DatasetInfo, Holds, Interactions, ContextEvents)}


def _put(value: Any, folder: Path, name: str) -> dict[str, Any]:
    """Write a value under `name` and tell how to get it back; TypeError or ValueError where no file can hold it."""
    if type(value) in KINDS.values():
        held = {f.name: _put(getattr(value, f.name), folder, f"{name}.{f.name}") for f in fields(value)}
        return {"class": type(value).__name__, "fields": held}
    if hasattr(value, "columns"):
        return _put_table(value, folder, f"{name}.arrow")
    if isinstance(value, np.ndarray) and value.dtype.kind in "OT":
        return _put_texts(value, folder, f"{name}.arrow")
    if isinstance(value, np.ndarray):
        np.save(folder / f"{name}.npy", value, allow_pickle=False)
        return {"array": f"{name}.npy"}
    if is_dataclass(value):
        raise TypeError(f"{name} is of the unknown class {type(value).__name__}")
    return {"words": value} if isinstance(value, tuple) else {"value": value}


def _get(told: dict[str, Any], folder: Path) -> Any:
    """The value that `_put` told of; what it held was checked when it was made, so nothing is checked again."""
    if "class" in told:
        later = {name: _table(folder / part["texts"]) for name, part in told["fields"].items() if "texts" in part}
        cls = KINDS[told["class"]]
        value = object.__new__(LATER[cls] if later else cls)
        parts = {name: _get(part, folder) for name, part in told["fields"].items() if name not in later}
        value.__dict__.update(parts | ({"_later": later} if later else {}))
        return value
    if "table" in told:
        return _frame(_table(folder / told["table"]), told["objects"])
    if "array" in told:
        return np.asarray(np.load(folder / told["array"], mmap_mode="r"))
    return tuple(told["words"]) if "words" in told else told["value"]


class _Later:
    """Reads texts when they are first asked for: millions of them take a second."""

    def __getattr__(self, name: str) -> Any:
        later = self.__dict__.get("_later", {})
        if name not in later:
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        self.__dict__[name] = texts = _texts(later[name])
        return texts


class _Dataset(_Later, Dataset):
    pass


class _ContextEvents(_Later, ContextEvents):
    pass


LATER: dict[type, type] = {Dataset: _Dataset, ContextEvents: _ContextEvents}


def _put_texts(texts_E: np.ndarray, folder: Path, name: str) -> dict[str, Any]:
    import pyarrow as pa

    _save_table(pa.table({"text": pa.array(texts_E, pa.large_string(), from_pandas=False)}), folder / name)
    back = _texts(_table(folder / name))
    if back.dtype != texts_E.dtype or not np.array_equal(back, texts_E):
        raise ValueError(f"{name} would not come back as it is; use text, or an array of numbers")
    return {"texts": name}


def _texts(table: Any) -> np.ndarray:
    texts_E = table["text"].to_numpy(zero_copy_only=False)
    texts_E.flags.writeable = False
    return texts_E


def _put_table(frame: Any, folder: Path, name: str) -> dict[str, Any]:
    import pyarrow as pa

    objects = [i for i, dtype in enumerate(frame.dtypes) if str(dtype) == "object"]
    _save_table(pa.Table.from_pandas(frame), folder / name)
    back = _frame(_table(folder / name), objects)
    for i, column in enumerate(frame.columns):
        old, new = frame.iloc[:, i], back.iloc[:, i]
        same = old.dtype == new.dtype and old.equals(new) and (i not in objects or old.map(type).equals(new.map(type)))
        if not same:
            raise ValueError(f"column {column!r} of {name} would not come back as it is; use text, numbers or lists")
    if not (frame.columns.equals(back.columns) and frame.index.equals(back.index)):
        raise ValueError(f"the index or the columns of {name} would not come back as they are")
    return {"table": name, "objects": objects}


def _save_table(table: Any, path: Path) -> None:
    import pyarrow as pa

    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, table.schema) as writer:
        writer.write_table(table)


def _table(path: Path) -> Any:
    """The mapped table: nothing is read yet."""
    import pyarrow as pa

    return pa.ipc.open_file(pa.memory_map(str(path))).read_all()


def _frame(table: Any, objects: list[int]) -> Any:
    """The pandas table; `objects`: columns of Python objects, such as lists, that Arrow alone would give another type."""
    frame = table.to_pandas(split_blocks=True)
    for i in objects:
        import pandas as pd

        frame.isetitem(i, pd.Series(table.column(i).to_pylist(), dtype=object, index=frame.index))
    return frame
