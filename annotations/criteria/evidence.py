"""Numbers under small samples: lower bounds, paired tests, many criteria at once. Pure.

Wilson's interval is for showing, the Jeffreys posterior for ranking: with eight of ten right the point value says .80
and the lower tenth .60. `shrink` pulls many criteria towards what they have in common (beta-binomial by moments).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import special, stats

from annotations.judging.intervals import wilson

ALPHA = 0.1  # one-sided level at which an edit counts as better
POWER = 0.8  # "about N more" is the n at which the difference seen so far would show with this probability
MOST_MORE = 5_000
WEAKEST_PRIOR, STRONGEST_PRIOR = 2.0, 1_000.0


def share(successes: float, n: int) -> dict | None:
    """A mean of n values in [0, 1] with Wilson's interval; exact for 0/1, too wide rather than too narrow with halves."""
    return wilson(successes, n)  # type: ignore[arg-type]


@dataclass(frozen=True)
class Shrunken:
    """Posterior of each rate under a common prior Beta(a, b): means and lower tenths, float[k]."""

    a: float
    b: float
    mean: np.ndarray
    lower: np.ndarray


def shrink(successes: Sequence[float], n: Sequence[int], quantile: float = 0.1) -> Shrunken:
    """Pull k rates towards each other, the more the less each is known. Prior by moments, Jeffreys where k < 3."""
    s, m = np.asarray(successes, dtype=float), np.asarray(n, dtype=float)
    a = b = 0.5
    if len(s) >= 3 and (m > 0).sum() >= 3:
        used = m > 0
        rate, size = s[used] / m[used], m[used]
        centre = float(np.clip(s[used].sum() / size.sum(), 0.02, 0.98))
        spread = float(np.average((rate - centre) ** 2, weights=size))
        chance = float(np.average(centre * (1 - centre) / size, weights=size))
        between = max(spread - chance, 1e-9)
        strength = float(np.clip(centre * (1 - centre) / between - 1, WEAKEST_PRIOR, STRONGEST_PRIOR))
        a, b = centre * strength, (1 - centre) * strength
    alpha, beta = s + a, m - s + b
    return Shrunken(a, b, alpha / (alpha + beta), special.betaincinv(alpha, beta, quantile))


def above_chance(correct: int, n: int, chance: float = 0.5) -> float:
    """Exact one-sided binomial p of at least so many right by chance; 1 without any."""
    return float(_beyond(correct, n, chance))


def benjamini_hochberg(p: Sequence[float], q: float = 0.1) -> np.ndarray:
    """Which of these p values hold at false discovery rate q (Benjamini & Hochberg 1995): bool[k]."""
    values = np.asarray(p, dtype=float)
    k = len(values)
    found = np.zeros(k, dtype=bool)
    if not k:
        return found
    order = np.argsort(values, kind="stable")
    under = np.flatnonzero(values[order] <= q * np.arange(1, k + 1) / k)
    if len(under):
        found[order[: under[-1] + 1]] = True
    return found


@dataclass(frozen=True)
class Edit:
    """Old against new on the same cases. decision: `better`, `worse` or `unknown`.

    fixed: the old was wrong and the new right; broken: the reverse. p: exact one-sided McNemar for the decision's
    direction. more: about how many further cases would tell, None where nothing points to a difference.
    """

    decision: str
    fixed: int
    broken: int
    n: int
    p: float
    more: int | None

    @property
    def words(self) -> str:
        counts = f"fixes {self.fixed} and breaks {self.broken} of {self.n}"
        if self.decision == "better":
            return f"better: {counts} (p {self.p:.3f})"
        if self.decision == "worse":
            return f"worse: {counts} (p {self.p:.3f})"
        if self.more is None:
            return f"cannot tell yet: {counts}; nothing points to a difference"
        return f"cannot tell yet: {counts}; about {self.more} more would tell"


def compare_edit(old_right: np.ndarray, new_right: np.ndarray, alpha: float = ALPHA) -> Edit:
    """Exact paired McNemar test of two versions on the same cases, bool[n] each."""
    old, new = np.asarray(old_right, dtype=bool), np.asarray(new_right, dtype=bool)
    fixed, broken, n = int((~old & new).sum()), int((old & ~new).sum()), len(old)
    p_better = _tail(fixed, fixed + broken)
    p_worse = _tail(broken, fixed + broken)
    if p_better < alpha:
        return Edit("better", fixed, broken, n, p_better, 0)
    if p_worse < alpha:
        return Edit("worse", fixed, broken, n, p_worse, 0)
    return Edit("unknown", fixed, broken, n, min(p_better, p_worse), more_needed(fixed, broken, n, alpha))


def _beyond(k, m, p: float):
    """P(X >= k) of a binomial, by the incomplete beta function; 1 for k = 0, 0 above m."""
    k, m = np.asarray(k, dtype=float), np.asarray(m, dtype=float)
    inside = (k > 0) & (k <= m)
    tail = special.betainc(np.where(inside, k, 1), np.where(inside, m - k + 1, 1), p)
    return np.where(inside, tail, (k <= 0).astype(float))


def _tail(k: int, m: int) -> float:
    return float(_beyond(k, m, 0.5))


def more_needed(fixed: int, broken: int, n: int, alpha: float = ALPHA, power: float = POWER) -> int | None:
    """About how many more cases until this difference would show with the given power; None if there is none."""
    differing = fixed + broken
    if not n or not differing or fixed == broken:
        return None
    side = (max(fixed, broken) + 0.5) / (differing + 1)
    totals = n + np.unique(np.geomspace(1, MOST_MORE, 80).round())
    m = np.round(differing / n * totals)
    critical = stats.binom.isf(alpha, m, 0.5) + 1  # smallest count whose tail is at most alpha
    shows = (m > 0) & (_beyond(critical, m, side) >= power)
    return int(totals[shows.argmax()] - n) if shows.any() else None
