"""Orders and products of either platform, as events and an item table.

Letters: E events (lines of orders), I items.
"""

from __future__ import annotations

from html.parser import HTMLParser
from typing import Any

import numpy as np

from recbench.data import EARLIEST, LATEST, Interactions
from recbench.errors import RecbenchError
from recbench.ingest import log_of

UNPAID = ("cancelled", "failed", "refunded", "trash", "checkout-draft", "auto-draft", "pending", "on-hold")


def events(
    orders: list[dict[str, Any]], platform: str
) -> tuple[Interactions, np.ndarray, np.ndarray, np.ndarray, dict[str, int]]:
    """The log with its user and item ids, (I,) the first price paid, and what was left out, counted in lines of orders.

    RecbenchError where a line has no time or number that can be read, or nothing is left.
    """
    woo = platform == "woocommerce"
    counts = {"order_lines": 0, "of_unpaid_orders": 0, "of_guests": 0, "of_deleted_products": 0, "without_quantity": 0}
    rows = []
    for order in orders:
        lines = order.get("line_items") or []
        counts["order_lines"] += len(lines)
        user = order.get("customer_id") if woo else (order.get("customer") or {}).get("id")
        unpaid = order.get("status") in UNPAID if woo else order.get("cancelled_at") is not None
        for line in lines:
            lost = (
                "of_unpaid_orders"
                if unpaid
                else "of_guests"
                if not user
                else "of_deleted_products"
                if not line.get("product_id")
                else "without_quantity"
                if not line.get("quantity")
                else ""
            )
            if lost:
                counts[lost] += 1
                continue
            moment = order["date_created_gmt"] + "Z" if woo else order["created_at"]
            rows.append((user, line["product_id"], moment, float(line["quantity"]), float(line.get("price") or "nan")))
    if not rows:
        raise RecbenchError(f"data=shop-api: no paid order of a known customer among {len(orders)} orders")
    user, item, moment, quantity, price = map(np.array, zip(*rows, strict=True))
    time = _seconds(moment)
    log, user_ids, item_ids = log_of(user, item, time, value=quantity, behaviors=("purchase",))
    order = np.argsort(time, kind="stable")[::-1]
    first_price_I = np.full(len(item_ids), np.nan)
    known = order[~np.isnan(price[order])]
    first_price_I[np.searchsorted(item_ids, item[known])] = price[known]  # backwards in time: the first is written last
    return log, user_ids, item_ids, first_price_I, counts


def _seconds(moment: np.ndarray) -> np.ndarray:
    import pandas as pd

    stamps = pd.to_datetime(pd.Series(moment), utc=True, format="ISO8601").dt.tz_localize(None)
    time = stamps.to_numpy().astype("datetime64[s]").astype(np.int64)
    if time.min() < EARLIEST or time.max() >= LATEST:
        raise RecbenchError("data=shop-api: an order lies outside 1900 to 2262")
    return time


def items(products: list[dict[str, Any]], item_ids: np.ndarray, first_price_I: np.ndarray, platform: str):
    """The item table: title, text, category, brand and the first price paid; a product that is gone has no words."""
    import pandas as pd

    known = {row["id"]: row for row in products}
    table = [
        _woo(known.get(i, {})) if platform == "woocommerce" else _shopify(known.get(i, {})) for i in item_ids.tolist()
    ]
    frame = pd.DataFrame(table, columns=["title", "category", "brand", "tags", "description"])
    words = frame[["title", "brand", "category", "tags", "description"]]
    text = [" ".join(" ".join(row).split()) for row in words.itertuples(index=False)]
    return frame[["title", "category", "brand"]].assign(text=text, price=first_price_I)


def _shopify(row: dict[str, Any]) -> tuple[str, ...]:
    names = ("title", "product_type", "vendor", "tags")
    return (*(str(row.get(name) or "") for name in names), _plain(row.get("body_html")))


def _woo(row: dict[str, Any]) -> tuple[str, ...]:
    listed = [[str(e.get("name", "")) for e in row.get(name) or []] for name in ("categories", "tags")]
    return (
        str(row.get("name") or ""),
        (listed[0] or [""])[0],
        "",
        " ".join([*listed[0], *listed[1]]),
        _plain(row.get("description")),
    )


class _Words(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_data(self, data: str) -> None:
        self.found.append(data)


def _plain(html: Any) -> str:
    """The words of a description without its tags."""
    parser = _Words()
    parser.feed(str(html or ""))
    parser.close()
    return " ".join(" ".join(parser.found).split())
