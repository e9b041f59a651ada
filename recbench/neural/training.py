"""Training in a Lightning Trainer: steps, epochs, selection, checkpoints, and resumption to the last bit.

Nothing random outlives a step: the order of batches comes from (seed, epoch), dropout and negatives from (seed, step).
So a checkpoint of weights, optimizer and counters is the whole state, and a killed run ends as an unbroken one would.

Letters: I items.
"""

from __future__ import annotations

import copy
import math
import os
import time
from typing import TYPE_CHECKING, Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities.seed import isolate_rng
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from recbench.errors import RecbenchError
from recbench.machine import keep_freed_memory
from recbench.neural.choices import FitParams
from recbench.neural.network import Network
from recbench.neural.optim import falls, optimizer, share_of_rate
from recbench.neural.team import add_up_gradients, take_buffers_of_the_first
from recbench.neural.trainer import compiled, first_ctrl_c, quiet, trainer

if TYPE_CHECKING:
    from recbench.dataset import Dataset
    from recbench.model import Context, Team
    from recbench.neural.recommender import TorchRecommender

LAST = "last.ckpt"
BEST = "best.safetensors"


class Halt(Exception):
    """Leaves the Trainer between two steps; the argument says why."""


class Steps(pl.LightningModule):
    """One optimisation step: the network's loss, and the running average of the weights."""

    share_I: Tensor | None

    def __init__(self, network: Network, params: FitParams, share_I: Tensor | None, n_steps: int, team: Team) -> None:
        super().__init__()
        self.network, self.params, self.n_steps, self.team = network, params, n_steps, team
        self.register_buffer("share_I", share_I, persistent=False)
        self.average = copy.deepcopy(network).requires_grad_(False) if params.averaging else None
        self.norms = batch_norms(self.average), batch_norms(network)

    def __setattr__(self, name: str, value: Any) -> None:
        """The name of a hook, which Lightning leaves here dozens of times a step, is no weight that torch need register."""
        if name == "_current_fx_name":
            object.__setattr__(self, name, value)
        else:
            super().__setattr__(name, value)

    @property
    def answering(self) -> Network:
        """The network that answers: the average where there is one."""
        return self.network if self.average is None else self.average

    def take_in(self, step: int) -> None:
        """Move the average a little towards the weights; the first steps weigh more, or it would remember the start."""
        if self.average is not None:
            decay = min(self.params.averaging, (1 + step) / (10 + step))
            sides = zip((self.average, self.network), self.norms, strict=True)
            mean, now = ([*side.parameters(), *met(norms)] for side, norms in sides)
            get_ema_multi_avg_fn(decay)(mean, now, step)  # type: ignore[arg-type]

    def take_buffers(self) -> None:
        """What is counted or looked up is not averaged: the average answers with the newest."""
        if self.average is not None:
            own = {id(buffer) for buffer in met(self.norms[0])}
            for mean, now in zip(self.average.buffers(), self.network.buffers(), strict=True):
                if id(mean) not in own:
                    mean.copy_(now)

    def training_step(self, batch: Any, _: int) -> Tensor:
        loss, n_targets = self.network.loss(batch, self.params, self.share_I)
        if self.team.size == 1:
            return loss
        return loss * n_targets / max(1, sum(self.team.gather(n_targets)))  # adds up to the mean over all of them

    def on_after_backward(self) -> None:
        if self.team.size > 1:
            add_up_gradients(self.network)

    def configure_optimizers(self) -> Any:
        # A fused update would undo the scaling of 16-mixed by itself, too late for clipping.
        return optimizer(self.network, self.params, fused=self.trainer.precision != "16-mixed")

    def configure_gradient_clipping(self, optimizer: Any, gradient_clip_val: Any = None, *_: Any, **__: Any) -> None:
        """Here, because Lightning refuses to clip for fused optimizers under bf16-mixed too, which scales nothing."""
        if gradient_clip_val:
            torch.nn.utils.clip_grad_norm_(self.network.parameters(), gradient_clip_val)


