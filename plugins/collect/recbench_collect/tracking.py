"""Records of product analytics as events: Segment's track calls and the rows of a GA4 export.

One record gives one event for every product it names, a search gives its words. Formats: the e-commerce events of
Segment's specification, and the events_* tables of Google Analytics 4 as JSON lines.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, NamedTuple

SEGMENT = {
    "Product Viewed": "view",
    "Product Clicked": "click",
    "Product Added": "cart",
    "Product Added to Wishlist": "wishlist",
    "Order Completed": "purchase",
    "Products Searched": "search",
}
GA4 = {
    "view_item": "view",
    "select_item": "click",
    "add_to_cart": "cart",
    "add_to_wishlist": "wishlist",
    "purchase": "purchase",
    "search": "search",
    "view_search_results": "search",
}


class Event(NamedTuple):
    """What a person did with one product, or looked for; `time` in seconds since 1970, `words` those of a search.

    `facts` is what the record tells of the product: title, category, brand and price, None where it does not.
    """

    user: str
    item: str
    time: int
    behavior: str
    value: float
    words: str
    facts: tuple[str | float | None, ...]


def events(row: Any, names: dict[str, str]) -> list[Event]:
    """The events of one record, none where its name is not in `names` (event -> behaviour); ValueError on a broken one."""
    if not isinstance(row, dict):
        raise ValueError("a record must be an object")
    if "event_name" in row:
        return _ga4(row, names or GA4)
    if row.get("type") == "track" or "event" in row:
        return _segment(row, names or SEGMENT)
    if row.get("type") in ("page", "screen", "identify", "group", "alias"):
        return []
    raise ValueError("neither a track call nor a row of a GA4 export: no event, no event_name")


def _segment(row: dict[str, Any], names: dict[str, str]) -> list[Event]:
    behavior = names.get(str(row.get("event")))
    if behavior is None:
        return []
    user = _text(row.get("userId")) or _text(row.get("anonymousId"))
    moment = row.get("timestamp") or row.get("originalTimestamp") or row.get("receivedAt")
    if not user or not moment:
        raise ValueError(f"no {'userId or anonymousId' if not user else 'timestamp'}")
    stamp = datetime.fromisoformat(str(moment))
    if stamp.tzinfo is None:
        raise ValueError(f"the time {moment!r} names no zone")
    facts = row.get("properties") or {}
    if behavior == "search":
        return _search(user, int(stamp.timestamp()), facts.get("query"))
    products = facts.get("products") or [facts]
    keys = ("product_id", "name", "category", "brand", "price", "quantity")
    return [_product(user, int(stamp.timestamp()), behavior, product, keys) for product in products]


def _ga4(row: dict[str, Any], names: dict[str, str]) -> list[Event]:
    behavior = names.get(str(row["event_name"]))
    if behavior is None:
        return []
    user = _text(row.get("user_id")) or _text(row.get("user_pseudo_id"))
    if not user or not row.get("event_timestamp"):
        raise ValueError(f"no {'user_id or user_pseudo_id' if not user else 'event_timestamp'}")
    time = int(row["event_timestamp"]) // 1_000_000  # the export counts microseconds
    if behavior == "search":
        params = {p.get("key"): p.get("value") or {} for p in row.get("event_params") or []}
        return _search(user, time, params.get("search_term", {}).get("string_value"))
    keys = ("item_id", "item_name", "item_category", "item_brand", "price", "quantity")
    return [_product(user, time, behavior, product, keys) for product in row.get("items") or [{}]]


def _search(user: str, time: int, words: Any) -> list[Event]:
    if not _text(words):
        raise ValueError("a search without words")
    return [Event(user, "", time, "search", 1.0, _text(words), (None, None, None, None))]


def _product(user: str, time: int, behavior: str, product: dict[str, Any], keys: tuple[str, ...]) -> Event:
    item, title, category, brand, price, quantity = (product.get(key) for key in keys)
    if not _text(item):
        raise ValueError(f"a {behavior} without {keys[0]}")
    facts = tuple(_text(fact) or None for fact in (title, category, brand))
    value = float(quantity) if quantity else 1.0
    return Event(user, _text(item), time, behavior, value, "", (*facts, float(price) if price else None))


def _text(value: Any) -> str:
    """A field as text; numbers too, as some exports write ids."""
    return "" if value is None or isinstance(value, (dict, list, bool)) else str(value).strip()
