"""Text features that need no download and no GPU: counts of style and hashed n-grams.

Both are functions of one text, deterministic, and computed in batches so that memory is bounded by the
batch and by `MAX_CHARS`, not by the longest text.

Sources: feature hashing with random signs, Weinberger et al. (2009), arXiv:0902.2206, as implemented by
scikit-learn's `HashingVectorizer`. The style counts are the surface features that preference labels are
known to follow (length above all); a reward model carries them openly instead of hiding them in n-grams.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import sparse

from .argument import ARGUMENT_NAMES, argument_features

STYLE_NAMES = (
    "log_words",
    "log_chars",
    "log_newlines",
    "log_question_marks",
    "log_digits",
    "log_asterisks",
    "refusal",
    "type_token_ratio",
)
N_HASHED = 2**18
MODEL_STYLE_NAMES = (*STYLE_NAMES, *ARGUMENT_NAMES)
"""What a reward model reads beside n-grams; one that was saved before there were the latter reads the former alone."""

# Longer texts keep their first and last halves of this budget; only `log_chars` sees the whole length.
MAX_CHARS = 32_768
# The type/token ratio falls with length by itself (Heaps' law), so it is taken over a fixed window.
TTR_WORDS = 200
_BATCH = 512

_DIGIT = re.compile(r"\d")
_REFUSAL = re.compile(
    r"\b(?:sorry|apologi[sz]e|unable to|not able to|won['’]t|refuse|inappropriate|illegal|unethical|"
    r"(?:can|could|should|do)(?:n['’]t|not| not) (?:help|do that|provide|assist|recommend|condone|answer)|"
    r"as an ai|i['’]m not sure|not comfortable)\b",
    re.IGNORECASE,
)


def clip_text(text: str, max_chars: int = MAX_CHARS) -> str:
    """Return the text, or its head and tail joined by a newline when it is longer than `max_chars`."""
    if len(text) <= max_chars:
        return text
    half = max_chars // 2
    return f"{text[:half]}\n{text[-half:]}"


def style_features(texts: Sequence[str]) -> np.ndarray:
    """Return the raw style features, float64 of shape (n, 8) in the order of `STYLE_NAMES`.

    Counts c enter as log(1 + c); `refusal` is 1 where a typical phrase of refusal or apology occurs;
    `type_token_ratio` is distinct / all lower-cased words among the first `TTR_WORDS` (0 without words).
    """
    rows = np.zeros((len(texts), len(STYLE_NAMES)))
    for row, text in zip(rows, texts, strict=True):
        clipped = clip_text(text)
        words = clipped.split()
        window = [word.lower() for word in words[:TTR_WORDS]]
        row[:6] = (
            len(words),
            len(text),
            clipped.count("\n"),
            clipped.count("?"),
            len(_DIGIT.findall(clipped)),
            clipped.count("*"),
        )
        row[6] = _REFUSAL.search(clipped) is not None
        row[7] = len(set(window)) / len(window) if window else 0.0
    rows[:, :6] = np.log1p(rows[:, :6])
    return rows


def hashed_ngrams(texts: Sequence[str], n_features: int = N_HASHED) -> sparse.csr_matrix:
    """Return hashed word uni- and bi-grams, each row L2-normalised (all zero for a text without words).

    float64 csr of shape (n, n_features); signs alternate by hash, so collisions cancel in expectation.
    """
    # Here and not above: it brings 150 MB into whatever process imports it, and web processes never hash.
    from sklearn.feature_extraction.text import HashingVectorizer

    vectorizer = HashingVectorizer(
        n_features=n_features,
        ngram_range=(1, 2),
        norm="l2",
        alternate_sign=True,
        lowercase=True,
    )
    blocks = [
        vectorizer.transform([clip_text(text) for text in texts[start : start + _BATCH]])
        for start in range(0, len(texts), _BATCH)
    ]
    if not blocks:
        return sparse.csr_matrix((0, n_features))
    return sparse.csr_matrix(sparse.vstack(blocks, format="csr"))


def _model_style(texts: Sequence[str], width: int) -> np.ndarray:
    style = style_features(texts)
    if width == len(STYLE_NAMES):
        return style
    return np.hstack([style, argument_features([clip_text(text) for text in texts])])


@dataclass(frozen=True)
class TextFeatures:
    """The feature map φ(text) = [standardised style | hashed n-grams] with its fitted parameters.

    Attributes:
        style_mean: mean of each feature of MODEL_STYLE_NAMES over the texts it was fitted on, shape (21,); (8,) in older models.
        style_scale: their standard deviation, 1 where a feature is constant.
        n_hashed: number of hashed columns.
    """

    style_mean: np.ndarray
    style_scale: np.ndarray
    n_hashed: int = N_HASHED

    @classmethod
    def fit(cls, texts: Sequence[str], n_hashed: int = N_HASHED) -> TextFeatures:
        """Learn the standardisation from `texts`; raise ValueError when there is none."""
        if not len(texts):
            raise ValueError("text features need at least one text to be fitted on")
        style = _model_style(texts, len(MODEL_STYLE_NAMES))
        scale = style.std(axis=0)
        return cls(style.mean(axis=0), np.where(scale > 1e-9, scale, 1.0), n_hashed)

    def style(self, texts: Sequence[str]) -> np.ndarray:
        """Return the standardised style features, shape (n, 21); (n, 8) where that is what was fitted."""
        return (_model_style(texts, len(self.style_mean)) - self.style_mean) / self.style_scale

    def ngrams(self, texts: Sequence[str]) -> sparse.csr_matrix:
        """Return the hashed n-grams, shape (n, n_hashed)."""
        return hashed_ngrams(texts, self.n_hashed)
