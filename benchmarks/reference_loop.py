"""The arithmetic of recbench's Transformer in one plain loop of torch, as fast as it can be written: the limit of `fit`.

    OMP_NUM_THREADS=1 python benchmarks/reference_loop.py DATA.npz [--length 50] [--batch 128] [--feed-forward 64]

DATA.npz is what benchmarks/sequential.py writes; recbench is not imported. The softmax and its gradient are computed in
pieces of rows that stay in the cache, Adam is fused, batches hold windows of like length and padding is no target.
Prints JSON: targets, steps and CPU seconds of an epoch, milliseconds a step, CPU seconds of ranking all items for all
users, and the largest resident size.

Letters: U users, B batch, L length, D width, H heads, N rows times heads, I items, P positions that count, K list length.
"""

from __future__ import annotations

import argparse
import json
import re
import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

ROWS = 256  # of logits computed at once: as many as pay for a pass over the gradient of all items, few enough for the caches
SAFE = 60.0  # exp of logits up to here neither overflows nor, below its negative, vanishes
K = 10


@dataclass(frozen=True)
class Shape:
    """Of the network and its training; the same for every contestant."""

    length: int = 50
    width: int = 64
    blocks: int = 2
    heads: int = 2
    feed_forward: int = 64
    dropout: float = 0.2
    attention_dropout: float = 0.0
    batch: int = 128
    rate: float = 1e-3


@dataclass(frozen=True)
class Histories:
    """`items`: all users' training events, a user's in order of time, from `start[u]` to `start[u + 1]`."""

    items: NDArray
    start: NDArray
    valid: NDArray
    test: NDArray
    n_items: int

    @classmethod
    def read(cls, path: Path) -> Histories:
        with np.load(path) as arrays:
            return cls(**{name: arrays[name] for name in arrays if name != "n_items"}, n_items=int(arrays["n_items"]))


class FullSoftmax(torch.autograd.Function):
    """Mean cross-entropy; the gradient is found on the way forward, and no pass over the logits is made that can be
    made over states: probabilities are never divided by their sum, rows of states are.
    """

    @staticmethod
    def forward(ctx, states_PD: Tensor, weight_ID: Tensor, target_P: Tensor) -> Tensor:
        n, n_items = len(target_P), len(weight_ID)
        right_PD = weight_ID[target_P]
        limit_P = states_PD.norm(dim=1) * weight_ID.norm(dim=1).max()  # no logit is larger
        safe = float(limit_P.max()) < SAFE
        grad_PD, grad_ID, total_P = torch.empty_like(states_PD), torch.zeros_like(weight_ID), states_PD.new_empty(n)
        rows = min(n, ROWS)
        buffer, top_P = states_PD.new_empty(rows, n_items), torch.zeros(n)
        for at in range(0, n, rows):
            part_PD, piece = states_PD[at : at + rows], slice(at, at + rows)
            logits_PI = torch.mm(part_PD, weight_ID.T, out=buffer[: len(part_PD)])
            if not safe:
                top_P[piece] = logits_PI.amax(1)
                logits_PI.sub_(top_P[piece, None])
            torch.sum(logits_PI.exp_(), 1, out=total_P[piece])
            torch.mm(logits_PI, weight_ID, out=grad_PD[piece])
            grad_ID.addmm_(logits_PI.T, part_PD / (total_P[piece, None] * n))
        grad_PD.div_(total_P[:, None] * n).sub_(right_PD, alpha=1 / n)
        grad_ID.index_add_(0, target_P, states_PD, alpha=-1 / n)
        ctx.save_for_backward(grad_PD, grad_ID)
        return (total_P.log() + top_P - (states_PD * right_PD).sum(1)).mean()

    @staticmethod
    def backward(ctx, scale: Tensor):
        grad_PD, grad_ID = ctx.saved_tensors
        return grad_PD * scale, grad_ID * scale, None


