"""RecBole."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from classic_rivals import Contestant, padded
from sequential_rivals import K, Rival, quiet

USERS = 1024  # asked at once


def silence() -> None:
    """Before it is imported: what it would print, what it would read from the command line, and how it loads."""
    os.environ["TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD"] = "1"
    sys.argv[1:] = []
    quiet()
    logging.disable(logging.CRITICAL)


def rival(data: SimpleNamespace, shape: dict[str, Any], folder: Path) -> Rival:
    """SASRec on every prefix of the whole history, one target each.

    Its own evaluation leaves what a user has seen in the lists of a sequential model; here they are masked.
    """
    if shape["loss"] != "softmax":
        raise SystemExit(f"RecBole's SASRec has no loss={shape['loss']}")
    silence()
    import torch
    from recbole.config import Config
    from recbole.data import create_dataset, data_preparation
    from recbole.utils import get_model, get_trainer, init_seed

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
        "loss_type": "CE",
        "train_neg_sample_args": None,
        "stopping_step": 10_000,
        "reproducibility": False,
        "use_gpu": False,
        "show_progress": False,
        "state": "ERROR",
    }
    config = Config(model="SASRec", dataset="rows", config_dict=given)
    init_seed(0, False)
    dataset = create_dataset(config)
    train_part, valid, test = data_preparation(config, dataset)
    model = get_model("SASRec")(config, train_part._dataset)

    user_of = np.array([-1, *map(int, dataset.field2id_token["user_id"][1:])])
    place_I = np.zeros(data.n_items, np.int64)
    place_I[[int(token) for token in dataset.field2id_token["item_id"][1:]]] = np.arange(1, dataset.item_num)

    @torch.no_grad()
    def judged(part: Any, known: int) -> float:
        """NDCG of the item behind the history and `known` items more."""
        model.eval()
        gain = 0.0
        for interaction, *_ in part:
            scores_QI = model.full_sort_predict(interaction).view(len(interaction), -1)
            user_Q = user_of[interaction["user_id"].numpy()]
            target_Q = torch.from_numpy(place_I[(data.test if known else data.valid)[user_Q]])
            seen = [
                place_I[np.r_[data.items[data.start[u] : data.start[u + 1]], data.valid[u : u + known]]] for u in user_Q
            ]
            row = np.repeat(np.arange(len(seen)), [len(items) for items in seen])
            right_Q1 = scores_QI.gather(1, target_Q[:, None])
            scores_QI[row, np.concatenate(seen)] = -torch.inf
            scores_QI[:, 0] = -torch.inf
            rank_Q = (scores_QI > right_Q1).sum(1)
            gain += float((1 / torch.log2(rank_Q + 2.0))[rank_Q < K].sum())
        return gain / len(data.test)

    def rank() -> float:
        return judged(test, 1)

    def train(epochs: int, on_step: Callable[[], None], judge: Callable[[float], None] | None) -> None:
        config["epochs"] = 1 if judge else epochs  # an epoch at a time where each is judged
        trainer = get_trainer(config["MODEL_TYPE"], "SASRec")(config, model)
        step = trainer.optimizer.step

        def told(*a: Any, **k: Any) -> Any:
            done = step(*a, **k)
            on_step()
            return done

        trainer.optimizer.step = told
        for _ in range(epochs if judge else 1):
            trainer.fit(train_part, None, saved=False, verbose=False)
            if judge:
                judge(judged(valid, 0))

    return Rival(len(train_part._dataset), len(train_part._dataset), shape["batch"], train, rank)


def classic(model: str, options: dict[str, Any], data: SimpleNamespace, folder: Path) -> Contestant:
    """A model fits when it is made; the trainer's pass over the data, which teaches it nothing more, is left out."""
    silence()
    from recbole.config import Config
    from recbole.data import create_dataset, data_preparation
    from recbole.utils import get_model
    from recbole.utils.case_study import full_sort_topk

    users = np.flatnonzero(data.test >= 0)
    parts = {"train": (data.user, data.item), "valid": (users, data.test[users]), "test": (users, data.test[users])}
    (folder / "pairs").mkdir()
    for part, columns in parts.items():
        lines = ["user_id:token\titem_id:token", *(f"{u}\t{i}" for u, i in zip(*columns, strict=True))]
        (folder / "pairs" / f"pairs.{part}.inter").write_text("\n".join(lines) + "\n")
    given: dict[str, Any] = {
        "data_path": str(folder),
        "benchmark_filename": list(parts),
        "load_col": {"inter": ["user_id", "item_id"]},
        "eval_args": {"order": "RO", "mode": "full", "group_by": None},
        "use_gpu": False,
        "show_progress": False,
        "state": "ERROR",
    }
    given |= {"k": options["neighbours"], "shrink": 0.0} if model == "item-knn" else {"reg_weight": options["l2"]}
    name = {"item-knn": "ItemKNN", "ease": "EASE"}[model]
    config = Config(model=name, dataset="pairs", config_dict=given)
    train, valid, _ = data_preparation(config, create_dataset(config))  # of valid, what was met is the training part
    place_of, item_of = train._dataset.field2token_id["user_id"], train._dataset.field2id_token["item_id"]
    place_Q, trained = np.array([place_of[str(user)] for user in users]), SimpleNamespace()

    def fit() -> None:
        trained.model = get_model(name)(config, train._dataset)

    def recommend() -> np.ndarray:
        chunks = [place_Q[at : at + USERS] for at in range(0, len(place_Q), USERS)]
        return np.concatenate([full_sort_topk(chunk, trained.model, valid, K)[1].numpy() for chunk in chunks])

    def lists(place_QK: np.ndarray) -> np.ndarray:
        items_QK = np.array([-1, *map(int, item_of[1:])])[place_QK]
        return padded(np.repeat(users, K), items_QK.ravel(), len(data.test))

    return Contestant(fit, recommend, lists)
