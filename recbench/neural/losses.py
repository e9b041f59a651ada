"""What a model is trained to make small: softmax over all items, or over the target and shared negatives.

Letters: P positions that count, D width, I items, N negatives.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

CELLS = 1 << 25  # logits held at once; beyond, they are computed again on the way back


def full_softmax(hidden_PD: Tensor, target_P: Tensor, weights_ID: Tensor) -> Tensor:
    """Mean cross-entropy over all items; memory never holds more than `CELLS` logits."""
    rows = max(1, CELLS // len(weights_ID))
    if len(hidden_PD) <= rows:
        return F.cross_entropy((hidden_PD @ weights_ID.T).float(), target_P)

    def part(hidden: Tensor, target: Tensor, weights: Tensor) -> Tensor:
        return F.cross_entropy((hidden @ weights.T).float(), target, reduction="sum")

    parts = zip(hidden_PD.split(rows), target_P.split(rows), strict=True)
    sums = [checkpoint(part, h, t, weights_ID, use_reentrant=False, preserve_rng_state=False) for h, t in parts]
    return torch.stack(sums).sum() / len(target_P)


def sampled_softmax(
    hidden_PD: Tensor, target_P: Tensor, weights_ID: Tensor, negatives: int, prior_I: Tensor | None = None
) -> Tensor:
    """Mean cross-entropy of the target against N items shared by all positions, an estimate of the full softmax.

    Half of the negatives are uniform and half follow `prior_I`, the shares of the items in the training part; each is
    weighted by one over its expected count, N q (logQ correction: Bengio, Senecal 2008, doi 10.1109/TNN.2007.912312).
    Uniform negatives alone rarely show the head of the catalogue, where the top of every list is decided. A negative
    that is the position's target is masked.
    """
    n_items, half = len(weights_ID), negatives // 2 if prior_I is not None else 0
    negative_N = torch.randint(n_items, (negatives - half,), device=target_P.device)
    share_I = torch.full((n_items,), 1 / n_items, device=target_P.device)
    if prior_I is not None and half:
        negative_N = torch.cat([negative_N, torch.multinomial(prior_I, half, replacement=True)])
        share_I = (half * prior_I + (negatives - half) / n_items) / negatives
    chosen = F.embedding(torch.cat([target_P, negative_N]), weights_ID).to(hidden_PD.dtype)
    target_PD, negative_ND = chosen.split([len(target_P), negatives])
    positive_P = (hidden_PD * target_PD).sum(-1).float()
    logits_PN = (hidden_PD @ negative_ND.T).float() - (negatives * share_I[negative_N]).log()
    logits_PN = logits_PN.masked_fill(negative_N == target_P[:, None], -torch.inf)
    total_P = torch.logaddexp(positive_P, logits_PN.logsumexp(-1))
    return (total_P - positive_P).mean()
