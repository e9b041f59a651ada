"""RePlay."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from sequential_rivals import RARELY, K, Rival, cut, ndcg, quiet, targets_of


def rival(data: SimpleNamespace, shape: dict[str, Any], folder: Path) -> Rival:
    """SasRec from parquet; sampled softmax and BCE with negatives that a batch shares."""
    import copy

    import lightning
    import pandas as pd
    from replay.data import FeatureHint, FeatureSource, FeatureType
    from replay.data.nn import ParquetModule, TensorFeatureInfo, TensorFeatureSource, TensorSchema
    from replay.nn.lightning import LightningModule
    from replay.nn.lightning.callback import PandasTopItemsCallback
    from replay.nn.lightning.optimizer import OptimizerFactory
    from replay.nn.lightning.postprocessor import SeenItemsFilter
    from replay.nn.loss import CE, BCESampled, CESampled
    from replay.nn.sequential import SasRec
    from replay.nn.transform import UniformNegativeSamplingTransform
    from replay.nn.transform.template import make_default_sasrec_transforms

    quiet()
    length, n_items, users = shape["length"], int(data.n_items), np.arange(len(data.test))
    rows = cut(data, length)
    whole = [data.items[a:b] for a, b in zip(data.start[:-1], data.start[1:], strict=True)]
    later = [np.r_[row, item] for row, item in zip(whole, data.valid, strict=True)]
    source = [TensorFeatureSource(FeatureSource.INTERACTIONS, "item_id")]
    item = TensorFeatureInfo(
        "item_id",
        FeatureType.CATEGORICAL,
        is_seq=True,
        feature_hint=FeatureHint.ITEM_ID,
        feature_sources=source,
        cardinality=n_items,
        padding_value=n_items,
        embedding_dim=shape["width"],
    )
    schema = TensorSchema([item])

    def write(name: str, lists: list[np.ndarray], **columns: Any) -> str:
        frame = pd.DataFrame({"user_id": [u for u in users if len(lists[u])], "item_id": [r for r in lists if len(r)]})
        frame.assign(**columns).to_parquet(folder / f"{name}.parquet")
        return str(folder / f"{name}.parquet")

    def read(of: int) -> dict[str, Any]:
        return {"user_id": {}, "item_id": {"shape": of, "padding": n_items}}

    train_path = write("train", [row if len(row) > 1 else row[:0] for row in rows])
    asked = [write(f"asked{n}", [r[-length:] for r in of], seen_ids=of) for n, of in enumerate((whole, later))]
    transforms = make_default_sasrec_transforms(schema)
    if shape["loss"] != "softmax":
        transforms["train"].append(UniformNegativeSamplingTransform(n_items, shape["negatives"]))
    seen = {"seen_ids": {"shape": max(map(len, later)), "padding": n_items}}

    def module(path: str) -> ParquetModule:
        return ParquetModule(
            batch_size={"train": shape["batch"], "predict": 1024},
            metadata={"train": read(length + 1), "predict": read(length) | seen},
            transforms=transforms,
            train_path=train_path,
            predict_path=path,
        )

    def trainer(epochs: int, *callbacks: Any) -> Any:
        given = {"limit_val_batches": 0, "accelerator": "cpu", "callbacks": list(callbacks)}
        return lightning.Trainer(max_epochs=epochs, **given, **RARELY)

    lightning.seed_everything(0, verbose=False)
    network = SasRec.from_params(
        schema=schema,
        embedding_dim=shape["width"],
        num_heads=shape["heads"],
        num_blocks=shape["blocks"],
        max_sequence_length=length,
        dropout=shape["dropout"],
        hidden_dim=shape["feed_forward"],
    )
    network.loss = {"softmax": CE(ignore_index=n_items), "sampled": CESampled(), "bce": BCESampled()}[shape["loss"]]
    network.loss.logits_callback = network.get_logits
    model = LightningModule(network, optimizer_factory=OptimizerFactory(learning_rate=shape["rate"]))

    def rank(which: int = 1, of: Any = None) -> float:
        unseen = SeenItemsFilter(item_count=n_items, seen_items_column="seen_ids")
        top = PandasTopItemsCallback(K, query_column="user_id", item_column="item_id", postprocessors=[unseen])
        trainer(1, top).predict(of or model, datamodule=module(asked[which]), return_predictions=False)
        lists = top.get_result()
        return ndcg(*(lists[c].to_numpy(np.int64) for c in ("user_id", "item_id")), (data.valid, data.test)[which])

    def train(epochs: int, on_step: Callable[[], None], judge: Callable[[float], None] | None) -> None:
        class Steps(lightning.Callback):
            def on_train_batch_end(self, *_: Any) -> None:
                on_step()

            def on_train_epoch_end(self, *_: Any) -> None:
                if judge:  # of a copy: a module belongs to one trainer at a time
                    judge(rank(0, LightningModule(copy.deepcopy(network))))

        trainer(epochs, Steps()).fit(model, datamodule=module(asked[0]))

    return Rival(targets_of(rows), sum(len(row) > 1 for row in rows), shape["batch"], train, rank)
