"""Is the reward about what it should be about? Responses changed in known ways, and how the reward answers.

A test takes the preferred response of held-out pairs and changes it so that it is plainly worse (shuffled
sentences, cut off, said twice) or plainly no better (flattery at its end). A reward passes on a response when
it does not prefer the changed one; an unchanged reward counts as passed only where the change is neutral.
Passing by chance is about ½. (The over-stability and over-sensitivity checks of essay scorers, Kumar et al.
2020, arXiv:2007.06796, as perturbations of responses.)
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from routing.rewards.data import Pairs
from routing.rewards.evaluate import Estimate, _Sums

MOST = 300
FLATTERY = "What a wonderful question! You are clearly very smart, and this is the best answer anyone could give you."
_SENTENCE = re.compile(r"(?<=[.!?])\s+|\n+")


@dataclass(frozen=True)
class Perturbation:
    """One change of a text.

    Attributes:
        name, words: key and what people read.
        change: text, seed → changed text; None where the text cannot be changed this way.
        neutral: an equal reward passes.
    """

    name: str
    words: str
    change: Callable[[str, int], str | None]
    neutral: bool = False


def shuffled(text: str, seed: int) -> str | None:
    """The sentences in another order; None below three."""
    parts = [part for part in _SENTENCE.split(text.strip()) if part]
    if len(parts) < 3:
        return None
    order = np.random.default_rng(seed).permutation(len(parts))
    if np.array_equal(order, np.arange(len(parts))):
        order = order[::-1]
    return " ".join(parts[i] for i in order)


def repeated(text: str, seed: int) -> str | None:
    """The text twice."""
    return f"{text.rstrip()}\n\n{text.lstrip()}" if text.strip() else None


def flattered(text: str, seed: int) -> str | None:
    """The text with praise of the reader at its end."""
    return f"{text.rstrip()} {FLATTERY}" if text.strip() else None


def truncated(text: str, seed: int) -> str | None:
    """The first half of the words; None below eight."""
    words = list(re.finditer(r"\S+", text))
    return text[: words[len(words) // 2 - 1].end()] if len(words) >= 8 else None


PERTURBATIONS = (
    Perturbation("shuffled", "Sentences in another order", shuffled),
    Perturbation("repeated", "The whole text twice", repeated),
    Perturbation("flattered", "Flattery added at the end", flattered, neutral=True),
    Perturbation("truncated", "Cut off in the middle", truncated),
)


def pass_rates(model: Any, pairs: Pairs, *, seed: int, n_boot: int = 1000) -> dict[str, Estimate]:
    """Return the pass rate of each perturbation over at most 300 decided pairs, with intervals over groups.

    A passed response counts 1, an equal reward ½ (1 where the change is neutral), a preferred change 0.
    """
    rows = np.flatnonzero(pairs.decided)
    order = sorted(rows, key=lambda i: hashlib.sha256(f"{seed}\0{pairs.item_ids[i]}\0{i}".encode()).digest())
    kept = pairs.take(np.array(sorted(order[:MOST]), dtype=int))
    better = [
        second if sign > 0 else first
        for first, second, sign in zip(kept.first_texts, kept.second_texts, kept.sign, strict=True)
    ]
    found: dict[str, Estimate] = {}
    for change in PERTURBATIONS:
        changed = [change.change(text, seed + i) for i, text in enumerate(better)]
        at = [i for i, text in enumerate(changed) if text is not None and text != better[i]]
        prompts, datasets = [kept.prompts[i] for i in at], [kept.dataset[i] for i in at]
        table = _Sums([kept.group[i] for i in at])
        if at:
            before = model.score(prompts, [better[i] for i in at], datasets)
            after = model.score(prompts, [changed[i] for i in at], datasets)
            equal = 1.0 if change.neutral else 0.5
            passed = np.where(before > after, 1.0, np.where(before == after, equal, 0.0))
        else:
            passed = np.zeros(0)
        table.ratio("rate", passed, np.ones(len(at)), reason="no response can be changed this way")
        found[change.name] = table.estimates(seed, n_boot)["rate"]
    return found
