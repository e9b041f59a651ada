"""The causal Transformer that also says how likely a user is to do it: a head over its states and the items asked about.

Letters: B windows, L length, D width, I items, N chosen items, Q questions, G most questions of a window, M behaviours of the log,
T behaviours asked about, K plain inputs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from recbench.neural.causal import INIT_STD, CausalTransformer
from recbench.neural.columns import Column
from recbench.neural.dropout import Dropout
from recbench.neural.losses import loss_of

if TYPE_CHECKING:
    from recbench.neural.batches import Batch
    from recbench_sequential.lessons import Lesson
    from recbench_sequential.transformer import TransformerParams

DOUBLINGS = 20.0  # of a gap that count as one: twelve days, in seconds


class Found(nn.Module):
    """Attention of the items asked about to the events of their windows, as deep interest networks have it (arXiv
    1706.06978), with softmax; the start token is where nothing is found."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.norm, self.query, self.key_value = nn.LayerNorm(dim), nn.Linear(dim, dim), nn.Linear(dim, 2 * dim)

    def forward(self, events_BLD: Tensor, item_QD: Tensor, window_Q: Tensor, place_Q: Tensor) -> Tensor:
        """(Q, D) of the start token and the events before each question; those of a window stand together."""
        n_windows, length, dim = events_BLD.shape
        count_B = window_Q.bincount(minlength=n_windows)
        nth_Q = torch.arange(len(window_Q), device=window_Q.device) - (count_B.cumsum(0) - count_B)[window_Q]
        at, shape = (window_Q, nth_Q), (n_windows, max(1, int(count_B.max())))
        query_BGD = events_BLD.new_zeros(*shape, dim).index_put(at, self.query(item_QD))
        place_BG = place_Q.new_zeros(shape).index_put(at, place_Q)
        seen_BGL = torch.arange(length, device=place_Q.device) <= place_BG.unsqueeze(-1)
        key_BLD, value_BLD = self.key_value(self.norm(events_BLD)).chunk(2, dim=2)
        return F.scaled_dot_product_attention(query_BGD, key_BLD, value_BLD, seen_BGL)[at]


