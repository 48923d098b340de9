"""Several replies about one item, from both orders and k samples, as one answer. Pure.

Per comparison: within an order the verdict is the sign of the mean over its samples. Both orders agree: that verdict,
its strength the rounded mean. They disagree: tie `equal`, P = 1/2, not order-consistent; swapping tells more about a
model than repeating (arXiv 2406.07791). This is what `items.readers.labels.merge_calls` does with imported calls.

P(second better), ties counted half, where the orders agree: the mean of the token probabilities where every reply has
them, else (s + 1) / (n + 2) over the n votes with s the sum of 1, 1/2 and 0: few votes never look certain (Laplace).

Scores: the mean over all replies, rounded half up to the scale. Orders contradict each other where they put some pair
of responses in opposite strict orders.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from .asking import Asked, Question
from .parsing import Parsed


@dataclass(frozen=True)
class Vote:
    """One reply: the order it saw, what was read of it, and P(second better) by token probabilities if known."""

    order: str
    parsed: Parsed
    probability: float | None = None


@dataclass(frozen=True)
class Combined:
    """comparisons: name -> (signed strength, tie or ""); scores: name -> value per canonical index."""

    comparisons: dict[str, tuple[int, str]] = field(default_factory=dict)
    scores: dict[str, dict[int, int]] = field(default_factory=dict)
    probability: float | None = None
    order_consistent: bool | None = None
    reason: str = ""


def combine(votes: Sequence[Vote], asked: Asked) -> Combined | None:
    """The one answer of these replies, None where no reply could be read, or an order has none that could."""
    read = [vote for vote in votes if vote.parsed.ok]
    if not read or {vote.order for vote in read} != {vote.order for vote in votes}:
        return None
    comparisons: dict[str, tuple[int, str]] = {}
    scores: dict[str, dict[int, int]] = {}
    consistent: list[bool] = []
    probability = None
    two_orders = len({vote.order for vote in read}) > 1
    for q in asked.questions:
        if q.kind == "comparison":
            verdict, agrees = _compare(read, q.name, q.high)
            comparisons[q.name] = verdict
            if two_orders:
                consistent.append(agrees)
            if q is asked.main:
                probability = _probability(read, q.name) if agrees else 0.5
        else:
            scores[q.name] = _score(read, q)
            if two_orders and asked.main is None:
                consistent.append(_ranks_agree(read, q.name))
    reason = next((v.parsed.reason for v in read if v.parsed.reason and _says(v, comparisons, asked)), "")
    return Combined(comparisons, scores, probability, all(consistent) if consistent else None, reason)


def _says(vote: Vote, comparisons: dict, asked: Asked) -> bool:
    if asked.main is None:
        return True
    return _sign(vote.parsed.comparisons[asked.main.name][0]) == _sign(comparisons[asked.main.name][0])


def _sign(value: float) -> int:
    return (value > 0) - (value < 0)


def _by_order(votes: Sequence[Vote]) -> dict[str, list[Vote]]:
    found: dict[str, list[Vote]] = {}
    for vote in votes:
        found.setdefault(vote.order, []).append(vote)
    return found


def _compare(votes: Sequence[Vote], name: str, high: int) -> tuple[tuple[int, str], bool]:
    """The verdict, and whether the orders agree."""
    leans = [
        _sign(sum(_sign(v.parsed.comparisons[name][0]) for v in group)) for group in _by_order(votes).values()
    ]
    if len(set(leans)) > 1:
        return (0, "equal"), False
    side = leans[0]
    if side == 0:
        ties = [tie for v in votes if (tie := v.parsed.comparisons[name][1])]
        return (0, ties[0] if ties and len(set(ties)) == 1 else "equal"), True
    backing = [
        abs(v.parsed.comparisons[name][0]) for v in votes if _sign(v.parsed.comparisons[name][0]) == side
    ]
    return (side * min(high, max(1, math.floor(sum(backing) / len(backing) + 0.5))), ""), True


def _probability(votes: Sequence[Vote], name: str) -> float:
    groups = _by_order(votes)
    if all(vote.probability is not None for vote in votes):
        means = [sum(v.probability for v in group) / len(group) for group in groups.values()]
        return min(1.0, max(0.0, sum(means) / len(means)))
    s = sum((_sign(v.parsed.comparisons[name][0]) + 1) / 2 for v in votes)
    return (s + 1) / (len(votes) + 2)


def _score(votes: Sequence[Vote], q: Question) -> dict[int, int]:
    means = {
        index: sum(v.parsed.scores[q.name][index] for v in votes) / len(votes)
        for index in votes[0].parsed.scores[q.name]
    }
    if q.kind != "ranking":
        return {index: math.floor(mean + 0.5) for index, mean in means.items()}
    if q.ties:
        return {index: sum(other < mean for other in means.values()) + 1 for index, mean in means.items()}
    ordered = sorted(means, key=lambda index: (means[index], index))
    return {index: place for place, index in enumerate(ordered, 1)}


def _ranks_agree(votes: Sequence[Vote], name: str) -> bool:
    means = [
        {i: sum(v.parsed.scores[name][i] for v in group) / len(group) for i in group[0].parsed.scores[name]}
        for group in _by_order(votes).values()
    ]
    first, second = means[0], means[1]
    return not any(
        _sign(first[i] - first[j]) * _sign(second[i] - second[j]) < 0 for i in first for j in first if i < j
    )
