"""Vectors of texts on disk: each text is encoded once for a model, and found again by the hash of its bytes.

Letters: T texts, V width of a vector.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from recbench.cache import cache_folder, locked

HASH_BYTES = 16
BATCH = 512  # texts encoded between two writes: what a killed process loses

Encode = Callable[[list[str]], tuple[NDArray, NDArray]]  # texts to (T, V) vectors and (T,) numbers of tokens
Watch = Callable[[Sequence[list[bytes]]], Iterable[list[bytes]]]


class Store:
    """The vectors of one model with one way of pooling, in two files that only grow: hashes, and rows of a float32 vector
    with the tokens and the CPU seconds that it took.

    A row counts once its hash is written, so that a killed process leaves whole rows only.
    """

    def __init__(self, identity: str, dim: int) -> None:
        folder = cache_folder() / "embeddings" / hashlib.sha256(f"{identity}|{dim}".encode()).hexdigest()[:16]
        self.kind = np.dtype([("vector", np.float32, (dim,)), ("tokens", np.int32), ("cpu_seconds", np.float32)])
        self.hashes, self.rows = folder / "hashes.bin", folder / "rows.bin"

    def read(self, texts: Sequence[str], encode: Encode, watch: Watch) -> NDArray:
        """(T,) records with `vector`, `tokens` and `cpu_seconds`: texts that are not there yet go through `encode`, those of
        like length together; `watch` is around the list of batches.
        """
        keys = [hashlib.sha256(text.encode()).digest()[:HASH_BYTES] for text in texts]
        known = self._known()
        missing = {key: text for key, text in zip(keys, texts, strict=True) if key not in known}
        ordered = sorted(missing, key=lambda key: len(missing[key]))
        for batch in watch([ordered[at : at + BATCH] for at in range(0, len(ordered), BATCH)]):
            rows, before = np.empty(len(batch), self.kind), time.process_time()
            rows["vector"], rows["tokens"] = encode([missing[key] for key in batch])
            rows["cpu_seconds"] = (time.process_time() - before) / len(batch)
            with locked(self.hashes, "waiting for another process that writes vectors of texts"):
                self._append(batch, rows)
        known = self._known() if missing else known
        held = np.fromfile(self.rows, self.kind, count=len(known)) if known else np.empty(0, self.kind)
        return held[[known[key] for key in keys]]

    def _known(self) -> dict[bytes, int]:
        """The row of each hash."""
        content = self.hashes.read_bytes() if self.hashes.is_file() else b""
        n_rows = self.rows.stat().st_size // self.kind.itemsize if self.rows.is_file() else 0
        whole = min(len(content) // HASH_BYTES, n_rows)
        return {content[i * HASH_BYTES : (i + 1) * HASH_BYTES]: i for i in range(whole)}

    def _append(self, keys: list[bytes], rows: NDArray) -> None:
        known = self._known()
        new = [at for at, key in enumerate(keys) if key not in known]  # another process may have been faster
        _cut(self.hashes, len(known) * HASH_BYTES)
        _cut(self.rows, len(known) * self.kind.itemsize)
        with self.rows.open("ab") as file:
            file.write(rows[new].tobytes())
        with self.hashes.open("ab") as file:
            file.write(b"".join(keys[at] for at in new))


def _cut(path: Path, n_bytes: int) -> None:
    """Drop what a killed process left behind the last whole row."""
    if path.is_file() and path.stat().st_size > n_bytes:
        with path.open("rb+") as file:
            file.truncate(n_bytes)
