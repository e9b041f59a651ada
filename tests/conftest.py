"""What all tests share: a stranger's package, installed as anybody's would be, for the session alone."""

import os
import subprocess
import sys
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
        registry.plugins.cache_clear()
        yield site
    registry.plugins.cache_clear()
