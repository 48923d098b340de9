"""Where a model may be trusted alone: the items above a confidence at which its error is provably low, or none.

Fixed-sequence testing (Bauer 1991) with exact bounds: thresholds of confidence are tried from the highest down; each
is accepted while the upper Clopper–Pearson bound, at level `delta`, of the error rate among audited items above it stays
at or below `alpha`; the first failure ends the sequence. Then P(error rate of the zone > alpha) ≤ delta. Where no
threshold passes, the zone is empty: the rule abstains (Trust or Escalate, arXiv:2407.18370, with that corrected).

Calibration items must be a uniform sample, such as the audits; of a prompt group only one random item counts, so that
draws are independent. Barred items (both orders contradict each other, no verdict, an injection suspected, a model
version not audited) are never in the zone, and their audits tell it nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import betaincinv

MIN_AUDITED = 30
LEVELS = 50


@dataclass(frozen=True)
class Zone:
    """The outcome of the test.

    Attributes:
        threshold: least confidence in the zone; None: abstain.
        inside: bool[n], the items of the pool that the model may label alone.
        n, errors: audited items at or above the threshold, and errors among them.
        bound: the upper bound of their error rate; of the first, failed test where the zone is empty.
        alpha, delta: the error rate allowed, and the chance of exceeding it.
    """

    threshold: float | None
    inside: np.ndarray
    n: int
    errors: int
    bound: float
    alpha: float
    delta: float


def upper_bound(errors: int, n: int, delta: float) -> float:
    """Clopper–Pearson: the largest rate at which `errors` or fewer of n have a probability of at least delta."""
    return 1.0 if errors >= n else float(betaincinv(errors + 1, n - errors, 1.0 - delta))


def least_audited(alpha: float, delta: float) -> int:
    """Audits of the first, smallest zone tested: enough to pass with a third of the errors allowed; at least 30."""
    n = MIN_AUDITED
    while upper_bound(int(alpha * n / 3), n, delta) > alpha:
        n += 1 if n < 1000 else n // 50
    return n


def accept_zone(
    *,
    confidence: np.ndarray,
    error: np.ndarray,
    barred: np.ndarray,
    alpha: float,
    delta: float = 0.05,
    judges: int = 1,
    group: np.ndarray | None = None,
    seed: int = 0,
) -> Zone:
    """Find the zone of one model.

    confidence float[n], higher is surer (such as 1 - e_i); error float[n]: 1 where the audit contradicts the model, 0
    where it agrees, NaN where not audited; barred bool[n]; `judges`: models tested side by side, delta is divided by
    it. Raises ValueError for rates outside (0, 1) or lengths that differ.
    """
    confidence, error, barred = (np.asarray(a) for a in (confidence, error, barred))
    if not (0 < alpha < 1 and 0 < delta < 1 and judges >= 1):
        raise ValueError(
            f"alpha {alpha}, delta {delta}, judges {judges}: expected rates in (0, 1) and at least 1"
        )
    if not confidence.shape == error.shape == barred.shape:
        raise ValueError("expected confidence, error and barred of one length")
    level = delta / judges
    use = np.flatnonzero(~np.isnan(error) & ~barred)
    if group is not None:
        use = np.random.default_rng(seed).permutation(use)
        use = np.sort(use[np.unique(np.asarray(group)[use], return_index=True)[1]])
    order = use[np.argsort(-confidence[use], kind="stable")]
    ranked, wrong = confidence[order], np.cumsum(error[order] > 0.5)
    ends = np.flatnonzero(np.r_[np.diff(ranked) != 0, True]) if len(ranked) else np.zeros(0, dtype=int)
    ends = ends[ends + 1 >= least_audited(alpha, level)]
    if len(ends) > LEVELS:  # the sequence must not depend on the outcomes: evenly spaced ranks
        ends = ends[np.unique(np.linspace(0, len(ends) - 1, LEVELS).round().astype(int))]
    passed, bound = None, 1.0
    for end in ends:
        tested = upper_bound(int(wrong[end]), int(end) + 1, level)
        if tested > alpha:
            bound = tested if passed is None else bound
            break
        passed, bound = int(end), tested
    if passed is None:
        n = int(ends[0]) + 1 if len(ends) else len(order)
        return Zone(
            None, np.zeros(len(confidence), dtype=bool), n, int(wrong[n - 1]) if n else 0, bound, alpha, delta
        )
    threshold = float(ranked[passed])
    inside = (confidence >= threshold) & ~barred.astype(bool)
    return Zone(threshold, inside, passed + 1, int(wrong[passed]), bound, alpha, delta)
