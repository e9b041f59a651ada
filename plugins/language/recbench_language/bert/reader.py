"""A reader as the post asked about sees it: what the texts of the history have to do with it.

Letters: B questions of a batch, L history length, N distinct posts of histories, D width, H heads, W D / H, M behaviours
of the log, X what is looked up of an event (H + D), Y numbers of likeness.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from recbench_language.bert.batches import N_AGES, Batch

STD = 0.02  # of what is looked up, at first
ALIKE, SAME, STEEPNESS = (
    0.3,
    0.8,
    10.0,
)  # cosines beyond which a text is like another, and nearly the same; and how sharply
HALF_LIFE = 4.0  # events, of the first pair of heads; each further pair has one three times as long


class Reader(nn.Module):
    """Heads that compare the post with each event, by a cosine in which each direction has a gain of its own.

    Two things come of that: attention, in which there is a further place that stands for no event, and the part of each
    behaviour's events that is like the post at all, newer ones counting more. Heads begin in pairs, of which one looks for
    texts that are alike and one for those that are nearly the same.
    """

    def __init__(self, dim: int, heads: int, n_behaviors: int) -> None:
        super().__init__()
        self.heads, self.n_behaviors = heads, n_behaviors
        head_H = torch.arange(heads)
        self.gain_HD = nn.Parameter(torch.ones(heads, dim))
        self.threshold_H = nn.Parameter(torch.where(head_H % 2 == 0, ALIKE, SAME))
        self.steepness_H = nn.Parameter(torch.full((heads,), STEEPNESS))
        self.log_half_life_H = nn.Parameter(math.log(HALF_LIFE) + head_H // 2 * math.log(3.0))
        self.value = nn.Linear(dim, dim)
        self.behaviors, self.ages = nn.Embedding(n_behaviors, heads + dim), nn.Embedding(N_AGES, heads + dim)
        self.nothing_X = nn.Parameter(torch.zeros(heads + dim))
        nn.init.eye_(self.value.weight)
        for weight in (self.behaviors.weight, self.ages.weight):
            nn.init.normal_(weight, std=STD)

    @property
    def n_likeness(self) -> int:
        return self.n_behaviors * (self.heads + 1)

    def forward(self, post_BD: Tensor, event_ND: Tensor, place_BL: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
        """(B, D) what events say, each as much as its text is like the post's, and (B, Y) the likeness."""
        behavior_BL = batch.behavior_BL if self.n_behaviors > 1 else torch.zeros_like(batch.behavior_BL)
        told_BLX = self.behaviors(behavior_BL) + self.ages(batch.age_BL)
        query_BHD = F.normalize(post_BD, dim=1)[:, None] * self.gain_HD
        cosine_BLH = F.embedding(place_BL, F.normalize(event_ND, dim=1)) @ query_BHD.transpose(1, 2)
        fit_BLH = self.steepness_H * (cosine_BLH - self.threshold_H) + told_BLX[..., : self.heads]
        fit_BLH = fit_BLH.masked_fill(~batch.real_BL[:, :, None], -1e9)
        value_BLD = F.embedding(place_BL, self.value(event_ND)) + told_BLX[..., self.heads :]
        return self.attended(fit_BLH, value_BLD), self.likeness(fit_BLH, behavior_BL, batch.real_BL)

    def attended(self, fit_BLH: Tensor, value_BLD: Tensor) -> Tensor:
        """(B, D) the values by softmax of the fits, nothing being one of them."""
        nothing_B1X = self.nothing_X.expand(len(fit_BLH), 1, -1)
        weight_BLH = torch.cat([nothing_B1X[..., : self.heads], fit_BLH], dim=1).softmax(dim=1)
        values_BLHW = torch.cat([nothing_B1X[..., self.heads :], value_BLD], dim=1).unflatten(2, (self.heads, -1))
        return torch.einsum("blh,blhw->bhw", weight_BLH, values_BLHW).flatten(1)

    def likeness(self, fit_BLH: Tensor, behavior_BL: Tensor, real_BL: Tensor) -> Tensor:
        """(B, Y) by behaviour and head sum(weight * sigmoid(fit)) / (1 + sum(weight)), weights halving with each half-life
        of events that came since; by behaviour log(1 + events)."""
        is_BLM = F.one_hot(behavior_BL, self.n_behaviors).to(fit_BLH.dtype) * real_BL[:, :, None]
        since_BL = real_BL.sum(1, keepdim=True) - 1 - torch.arange(real_BL.shape[1], device=real_BL.device)
        weight_BLH = torch.exp2(-since_BL.clamp(min=0)[:, :, None] / self.log_half_life_H.exp())
        like_BMH = torch.einsum("blm,blh->bmh", is_BLM, weight_BLH * fit_BLH.sigmoid())
        part_BMH = like_BMH / (1 + torch.einsum("blm,blh->bmh", is_BLM, weight_BLH))
        return torch.cat([part_BMH.flatten(1), is_BLM.sum(1).log1p()], dim=1)


class Answer(nn.Module):
    """The logit of one behaviour: linear in the likeness, and a hidden layer over everything, which begins at nothing."""

    def __init__(self, n_in: int, n_likeness: int, width: int, drop: nn.Module) -> None:
        super().__init__()
        self.straight, self.hidden = nn.Linear(n_likeness, 1), nn.Linear(n_in + n_likeness, width)
        self.last, self.drop = nn.Linear(width, 1), drop
        for layer in (self.straight, self.last):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(self, read_BD: Tensor, likeness_BY: Tensor) -> Tensor:
        """(B, 1) the logit."""
        hidden = self.hidden(torch.cat([self.drop(read_BD), likeness_BY], dim=1)).relu()
        return self.straight(likeness_BY) + self.last(self.drop(hidden))
