"""scikit-surprise: models of ratings as it ships them, k-NN also by items with the similarity that its papers use."""

from __future__ import annotations

import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np

ITEMS = {"sim_options": {"name": "pearson_baseline", "user_based": False}, "verbose": False}
MODELS: dict[str, tuple[str, dict[str, Any], bool]] = {
    "BaselineOnly": ("BaselineOnly", {"verbose": False}, False),
    "SVD": ("SVD", {}, True),
    "SVDpp": ("SVDpp", {}, True),
    "SlopeOne": ("SlopeOne", {}, False),
    "KNNBaseline": ("KNNBaseline", {"verbose": False}, False),
    "KNNBaseline by items": ("KNNBaseline", ITEMS, False),
}


def measured(data: SimpleNamespace, seeds: int) -> Iterator[tuple[str, int, np.ndarray, float, float]]:
    """Name, seed, predictions of the test, CPU seconds of the fit and of predicting, of every model and seed."""
    import surprise
    from surprise import Dataset, Reader

    low, high = data.train_value.min(), data.train_value.max()
    columns = [data.train_user.tolist(), data.train_item.tolist(), data.train_value.tolist()]
    rows = [(*row, None) for row in zip(*columns, strict=True)]
    train = Dataset(Reader(rating_scale=(low, high))).construct_trainset(rows)
    test = list(zip(data.test_user.tolist(), data.test_item.tolist(), data.test_value.tolist(), strict=True))
    for name, (word, options, drawn) in MODELS.items():
        for seed in range(1, seeds + 1 if drawn else 2):
            model = getattr(surprise, word)(**options, **({"random_state": seed} if drawn else {}))
            begun = time.process_time()
            model.fit(train)
            fitted = time.process_time()
            answers = model.test(test)
            yield name, seed, np.array([a.est for a in answers]), fitted - begun, time.process_time() - fitted
