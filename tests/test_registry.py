"""Plugins by entry point: broken ones hurt nobody else, a name claimed twice is settled by its distribution."""

import os
import subprocess
import sys

import pytest

from recbench import registry
from recbench.errors import PluginError

GOOD = '''
from recbench.model import Recommender

class Good(Recommender):
    """Does as it is told."""
    def fit(self, train, context): ...
'''


def distribution(site, name: str, points: dict[str, str], version: str = "0.1", kind: str = "model") -> None:
    """A folder that importlib.metadata takes for an installed distribution."""
    info = site / f"{name.replace('-', '_')}-{version}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    lines = [f"[recbench.{kind}]", *(f"{key} = {value}" for key, value in points.items())]
    (info / "entry_points.txt").write_text("\n".join(lines) + "\n")


@pytest.fixture
def site(tmp_path, monkeypatch):
    """A folder on sys.path; the registry looks anew before and after."""
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delenv("RECBENCH_PLUGINS", raising=False)
    (tmp_path / "acme_good.py").write_text(GOOD)
    registry.plugins.cache_clear()
    yield tmp_path
    registry.plugins.cache_clear()
    for name in [n for n in sys.modules if n.startswith("acme_")]:
        del sys.modules[name]


def test_a_plugin_is_found_and_not_imported_before_it_is_chosen(site):
    distribution(site, "acme-good", {"good": "acme_good:Good"})
    plugin = registry.find("model", "good")
    assert (plugin.distribution, plugin.version, "acme_good" in sys.modules) == ("acme-good", "0.1", False)
    assert plugin.load().__name__ == "Good" and plugin.meaning == "Does as it is told."


@pytest.mark.parametrize(("module", "attribute", "cause"), [
    ("import no_such_library_at_all", "Broken", "ModuleNotFoundError: No module named 'no_such_library_at_all'"),
    ("1 / 0", "Broken", "ZeroDivisionError"),
    ("def (", "Broken", "SyntaxError"),
    ("raise SystemExit(3)", "Broken", "SystemExit"),
    ("x = 1", "Missing", "AttributeError"),
])  # fmt: skip
def test_a_broken_plugin_names_its_distribution_and_hurts_nobody_else(site, module, attribute, cause):
    (site / "acme_broken.py").write_text(module + "\n")
    distribution(site, "acme-broken", {"broken": f"acme_broken:{attribute}"}, version="2.3")
    distribution(site, "acme-good", {"good": "acme_good:Good"})
    with pytest.raises(PluginError) as caught:
        registry.find("model", "broken").load()
    line = str(caught.value)
    assert "model=broken" in line and "acme-broken 2.3" in line and cause in line and "\n" not in line
    assert registry.find("model", "good").load().__name__ == "Good"
    assert {"good", "broken"} <= set(registry.names("model"))


def test_a_name_claimed_twice_names_both_and_the_distribution_decides(site):
    distribution(site, "acme-one", {"twin": "acme_good:Good"}, version="1.0")
    distribution(site, "acme-two", {"twin": "acme_good:Good"}, version="2.0")
    with pytest.raises(PluginError) as caught:
        registry.find("model", "twin")
    line = str(caught.value)
    assert all(part in line for part in ("acme-one 1.0", "acme-two 2.0", "model=acme-one/twin")) and "\n" not in line
    assert registry.find("model", "acme-two/twin").distribution == "acme-two"
    assert registry.names("model").count("twin") == 1


def test_an_unknown_name_gives_the_nearest_and_the_installed(site):
    distribution(site, "acme-good", {"good": "acme_good:Good"})
    with pytest.raises(PluginError, match=r"model=acne.*did you mean 'acme'\?.*Installed: .*acme"):
        registry.find("model", "acne")
    with pytest.raises(PluginError, match="model=acme-bad/acme"):
        registry.find("model", "acme-bad/acme")


def test_one_distribution_on_two_paths_is_one_plugin(site, tmp_path_factory, monkeypatch):
    distribution(site, "acme-good", {"good": "acme_good:Good"})
    twice = tmp_path_factory.mktemp("twice")
    distribution(twice, "acme-good", {"good": "acme_good:Good"})
    monkeypatch.syspath_prepend(str(twice))
    registry.plugins.cache_clear()
    assert registry.find("model", "good").distribution == "acme-good"


def test_the_registry_can_be_limited(site, monkeypatch):
    distribution(site, "acme-good", {"good": "acme_good:Good"})
    monkeypatch.setenv("RECBENCH_PLUGINS", "acme-good")
    registry.plugins.cache_clear()
    assert registry.names("model") == ["good"] and registry.names("data") == []


def run(site, tmp_path, *words: str):
    path = os.pathsep.join([str(site), *filter(None, [os.environ.get("PYTHONPATH")])])
    fixed = {"PYTHONPATH": path, "RECBENCH_DATA_DIR": str(tmp_path), "OMP_NUM_THREADS": "1", "COLUMNS": "220"}
    return subprocess.run(
        [sys.executable, "-m", "recbench", *words], cwd=tmp_path, env=os.environ | fixed,
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


def test_the_command_line_survives_a_broken_plugin_and_a_twin(site, tmp_path):
    (site / "acme_broken.py").write_text("import no_such_library_at_all\n")
    distribution(site, "acme-broken", {"broken": "acme_broken:Broken", "twin": "acme_good:Good"})
    distribution(site, "acme-good", {"good": "acme_good:Good", "twin": "acme_good:Good"})
    distribution(site, "acme-data", {"brokendata": "acme_broken:Broken"}, kind="data")
    listed = run(site, tmp_path, "list")
    assert listed.returncode == 0 and "Traceback" not in listed.stderr
    assert "BROKEN" in listed.stdout and "acme-broken" in listed.stdout and "Does as it is told." in listed.stdout
    for words, fragments in (
        (("model=broken", "data=acme-beauty"), ("acme-broken 0.1", "no_such_library_at_all")),
        (("model=twin", "data=acme-beauty"), ("acme-broken 0.1 and acme-good 0.1", "model=acme-broken/twin")),
        (("model=acme-good/twin", "data=acme-beauty"), ("Beauty.txt not found",)),  # chosen; only the data lack
        (("model=popular", "data=brokendata"), ("acme-data 0.1", "no_such_library_at_all")),
        (("model=good", "data=acme-beauty"), ("Beauty.txt not found",)),
    ):
        done = run(site, tmp_path, *words)
        lines = done.stderr.splitlines()
        assert done.returncode == 1 and "Traceback" not in done.stderr, done.stderr
        assert all(fragment in done.stderr for fragment in fragments), done.stderr
        assert len(lines) == 1 and lines[0].startswith("recbench: "), done.stderr
