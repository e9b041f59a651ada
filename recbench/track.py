"""Where the numbers of a run go: files always, W&B on request; a broken tracker is a warning, never a failure."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any, Protocol

from recbench.entry import Entry, write_atomically
from recbench.errors import RecbenchError, one_line

TRACKERS = ("files", "wandb")
CURVE = "curve.jsonl"


class Tracker(Protocol):
    """Told three times: at the start, at every report, at the end."""

    def start(self, folder: Path, config: dict[str, Any]) -> None: ...
    def log(self, step: int, values: dict[str, float]) -> None: ...
    def finish(self, entry: Entry, board_rows: list[dict[str, Any]]) -> str: ...


def earlier(folder: Path, step: float = float("inf")) -> list[dict[str, float]]:
    """The lines of a run's curve that come before a step."""
    path = folder / CURVE
    lines = path.read_text().splitlines() if path.is_file() else []
    return [line for line in map(json.loads, lines) if line["step"] < step]


class FilesTracker:
    """JSON lines of the curve, and the resolved configuration, in the run folder."""

    def start(self, folder: Path, config: dict[str, Any]) -> None:
        self.folder = folder
        write_atomically(folder / "config.json", json.dumps(config, indent=2, sort_keys=True) + "\n")

    def log(self, step: int, values: dict[str, float]) -> None:
        """A step replaces its line and all behind it: a run that is resumed or repeated leaves each step once."""
        lines = [*earlier(self.folder, step), {"step": step, **values}]
        write_atomically(self.folder / CURVE, "".join(json.dumps(line) + "\n" for line in lines))

    def finish(self, entry: Entry, board_rows: list[dict[str, Any]]) -> str:
        return ""


class WandbTracker:
    """A W&B run per plan: configuration, curve, scores with intervals, the board, the machine; offline by default."""

    folders: dict[str, str] = {}  # of W&B, chosen here and not by the user; without them a run could not be synced
    run: Any = None

    def __init__(self, mode: str, project: str) -> None:
        self.mode, self.project = mode, project
        if mode not in ("offline", "online"):
            raise RecbenchError(f"track.mode must be offline or online; given {mode!r}")

    def start(self, folder: Path, config: dict[str, Any]) -> None:
        self.folder, self.behind = folder, True
        self._safely(self._start, config)

    def _start(self, config: dict[str, Any]) -> None:
        os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
        os.environ.setdefault("WANDB_SILENT", "true")
        for name in ("WANDB_DATA_DIR", "WANDB_CACHE_DIR"):
            if os.environ.get(name) == self.folders.get(name):
                os.environ[name] = self.folders[name] = str(self.folder.absolute() / "wandb-data")
        import wandb

        options: dict[str, Any] = {
            "project": self.project,
            "dir": str(self.folder),
            "config": config,
            "name": f"{config['model']}-{config['seed']}",
            "reinit": "finish_previous",  # one that failed, earlier in a multirun
            "settings": wandb.Settings(x_stats_sampling_interval=1, init_timeout=20),
        }
        if self.mode == "online":
            try:
                if wandb.login(prompt=False):
                    self.run = wandb.init(mode="online", **options)
                    return
                reason = "nobody is logged in"
            except Exception as error:
                reason = one_line(error)
            self.mode = "offline"
            self._warn(f"the run is kept offline, {reason}")
        self.run = wandb.init(mode="offline", **options)

    def log(self, step: int, values: dict[str, float]) -> None:
        self._safely(self._log, step, values)

    def _log(self, step: int, values: dict[str, float]) -> None:
        self._catch_up(step)
        self.run.log(values, step=step)

    def _catch_up(self, step: float = float("inf")) -> None:
        """A resumed run is a new W&B run; it repeats what was logged before the stop."""
        for line in earlier(self.folder, step) if self.behind else []:
            self.run.log({name: value for name, value in line.items() if name != "step"}, step=line["step"])
        self.behind = False

    def finish(self, entry: Entry, board_rows: list[dict[str, Any]]) -> str:
        place = self._safely(self._finish, entry, board_rows)
        if place and self.mode == "online":
            return f"W&B run: {place}"
        return place and f"W&B run, kept offline\n  view    wandb leet {place}\n  upload  wandb sync {place}"

    def _finish(self, entry: Entry, board_rows: list[dict[str, Any]]) -> str:
        import wandb

        self._catch_up()
        figures: dict[str, Any] = {
            f"valid/{entry.headline}": entry.valid_headline,
            "peak_memory_mb": entry.peak_memory_mb,
        }
        figures |= {f"seconds/{name}": value for name, value in entry.seconds.items()}
        for label, score in entry.scores.items():
            reach = {f"test/{label}/{end}": score[end] for end in ("low", "high") if score[end] is not None}
            figures |= {f"test/{label}": score["value"], **reach}
        self.run.summary.update(figures)
        columns: list[Any] = list(board_rows[0]) if board_rows else []
        self.run.log(
            {"board": wandb.Table(columns=columns, data=[[row[c] for c in columns] for row in board_rows[:20]])}
        )
        self.run.log({path.stem: wandb.Image(str(path)) for path in sorted(self.folder.glob("*.png"))})
        place = self.run.url if self.mode == "online" else os.path.relpath(Path(self.run.dir).parent)
        self.run.finish()
        return str(place)

    def _safely(self, call: Any, *args: Any) -> str:
        """What the call says; nothing where W&B broke, now or before."""
        if self.run is None and call != self._start:
            return ""
        try:
            return call(*args) or ""
        except (Exception, SystemExit) as error:
            self.run = None
            self._warn(f"left out of this run, it failed: {one_line(error)}")
            return ""

    def _warn(self, text: str) -> None:
        print(f"recbench: W&B: {text}", file=sys.stderr)


def tracker(names: str, **options: Any) -> list[Tracker]:
    """The trackers named in `files` or `wandb`; files are always kept."""
    if names not in TRACKERS:
        raise RecbenchError(f"track must be one of {', '.join(TRACKERS)}; given {names!r}")
    return [FilesTracker(), *([WandbTracker(**options)] if names == "wandb" else [])]
