"""Cornac, which answers user by user."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from classic_rivals import Contestant, K, padded


def classic(model: str, options: dict[str, Any], data: SimpleNamespace, folder: Path) -> Contestant:
    """Its ItemKNN predicts ratings: a mean of the history's, weighted by similarity, 1 wherever there is one."""
    from cornac.data import Dataset
    from cornac.models import EASE, ItemKNN

    train = Dataset.from_uir(list(zip(data.user.tolist(), data.item.tolist(), np.ones(len(data.user)), strict=True)))
    if model == "item-knn":
        trained = ItemKNN(k=options["neighbours"], similarity="cosine", num_threads=1, verbose=False)
    else:
        trained = EASE(lamb=options["l2"], posB=False, verbose=False)
    users = np.flatnonzero(data.test >= 0).tolist()

    def recommend() -> list[list[int]]:
        return [trained.recommend(user, k=K, remove_seen=True, train_set=train) for user in users]

    def lists(answer: list[list[int]]) -> np.ndarray:
        return padded(np.repeat(users, [len(row) for row in answer]), np.concatenate(answer), len(data.test))

    return Contestant(lambda: trained.fit(train), recommend, lists)
