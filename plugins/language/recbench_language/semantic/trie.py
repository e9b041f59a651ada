"""The tree of all ids: which codes may follow, and which items still lie behind a beginning.

A node of level s is a beginning of s codes. Nodes are numbered level by level in the order of the ids, so that the items
behind a node are neighbours.

Letters: I items, S digits of an id, N nodes of a level, M most branches of one of them, Q queries,
E items that some queries alone close.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import pad


class Trie:
    """`code[s]`, `child[s]`: (N, M) the codes that go on from each node of level s, in their order, and the nodes that they
    lead to; -1 behind the end. `node_IS`, `branch_IS`: the node of level s + 1 behind which each item lies, and which of its
    branches leads there. `item_I`: the items in the order of their ids, which are the nodes of the last level. `bounds[s]`:
    (N + 1,) the place in `item_I` at which the items behind each node of level s + 1 begin.
    """

    def __init__(self, codes_IS: Tensor, sizes: list[int]) -> None:
        parent_I, above = torch.zeros_like(codes_IS[:, 0]), 1
        self.code: list[Tensor] = []
        self.child: list[Tensor] = []
        self.bounds: list[Tensor] = []
        nodes, branches = [], []
        for s, size in enumerate(sizes):
            key_N, node_I, count_N = torch.unique(
                parent_I * size + codes_IS[:, s], return_inverse=True, return_counts=True
            )
            parent_N, number_N = key_N // size, torch.arange(len(key_N), device=key_N.device)
            width_N = torch.bincount(parent_N, minlength=above)
            branch_N = number_N - (width_N.cumsum(0) - width_N)[parent_N]
            for tables, values_N in ((self.code, key_N % size), (self.child, number_N)):
                table_NM = torch.full((above, int(width_N.max())), -1, device=key_N.device)
                table_NM[parent_N, branch_N] = values_N
                tables.append(table_NM)
            self.bounds.append(pad(count_N.cumsum(0), (1, 0)))
            nodes.append(node_I)
            branches.append(branch_N[node_I])
            parent_I, above = node_I, len(key_N)
        self.node_IS, self.branch_IS = torch.stack(nodes, dim=1), torch.stack(branches, dim=1)
        self.item_I = torch.argsort(parent_I)

    def open_nodes(self, closed_QI: Tensor) -> list[Tensor]:
        """For each level, (Q, N) bool: whether behind a node lies an item that is not closed."""
        closed_I = closed_QI.all(0)
        query_E, item_E = (closed_QI & ~closed_I).nonzero().unbind(1)  # few, unless queries differ in their candidates
        open_I = pad((~closed_I)[self.item_I].cumsum(0), (1, 0)).int()
        found = []
        for bounds, node_I in zip(self.bounds, self.node_IS.T, strict=True):
            left_QN = open_I[bounds].diff().repeat(len(closed_QI), 1)
            taken_E = torch.full_like(query_E, -1, dtype=torch.int32)
            found.append(left_QN.index_put_((query_E, node_I[item_E]), taken_E, accumulate=True) > 0)
        return found
