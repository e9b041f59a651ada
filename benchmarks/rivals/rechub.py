"""Torch-RecHub."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

from behavior_rivals import Trainee


def behavior(model: str, shape: dict[str, Any], data: SimpleNamespace, folder: Path) -> Trainee:
    """DeepFM, or DIN, whose events are weighed by item and by category apart; its hidden layers have Dice."""
    import torch
    from torch_rechub.basic.features import SequenceFeature, SparseFeature
    from torch_rechub.models.ranking import DIN, DeepFM
    from torch_rechub.trainers import CTRTrainer
    from torch_rechub.utils.data import DataGenerator

    torch.set_num_threads(1)
    sizes = {"user": int(data.n_users), "hour": 24, "weekday": 7}
    sizes |= {"item": int(data.n_items) + 1, "category": int(data.n_categories) + 1}
    fields = {name: SparseFeature(name, n, shape["dim"]) for name, n in sizes.items()}
    columns = {name: getattr(data, name) for name in sizes}
    layers = {"dims": [shape["width"]] * shape["layers"], "dropout": shape["dropout"]}
    if model == "deepfm":
        network = DeepFM([*fields.values()], [*fields.values()], layers | {"activation": "relu"})
    else:
        met = {"history": "item", "history_category": "category"}
        events = [SequenceFeature(n, sizes[of], shape["dim"], "concat", of) for n, of in met.items()]
        columns |= {name: getattr(data, name) for name in met}
        targets, others = [fields["item"], fields["category"]], [fields[n] for n in ("user", "hour", "weekday")]
        weighs = {"dims": [shape["attention"]], "activation": "relu"}
        network = DIN(others, events, targets, layers, weighs)
    rate = {"lr": shape["rate"], "weight_decay": 0.0}
    trainer = CTRTrainer(network, optimizer_params=rate, n_epoch=1, device="cpu", model_path=str(folder))
    generator = DataGenerator(columns, data.label.astype("float32"))
    (batches, *_) = generator.generate_dataloader(
        x_val=columns, y_val=data.label, x_test=columns, y_test=data.label, batch_size=shape["batch"]
    )
    return Trainee(lambda: trainer.train_one_epoch(batches), lambda: [None for _ in batches])
