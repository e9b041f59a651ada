"""A causal language model tuned to the answers of a few prompts by low-rank adapters (LoRA, arXiv 2106.09685).

After TALLRec (arXiv 2305.00447): the loss is the cross-entropy of the answer token alone, nothing is learned of the prompt's
own words. Letters: N shots, P prompts of a batch, T tokens, W words of the vocabulary.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pytorch_lightning as pl
import torch
from numpy.typing import NDArray
from peft import LoraConfig, get_peft_model
from pytorch_lightning.callbacks import Callback
from torch.utils.data import DataLoader

from recbench.errors import RecbenchError
from recbench.neural.trainer import Unwatched, quiet
from recbench_language.prompts.reading import Reader, padded

if TYPE_CHECKING:
    from torch import Tensor

TARGETS = ["q_proj", "v_proj"]
HELD_OUT = 4  # one shot in so many decides when training ends, where nothing else does


@dataclass(frozen=True)
class How:
    """How adapters learn; `epochs`: at most, or where `fixed` exactly so many."""

    rank: int
    learning_rate: float
    batch_size: int
    epochs: int
    patience: int
    seed: int
    fixed: bool


class Answering(pl.LightningModule):
    """The model, learning to answer."""

    def __init__(self, model: Any, learning_rate: float) -> None:
        super().__init__()
        self.model, self.learning_rate = model, learning_rate

    def training_step(self, batch: tuple[Tensor, ...], _: int) -> Tensor:
        """Mean cross-entropy over the whole vocabulary at the place of the answer."""
        tokens_PT, mask_PT, place_PT, answer_P = batch
        return torch.nn.functional.cross_entropy(self.logits(tokens_PT, mask_PT, place_PT), answer_P)

    def logits(self, tokens_PT: Tensor, mask_PT: Tensor, place_PT: Tensor) -> Tensor:
        """(P, W) of the token behind each row."""
        told = {"attention_mask": mask_PT, "position_ids": place_PT, "use_cache": False}
        return self.model(input_ids=tokens_PT, logits_to_keep=1, **told).logits[:, -1]

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Adam over the adapters."""
        return torch.optim.AdamW(
            [p for p in self.parameters() if p.requires_grad], lr=self.learning_rate, weight_decay=0
        )


@dataclass
class Watch(Callback):
    """Judges the held-out shots after every epoch by the log loss of Yes against No, keeps the best adapters, and ends."""

    held_out: list[tuple[Tensor, ...]]
    answers: list[int]
    patience: int
    best: float = np.inf
    best_epoch: int = 0
    weights: dict[str, Tensor] = field(default_factory=dict)

    def on_train_epoch_end(self, trainer: pl.Trainer, module: Any) -> None:
        if not self.held_out:
            return
        loss, epoch = self._loss(module), trainer.current_epoch + 1
        if loss < self.best:
            self.best, self.best_epoch = loss, epoch
            self.weights = {name: p.detach().clone() for name, p in module.named_parameters() if p.requires_grad}
        trainer.should_stop = epoch - self.best_epoch >= self.patience

    def _loss(self, module: Any) -> float:
        losses = []
        with torch.no_grad():
            for *tokens, answer_P in self.held_out:
                logits_P2 = module.logits(*tokens)[:, self.answers]
                right_P = (answer_P == self.answers[1]).long()
                losses.append(torch.nn.functional.cross_entropy(logits_P2, right_P, reduction="none"))
        return float(torch.cat(losses).mean())


def tuned(reader: Reader, ids: Sequence[Sequence[int]], true_N: NDArray, how: How) -> tuple[int, dict[str, Tensor]]:
    """Put adapters into the reader's model that answer shots as they came out; the epochs they took, and the adapters.

    Where `how.fixed` all shots are learned from; else the last of them in `HELD_OUT` decide after which epoch it ends.
    """
    with torch.random.fork_rng(devices=[]), quiet():
        torch.manual_seed(how.seed)
        module = Answering(adapted(reader.model, how.rank), how.learning_rate)
        module.train()
        n = len(ids) if how.fixed else len(ids) - len(ids) // HELD_OUT
        answer_N = np.where(true_N, *reader.answers)
        shots = [(row, int(answer)) for row, answer in zip(ids, answer_N, strict=True)]
        held_out = [batch_of(shots[at : at + how.batch_size]) for at in range(n, len(shots), how.batch_size)]
        watch = Watch(held_out, reader.answers, how.patience)
        loader = DataLoader(shots[:n], how.batch_size, shuffle=True, collate_fn=batch_of)  # type: ignore[arg-type]
        pl.Trainer(
            accelerator="cpu", max_epochs=how.epochs, callbacks=[watch], logger=False, profiler=Unwatched(),
            enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False,
        ).fit(module, loader)  # fmt: skip
    weights = watch.weights or {name: p.detach().clone() for name, p in module.named_parameters() if p.requires_grad}
    module.load_state_dict(weights, strict=False)
    reader.model = module.model.merge_and_unload().eval()
    return watch.best_epoch or how.epochs, {name.removeprefix("model."): weight for name, weight in weights.items()}


def batch_of(shots: Sequence[tuple[Sequence[int], int]]) -> tuple[Tensor, ...]:
    """(P, T) tokens, mask and places, and (P,) the token that answers."""
    return *padded([ids for ids, _ in shots]), torch.tensor([answer for _, answer in shots])


def adapted(model: Any, rank: int) -> Any:
    """The model with adapters that change nothing yet."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # peft asks transformers by names of yesterday
        return get_peft_model(
            model, LoraConfig(r=rank, lora_alpha=2 * rank, target_modules=TARGETS, task_type="CAUSAL_LM")
        )


def put_back(reader: Reader, weights: dict[str, Tensor], rank: int) -> None:
    """Put adapters that were saved into the reader's model."""
    model = adapted(reader.model, rank)
    wanted = {name for name, weight in model.named_parameters() if weight.requires_grad}
    shapes = dict(model.named_parameters())
    if set(weights) != wanted or any(weights[name].shape != shapes[name].shape for name in wanted):
        raise RecbenchError("the saved adapters belong to another language model; run it again with this one")
    model.load_state_dict(weights, strict=False)
    reader.model = model.merge_and_unload().eval()
