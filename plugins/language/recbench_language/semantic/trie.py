"""The tree of all ids: which code may follow which, and which items still lie behind a beginning.

A node of level s is a beginning of s codes. Nodes are numbered level by level in the order of the ids, so that the items
behind a node are neighbours.

Letters: I items, S digits of an id, N nodes of a level, C codes of a level, Q queries.
"""

from __future__ import annotations

import torch
from torch import Tensor


class Trie:
    """`child[s]`: (N, C) the node of level s + 1 that a code leads to, -1 where no id goes on so. `node_IS`: the node of
    level s + 1 behind which each item lies. `item_I`: the items in the order of their ids, the nodes of the last level.
    `first[s]`, `after[s]`: (N,) the places in `item_I` at which the items behind a node of level s + 1 begin and end.
    """

    def __init__(self, codes_IS: Tensor, sizes: list[int]) -> None:
        device, n_items = codes_IS.device, len(codes_IS)
        key_I = torch.zeros(n_items, dtype=torch.long, device=device)
        parent_I, above = key_I, 1
        self.child: list[Tensor] = []
        self.first: list[Tensor] = []
        self.after: list[Tensor] = []
        nodes = []
        for s, size in enumerate(sizes):
            key_I = parent_I * size + codes_IS[:, s]
            known_N, node_I, count_N = torch.unique(key_I, return_inverse=True, return_counts=True)
            child = torch.full((above * size,), -1, dtype=torch.long, device=device)
            child[known_N] = torch.arange(len(known_N), device=device)
            self.child.append(child.view(above, size))
            self.after.append(count_N.cumsum(0))
            self.first.append(self.after[-1] - count_N)
            nodes.append(node_I)
            parent_I, above = node_I, len(known_N)
        self.node_IS = torch.stack(nodes, dim=1)
        self.item_I = torch.argsort(parent_I)

    def open_nodes(self, closed_QI: Tensor) -> list[Tensor]:
        """For each level, (Q, N) bool: whether behind a node lies an item that is not closed."""
        open_QI = torch.nn.functional.pad((~closed_QI)[:, self.item_I].int().cumsum(1, dtype=torch.int32), (1, 0))
        return [open_QI[:, after] > open_QI[:, first] for first, after in zip(self.first, self.after, strict=True)]
