"""Orders pulled from a server on loopback that speaks Shopify's and WooCommerce's dialect, limits and faults included."""

from __future__ import annotations

import base64
import json
import threading
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, quote, urlsplit

import numpy as np
import pytest
from recbench_collect import shop_client
from recbench_collect.shop_api import ShopApi, ShopParams

from recbench import prepared
from recbench.errors import RecbenchError

TOKEN, KEY, SECRET = "shpat_hidden_token", "ck_hidden_key", "cs_hidden_secret"
DAY = 86400


def moment(day: int) -> str:
    return str(np.datetime64("2026-01-01T12:00:00") + np.timedelta64(day, "D"))


class Shop:
    """Three products, five customers and an order a day; `faults` are answers given before the right ones."""

    def __init__(self, n_orders: int = 7, per_page: int = 3) -> None:
        self.per_page, self.faults, self.asked, self.slow_s = per_page, [], [], 0.0
        self.orders = [self.order(n) for n in range(n_orders)]
        self.products = [{"id": 10 + n, "name": f"cup {n}", "price": "9"} for n in range(3)]
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), self.handler())
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"

    @staticmethod
    def order(n: int, status: str = "completed", changed: int | None = None) -> dict:
        lines = [{"product_id": 10 + n % 3, "quantity": 1 + n % 2, "price": str(2.5 + n)}]
        day = n if changed is None else changed
        return {"id": 100 + n, "day": n, "changed": day, "status": status, "customer": 1 + n % 5, "lines": lines}

    def rows(self, kind: str, query: dict[str, str], woo: bool) -> list[dict]:
        since = query.get("modified_after" if woo else "updated_at_min", "").removesuffix("+00:00")
        if kind == "orders":
            found = [o for o in sorted(self.orders, key=lambda o: o["changed"]) if moment(o["changed"]) >= since]
            return [_woo_order(o) if woo else _shopify_order(o) for o in found]
        if kind == "customers":
            return [{"id": n, "email": "someone@example.org"} for n in range(1, 6)]
        if woo:
            return [
                p | {"description": "<p>holds &amp; warms</p>", "categories": [{"name": "cups"}]} for p in self.products
            ]
        return [
            {
                "id": p["id"],
                "title": p["name"],
                "body_html": "<b>holds</b> tea",
                "product_type": "cups",
                "vendor": "acme",
            }
            for p in self.products
        ]

    def handler(shop):
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                parts = urlsplit(self.path)
                query = dict(parse_qsl(parts.query))
                shop.asked.append((parts.path, query, dict(self.headers)))
                if shop.slow_s:
                    threading.Event().wait(shop.slow_s)
                if shop.faults:
                    status, headers = shop.faults.pop(0)
                    return self.answer(status, b"sorry", headers)
                woo = parts.path.startswith("/wp-json/")
                basic = "Basic " + base64.b64encode(f"{KEY}:{SECRET}".encode()).decode()
                if (
                    (self.headers["Authorization"] != basic)
                    if woo
                    else (self.headers["X-Shopify-Access-Token"] != TOKEN)
                ):
                    return self.answer(401, b"{}")
                kind = parts.path.rpartition("/")[2].removesuffix(".json")
                page = int(query.get("page" if woo else "page_info", 1))
                if not woo and page > 1:  # as Shopify does: beside a cursor only the limit may be given
                    assert set(query) <= {"page_info", "limit", "cursor"}
                rows = shop.rows(kind, json.loads(query["cursor"]) if "cursor" in query else query, woo)
                cut, last = rows[(page - 1) * shop.per_page : page * shop.per_page], -(-len(rows) // shop.per_page)
                headers = {"X-WP-TotalPages": str(max(1, last))} if woo else {}
                if not woo and page < last:
                    cursor = quote(json.dumps(query))
                    target = f"{shop.url}{parts.path}?limit=250&page_info={page + 1}&cursor={cursor}"
                    headers = {"Link": f'<{target}>; rel="next"'}
                self.answer(200, json.dumps(cut if woo else {kind: cut}).encode(), headers)

            def answer(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
                self.send_response(status)
                for name, value in (headers or {}).items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                with suppress(BrokenPipeError):  # the client may have lost patience
                    self.end_headers()
                    self.wfile.write(body)

            def log_message(self, *args) -> None:
                pass

        return Handler


def _shopify_order(o: dict) -> dict:
    return {
        "id": o["id"],
        "created_at": moment(o["day"]) + "+00:00",
        "updated_at": moment(o["changed"]) + "+00:00",
        "cancelled_at": moment(o["changed"]) if o["status"] == "cancelled" else None,
        "customer": {"id": o["customer"], "email": "someone@example.org"} if o["customer"] else None,
        "line_items": [line | {"name": "engraved for Ann"} for line in o["lines"]],
        "email": "someone@example.org",
    }


def _woo_order(o: dict) -> dict:
    return {
        "id": o["id"],
        "date_created_gmt": moment(o["day"]),
        "date_modified_gmt": moment(o["changed"]),
        "status": o["status"],
        "customer_id": o["customer"] or 0,
        "line_items": [line | {"name": "engraved for Ann"} for line in o["lines"]],
        "billing": {"email": "someone@example.org"},
    }


@pytest.fixture
def shop(monkeypatch, tmp_path):
    for name, value in (
        ("RECBENCH_SHOP_TOKEN", TOKEN),
        ("RECBENCH_SHOP_KEY", KEY),
        ("RECBENCH_SHOP_SECRET", SECRET),
        ("RECBENCH_CACHE", str(tmp_path / "cache")),
    ):
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(shop_client, "FIRST_WAIT_S", 0.01)
    found = Shop()
    yield found
    found.server.shutdown()


def source(shop: Shop, platform: str, **params) -> ShopApi:
    return ShopApi(ShopParams(url=shop.url, platform=platform, **params))


@pytest.mark.parametrize("platform", ["shopify", "woocommerce"])
def test_all_pages_become_a_log(shop, platform):
    data = source(shop, platform).load()
    log = data.interactions
    assert data.user_ids[log.user].tolist() == [1, 2, 3, 4, 5, 1, 2]
    assert data.item_ids[log.item].tolist() == [10, 11, 12, 10, 11, 12, 10]
    assert log.value.tolist() == [1, 2, 1, 2, 1, 2, 1] and log.behaviors == ("purchase",)
    start = int(np.datetime64("2026-01-01T12:00:00").astype(int))
    assert log.time.tolist() == [start + n * DAY for n in range(7)]
    assert data.items is not None and data.items["price"].tolist() == [2.5, 3.5, 4.5]  # the first paid, not today's
    assert (
        data.items["title"].tolist() == ["cup 0", "cup 1", "cup 2"] and data.items["category"].tolist() == ["cups"] * 3
    )
    words = "cup 0 acme cups holds tea" if platform == "shopify" else "cup 0 cups cups holds & warms"
    assert data.items["text"][0] == words
    assert data.cleaning == {
        "order_lines": 7,
        "of_unpaid_orders": 0,
        "of_guests": 0,
        "of_deleted_products": 0,
        "without_quantity": 0,
        "customers_without_order": 0,
    }


@pytest.mark.parametrize("platform", ["shopify", "woocommerce"])
def test_what_is_no_purchase_is_counted(shop, platform):
    shop.orders[0]["status"] = "cancelled"
    shop.orders[1]["customer"] = None
    shop.orders[2]["lines"][0]["product_id"] = None
    shop.orders[3]["lines"][0]["quantity"] = 0
    data = source(shop, platform).load()
    assert len(data.interactions) == 3
    assert list(data.cleaning.values()) == [7, 1, 1, 1, 1, 2]


@pytest.mark.parametrize("platform", ["shopify", "woocommerce"])
def test_a_second_pull_asks_only_for_what_changed(shop, platform):
    source(shop, platform).load()
    shop.asked.clear()
    assert len(source(shop, platform).load().interactions) == 7 and not shop.asked  # the copy is enough
    shop.orders[1] = shop.order(1, status="cancelled", changed=9)
    shop.orders.append(shop.order(10))
    data = source(shop, platform, pull=True).load()
    since = "modified_after" if platform == "woocommerce" else "updated_at_min"
    first = next(query for path, query, _ in shop.asked if "orders" in path)
    assert first[since].startswith(moment(6))
    assert sum("orders" in path for path, _, _ in shop.asked) == 1  # one page: orders 6, 1 and 10
    assert len(data.interactions) == 7 and data.cleaning["of_unpaid_orders"] == 1


def test_the_prepared_cache_pulls_first_and_once(shop):
    assert len(prepared.load(source(shop, "shopify")).interactions) == 7
    n_asked = len(shop.asked)
    assert len(prepared.load(source(shop, "shopify")).interactions) == 7 and len(shop.asked) == n_asked
    shop.orders.append(shop.order(10))
    assert len(prepared.load(source(shop, "shopify", pull=True)).interactions) == 8
    assert sum("orders" in path for path, _, _ in shop.asked[n_asked:]) == 1


@pytest.mark.parametrize("platform", ["shopify", "woocommerce"])
def test_a_cut_pull_goes_on_where_it_ended(shop, platform, tmp_path):
    whole = source(shop, platform, root=str(tmp_path / "whole"))
    whole.load()
    cut = source(shop, platform, root=str(tmp_path / "cut"))
    (tmp_path / "cut").mkdir()
    lines = (tmp_path / "whole" / "orders.jsonl").read_text().splitlines(keepends=True)
    (tmp_path / "cut" / "orders.jsonl").write_text("".join(lines[:3]) + lines[3][:20])  # killed amid a page
    shop.asked.clear()
    assert cut.load().checksum == whole.load().checksum
    since = "modified_after" if platform == "woocommerce" else "updated_at_min"
    assert next(query for path, query, _ in shop.asked if "orders" in path)[since].startswith(moment(2))


def test_rate_limits_are_waited_for_and_passing_faults_asked_again(shop):
    shop.faults = [(429, {"Retry-After": "0.05"}), (503, {}), (500, {})]
    assert len(source(shop, "shopify").load().interactions) == 7
    assert [path for path, _, _ in shop.asked][:4] == ["/admin/api/2025-07/orders.json"] * 4


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ([(401, {})], ["refuses the access (401)", "check the token"]),
        ([(404, {})], ["answers 404", "data.version"]),
        ([(302, {"Location": "http://elsewhere.example/"})], ["redirects (302)", "data.url"]),
        ([(200, {})], ["no shopify page of orders", "data.platform"]),
        ([(503, {})] * 9, ["no page after 6 tries (answer 503)"]),
    ],
)
def test_a_refusal_is_one_line_without_the_token(shop, fault, words):
    shop.faults = fault
    with pytest.raises(RecbenchError) as caught:
        source(shop, "shopify").load()
    text = str(caught.value)
    assert all(word in text for word in words) and "\n" not in text
    assert TOKEN not in text and not any(TOKEN in str(e) for e in _chain(caught.value))


