"""h_i = P(one person's label differs from the consensus), from items that several people judged.

Each person is held against the majority of the others on the same item, so nobody is part of their own yardstick; an
item whose others do not agree on a majority says nothing. A beta-binomial prior, fitted by moments over annotators,
shrinks each annotator's rate; without overlaps the prior mean is used and said so (`n` = 0).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from annotations.analysis import held_out
from annotations.analysis.majority import NONE

PRIOR = (1.0, 19.0)  # 5 %, worth twenty judgments, where nothing is known


@dataclass(frozen=True)
class HumanError:
    """Attributes:
    rate: the pooled rate, shrunk. lo, hi: the interval of the rate as it was observed, by prompt, widened to hold the
    shrunk one; None where nothing was observed, or in too few groups. n: comparisons of a person with the others' majority.
    annotator: ids int[a]; by_annotator: their shrunk rates float[a]; counts: int[a].
    """

    rate: float
    lo: float | None
    hi: float | None
    n: int
    annotator: np.ndarray
    by_annotator: np.ndarray
    counts: np.ndarray

    @property
    def bounds(self) -> tuple[float, float] | None:
        """(lo, hi), None where nothing was measured."""
        return None if self.lo is None or self.hi is None else (self.lo, self.hi)


def against_others(labels: np.ndarray) -> np.ndarray:
    """Whether each person differs from the majority of the others: float[n, k] of labels int8[n, k], NaN if unknown.

    A majority is more than half of the others' verdicts; `NONE` is no verdict.
    """
    labels = np.asarray(labels, dtype=np.int8)
    result = np.full(labels.shape, np.nan)
    given = labels != NONE
    votes = np.stack([((labels == v) & given).sum(axis=1) for v in (-1, 0, 1)], axis=1)
    for k in range(labels.shape[1]):
        rest = votes.copy()
        for v in (-1, 0, 1):
            rest[:, v + 1] -= labels[:, k] == v
        total = rest.sum(axis=1)
        clear = given[:, k] & (rest.max(axis=1, initial=0) * 2 > total) & (total > 0)
        result[clear, k] = (rest.argmax(axis=1) - 1)[clear] != labels[clear, k]
    return result


def estimate(differs: np.ndarray, annotator: np.ndarray, group: np.ndarray | None = None) -> HumanError:
    """Rates from comparisons: differs float[m] (NaN left out), annotator int[m], group int[m] (prompts; alone without)."""
    known = ~np.isnan(differs)
    d, who = differs[known], np.asarray(annotator)[known]
    seen = held_out.share(d, np.arange(len(d)) if group is None else np.asarray(group)[known])
    ids, code = np.unique(who, return_inverse=True)
    n = np.bincount(code, minlength=len(ids)).astype(float)
    bad = np.bincount(code, weights=d, minlength=len(ids))
    rate = float((bad.sum() + PRIOR[0]) / (n.sum() + sum(PRIOR)))
    strength = _strength(bad, n, rate)
    shrunk = (bad + strength * rate) / (n + strength) if len(ids) else np.zeros(0)
    lo, hi = (None, None) if seen["lo"] is None else (min(rate, seen["lo"]), max(rate, seen["hi"]))
    return HumanError(rate, lo, hi, int(n.sum()), ids, shrunk, n.astype(int))


def _strength(bad: np.ndarray, n: np.ndarray, rate: float) -> float:
    """Prior strength a + b of the beta-binomial by moments, in [5, 1000]; 1000 where annotators do not differ."""
    if len(n) < 2:
        return 1000.0
    shares = bad / n
    between = float(np.average((shares - rate) ** 2, weights=n))
    within = float(np.average(rate * (1 - rate) / n, weights=n))
    spread = between - within
    return float(np.clip(rate * (1 - rate) / spread - 1, 5, 1000)) if spread > 0 else 1000.0
