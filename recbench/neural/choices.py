"""The names a gradient-trained model can be configured with, and its common parameters; imports no torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from recbench.errors import RecbenchError
from recbench.params import Params, param

if TYPE_CHECKING:
    from recbench.dataset import DatasetInfo

LOSSES = ("softmax", "sampled", "gbce", "bce", "bpr")
SAMPLING = ("uniform", "mixed", "in-batch")
SCHEDULES = ("constant", "warmup", "cosine", "plateau", "inverse-sqrt")
OPTIMIZERS = ("adamw", "adam", "adagrad", "sgd")
TARGETS = ("auto", "all", "new")
VIEWS = ("none", "cl4srec", "duorec")
INIT_ITEMS = ("auto", "always", "never")
SMALL_CATALOGUE = 20_000  # items up to which loss=auto means the full softmax


@dataclass(frozen=True)
class FitParams(Params):
    """How weights are fitted: parameters every model trained by `TorchRecommender` has."""

    epochs: int = param(100, "Most passes over the training part.", low=1, high=10_000)
    batch_size: int = param(128, "Windows of history in a batch.", low=1, high=65_536)
    learning_rate: float = param(1e-3, "Step size of the optimizer.", low=1e-5, high=1e-1, log=True, tune=True)
    weight_decay: float = param(0.0, "Decay of weight matrices; biases and norms keep theirs.", low=0.0, high=1.0)
    optimizer: str = param("adamw", "Rule of the update; sgd has Nesterov momentum .9.", choices=OPTIMIZERS)
    schedule: str = param(
        "constant",
        "Course of the learning rate; plateau halves it, cosine ends at 0 after `epochs`.",
        choices=SCHEDULES,
    )
    warmup_steps: int = param(
        100, "Steps of linear rise; read by warmup, cosine and inverse-sqrt.", low=0, high=1_000_000
    )
    plateau_patience: int = param(
        1, "Epochs without a better headline before plateau halves the rate; fewer than patience.", low=1, high=10_000
    )
    averaging: float = param(
        0.998, "Decay of the running average of the weights, which is what answers; 0: none.", low=0.0, high=0.99999
    )
    clip: float = param(1.0, "Largest norm of the gradient; 0 never clips.", low=0.0, high=1000.0)
    patience: int = param(5, "Epochs without a better headline before training stops.", low=1, high=10_000)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.schedule == "plateau" and self.plateau_patience >= self.patience:
            raise RecbenchError(
                f"{type(self).__name__}: plateau_patience={self.plateau_patience} never acts, training stops after "
                f"patience={self.patience} such epochs; lower plateau_patience or raise patience"
            )


@dataclass(frozen=True)
class LossParams(FitParams):
    """How far a target may stand behind other items: parameters of every model whose loss is one of `losses`."""

    loss: str = param(
        "auto",
        f"softmax over all items, sampled softmax, gBCE, BCE or BPR; auto: softmax up to {SMALL_CATALOGUE} items, "
        "sampled beyond.",
        choices=("auto", *LOSSES),
    )
    negatives: int = param(
        512,
        "Negatives that a few neighbouring targets share (sampled) or that each has for itself (gbce, bce, bpr).",
        low=1,
        high=65_536,
    )
    sampling: str = param(
        "mixed",
        "Where negatives of the sampled softmax come from: uniform, or mixed (half of them from the batch's own "
        "targets, with logQ correction); in-batch alone is refused.",
        choices=SAMPLING,
    )
    gbce_t: float = param(0.75, "Calibration of gBCE: 0 is BCE, 1 is calibrated.", low=0.0, high=1.0)
    temperature: float = param(1.0, "Logits are divided by it in the loss.", low=0.01, high=100.0)
    label_smoothing: float = param(
        0.0, "Share of the target spread over all items, in the losses softmax and sampled.", low=0.0, high=0.9
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.label_smoothing and self.loss not in ("auto", "softmax", "sampled"):
            raise RecbenchError(
                f"{type(self).__name__}: label_smoothing={self.label_smoothing:g} has no meaning with loss={self.loss}; "
                "use loss=softmax or sampled, or label_smoothing=0"
            )
        if self.sampling == "in-batch":
            raise RecbenchError(
                f"{type(self).__name__}: sampling=in-batch is refused: without uniform negatives most of the catalogue "
                "is never pushed down and the model collapses (ML-20M, HR@10 .0190 instead of .5354); use sampling=mixed"
            )


@dataclass(frozen=True)
class TrainParams(LossParams):
    """What windows of histories a model learns from, beside its loss and its fitting."""

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
    item_dropout: float = param(0.0, "Share of the events of a training history that are hidden.", low=0.0, high=0.9)
    crop: float = param(0.0, "Chance that a training history loses its older part.", low=0.0, high=1.0)
    reorder: float = param(0.0, "Chance that a stretch of a training history is shuffled.", low=0.0, high=1.0)
    ssl: str = param("none", "Contrastive loss beside the main one.", choices=VIEWS)
    ssl_weight: float = param(0.1, "Weight of the contrastive loss.", low=0.0, high=10.0)
    ssl_temperature: float = param(1.0, "Temperature of the contrastive loss.", low=0.01, high=100.0)
    init_from: str = param(
        "", "Key, or folder such as runs/KEY, of a finished run whose weights this one begins with; none where empty."
    )
    init_items: str = param(
        "auto",
        "Items take the vectors that their ids have in that run; auto: unless ids are mere numbers and the catalogues "
        "differ, for then one number may stand for two items.",
        choices=INIT_ITEMS,
    )


@dataclass(frozen=True)
class CausalParams(TrainParams):
    """Shape of a causal Transformer over histories, beside the parameters of its training."""

    dim: int = param(256, "Width of items and states.", low=1, high=1024, tune=True, log=True)
    blocks: int = param(1, "Attention blocks.", low=1, high=8, tune=True)
    heads: int = param(1, "Attention heads; divides dim.", low=1, high=64)
    dropout: float = param(0.5, "Share of activations dropped in training.", low=0.0, high=0.9, tune=True)
    vector_dropout: float = param(
        0.3,
        "Share of the numbers of item vectors dropped where the loss compares states with them.",
        low=0.0,
        high=0.9,
        tune=True,
        formerly=0.0,
    )
    item_bias: bool = param(True, "Each item has a bias, which starts at the log of its popularity.")
    block: str = param(
        "sasrec",
        "sasrec: pre-norm attention and GELU layer; ligr: both gated, with SwiGLU; hstu: pointwise aggregated attention "
        "with a bias by position and, where there is a clock, by time.",
        choices=("sasrec", "ligr", "hstu"),
    )
    feed_forward: int = param(
        4, "Width of the feed-forward layer, in widths of the states; hstu has none.", low=1, high=16
    )
    attention_dropout: float = param(0.0, "Share of attention weights dropped in training.", low=0.0, high=0.9)
    positions: str = param(
        "start", "Learned positions, counted from the start of the window or its end.", choices=("start", "end", "none")
    )
    time_bias: str = param(
        "auto",
        "Attention has a bias by the gap from each event to the moment of asking; auto: with hstu, where there is a clock.",
        choices=("auto", "always", "never"),
    )
    behaviors: bool = param(
        False,
        "The behaviours of a history are told apart, where the data has several; on boards of the task behavior they always are.",
    )
    input_norm: bool = param(
        False,
        "LayerNorm of what is read, as in BERT: sparse data are learned faster at first, and the end is lower.",
        formerly=False,
    )
    scale_read: bool = param(
        True,
        "Vectors of items and behaviours are read times the square root of dim, as in SASRec's own code; without it they, "
        "small at first, drown among positions and what blocks add, the more the wider they are.",
        formerly=False,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.dim % self.heads:
            raise RecbenchError(f"{type(self).__name__}: heads must divide dim={self.dim}; given {self.heads}")

    def timed(self, info: DatasetInfo) -> bool:
        """Whether attention reads times; RecbenchError where it must and the data has none."""
        real = info.clock not in ("order", "none")
        if self.time_bias == "always" and not real:
            raise RecbenchError(
                f"time_bias=always needs moments in time; data={info.name} has clock={info.clock}; use time_bias=auto"
            )
        return real and (self.time_bias == "always" or (self.time_bias == "auto" and self.block == "hstu"))
