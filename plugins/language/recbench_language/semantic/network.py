"""A Transformer that reads the ids of a history and writes the id of what comes next.

The encoder looks back only, so that one pass over a window answers at each of its moments. The decoder begins with the
state of its moment, looks at what the encoder made of the events before it, and back at the codes that it wrote. Where no
id goes on with a code, that code has no probability: those of all items sum to 1.

Letters: B batch or queries, L length, T tokens of a history, K lists of a window or beams, S digits of an id, D width,
H heads, I items, N chosen items, C codes of a level, M branches of a node or candidates, P targets that count, V width of
what items say.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from recbench.neural.blocks import SASRecBlock, heads_of
from recbench.neural.dropout import Dropout
from recbench.neural.network import Network
from recbench_language.semantic.trie import Trie

if TYPE_CHECKING:
    from recbench.neural.batches import Batch
    from recbench_language.semantic.semantic_id import SemanticIdParams

INIT_STD = 0.02


class Memory(NamedTuple):
    """Of histories: `states_BLD`, what the encoder knows behind each event; `keys`, for each block of the decoder the keys
    and values of all tokens, (B, H, T, D / H) each; `event_T`, the event that a token belongs to."""

    states_BLD: Tensor
    keys: list[tuple[Tensor, ...]]
    event_T: Tensor


class WritingBlock(nn.Module):
    """Attention to what was written, to the history, then a feed-forward layer with GELU; each behind a LayerNorm."""

    def __init__(self, dim: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2, self.norm3 = nn.LayerNorm(dim), nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.query1, self.kv1, self.out1 = nn.Linear(dim, dim), nn.Linear(dim, 2 * dim), nn.Linear(dim, dim)
        self.query2, self.kv2, self.out2 = nn.Linear(dim, dim), nn.Linear(dim, 2 * dim), nn.Linear(dim, dim)
        self.wide, self.narrow = nn.Linear(dim, 4 * dim), nn.Linear(4 * dim, dim)
        self.drop = Dropout(dropout)

    def forward(
        self, x_BKSD: Tensor, past_BKSD: Tensor | None, keys: tuple[Tensor, ...], seen: Tensor
    ) -> tuple[Tensor, Tensor]:
        """The states, and what later codes need to look back at these. `past_BKSD`: the same of earlier codes, where one
        is written at a time; None where all are known. `seen`: (B, 1, K * S or 1, T) what of the history is looked at."""
        shape, norm_BKSD = x_BKSD.shape, self.norm1(x_BKSD)
        now_BKSD = norm_BKSD if past_BKSD is None else torch.cat([past_BKSD, norm_BKSD], dim=2)
        (q,) = heads_of(self.query1(norm_BKSD).flatten(0, 1), 1, self.heads)
        k, v = heads_of(self.kv1(now_BKSD).flatten(0, 1), 2, self.heads)
        mixed = F.scaled_dot_product_attention(q, k, v, is_causal=past_BKSD is None)
        x_BKSD = x_BKSD + self.drop(self.out1(mixed.transpose(1, 2).flatten(2)).view(shape))
        (q,) = heads_of(self.query2(self.norm2(x_BKSD)).flatten(1, 2), 1, self.heads)
        mixed = F.scaled_dot_product_attention(q, *keys, attn_mask=seen)
        x_BKSD = x_BKSD + self.drop(self.out2(mixed.transpose(1, 2).flatten(2)).view(shape))
        return x_BKSD + self.drop(self.narrow(F.gelu(self.wide(self.norm3(x_BKSD))))), now_BKSD


class CodeTransformer(Network):
    """`codes_IS`: the ids. `text_IV`: what items say. `met_I`: which of them have an event in training. `table`: the vectors
    of all codes, level by level, and of the start token; states of the decoder are compared with the same vectors."""

    compiles = ("encode", "decode")
    codes_IS: Tensor
    text_IV: Tensor
    met_I: Tensor

    def __init__(
        self, codes_IS: Tensor, text_IV: Tensor, met_I: Tensor, sizes: list[int], params: SemanticIdParams
    ) -> None:
        super().__init__()
        dim, shape = params.dim, (params.dim, params.heads, params.dropout)
        self.sizes, self.known_trie = sizes, None
        self.scale = dim**0.5  # of what is read: small at first, it would drown in what blocks add
        self.register_buffer("codes_IS", codes_IS)
        self.register_buffer("text_IV", text_IV)
        self.register_buffer("met_I", met_I)
        self.starts = [sum(sizes[:s]) for s in range(len(sizes))]
        self.per_event = len(sizes) if params.read == "tokens" else 1
        self.table, self.bias = nn.Embedding(sum(sizes) + 1, dim), nn.Parameter(torch.zeros(sum(sizes)))
        self.begin, self.digit = nn.Parameter(torch.empty(dim)), nn.Embedding(len(sizes), dim)
        self.position = nn.Embedding((params.max_length + 1) * self.per_event, dim)
        self.encoder = nn.ModuleList(SASRecBlock(*shape) for _ in range(params.blocks))
        self.decoder = nn.ModuleList(WritingBlock(*shape) for _ in range(params.blocks))
        self.norm1, self.norm2 = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.drop = Dropout(params.dropout)
        dense = params.dense_weight > 0
        self.dense_state = nn.Linear(dim, dim) if dense else None
        self.dense_text = nn.Linear(text_IV.shape[1], dim) if dense and "text" in params.signal else None
        for name, weight in self.named_parameters():
            if weight.dim() > 1 or name == "begin":
                nn.init.normal_(weight, std=INIT_STD)
            elif name.endswith("bias"):
                nn.init.zeros_(weight)

    @property
    def trie(self) -> Trie:
        """The tree of the ids, made when first needed: where a saved network is loaded, there are none before."""
        if self.known_trie is None or self.known_trie.item_I.device != self.codes_IS.device:
            self.known_trie = Trie(self.codes_IS, self.sizes)
        return self.known_trie

    def rows_of(self, items: Tensor) -> Tensor:
        """(..., S) the rows of the table that an item is read by; the start token's for item number I."""
        rows_IS = self.codes_IS + torch.tensor(self.starts, device=self.codes_IS.device)
        return F.pad(rows_IS, (0, 0, 0, 1), value=self.table.num_embeddings - 1)[items]

    def item_vectors(self, item_N: Tensor | None = None) -> Tensor:
        """(N, D) the sum of an item's codes and, where that is learned, what it says: states are compared with it at once."""
        item_N = torch.arange(len(self.codes_IS), device=self.codes_IS.device) if item_N is None else item_N
        vectors_ND = self.table(self.rows_of(item_N)).sum(-2)
        return vectors_ND if self.dense_text is None else vectors_ND + self.dense_text(self.text_IV[item_N])

    def asking(self, states_PD: Tensor) -> Tensor:
        """(P, D) what of a state is compared with `item_vectors`, where items are ranked at once."""
        return states_PD if self.dense_state is None else self.dense_state(states_PD)

    def encode(self, batch: Batch) -> Tensor:
        """(B, T, D) a token for each event, or for each of its digits: each knows those before it."""
        x_BLSD = self.table(self.rows_of(batch.items_BL)) * self.scale
        x_BTD = x_BLSD.sum(2) if self.per_event == 1 else x_BLSD.flatten(1, 2)
        x_BTD = self.drop(x_BTD + self.position.weight[: x_BTD.shape[1]])
        for block in self.encoder:
            x_BTD = block(x_BTD)
        return self.norm1(x_BTD)

    def remember(self, batch: Batch) -> Memory:
        """What the decoder may know of the histories."""
        tokens_BTD = self.encode(batch)
        keys = [heads_of(block.kv2(tokens_BTD), 2, block.heads) for block in self.decoder]  # type: ignore[operator]
        event_T = torch.arange(tokens_BTD.shape[1], device=tokens_BTD.device) // self.per_event
        return Memory(tokens_BTD[:, self.per_event - 1 :: self.per_event], keys, event_T)

    def decode(
        self, x_BKSD: Tensor, past: list[Tensor] | None, keys: list[tuple[Tensor, ...]], seen: Tensor
    ) -> tuple[Tensor, list[Tensor]]:
        """(B, K, S, D) the states that tell the next code, and of each block what later codes look back at."""
        known = []
        for at, block in enumerate(self.decoder):
            x_BKSD, now_BKSD = block(x_BKSD, None if past is None else past[at], keys[at], seen)
            known.append(now_BKSD)
        return self.norm2(x_BKSD), known

    def told(self, s: int, states: Tensor, codes: Tensor | None = None) -> Tensor:
        """(..., D) what the decoder reads before it writes digit s: the state of its moment, then the code before."""
        known = states + self.begin if codes is None else self.table(codes + self.starts[s - 1]) * self.scale
        return known + self.digit.weight[s]

    def logits(self, states_PD: Tensor, s: int, node_P: Tensor) -> Tensor:
        """(P, M) of the codes that go on from the nodes with digit s, -inf behind their end."""
        rows = slice(self.starts[s], self.starts[s] + self.sizes[s])
        logits_PC = F.linear(states_PD, self.table.weight[rows], self.bias[rows]).float()
        code_PM = F.embedding(node_P, self.trie.code[s])
        return logits_PC.gather(-1, code_PM.clamp(min=0)).masked_fill(code_PM < 0, -torch.inf)

    def loss(self, batch: Batch, params: SemanticIdParams, share_I: Tensor | None) -> tuple[Tensor, int]:
        """The cross-entropy of the targets' ids, teacher-forced, and `dense_weight` times that of the items at once."""
        memory, n = self.remember(batch), len(self.sizes)
        asked_BL1 = batch.asked_BL.unsqueeze(-1)
        states_BLD = memory.states_BLD.gather(1, asked_BL1.expand(-1, -1, memory.states_BLD.shape[2]))
        target_BL = batch.targets_BL.clamp(max=len(self.codes_IS) - 1)
        told = [self.told(s, states_BLD, self.codes_IS[target_BL][..., s - 1] if s else None) for s in range(n)]
        seen = (memory.event_T <= asked_BL1.repeat_interleave(n, 1))[:, None]
        written_BLSD, _ = self.decode(self.drop(torch.stack(told, dim=2)), None, memory.keys, seen)
        flat_P = batch.mask_BL.flatten().nonzero().squeeze(1)
        target_P, written_PSD = target_BL.flatten()[flat_P], written_BLSD.flatten(0, 1)[flat_P]
        loss = written_PSD.sum() * 0.0  # of a batch in which nothing counts
        if len(flat_P):
            loss = loss + self.written_loss(written_PSD, target_P)
            if params.dense_weight:
                states_PD = states_BLD.flatten(0, 1)[flat_P]
                loss = loss + params.dense_weight * self.dense_loss(states_PD, target_P, params.dense_negatives)
        return loss, len(flat_P)

    def written_loss(self, written_PSD: Tensor, target_P: Tensor) -> Tensor:
        """Mean of -log p of the targets' ids, the sum of those of their digits."""
        loss = written_PSD.new_zeros(())
        for s in range(len(self.sizes)):
            node_P = self.trie.node_IS[target_P, s - 1] if s else torch.zeros_like(target_P)
            logits_PM = self.logits(written_PSD[:, s], s, node_P)
            loss = loss + F.cross_entropy(logits_PM, self.trie.branch_IS[target_P, s])
        return loss

    def dense_loss(self, states_PD: Tensor, target_P: Tensor, negatives: int) -> Tensor:
        """Softmax of each target among items met in training that all share, drawn anew at every step."""
        met_N = self.met_I.nonzero().squeeze(1)
        other_M = met_N[torch.randint(len(met_N), (negatives,), device=met_N.device)]
        asking_PD = self.asking(states_PD)
        logits_PM = (asking_PD @ self.item_vectors(other_M).T).masked_fill(other_M == target_P[:, None], -torch.inf)
        at_target_P1 = (asking_PD * self.item_vectors(target_P)).sum(1, keepdim=True)
        logits_P = torch.cat([at_target_P1, logits_PM], dim=1)
        return F.cross_entropy(logits_P.float(), torch.zeros_like(target_P))
