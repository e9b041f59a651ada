"""Beam search for the most probable ids, held to the trie and to what may be recommended.

Letters: Q queries, B beams, S digits written so far, M branches of a node, N nodes of a level or branches of all beams,
K list length, I items, D width.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

if TYPE_CHECKING:
    from recbench.neural.batches import Batch
    from recbench_language.semantic.network import CodeTransformer


class Written(NamedTuple):
    """`items_QB`: the most probable items, best first, and `total_QB` their log-probabilities, -inf where there are no
    more. `digits_QBS`: the ids as they were written. `states_QD`: of the encoder. `first_QM`: log p of the first digits that
    there are."""

    items_QB: Tensor
    total_QB: Tensor
    digits_QBS: Tensor
    states_QD: Tensor
    first_QM: Tensor


@torch.no_grad()
def search(network: CodeTransformer, batch: Batch, closed_QI: Tensor, beam: int, last: int) -> Written:
    """The most probable ids that lead to items which are not closed; the `beam` best beginnings are kept, and in the end
    the `last` best ids. Probabilities are those among all items."""
    memory, trie = network.remember(batch), network.trie
    rows_Q = torch.arange(len(batch.last_B), device=batch.last_B.device)
    states_QD = memory.states_BLD[rows_Q, batch.last_B]
    seen = (memory.event_T <= batch.last_B[:, None])[:, None, None]
    told_QBD, past, first_QM = network.told(0, states_QD)[:, None], None, None
    node_QB = torch.zeros_like(rows_Q)[:, None]
    total_QB, digits_QBS = torch.zeros_like(node_QB, dtype=torch.float), node_QB[:, :, None][:, :, :0]
    for s, open_QN in enumerate(trie.open_nodes(closed_QI)):
        written, past = network.decode(told_QBD.unsqueeze(2), past, memory.keys, seen)
        logs_QBM = network.logits(written[:, :, -1], s, node_QB).log_softmax(-1)
        first_QM = logs_QBM[:, 0] if first_QM is None else first_QM
        child_QN = torch.nn.functional.embedding(node_QB, trie.child[s]).flatten(1)
        goes_on_QN = open_QN.gather(1, child_QN.clamp(min=0)) & (child_QN >= 0)
        logs_QN = (logs_QBM + total_QB.unsqueeze(-1)).flatten(1).masked_fill(~goes_on_QN, -torch.inf)
        width = last if s == len(network.sizes) - 1 else beam
        total_QB, at_QB = logs_QN.topk(min(width, logs_QN.shape[1]))
        parent_QB, branch_QB = at_QB // logs_QBM.shape[2], at_QB % logs_QBM.shape[2]
        code_QB = trie.code[s][node_QB.gather(1, parent_QB), branch_QB]
        node_QB = child_QN.gather(1, at_QB).clamp(min=0)
        digits_QBS = torch.cat([of_parents(digits_QBS, parent_QB), code_QB.unsqueeze(-1)], dim=2)
        if s < len(network.sizes) - 1:
            past = [of_parents(now.flatten(2), parent_QB).unflatten(2, now.shape[2:]) for now in past]
            told_QBD = network.told(s + 1, states_QD, code_QB.clamp(min=0))
    assert first_QM is not None  # an id has a digit
    return Written(trie.item_I[node_QB], total_QB, digits_QBS, states_QD, first_QM)


def of_parents(values_QBX: Tensor, parent_QB: Tensor) -> Tensor:
    """The rows of the beams that each new beam goes on from."""
    return values_QBX.gather(1, parent_QB.unsqueeze(-1).expand(-1, -1, values_QBX.shape[2]))


def filled(items_QB: Tensor, total_QB: Tensor, rest_QI: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """(Q, K) items and scores: lists cut to k, or gone on with by the other items in the order of `rest_QI`, which is no
    more than 0, and -inf for what may not come; -1 where there is none left."""
    room = max(0, k - items_QB.shape[1])
    items_QK = torch.nn.functional.pad(items_QB, (0, room))[:, :k]
    total_QK = torch.nn.functional.pad(total_QB, (0, room), value=-torch.inf)[:, :k]
    real_QK = total_QK > -torch.inf
    short_R = (~real_QK).any(1).nonzero().squeeze(1)
    if len(short_R):
        n_items, real_RK = rest_QI.shape[1], real_QK[short_R]
        taken_RK = items_QK[short_R].where(real_RK, n_items)
        rest_RI = torch.nn.functional.pad(rest_QI[short_R], (0, max(1, k - n_items)), value=-torch.inf)
        rest_RI, item_RI = rest_RI.scatter(1, taken_RK, -torch.inf).sort(dim=1, descending=True, stable=True)
        n_R1 = real_RK.sum(1, keepdim=True)
        worst_R1 = total_QK[short_R].masked_fill(~real_RK, 0.0).gather(1, (n_R1 - 1).clamp(min=0))
        behind_RK = (torch.arange(k, device=n_R1.device) - n_R1).clamp(min=0)
        items_QK[short_R] = items_QK[short_R].where(real_RK, item_RI.gather(1, behind_RK))
        total_QK[short_R] = total_QK[short_R].where(real_RK, worst_R1 + rest_RI.gather(1, behind_RK))
    return items_QK.masked_fill(total_QK == -torch.inf, -1), total_QK
