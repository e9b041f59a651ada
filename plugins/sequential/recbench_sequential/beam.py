"""Beam search: the most probable lists of items, each step knowing those before it.

Of all lists that hold allowed items only and none twice, the one whose probability by the network's softmax over the
whole catalogue is largest; the beam keeps the best few beginnings. All lists have the same length, so none is
favoured for being short.

Letters: Q queries, B beams, S steps generated so far, K list length, I items, D width.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import pad

from recbench.data import Queries
from recbench.errors import RecbenchError
from recbench.model import Recommendations, mask
from recbench.neural.batches import question

if TYPE_CHECKING:
    from recbench_sequential.generation import GenerationParams

CHUNK = 512  # queries answered at once
CELLS = 1 << 23  # scores of queries x beams x items held at once, 32 MB


class Beams(NamedTuple):
    """The best beginnings of each query, best first. `total_QBS`: their log-probability step by step, -inf from where
    nothing allowed was left, and item -1 there.
    """

    items_QBS: Tensor
    behaviors_QBS: Tensor
    total_QBS: Tensor


@torch.no_grad()
def search(network: Any, params: GenerationParams, queries: Queries, k: int) -> Recommendations:
    """Lists of `queries.steps` generated items, cut to k, or filled up to it by the best other first items.

    Scores are the log-probability of the list so far, and fall on by the first step's log-probability behind it.
    """
    widest = params.beam * max(queries.n_items, queries.steps * params.max_length)
    rows = min(CHUNK, max(1, CELLS // widest))
    order = np.argsort(queries.items.lengths, kind="stable")
    items_QK, scores_QK = np.full((len(queries), k), -1, np.int32), np.full((len(queries), k), -np.inf, np.float32)
    behaviors_QK = np.full((len(queries), k), -1, np.int8)
    training = network.training
    network.eval()
    weights_ID = network.item_vectors().float()
    for at in range(0, len(order), rows):
        part = order[at : at + rows]
        answer = answered(network, weights_ID, params, queries.take(part), k)
        for column, values in zip((items_QK, behaviors_QK, scores_QK), answer, strict=True):
            column[part] = values.cpu().numpy()
    network.train(training)
    return Recommendations(items_QK, scores_QK, behaviors_QK)


def answered(network: Any, weights_ID: Tensor, params: GenerationParams, queries: Queries, k: int) -> list[Tensor]:
    """(Q, K) items, behaviours and scores of a few queries."""
    device = weights_ID.device
    memory = network.remember(question(queries, params.max_length, network.reads).to(device))
    closed_QI = torch.from_numpy(mask(np.zeros((len(queries), queries.n_items), np.float32), queries)).to(device)
    nothing_Q10 = torch.empty((len(queries), 1, 0), dtype=torch.long, device=device)
    beams, first_QI = Beams(nothing_Q10, nothing_Q10, nothing_Q10.float()), None
    for _ in range(queries.steps):
        states_QBD = step(network, memory, beams)
        logs_QBI = logs(states_QBD, weights_ID, network.item_bias, params.temperature)
        logs_QBI += closed_QI[:, None]
        first_QI = logs_QBI[:, 0].clone() if first_QI is None else first_QI
        beams = longer(network, beams, states_QBD, logs_QBI, params.beam)
    return filled(*(column[:, 0] for column in beams), first_QI, k)


def step(network: Any, memory: Any, beams: Beams) -> Tensor:
    """(Q, B, D) the state that answers what follows each beam."""
    items_QBS = pad(beams.items_QBS.clamp(min=0), (1, 0), value=network.items.num_embeddings)
    behaviors_QBS = pad(beams.behaviors_QBS.clamp(min=0), (1, 0))
    return network.decode(memory, items_QBS, behaviors_QBS)[:, :, -1].float()


def logs(states_QBD: Tensor, weights_ID: Tensor, bias_I: Tensor | None, temperature: float) -> Tensor:
    """(Q, B, I) log-probability of each item; RecbenchError where it is no number."""
    logits_QBI = states_QBD @ weights_ID.T
    if bias_I is not None:
        logits_QBI += bias_I
    logits_QBI /= temperature
    total_QB1 = logits_QBI.logsumexp(-1, keepdim=True)
    if not torch.isfinite(total_QB1).all():
        raise RecbenchError("scores hold NaN or infinity")
    return logits_QBI.sub_(total_QB1)


def longer(network: Any, beams: Beams, states_QBD: Tensor, logs_QBI: Tensor, width: int) -> Beams:
    """The best beams of one more step; no item a second time. Overwrites `logs_QBI`."""
    _, n_beams, n_items = logs_QBI.shape
    logs_QBI.scatter_(2, beams.items_QBS.clamp(min=0), -torch.inf)
    if beams.total_QBS.shape[2]:
        logs_QBI += beams.total_QBS[..., -1:]
    total_QB, at_QB = logs_QBI.flatten(1).topk(min(width, n_beams * n_items))
    over_QB = total_QB == -torch.inf  # a list that nothing can follow stays as it is
    same_B = torch.arange(total_QB.shape[1], device=total_QB.device).clamp(max=n_beams - 1)
    parent_QB = torch.where(over_QB, same_B, at_QB // n_items)
    item_QB = at_QB % n_items
    behavior_QB = torch.zeros_like(item_QB)
    if network.behavior_head is not None:
        parent_QBD = states_QBD.gather(1, parent_QB.unsqueeze(-1).expand(-1, -1, states_QBD.shape[2]))
        known = torch.cat([parent_QBD, network.item_vectors(item_QB).float()], dim=-1)
        behavior_QB = network.behavior_head(known).argmax(-1)
    added = (item_QB.masked_fill(over_QB, -1), behavior_QB.masked_fill(over_QB, -1), total_QB)
    return Beams(
        *(
            torch.cat([old.gather(1, parent_QB.unsqueeze(-1).expand(-1, -1, old.shape[2])), new.unsqueeze(-1)], dim=2)
            for old, new in zip(beams, added, strict=True)
        )
    )


def filled(items_QS: Tensor, behaviors_QS: Tensor, total_QS: Tensor, first_QI: Tensor, k: int) -> list[Tensor]:
    """(Q, K) items, behaviours and scores of lists that are cut, or go on with the best of the other items."""
    n_steps = items_QS.shape[1]
    first_QI = first_QI.scatter(1, items_QS.clamp(min=0), -torch.inf)
    log_QM, item_QM = first_QI.topk(min(max(0, k - n_steps), first_QI.shape[1]))
    total_QM = total_QS[:, -1:] + log_QM
    over_QM = total_QM == -torch.inf
    columns = (
        (items_QS, item_QM.masked_fill(over_QM, -1), -1),
        (behaviors_QS, torch.full_like(item_QM, -1), -1),
        (total_QS, total_QM, -torch.inf),
    )
    room = k - n_steps - item_QM.shape[1]
    return [pad(torch.cat([generated, other], dim=1), (0, room), value=fill) for generated, other, fill in columns]
