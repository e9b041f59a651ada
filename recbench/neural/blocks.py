"""Blocks of a Transformer: each maps states (B, L, D) to states of the same shape.

`forward(x_BLD, mask, bias)`: `mask` is bool, True where a query may look at a key; none given, each position looks at
itself and back, by the fast causal road. `bias` is added to the logits of attention. Both broadcast to (B, H, L, L),
queries before keys. Every query must see a key; what lies behind the end of a row is hidden by the causal rule, and in
a block that looks both ways by a mask (B, 1, 1, L).

Letters: B batch, L length, D width, H heads, C width of a head, M most places wanted of a row, P places wanted.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from recbench.neural.dropout import Dropout

BUCKETS = 64  # of gaps in time, two an octave: the last begins at 96 years


def heads_of(x_BLD: Tensor, parts: int, heads: int) -> tuple[Tensor, ...]:
    """`parts` tensors (B, H, L, C) out of one (B, L, parts * D)."""
    return x_BLD.view(*x_BLD.shape[:2], parts, heads, -1).permute(2, 0, 3, 1, 4).unbind()


def visible(mask: Tensor | None, length: int, device: torch.device) -> Tensor:
    """The mask as bool, the causal one (L, L) where none is given."""
    return torch.ones(length, length, dtype=torch.bool, device=device).tril() if mask is None else mask


class Attention(nn.Module):
    """Softmax attention of a sequence to itself."""

    def __init__(self, dim: int, heads: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.heads, self.dropout, self.drop = heads, dropout, Dropout(dropout)
        self.qkv, self.out = nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)

    def forward(self, x_BLD: Tensor, mask: Tensor | None = None, bias: Tensor | None = None) -> Tensor:
        q, k, v = heads_of(self.qkv(x_BLD), 3, self.heads)
        if bias is None and not (self.training and self.dropout):
            mixed_BHLC = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=mask is None)
        else:  # torch's own road for these is slower
            seen = visible(mask, x_BLD.shape[1], x_BLD.device)
            hidden = torch.zeros(seen.shape, device=seen.device).masked_fill(~seen, -torch.inf)
            logits_BHLL = logits_of(q, k, hidden if bias is None else hidden + bias, q.shape[-1] ** -0.5)
            mixed_BHLC = self.drop(logits_BHLL.softmax(-1)) @ v
        return self.out(mixed_BHLC.transpose(1, 2).flatten(2))


def logits_of(q_BHLC: Tensor, k_BHLC: Tensor, bias: Tensor, scale: float) -> Tensor:
    """(B, H, L, L) scale * Q K^T + bias, in one pass."""
    shape = (*q_BHLC.shape[:3], k_BHLC.shape[2])
    q, k = (part.flatten(0, 1) for part in (q_BHLC, k_BHLC))
    return torch.baddbmm(bias.expand(shape).flatten(0, 1), q, k.transpose(1, 2), alpha=scale).view(shape)


class SASRecBlock(nn.Module):
    """Attention, then a feed-forward layer with GELU, each behind a LayerNorm and around a residual.

    SASRec (arXiv 1808.09781) with the norm on the residual's way in and GELU for ReLU. `feed_forward`: its width, in
    widths of the states.
    """

    def __init__(
        self, dim: int, heads: int, dropout: float, feed_forward: int = 4, attention_dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.attention = Attention(dim, heads, attention_dropout)
        self.wide, self.narrow = nn.Linear(dim, feed_forward * dim), nn.Linear(feed_forward * dim, dim)
        self.drop = Dropout(dropout)

    def forward(self, x_BLD: Tensor, mask: Tensor | None = None, bias: Tensor | None = None) -> Tensor:
        x_BLD = x_BLD + self.drop(self.attention(self.norm1(x_BLD), mask, bias))
        return x_BLD + self.drop(self.narrow(F.gelu(self.wide(self.norm2(x_BLD)))))


def block_at(block: SASRecBlock, x_BLD: Tensor, seen_B11L: Tensor, wanted_BL: Tensor) -> Tensor:
    """(P, D) what the block gives at the places wanted: every place is a key, but only those put a query."""
    attention, dim = block.attention, x_BLD.shape[-1]
    n_B1 = wanted_BL.sum(1, keepdim=True)
    place_BM = wanted_BL.byte().argsort(dim=1, descending=True, stable=True)[:, : max(1, int(n_B1.max()))]
    put_BM = torch.arange(place_BM.shape[1], device=x_BLD.device) < n_B1
    norm_BLD = block.norm1(x_BLD)
    norm_BMD = norm_BLD.gather(1, place_BM.unsqueeze(-1).expand(-1, -1, dim))
    (weight_q, weight_kv), (bias_q, bias_kv) = (w.split([dim, 2 * dim]) for w in attention.qkv.parameters())
    (q,) = heads_of(F.linear(norm_BMD, weight_q, bias_q), 1, attention.heads)
    k, v = heads_of(F.linear(norm_BLD, weight_kv, bias_kv), 2, attention.heads)
    dropout = attention.dropout if block.training else 0.0
    mixed_BHMC = F.scaled_dot_product_attention(q, k, v, attn_mask=seen_B11L, dropout_p=dropout)
    mixed_PD = attention.out(mixed_BHMC.transpose(1, 2).flatten(2)[put_BM])
    x_PD = x_BLD[wanted_BL] + block.drop(mixed_PD)
    return x_PD + block.drop(block.narrow(F.gelu(block.wide(block.norm2(x_PD)))))


class LiGRBlock(nn.Module):
    """x + sigmoid(W x) * layer(norm(x)), for attention and then for SwiGLU: eSASRec (arXiv 2508.06450), after LiGR
    (arXiv 2502.03417).
    """

    def __init__(
        self, dim: int, heads: int, dropout: float, feed_forward: int = 4, attention_dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.attention = Attention(dim, heads, attention_dropout)
        self.gate1, self.gate2 = nn.Linear(dim, dim), nn.Linear(dim, dim)
        self.wide = nn.Linear(dim, 2 * feed_forward * dim, bias=False)
        self.narrow = nn.Linear(feed_forward * dim, dim, bias=False)
        self.drop = Dropout(dropout)

    def forward(self, x_BLD: Tensor, mask: Tensor | None = None, bias: Tensor | None = None) -> Tensor:
        mixed_BLD = self.drop(self.attention(self.norm1(x_BLD), mask, bias))
        x_BLD = x_BLD + torch.sigmoid(self.gate1(x_BLD)) * mixed_BLD
        gate, value = self.wide(self.norm2(x_BLD)).chunk(2, dim=-1)
        return x_BLD + torch.sigmoid(self.gate2(x_BLD)) * self.drop(self.narrow(F.silu(gate) * value))


class HSTUBlock(nn.Module):
    """Pointwise aggregated attention, without softmax and feed-forward layer: HSTU (arXiv 2402.17152).

    U, V, Q, K = SiLU(W norm(x)); x + W' (norm(SiLU(Q K^T + bias) V / n) * U). Here n is the number of keys that a query
    sees, not the padded length: rows do not depend on their batch, and the norm's epsilon does not drown short ones.
    """

    def __init__(self, dim: int, heads: int, dropout: float, attention_dropout: float = 0.0) -> None:
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(dim, eps=1e-6), nn.LayerNorm(dim, eps=1e-6)
        self.uvqk, self.out = nn.Linear(dim, 4 * dim), nn.Linear(dim, dim)
        self.drop, self.attention_drop = Dropout(dropout), Dropout(attention_dropout)

    def forward(self, x_BLD: Tensor, mask: Tensor | None = None, bias: Tensor | None = None) -> Tensor:
        u, v, q, k = heads_of(F.silu(self.uvqk(self.norm1(x_BLD))), 4, self.heads)
        logits_BHLL = q @ k.transpose(-1, -2) if bias is None else logits_of(q, k, bias, 1.0)
        seen = visible(mask, x_BLD.shape[1], x_BLD.device)
        weights_BHLL = F.silu(logits_BHLL) * (seen / seen.sum(-1, keepdim=True))
        mixed_BHLC = self.attention_drop(weights_BHLL.to(v.dtype)) @ v
        mixed_BLD, gate_BLD = (part.transpose(1, 2).flatten(2) for part in (mixed_BHLC, u))
        return x_BLD + self.out(self.drop(self.norm2(mixed_BLD) * gate_BLD))


class Lookup(torch.autograd.Function):
    """Rows of a small table, heads first; the gradient is a count with weights, six times as quick as an embedding's."""

    @staticmethod
    def forward(ctx: Any, table_TH: Tensor, bucket_BLL: Tensor) -> Tensor:
        ctx.save_for_backward(bucket_BLL)
        ctx.length, flat = len(table_TH), bucket_BLL.flatten()
        return torch.stack([row_T[flat].view(bucket_BLL.shape) for row_T in table_TH.T], dim=1)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        (bucket_BLL,), (grad_BHLL,) = ctx.saved_tensors, grads
        flat = bucket_BLL.flatten()
        columns = [torch.bincount(flat, grad.flatten(), ctx.length) for grad in grad_BHLL.unbind(1)]
        return torch.stack(columns, dim=1).to(grad_BHLL.dtype), None


