"""RecTools."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from classic_rivals import Contestant, padded
from sequential_rivals import RARELY, K, Rival, cut, ndcg, quiet, targets_of


def rival(data: SimpleNamespace, shape: dict[str, Any], folder: Path) -> Rival:
    """SASRecModel; its feed-forward layer has the width of the states."""
    import pandas as pd
    import pytorch_lightning as pl
    from rectools.dataset import Dataset
    from rectools.models import SASRecModel

    class Steps(pl.Callback):
        on_step: Any = None

        def on_train_batch_end(self, *_: Any) -> None:
            Steps.on_step()

    def dataset(rows: list[np.ndarray]) -> Dataset:
        user = np.repeat(np.arange(len(rows)), [len(row) for row in rows])
        place = np.arange(len(user))
        frame = {"user_id": user, "item_id": np.concatenate(rows), "weight": 1.0}
        return Dataset.construct(pd.DataFrame(frame | {"datetime": pd.to_datetime(place, unit="s")}))

    quiet()
    rows, users = cut(data, shape["length"]), np.arange(len(data.test))
    whole = [data.items[a:b] for a, b in zip(data.start[:-1], data.start[1:], strict=True)]
    known = dataset(whole), dataset([np.r_[row, item] for row, item in zip(whole, data.valid, strict=True)])
    loss = {"softmax": "softmax", "sampled": "sampled_softmax", "bce": "BCE"}[shape["loss"]]
    model = SASRecModel(
        n_blocks=shape["blocks"],
        n_heads=shape["heads"],
        n_factors=shape["width"],
        dropout_rate=shape["dropout"],
        session_max_len=shape["length"],
        batch_size=shape["batch"],
        lr=shape["rate"],
        loss=loss,
        n_negatives=shape["negatives"],
        get_trainer_func=lambda: pl.Trainer(max_epochs=1, callbacks=[Steps()], accelerator="cpu", **RARELY),
    )

    def rank(which: int = 1) -> float:
        lists = model.recommend(users, known[which], k=K, filter_viewed=True, on_unsupported_targets="ignore")
        return ndcg(lists["user_id"].to_numpy(), lists["item_id"].to_numpy(), (data.valid, data.test)[which])

    def train(epochs: int, on_step: Callable[[], None], judge: Callable[[float], None] | None) -> None:
        Steps.on_step, train_rows = staticmethod(on_step), dataset(rows)
        try:
            if not judge:
                model.fit_partial(train_rows, min_epochs=epochs, max_epochs=epochs)
                return
            for _ in range(epochs):
                model.fit_partial(train_rows, min_epochs=1, max_epochs=1)
                judge(rank(0))
        finally:
            model.is_fitted = True  # also where the clock ended it

    return Rival(targets_of(rows), sum(len(row) > 1 for row in rows), shape["batch"], train, rank)


def classic(model: str, options: dict[str, Any], data: SimpleNamespace, folder: Path) -> Contestant:
    """Neighbours and ALS are implicit's, wrapped."""
    import pandas as pd
    from rectools.dataset import Dataset
    from rectools.models import EASEModel, ImplicitALSWrapperModel, ImplicitItemKNNWrapperModel

    from rivals.implicit import library

    quiet()
    if model == "ease":
        trained = EASEModel(regularization=options["l2"], recommend_n_threads=1)
    else:
        wrapper = ImplicitItemKNNWrapperModel if model == "item-knn" else ImplicitALSWrapperModel
        trained = wrapper(library(model, options))
    frame = {"user_id": data.user, "item_id": data.item, "weight": 1.0}
    place = pd.to_datetime(np.arange(len(data.user)), unit="s")
    train = Dataset.construct(pd.DataFrame(frame | {"datetime": place}))
    users = np.flatnonzero(data.test >= 0)
    return Contestant(
        lambda: trained.fit(train),
        lambda: trained.recommend(users, train, k=K, filter_viewed=True),
        lambda answer: padded(answer["user_id"].to_numpy(), answer["item_id"].to_numpy(), len(data.test)),
    )
