"""Views, searches, carts and purchases read off a web server's access log."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from recbench.dataset import Dataset, DatasetInfo, DatasetSource
from recbench.errors import RecbenchError
from recbench.ingest import clean, sessions
from recbench.params import param
from recbench.protocols import time_split
from recbench_collect.access_log import Request, parsed
from recbench_collect.lines import LineParams, Row, blocks_of, dataset_of, files_of, lines_of, quarantine_of
from recbench_collect.visits import Event, events

PATTERNS = ("search", "purchase", "cart", "view")  # the first that matches wins: a cart's address may hold a product's


@dataclass(frozen=True)
class WebLogParams(LineParams):
    """Which request is which behaviour, and who counts as one visitor."""

    view: str = param(
        r"^/(?:products?|items?|p|articles?|posts?|videos?|watch)/(?P<item>[^/?#]+)",
        "Regular expression of a view on path and query; (?P<item>...) takes out the item.",
    )
    cart: str = param(r"^/cart/add/(?P<item>[^/?#]+)", "The same of an item put into the cart; empty: none.")
    purchase: str = param(r"^/(?:purchase|buy)/(?P<item>[^/?#]+)", "The same of a purchase; empty: none.")
    search: str = param(
        r"^/(?:search|find)\b[^?#]*\?(?:[^#]*&)?(?:q|query|s)=(?P<words>[^&#]*)",
        "The same of a search; (?P<words>...) takes out its words; empty: none.",
    )
    user: str = param("visitor", "Who acts: a visitor, or a new one each session.", choices=("visitor", "session"))
    gap_minutes: float = param(30.0, "Absence after which a session ends.", low=0.1, high=100_000, unit="minutes")
    most_a_day: int = param(2000, "A visitor with more pages on one day is a bot.", low=1)


class WebLog(DatasetSource):
    """Visits to a site from its access logs: Common or Combined Log Format, or JSON lines."""

    Params = WebLogParams
    info = DatasetInfo(
        "web-log",
        "ecommerce",
        "seconds",
        "the site's own data; visitors are digests, no address is kept",
        "the access log at data.path",
        notes="Visitors behind one address with one browser are one; a visitor on two devices is two.",
    )
    boards = (
        time_split(
            "web-log",
            "web-log",
            1,
            behaviors=("view",),
            meaning="Which pages new to the visitor will it view in the next day?",
        ),
    )

    def paths(self):
        """The files of `data.path`."""
        return files_of(self)

    def load(self) -> Dataset:
        """Read every line; RecbenchError where a pattern, the path or too many lines are wrong."""
        patterns = self._patterns()
        digest, quarantine, lines = hashlib.sha256(), quarantine_of(self), []

        def requests() -> Iterator[tuple[int, Request]]:
            for file, number, text in lines_of(self.paths(), digest):
                try:
                    request = parsed(text)
                except (ValueError, TypeError, OverflowError, AttributeError) as error:
                    quarantine.seen(1)
                    quarantine.add(file, number, "no request: " + type(error).__name__, text)
                    continue
                lines.append((file, number, text))
                yield len(lines) - 1, request

        found, dropped = events(requests(), patterns, self.params.most_a_day)
        if not found:
            raise RecbenchError(
                f"data=web-log: none of {len(lines)} requests is a view, cart, purchase or search ({dropped}); "
                "write data.view=... so that it matches the pages of items"
            )
        quarantine.seen(sum(dropped.values()))
        rows = [self._row(event, *lines[event.row]) for event in self._by_session(found)]
        cleaned = clean(blocks_of(rows), self.params, quarantine)
        return dataset_of(self, cleaned, Counter(dropped), digest.hexdigest())

    def _row(self, event: Event, file: str, number: int, text: str) -> Row:
        roles = {"user": event.user, "item": event.item or None, "time": event.time, "behavior": event.behavior}
        return Row(file, number, text, roles | {"text": event.words or None})

    def _by_session(self, found: list[Event]) -> list[Event]:
        """The events, each session a user of its own where that is wanted."""
        if self.params.user == "visitor":
            return found
        _, user = np.unique([event.user for event in found], return_inverse=True)
        number = sessions(user, np.array([event.time for event in found]), self.params.gap_minutes)
        return [event._replace(user=f"{event.user}-{n}") for event, n in zip(found, number, strict=True)]

    def _patterns(self) -> dict[str, re.Pattern[str]]:
        compiled = {}
        for name in PATTERNS:
            given, group = getattr(self.params, name), "words" if name == "search" else "item"
            if not given:
                continue
            try:
                compiled[name] = re.compile(given)
            except re.error as error:
                raise RecbenchError(f"data.{name}={given}: no regular expression ({error})") from error
            if group not in compiled[name].groupindex:
                raise RecbenchError(
                    f"data.{name}={given} takes nothing out; write (?P<{group}>...) around what it should"
                )
        return compiled
