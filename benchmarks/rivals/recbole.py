"""RecBole."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from sequential_rivals import K, Rival, quiet


def rival(data: SimpleNamespace, shape: dict[str, Any], folder: Path) -> Rival:
    """SASRec on every prefix of the whole history, one target each."""
    os.environ["TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD"] = "1"
    sys.argv[1:] = []  # it would read them
    from recbole.config import Config
    from recbole.data import create_dataset, data_preparation
    from recbole.utils import get_model, get_trainer, init_seed

    quiet()
    logging.disable(logging.CRITICAL)
    (folder / "rows").mkdir()
    lines = ["user_id:token\titem_id:token\ttimestamp:float"]
    for u, (a, b) in enumerate(zip(data.start[:-1], data.start[1:], strict=True)):
        events = [*data.items[a:b], data.valid[u], data.test[u]]
        lines += [f"{u}\t{item}\t{place}" for place, item in enumerate(events)]
    (folder / "rows" / "rows.inter").write_text("\n".join(lines) + "\n")
    given: dict[str, Any] = {
        "data_path": str(folder),
        "checkpoint_dir": str(folder / "saved"),
        "load_col": {"inter": ["user_id", "item_id", "timestamp"]},
        "eval_args": {"split": {"LS": "valid_and_test"}, "order": "TO", "mode": "full", "group_by": "user"},
        "metrics": ["NDCG"],
        "topk": [K],
        "valid_metric": f"NDCG@{K}",
        "hidden_size": shape["width"],
        "inner_size": shape["feed_forward"],
        "n_layers": shape["blocks"],
        "n_heads": shape["heads"],
        "hidden_dropout_prob": shape["dropout"],
        "attn_dropout_prob": shape["dropout"],
        "MAX_ITEM_LIST_LENGTH": shape["length"],
        "train_batch_size": shape["batch"],
        "learning_rate": shape["rate"],
        "loss_type": {"softmax": "CE", "bce": "BPR"}[shape["loss"]],
        "stopping_step": 10_000,
        "reproducibility": False,
        "use_gpu": False,
        "show_progress": False,
        "state": "ERROR",
    }
    given |= {"train_neg_sample_args": None} if shape["loss"] == "softmax" else {}
    config = Config(model="SASRec", dataset="rows", config_dict=given)
    init_seed(0, False)
    dataset = create_dataset(config)
    train_part, valid, test = data_preparation(config, dataset)
    model = get_model("SASRec")(config, train_part._dataset)

    def rank() -> float:
        trainer = get_trainer(config["MODEL_TYPE"], "SASRec")(config, model)
        return float(trainer.evaluate(test, load_best_model=False, show_progress=False)[f"ndcg@{K}"])

    def train(epochs: int, on_step: Callable[[], None], judge: Callable[[float], None] | None) -> None:
        config["epochs"] = epochs
        trainer = get_trainer(config["MODEL_TYPE"], "SASRec")(config, model)
        step = trainer.optimizer.step

        def told(*a: Any, **k: Any) -> Any:
            done = step(*a, **k)
            on_step()
            return done

        trainer.optimizer.step = told
        told_epoch = {"callback_fn": lambda _, score: judge(float(score))} if judge else {}
        trainer.fit(train_part, valid if judge else None, saved=False, verbose=False, **told_epoch)

    return Rival(len(train_part._dataset), len(train_part), train, rank)
