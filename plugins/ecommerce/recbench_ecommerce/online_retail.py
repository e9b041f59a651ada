"""One year of a British gift wholesaler's invoices, from the UCI repository: baskets by the minute, names, prices."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from recbench.dataset import Dataset, DatasetInfo, DatasetSource, Holds
from recbench.fetch import SourceFile
from recbench.ingest import log_of
from recbench.protocols import time_split
from recbench_ecommerce.prices import first_prices

if TYPE_CHECKING:
    import pandas as pd

LINES = "online_retail.parquet"


class OnlineRetail(DatasetSource):
    """397,884 invoice lines of 4,338 customers and 3,866 products over 2011, by the minute."""

    info = DatasetInfo(
        "uci-online-retail",
        "ecommerce",
        "minutes",
        "CC BY 4.0 (UCI Machine Learning Repository)",
        "github.com/BenJMcCarty/UCI_Dataset_Online_Retail at 15986919, folder data",
        "Chen, Sain, Guo, Data mining for the online retail industry, 2012",
        "Many customers are wholesalers (up to 7,847 lines) and nearly all lines share their minute with others of the "
        "basket. A product is its name, for codes are missing: postage and corrections are among them.",
        holds=Holds(397_884, 4_338, 3_866, ("purchase",), text=True),
    )
    files = (
        SourceFile(
            LINES,
            "d4bf11013582a8f3a068b6762a7e12d9899d456d615d5340ce998a61bc46c12a",
            url="https://raw.githubusercontent.com/BenJMcCarty/UCI_Dataset_Online_Retail/"
            f"15986919cc97e40bc4bcfd61a63eb837f31d45c5/data/{LINES}",
        ),
    )
    boards = (
        time_split(
            "uci-online-retail",
            "uci-online-retail",
            28,
            meaning="Which products new to the customer will it order in the next four weeks?",
        ),
        time_split(
            "uci-online-retail-repeat",
            "uci-online-retail",
            28,
            repeat="any",
            meaning="Which products will the customer order in the next four weeks, reorders included?",
        ),
    )

    def load(self) -> Dataset:
        """Read the lines of known customers and products that were sold at a price; returns are dropped and counted."""
        import pandas as pd

        lines, cleaning = _sold(self.table(LINES))
        name, names = pd.factorize(lines["Description"].str.strip(), sort=True)
        time = lines["InvoiceDate"].to_numpy().astype("datetime64[s]").astype(np.int64)
        log, user_ids, _ = log_of(
            lines["CustomerID"].astype("int64"), name, time, value=lines["Quantity"].to_numpy(), behaviors=("purchase",)
        )
        item_ids = np.asarray(names, dtype=object)
        price = first_prices(lines["UnitPrice"].to_numpy(), name, time, len(names))
        country = lines.sort_values("InvoiceDate", kind="stable").groupby("CustomerID")["Country"].first()
        return Dataset(
            self.info,
            log,
            user_ids,
            item_ids,
            pd.DataFrame({"title": item_ids, "text": item_ids, "price": price}),
            pd.DataFrame({"country": country.reindex(user_ids).to_numpy()}),
            checksum=self.checksum(),
            cleaning=cleaning,
        )


def _sold(lines: pd.DataFrame) -> tuple[pd.DataFrame, dict[str, int]]:
    """The lines that are kept, and how many met each reason for dropping; a line may meet several."""
    reasons = {
        "no_customer": lines["CustomerID"].isna(),
        "no_description": lines["Description"].isna(),
        "quantity_not_above_0": lines["Quantity"] <= 0,
        "price_not_above_0": lines["UnitPrice"] <= 0,
    }
    dropped = np.logical_or.reduce(list(reasons.values()))
    counts = {"rows": len(lines)} | {reason: int(met.sum()) for reason, met in reasons.items()}
    repeated = int(lines.duplicated().sum())
    return lines.loc[~dropped], counts | {"dropped": int(dropped.sum()), "exact_duplicates_not_dropped": repeated}
