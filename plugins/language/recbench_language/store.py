"""Vectors of texts on disk: each text is encoded once for a model, and found again by the hash of its bytes.

Letters: T texts, V width of a vector.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from recbench.cache import cache_folder, locked

HASH_BYTES = 16
BATCH = 512  # texts encoded between two writes: what a killed process loses

Watch = Callable[[Sequence[list[bytes]]], Iterable[list[bytes]]]


class Store:
    """The vectors of one model with one way of pooling, in two files that only grow: hashes and float32 rows.

    A row counts once its hash is written, so that a killed process leaves whole rows only.
    """

    def __init__(self, identity: str, dim: int) -> None:
        folder = cache_folder() / "embeddings" / hashlib.sha256(f"{identity}|{dim}".encode()).hexdigest()[:16]
        self.dim, self.hashes, self.rows = dim, folder / "hashes.bin", folder / "rows.bin"

    def vectors(
        self, texts: Sequence[str], encode: Callable[[list[str]], NDArray], watch: Watch
    ) -> tuple[NDArray, int]:
        """(T, V) float32 of the texts, and how many were encoded for it: those that are not there yet go through `encode`,
        those of like length together; `watch` is around the list of batches, for a progress bar.
        """
        keys = [hashlib.sha256(text.encode()).digest()[:HASH_BYTES] for text in texts]
        known = self._known()
        missing = {key: text for key, text in zip(keys, texts, strict=True) if key not in known}
        ordered = sorted(missing, key=lambda key: len(missing[key]))
        for batch in watch([ordered[at : at + BATCH] for at in range(0, len(ordered), BATCH)]):
            encoded = np.asarray(encode([missing[key] for key in batch]), np.float32)
            with locked(self.hashes, "waiting for another process that writes vectors of texts"):
                self._append(batch, encoded)
        known = self._known() if missing else known
        if not texts:
            return np.empty((0, self.dim), np.float32), 0
        rows = np.memmap(self.rows, np.float32, "r")
        rows = rows[: len(rows) // self.dim * self.dim].reshape(-1, self.dim)
        return np.array(rows[[known[key] for key in keys]]), len(missing)

    def _known(self) -> dict[bytes, int]:
        """The row of each hash."""
        content = self.hashes.read_bytes() if self.hashes.is_file() else b""
        whole = len(content) // HASH_BYTES
        return {content[i * HASH_BYTES : (i + 1) * HASH_BYTES]: i for i in range(whole)}

    def _append(self, keys: list[bytes], vectors: NDArray) -> None:
        known = self._known()
        new = [at for at, key in enumerate(keys) if key not in known]  # another process may have been faster
        _cut(self.hashes, len(known) * HASH_BYTES)
        _cut(self.rows, len(known) * self.dim * 4)
        with self.rows.open("ab") as rows:
            rows.write(np.ascontiguousarray(vectors[new]).tobytes())
        with self.hashes.open("ab") as hashes:
            hashes.write(b"".join(keys[at] for at in new))


def _cut(path: Path, n_bytes: int) -> None:
    """Drop what a killed process left behind the last whole row."""
    if path.is_file() and path.stat().st_size > n_bytes:
        with path.open("rb+") as file:
            file.truncate(n_bytes)
