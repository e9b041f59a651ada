"""What stands around training: a lean Lightning Trainer, Ctrl-C, silence, memory, compilation."""

from __future__ import annotations

import logging
import signal
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any, cast

import pytorch_lightning as pl
from pytorch_lightning.callbacks import RichProgressBar
from pytorch_lightning.profilers import PassThroughProfiler

from recbench.errors import RecbenchError, one_line
from recbench.neural.choices import FitParams
from recbench.neural.network import Network

if TYPE_CHECKING:
    from recbench.model import Context
    from recbench.neural.training import Watch


class Unwatched(PassThroughProfiler):
    """Times nothing, and makes no context for each of the fifty stages of a step: a twentieth of a small network's."""

    nothing = nullcontext()

    def profile(self, action_name: str) -> Any:
        return self.nothing


class Bar(RichProgressBar):
    """Says which of the two trainings it is, and counts epochs as the curve does, from 1."""

    def __init__(self, stage: str) -> None:
        super().__init__()
        self.stage = stage

    def _get_train_description(self, current_epoch: int) -> str:
        return f"{self.stage}: epoch {current_epoch + 1} of at most {self.trainer.max_epochs}"


def trainer(watch: Watch, context: Context, params: FitParams, epochs: int) -> pl.Trainer:
    """A lean Trainer: no logger, no validation loop, no checkpoints but `Watch`'s."""
    bar = [Bar("select" if context.evaluate else "refit")] if context.progress and sys.stdout.isatty() else []
    return pl.Trainer(
        accelerator={"cuda": "gpu"}.get(context.device, context.device),
        devices=[context.team.number] if context.device == "cuda" else 1,  # Lightning sees one: the team is ours
        precision=cast(Any, context.precision),
        max_epochs=epochs,
        callbacks=[watch, *bar],
        logger=False,
        profiler=Unwatched(),
        enable_checkpointing=False,
        enable_progress_bar=bool(bar),
        enable_model_summary=False,
        limit_val_batches=0,
        num_sanity_val_steps=0,
        use_distributed_sampler=False,
        gradient_clip_val=params.clip or None,
    )


@contextmanager
def quiet() -> Iterator[None]:
    """Lightning's notes on loaders, loggers and hardware are no news here."""
    loggers = [logging.getLogger(name) for name in ("pytorch_lightning", "lightning.pytorch", "lightning.fabric")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module=r"(pytorch_lightning|lightning|torch)\.")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


@contextmanager
def first_ctrl_c(watch: Watch) -> Iterator[None]:
    """The first Ctrl-C lets the step finish and the checkpoint be written; a second one ends at once."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    usual = signal.getsignal(signal.SIGINT)

    def note(*_: Any) -> None:
        watch.interrupted = True
        signal.signal(signal.SIGINT, usual)

    signal.signal(signal.SIGINT, note)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, usual)


@contextmanager
def compiled(network: Network, wanted: bool) -> Iterator[None]:
    """Where wanted, what `network.compiles` names is compiled as long as this lasts; RecbenchError where it cannot be."""
    if not wanted:
        yield
        return
    import torch
    from torch._dynamo.exc import BackendCompilerFailed

    for name in network.compiles:
        vars(network)[name] = torch.compile(getattr(network, name), dynamic=True)
    try:
        yield
    except BackendCompilerFailed as error:
        why = one_line(error).partition(" Set TORCH")[0]
        raise RecbenchError(f"trainer.compile=true: the network cannot be compiled ({why}); leave it out") from error
    finally:
        for name in network.compiles:
            del vars(network)[name]
