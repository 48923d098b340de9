"""What of a response's form judges may follow: length, Markdown, hedging. Pure.

The four form counts are those of LMArena's style control (lm-sys/FastChat, `add_style_features`: tokens, headers,
lists, bold); words stand for tokens. Hedges are our own short list.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

NAMES = ("words", "headings", "list_items", "bold", "hedges")
WORDS, HEADINGS, LIST_ITEMS, BOLD, HEDGES = range(len(NAMES))
MAX_CHARS = 200_000  # of a text; beyond, only words are counted on

_HEADING = re.compile(r"^#{1,6} ", re.MULTILINE)
_LIST = re.compile(r"^[ \t]{0,12}(?:[-*+]|\d{1,3}[.)])[ \t]+\S", re.MULTILINE)
_BOLD = re.compile(r"\*\*[^*\n]{1,500}\*\*|__[^_\n]{1,500}__")
_HEDGE = re.compile(
    r"\b(?:maybe|perhaps|possibly|probably|might|may|could be|seems?|appears?|likely|unlikely|generally|usually|"
    r"I think|I believe|I guess|not sure|unsure|it depends|sort of|kind of|in my opinion)\b",
    re.IGNORECASE,
)


def counts(texts: Sequence[str]) -> np.ndarray:
    """float32[n, 5] in the order of NAMES: words, Markdown headings, list items, bold spans, hedging phrases."""
    found = np.zeros((len(texts), len(NAMES)), dtype=np.float32)
    for row, text in zip(found, texts, strict=True):
        cut = text[:MAX_CHARS]
        row[:] = (
            len(text.split()),
            len(_HEADING.findall(cut)) if "#" in cut else 0,
            len(_LIST.findall(cut)),
            len(_BOLD.findall(cut)) if "**" in cut or "__" in cut else 0,
            len(_HEDGE.findall(cut)),
        )
    return found
