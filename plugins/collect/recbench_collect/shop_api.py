"""A shop's own orders, pulled from its platform's REST API and kept on disk, a later pull asking only for what changed."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from recbench import fetch
from recbench.dataset import DataParams, Dataset, DatasetInfo, DatasetSource
from recbench.entry import write_atomically
from recbench.errors import RecbenchError
from recbench.fetch import SourceFile
from recbench.params import param
from recbench.protocols import time_split
from recbench_collect.shop_client import KINDS, PLATFORMS, Platform, pages
from recbench_collect.shop_orders import events, items

LINE = ("product_id", "quantity", "price")


@dataclass(frozen=True)
class ShopParams(DataParams):
    """Which shop, and when to ask it."""

    url: str = param("", "Address of the shop, as https://my-shop.example.")
    platform: str = param("shopify", "What the shop runs on.", choices=tuple(PLATFORMS))
    version: str = param("2025-07", "Version of Shopify's Admin API.")
    pull: bool = param(False, "Ask the shop for what changed; without a copy on disk it is asked anyway.")
    timeout_s: float = param(30.0, "How long the shop may stay silent.", low=0.05, high=600.0, unit="seconds")


class ShopApi(DatasetSource):
    """Purchases of a shop on Shopify or WooCommerce, with product text, by the second."""

    Params = ShopParams
    info = DatasetInfo(
        "shop-api",
        "ecommerce",
        "seconds",
        "the shop's own data; customers are numbers, no name and no address is kept",
        "the REST API of the shop at data.url",
        notes="Cancelled and unpaid orders, guests and deleted products are left out and counted. Prices are the first paid.",
    )
    files = tuple(SourceFile(f"{kind}.jsonl") for kind in KINDS)
    boards = (
        time_split(
            "shop-api",
            "shop-api",
            28,
            behaviors=("purchase",),
            meaning="Which products new to the customer will it buy in the next four weeks?",
        ),
    )

    pulled = False

    def load(self) -> Dataset:
        """Pull what is wanted, then read the copy on disk; RecbenchError where the shop or the copy is at fault."""
        self.paths()
        orders, products, customers = (self._kept(f.name) for f in self.files)
        with self.reading("orders.jsonl"):
            log, user_ids, item_ids, price_I, counts = events(orders, self.params.platform)
        with self.reading("products.jsonl"):
            table = items(products, item_ids, price_I, self.params.platform)
        counts["customers_without_order"] = len({row["id"] for row in customers} - set(user_ids.tolist()))
        return Dataset(self.info, log, user_ids, item_ids, table, checksum=self.checksum(), cleaning=counts)

    def paths(self) -> list[Path]:
        """The files of the copy, after a pull where one is wanted and this object has made none."""
        absent = not all((self.folder() / f.name).is_file() for f in self.files)
        if self.params.url and not self.pulled and (self.params.pull or absent):
            self.pull()
            self.pulled = True
        return [self.file(f.name) for f in self.files]

    def folder(self) -> Path:
        """Where the copy lies: data.root, else in the cache under the shop's host."""
        host = urlsplit(self.params.url).hostname or "no-shop"
        return Path(self.params.root) if self.params.root else fetch.cache_folder() / "files/ecommerce/shop-api" / host

    def file(self, name: str) -> Path:
        """The path of a file of the copy; RecbenchError says how to make one."""
        path = self.folder() / name
        if not path.is_file():
            where = (
                f"data.root={self.params.root}"
                if self.params.root
                else f"the cache for {self.params.url or 'data.url'}"
            )
            raise RecbenchError(
                f"data=shop-api: {name} not found in {where}; give data.url=https://SHOP data.platform={'|'.join(PLATFORMS)} "
                "to pull it, or data.root=FOLDER of an earlier pull"
            )
        return path

    def pull(self) -> dict[str, int]:
        """Ask the shop for all that changed since the last pull; how many records of each kind came.

        Pages are appended as they come, so that a cut pull goes on where it ended: orders come oldest change first.
        """
        platform, came = PLATFORMS[self.params.platform], {}
        for kind, declared in zip(KINDS, self.files, strict=True):
            path, whole = self.folder() / declared.name, self.folder() / f".{kind}.whole"
            known = _by_id(self._kept(declared.name)) if path.is_file() else {}
            bounded = kind == "orders" or (kind == "products" and whole.is_file())
            since = max((str(row.get(platform.changed) or "") for row in known.values()), default="") if bounded else ""
            whole.unlink(missing_ok=True)
            _rewrite(path, known)  # without the half line that a cut pull may have left
            came[kind] = self._append(path, platform, kind, since)
            _rewrite(path, _by_id(self._kept(declared.name)))
            whole.touch()
        return came

    def _append(self, path: Path, platform: Platform, kind: str, since: str) -> int:
        p, count = self.params, 0
        with path.open("ab") as file:
            for page in pages(platform, p.url, p.version, kind, since, p.timeout_s):
                rows = [_without_people(row) for row in page if isinstance(row.get("id"), int)]
                if len(rows) < len(page):
                    raise RecbenchError(
                        f"data=shop-api: a record of {kind} has no whole number as id; check data.platform"
                    )
                file.write(b"".join(json.dumps(row, sort_keys=True).encode() + b"\n" for row in rows))
                file.flush()
                os.fsync(file.fileno())
                count += len(rows)
                if sys.stderr.isatty():
                    print(f"\r{kind}: {count}", end="", file=sys.stderr, flush=True)
        return count

    def _kept(self, name: str) -> list[dict[str, Any]]:
        """The records of the copy; a half line at its end is a pull that was cut."""
        with self.reading(name):
            return [json.loads(line) for line in self.content(name).decode().split("\n")[:-1]]


def _by_id(rows: list[dict[str, Any]]) -> dict[int, dict[str, Any]]:
    """The last record of every id: a later pull brings the newer state."""
    return {row["id"]: row for row in rows}


def _rewrite(path: Path, known: dict[int, dict[str, Any]]) -> None:
    write_atomically(path, "".join(json.dumps(known[key], sort_keys=True) + "\n" for key in sorted(known)))


def _without_people(row: dict[str, Any]) -> dict[str, Any]:
    """An order keeps of its customer the number, of its lines what was bought."""
    if isinstance(row.get("customer"), dict):
        row = row | {"customer": {"id": row["customer"].get("id")}}
    if isinstance(row.get("line_items"), list):
        row = row | {"line_items": [{name: line.get(name) for name in LINE} for line in row["line_items"]]}
    return row