def batch_norms(network: nn.Module | None) -> list[nn.Module]:
    """Its batch norms, in the order of its modules."""
    modules = [] if network is None else network.modules()
    return [module for module in modules if isinstance(module, nn.modules.batchnorm._BatchNorm)]


def met(norms: list[nn.Module]) -> list[Tensor]:
    """The running means and variances of batch norms, which belong to the weights they were met with: they are averaged as
    those are, for with the newest the average of older weights answers badly."""
    both = (buffer for norm in norms for buffer in (norm.running_mean, norm.running_var))
    return [buffer for buffer in both if isinstance(buffer, Tensor)]


class Watch(pl.Callback):
    """Seeds each step; at each epoch's end asks for the headline, keeps the best weights, and writes the checkpoint."""

    def __init__(self, model: TorchRecommender, context: Context, sampler: Any) -> None:
        self.model, self.context, self.sampler = model, context, sampler
        self.deadline = math.inf if context.max_minutes is None else time.monotonic() + 60 * context.max_minutes
        self.interrupted = False
        self.curve: list[list[float]] = []  # epoch, headline (NaN where nothing evaluates), loss
        self.best: dict[str, Tensor] = {}
        self.best_epoch = self.batches = 0
        self.cpu_before, self.began = 0.0, time.process_time()
        self.loss_sum = torch.zeros((), dtype=torch.float64)

    def state_dict(self) -> dict[str, Any]:
        names = ("curve", "best", "best_epoch", "batches", "loss_sum")
        cpu = self.cpu_before + time.process_time() - self.began
        return {name: getattr(self, name) for name in names} | {"cpu_before": cpu}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.__dict__.update(state_dict)
        self.sampler.skip = self.batches

    @property
    def patience_is_over(self) -> bool:
        return bool(self.best_epoch) and len(self.curve) - self.best_epoch >= self.model.params.patience

    def on_train_start(self, trainer: pl.Trainer, pl_module: Any) -> None:
        trainer.should_stop = self.patience_is_over

    def on_train_batch_start(self, trainer: pl.Trainer, pl_module: Any, batch: Any, batch_idx: int) -> None:
        own = self.context.team.number * 10**12  # each process draws for its own share
        seed_step((self.context.seed * 10**6 + trainer.global_step + own) % 2**63, pl_module.device)
        n_falls = sum(epoch <= len(self.curve) for epoch in self.rate_falls)
        share = share_of_rate(self.model.params, trainer.global_step, pl_module.n_steps, n_falls)
        for group in trainer.optimizers[0].param_groups:
            group["lr"] = share * self.model.params.learning_rate * group["rate"]

    @property
    def rate_falls(self) -> tuple[int, ...]:
        """The epochs after which plateau halves the rate; where nothing evaluates, those of the training it repeats."""
        if self.context.evaluate is None:
            return self.context.rate_falls
        return falls([headline for _, headline, _ in self.curve], self.model.params.plateau_patience)

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        self.batches = batch_idx + 1
        pl_module.take_in(trainer.global_step)
        shares, reasons = zip(*self.context.team.gather((float(outputs["loss"]), self.reason)), strict=True)
        self.loss_sum += sum(shares)
        if not trainer.is_last_batch and reasons[0]:
            self.write(trainer)
            raise Halt(reasons[0])

    @property
    def reason(self) -> str:
        """Why training must end now, empty where it need not."""
        return "interrupted" if self.interrupted else "max_minutes" if time.monotonic() >= self.deadline else ""

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: Any) -> None:
        epoch, loss = trainer.current_epoch + 1, float(self.loss_sum) / max(1, self.batches)
        if not math.isfinite(loss):
            raise RecbenchError(f"training diverged: the loss of epoch {epoch} is {loss}; lower model.learning_rate")
        self.judge(pl_module, epoch, loss)
        self.batches, self.loss_sum = 0, torch.zeros((), dtype=torch.float64)
        self.write(trainer)
        trainer.should_stop = self.patience_is_over
        reason = self.context.team.gather(self.reason)[0]  # one process decides, or some would wait for others
        if reason and not trainer.should_stop and epoch < (trainer.max_epochs or 0):
            raise Halt(reason)

    def judge(self, module: Steps, epoch: int, loss: float) -> None:
        """Evaluate, report, and keep the weights where they are the best so far."""
        values, headline = {"loss": loss}, math.nan
        if self.context.team.size > 1:
            take_buffers_of_the_first(module)
        module.take_buffers()
        if self.context.evaluate is not None:
            module.eval()
            self.model.net = module.answering
            with torch.no_grad(), isolate_rng():
                headline = float(self.context.evaluate(self.model))
            module.train()
            module.log("headline", headline)
            values = {"headline": headline, "loss": loss}
            if not self.best_epoch or headline > self.curve[self.best_epoch - 1][1]:
                self.keep(module, epoch)
        self.curve.append([epoch, headline, loss])
        self.context.report(epoch, values)

    def keep(self, module: Steps, epoch: int) -> None:
        self.best_epoch = epoch
        self.best = {name: value.detach().cpu().clone() for name, value in module.answering.state_dict().items()}
        if self.context.folder is not None and not self.context.team.number:
            from safetensors.torch import save_file

            self.context.folder.mkdir(parents=True, exist_ok=True)
            save_file(self.best, self.context.folder / f"{BEST}.new")
            os.replace(self.context.folder / f"{BEST}.new", self.context.folder / BEST)

    def write(self, trainer: pl.Trainer) -> None:
        """The checkpoint appears whole or not at all."""
        if self.context.folder is not None and not self.context.team.number:
            self.context.folder.mkdir(parents=True, exist_ok=True)
            trainer.save_checkpoint(self.context.folder / f"{LAST}.new")
            os.replace(self.context.folder / f"{LAST}.new", self.context.folder / LAST)


