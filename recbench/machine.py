"""What a run runs on, and what it takes of it."""

from __future__ import annotations

import contextlib
import platform
import resource
import subprocess
import time
from pathlib import Path


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


def commit() -> str:
    """The commit of recbench's own checkout, empty where it is installed from a wheel."""
    home = Path(__file__).resolve().parent.parent
    if not (home / ".git").exists():
        return ""
    done = subprocess.run(
        ["git", "-C", str(home), "describe", "--always", "--dirty"], capture_output=True, text=True, check=False
    )
    return done.stdout.strip()


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