class BehaviorTransformer(CausalTransformer):
    """`known_I`: the items with a row of their own; the others share one, which is learned by forgetting who an item is.

    The head reads the state, the item's vector, their product, what the item finds in the events (`Found`), and plain
    inputs: the share of each behaviour among the events read, how often each was shown to the item asked about, how many events
    there are, how old the newest one is; and the statistics where there are any.
    """

    def __init__(
        self,
        n_items: int,
        params: TransformerParams,
        share_I: Tensor | None,
        columns: Sequence[Column],
        known_I: NDArray | None,
        facts: dict[str, Any],
    ) -> None:
        super().__init__(n_items, params, share_I, columns, known_I, facts["behaviors"], facts["time"])
        if not columns:
            known = torch.ones(n_items) if known_I is None else torch.from_numpy(known_I).float()
            self.register_buffer("known_I", known)
        self.forgotten, self.n_behaviors = params.id_dropout, facts["behaviors"]
        self.unknown, self.found = nn.Parameter(torch.zeros(params.dim)), Found(params.dim)
        wide, out = (
            nn.Linear(4 * params.dim + 2 * self.n_behaviors + 2 + facts["statistics"], params.dim),
            nn.Linear(params.dim, len(facts["targets"])),
        )
        nn.init.normal_(out.weight, std=INIT_STD)
        self.head = nn.Sequential(wide, nn.GELU(), Dropout(params.dropout), out)

    def begun(self, rate_T: NDArray) -> BehaviorTransformer:
        """The network whose first answers are near the rates of the training part."""
        with torch.no_grad():
            self.head[-1].bias.copy_(torch.from_numpy(rate_T).logit())  # type: ignore[union-attr]
        return self

    def item_vectors(self, item_N: Tensor | None = None) -> Tensor:
        """(N, D) as in the parent, with the shared row for items without their own."""
        if item_N is not None and item_N.numel() > self.items.num_embeddings:
            return F.embedding(item_N, self.item_vectors())
        known_N = self.known_I if item_N is None else self.known_I[item_N]
        own_ND = self.items.weight if item_N is None else F.embedding(item_N, self.items.weight)
        return self.with_columns(torch.where(known_N.bool().unsqueeze(-1), own_ND, self.unknown), item_N)

    def with_columns(self, vectors_ND: Tensor, item_N: Tensor | None) -> Tensor:
        """(N, D) the vectors and what the columns of the items add."""
        for column in self.columns:
            vectors_ND = vectors_ND + column(item_N)
        return vectors_ND

    def read_vectors(self, item_N: Tensor) -> Tensor:
        """`item_vectors`; in training some items are taken for unknown ones, each by chance."""
        if not self.training or not self.forgotten:
            return self.item_vectors(item_N)
        lost_N = torch.rand(item_N.shape, device=item_N.device) < self.forgotten
        n_items = self.items.num_embeddings
        if item_N.numel() > n_items:
            unknown_ID = self.with_columns(self.unknown.expand(n_items, -1), None)
            return F.embedding(item_N + n_items * lost_N, torch.cat([self.item_vectors(), unknown_ID]))
        unknown_ND = self.with_columns(self.unknown.expand(*item_N.shape, -1), item_N)
        return torch.where(lost_N.unsqueeze(-1), unknown_ND, self.item_vectors(item_N))

    def loss(self, batch: Lesson, params: TransformerParams, share_I: Tensor | None) -> tuple[Tensor, int]:
        """Binary cross-entropy, the mean of questions and behaviours, and the weighted next-item loss, the mean of targets;
        and the number of questions."""
        assert batch.outcome_QT is not None
        states_BLD = self.encode(batch.windows)
        logits_QT = self.logits(states_BLD[batch.window_Q, batch.place_Q], batch).float()
        loss = F.binary_cross_entropy_with_logits(logits_QT, batch.outcome_QT, reduction="sum")
        loss = loss / max(1, batch.outcome_QT.numel())
        if params.next_item_weight:
            asked = self.asked_of(states_BLD, batch.windows)
            loss = loss + params.next_item_weight * loss_of(asked, self, params, share_I)
        return loss, len(batch.item_Q)

    def answers(self, lesson: Lesson) -> Tensor:
        """(Q, T) logits of questions that are put at the end of their windows."""
        return self.logits(self.last(lesson.windows)[lesson.window_Q], lesson)

    def logits(self, states_QD: Tensor, lesson: Lesson) -> Tensor:
        """(Q, T) of the states at which the questions are put."""
        item_QD = self.read_vectors(lesson.item_Q) * self.scale
        found_QD = self.found(self.events(lesson.windows), item_QD, lesson.window_Q, lesson.place_Q)
        return self.head(torch.cat([states_QD, item_QD, states_QD * item_QD, found_QD, self.plain(lesson)], dim=1))

    def plain(self, lesson: Lesson) -> Tensor:
        """(Q, K) what is counted in the events that each question knows, and what else is told of it."""
        shown_MBL = self.shown(lesson.windows)
        place_L = torch.arange(shown_MBL.shape[2], device=shown_MBL.device)
        known_QL = place_L <= lesson.place_Q[:, None]
        same_QL = (lesson.windows.items_BL[lesson.window_Q] == lesson.item_Q[:, None]) & known_QL
        share_MQ = shown_MBL.cumsum(2)[:, lesson.window_Q, lesson.place_Q] / lesson.place_Q.clamp(min=1)
        met_MQ = torch.stack([(same_QL * shown_BL[lesson.window_Q]).sum(1) for shown_BL in shown_MBL])
        parts = [share_MQ.T, met_MQ.log1p().T, lesson.place_Q[:, None].to(self.unknown.dtype).log1p()]
        parts += [lesson.gap_Q[:, None] / DOUBLINGS]
        return torch.cat(parts if lesson.statistics_QK is None else [*parts, lesson.statistics_QK], dim=1)

    def shown(self, windows: Batch) -> Tensor:
        """(M, B, L) 1 where an event read is of each behaviour, 0 elsewhere; the start token is of none."""
        event_BL = (windows.items_BL < self.items.num_embeddings).to(self.unknown.dtype)
        if windows.behaviors_BL is None:
            return event_BL[None]
        behavior_M11 = torch.arange(self.n_behaviors, device=event_BL.device)[:, None, None]
        return (windows.behaviors_BL == behavior_M11) * event_BL
