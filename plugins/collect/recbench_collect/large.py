"""Parquet files of more rows than memory should hold, as a stream."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from recbench.cache import cache_folder
from recbench.dataset import Dataset, DatasetInfo
from recbench.errors import RecbenchError

if TYPE_CHECKING:
    from recbench_collect.file import FileParams

TICKS = ((1e11, 1), (1e14, 1_000), (1e17, 1_000_000))  # a time below the first number counts seconds, and so on


def streamed(info: DatasetInfo, params: FileParams, paths: list[Path], roles: Mapping[str, str]) -> Dataset:
    """The data set of large parquet files, its arrays mapped; rows that lack user, item, time or behavior are counted.

    RecbenchError where more than `max_broken` of them lack one, or `params` ask for what needs the whole log in memory.
    """
    from recbench.streaming import stream

    _refuse(params, roles)
    folder = Path(tempfile.mkdtemp(prefix="stream-", dir=_room()))
    try:
        per_second = _per_second(paths[0], roles["time"]) if "time" in roles else 1
        log, user_ids, item_ids, counts = stream(paths, roles, folder, per_second=per_second)
    finally:
        shutil.rmtree(folder, ignore_errors=True)  # what is mapped outlives its name
    dropped = counts["dropped: incomplete"]
    if dropped > params.max_broken * counts["rows read"]:
        raise RecbenchError(
            f"data=file: {dropped} of {counts['rows read']} rows lack a value of {', '.join(roles)}; mend the source, or "
            "allow more with data.max_broken=SHARE"
        )
    clock = "order" if "time" not in roles else "seconds" if params.clock == "auto" else params.clock
    checksum = hashlib.sha256()
    for path in paths:
        with path.open("rb") as file:
            while chunk := file.read(1 << 22):
                checksum.update(chunk)
    return Dataset(replace(info, clock=clock), log, user_ids, item_ids, checksum=checksum.hexdigest(), cleaning=counts)


def _refuse(params: FileParams, roles: Mapping[str, str]) -> None:
    asked = {
        "data.duplicates": params.duplicates != "keep",
        "data.max_events_per_user_day": params.max_events_per_user_day > 0,
        "data.value_low": params.value_low is not None,
        "data.value_high": params.value_high is not None,
        "data.items": bool(params.items),
        "data.text": "text" in roles,
    }
    if wrong := [name for name, given in asked.items() if given]:
        raise RecbenchError(
            f"{', '.join(wrong)}: a log of this size is read as a stream, which knows no such step; leave it out, or cut "
            "the files into a smaller log"
        )


def _room() -> Path:
    room = cache_folder() / "streams"
    try:
        room.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RecbenchError(
            f"cannot write {room}: {error.strerror}; free space, or set RECBENCH_CACHE to another folder"
        ) from error
    return room


def _per_second(path: Path, column: str) -> int:
    """What the first times count, by their size; dates count for themselves."""
    import pyarrow.parquet as pq

    first = next(pq.ParquetFile(path).iter_batches(1000, columns=[column])).column(0).drop_null()
    if not len(first) or not np.issubdtype(first.to_numpy(zero_copy_only=False).dtype, np.number):
        return 1
    size = float(np.abs(first.to_numpy(zero_copy_only=False)).max())
    return next((ticks for bound, ticks in TICKS if size < bound), 1_000_000_000)
