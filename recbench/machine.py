"""What a run runs on, and what it takes of it."""

from __future__ import annotations

import contextlib
import ctypes
import platform
import resource
import subprocess
import time
from functools import cache
from pathlib import Path

HOME = Path(__file__).resolve().parent.parent
TRIM_THRESHOLD, MMAP_THRESHOLD, MMAP_MAX = -1, -3, -4  # their numbers in malloc.h
CODE = ("recbench", "plugins", "conf", "requirements.txt")  # what decides a number; not reports, not stored entries


def description() -> dict[str, str]:
    """System, processor and interpreter, as the entry holds them."""
    return {"system": platform.system(), "processor": platform.machine(), "python": platform.python_version()}


def forget_peak_memory() -> None:
    """The peak counts anew from here, where the system can: several runs of one process each tell their own."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def peak_memory_mb() -> float:
    """The largest resident size, of the process where the system does not say since when."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return round(int(line.split()[1]) / 1024, 1)
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1)


@cache
def keep_freed_memory(large: bool = False) -> None:
    """What arrays free stays with the process for those to come, where the system's malloc is glibc's (mallopt(3)).

    glibc returns it to the system, and each 4 KB of the next array cost a page fault. Up to 64 MB of freed memory and of
    arrays to 32 MB, the most that its threshold takes: a quarter of the CPU seconds of an evaluation went into new chunks
    of scores. With `large` all arrays and all memory: a fifth of a training step where the table of items and its gradient
    are 70 MB; the process then keeps what it needed at most.
    """
    with contextlib.suppress(AttributeError, OSError, TypeError):
        mallopt = ctypes.CDLL(None).mallopt
        if large:
            keep_freed_memory()  # now, for it may not come after
            mallopt(MMAP_MAX, 0)
            mallopt(TRIM_THRESHOLD, 2**31 - 1)
        else:
            mallopt(MMAP_THRESHOLD, 32 << 20)
            mallopt(TRIM_THRESHOLD, 64 << 20)


@cache
def commit(home: Path = HOME) -> str:
    """The commit of recbench's own checkout, empty where it is installed from a wheel; "-dirty" where `CODE` differs.

    Asked once a process, when its first run begins: the code may change on disk while a long run holds the old one.
    """
    if not (home / ".git").exists():
        return ""
    git = ["git", "-C", str(home)]
    name = subprocess.run([*git, "describe", "--always"], capture_output=True, text=True, check=False).stdout.strip()
    changed = subprocess.run([*git, "status", "--porcelain", "--", *CODE], capture_output=True, text=True, check=False)
    return f"{name}-dirty" if changed.stdout.strip() else name


class Clock:
    """Seconds of each stage, by name, and the CPU seconds of this process."""

    def __init__(self) -> None:
        self.laps: dict[str, float] = {}
        self.cpu: dict[str, float] = {}
        self._last, self._last_cpu = time.perf_counter(), time.process_time()

    def lap(self, name: str) -> None:
        now, cpu = time.perf_counter(), time.process_time()
        self.laps[name], self._last = round(self.laps.get(name, 0.0) + now - self._last, 3), now
        self.cpu[name], self._last_cpu = self.cpu.get(name, 0.0) + cpu - self._last_cpu, cpu
