"""LensKit: pipelines, which answer user by user."""

from __future__ import annotations

import warnings
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from classic_rivals import Contestant, K, padded


def classic(model: str, options: dict[str, Any], data: SimpleNamespace, folder: Path) -> Contestant:
    """In its ALS a met pair weighs 1 more than the weight that is given."""
    warnings.filterwarnings("ignore")
    import pandas as pd
    import torch
    from lenskit.als import ImplicitMFScorer
    from lenskit.batch import recommend
    from lenskit.data import from_interactions_df
    from lenskit.knn import EASEScorer, ItemKNNScorer
    from lenskit.pipeline import topn_pipeline

    torch.set_num_threads(1)
    if model == "item-knn":
        n = options["neighbours"]
        scorer = ItemKNNScorer(max_nbrs=n, save_nbrs=n, feedback="implicit")
    elif model == "ease":
        scorer = EASEScorer(regularization=options["l2"])
    else:
        weight, size = options["confidence"] - 1, {"embedding_size": options["dim"], "epochs": options["epochs"]}
        scorer = ImplicitMFScorer(weight=weight, regularization=options["penalty"], **size)
    pipeline, users = topn_pipeline(scorer), np.flatnonzero(data.test >= 0)
    train = from_interactions_df(pd.DataFrame({"user_id": data.user, "item_id": data.item}))

    def lists(answer: Any) -> np.ndarray:
        frame = answer.to_df()
        return padded(frame.user_id.to_numpy(), frame.item_id.to_numpy(), len(data.test))

    return Contestant(lambda: pipeline.train(train), lambda: recommend(pipeline, users, n=K, n_jobs=1), lists)
