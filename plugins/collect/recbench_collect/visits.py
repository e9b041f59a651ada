"""Which request of an access log is a view, a search, a cart or a purchase, and which is none of a person's.

A visitor is the login where the log holds one, else a digest of address and user agent: no address is kept.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterable
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import unquote_plus

from recbench_collect.access_log import Request

ASSET = re.compile(r"\.(?:css|js|mjs|map|png|jpe?g|gif|svg|ico|webp|avif|woff2?|ttf|eot|xml|txt|json)(?:[?#]|$)", re.I)
BOT = re.compile(
    r"bot\b|crawl|spider|slurp|scrap|curl/|wget/|python-|java/|go-http|httpclient|headless|monitor|preview|feed", re.I
)
DAY_S = 86_400


class Event(NamedTuple):
    """What a visitor did; `item` is empty for a search and `words` for all else. `row` is the place in the input."""

    row: int
    user: str
    item: str
    time: int
    behavior: str
    words: str


def events(
    requests: Iterable[tuple[int, Request]], patterns: dict[str, re.Pattern[str]], most_a_day: int
) -> tuple[list[Event], dict[str, int]]:
    """The events among (row, request) pairs, and how many requests were left out for which reason.

    `patterns`: behaviour -> what its requests look like, the first that matches wins; it takes out `item` or `words`.
    A visitor who reads robots.txt, names itself a bot, or asks for more than `most_a_day` pages on one day is no person.
    """
    dropped: Counter[str] = Counter(dict.fromkeys(("assets", "methods", "errors", "bots", "other_pages"), 0))
    found: list[Event] = []
    machines, pages = set(), Counter()
    for row, request in requests:
        visitor = request.login or _digest(request.address, request.agent)
        path = request.target.partition("?")[0]
        if path == "/robots.txt" or _is_bot(request.agent):
            machines.add(visitor)
            dropped["bots"] += 1
        elif ASSET.search(path):
            dropped["assets"] += 1
        elif request.method not in ("GET", "POST", "PUT"):
            dropped["methods"] += 1
        elif not 200 <= request.status < 400:  # a form that puts into the cart is often answered by a redirect
            dropped["errors"] += 1
        else:
            pages[visitor, request.time // DAY_S] += 1
            if event := _event(row, visitor, request, patterns):
                found.append(event)
            else:
                dropped["other_pages"] += 1
    machines |= {visitor for (visitor, _), count in pages.items() if count > most_a_day}
    people = [event for event in found if event.user not in machines]
    dropped["bots"] += len(found) - len(people)
    return people, dict(dropped)


def _event(row: int, visitor: str, request: Request, patterns: dict[str, re.Pattern[str]]) -> Event | None:
    for behavior, pattern in patterns.items():
        if match := pattern.search(request.target):
            taken = {name: unquote_plus(text or "").strip() for name, text in match.groupdict().items()}
            item, words = taken.get("item", ""), taken.get("words", "")
            if item or words:
                return Event(row, visitor, item, request.time, behavior, words)
    return None


@lru_cache(maxsize=65_536)  # many requests, few browsers
def _is_bot(agent: str) -> bool:
    return BOT.search(agent) is not None


@lru_cache(maxsize=65_536)
def _digest(address: str, agent: str) -> str:
    return hashlib.sha256(f"{address} {agent}".encode()).hexdigest()[:16]
