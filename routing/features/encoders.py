"""Encoders of texts behind one interface: hashed n-grams by default, a sentence-embedding model where one is at hand.

An encoder turns texts into rows of unit length (zero for texts without words), the same row for the same text always;
`name` says which, and is stored beside everything computed from it.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
from scipy import sparse

from .text import N_HASHED, clip_text, hashed_ngrams


class Encoder(Protocol):
    """`encode(texts)` returns n rows of unit length: csr for sparse encoders, float32 for dense ones."""

    name: str

    def encode(self, texts: Sequence[str]) -> sparse.csr_matrix | np.ndarray: ...


class HashingEncoder:
    """Hashed word uni- and bi-grams; no download, no state."""

    def __init__(self, n_features: int = N_HASHED) -> None:
        self.n_features = n_features
        self.name = f"hashing-{n_features}"

    def encode(self, texts: Sequence[str]) -> sparse.csr_matrix:
        return hashed_ngrams(texts, self.n_features)


class SentenceEncoder:
    """A sentence-transformers model from a local folder; nothing is downloaded.

    Raises ValueError if the folder is missing, or if the package is (`requirements-train.txt` has it).
    """

    def __init__(self, path: str | Path, *, batch: int = 64) -> None:
        path = Path(path)
        if not path.is_dir():
            raise ValueError(f"{path}: expected the folder of a sentence-transformers model")
        if importlib.util.find_spec("sentence_transformers") is None:
            raise ValueError("embeddings need the package sentence-transformers; hashed n-grams need nothing")
        from sentence_transformers import SentenceTransformer

        self.model, self.batch = SentenceTransformer(str(path), local_files_only=True), batch
        self.name = f"sentence-{path.name}"

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        clipped = [clip_text(text) for text in texts]
        rows = self.model.encode(clipped, batch_size=self.batch, normalize_embeddings=True)
        return np.asarray(rows, dtype=np.float32)


def encoder(spec: str = "hashing") -> Encoder:
    """`hashing`, `hashing-4096`, or the path of a sentence-embedding model. Raises ValueError for anything else."""
    name, _, size = spec.partition("-")
    if name == "hashing":
        if size and not (size.isdigit() and 2 <= int(size) <= N_HASHED):
            raise ValueError(f"{spec!r}: expected hashing-K with K from 2 to {N_HASHED}")
        return HashingEncoder(int(size or N_HASHED))
    return SentenceEncoder(spec)


def cosine(a: sparse.csr_matrix | np.ndarray, b: sparse.csr_matrix | np.ndarray) -> np.ndarray:
    """Row-wise dot product of unit rows, float[n] clipped to [0, 1]."""
    product = a.multiply(b).sum(axis=1) if sparse.issparse(a) else np.einsum("ij,ij->i", a, b)
    return np.clip(np.asarray(product).ravel(), 0.0, 1.0)
