"""A server on loopback that cuts, stalls, lies and redirects, and what the tests of fetching share."""

from __future__ import annotations

import hashlib
import re
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from recbench import fetch
from recbench.errors import RecbenchError
from recbench.fetch import SourceFile

TERMS = "demo, from nowhere. Terms: none."
BODY = np.random.default_rng(1).integers(0, 256, 300_000, dtype=np.uint8).tobytes()


def sha(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()


@dataclass
class Page:
    """What the server has at a path; each request uses up one fault: a status, an address to go to, or a word."""

    body: bytes = BODY
    tag: str = '"one"'
    ranges: bool = True
    length: bool = True
    faults: list = field(default_factory=list)
    asked: list = field(default_factory=list)
    gate: threading.Event = field(default_factory=threading.Event)


class Origin:
    def __init__(self) -> None:
        self.pages: dict[str, Page] = {}
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), self.handler())
        self.host = f"127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()

    def add(self, path: str = "a.csv", **page) -> Page:
        self.pages[f"/{path}"] = Page(**page)
        return self.pages[f"/{path}"]

    def url(self, path: str = "a.csv") -> str:
        return f"http://{self.host}/{path}"

    def handler(origin) -> type:
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                page = origin.pages[self.path]
                page.asked.append(self.headers.get("Range", ""))
                fault = page.faults.pop(0) if page.faults else None
                if isinstance(fault, str) and "://" in fault:
                    self.answer(302, b"", Location=fault)
                elif isinstance(fault, int):
                    self.answer(fault, b"broken")
                else:
                    self.give(page, fault)

            def give(self, page: Page, fault) -> None:
                begin = int((re.findall(r"\d+", page.asked[-1]) or [0])[0])
                if not page.ranges or self.headers.get("If-Range", page.tag) != page.tag:
                    begin = 0
                if begin and begin >= len(page.body):
                    return self.answer(416, b"")
                if fault == "silent":
                    page.gate.wait(5)
                marks = {"ETag": page.tag} if page.tag else {}
                if begin and fault != "whole":
                    marks["Content-Range"] = f"bytes {begin}-{len(page.body) - 1}/{len(page.body)}"
                elif begin:
                    marks["Content-Range"] = f"bytes 0-{len(page.body) - 1}/{len(page.body)}"
                    begin = 0
                    return self.answer(206, page.body, **marks)
                self.answer(206 if begin else 200, page.body[begin:], page, fault, **marks)

            def answer(self, status: int, body: bytes, page: Page | None = None, fault=None, **marks) -> None:
                self.send_response(status)
                if page is None or page.length:
                    self.send_header("Content-Length", str(len(body)))
                for name, value in marks.items():
                    self.send_header(name.replace("_", "-"), value)
                self.send_header("Connection", "close")
                self.end_headers()
                how, n_bytes = fault if isinstance(fault, tuple) else ("", len(body))
                self.wfile.write(body[:n_bytes])
                while page and fault == "endless":
                    try:
                        self.wfile.write(body)
                    except OSError:
                        page.gate.set()
                        break
                if page and how == "stall":
                    page.gate.wait(5)

            def log_message(self, *args) -> None:
                pass

        return Handler


def locate(file: SourceFile, root: str | Path = "") -> Path | None:
    return fetch.locate(file, "video", "demo", str(root), TERMS)


def refused(file: SourceFile, root: str | Path = "") -> str:
    with pytest.raises(RecbenchError) as error:
        locate(file, root)
    assert "\n" not in str(error.value)
    return str(error.value)
