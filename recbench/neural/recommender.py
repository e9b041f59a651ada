"""The base of every model trained by gradients; torch and Lightning are imported when it fits or answers.

Letters: Q queries, I items, D width.
"""

from __future__ import annotations

import json
from abc import abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from recbench.data import Queries
from recbench.model import Context, Recommender
from recbench.neural.choices import TrainParams

if TYPE_CHECKING:
    from torch import Tensor
    from torch.utils.data import DataLoader

    from recbench.dataset import Dataset
    from recbench.neural.network import Network

POSITIONS = 1 << 13  # of histories encoded at once: what is made of more falls out of a processor's caches


class TorchRecommender(Recommender):
    """A subclass names its `Params`, its `traits`, and builds its network; the rest is done here.

    A model of histories as sequences has `TrainParams`; one that learns from other batches has `FitParams` or
    `LossParams`, makes its own `batches` and `states`, and its network its own `loss`.

    After `fit`: `chosen_epochs` (the best epoch, from 1; the last where nothing evaluates; 0 where not one epoch was
    completed), `stopped_by` (epochs, patience, max_minutes or interrupted) and `curve`, [epoch, headline, loss] rows.
    """

    Params = TrainParams
    net: Any = None
    vectors_ID: Any = None  # of all items, while answering
    n_items: int = 0
    item_ids: Any = ()
    facts: dict[str, Any] = {}
    stopped_by: str = ""
    curve: list[list[float]] = []

    @abstractmethod
    def network(self, train: Dataset) -> Network:
        """The untrained `recbench.neural.network.Network`.

        On loading, `train` has `n_items` and nothing else. What else the shape of the network depends on goes into
        `self.facts`, a dict that JSON can hold, where `train` is whole; it is saved, and there again on loading.
        """

    def fit(self, train: Dataset, context: Context) -> None:
        """Train, select the best epoch by `context.evaluate`, continue `context.folder` where `context.resume`."""
        import torch

        from recbench.neural.training import train_network
        from recbench.neural.transfer import begin_with

        torch.set_num_threads(context.threads)
        torch.manual_seed(context.seed)
        self.n_items, self.item_ids, self.facts = train.n_items, train.item_ids, {}
        self.net = self.network(train)
        if isinstance(self.params, TrainParams) and self.params.init_from:
            selected = context.evaluate is not None
            past = context.past_run(self.params.init_from, selected)
            begin_with(past, selected, self.net, self.item_ids, self.params)
        self.n_parameters = sum(w.numel() for w in self.net.parameters() if w.requires_grad)
        train_network(self, train, context)

    def batches(self, train: Dataset, context: Context) -> DataLoader:
        """The training batches, here of windows of histories. The sampler yields rows of the data, of each batch this
        process's share: in an order that seed and epoch (`set_epoch`) fix, and once without its first `skip` batches."""
        from recbench.neural.batches import Windows, loader

        since, reads = self.targets_since(train), self.net.reads
        windows = Windows(train.interactions, self.params.max_length, self.new_only(context), since, reads)
        return loader(windows, self.params.batch_size, context.seed, context.team)

    def new_only(self, context: Context) -> bool:
        """Whether of a user's events with an item the first alone is a target."""
        return self.params.targets == "new" or (self.params.targets == "auto" and context.repeat == "new")

    def targets_since(self, train: Dataset) -> int | None:
        """The moment from which events are targets; None where all are: a shop's demand drifts, its histories do not."""
        days = self.params.target_days
        if not days or train.info.clock in ("order", "none"):
            return None
        return int(train.interactions.time[-1]) - round(days * 86400)

    def item_shares(self, train: Dataset) -> Tensor | None:
        """(I,) float32 each item's share of the distinct (user, item) pairs among the targets, one added to each count;
        None where a model is being loaded."""
        import torch

        log = getattr(train, "interactions", None)
        if log is None:
            return None
        since = self.targets_since(train)
        log = log if since is None else log.where(log.time >= since)
        pairs = np.unique(log.user.astype(np.int64) * train.n_items + log.item)
        counts_I = np.bincount(pairs % train.n_items, minlength=train.n_items) + 1.0
        return torch.from_numpy((counts_I / counts_I.sum()).astype(np.float32))

    @contextmanager
    def answering(self) -> Iterator[None]:
        """Around calls of `score` between which nothing is learned: the vectors of all items are computed once."""
        import torch

        if self.vectors_ID is not None:  # somebody further out is answering already
            yield
            return
        training = self.net.training
        self.net.eval()
        try:
            with torch.no_grad():
                self.vectors_ID = self.net.item_vectors().float()
                yield
        finally:
            self.vectors_ID = None
            self.net.train(training)

    def score(self, queries: Queries) -> NDArray:
        """(Q, I) float32 from the newest max_length items of each history; an empty one scores by the start token."""
        import torch

        with self.answering():
            states_QD, bias_I = self.states(queries), self.net.item_bias
            if bias_I is None:
                return (states_QD @ self.vectors_ID.T).cpu().numpy()
            return torch.addmm(bias_I.float(), states_QD, self.vectors_ID.T).cpu().numpy()

    def states(self, queries: Queries) -> Tensor:
        """(Q, D) what the network makes of each history, in batches of like length."""
        import torch

        from recbench.neural.batches import question

        order = np.argsort(queries.items.lengths, kind="stable")
        states_QD = self.vectors_ID.new_empty(len(order), self.vectors_ID.shape[1])
        longest = min(self.params.max_length, int(queries.items.lengths.max(initial=0)))
        n_rows = max(1, POSITIONS // (longest + 1))
        for at in range(0, len(order), n_rows):
            rows = order[at : at + n_rows]
            asked = question(queries.take(rows), self.params.max_length, self.net.reads)
            states_QD[torch.from_numpy(rows)] = self.net.last(asked.to(states_QD.device)).float()
        return states_QD

    def save(self, folder: Path) -> None:
        """weights.safetensors, params.json, model.json, ids of the items, `records` where there are any; never pickle."""
        from safetensors.torch import save_file

        from recbench.neural.transfer import write_ids

        folder.mkdir(parents=True, exist_ok=True)
        weights = {name: value.detach().cpu().contiguous() for name, value in self.net.state_dict().items()}
        save_file(weights, folder / "weights.safetensors")
        write_ids(folder, self.item_ids)
        facts = {"n_items": self.n_items, "chosen_epochs": self.chosen_epochs, "stopped_by": self.stopped_by}
        facts["facts"] = self.facts
        (folder / "model.json").write_text(json.dumps(facts, indent=2))
        (folder / "params.json").write_text(json.dumps(self.params.as_dict(), indent=2, sort_keys=True))
        if any(getattr(self, name) is not None for name in self.records):
            self.write_arrays(folder)
        else:
            (folder / "arrays.npz").unlink(missing_ok=True)

    @classmethod
    def load(cls, folder: Path) -> TorchRecommender:
        """The model that `save` left in `folder`."""
        from safetensors.torch import load_file

        from recbench.neural.transfer import read_ids

        model = cls(cls.Params.of(json.loads((folder / "params.json").read_text())))
        for name, value in json.loads((folder / "model.json").read_text()).items():
            setattr(model, name, value)
        model.item_ids = read_ids(folder)
        catalogue: Any = SimpleNamespace(n_items=model.n_items)
        model.net = model.network(catalogue)
        model.net.load_state_dict(load_file(folder / "weights.safetensors"))
        model.net.eval()
        if (folder / "arrays.npz").exists():
            model.read_arrays(folder)
        return model