def _chain(error: BaseException | None):
    while error:
        yield error
        error = error.__cause__ or error.__context__


def test_silence_ends(shop, monkeypatch):
    monkeypatch.setattr(shop_client, "TRIES", 2)
    shop.slow_s = 0.5
    with pytest.raises(RecbenchError, match=r"gave no page after 2 tries \(ReadTimeout\)"):
        source(shop, "shopify", timeout_s=0.05).load()


def test_a_token_never_travels_in_the_open(shop, monkeypatch):
    with pytest.raises(RecbenchError, match="must begin with https://"):
        ShopApi(ShopParams(url="http://shop.example")).load()
    monkeypatch.delenv("RECBENCH_SHOP_TOKEN")
    with pytest.raises(RecbenchError, match="set RECBENCH_SHOP_TOKEN"):
        source(shop, "shopify").load()
    assert not shop.asked


def test_the_next_page_on_another_host_is_not_followed(shop):
    shop.faults = [(200, {"Link": '<https://elsewhere.example/orders.json>; rel="next"'})]
    handler = shop.server.RequestHandlerClass
    handler.answer, right = (
        lambda self, status, body, headers=None: right(self, status, b'{"orders": []}', headers),
        handler.answer,
    )
    with pytest.raises(RecbenchError, match=r"elsewhere\.example, another host"):
        source(shop, "shopify").load()


@pytest.mark.parametrize("platform", ["shopify", "woocommerce"])
def test_nobody_is_named_on_disk(shop, platform, tmp_path):
    source(shop, platform).load()
    kept = "".join(path.read_text() for path in (tmp_path / "cache").rglob("*") if path.is_file())
    assert "customer" in kept
    for private in ("example.org", "Ann", TOKEN, KEY, SECRET):
        assert private not in kept


def test_without_a_shop_the_ways_are_named(monkeypatch, tmp_path):
    monkeypatch.setenv("RECBENCH_CACHE", str(tmp_path))
    with pytest.raises(RecbenchError, match=r"orders\.jsonl not found .* give data.url=https://SHOP"):
        ShopApi().load()


def test_a_damaged_copy_is_one_line(shop, tmp_path):
    source(shop, "shopify", root=str(tmp_path)).load()
    (tmp_path / "orders.jsonl").write_text('{"id": 1\n')
    with pytest.raises(RecbenchError, match=r"orders\.jsonl cannot be read"):
        source(shop, "shopify", root=str(tmp_path)).load()
