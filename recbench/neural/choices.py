"""The names a gradient-trained model can be configured with, and its common parameters; imports no torch."""

from __future__ import annotations

from dataclasses import dataclass

from recbench.params import Params, param

LOSSES = ("softmax", "sampled")
SCHEDULES = ("constant", "warmup", "cosine")
OPTIMIZERS = ("adamw", "adam")
TARGETS = ("auto", "all", "new")
SMALL_CATALOGUE = 20_000  # items up to which loss=auto means the full softmax


@dataclass(frozen=True)
class TrainParams(Params):
    """Parameters every model trained by `TorchRecommender` has."""

    epochs: int = param(20, "Most passes over the training part.", low=1, high=10_000)
    batch_size: int = param(64, "Windows of history in a batch.", low=1, high=65_536)
    learning_rate: float = param(1e-3, "Step size of the optimizer.", low=1e-5, high=1e-1, log=True, tune=True)
    weight_decay: float = param(0.0, "Decay of the weights.", low=0.0, high=1.0)
    optimizer: str = param("adamw", "Rule of the update.", choices=OPTIMIZERS)
    schedule: str = param("constant", "Course of the learning rate.", choices=SCHEDULES)
    warmup_steps: int = param(100, "Steps of linear rise; read by warmup and cosine.", low=0, high=1_000_000)
    clip: float = param(1.0, "Largest norm of the gradient; 0 never clips.", low=0.0, high=1000.0)
    patience: int = param(3, "Epochs without a better headline before training stops.", low=1, high=10_000)
    loss: str = param(
        "auto", f"Full or sampled softmax; auto: full up to {SMALL_CATALOGUE} items.", choices=("auto", *LOSSES)
    )
    negatives: int = param(512, "Uniform negatives a batch shares; read by sampled.", low=1, high=65_536)
    targets: str = param(
        "auto",
        "Events that count in the loss: all, or a user's first with an item; auto: new on boards of new items.",
        choices=TARGETS,
    )
    target_days: float = param(
        60.0,
        "Events older than this before the end are history only, not targets; 0: none; needs a clock.",
        low=0.0,
        high=36500.0,
        unit="days",
        tune=False,
    )
    max_length: int = param(50, "Newest events of a history that are read.", low=1, high=10_000)
