"""What tests share: a stranger's package, installed as anybody's would be, for the session alone; for the command line
made-up data, commands in processes of their own, and the form of an error."""

import gzip
import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from recbench import registry

ACME = Path(__file__).parent / "acme"


@pytest.fixture(scope="session", autouse=True)
def acme(tmp_path_factory):
    """tests/acme as pip installs it, in a folder of its own: found by its entry points, also in child processes."""
    site = tmp_path_factory.mktemp("acme-site")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "--no-deps", "--no-build-isolation", "--target", str(site), str(ACME)], check=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(site))
        patch.setenv("PYTHONPATH", os.pathsep.join(filter(None, [str(site), os.environ.get("PYTHONPATH")])))
        patch.setenv("RECBENCH_OFFLINE", "1")
        patch.setenv("RECBENCH_CACHE", str(tmp_path_factory.mktemp("cache")))
        registry.plugins.cache_clear()
        yield site
    registry.plugins.cache_clear()


def pytest_collection_modifyitems(items):
    """Files of few tests first: theirs run commands and trainings, with which no worker should be left alone at the end."""
    n_tests = Counter(item.path for item in items)
    items.sort(key=lambda item: n_tests[item.path])


def write_beauty(base: Path, n_users: int = 40, shift: int = 0) -> Path:
    """A made-up acme-beauty folder under `base`: 6 items in order a user, 30 items."""
    folder = base / "ecommerce" / "acme-beauty"
    folder.mkdir(parents=True)
    lines = [
        " ".join(map(str, [u, *(1 + (u * (7 + shift) + i * i) % 30 for i in range(6))])) for u in range(1, n_users + 1)
    ]
    (folder / "Beauty.txt.gz").write_bytes(gzip.compress(("\n".join(lines) + "\n").encode()))
    (folder / "Beauty_item2attributes.json").write_text(json.dumps({str(i): [i % 5, 10 + i % 3] for i in range(1, 31)}))
    return folder


def board_file(**changes) -> str:
    """The fields of the board acme-beauty, some of them changed."""
    fields = {
        "name": "acme-beauty", "data": "acme-beauty", "headline": "ndcg@10", "split": "leave_last_out",
        "metrics": ["ndcg@10", "ndcg@5", "hit-rate@5", "hit-rate@10", "recall@10", "mrr@10",
                    "coverage@10", "novelty@10", "popularity-bias@10", "gini@10"],
        "ask": "last", "target": "first", "repeat": "new", "fit_on": "train+valid", "candidates": "all",
    }  # fmt: skip
    return json.dumps(fields | changes)  # JSON is YAML


def environment(data_dir: Path) -> dict:
    fixed = {
        "OMP_NUM_THREADS": "1",
        "COLUMNS": "220",
        "RECBENCH_DATA_DIR": str(data_dir),
        "PYTHONWARNINGS": "default",
        "RECBENCH_CACHE": str(data_dir / "cache"),
        "RECBENCH_OFFLINE": "1",
    }
    return {k: v for k, v in os.environ.items() if k != "RECBENCH_PLUGINS"} | fixed


def refused(done, *fragments: str) -> str:
    """The one line of a user error, holding every fragment; no traceback on either stream."""
    assert "Traceback" not in done.stderr + done.stdout, done.stderr
    lines = done.stderr.splitlines()
    assert len(lines) == 1 and lines[0].startswith("recbench: "), done.stderr
    assert done.returncode == 1
    for fragment in fragments:
        assert fragment in lines[0], lines[0]
    return lines[0]


def entries(folder: Path) -> list[dict]:
    return [json.loads(path.read_text()) for path in sorted(folder.glob("*/entry.json"))]


@pytest.fixture(scope="session")
def data_dir(tmp_path_factory):
    base = tmp_path_factory.mktemp("data")
    write_beauty(base)
    return base


@pytest.fixture
def recbench(tmp_path, data_dir):
    """Runs `python -m recbench WORDS` in an empty folder."""

    def run(*words: str, env: dict | None = None, flags: tuple = (), **options):
        return subprocess.run(
            [sys.executable, *flags, "-m", "recbench", *words],
            **{"cwd": tmp_path, "env": environment(data_dir) | (env or {}), "capture_output": True, "timeout": 120}
            | options,
            text=True,
            check=False,
        )

    return run


LIGHT = """hydra, hydra._internal.hydra, numpy, pandas, pyarrow.parquet, rich.table, recbench.cli, recbench.config,
recbench.leaderboard, recbench.run, recbench_metrics.accuracy, recbench_metrics.beyond"""
HEAVY = f"{LIGHT}, torch, pytorch_lightning, safetensors.torch, recbench.neural.training, recbench.neural.causal"
FORGE = """
import json, os, resource, signal, sys, traceback
import {modules}
for line in sys.stdin:
    case = json.loads(line)
    child = os.fork()
    if not child:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        if case["largest"]:
            resource.setrlimit(resource.RLIMIT_FSIZE, (case["largest"], resource.RLIM_INFINITY))
        for fd in (1, 2):
            os.dup2(os.open(case["streams"][fd - 1], os.O_WRONLY | os.O_CREAT), fd)
        os.chdir(case["cwd"]), os.environ.clear(), os.environ.update(case["env"])
        sys.argv, code = ["recbench", *case["words"]], 1
        try:
            code = recbench.cli.main()
        except SystemExit as error:
            code = error.code
        except BaseException:
            traceback.print_exc()
        sys.stdout.flush(), sys.stderr.flush(), os._exit(code)
    print(child, flush=True)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


class Forge:
    """A process that has imported the command line and forks a child a command: many commands stay quick."""

    def __init__(self, modules: str, data_dir: Path, base: Path) -> None:
        self.data_dir, self.base, self.count = data_dir, base, 0
        command = [sys.executable, "-c", FORGE.format(modules=" ".join(modules.split()))]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        self.process = subprocess.Popen(command, cwd=base, env=environment(base), **pipes)

    def start(self, *words: str, cwd: Path, env: dict | None = None, largest: int = 0) -> int:
        """The process id of a command that has begun; `largest`: bytes beyond which no file may grow."""
        self.count += 1
        self.streams = [self.base / f"{name}{self.count}" for name in ("stdout", "stderr")]
        case = {
            "words": words, "cwd": str(cwd), "env": environment(self.data_dir) | (env or {}),
            "streams": list(map(str, self.streams)), "largest": largest,
        }  # fmt: skip
        print(json.dumps(case), file=self.process.stdin, flush=True)
        return int(self.process.stdout.readline())

    def end(self) -> subprocess.CompletedProcess:
        """What the command that began last has said, once it has ended."""
        code = int(self.process.stdout.readline())
        return subprocess.CompletedProcess([], code, *(path.read_text() for path in self.streams))

    def close(self) -> None:
        self.process.kill()
        self.process.communicate()


@pytest.fixture(scope="session")
def forge(tmp_path_factory, data_dir):
    """For commands that train no network."""
    light = Forge(LIGHT, data_dir, tmp_path_factory.mktemp("forge"))
    yield light
    light.close()


@pytest.fixture(scope="session")
def neural_forge(tmp_path_factory, data_dir):
    """For commands that do."""
    heavy = Forge(HEAVY, data_dir, tmp_path_factory.mktemp("forge"))
    yield heavy
    heavy.close()


@pytest.fixture
def quickly(forge, tmp_path):
    """Like `recbench`, in a fork of the forge."""

    def run(*words: str, **options):
        forge.start(*words, **{"cwd": tmp_path} | options)
        return forge.end()

    return run
