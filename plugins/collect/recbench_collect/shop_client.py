"""Orders, products and customers from a shop platform's REST API, page after page, as plain records.

Shopify: Admin REST API, pages by the `Link` header, token in `X-Shopify-Access-Token`. WooCommerce: REST API v3, pages by
number, key and secret by basic authentication. Of every record only the fields below are kept: no name, no address.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from recbench.errors import RecbenchError, one_line

KINDS = ("orders", "products", "customers")
TRIES = 6  # answers 429 and 5xx are asked again this often, each time after twice the wait
FIRST_WAIT_S, LONGEST_WAIT_S = 1.0, 60.0
LOOPBACK = ("127.0.0.1", "localhost", "::1")


@dataclass(frozen=True)
class Platform:
    """How one platform is asked: `query` of every page and, beside it, `orders` of orders, oldest change first.

    `since` is the parameter that bounds the moment of a change, `changed` the field of a record that holds it.
    """

    name: str
    secrets: tuple[str, ...]
    path: str
    query: dict[str, str]
    orders: dict[str, str]
    since: str
    changed: str
    fields: dict[str, tuple[str, ...]]


SHOPIFY = Platform(
    name="shopify",
    secrets=("RECBENCH_SHOP_TOKEN",),
    path="/admin/api/{version}/{kind}.json",
    query={"limit": "250"},
    orders={"status": "any", "order": "updated_at asc"},
    since="updated_at_min",
    changed="updated_at",
    fields={
        "orders": ("id", "created_at", "updated_at", "cancelled_at", "customer", "line_items"),
        "products": (
            "id",
            "updated_at",
            "created_at",
            "title",
            "body_html",
            "vendor",
            "product_type",
            "tags",
            "variants",
        ),
        "customers": ("id", "created_at", "updated_at", "orders_count"),
    },
)
WOOCOMMERCE = Platform(
    name="woocommerce",
    secrets=("RECBENCH_SHOP_KEY", "RECBENCH_SHOP_SECRET"),
    path="/wp-json/wc/v3/{kind}",
    query={"per_page": "100"},
    orders={"orderby": "modified", "order": "asc", "dates_are_gmt": "true"},
    since="modified_after",
    changed="date_modified_gmt",
    fields={
        "orders": ("id", "date_created_gmt", "date_modified_gmt", "status", "customer_id", "line_items"),
        "products": (
            "id",
            "date_modified_gmt",
            "date_created_gmt",
            "name",
            "description",
            "categories",
            "tags",
            "price",
        ),
        "customers": ("id", "date_created_gmt", "date_modified_gmt"),
    },
)
PLATFORMS = {p.name: p for p in (SHOPIFY, WOOCOMMERCE)}


def pages(
    platform: Platform, shop: str, version: str, kind: str, since: str, timeout_s: float
) -> Iterator[list[dict[str, Any]]]:
    """The pages of a kind's records that changed since a moment (all where empty), with the kept fields only.

    RecbenchError where the shop refuses, stays silent or answers something else.
    """
    import requests

    secrets = _secrets(platform)
    query = platform.query | (platform.orders if kind == "orders" else {}) | ({platform.since: since} if since else {})
    url = shop.rstrip("/") + platform.path.format(version=version, kind=kind)
    _refuse_open(url)
    page = 1
    with requests.Session() as session:
        if platform is SHOPIFY:
            session.headers["X-Shopify-Access-Token"] = secrets[0]
        else:
            session.auth = (secrets[0], secrets[1])
        following: str | None = url
        while following:
            answer = _asked(session, following, query if page == 1 or platform is WOOCOMMERCE else {}, timeout_s)
            rows = _rows(answer, kind, platform)
            yield [{name: row.get(name) for name in platform.fields[kind]} for row in rows]
            page += 1
            following = _next(answer, platform, url, page)
            query = query | ({"page": str(page)} if platform is WOOCOMMERCE else {})


def _secrets(platform: Platform) -> list[str]:
    found = [os.environ.get(name, "") for name in platform.secrets]
    if not all(found):
        raise RecbenchError(
            f"data=shop-api needs the access of {platform.name} in the environment: set {' and '.join(platform.secrets)}"
        )
    return found


def _refuse_open(url: str) -> None:
    """A token goes over https only, but for a server on this very machine."""
    parts = urlsplit(url)
    if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in LOOPBACK):
        raise RecbenchError(
            f"data.url must begin with https://, for the token travels with it; given {parts.scheme}://"
        )


def _asked(session: Any, url: str, query: dict[str, str], timeout_s: float) -> Any:
    """The answer to one page; 429 and 5xx are asked again after the wait that the shop names, else a doubling one."""
    import requests

    host, wait_s, trouble = urlsplit(url).hostname, FIRST_WAIT_S, ""
    for attempt in range(TRIES):
        try:  # no redirects: they would carry the token to wherever they point
            answer = session.get(url, params=query, timeout=timeout_s, allow_redirects=False)
        except (requests.ConnectionError, requests.Timeout) as error:
            trouble = type(error).__name__
        except requests.RequestException as error:
            raise RecbenchError(
                f"data=shop-api: {host} cannot be asked ({type(error).__name__}); check data.url"
            ) from error
        else:
            if answer.status_code == 200:
                return answer
            if answer.status_code != 429 and answer.status_code < 500:
                raise RecbenchError(f"data=shop-api: {_refusal(answer.status_code, str(host))}")
            trouble = f"answer {answer.status_code}"
            wait_s = max(wait_s, _named_wait_s(answer))
        if attempt + 1 < TRIES:
            time.sleep(min(wait_s, LONGEST_WAIT_S))
            wait_s *= 2
    raise RecbenchError(f"data=shop-api: {host} gave no page after {TRIES} tries ({trouble}); run again later")


def _named_wait_s(answer: Any) -> float:
    try:
        return float(answer.headers.get("Retry-After", 0))
    except ValueError:
        return 0.0


def _refusal(status: int, host: str) -> str:
    if status in (401, 403):
        return (
            f"{host} refuses the access ({status}); check the token and its right to read orders, products, customers"
        )
    if 300 <= status < 400:
        return f"{host} redirects ({status}); give the final address as data.url"
    return f"{host} answers {status}; check data.url, data.platform and data.version"


def _rows(answer: Any, kind: str, platform: Platform) -> list[dict[str, Any]]:
    try:
        body = answer.json()
        rows = body[kind] if platform is SHOPIFY else body
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise TypeError(f"no list of {kind}")
        return rows
    except (ValueError, KeyError, TypeError) as error:
        raise RecbenchError(
            f"data=shop-api: the answer is no {platform.name} page of {kind} ({one_line(error)}); check data.url and data.platform"
        ) from error


def _next(answer: Any, platform: Platform, url: str, page: int) -> str | None:
    """The address of the next page, None at the last; another host would be given the token, so it is refused."""
    if platform is WOOCOMMERCE:
        try:
            return url if page <= int(answer.headers.get("X-WP-TotalPages", 1)) else None
        except ValueError:
            return None
    following = answer.links.get("next", {}).get("url")
    if following and urlsplit(following)[:2] != urlsplit(url)[:2]:
        raise RecbenchError(
            f"data=shop-api: the next page lies at {urlsplit(following).hostname}, another host; not followed"
        )
    return following
