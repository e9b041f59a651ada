"""A generative recommender that writes the id of the next item, code by code; torch is imported when it fits or answers.

Letters: Q queries, B beams, K list length, I items, S digits of an id, V width of a vector.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from recbench.errors import RecbenchError
from recbench.model import Context, Recommendations, Recommender, Traits
from recbench.neural.choices import FitParams
from recbench.neural.recommender import TorchRecommender
from recbench.params import param
from recbench.topk import mask
from recbench_language.semantic.codes import history_vectors, residual_codes, told_of, with_digit
from recbench_language.vectors import SPREADS, ReadsText, TextParams, item_vectors, no_vectors, spread_of

if TYPE_CHECKING:
    from torch import Tensor
    from torch.utils.data import DataLoader

    from recbench.data import Queries
    from recbench.dataset import Dataset
    from recbench.neural.network import Network
    from recbench_language.semantic.beam import Written

CELLS = 1 << 23  # of queries x (beams x codes + items) held at once


@dataclass(frozen=True)
class SemanticIdParams(TextParams, FitParams):
    """What ids are made of, the shape of the network that writes them, and how its answers are searched."""

    signal: str = param(
        "text+history",
        "What ids are made of: what items say, who met them in training, or both side by side.",
        choices=("text", "history", "text+history"),
        tune=True,
    )
    spread: str = param(
        "pca",
        "Text vectors as they are (none), less their mean (centre), cut to `text_dim` main directions (pca), or with equal "
        "variance in these (whiten).",
        choices=SPREADS,
    )
    text_dim: int = param(128, "Directions of the text that pca and whiten keep.", low=1, high=4096, log=True)
    history_dim: int = param(64, "Main directions of who met what.", low=1, high=1024, log=True)
    history_weight: float = param(1.0, "Length of the history's part in lengths of the text's.", low=0.01, high=100.0)
    levels: int = param(3, "Codes of an id, before the digit that tells equal ones apart.", low=1, high=8)
    codes: int = param(256, "Most codes of a level.", low=2, high=65_536, log=True)
    dim: int = param(64, "Width of codes and states.", low=1, high=1024, tune=True, log=True)
    blocks: int = param(1, "Blocks of the encoder, and of the decoder.", low=1, high=8, tune=True)
    heads: int = param(2, "Attention heads; divides dim.", low=1, high=64)
    dropout: float = param(0.2, "Share of activations dropped in training.", low=0.0, high=0.9, tune=True)
    max_length: int = param(20, "Newest events of a history that are read.", low=1, high=10_000)
    read: str = param(
        "items",
        "Events of a history are read as the sum of their codes (items) or code by code (tokens), as in TIGER: some four "
        "times as long.",
        choices=("items", "tokens"),
    )
    epochs: int = param(20, "Most passes over the training part.", low=1, high=10_000)
    batch_size: int = param(64, "Windows of history in a batch.", low=1, high=65_536)
    patience: int = param(3, "Epochs without a better headline before training stops.", low=1, high=10_000)
    beam: int = param(20, "Beginnings of ids kept at each step of the search; 1 is greedy.", low=1, high=1000)
    dense: str = param(
        "cold",
        "What is ranked by what states and items say, without writing: nothing (off), the ids written and the items without "
        "an event in training, which are never written (cold), or all items (all).",
        choices=("off", "cold", "all"),
    )
    dense_weight: float = param(
        0.5, "Weight of the loss of ranking items at once, beside writing their ids.", low=0.0, high=100.0, tune=True
    )
    dense_share: float = param(
        0.3,
        "What ranks the ids written where dense is on: their log-probability (0), the dense one (1), as in LIGER, or what lies "
        "in between; items without an event have the dense one.",
        low=0.0,
        high=1.0,
        tune=True,
    )
    dense_negatives: int = param(512, "Items that the targets of a batch are ranked among.", low=1, high=65_536)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.dim % self.heads:
            raise RecbenchError(f"{type(self).__name__}: heads must divide dim={self.dim}; given {self.heads}")
        if self.dense != "off" and not self.dense_weight:
            raise RecbenchError(
                f"{type(self).__name__}: dense={self.dense} ranks by what dense_weight=0 leaves unlearned; raise "
                "dense_weight, or use dense=off"
            )


class Described(NamedTuple):
    """What the network is built of: ids, what items say, which items have an event, and what an entry tells of it."""

    codes_IS: NDArray
    text_IV: NDArray
    met_I: NDArray
    told: dict[str, Any]


class SemanticId(ReadsText, TorchRecommender):
    """Writes the next item's id, codes made of what items say and who met them, held to the ids that there are.

    TIGER (arXiv 2305.05065): residual codes, a last digit for items whose codes are equal, Transformers that read and
    write them, and a beam, here on a trie of the items that may be recommended, so that no id is invalid. Items that
    nobody met are hardly ever written; after LIGER (arXiv 2411.18814) they are ranked by their text, among the written ones.
    """

    Params = SemanticIdParams
    traits = Traits(sequential=True, trained=True, stochastic=True, needs_text=True)
    small = {
        "encoder": "hashed-words",
        "codes": 8,
        "levels": 2,
        "dim": 32,
        "epochs": 20,
        "batch_size": 16,
        "max_length": 10,
        "dropout": 0.0,
        "learning_rate": 1e-2,
    }
    score = Recommender.score  # it answers with lists
    described: Described | None = None
    counted: tuple[int, ...] = (0, 0, 0, 0)  # ids written, invalid ones, places of lists, repeated items in these

    def fit(self, train: Dataset, context: Context) -> None:
        """Make the ids, then train; RecbenchError where items have no text."""
        self.described = self._described(train, context)
        super().fit(train, context)
        self.described, self.counted, self.notes = None, (0, 0, 0, 0), self.facts["told"]

    def _described(self, train: Dataset, context: Context) -> Described:
        """Texts, histories and what is made of them; codes are fitted on the items met in training."""
        from threadpoolctl import threadpool_limits

        params, log = self.params, train.interactions
        count_I = np.bincount(log.item, minlength=train.n_items)
        met_I, reads = count_I > 0, "text" in params.signal
        found = item_vectors(train, params, context) if reads else no_vectors(train)
        text_IV = found.values_IV
        if reads:
            text_IV = spread_of(found, params.spread, params.text_dim, met_I)(text_IV)
        parts = [text_IV] if reads else []
        if "history" in params.signal:
            parts.append(params.history_weight * history_vectors(log, params.history_dim, context.seed))
        with threadpool_limits(context.threads):
            codes_IS = residual_codes(np.hstack(parts), params.levels, params.codes, context.seed, met_I)
        codes_IS = with_digit(codes_IS, count_I)
        told = {"language": found.told} if reads else {}
        return Described(codes_IS, text_IV, met_I, told | {"codes": told_of(codes_IS)})

    def network(self, train: Dataset) -> Network:
        import torch

        from recbench_language.semantic.network import CodeTransformer

        if self.described is None:  # a saved model is loaded
            sizes, shape = self.facts["sizes"], (train.n_items, self.facts["width"])
            blank = torch.zeros(train.n_items, len(sizes), dtype=torch.long), torch.zeros(shape)
            return CodeTransformer(*blank, torch.zeros(train.n_items, dtype=torch.bool), sizes, self.params)
        codes_IS, text_IV, met_I, told = self.described
        sizes = (codes_IS.max(axis=0) + 1).tolist()
        self.facts = {"sizes": sizes, "width": text_IV.shape[1], "told": told}
        return CodeTransformer(*(torch.from_numpy(a) for a in (codes_IS, text_IV, met_I)), sizes, self.params)

    def batches(self, train: Dataset, context: Context) -> DataLoader:
        """Windows of histories; where the board asks for new items, a user's first event with an item alone counts."""
        from recbench.neural.batches import Windows, loader

        windows = Windows(train.interactions, self.params.max_length, context.repeat == "new")
        return loader(windows, self.params.batch_size, context.seed, context.team)

    def item_shares(self, train: Dataset) -> None:
        """Nothing: no loss asks for them."""

    def recommend(self, queries: Queries, k: int) -> Recommendations:
        """The most probable ids that may be recommended, as many as the beam holds, then the best of the other items."""
        wide = self.params.beam * max(self.facts["sizes"]) + queries.n_items
        rows = max(1, CELLS // wide)
        items_QK, scores_QK = np.full((len(queries), k), -1, np.int32), np.full((len(queries), k), -np.inf, np.float32)
        with self.answering():
            for at in range(0, len(queries), rows):
                part = slice(at, at + rows)
                items, scores = self._lists(queries.take(part), k)
                items_QK[part], scores_QK[part] = items.cpu().numpy(), scores.cpu().numpy()
        self._count(listed=int((items_QK >= 0).sum()), repeated=repeated(items_QK))
        return Recommendations(items_QK, scores_QK)

    def _lists(self, queries: Queries, k: int) -> tuple[Tensor, Tensor]:
        """(Q, K) items and scores of a few queries."""
        import torch

        from recbench.neural.batches import question
        from recbench_language.semantic.beam import filled, search

        net, params, device = self.net, self.params, self.net.codes_IS.device
        nothing_QI = np.zeros((len(queries), queries.n_items), np.float32)
        closed_QI = torch.from_numpy(mask(nothing_QI, queries) == -np.inf).to(device)
        asked = question(queries, params.max_length).to(device)
        written = search(
            net, asked, closed_QI, params.beam, params.beam if params.dense == "cold" else max(k, params.beam)
        )
        real_QB = written.total_QB > -torch.inf
        odd_QB = (net.codes_IS[written.items_QB] != written.digits_QBS).any(-1) & real_QB
        self._count(written=int(real_QB.sum()), invalid=int(odd_QB.sum()))
        if params.dense_weight:
            rest_QI = net.asking(written.states_QD) @ self.vectors_ID.T
        else:
            rest_QI = written.first_QM[:, net.trie.branch_IS[:, 0]]
        rest_QI = rest_QI.float().log_softmax(-1).masked_fill(closed_QI, -torch.inf)
        if params.dense == "off":
            return filled(written.items_QB, written.total_QB, rest_QI, k)
        return filled(*self._blended(written, rest_QI, min(k, queries.n_items)), rest_QI, k)

    def _blended(self, written: Written, dense_QI: Tensor, k: int) -> tuple[Tensor, Tensor]:
        """(Q, K) the best of what was written and of what is ranked at once, and their scores, both log-probabilities."""
        import torch

        real_QB = written.total_QB > -torch.inf
        item_QB = written.items_QB.where(real_QB, written.items_QB[:, :1])  # none is real where nothing may come
        share_QB = torch.where(
            self.net.met_I[item_QB], self.params.dense_share, 1.0
        )  # unmet ids are written by accident
        blend_QB = torch.lerp(written.total_QB, dense_QI.gather(1, item_QB), share_QB)
        blend_QB = blend_QB.where(real_QB, blend_QB[:, :1]).nan_to_num(-torch.inf, neginf=-torch.inf)
        ranked_QI = dense_QI.masked_fill(self.net.met_I, -torch.inf) if self.params.dense == "cold" else dense_QI
        ranked_QI = ranked_QI.scatter(1, item_QB, blend_QB)
        total_QK, item_QK = ranked_QI.topk(k)
        return item_QK, total_QK

    def _count(self, written: int = 0, invalid: int = 0, listed: int = 0, repeated: int = 0) -> None:
        """What an entry tells of all answers since the fit."""
        added = zip(self.counted, (written, invalid, listed, repeated), strict=True)
        self.counted = written, invalid, listed, repeated = tuple(a + b for a, b in added)
        rates = {"written": written, "invalid": invalid / max(1, written), "duplicates": repeated / max(1, listed)}
        self.notes = self.facts["told"] | rates


def repeated(items_QK: NDArray) -> int:
    """How many places of lists hold an item that their list holds already."""
    items_QK = np.sort(items_QK, axis=1)
    return int(((items_QK[:, 1:] == items_QK[:, :-1]) & (items_QK[:, 1:] >= 0)).sum())
