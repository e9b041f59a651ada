"""FuxiCTR."""

from __future__ import annotations

import logging
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from behavior_rivals import Trainee


def behavior(model: str, shape: dict[str, Any], data: SimpleNamespace, folder: Path) -> Trainee:
    """DIN of its model zoo on its loader of long histories; DeepFM, which its package leaves out, from the same parts."""
    logging.disable(logging.CRITICAL)
    import torch
    from fuxictr.features import FeatureMap

    torch.set_num_threads(1)
    sizes = {"user": int(data.n_users), "hour": 24, "weekday": 7}
    sizes |= {"item": int(data.n_items) + 1, "category": int(data.n_categories) + 1}
    features = FeatureMap("questions", str(folder))
    features.labels, features.default_emb_dim = ["label"], shape["dim"]
    for name, n in sizes.items():
        features.features[name] = {"type": "categorical", "vocab_size": n, "source": ""}
    given = {
        "task": "binary_classification",
        "optimizer": "adam",
        "loss": "binary_crossentropy",
        "metrics": ["AUC"],
        "learning_rate": shape["rate"],
        "embedding_dim": shape["dim"],
        "net_dropout": shape["dropout"],
        "verbose": 0,
        "model_root": str(folder),
    }
    hidden = [shape["width"]] * shape["layers"]
    network, batches = (_deepfm if model == "deepfm" else _din)(features, shape, data, folder, hidden, given)
    network.eval_step = lambda: None  # nothing but training is timed
    network.load_weights = lambda *_: None
    return Trainee(lambda: network.fit(batches, epochs=1), lambda: [None for _ in batches])


def _deepfm(features: Any, shape: dict[str, Any], data: Any, folder: Path, hidden: list[int], given: Any) -> Any:
    from fuxictr.pytorch.dataloaders.npz_dataloader import NpzDataLoader
    from fuxictr.pytorch.layers import FactorizationMachine, FeatureEmbedding, MLP_Block
    from fuxictr.pytorch.models import BaseModel

    class DeepFM(BaseModel):
        def __init__(self) -> None:
            super().__init__(features, **given)
            self.vectors, self.machine = FeatureEmbedding(features, shape["dim"]), FactorizationMachine(features)
            n_in = shape["dim"] * len(features.features)
            self.deep = MLP_Block(n_in, hidden, output_dim=1, dropout_rates=shape["dropout"])
            self.compile(given["optimizer"], given["loss"], shape["rate"])
            self.reset_parameters()

        def forward(self, inputs: Any) -> dict[str, Any]:
            read = self.get_inputs(inputs)
            vectors_BFD = self.vectors(read)
            logit_B1 = self.machine(read, vectors_BFD) + self.deep(vectors_BFD.flatten(1))
            return {"y_pred": self.output_activation(logit_B1)}

    features.num_fields = len(features.features)
    features.set_column_index()
    np.savez(folder / "questions.npz", **{name: getattr(data, name) for name in (*features.features, "label")})
    path = str(folder / "questions.npz")
    return DeepFM(), NpzDataLoader(features, path, batch_size=shape["batch"], shuffle=True, num_workers=0)


def _din(features: Any, shape: dict[str, Any], data: Any, folder: Path, hidden: list[int], given: Any) -> Any:
    import pandas as pd
    from model_zoo.LongCTR.DIN.DIN import DIN
    from model_zoo.LongCTR.longctr_dataloader import LongCTRDataLoader

    for name in ("item", "category"):
        features.features[name]["source"] = "item"
    for name in ("user_index", "item_index", "seq_len"):
        features.features[name] = {"type": "meta"}
    features.num_fields = features.get_num_fields()
    columns = {name: getattr(data, name) for name in ("user", "hour", "weekday", "label")}
    columns |= {"user_index": data.user, "item_index": data.item, "seq_len": data.known}
    lines = [data.line[a:b] for a, b in zip(data.first[:-1], data.first[1:], strict=True)]
    items = {"item_index": np.arange(len(data.category_of)), "item": np.arange(len(data.category_of))}
    for name, table in (
        ("questions", columns),
        ("users", {"full_item_seq": lines}),
        ("items", items | {"category": data.category_of}),
    ):
        pd.DataFrame(table).to_parquet(folder / f"{name}.parquet")
    paths = (str(folder / f"{name}.parquet") for name in ("questions", "users", "items"))
    sizes = {"batch_size": shape["batch"], "max_len": shape["length"], "num_workers": 0}
    batches = LongCTRDataLoader(features, *paths, shuffle=True, **sizes)
    weighs = {"attention_hidden_units": [shape["attention"]], "attention_hidden_activations": "ReLU"}
    return DIN(features, dnn_hidden_units=hidden, **weighs, **given), batches
