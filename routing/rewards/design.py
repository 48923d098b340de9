"""The features of everything that a linear reward model learns from, each text read once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import sparse

from routing.features.encoders import SentenceEncoder
from routing.features.text import TextFeatures
from routing.rewards.data import Pairs, Ratings
from routing.rewards.lists import Lists
from routing.rewards.penalised import Watch

BATCH = 2048


@dataclass(frozen=True)
class Design:
    """Features of the distinct training texts: [style | n-grams that occur | embeddings, where there are any].

    Attributes:
        features: the map of style and n-grams; columns: the hashed columns that occur.
        texts: csr (distinct texts, width); delta: φ(second) - φ(first) of the pairs.
        first, second, rated, listed, thumbed: rows of `texts` that the tables' texts stand in.
    """

    features: TextFeatures
    columns: np.ndarray
    texts: sparse.csr_matrix
    delta: sparse.csr_matrix
    first: np.ndarray
    second: np.ndarray
    rated: np.ndarray
    listed: np.ndarray
    thumbed: np.ndarray

    @classmethod
    def build(
        cls,
        pairs: Pairs,
        ratings: Ratings | None,
        lists: Lists | None,
        thumbs: Ratings | None,
        embedder: SentenceEncoder | None,
        watch: Watch,
    ) -> Design:
        rated = ratings.texts if ratings is not None else []
        listed = [text for texts in lists.texts for text in texts] if lists is not None else []
        thumbed = thumbs.texts if thumbs is not None else []
        everything = [*pairs.first_texts, *pairs.second_texts, *rated, *listed, *thumbed]
        position = {text: i for i, text in enumerate(dict.fromkeys(everything))}
        texts = list(position)
        features = TextFeatures.fit(texts)
        blocks, style, embedded = [], [], []
        for start in range(0, len(texts), BATCH):
            watch.check()
            batch = texts[start : start + BATCH]
            blocks.append(features.ngrams(batch))
            style.append(features.style(batch))
            if embedder is not None:
                for text in batch:  # slow: it must be possible to stop
                    watch.tick()
                    embedded.append(embedder.encode([text]))
        watch.check()
        ngrams = sparse.csr_matrix(sparse.vstack(blocks, format="csr"))
        columns = np.unique(ngrams.indices)
        parts = [np.vstack(style), ngrams[:, columns], *([np.vstack(embedded)] if embedded else [])]
        matrix = sparse.hstack([sparse.csr_matrix(part, dtype=float) for part in parts], format="csr")

        def at(names: Sequence[str]) -> np.ndarray:
            return np.array([position[text] for text in names], dtype=int)

        first, second = at(pairs.first_texts), at(pairs.second_texts)
        return cls(
            features, columns.astype(np.int32), matrix, sparse.csr_matrix(matrix[second] - matrix[first]),
            first, second, at(rated), at(listed), at(thumbed),
        )  # fmt: skip
