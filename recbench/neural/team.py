"""Several processes that carry out one run: the one that the user started, number 0, and those that it starts.

Each goes the same road with the same words, learns from its share of the windows of every batch and answers its share of
the questions. Gradients are added up in each step, so that all have the same weights to the last bit; only number 0
writes and speaks. The others end with it, whatever ends it.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from recbench.errors import RecbenchError
from recbench.model import Team

if TYPE_CHECKING:
    from torch.nn import Module

PLACE = "RECBENCH_PLACE"  # of a started process: its number and the folder in which all meet
READY = b"recbench: ready\n"
PATIENCE = timedelta(days=7)  # processes that have died are noticed at once, by their connections
LAST_WORDS_SECONDS = 10.0


@contextmanager
def together(size: int, device: str, words: Sequence[str]) -> Iterator[Team]:
    """The team of a run of that many devices, started by the words of its command; RecbenchError where one of it fails."""
    if place := os.environ.get(PLACE):
        number, _, folder = place.partition(":")
        _leave_with_the_first()
        with _joined(int(number), size, device, Path(folder)) as team:
            yield team
        return
    with TemporaryDirectory(prefix="recbench-") as folder:
        others = [_started(number, Path(folder), words) for number in range(1, size)]
        try:
            for other in others:
                while (line := other.stdout.readline()) != READY:  # type: ignore[union-attr]
                    if not line:
                        raise Broken
            with _joined(0, size, device, Path(folder)) as team:
                yield team
            for other in others:
                other.wait()
        except Broken as error:
            _tell_who_ended(others, Path(folder), error)
            raise
        finally:
            for other in others:
                with other:  # which waits, and closes its pipes
                    other.kill()


def _started(number: int, folder: Path, words: Sequence[str]) -> subprocess.Popen:
    """Ctrl-C does not reach it, for number 0 decides when all stop; its input ends when number 0 does."""
    with (folder / f"{number}.stderr").open("wb") as errors:
        return subprocess.Popen(
            [sys.executable, "-m", "recbench", *words],
            env=os.environ | {PLACE: f"{number}:{folder}"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            start_new_session=True,
        )


def _leave_with_the_first() -> None:
    """Say that this process is ready, then end as soon as number 0 has: it holds the other end of the input."""

    def wait() -> None:
        os.read(0, 1)
        os._exit(1)

    sys.stdout.flush()
    os.write(1, READY)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    threading.Thread(target=wait, daemon=True).start()


@contextmanager
def _joined(number: int, size: int, device: str, folder: Path) -> Iterator[Team]:
    import torch
    import torch.distributed as dist

    backend = "gloo"
    if device == "cuda":
        if torch.cuda.device_count() < size:
            raise RecbenchError(
                f"trainer.devices={size} needs as many GPUs; this machine has {torch.cuda.device_count()}"
            )
        torch.cuda.set_device(number)
        backend = "cpu:gloo,cuda:nccl"
    dist.init_process_group(
        backend, init_method=f"file://{folder / 'meeting'}", rank=number, world_size=size, timeout=PATIENCE
    )
    try:
        yield Team(number, size, partial(_gathered, size))
    finally:
        dist.destroy_process_group()


class Broken(Exception):
    """Another process of the team has ended."""


@contextmanager
def _talking() -> Iterator[Any]:
    import torch.distributed as dist

    try:
        yield dist
    except RuntimeError as error:  # what all backends raise where a connection is closed
        raise Broken(str(error)) from error


def _gathered(size: int, value: Any) -> list[Any]:
    values: list[Any] = [None] * size
    with _talking() as dist:
        dist.all_gather_object(values, value)
    return values


def _tell_who_ended(others: Sequence[subprocess.Popen], folder: Path, error: Exception) -> None:
    """RecbenchError with the last words of the process whose end broke the run, if one has ended."""
    for number, other in enumerate(others, 1):
        try:
            code = other.wait(LAST_WORDS_SECONDS)
        except subprocess.TimeoutExpired:
            continue
        if code:
            said = (folder / f"{number}.stderr").read_text(errors="replace").strip().splitlines()
            why = said[-1].removeprefix("recbench: ") if said else f"exit status {code}"
            raise RecbenchError(f"process {number + 1} of {len(others) + 1} ended before the run did: {why}") from error


def add_up_gradients(network: Module) -> None:
    """Each gradient becomes its sum over the team, in one message; one that no process has stays None."""
    import torch

    weights = [weight for weight in network.parameters() if weight.requires_grad]
    there = torch.tensor([float(weight.grad is not None) for weight in weights], device=weights[0].device)
    parts = [torch.zeros_like(weight) if weight.grad is None else weight.grad for weight in weights]
    flat = torch.cat([part.flatten() for part in [*parts, there]])
    with _talking() as dist:
        dist.all_reduce(flat)
    *sums, there = flat.split([*(weight.numel() for weight in weights), len(weights)])
    for weight, total, n in zip(weights, sums, there.tolist(), strict=True):
        weight.grad = total.view_as(weight) if n else None


def take_buffers_of_the_first(network: Module) -> None:
    """The buffers of number 0 for all: a batch norm's running means come from each process's own windows."""
    with _talking() as dist:
        for buffer in network.buffers():
            dist.broadcast(buffer, 0)
