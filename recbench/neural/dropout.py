"""Dropout for processors, whose draws of chance would take longer than the layers they stand between."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Dropout(nn.Module):
    """Dropout whose chance comes from 16 bits of a draw, three times as quick on a processor as one draw an element.

    The share that is dropped is `p` rounded to a 65,536th, and what stays is divided by the share that does.
    """

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or not self.p:
            return x
        if x.device.type != "cpu":
            return F.dropout(x, self.p)
        dropped = round(self.p * 65536)
        draws = torch.empty(-(-x.numel() // 4), dtype=torch.int64).random_(-(2**63), None)
        bits = draws.view(torch.int16)[: x.numel()].view(x.shape)
        # Written as numbers at once: a third quicker than by way of bool.
        kept = torch.ge(bits, dropped - 32768, out=torch.empty(x.shape, dtype=x.dtype))
        return x * kept.mul_(65536 / (65536 - dropped))
