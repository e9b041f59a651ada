"""implicit."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from classic_rivals import Contestant, K


def library(model: str, options: dict[str, Any]) -> Any:
    """The library's model, on one thread; its neighbours count the item itself among them, which scores nothing here."""
    from implicit.cpu.als import AlternatingLeastSquares
    from implicit.nearest_neighbours import CosineRecommender

    if model == "item-knn":
        return CosineRecommender(K=options["neighbours"] + 1, num_threads=1)
    return AlternatingLeastSquares(
        factors=options["dim"],
        regularization=options["penalty"],
        alpha=options["confidence"],
        iterations=options["epochs"],
        num_threads=1,
        random_state=1,
    )


def classic(model: str, options: dict[str, Any], data: SimpleNamespace, folder: Path) -> Contestant:
    from scipy.sparse import csr_matrix

    trained, shape = library(model, options), (len(data.test), data.n_items)
    met_UI = csr_matrix((np.ones(len(data.user), np.float32), (data.user, data.item)), shape=shape)
    users = np.flatnonzero(data.test >= 0)
    anew = {"recalculate_user": True} if options.get("from_histories") else {}

    def lists(answer: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
        lists_UK = np.full((len(data.test), K), -1, np.int64)
        lists_UK[users] = answer[0]
        return lists_UK

    return Contestant(
        lambda: trained.fit(met_UI, show_progress=False),
        lambda: trained.recommend(users, met_UI[users], N=K, filter_already_liked_items=True, **anew),
        lists,
    )