def seed_step(seed: int, device: torch.device) -> None:
    """Seed the processor and the device in use: `torch.manual_seed` notes the stack for each kind of device that has not
    begun yet, which takes longer than a step of a small network, and keeps it."""
    torch.default_generator.manual_seed(seed)
    if device.type != "cpu":
        torch.get_device_module(device).manual_seed(seed)


def train_network(model: TorchRecommender, train: Dataset, context: Context) -> None:
    """Train `model.net` in place; leaves `chosen_epochs`, `stopped_by` and `curve`. KeyboardInterrupt after Ctrl-C."""
    params = model.params
    if {"cuda": torch.cuda, "mps": torch.mps}.get(context.device, torch.cpu).is_available() is False:
        raise RecbenchError(f"trainer.device={context.device} is not available on this machine; use trainer.device=cpu")
    model.chosen_epochs, model.stopped_by, model.curve = 0, "epochs", []
    batches = model.batches(train, context)
    if not len(batches):
        return
    epochs = params.epochs if context.evaluate is not None or context.epochs is None else context.epochs
    watch = Watch(model, context, batches.sampler)
    steps = Steps(model.net, params, model.item_shares(train), params.epochs * len(batches), context.team)
    path = context.folder / LAST if context.folder is not None else None
    resume = str(path) if context.resume and path is not None and path.is_file() else None
    keep_freed_memory(large=True)
    with quiet(), first_ctrl_c(watch), compiled(model.net, context.compile):
        try:
            trainer(watch, context, params, epochs).fit(steps, batches, ckpt_path=resume, weights_only=True)
        except Halt as halt:
            model.stopped_by = str(halt)
        except SystemExit as end:  # Lightning's answer to a second Ctrl-C, and to SIGTERM
            if watch.interrupted:
                raise KeyboardInterrupt from end
            raise
    if watch.patience_is_over and len(watch.curve) < epochs:
        model.stopped_by = "patience"
    steps.take_buffers()
    model.net = steps.network
    model.net.load_state_dict(watch.best or steps.answering.state_dict())
    model.net.eval()
    model.curve, model.chosen_epochs = watch.curve, watch.best_epoch or len(watch.curve)
    model.rate_falls = watch.rate_falls
    model.cpu_before = watch.cpu_before
    if model.stopped_by == "interrupted":
        raise KeyboardInterrupt
