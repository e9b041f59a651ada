"""Where the numbers of a run go: files always, W&B on request; a broken tracker is a warning, never a failure."""

from __future__ import annotations

import json
import os
import warnings
from pathlib import Path
from typing import Any, Protocol

from recbench.entry import Entry, write_atomically
from recbench.errors import RecbenchError, one_line

TRACKERS = ("files", "wandb")


class Tracker(Protocol):
    """Told three times: at the start, at every report, at the end."""

    def start(self, folder: Path, config: dict[str, Any]) -> None: ...
    def log(self, step: int, values: dict[str, float]) -> None: ...
    def finish(self, entry: Entry, board_rows: list[dict[str, Any]]) -> str: ...


class FilesTracker:
    """JSON lines of the curve, and the resolved configuration, in the run folder."""

    def start(self, folder: Path, config: dict[str, Any]) -> None:
        self.curve = folder / "curve.jsonl"
        write_atomically(folder / "config.json", json.dumps(config, indent=2, sort_keys=True) + "\n")

    def log(self, step: int, values: dict[str, float]) -> None:
        with self.curve.open("a") as file:
            file.write(json.dumps({"step": step, **values}) + "\n")

    def finish(self, entry: Entry, board_rows: list[dict[str, Any]]) -> str:
        return ""


class WandbTracker:
    """A W&B run per plan: configuration, curve, scores with intervals, the top of the board; offline by default."""

    def __init__(self, mode: str = "offline", project: str = "recbench") -> None:
        self.mode, self.project, self.run = mode, project, None

    def start(self, folder: Path, config: dict[str, Any]) -> None:
        self._safely(self._start, folder, config)

    def _start(self, folder: Path, config: dict[str, Any]) -> None:
        os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
        os.environ.setdefault("WANDB_SILENT", "true")
        for name in ("WANDB_DATA_DIR", "WANDB_CACHE_DIR"):  # without these a run folder alone could not be synced
            os.environ.setdefault(name, str(folder / "wandb-data"))
        import wandb

        mode = self.mode
        if mode == "online" and not (os.environ.get("WANDB_API_KEY") or wandb.api.api_key):
            warnings.warn("W&B: nobody is logged in; the run is kept offline", stacklevel=2)
            mode = "offline"
        self.run = wandb.init(
            project=self.project, dir=str(folder), config=config, mode=mode, name=f"{config['model']}-{config['seed']}"
        )

    def log(self, step: int, values: dict[str, float]) -> None:
        if self.run is not None:
            self._safely(self.run.log, values, step=step)

    def finish(self, entry: Entry, board_rows: list[dict[str, Any]]) -> str:
        if self.run is None:
            return ""
        place = Path(self.run.dir).parent
        self._safely(self._finish, entry, board_rows)
        return f"W&B run: {place} (view: wandb leet {place}; upload: wandb sync {place})"

    def _finish(self, entry: Entry, board_rows: list[dict[str, Any]]) -> None:
        import wandb

        for label, score in entry.scores.items():
            self.run.summary.update(
                {
                    f"test/{label}": score["value"],
                    f"test/{label}/low": score["low"],
                    f"test/{label}/high": score["high"],
                }
            )
        if board_rows:
            columns = list(board_rows[0])
            self.run.log(
                {"board": wandb.Table(columns=columns, data=[[row[c] for c in columns] for row in board_rows[:20]])}
            )
        self.run.finish()

    def _safely(self, call: Any, *args: Any, **kwargs: Any) -> None:
        try:
            call(*args, **kwargs)
        except Exception as error:
            self.run = None
            warnings.warn(f"W&B failed and is left out of this run: {one_line(error)}", stacklevel=3)


def tracker(names: str, **options: Any) -> list[Tracker]:
    """The trackers named in `files` or `wandb`; files are always kept."""
    if names not in TRACKERS:
        raise RecbenchError(f"track must be one of {', '.join(TRACKERS)}; given {names!r}")
    return [FilesTracker()] + ([WandbTracker(**options)] if names == "wandb" else [])
