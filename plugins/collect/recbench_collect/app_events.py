"""Views, carts, purchases and searches out of product analytics: Segment's track calls, GA4 exports."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from dataclasses import dataclass

import numpy as np

from recbench.dataset import Dataset, DatasetInfo, DatasetSource
from recbench.errors import RecbenchError
from recbench.ingest import clean
from recbench.params import param
from recbench.protocols import time_split
from recbench_collect.lines import LineParams, Row, blocks_of, dataset_of, files_of, lines_of, quarantine_of
from recbench_collect.tracking import Event, events

FACTS = ("title", "category", "brand", "price")


@dataclass(frozen=True)
class AppEventsParams(LineParams):
    """Which events count as which behaviour."""

    events: str = param("", "Events of your own as NAME=behavior,NAME=behavior; empty: the e-commerce events of both.")


class AppEvents(DatasetSource):
    """Behaviour in an app from JSON lines of Segment track calls or a GA4 export."""

    Params = AppEventsParams
    info = DatasetInfo(
        "app-events",
        "ecommerce",
        "seconds",
        "the app's own data",
        "the export at data.path",
        notes="Names, categories and prices are the first that the records tell of a product.",
    )
    boards = (
        time_split("app-events", "app-events", 7, meaning="What new to the user will it view or buy in the next week?"),
    )

    def paths(self):
        """The files of `data.path`."""
        return files_of(self)

    def load(self) -> Dataset:
        """Read every record; RecbenchError where the path or too many records are wrong."""
        names = self._names()
        digest, quarantine = hashlib.sha256(), quarantine_of(self)
        rows: list[Row] = []
        facts: dict[str, tuple[int, tuple]] = {}
        dropped: Counter[str] = Counter()
        for file, number, text in lines_of(self.paths(), digest):
            try:
                found = events(json.loads(text), names)
            except (ValueError, TypeError, OverflowError, AttributeError, RecursionError) as error:
                quarantine.seen(1)
                quarantine.add(
                    file, number, "no record" if isinstance(error, json.JSONDecodeError) else str(error), text
                )
                continue
            dropped["other events"] += not found
            rows += [self._row(event, file, number, text) for event in found]
            for event in found:
                if event.item and event.time < facts.get(event.item, (event.time + 1,))[0]:
                    facts[event.item] = (event.time, event.facts)
        if not rows:
            raise RecbenchError(
                f"data=app-events: no record of {self.params.path} is one of {', '.join(names) or 'the known events'}; "
                "name yours with data.events=NAME=behavior"
            )
        quarantine.seen(dropped.total())
        cleaned = clean(blocks_of(rows), self.params, quarantine)
        return dataset_of(self, cleaned, dropped, digest.hexdigest(), _items(cleaned.item_ids, facts))

    def _row(self, event: Event, file: str, number: int, text: str) -> Row:
        roles = {"user": event.user, "item": event.item or None, "time": event.time, "behavior": event.behavior}
        return Row(file, number, text, roles | {"value": event.value, "text": event.words or None})

    def _names(self) -> dict[str, str]:
        found = {}
        for pair in filter(None, self.params.events.split(",")):
            name, _, behavior = pair.partition("=")
            if not name.strip() or not behavior.strip():
                raise RecbenchError(
                    f"data.events={self.params.events}: write NAME=behavior,NAME=behavior; given {pair!r}"
                )
            found[name.strip()] = behavior.strip()
        return found


def _items(item_ids: np.ndarray, facts: dict[str, tuple[int, tuple]]):
    """(I,) the item table: what the earliest record of each product told; None where none told anything."""
    import pandas as pd

    told = [facts[str(item)][1] if str(item) in facts else (None,) * 4 for item in item_ids.tolist()]
    frame = pd.DataFrame(told, columns=list(FACTS))
    if not frame.notna().any(axis=None):
        return None
    words = frame[["title", "category", "brand"]].fillna("")
    text = [" ".join(" ".join(row).split()) for row in words.itertuples(index=False)]
    return frame.assign(text=text, price=pd.to_numeric(frame["price"]))
