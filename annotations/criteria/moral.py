"""Which criterion should win where: votes between value cards as a graph, ranked by PageRank. Pure.

After moral graph elicitation (Klingefjord, Lowe & Edelman 2024, arXiv 2404.10636): an edge from one card to another
says that people found the second wiser for their context. The entropy is over votes alone.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

DAMPING = 0.85
ROUNDS = 100
LEAST_WISER = 2
LEAST_LIKELIHOOD = 0.33
MOST_ENTROPY = 1.69


@dataclass(frozen=True)
class Edge:
    """lower -> upper: how many found the upper one wiser, not wiser, unsure; and less wise, from reversed votes."""

    lower: int
    upper: int
    wiser: int
    less_wise: int
    other: int

    @property
    def likelihood(self) -> float:
        total = self.wiser + self.less_wise + self.other
        return (self.wiser - self.less_wise) / total if total else 0.0

    @property
    def entropy(self) -> float:
        """Bits of disagreement."""
        counts = [n for n in (self.wiser, self.less_wise, self.other) if n]
        total = sum(counts)
        return -sum(n / total * math.log2(n / total) for n in counts) if total else 0.0

    @property
    def holds(self) -> bool:
        return (
            self.wiser >= LEAST_WISER and self.likelihood >= LEAST_LIKELIHOOD and self.entropy <= MOST_ENTROPY
        )


def edges(votes: Iterable[tuple[int, int, str]]) -> list[Edge]:
    """Edges of votes (lower, upper, `wiser` | `not` | `unsure`), in order of cards."""
    counts: Counter[tuple[int, int, str]] = Counter(votes)
    found = []
    for lower, upper in sorted({(a, b) for a, b, _ in counts} | {(b, a) for a, b, _ in counts}):
        if lower == upper:
            continue
        wiser = counts[lower, upper, "wiser"]
        less = counts[upper, lower, "wiser"]
        other = sum(counts[a, b, v] for a, b in ((lower, upper), (upper, lower)) for v in ("not", "unsure"))
        if wiser or less or other:
            found.append(Edge(lower, upper, wiser, less, other))
    return found


def rank(cards: Iterable[int], found: Iterable[Edge]) -> dict[int, float]:
    """PageRank of the cards over the edges that hold, weighted by their likelihood; sums to 1."""
    cards = list(cards)
    if not cards:
        return {}
    out: dict[int, list[tuple[int, float]]] = {c: [] for c in cards}
    for e in found:
        if e.holds and e.lower in out and e.upper in out:
            out[e.lower].append((e.upper, e.likelihood))
    value = dict.fromkeys(cards, 1 / len(cards))
    for _ in range(ROUNDS):
        spread = (1 - DAMPING) / len(cards)
        idle = sum(value[c] for c in cards if not out[c])
        new = dict.fromkeys(cards, spread + DAMPING * idle / len(cards))
        for c in cards:
            total = sum(w for _, w in out[c])
            for other, w in out[c]:
                new[other] += DAMPING * value[c] * w / total
        value = new
    return value