class RelativeBias(nn.Module):
    """(B or 1, H, L, L) a bias of attention for each head, by how far back the key lies.

    `longest`: the largest distance in positions; 0: distance has no say. `time`: whether the gap in time has one.
    """

    def __init__(self, heads: int, longest: int, time: bool) -> None:
        super().__init__()
        self.by_distance = nn.Embedding(longest + 1, heads) if longest else None
        self.by_gap = nn.Embedding(BUCKETS + 1, heads) if time else None

    def forward(self, length: int, bucket_BLL: Tensor | None) -> Tensor | None:
        """`bucket_BLL`: from `gap_buckets`; None where time has no say."""
        bias: Any = None
        if self.by_gap is not None and bucket_BLL is not None:
            bias = Lookup.apply(self.by_gap.weight, bucket_BLL)
        if self.by_distance is not None:
            place_L = torch.arange(length, device=self.by_distance.weight.device)
            near_1HLL = self.by_distance((place_L[:, None] - place_L).clamp(min=0)).permute(2, 0, 1)[None]
            bias = near_1HLL if bias is None else bias + near_1HLL
        return bias


def gap_buckets(times_BL: Tensor, target_times_BL: Tensor, last_B: Tensor) -> Tensor:
    """(B, L, L) the bucket of the seconds from each event read (keys, the last axis) to a position's moment of asking.

    Position p is asked at the time of event p, its target, which is known when the question is put; that event is the
    next one read, but for the last position. Events that tie are asked at one position, so its moment is theirs too.
    Bucket 0 is no gap, bucket b begins at 2 ** (b / 2) seconds, rounded. The start token, key 0, is no event: it has the
    bucket BUCKETS, and by it softmax, blind to what all keys share, can tell how old all of them are.
    """
    place_L = torch.arange(times_BL.shape[1], device=times_BL.device)
    next_BL = torch.cat([times_BL[:, 1:], times_BL[:, -1:]], dim=1)
    moment_BL = torch.where(place_L < last_B[:, None], next_BL, target_times_BL)
    bounds = torch.tensor([round(2 ** (b / 2)) for b in range(1, BUCKETS)], device=times_BL.device)
    bucket_BLL = torch.bucketize(moment_BL[:, :, None] - times_BL[:, None, :], bounds, right=True)
    bucket_BLL[:, :, 0] = BUCKETS
    return bucket_BLL
