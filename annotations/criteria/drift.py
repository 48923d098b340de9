"""Does it still mean the same: people over time, judges over versions, criteria over wordings. Pure.

Everything is compared on the same items, so that another mix of items cannot pass for drift.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from .evidence import share
from .pairs import FIRST, NA, SECOND, TIE

FLIP_ALARM = 0.10
ALARM_P = 0.05
RUN_LENGTH = 200  # judgments between false alarms of the CUSUM
LEAST_USUAL, LEAST_WATCHED = 20, 10
ANOTHER, SHIFTED = 0.25, 0.1  # bounds of the stability index


@dataclass(frozen=True)
class Panel:
    """Two runs over the same items: flips, rank correlation of the verdicts, and confidence (tau + 1) / 2 (CREAM)."""

    flips: dict | None
    tau: float | None
    confidence: float | None
    alarm: bool


def panel(before: np.ndarray, after: np.ndarray) -> Panel:
    """A judge's verdicts before and after a change on a fixed panel, int8[n] codes of `pairs`.

    The alarm goes off unless the upper bound of the flip rate is at most FLIP_ALARM: no news is no release.
    """
    b, a = np.asarray(before), np.asarray(after)
    known = np.isin(b, (FIRST, TIE, SECOND, NA)) & np.isin(a, (FIRST, TIE, SECOND, NA))
    flips = share(int((b[known] != a[known]).sum()), int(known.sum()))
    lean_b, lean_a = (np.where(x[known] == NA, 0, x[known]) for x in (b, a))
    tau = None
    if known.sum() >= 2 and len(set(lean_b)) > 1 and len(set(lean_a)) > 1:
        tau = float(stats.kendalltau(lean_b, lean_a).statistic)
    return Panel(
        flips, tau, None if tau is None else (tau + 1) / 2, flips is None or flips["hi"] > FLIP_ALARM
    )


def self_agreement(first: Sequence[object], again: Sequence[object]) -> dict | None:
    """How often a person says the same of the same item, blind."""
    return share(sum(a == b for a, b in zip(first, again, strict=True)), len(first))


def early_late(agrees: np.ndarray) -> dict | None:
    """The first against the last third of a person's grades: agreement with the others, and Fisher's exact p.

    agrees: bool[n] in order of time. None below nine.
    """
    a = np.asarray(agrees, dtype=bool)
    third = len(a) // 3
    if third < 3:
        return None
    early, late = a[:third], a[-third:]
    table = [[int(early.sum()), third - int(early.sum())], [int(late.sum()), third - int(late.sum())]]
    p = float(stats.fisher_exact(table).pvalue)
    return {
        "early": share(table[0][0], third),
        "late": share(table[1][0], third),
        "p": p,
        "alarm": p < ALARM_P,
    }


def cusum(agrees: np.ndarray, usual: float, *, drop: float = 0.2, seed: int = 0) -> dict:
    """Page's one-sided CUSUM of a fall in agreement from `usual` by `drop`; the limit from simulation.

    Returns {"path": float[n], "limit", "at": the first index beyond the limit or None}.
    """
    a = np.asarray(agrees, dtype=float)
    p0, p1 = np.clip(usual, 0.02, 0.98), np.clip(usual - drop, 0.01, 0.97)
    right, wrong = np.log(p1 / p0), np.log((1 - p1) / (1 - p0))
    limit = _limit(float(p0), float(right), float(wrong), seed)
    path, total = [], 0.0
    for value in a:
        total = max(0.0, total + (right if value else wrong))
        path.append(total)
    beyond = [i for i, value in enumerate(path) if value > limit]
    return {"path": path, "limit": limit, "at": beyond[0] if beyond else None}


def _limit(p0: float, right: float, wrong: float, seed: int, runs: int = 400) -> float:
    """The height that a stable grader passes within RUN_LENGTH grades in one run of twenty."""
    steps = np.where(np.random.default_rng(seed).random((runs, RUN_LENGTH)) < p0, right, wrong)
    total, top = np.zeros(runs), np.zeros(runs)
    for t in range(RUN_LENGTH):
        total = np.maximum(0.0, total + steps[:, t])
        top = np.maximum(top, total)
    return float(np.quantile(top, 0.95))


def fell(agrees: np.ndarray, *, seed: int = 0) -> dict | None:
    """CUSUM over a person's grades after the first twenty, whose agreement counts as usual; None below thirty grades.

    Returns {"at": the grade at which the alarm went off or None, "usual", "limit", "n"}.
    """
    a = np.asarray(agrees, dtype=bool)
    if len(a) < LEAST_USUAL + LEAST_WATCHED:
        return None
    usual = float((a[:LEAST_USUAL].sum() + 1) / (LEAST_USUAL + 2))
    found = cusum(a[LEAST_USUAL:], usual, seed=seed)
    at = found["at"]
    return {
        "at": None if at is None else at + LEAST_USUAL + 1,
        "usual": usual,
        "limit": found["limit"],
        "n": len(a),
    }


def saturation(read_before: Sequence[int]) -> list[tuple[int, int]]:
    """New criteria against responses read: (read, criteria so far), one point per criterion."""
    return [(read, n) for n, read in enumerate(sorted(read_before), 1)]


def stability_index(before: np.ndarray, now: np.ndarray, bins: int = 10) -> float:
    """Population stability index of a number between two samples: below .1 alike, above .25 another population."""
    edges = np.unique(np.quantile(before, np.linspace(0, 1, bins + 1)))
    if len(edges) < 3:
        return 0.0
    edges[0], edges[-1] = -np.inf, np.inf
    return _index(*(np.histogram(x, edges)[0] for x in (before, now)))


def stability_of_kinds(before: np.ndarray, now: np.ndarray) -> float:
    """The same of codes of kinds."""
    kinds = np.union1d(before, now)
    return _index(*((np.asarray(x)[:, None] == kinds).sum(axis=0) for x in (before, now)))


def _index(before: np.ndarray, now: np.ndarray) -> float:
    p, q = (counts + 0.5 for counts in (before, now))
    p, q = p / p.sum(), q / q.sum()
    return float(((q - p) * np.log(q / p)).sum())
