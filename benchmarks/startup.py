"""What `import recbench`, `--help` and `list` take beyond the interpreter's own start; medians in milliseconds.

python benchmarks/startup.py [--rounds 9]
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time

COMMANDS = {
    "import recbench": ["-c", "import recbench"],
    "--help": ["-m", "recbench", "--help"],
    "list": ["-m", "recbench", "list"],
}


def milliseconds(arguments: list[str]) -> float:
    begun = time.perf_counter()
    subprocess.run([sys.executable, *arguments], check=True, capture_output=True)
    return 1000 * (time.perf_counter() - begun)


def main() -> None:
    options = argparse.ArgumentParser()
    options.add_argument("--rounds", type=int, default=9)
    rounds = options.parse_args().rounds
    for name, arguments in COMMANDS.items():
        beyond = [milliseconds(arguments) - milliseconds(["-c", "pass"]) for _ in range(rounds)]  # in turn
        print(f"{name:16s} {statistics.median(beyond):6.0f} ms (from {min(beyond):.0f} to {max(beyond):.0f})")


if __name__ == "__main__":
    main()
