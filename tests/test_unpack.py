"""Archives made to do harm: nothing of them comes out, and nothing outside the folder changes."""

from __future__ import annotations

import io
import stat
import tarfile
import zipfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from recbench.unpack import extract, unpack, zip_member

LIMIT = 1 << 30
GOOD = {"a.txt": b"one", "b/c.txt": b"two" * 1000, "b/d/e.txt": b""}
MEBI = 1 << 20


def write_zip(path: Path, members: list[tuple[str | zipfile.ZipInfo, bytes]]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as out:
        for name, body in members:
            out.writestr(name, body, compress_type=zipfile.ZIP_DEFLATED)
    return path


def write_tar(path: Path, members: list[tuple[str | tarfile.TarInfo, bytes]], packing: str = "gz") -> Path:
    with tarfile.open(path, f"w:{packing}") as out:
        for name, body in members:
            info = name if isinstance(name, tarfile.TarInfo) else tarfile.TarInfo(name)
            info.size = len(body)
            out.addfile(info, io.BytesIO(body))
    return path


def special(name: str, mode: int) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.external_attr = (mode | 0o777) << 16
    return info


def tar_special(kind: bytes, name: str = "a") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, "../outside.txt"
    return info


def files_in(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def refused(archive: Path, tmp_path: Path, limit_bytes: int = LIMIT) -> str:
    """The error; the folder is not there, nor anything that was not there before."""
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(OSError) as error:
        unpack(archive, tmp_path / "out/here", limit_bytes)
    (tmp_path / "out").rmdir()
    assert sorted(tmp_path.rglob("*")) == before
    assert "\n" not in str(error.value) and str(error.value).startswith(f"{archive.name}: ")
    return str(error.value).removeprefix(f"{archive.name}: ")


@pytest.mark.parametrize("packing", ["zip", "", "gz", "bz2", "xz"])
def test_all_files_come_out(tmp_path, packing):
    path, members = tmp_path / f"x.{packing}", list(GOOD.items())
    archive = write_zip(path, [("b/", b""), *members]) if packing == "zip" else write_tar(path, members, packing)
    unpack(archive, tmp_path / "out", LIMIT)
    assert files_in(tmp_path / "out") == GOOD


BAD_NAMES = ["../x", "a/../../x", "/etc/x", "//host/x", "C:x", "C:/x", "a\\..\\x", "..\\x", "b/..", ".."]


@pytest.mark.parametrize("name", BAD_NAMES)
@pytest.mark.parametrize("write", [write_zip, write_tar])
def test_no_path_leaves_the_folder(tmp_path, write, name):
    archive = write(tmp_path / "x", [("a.txt", b"good"), (name, b"evil")])
    assert refused(archive, tmp_path) == f"{name!r} lies outside the folder"


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR, stat.S_IFBLK, stat.S_IFSOCK])
def test_no_link_and_no_device_of_a_zip(tmp_path, kind):
    archive = write_zip(tmp_path / "x", [("a.txt", b"good"), (special("a", kind), b"../outside.txt"), ("a/b", b"evil")])
    assert refused(archive, tmp_path) == "'a' is a link or a device"
    with pytest.raises(OSError, match="'a' is a link or a device"):
        zip_member(archive, "a", LIMIT)


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE])
def test_no_link_and_no_device_of_a_tar(tmp_path, kind):
    archive = write_tar(tmp_path / "x", [("a.txt", b"good"), (tar_special(kind), b"")])
    assert refused(archive, tmp_path) == "'a' is a link or a device"


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("again", ["a.txt", "./a.txt", "a.txt/"])
@pytest.mark.parametrize("write", [write_zip, write_tar])
def test_no_name_comes_twice(tmp_path, write, again):
    archive = write(tmp_path / "x", [("a.txt", b"good"), (again, b"evil")])
    assert "comes twice" in refused(archive, tmp_path)
    if write is write_zip and again == "a.txt":
        with pytest.raises(OSError, match=r"x: 'a\.txt' comes twice"):
            zip_member(archive, "a.txt", LIMIT)


@pytest.mark.parametrize("write", [write_zip, write_tar])
def test_no_bomb(tmp_path, write):
    """17 MiB of zeros pack 1000 to 1: in one member, or in many small ones."""
    for members in ([("a", bytes(17 * MEBI))], [(f"a{n}", bytes(MEBI)) for n in range(17)]):
        assert refused(write(tmp_path / "x", members), tmp_path) == "it unpacks to more than it may hold"
    fine = write(tmp_path / "x", [(f"a{n}", bytes(MEBI)) for n in range(15)])
    assert "more than it may hold" in refused(fine, tmp_path, 15 * MEBI - 1)
    unpack(fine, tmp_path / "out", 15 * MEBI)


def test_no_bomb_in_the_headers(tmp_path):
    info = tarfile.TarInfo("a")
    info.pax_headers = {"comment": "x" * (40 * MEBI)}
    archive = tmp_path / "x"
    with tarfile.open(archive, "w:gz", format=tarfile.PAX_FORMAT) as out:
        out.addfile(info, io.BytesIO(b""))
    assert refused(archive, tmp_path) == "it unpacks to more than it may hold"


def test_a_header_that_lies_about_the_size_is_no_way_round(tmp_path):
    archive = write_zip(tmp_path / "x", [("a", bytes(17 * MEBI))])
    real, claimed = (17 * MEBI).to_bytes(4, "little"), (10).to_bytes(4, "little")
    archive.write_bytes(archive.read_bytes().replace(real, claimed))
    assert "BadZipFile" in refused(archive, tmp_path)


def test_one_member_as_bytes_and_as_file(tmp_path):
    archive = write_zip(tmp_path / "x.zip", [("b/", b""), *GOOD.items()])
    for name, body in GOOD.items():
        extract(archive, name, tmp_path / "out", len(body))
        assert zip_member(archive, name, len(body)) == (tmp_path / "out").read_bytes() == body
    for name, limit_bytes, told in [
        ("absent", LIMIT, "x.zip: it holds no 'absent'"),
        ("b/", LIMIT, "x.zip: 'b/' is a folder"),
        ("a.txt", 2, "x.zip: it unpacks to more than it may hold"),
    ]:
        with pytest.raises(OSError) as error:
            extract(archive, name, tmp_path / "out", limit_bytes)
        assert str(error.value) == told
        assert not (tmp_path / "out").exists()
    with pytest.raises(OSError, match=r"no\.zip: FileNotFoundError: "):
        zip_member(tmp_path / "no.zip", "a.txt", LIMIT)


@settings(
    max_examples=150, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.sampled_from([write_zip, write_tar]), st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), min_size=1))
def test_a_damaged_archive_gives_one_line_or_what_it_held(tmp_path, write, flips):
    content = bytearray(write(tmp_path / "x", list(GOOD.items())).read_bytes())
    for share, byte in flips:
        content[int(share * (len(content) - 1))] = byte
    (tmp_path / "x").write_bytes(content)
    try:
        unpack(tmp_path / "x", tmp_path / "out", LIMIT)
    except OSError as error:
        assert "\n" not in str(error)
    else:
        assert set(files_in(tmp_path / "out").values()) <= set(GOOD.values())
        for path in sorted((tmp_path / "out").rglob("*"), reverse=True):
            path.rmdir() if path.is_dir() else path.unlink()
    assert {p.name for p in tmp_path.iterdir()} <= {"x", "out"}
