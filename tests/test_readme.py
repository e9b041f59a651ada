"""Every command that the README shows is one that the command line understands."""

import re
import shlex
from pathlib import Path

import pytest

HOME = Path(__file__).resolve().parent.parent
START = "python -m recbench "
SHOWN = ("list", "show", "data")  # are run as they stand


def commands(page: str) -> list[str]:
    """The commands in indented blocks, without their comments."""
    lines = (HOME / page).read_text().splitlines()
    shown = [line.partition("#")[0] for line in lines if line.startswith("    ")]
    parts = [part.strip() for line in shown for part in re.split(r"&&|\|", line)]
    return [part.removeprefix(START) for part in parts if part.startswith(START)]


def jobs(words: list[str]) -> list[list[str]]:
    """The runs of a multirun, each of a word's values at least once; what a sweep draws by itself is left out."""
    fixed = [word.partition("=") for word in words if "=" in word and "(" not in word and not word.startswith("sweep")]
    values = [[f"{name}={value}" for value in given.split(",")] for name, _, given in fixed]
    return [[v[i % len(v)] for v in values] for i in range(max(map(len, values)))]


def test_the_readme_shows_how_to_begin():
    assert "model=transformer data=ecommerce" in commands("README.md")


@pytest.mark.parametrize("command", [*commands("README.md"), *commands("docs/own-data.md")])
def test_a_command_of_the_readme_is_understood(quickly, tmp_path, command):
    """Runs are composed and not carried out; the conformance kit has its own tests."""
    words = shlex.split(command)
    if words[0] == "check":
        calls = [["show", *words[1:]]]
    elif words[:2] == ["data", "show"]:  # the data are not at hand here; what is shown of them has tests of its own
        calls = [["show", f"data={words[2]}"]]
    elif words[0] in (*SHOWN, "new-plugin"):
        calls = [words]
    else:
        assert all("=" in word or word in ("-m", "--multirun") for word in words)
        calls = [["--cfg", "job", *job] for job in jobs(words)]
    for call in calls:
        done = quickly(*call)
        assert done.returncode == 0 and done.stderr == "" and done.stdout, done.stderr
    assert bool(list(tmp_path.iterdir())) == (words[0] == "new-plugin")
