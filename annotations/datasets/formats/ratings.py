"""What people's ratings of one response come to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from annotations.analysis.similar import three_most_similar

from ..aggregate import current_judgments, half_away
from .base import Row

RATING_METHODS = ("three_most_similar", "mean", "majority")


def whole_rating(values: Sequence[float], method: str) -> int:
    """One whole number for several ratings of one thing, oldest first, halves away from zero.

    `three_most_similar` is HelpSteer2's rule (taken per attribute, which its paper leaves open); `majority` is
    the commonest value, of several the one nearest to the mean.
    """
    mean = sum(values) / len(values)
    if method == "majority":
        counts = Counter(values)
        most = max(counts.values())
        return int(min((abs(v - mean), v) for v, n in counts.items() if n == most)[1])
    kept = three_most_similar(values) if method == "three_most_similar" else values
    return half_away(sum(kept) / len(kept))


def judged_in(item: Row, judged_by: str) -> list[Row]:
    """The current judgments that count: people's where there are any that score or compare, else the models'."""
    judgments = current_judgments(item)
    for kind in ("human", "lm") if judged_by == "final" else (judged_by,):
        own = [judgment for judgment in judgments if judgment["kind"] == kind]
        if any(judgment["scores"] or judgment["comparisons"] for judgment in own):
            return own
    return []
