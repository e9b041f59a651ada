"""The first price of each product.

Letters: E events, I items.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def first_prices(price: NDArray, item: NDArray, time: NDArray, n_items: int) -> NDArray:
    """(I,) price of each item when it was first sold, NaN where none is known: a later price would tell of the future.

    `price`, `item`, `time`: (E,) in any order; of several prices at one moment the lowest counts.
    """
    order = np.lexsort((price, time))[::-1]
    order = order[np.isfinite(price[order])]
    price_I = np.full(n_items, np.nan)
    price_I[item[order]] = price[order]  # backwards: of several prices of one item the first is written last and stays
    return price_I
