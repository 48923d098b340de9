"""When the work will be done, if it goes on as in the last days; pure arithmetic, and honest where it cannot tell."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from scipy.stats import t as student

FEWEST_DAYS = 3
CONFIDENCE = 0.9


@dataclass(frozen=True, slots=True)
class Forecast:
    """Days until nothing is left: a value and an interval, or `why` it cannot be told.

    `slowest` is None where the interval has no end: the pace may as well be nothing.
    """

    pace: float = 0.0
    """Answers a day, over the days looked at."""
    pace_lo: float = 0.0
    pace_hi: float = 0.0
    n: int = 0
    """Days looked at."""
    days: float | None = None
    fastest: float | None = None
    slowest: float | None = None
    why: str = ""


def forecast(left: float, used: Sequence[float]) -> Forecast:
    """`left` answers (or money) are left; `used` were given on each of the last full days, oldest first.

    The pace is the mean of the days from the first one with work on; its interval is Student's t at 90 %, which
    takes the days as independent draws of one pace. Days without work count: people rest.
    """
    if left <= 0:
        return Forecast(why="Nothing is left.")
    first = next((i for i, n in enumerate(used) if n), None)
    if first is None:
        return Forecast(why="Nobody has judged on the last full days, so there is no pace to go by.")
    seen = list(used[first:])
    n = len(seen)
    if n < FEWEST_DAYS:
        return Forecast(
            n=n, why=f"Work began less than {FEWEST_DAYS} full days ago; that is too little to tell a pace."
        )
    if not any(seen[-FEWEST_DAYS:]):
        return Forecast(
            n=n,
            why=f"Nobody has judged on the last {FEWEST_DAYS} full days, so the pace before says nothing.",
        )
    mean = sum(seen) / n
    spread = math.sqrt(sum((x - mean) ** 2 for x in seen) / (n - 1))
    half = float(student.ppf(0.5 + CONFIDENCE / 2, n - 1)) * spread / math.sqrt(n)
    lo, hi = max(0.0, mean - half), mean + half
    return Forecast(
        pace=mean,
        pace_lo=lo,
        pace_hi=hi,
        n=n,
        days=left / mean,
        fastest=left / hi,
        slowest=left / lo if lo > 0 else None,
    )
