"""Files of a data set from an address: a server on loopback that cuts, stalls, lies and redirects."""

from __future__ import annotations

import gzip
import os
import re
import signal
import subprocess
import sys
import time

import pytest
from fetching import BODY, TERMS, Origin, Page, locate, refused, sha
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from recbench import fetch
from recbench.dataset import DataParams, DatasetInfo, DatasetSource
from recbench.errors import RecbenchError
from recbench.fetch import SourceFile

CUT = "from the cut"


@pytest.fixture
def origin():
    served = Origin()
    yield served
    for page in served.pages.values():
        page.gate.set()
    served.server.shutdown()
    served.server.server_close()


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    for name in ("RECBENCH_DATA_DIR", "RECBENCH_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("RECBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("RECBENCH_TIMEOUT_S", "2")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    return tmp_path / "cache"


def fetched(file: SourceFile) -> bytes:
    path = locate(file)
    assert path
    assert not [p.name for p in path.parent.iterdir() if ".part" in p.name]
    return fetch.content(path)


def ranges(page: Page) -> list[str]:
    """What was asked for; CUT where it goes on after a cut at 200,000: all of it, or whole chunks of 64 KiB only."""
    return [CUT if asked in (f"bytes={3 << 16}-", "bytes=200000-") else asked for asked in page.asked]


def reason(file: SourceFile) -> str:
    """What stands in brackets in the error; nothing half is left but what the next try goes on from."""
    return re.search(r" not found and not fetched \((.*)\); give its folder", refused(file))[1]


def test_fetched_once_with_terms_before_the_first_file_only(origin, cache, capsys):
    first, second = origin.add("a.csv"), origin.add("b.csv", body=b"two")
    for _ in range(2):
        assert fetched(SourceFile("a.csv", sha(BODY), url=origin.url("a.csv"))) == BODY
        assert fetched(SourceFile("sub/b.csv", url=origin.url("b.csv"))) == b"two"
    assert (first.asked, second.asked) == ([""], [""])
    assert (cache / "files/video/demo/a.csv").read_bytes() == BODY
    assert (cache / "files/video/demo/sub/b.csv").read_bytes() == b"two"
    assert capsys.readouterr().err.splitlines() == [
        f"recbench: {TERMS}",
        f"recbench: fetching a.csv (0.3 MB) from {origin.host}",
        f"recbench: fetching sub/b.csv (0.0 MB) from {origin.host}",
    ]


def test_goes_on_after_a_cut(origin):
    page = origin.add(faults=[("cut", 200_000)])
    assert fetched(SourceFile("a.csv", url=origin.url())) == BODY
    assert ranges(page) == ["", CUT]


def test_cuts_are_forgiven_as_long_as_bytes_come(origin):
    page = origin.add(faults=[("cut", 70_000)] * 4)
    assert fetched(SourceFile("a.csv", url=origin.url())) == BODY
    assert len(page.asked) == 5


@pytest.mark.parametrize(
    ("page", "asked"),
    [
        ({"ranges": False}, ["", CUT]),  # a server that cannot go on sends all
        ({"tag": ""}, ["", ""]),  # nothing says that the file is the same still
        ({"tag": 'W/"weak"'}, ["", ""]),
        ({"faults": [("cut", 200_000), "whole"]}, ["", CUT, ""]),  # goes on elsewhere than asked
    ],
)
def test_begins_anew_where_going_on_is_not_safe(origin, page, asked):
    served = origin.add(**({"faults": [("cut", 200_000)]} | page))
    assert fetched(SourceFile("a.csv", url=origin.url())) == BODY
    assert ranges(served) == asked


@pytest.mark.parametrize("tag", ['"two"', ""])
@pytest.mark.parametrize("body", [BODY[::-1], BODY[:100_000]])
@pytest.mark.parametrize("known", [True, False])
def test_a_file_that_changed_between_two_tries_is_fetched_whole(origin, body, tag, known):
    page = origin.add(tag=tag and '"one"', faults=[("cut", 200_000), 403])
    file = SourceFile("a.csv", sha(body) if known else "", url=origin.url())
    assert reason(file) == f"{origin.host}: 403 Forbidden"
    page.body, page.tag = body, tag
    assert fetched(file) == body


@settings(max_examples=20, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    cuts=st.lists(st.integers(0, len(BODY)), max_size=4),
    ranges=st.booleans(),
    tag=st.sampled_from(['"one"', 'W/"weak"', ""]),
    known=st.booleans(),
    fruitful=st.booleans(),
)
def test_whatever_is_cut_the_file_is_whole_or_refused(origin, cuts, ranges, tag, known, fruitful):
    name = f"{time.monotonic_ns()}.csv"
    faults = [("cut", n) for n in (sorted(cuts) if fruitful else cuts)]
    origin.add(name, ranges=ranges, tag=tag, faults=faults)
    file = SourceFile(name, sha(BODY) if known else "", url=origin.url(name))
    try:
        assert fetched(file) == BODY
    except RecbenchError:
        assert len(cuts) >= 3
        assert fetched(file) == BODY


def test_wrong_checksum_is_told_and_removed(origin, cache):
    page = origin.add()
    wrong = SourceFile("a.csv", sha(b"other"), url=origin.url())
    assert reason(wrong) == f"what came has SHA-256 {sha(BODY)[:12]}..., expected {sha(b'other')[:12]}..."
    assert sorted(p.name for p in (cache / "files/video/demo").iterdir()) == ["TERMS.txt", "a.csv.lock"]
    assert page.asked == [""]


@pytest.mark.parametrize("faults", [["silent"] * 3, [("stall", 0)] * 3, [("stall", 70_000), *["silent"] * 3]])
def test_a_server_too_slow_is_given_up(origin, monkeypatch, faults):
    monkeypatch.setenv("RECBENCH_TIMEOUT_S", "0.1")
    page, start = origin.add(faults=list(faults)), time.monotonic()
    assert reason(SourceFile("a.csv", url=origin.url())) == (
        f"{origin.host}: no answer within 0.1 s (RECBENCH_TIMEOUT_S)"
    )
    assert time.monotonic() - start < 2
    assert 3 <= len(page.asked) <= len(faults)


def test_a_slow_server_may_pause(origin, monkeypatch):
    monkeypatch.setenv("RECBENCH_TIMEOUT_S", "0.2")
    origin.add(faults=[("stall", 100_000), "silent"])
    assert fetched(SourceFile("a.csv", url=origin.url())) == BODY


@pytest.mark.parametrize(
    ("faults", "n_asked", "told"),
    [
        ([404], 1, "404 Not Found"),
        ([503] * 3, 3, "503 Service Unavailable"),
        ([500, 429], 3, ""),
    ],
)
def test_only_what_may_pass_is_tried_again(origin, faults, n_asked, told, capsys):
    page, file = origin.add(faults=faults), SourceFile("a.csv", url=origin.url())
    if told:
        assert reason(file) == f"{origin.host}: {told}"
        assert capsys.readouterr().err == ""  # nothing came, so there are no terms to agree to
    else:
        assert fetched(file) == BODY
    assert len(page.asked) == n_asked


def test_redirects_lead_to_safe_places_only(origin):
    origin.add("b.csv")
    origin.add(faults=[origin.url("b.csv"), "http://example.org/a.csv", *[origin.url()] * 9])
    file = SourceFile("a.csv", url=origin.url())
    assert fetched(file) == BODY
    locate(file).unlink()
    assert reason(file) == "http://example.org/a.csv is refused: only https addresses are fetched"
    assert reason(file) == f"{origin.host}: more than 5 redirects"


@pytest.mark.parametrize("url", ["http://example.org/a", "ftp://example.org/a", "file:///etc/passwd", "a.csv"])
def test_unsafe_addresses_are_refused(url):
    assert reason(SourceFile("a.csv", url=url)) == f"{url} is refused: only https addresses are fetched"


@pytest.mark.parametrize("length", [True, False])
def test_a_body_too_large_is_refused(origin, length, cache, capsys):
    origin.add(length=length)
    too_large = f"{origin.host}: the file is larger than the 299999 bytes that it may have"
    assert reason(SourceFile("a.csv", url=origin.url(), n_bytes=299_999)) == too_large
    assert not list((cache / "files/video/demo").glob("a.csv.part"))
    assert ("fetching" in capsys.readouterr().err) == (not length)  # a size that is told is refused before it comes
    assert fetched(SourceFile("a.csv", url=origin.url(), n_bytes=300_000)) == BODY


def test_a_body_without_end_is_left(origin):
    page = origin.add(length=False, faults=["endless"])
    assert "larger than the 1000000 bytes" in reason(SourceFile("a.csv", url=origin.url(), n_bytes=1_000_000))
    assert page.gate.wait(5)  # the server has noticed


def test_a_packed_file_counts_as_name_gz(origin, cache):
    text = b"user,item\n" * 1000
    page = origin.add("x.csv.gz", body=gzip.compress(text))
    file = SourceFile("a.csv", sha(text), url=origin.url("x.csv.gz"), n_bytes=len(text))
    assert fetched(file) == text
    assert locate(file) == cache / "files/video/demo/a.csv.gz"
    (cache / "files/video/demo/a.csv").write_bytes(b"damaged, and found first")
    assert [fetched(file), fetched(file), len(page.asked)] == [text, text, 2]

    bomb = SourceFile("b.csv", url=origin.url("x.csv.gz"), n_bytes=len(text) - 1)
    assert reason(bomb) == f"the content is larger than the {len(text) - 1} bytes that it may have"
    origin.add("x.csv.gz", body=gzip.compress(text)[:-9])
    assert reason(SourceFile("c.csv", url=origin.url("x.csv.gz"))).startswith("EOFError: Compressed file ended")
    assert not list((cache / "files/video/demo").glob("*.part"))


def test_a_damaged_copy_in_the_cache_is_fetched_anew(origin, cache):
    page, file = origin.add(), SourceFile("a.csv", sha(BODY), url=origin.url())
    fetched(file)
    (cache / "files/video/demo/a.csv").write_bytes(BODY[:-1] + b"?")
    assert fetched(file) == BODY
    assert len(page.asked) == 2
    own = SourceFile("own.csv", sha(b"right"))
    (cache / "files/video/demo/own.csv").write_bytes(b"wrong")
    assert "own.csv is not the file that was published (SHA-256" in refused(own)


def test_an_optional_file_is_asked_for_once_a_process(origin):
    page = origin.add(faults=[404] * 9)

    class Demo(DatasetSource):
        info = DatasetInfo("demo", "video", "none", "none", "nowhere")
        files = (SourceFile("a.csv", url=origin.url(), optional=True), SourceFile("b.csv", url=origin.url()))

        def load(self):
            raise NotImplementedError

    source = Demo(DataParams())
    assert [source.has("a.csv"), source.has("a.csv"), len(page.asked)] == [False, False, 1]
    assert [source.has("b.csv"), source.has("b.csv"), len(page.asked)] == [False, False, 3]


def test_bad_patience_is_told(origin, monkeypatch):
    origin.add()
    for given_s in ("soon", "0", "nan", "-1", "1e9"):
        monkeypatch.setenv("RECBENCH_TIMEOUT_S", given_s)
        told = f"RECBENCH_TIMEOUT_S must be seconds, above 0 and up to 3600; given '{given_s}'"
        assert refused(SourceFile("a.csv", url=origin.url())) == told


CHILD = """
import sys, filelock, requests, rich.progress
from recbench import fetch
file = fetch.SourceFile("a.csv", sys.argv[2], url=sys.argv[1])
print("ready", flush=True)
print(fetch.digest_of(fetch.locate(file, "video", "demo", "", "terms")))
"""


def child(url: str) -> subprocess.Popen:
    command = [sys.executable, "-c", CHILD, url, sha(BODY)]
    env = os.environ | {"RECBENCH_TIMEOUT_S": "20"}
    process = subprocess.Popen(command, env=env, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    return process


def test_two_processes_at_once_fetch_once(origin):
    page = origin.add(faults=["silent"])
    both = [child(origin.url()) for _ in range(2)]
    for process in both:
        assert process.stdout.readline() == "ready\n"
    time.sleep(1.3)  # one waits for the server, the other for the first, and tells after a second
    page.gate.set()
    told = [process.communicate(timeout=20) for process in both]
    assert [out for out, _ in told] == [f"{sha(BODY)}\n"] * 2
    assert sorted(err for _, err in told) == [
        f"recbench: terms\nrecbench: fetching a.csv (0.3 MB) from {origin.host}\n",
        "recbench: waiting for another process that fetches a.csv\n",
    ]
    assert page.asked == [""]


def test_a_killed_process_is_gone_on_from(origin, cache):
    page, part = origin.add(faults=[("stall", 200_000)]), cache / "files/video/demo/a.csv.part"
    process = child(origin.url())
    deadline = time.monotonic() + 20
    while not (part.exists() and part.stat().st_size == 3 << 16):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert not part.with_name("a.csv").exists()
    assert fetched(SourceFile("a.csv", url=origin.url())) == BODY
    assert ranges(page) == ["", CUT]
