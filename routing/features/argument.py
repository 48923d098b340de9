"""Thirteen counts of how a text argues and is set: sentences, connectives, address, links, capitals, long words.

Chosen after Habernal & Gurevych 2016 (*Which argument is more convincing?*) before anything was measured; what they add is in
docs/reward-models.md. A reward model reads them beside the eight style counts of `text.py`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

ARGUMENT_NAMES = (
    "log_sentences",
    "log_words_per_sentence",
    "log_commas",
    "log_connectives",
    "log_exclamation_marks",
    "log_first_person",
    "log_second_person",
    "log_links",
    "log_stretched_letters",
    "characters_per_word",
    "capitals",
    "begins_with_capital",
    "long_words",
)
LONG = 6  # characters; longer words are long

_END = re.compile(r"[.!?]+")
_CONNECTIVE = re.compile(
    r"\b(because|therefore|thus|hence|since|however|although|while|moreover|furthermore|also|for example|first|second|"
    r"finally|in conclusion|so that|if)\b",
    re.IGNORECASE,
)
_FIRST_PERSON = re.compile(r"\b(?:i|me|my)\b", re.IGNORECASE)
_SECOND_PERSON = re.compile(r"\b(?:you|your)\b", re.IGNORECASE)
_LINK = re.compile(r"https?:|www\.")
_STRETCHED = re.compile(r"(.)\1\1")


def argument_features(texts: Sequence[str]) -> np.ndarray:
    """Return the features, float64 of shape (n, 13) in the order of `ARGUMENT_NAMES`.

    Counts c enter as log(1 + c); `capitals` is a share of the letters, `long_words` one of the words. Time is linear in the texts'
    lengths: whoever calls clips them.
    """
    rows = np.zeros((len(texts), len(ARGUMENT_NAMES)))
    for row, text in zip(rows, texts, strict=True):
        words = text.split()
        n_words, n_sentences = max(len(words), 1), max(len(_END.findall(text)), 1)
        row[:9] = (
            n_sentences,
            n_words / n_sentences,
            text.count(","),
            len(_CONNECTIVE.findall(text)),
            text.count("!"),
            len(_FIRST_PERSON.findall(text)),
            len(_SECOND_PERSON.findall(text)),
            len(_LINK.findall(text)),
            len(_STRETCHED.findall(text)),
        )
        row[9:] = (
            sum(map(len, words)) / n_words,
            sum(map(str.isupper, text)) / max(sum(map(str.isalpha, text)), 1),
            text[:1].isupper(),
            sum(len(word) > LONG for word in words) / n_words,
        )
    rows[:, :9] = np.log1p(rows[:, :9])
    return rows
