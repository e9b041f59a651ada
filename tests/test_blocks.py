"""Blocks of attention against a second implementation, one number after another; their dropout and their biases.

Letters: B batch, L length, D width, H heads.
"""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")
torch.set_num_threads(1)

from recbench.neural.blocks import (  # noqa: E402
    BUCKETS,
    HSTUBlock,
    LiGRBlock,
    Lookup,
    RelativeBias,
    SASRecBlock,
    gap_buckets,
)
from recbench.neural.dropout import Dropout  # noqa: E402


def normed(x: np.ndarray, norm: torch.nn.LayerNorm) -> np.ndarray:
    centred = x - x.mean()
    return centred / np.sqrt((centred**2).mean() + norm.eps) * norm.weight.numpy() + norm.bias.numpy()


def linear(x: np.ndarray, layer: torch.nn.Linear) -> np.ndarray:
    return layer.weight.numpy() @ x + (0 if layer.bias is None else layer.bias.numpy())


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def silu(x: np.ndarray) -> np.ndarray:
    return x * sigmoid(x)


def attended(q_LD: list, k_LD: list, v_LD: list, heads: int, may: np.ndarray, bias: np.ndarray, soft: bool) -> list:
    """The mix of values at each position, head by head, of the keys that may be seen."""
    width, out = len(q_LD[0]) // heads, []
    for p in range(len(q_LD)):
        mixed = []
        for h in range(heads):
            part = slice(h * width, (h + 1) * width)
            keys = [j for j in range(len(k_LD)) if may[p, j]]
            logits = np.array(
                [q_LD[p][part] @ k_LD[j][part] / (np.sqrt(width) if soft else 1) + bias[h, p, j] for j in keys]
            )
            weights = np.exp(logits) / np.exp(logits).sum() if soft else silu(logits) / len(keys)
            mixed.append(sum(w * v_LD[j][part] for w, j in zip(weights, keys, strict=True)))
        out.append(np.concatenate(mixed))
    return out


def by_hand(block: torch.nn.Module, x_LD: np.ndarray, may: np.ndarray, bias: np.ndarray, heads: int) -> np.ndarray:
    dim = x_LD.shape[1]
    if isinstance(block, HSTUBlock):
        u, v, q, k = zip(*(np.split(silu(linear(normed(x, block.norm1), block.uvqk)), 4) for x in x_LD), strict=True)
        mixed = attended(q, k, v, heads, may, bias, soft=False)
        rows = zip(x_LD, mixed, u, strict=True)
        return np.array([x + linear(normed(a, block.norm2) * gate, block.out) for x, a, gate in rows])
    attention, out = block.attention, []
    q, k, v = zip(*(np.split(linear(normed(x, block.norm1), attention.qkv), 3) for x in x_LD), strict=True)
    for x, mixed in zip(x_LD, attended(q, k, v, heads, may, bias, soft=True), strict=True):
        if isinstance(block, LiGRBlock):
            y = x + sigmoid(linear(x, block.gate1)) * linear(mixed, attention.out)
            wide = linear(normed(y, block.norm2), block.wide)
            half = len(wide) // 2
            out.append(y + sigmoid(linear(y, block.gate2)) * linear(silu(wide[:half]) * wide[half:], block.narrow))
        else:
            y = x + linear(mixed, attention.out)
            wide = torch.from_numpy(linear(normed(y, block.norm2), block.wide))
            erf = (wide * (1 + torch.erf(wide / np.sqrt(2))) / 2).numpy()
            out.append(y + linear(erf, block.narrow))
    assert len(out[0]) == dim
    return np.array(out)


@pytest.mark.parametrize("sight", ["causal", "biased", "padded"])
@pytest.mark.parametrize("kind", [SASRecBlock, LiGRBlock, HSTUBlock])
def test_a_block_is_what_its_formula_says(kind: type, sight: str) -> None:
    torch.manual_seed(0)
    block, (length, dim, heads) = kind(6, 2, 0.0).double().eval(), (5, 6, 2)
    x_BLD = torch.randn(2, length, dim, dtype=torch.float64)
    bias = torch.randn(2, heads, length, length, dtype=torch.float64) if sight == "biased" else None
    real_BL = torch.tensor([[True] * 5, [True] * 3 + [False] * 2])
    mask = real_BL[:, None, None, :] if sight == "padded" else None
    with torch.no_grad():
        found_BLD = block(x_BLD, mask, bias).numpy()
        for b in range(2):
            may = np.tile(real_BL[b].numpy(), (length, 1)) if sight == "padded" else np.tri(length, dtype=bool)
            added = np.zeros((heads, length, length)) if bias is None else bias[b].numpy()
            np.testing.assert_allclose(found_BLD[b], by_hand(block, x_BLD[b].numpy(), may, added, heads), atol=1e-12)


