"""Half precision and compilation: the same training, in other arithmetic."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
from conftest import refused

from recbench.model import Context
from recbench.testing.worlds import chain

torch = pytest.importorskip("torch")
torch.set_num_threads(1)

from recbench_sequential.bert4rec import BERT4Rec  # noqa: E402
from recbench_sequential.encoder_decoder import EncoderDecoder  # noqa: E402
from recbench_sequential.transformer import Transformer  # noqa: E402

PARTS = chain().split()


def fitted(cls=Transformer, rate=1e-2, **context) -> Transformer:
    model = cls(cls.Params(**cls.small | {"epochs": 8, "learning_rate": rate}))
    model.fit(PARTS.train, Context(seed=1, **context))
    return model


@pytest.fixture(scope="module")
def usual() -> Transformer:
    return fitted()


def test_bf16_learns_what_float32_learns(usual):
    half, queries = fitted(precision="bf16-mixed"), PARTS.test.queries
    losses = [[loss for _, _, loss in model.curve] for model in (half, usual)]
    np.testing.assert_allclose(*losses, rtol=0.05)
    assert losses[0] != losses[1], "nothing was computed in bf16"
    assert all(weight.dtype == torch.float32 for weight in half.net.parameters())
    same = half.score(queries).argmax(1) == usual.score(queries).argmax(1)
    assert same.mean() > 0.95 and half.score(queries).dtype == np.float32


@pytest.mark.slow
@pytest.mark.skipif(not (shutil.which("c++") or shutil.which("g++")), reason="needs a C++ compiler")
@pytest.mark.parametrize("cls", [Transformer, BERT4Rec, EncoderDecoder])
def test_a_compiled_network_learns_the_same(cls, monkeypatch):
    compiled, ran = torch.compile, []

    def watched(method, **options):
        quick = compiled(method, **options)
        return lambda *given: (ran.append(method.__name__), quick(*given))[1]

    monkeypatch.setattr(torch, "compile", watched)
    usual, quick = (fitted(cls, rate=1e-3, compile=wanted) for wanted in (False, True))  # slowly: nothing runs apart
    assert set(ran) == set(quick.net.compiles), "what is compiled is on the road of training"
    np.testing.assert_allclose([loss for *_, loss in quick.curve], [loss for *_, loss in usual.curve], rtol=1e-3)
    assert not set(vars(quick.net)) & set(quick.net.compiles), "what was compiled is gone with the training"
    np.testing.assert_allclose(quick.score(PARTS.test.queries), usual.score(PARTS.test.queries), rtol=0.05, atol=0.05)


@pytest.mark.slow
def test_without_a_compiler_the_error_is_one_line(recbench, tmp_path):
    words = ("model=transformer", "data=acme-beauty", "model.epochs=1", "trainer.threads=1", "trainer.compile=true")
    env = {"CXX": str(tmp_path / "no-compiler"), "TORCHINDUCTOR_CACHE_DIR": str(tmp_path / "cache")}
    line = refused(recbench(*words, env=env), "trainer.compile=true: the network cannot be compiled", "; leave it out")
    assert "InvalidCxxCompiler" in line