class Block(nn.Module):
    """Attention and a feed-forward layer, each behind a LayerNorm and around a residual."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape, width = shape, shape.width
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.wide, self.narrow = nn.Linear(width, shape.feed_forward), nn.Linear(shape.feed_forward, width)

    def forward(self, x_BLD: Tensor) -> Tensor:
        q, k, v = self.qkv(self.norm1(x_BLD)).unflatten(2, (3, self.shape.heads, -1)).permute(2, 0, 3, 1, 4)
        x_BLD = x_BLD + self.drop(self.out(self.mixed(q, k, v).transpose(1, 2).flatten(2)))
        return x_BLD + self.drop(self.narrow(F.gelu(self.wide(self.norm2(x_BLD)))))

    def mixed(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        if not self.shape.attention_dropout:
            return F.scaled_dot_product_attention(q, k, v, is_causal=True)
        size, length = q.shape[:2], q.shape[2]
        q, k, v = (part.flatten(0, 1) for part in (q, k, v))
        later_LL = torch.full((length, length), -torch.inf).triu_(1)
        logits_NLL = torch.baddbmm(later_LL, q, k.transpose(1, 2), alpha=q.shape[-1] ** -0.5)
        shares_NLL = self.drop(logits_NLL.softmax(-1), self.shape.attention_dropout)
        return torch.bmm(shares_NLL, v).unflatten(0, size)

    def drop(self, x: Tensor, share: float | None = None) -> Tensor:
        return dropped(x, self.shape.dropout if share is None else share) if self.training else x


def dropped(x: Tensor, share: float) -> Tensor:
    """Dropout from 16 random bits an element: torch's own draws each element apart and takes seven times as long."""
    bits = torch.empty(x.numel() // 4 + 1, dtype=torch.int64).random_(-(2**63), None).view(torch.int16)[: x.numel()]
    kept = torch.ge(bits.view(x.shape), round(share * 2**16) - 2**15, out=torch.empty(x.shape))
    return x * kept.mul_(1 / (1 - share))


class Transformer(nn.Module):
    """Item number I is the start token and padding."""

    def __init__(self, n_items: int, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        self.items, self.start = nn.Embedding(n_items, shape.width), nn.Parameter(torch.empty(1, shape.width))
        self.positions = nn.Embedding(shape.length + 1, shape.width)
        self.blocks, self.norm = nn.ModuleList(Block(shape) for _ in range(shape.blocks)), nn.LayerNorm(shape.width)
        for weight in self.parameters():
            if weight.dim() > 1:
                nn.init.normal_(weight, std=0.02)

    def forward(self, items_BL: Tensor) -> Tensor:
        x_BLD = F.embedding(items_BL[:, 1:], self.items.weight)
        x_BLD = torch.cat([self.start.expand(len(items_BL), 1, -1), x_BLD], dim=1)
        x_BLD = x_BLD + self.positions.weight[: x_BLD.shape[1]]
        x_BLD = dropped(x_BLD, self.shape.dropout) if self.training else x_BLD
        for block in self.blocks:
            x_BLD = block(x_BLD)
        return self.norm(x_BLD)


def batches(data: Histories, shape: Shape, rng: np.random.Generator) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """(B, L) items read, (P,) places that count and (P,) targets: the newest length + 1 events of each user."""
    stop_U = data.start[1:]
    start_U = np.maximum(data.start[:-1], stop_U - shape.length - 1)
    length_U = stop_U - start_U
    order = rng.permutation(np.flatnonzero(length_U))
    pool = 16 * shape.batch
    chunks = [order[at : at + pool] for at in range(0, len(order), pool)]
    order = np.concatenate([chunk[np.argsort(length_U[chunk], kind="stable")] for chunk in chunks])
    for at in rng.permutation(np.arange(0, len(order), shape.batch)):
        user_B = order[at : at + shape.batch]
        row_BL = start_U[user_B, None] + np.arange(length_U[user_B].max())
        real_BL = torch.from_numpy(row_BL < stop_U[user_B, None])
        all_BL = torch.from_numpy(data.items[np.minimum(row_BL, len(data.items) - 1)].astype(np.int64))
        place_P = real_BL.flatten().nonzero().squeeze(1)
        read_BL = F.pad(all_BL[:, :-1].masked_fill(~real_BL[:, :-1], 0), (1, 0))
        yield read_BL, place_P, all_BL.flatten()[place_P]


def epoch(net: Transformer, adam: torch.optim.Optimizer, data: Histories, rng: np.random.Generator) -> dict[str, float]:
    """One pass over the training part: its targets, steps, loss and CPU seconds."""
    net.train()
    loss_sum, n_targets, n_steps, begun = 0.0, 0, 0, time.process_time()
    for items_BL, place_P, target_P in batches(data, net.shape, rng):
        states_PD = net(items_BL).flatten(0, 1).index_select(0, place_P)
        loss = FullSoftmax.apply(states_PD, net.items.weight, target_P)
        loss.backward()
        adam.step()
        adam.zero_grad(set_to_none=True)
        loss_sum, n_targets, n_steps = loss_sum + loss.item() * len(target_P), n_targets + len(target_P), n_steps + 1
    cpu = time.process_time() - begun
    return {"targets": n_targets, "steps": n_steps, "loss": loss_sum / max(1, n_targets), "cpu": cpu}


@torch.inference_mode()
def rank_all(net: Transformer, data: Histories, size: int = 512) -> tuple[float, float]:
    """NDCG@10 of the test item among all unseen items, for every user, and its CPU seconds."""
    net.eval()
    begun, gain = time.process_time(), 0.0
    length_U = np.diff(data.start) + 1
    order = np.argsort(np.minimum(length_U, net.shape.length), kind="stable")
    for at in range(0, len(order), size):
        user_B = order[at : at + size]
        seen = [np.r_[data.items[data.start[u] : data.start[u + 1]], data.valid[u]] for u in user_B]
        last_B = np.minimum(length_U[user_B], net.shape.length)
        items_BL = np.zeros((len(user_B), last_B.max() + 1), np.int64)
        for b, items in enumerate(seen):
            items_BL[b, 1 : last_B[b] + 1] = items[-last_B[b] :]
        states_BD = net(torch.from_numpy(items_BL))[torch.arange(len(user_B)), torch.from_numpy(last_B)]
        scores_BI = states_BD @ net.items.weight.T
        row = np.repeat(np.arange(len(user_B)), length_U[user_B])
        scores_BI[torch.from_numpy(row), torch.from_numpy(np.concatenate(seen).astype(np.int64))] = -torch.inf
        best_BK = scores_BI.topk(min(K, data.n_items), dim=1).indices.numpy()
        b, k = np.nonzero(best_BK == data.test[user_B, None])
        gain += float((1 / np.log2(k + 2)).sum())
    return gain / max(1, len(order)), time.process_time() - begun


def measure(data: Histories, shape: Shape, epochs: int, ranked: bool = True) -> dict[str, float]:
    """Medians of `epochs` epochs behind one that warms up."""
    torch.manual_seed(0)
    rng, net = np.random.default_rng(0), Transformer(data.n_items, shape)
    adam = torch.optim.Adam(net.parameters(), lr=shape.rate, fused=True)
    laps = [epoch(net, adam, data, rng) for _ in range(epochs + 1)]
    cpu = statistics.median(lap["cpu"] for lap in laps[1:])
    found = laps[-1] | {"cpu": cpu, "ms": 1000 * cpu / laps[-1]["steps"]}
    if ranked:
        found["ndcg"], found["ranking"] = rank_all(net, data)
    peak = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    return found | {"mb": int(peak[1]) / 1024 if peak else 0.0}


def main() -> None:
    options = argparse.ArgumentParser()
    options.add_argument("data", type=Path)
    options.add_argument("--epochs", type=int, default=2)
    for name, default in vars(Shape()).items():
        options.add_argument("--" + name.replace("_", "-"), type=type(default), default=default)
    given = vars(options.parse_args())
    torch.set_num_threads(1)
    data, epochs = Histories.read(given.pop("data")), given.pop("epochs")
    print(json.dumps(measure(data, Shape(**given), epochs)))


if __name__ == "__main__":
    main()
