"""What the models that generate are configured with beside their training; imports no torch."""

from __future__ import annotations

from dataclasses import dataclass

from recbench.neural.choices import TrainParams
from recbench.params import param


@dataclass(frozen=True)
class GenerationParams(TrainParams):
    """Parameters of learning to generate, and of the search for the most probable list."""

    steps: int = param(5, "Next events that the decoder learns to generate from one history.", low=1, high=50)
    splits: int = param(
        0,
        "Points at which a training window is split into history and next events, drawn anew at every step; "
        "0: one for every `steps` events, so that an event is a target about once an epoch.",
        low=0,
        high=10_000,
    )
    behavior_weight: float = param(
        0.5, "Weight of the loss of each next event's behaviour; nothing where the data has one.", low=0.0, high=100.0
    )
    beam: int = param(10, "Lists kept at each step of the search; 1 is greedy.", low=1, high=1000)
