"""A file from an https address: resumed after a cut, bounded in size and in patience, never from a weaker address.

What has come lies in NAME.part, beside NAME.part.json: the address and the server's mark of the file's version.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urljoin, urlsplit

from recbench.errors import RecbenchError, one_line

CHUNK_BYTES = 1 << 16
CONNECT_S = 5.0
FRUITLESS_TRIES = 3
MOST_REDIRECTS = 5
RETRIED = (408, 429, 500, 502, 503, 504)
LOOPBACK = ("127.0.0.1", "::1", "localhost")


def timeout_s() -> float:
    """Seconds to wait for an answer or for the next bytes of one: RECBENCH_TIMEOUT_S, else 20."""
    given = os.environ.get("RECBENCH_TIMEOUT_S", "") or "20"
    with suppress(ValueError):
        if 0 < float(given) <= 3600:
            return float(given)
    raise RecbenchError(f"RECBENCH_TIMEOUT_S must be seconds, above 0 and up to 3600; given {given!r}")


def download(
    url: str, part: Path, limit_bytes: int, started: Callable[[int], None] = lambda n_bytes: None, checked: bool = False
) -> bool:
    """Fetch `url` into `part`, going on from what it holds; whether bytes of an earlier try are in it.

    `started` is called before the first byte of each try, with the size or 0; `checked`: the caller compares a checksum,
    so going on without a mark of the version is no danger. For one process at a time. OSError in one line.
    """
    import requests
    from urllib3.exceptions import HTTPError

    wait_s, best_bytes, fruitless, resumed = timeout_s(), _size(part), 0, False
    with requests.Session() as session, _bar(part.stem) as show:
        while True:
            begin = _begin(part, url, checked)
            resumed |= bool(begin)
            try:
                with _answer(session, url, begin, _known(part).get("mark", ""), wait_s) as answer:
                    _receive(answer, url, part, begin, limit_bytes, started, show)
                return resumed
            except (requests.RequestException, HTTPError) as error:
                fruitless = 0 if _size(part) > best_bytes else fruitless + 1
                best_bytes = max(best_bytes, _size(part))
                if fruitless == FRUITLESS_TRIES:
                    raise OSError(f"{urlsplit(url).netloc}: {_why(error, wait_s)}") from error
            time.sleep(wait_s / 80 * 2**fruitless)


@contextmanager
def _answer(session: Any, url: str, begin: int, mark: str, wait_s: float) -> Iterator[Any]:
    """The answer behind all redirects; OSError where no other try can help."""
    ranged = {"Range": f"bytes={begin}-"} | ({"If-Range": mark} if mark else {}) if begin else {}
    options = {"stream": True, "allow_redirects": False, "timeout": (min(CONNECT_S, wait_s), wait_s)}
    target = url
    for _ in range(MOST_REDIRECTS + 1):
        if not (_is_safe(target) or (_is_own(target) and _is_own(url))):
            raise OSError(f"{target} is refused: only https addresses are fetched")
        with session.get(target, headers={"Accept-Encoding": "identity"} | ranged, **options) as answer:
            if not answer.is_redirect:
                yield answer
                return
            target = urljoin(target, answer.headers["location"])
    raise OSError(f"{urlsplit(url).netloc}: more than {MOST_REDIRECTS} redirects")


def _is_safe(url: str) -> bool:
    return urlsplit(url).scheme == "https"


def _is_own(url: str) -> bool:
    return urlsplit(url).scheme == "http" and urlsplit(url).hostname in LOOPBACK


def _receive(
    answer: Any, url: str, part: Path, begin: int, limit_bytes: int, started: Callable, show: Callable[[int, int], None]
) -> None:
    """Write the body behind what the part holds, or anew where the server sends all of it."""
    import requests

    status, sent, host = answer.status_code, answer.headers, urlsplit(url).netloc
    if status in RETRIED:
        raise requests.HTTPError(f"{status} {answer.reason}")
    if status == 416 or (status == 206 and not sent.get("Content-Range", "").startswith(f"bytes {begin}-")):
        part.unlink(missing_ok=True)
        raise requests.HTTPError("the server does not go on where it was asked to")
    if status not in (200, 206):
        raise OSError(f"{host}: {status} {answer.reason}")
    done = begin if status == 206 else 0
    total = done + int(sent["Content-Length"]) if sent.get("Content-Length", "").isdigit() else 0
    if total <= limit_bytes:
        started(total)
        with part.open("ab" if done else "wb") as out:
            _marks(part).write_text(json.dumps({"url": url, "mark": _version(sent)}))
            # as it travels: what a server packs must not be counted or resumed in unpacked bytes
            for chunk in answer.raw.stream(CHUNK_BYTES, decode_content=False):
                done += out.write(chunk)
                show(done, total)
                if done > limit_bytes:
                    break
    if max(done, total) > limit_bytes:
        part.unlink(missing_ok=True)
        raise OSError(f"{host}: the file is larger than the {limit_bytes} bytes that it may have")
    if done < total:  # old releases of urllib3 keep silent about it
        raise requests.ConnectionError("cut")


def _version(headers: Any) -> str:
    """What If-Range may hold: the strong ETag, else the date."""
    tag = headers.get("ETag", "")
    return tag if tag and not tag.startswith("W/") else headers.get("Last-Modified", "")


def _begin(part: Path, url: str, checked: bool) -> int:
    """How many bytes of the part are good to go on from."""
    known = _known(part)
    return _size(part) if known.get("url") == url and (checked or known.get("mark")) else 0


def _known(part: Path) -> dict[str, str]:
    try:
        return dict(json.loads(_marks(part).read_text()))
    except (OSError, ValueError, TypeError):
        return {}


def _marks(part: Path) -> Path:
    return part.with_name(f"{part.name}.json")


def _size(part: Path) -> int:
    return part.stat().st_size if part.exists() else 0


def _why(error: Exception, wait_s: float) -> str:
    import requests
    from urllib3.exceptions import TimeoutError

    if isinstance(error, (requests.Timeout, TimeoutError)):
        return f"no answer within {wait_s:g} s (RECBENCH_TIMEOUT_S)"
    if isinstance(error, requests.HTTPError):
        return str(error)
    inner = error.args[0] if error.args else error
    cause = getattr(inner, "reason", inner)
    return f"the connection failed ({type(cause).__name__ if isinstance(cause, Exception) else one_line(error)})"


@contextmanager
def _bar(name: str) -> Iterator[Callable[[int, int], None]]:
    """What draws `bytes done, bytes in all` on a terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(
        *columns, TimeRemainingColumn(), console=console, disable=not console.is_terminal, transient=True
    ) as bar:
        task = bar.add_task(name, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total or None)
