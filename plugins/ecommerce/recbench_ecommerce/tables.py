"""What the shopping data sets share: a declared file as a frame, and the first price of each product.

Letters: E events, I items.
"""

from __future__ import annotations

import io
import zipfile
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pandas as pd

    from recbench.dataset import DatasetSource


def table(source: DatasetSource, name: str, member: str = "", **options: Any) -> pd.DataFrame:
    """A declared file read with pandas, as parquet or tab separated by its name; `member` is a file inside a zip.

    RecbenchError where the file is missing, damaged, or lacks a column that `options` ask for.
    """
    import pandas as pd

    content = source.content(name)
    with source.reading(name):
        if member:
            content = zipfile.ZipFile(io.BytesIO(content)).read(member)
        if name.endswith(".parquet"):
            return pd.read_parquet(io.BytesIO(content), **options)
        return pd.read_csv(io.BytesIO(content), sep="\t", quoting=3, **options)


def first_prices(price: NDArray, item: NDArray, time: NDArray, n_items: int) -> NDArray:
    """(I,) price of each item when it was first sold, NaN where none is known: a later price would tell of the future.

    `price`, `item`, `time`: (E,) in any order; of several prices at one moment the lowest counts.
    """
    order = np.lexsort((price, time))[::-1]
    order = order[np.isfinite(price[order])]
    price_I = np.full(n_items, np.nan)
    price_I[item[order]] = price[order]  # backwards: of several prices of one item the first is written last and stays
    return price_I
