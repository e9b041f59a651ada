"""Whether what a model is about to hold fits into memory."""

from __future__ import annotations

import os
from pathlib import Path

from recbench.errors import RecbenchError


def available_bytes() -> int | None:
    """Bytes a process can take without swapping; None where the system does not say."""
    try:
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    try:
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):
        return None


def refuse_larger(n_bytes: float, what: str, advice: str) -> None:
    """RecbenchError, before any work, where `what` may need more than is available."""
    available = available_bytes()
    if available is not None and n_bytes > available:
        raise RecbenchError(
            f"{what} may need {n_bytes / 1e9:.1f} GB of memory, and {available / 1e9:.1f} GB are free; {advice}"
        )
