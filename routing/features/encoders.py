"""Encoders of texts behind one interface: hashed n-grams by default, a sentence-embedding model where one is at hand.

An encoder turns texts into rows of unit length (zero for texts without words), the same row for the same text always;
`name` says which, and is stored beside everything computed from it.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Protocol

import numpy as np
from scipy import sparse

from .text import N_HASHED, clip_text, hashed_ngrams

MAX_TOKENS = 512
KEPT_ROWS = 200_000


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
    """A frozen sentence-embedding model from a local folder of safetensors; nothing is downloaded, no code of it is run.

    A text's row is the mean of the last states, or the state that the folder's `1_Pooling` names (the layout of
    sentence-transformers, Reimers & Gurevych 2019, arXiv:1908.10084). Texts go through one by one, so that a row does
    not depend on what stands beside it; longer ones are cut at the model's limit. Raises ValueError where the folder
    holds no such model, or torch is missing (`requirements-train.txt`).
    """

    def __init__(self, path: str | Path) -> None:
        path = Path(path)
        if not (path / "config.json").is_file():
            raise ValueError(f"{path}: expected the folder of a sentence-embedding model")
        if not (importlib.util.find_spec("torch") and importlib.util.find_spec("transformers")):
            raise ValueError("embeddings need torch and transformers; hashed n-grams need nothing")
        import torch
        from transformers import AutoModel, AutoTokenizer

        how = {"trust_remote_code": False, "local_files_only": True}
        try:
            self.tokenizer = AutoTokenizer.from_pretrained(path, **how)
            self.model = AutoModel.from_pretrained(
                path, use_safetensors=True, dtype=torch.float32, **how
            ).eval()
        except (OSError, ValueError, KeyError) as error:
            raise ValueError(f"{path}: no sentence-embedding model can be read: {error}") from error
        self.path, self.pooling = str(path), _pooling(path)
        positions = getattr(self.model.config, "max_position_embeddings", MAX_TOKENS)
        self.max_tokens = min(MAX_TOKENS, positions, int(self.tokenizer.model_max_length))
        self.dimension = int(self.model.config.hidden_size)
        self.sha256 = _sha256(path)
        self.name = f"sentence-{path.name}-{self.sha256[:8]}"
        self._known: dict[str, np.ndarray] = {}

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        if len(self._known) > KEPT_ROWS:
            self._known.clear()
        rows = np.zeros((len(texts), self.dimension), dtype=np.float32)
        for row, text in zip(rows, texts, strict=True):
            if text not in self._known:
                self._known[text] = self._row(text)
            row[:] = self._known[text]
        return rows

    def _row(self, text: str) -> np.ndarray:
        import torch

        given = self.tokenizer(
            clip_text(text), truncation=True, max_length=self.max_tokens, return_tensors="pt"
        )
        if not text.strip() or not given["input_ids"].shape[1]:
            return np.zeros(self.dimension, dtype=np.float32)
        threads = torch.get_num_threads()
        torch.set_num_threads(
            1
        )  # one text is little work: threads would wait for each other, ten times longer
        try:
            with torch.inference_mode():
                found = self.model(input_ids=given["input_ids"], attention_mask=given["attention_mask"])
        finally:
            torch.set_num_threads(threads)
        states = found.last_hidden_state[0].float().numpy()
        row = states.mean(axis=0) if self.pooling == "mean" else states[0 if self.pooling == "first" else -1]
        return row / max(float(np.linalg.norm(row)), 1e-12)


def _pooling(path: Path) -> str:
    """Which states make a text's row: "mean", "first" or "last"."""
    try:
        said = json.loads((path / "1_Pooling" / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return "mean"
    if said.get("pooling_mode_cls_token"):
        return "first"
    return "last" if said.get("pooling_mode_lasttoken") else "mean"


def _sha256(path: Path) -> str:
    """Of everything that decides what the model gives: its weights, configuration and tokenizer."""
    digest = hashlib.sha256()
    for file in sorted([*path.glob("*.safetensors"), *path.glob("*.json"), *path.glob("1_Pooling/*.json")]):
        digest.update(file.name.encode())
        with file.open("rb") as handle:
            digest.update(hashlib.file_digest(handle, "sha256").digest())
    return digest.hexdigest()


@lru_cache(maxsize=2)
def sentences(path: str) -> SentenceEncoder:
    """The encoder of a folder, kept in memory with the rows it has made."""
    return SentenceEncoder(path)


def encoder(spec: str = "hashing") -> Encoder:
    """`hashing`, `hashing-4096`, or the path of a sentence-embedding model. Raises ValueError for anything else."""
    name, _, size = spec.partition("-")
    if name == "hashing":
        if size and not (size.isdigit() and 2 <= int(size) <= N_HASHED):
            raise ValueError(f"{spec!r}: expected hashing-K with K from 2 to {N_HASHED}")
        return HashingEncoder(int(size or N_HASHED))
    return sentences(spec)


def cosine(a: sparse.csr_matrix | np.ndarray, b: sparse.csr_matrix | np.ndarray) -> np.ndarray:
    """Row-wise dot product of unit rows, float[n] clipped to [0, 1]."""
    product = a.multiply(b).sum(axis=1) if sparse.issparse(a) else np.einsum("ij,ij->i", a, b)
    return np.clip(np.asarray(product).ravel(), 0.0, 1.0)
