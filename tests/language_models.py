"""Tiny language models with random weights, made where a test runs: no network and no download."""

from __future__ import annotations

from pathlib import Path

WORDS = [
    "red",
    "blue",
    "shoe",
    "hat",
    "lamp",
    "and",
    "the",
    "big",
    "small",
    "post",
    "one",
    "two",
    "three",
    "four",
    "five",
]


def tiny_bert(folder: Path, layers: int = 2, hidden: int = 16, seed: int = 0) -> Path:
    """A BERT with its vocabulary in `folder`, as save_pretrained leaves one: safetensors and a tokenizer."""
    import torch
    from transformers import BertConfig, BertModel, BertTokenizerFast

    folder.mkdir(parents=True, exist_ok=True)
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS]
    (folder / "vocab.txt").write_text("\n".join(vocabulary) + "\n")
    BertTokenizerFast(vocab={word: number for number, word in enumerate(vocabulary)}).save_pretrained(folder)
    torch.manual_seed(seed)
    config = BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=hidden,
        num_hidden_layers=layers,
        num_attention_heads=2,
        intermediate_size=2 * hidden,
        max_position_embeddings=32,
    )
    BertModel(config).eval().save_pretrained(folder)
    return folder
