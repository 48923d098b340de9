"""Whether the people who judged an item agree: a pure rule over their answers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from fractions import Fraction

SHARES = {"majority": Fraction(1, 2), "two_thirds": Fraction(2, 3), "unanimous": Fraction(1)}


@dataclass(frozen=True, slots=True)
class PersonVote:
    """What one person said about an item.

    `verdict`: who won, as anything that can be compared (a side, a tie, a ranking, "cannot judge"). `marks`:
    ratings {(attribute, response): (value, scale_min, scale_max)}, where the task compares nothing.
    """

    verdict: Hashable | None = None
    marks: tuple[tuple[tuple[str, int], float, float | None, float | None], ...] = ()


def agree(votes: Sequence[PersonVote], rule: str) -> bool:
    """Whether the votes agree: `majority` = one verdict has more than half of them, `two_thirds` = at least two
    thirds, `unanimous` = all.

    Votes without a verdict are compared by their marks: they agree where no mark of one response in one attribute
    spreads over more than half of its scale (HelpSteer2: more than 2 points of 0 to 4 asks further people), and, to leave one outlier its place, after dropping the vote that is farthest off where there are three or
    more. Fewer than two votes agree.
    """
    if len(votes) < 2:
        return True
    if any(vote.verdict is not None for vote in votes):
        most = Counter(vote.verdict for vote in votes).most_common(1)[0][1]
        share = Fraction(most, len(votes))
        return share > SHARES[rule] if rule == "majority" else share >= SHARES[rule]
    if _within(votes):
        return True
    return (
        rule != "unanimous"
        and len(votes) >= 3
        and any(_within([*votes[:place], *votes[place + 1 :]]) for place in range(len(votes)))
    )


def _within(votes: Sequence[PersonVote]) -> bool:
    """Whether every mark spreads over at most half of its scale; a scale without bounds asks for equal marks."""
    seen: dict[tuple[str, int], list[float]] = {}
    span: dict[tuple[str, int], float] = {}
    for vote in votes:
        for key, value, low, high in vote.marks:
            seen.setdefault(key, []).append(value)
            span[key] = (high - low) / 2 if low is not None and high is not None else 0.0
    return all(max(values) - min(values) <= span[key] for key, values in seen.items())
