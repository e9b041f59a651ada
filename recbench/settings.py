"""What a command may set beside the plugins: type, range, default and meaning in one place, for Hydra, errors and help."""

from __future__ import annotations

import os
from dataclasses import dataclass

from recbench.params import Params, param


@dataclass(frozen=True)
class Run(Params):
    """How a run is carried out, whatever the model."""

    board: str | None = param(None, "Name of a board or its YAML file; none: the data's first.")
    seed: int = param(1, "Seed of the run.", low=0, high=2**31 - 1)
    calibration: str = param(
        "none",
        "How the probabilities of a behaviour board are bent after predict, as validation says.",
        choices=("none", "temperature", "isotonic"),
    )
    submit: bool = param(False, "Copy the entry to the board and render its page.")
    resume: bool = param(False, "Go on from the last checkpoint of this very plan.")
    out: str = param("runs", "Folder of the runs.")
    leaderboards: str = param("leaderboards", "Folder of the boards.")


@dataclass(frozen=True)
class Trainer(Params):
    """What training and answering may use."""

    threads: int | None = param(
        None, "Threads of each process; none: all cores. Set 1 where runs share a machine.", low=1, high=1024
    )
    precision: str = param(
        "32-true", "Precision of training.", choices=("32-true", "bf16-mixed", "16-mixed", "64-true")
    )
    device: str = param("cpu", "Where to train.", choices=("cpu", "cuda", "mps"))
    devices: int = param(
        1,
        "Processes that train and answer together, each with its share of every batch and of the questions: one a GPU, "
        "or one a share of the threads.",
        low=1,
        high=64,
    )
    compile: bool = param(False, "Compile the network before training; needs a C++ compiler.")
    max_minutes: float | None = param(
        None, "Bound on training; a bound breaks sameness, and the entry says so.", low=0.0, unit="minutes"
    )
    progress: bool = param(True, "Show a progress bar.")

    @property
    def cores(self) -> int:
        return self.threads or max(1, len(os.sched_getaffinity(0)) // self.devices)


@dataclass(frozen=True)
class Search(Params):
    """How a cell is searched: what conf/sweep/KIND.yaml says."""

    kind: str = param("bayes", "What proposes the next trial; bayes is TPE.", choices=("grid", "random", "bayes"))
    trials: int | None = param(None, "Trials a cell; none: the board's budget.", low=1, high=100_000)