@pytest.mark.parametrize("kind", [SASRecBlock, LiGRBlock, HSTUBlock])
def test_attention_dropout_is_for_training_alone(kind: type) -> None:
    x_BLD = torch.randn(2, 6, 8)
    block = kind(8, 2, 0.0, attention_dropout=0.5)
    assert not torch.equal(block(x_BLD), block(x_BLD))
    assert torch.equal(block.eval()(x_BLD), block(x_BLD))
    nothing = kind(8, 2, 0.0, attention_dropout=1e-9)  # drops nothing, by the road that could
    for mask in (None, torch.tensor([[True] * 6, [True] * 3 + [False] * 3])[:, None, None, :]):
        torch.testing.assert_close(nothing.train()(x_BLD, mask), nothing.eval()(x_BLD, mask))


def test_dropout_drops_its_share_and_keeps_the_mean() -> None:
    torch.manual_seed(0)
    for shape in ((999, 101), (7,), (0, 3)):
        x = torch.ones(shape, requires_grad=True)
        out = Dropout(0.25)(x)
        kept = out != 0
        assert out.shape == x.shape and torch.equal(out[kept], torch.full_like(out[kept], 4 / 3))
        out.sum().backward()
        assert torch.equal(x.grad, out)  # the mask that went forward goes back
    kept = Dropout(0.25)(torch.ones(1000, 400)) != 0
    assert abs(float(kept.float().mean()) - 0.75) < 5 * np.sqrt(0.25 * 0.75 / 400_000)
    for apart in range(1, 9):  # elements that come from one draw are as independent as others
        both = (kept[:, apart:] & kept[:, :-apart]).float()
        assert abs(float(both.mean()) - 0.75**2) < 5 * np.sqrt(0.25 / both.numel())
    assert torch.equal(Dropout(0.25).eval()(torch.ones(5)), torch.ones(5))
    assert Dropout(0.9)(torch.ones(4, dtype=torch.bfloat16)).dtype == torch.bfloat16


def test_buckets_of_gaps() -> None:
    times_BL = torch.tensor([[100, 100, 101, 103, 1103, 1103]])  # the start token, then what is read; the last pads
    asked_BL = torch.tensor([[7, 7, 7, 7, 1103 + 2**33, 7]])  # real at the last position alone, as in a question
    bucket_LL = gap_buckets(times_BL, asked_BL, torch.tensor([4]))[0]
    assert bucket_LL[:, 0].tolist() == [BUCKETS] * 6  # the start token is no event
    assert bucket_LL[1, 1:2].tolist() == [1]  # at 101
    assert bucket_LL[2, 1:3].tolist() == [3, 2]  # at 103: 3 and 2 seconds
    assert bucket_LL[3, 1:4].tolist() == [19] * 3  # at 1103: 1003 to 1000 lie between 724 and 1024
    assert bucket_LL[4, 1:5].tolist() == [BUCKETS - 1] * 4
    seconds = torch.tensor([0, 1, 2, 3, 4, 5, 6, 7, 8, 10, 11, 15, 16, 1023, 1024])
    times_BL = torch.zeros(len(seconds), 2, dtype=torch.long)
    column = gap_buckets(times_BL, seconds[:, None].expand(-1, 2), torch.ones(len(seconds)))[:, 1, 1]
    assert column.tolist() == [0, 1, 2, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 19, 20]


def test_a_relative_bias_is_its_tables_rows() -> None:
    bias, bucket_BLL = RelativeBias(2, 5, True), torch.randint(BUCKETS + 1, (3, 4, 4))
    found_BHLL = bias(4, bucket_BLL)
    for b, h, p in np.ndindex(3, 2, 4):
        for j in range(p + 1):
            by_gap = bias.by_gap.weight[bucket_BLL[b, p, j], h]
            assert found_BHLL[b, h, p, j] == by_gap + bias.by_distance.weight[p - j, h]
    table_TH = torch.randn(BUCKETS + 1, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda table: Lookup.apply(table, bucket_BLL), table_TH)
    assert RelativeBias(2, 0, True)(4, bucket_BLL).shape == (3, 2, 4, 4)
    assert RelativeBias(2, 5, False)(4, None).shape == (1, 2, 4, 4)
