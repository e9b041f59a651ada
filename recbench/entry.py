"""What a run leaves behind: one JSON file that carries its own proof."""

from __future__ import annotations

import json
import os
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from recbench.errors import RecbenchError, nearest, one_line
from recbench.params import plain

SCHEMA = 1


@dataclass(frozen=True)
class Entry:
    """One plan carried out, with one seed. `scores`: label -> value, low, high, definition.

    `chosen`: what the model decided on validation, as the weights of a blend. `notes`: what the model tells beside scores, as
    the language model it read with. A field that is empty is not written.
    """

    key: str
    board: str
    board_version: int
    protocol_hash: str
    on_board: bool
    task: str
    data: str
    data_checksum: str
    split_fingerprint: str
    leakage: dict[str, Any]
    model: str
    distribution: str
    version: str
    params: dict[str, Any]
    seed: int
    headline: str
    scores: dict[str, dict[str, Any]]
    valid_headline: float
    n_queries: int
    artefacts: dict[str, str]
    seconds: dict[str, float]
    peak_memory_mb: float
    n_parameters: int
    stopped_by: str
    epochs: int
    threads: int
    machine: dict[str, str]
    recbench_version: str
    commit: str
    command: str
    date: str
    tuning: list[Any] = field(default_factory=list)
    cleaning: dict[str, int] = field(default_factory=dict)
    cpu_seconds: float = 0.0  # of fitting and selection, interrupted beginnings included; 0: not measured
    chosen: dict[str, Any] = field(default_factory=dict, metadata={"formerly": {}})
    notes: dict[str, Any] = field(default_factory=dict, metadata={"formerly": {}})
    schema: int = SCHEMA

    def to_json(self) -> str:
        """Fields in the order above and scores in the board's, so that equal entries are equal files."""
        return json.dumps(plain(self), indent=2) + "\n"

    @classmethod
    def read(cls, path: Path) -> Entry:
        """The entry in a file; RecbenchError where it is broken or of another schema."""
        try:
            entry = cls(**json.loads(path.read_text()))
        except (OSError, ValueError, TypeError) as error:
            raise RecbenchError(f"{path} is not an entry ({one_line(error)}); run its command again") from error
        if entry.schema != SCHEMA:
            raise RecbenchError(f"{path} has schema {entry.schema}; this version reads {SCHEMA}")
        return entry


def run_folder(run: str, runs: Path) -> Path:
    """The folder of a finished run: of that key in `runs`, or `run` itself; RecbenchError where there is none."""
    for folder in (runs / run, Path(run).expanduser()):
        if (folder / "entry.json").is_file():
            return folder
    known = [path.parent.name for path in runs.glob("*/entry.json")]
    raise RecbenchError(
        f"{run} is neither the key of a finished run in {runs} nor the folder of one{nearest(run, known) or '.'} "
        "A run is finished once its folder holds entry.json"
    )


def write_atomically(path: Path, content: str | bytes | memoryview) -> None:
    """Whole or not at all: a full disk or a kill leaves the old file. RecbenchError names the path and the cause."""
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        with os.fdopen(handle, "wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except OSError as error:
        if temporary:
            Path(temporary).unlink(missing_ok=True)
        raise RecbenchError(
            f"cannot write {path}: {error.strerror or error}; free space or choose another folder, nothing was lost"
        ) from error
