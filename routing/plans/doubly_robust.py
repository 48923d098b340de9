"""What routing is worth, from the audits: doubly robust estimates, paired differences, intervals by prompt.

With Y_i = 1 where people contradict the model's label, seen with probability π_i (ξ_i = 1), and m_i a prediction that did
not see Y_i (cross-fitted),

    ψ_i = m_i + ξ_i / π_i (Y_i - m_i)                                               (AIPW; Robins et al. 1994)

has the mean of Y_i whatever m is. Audits are samples of fixed size from strata of equal π, so the mean residual r of a
stratum is added to every m_i of it: the estimate stays, its variance is no longer overstated. The residual label error of a routing z is mean[(1 - z_i) ψ_i + z_i h_i], with h_i the
error of a person's label; of random routing at the same share b, mean[(1 - b) ψ_i + b h_i]; the gain of one over the other is the mean
of the paired differences. Deterministic routing alone cannot be corrected: it leaves π_i = 0 for some items, which is refused.

Intervals are normal (t with groups - 1 degrees of freedom) with the cluster sandwich over prompt groups. Where all labels seen
are alike, as with no error among n, they are the exact opposite of sure: Wilson's over the groups that were seen stands in. The
uncertainty of people's own error is added to the levels (Zou and Donner 2008); in the differences it cancels.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import stdtrit

from annotations.analysis import held_out

MIN_GROUPS = 5
MAX_STRATA = 20  # more levels of propensity than that are no strata: one mean residual for all
_NEAR = 0.1  # share of the items on each side of the threshold that tell its error

_SAME = 1e-12


@dataclass(frozen=True)
class Audited:
    """What is known of n items of a pool.

    Attributes:
        error: float[n], 1 where people contradict the model's label, 0 where they agree, NaN where not seen.
        propensity: float[n] > 0, P(the item's label was to be seen); see `seen_propensity`.
        predicted: float[n] in [0, 1], cross-fitted P(error); zeros give the Horvitz–Thompson estimate.
        group: int[n], prompt groups.
        person_error: float[n] or one number, P(a person's label differs from the consensus); 0: people are the truth.
        person_bounds: its (lo, hi); None where it is assumed, not measured.
    """

    error: np.ndarray
    propensity: np.ndarray
    predicted: np.ndarray
    group: np.ndarray
    person_error: np.ndarray | float = 0.0
    person_bounds: tuple[float, float] | None = None

    def pseudo(self) -> np.ndarray:
        """ψ_i, float[n]. Raises ValueError for propensities that are not in (0, 1]."""
        if (~(self.propensity > 0) | (self.propensity > 1)).any():
            raise ValueError("propensities: expected numbers above 0 and up to 1 for every item")
        seen = ~np.isnan(self.error)
        residual = np.where(seen, np.nan_to_num(self.error) - self.predicted, 0.0)
        levels, stratum = np.unique(self.propensity, return_inverse=True)
        if len(levels) > MAX_STRATA:
            stratum = np.zeros(len(seen), dtype=np.int64)
        weight = np.bincount(stratum, weights=seen / self.propensity)
        total = np.bincount(stratum, weights=residual / self.propensity)
        shift = np.divide(total, weight, out=np.zeros(len(weight)), where=weight > 0)[stratum]
        return self.predicted + shift + np.where(seen, residual - shift, 0.0) / self.propensity


@dataclass(frozen=True)
class Report:
    """Estimates {"value", "lo", "hi", "n"} (n: labels seen); None where there is too little to estimate from.

    Attributes:
        model_error: error rate of the model's labels on all items.
        routed, random, confidence: residual label error of the plan, of random routing at the same share, and of the
            models' own doubt at the same share (None if it was not given).
        gain_over_random, gain_over_confidence: paired differences, positive where the plan is better.
        share: share of items that the plan sends to people.
    """

    model_error: dict | None
    routed: dict | None
    random: dict | None
    confidence: dict | None
    gain_over_random: dict | None
    gain_over_confidence: dict | None
    share: float


def clustered_mean(
    values: np.ndarray, group: np.ndarray, n: int | None = None, *, share: bool = False
) -> dict | None:
    """Mean with its 95 % interval, rows of a group dependent: {"value", "lo", "hi", "n"}; None below five groups.

    `n` is what is reported as the number of observations, the number of rows by default. `share`: of values in [0, 1],
    which have an interval even where all are alike.
    """
    values = np.asarray(values, dtype=float)
    _, code = np.unique(group, return_inverse=True)
    groups = int(code.max(initial=-1)) + 1
    if groups < MIN_GROUPS:
        return None
    mean = round(float(values.mean()), 12)  # what cancels exactly is zero, not 1e-17
    score = np.bincount(code, weights=values - mean, minlength=groups)
    error = np.sqrt(groups / (groups - 1) * (score @ score)) / len(values)
    half = round(float(stdtrit(groups - 1, 0.975) * error), 12)
    lo, hi = mean - half, mean + half
    if share:
        lo, hi = (max(0.0, lo), min(1.0, hi)) if half else held_out.bounds_of_flat_share(mean, groups)
    return {"value": mean, "lo": lo, "hi": hi, "n": len(values) if n is None else n}


def seen_propensity(
    stratum: np.ndarray, audit: np.ndarray, seen: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Which labels may be used while people are still judging, and with what probability they were seen.

    stratum int[n] (0 not chosen, 1 chosen by score), audit bool[n], seen bool[n]. A stratum judged whole counts whole;
    else only its audits do, which are a random sample and are judged at random places of the queue, and what else was
    judged whatever its score (`audit` marks both): their probability is their judged share of the stratum. Returns (usable bool[n], propensity float[n]); a stratum of which nothing is
    seen yet has propensity 0: there is no estimate.
    """
    usable, propensity = np.zeros(len(seen), dtype=bool), np.zeros(len(seen))
    for value in np.unique(stratum):
        mine = stratum == value
        part = mine & seen if seen[mine].all() else mine & seen & audit
        usable |= part
        propensity[mine] = part.sum() / mine.sum()
    return usable, propensity


def top_share(score: np.ndarray, k: int, seed: int) -> np.ndarray:
    """The k highest scores, equal ones in random order, bool[n]."""
    chosen = np.zeros(len(score), dtype=bool)
    order = np.lexsort((np.random.default_rng(seed).permutation(len(score)), -np.asarray(score, dtype=float)))
    chosen[order[:k]] = True
    return chosen


def report(
    audited: Audited,
    people: np.ndarray,
    *,
    score: np.ndarray | None = None,
    confidence: np.ndarray | None = None,
) -> Report:
    """How the plan that sends `people` bool[n] to people compares with random and with the models' own doubt.

    score float[n]: what the plan chose by, to find the items next to its threshold; confidence float[n]: doubt,
    higher goes to people first, equal doubt split at random in expectation. All are compared at the same number of
    items. Raises ValueError as `Audited.pseudo`.
    """
    psi, h = audited.pseudo(), np.broadcast_to(np.asarray(audited.person_error, dtype=float), people.shape)
    seen = int((~np.isnan(audited.error)).sum())
    z = people.astype(float)
    share = float(z.mean()) if len(z) else 0.0
    gain = psi - h

    labelled, everything = ~np.isnan(audited.error), np.ones(len(z), dtype=bool)

    def alike(part: np.ndarray) -> tuple[float, float]:
        """Bounds of the model's error on a part of the items whose labels do not differ."""
        groups = len(np.unique(np.asarray(audited.group)[labelled & part]))
        if not groups:
            return 0.0, 1.0
        return held_out.bounds_of_flat_share(float(np.clip(psi[part].mean(), 0, 1)), groups)

    def level(values: np.ndarray, by_people: float, models: np.ndarray) -> dict | None:
        """The error left where this share of the labels is people's, and the items `models` are left to the model."""
        found = clustered_mean(values, audited.group, seen) if seen else None
        if found is None:
            return None
        value, people_err = found["value"], float(h.mean())
        lo, hi = found["lo"], found["hi"]
        if by_people < 1 and np.ptp(psi[models]) < _SAME:
            lo, hi = ((1 - by_people) * end + by_people * people_err for end in alike(models))
        if by_people and audited.person_bounds is not None:
            below, above = audited.person_bounds
            lo = value - float(np.hypot(value - lo, by_people * (people_err - below)))
            hi = value + float(np.hypot(hi - value, by_people * (above - people_err)))
        elif by_people == 1:
            return {**found, "lo": None, "hi": None}  # all of it is people's error, and that is assumed
        return {**found, "lo": max(min(0.0, value), lo), "hi": min(max(1.0, value), hi)}

    def gained(values: np.ndarray) -> dict | None:
        found = clustered_mean(values, audited.group, seen) if seen else None
        if found is None or not 0 < share < 1 or np.ptp(psi) >= _SAME:
            return found
        lo, hi = alike(everything)
        most = max(share, 1 - share) * max(psi.mean() - lo, hi - psi.mean())
        return {**found, "lo": -float(most), "hi": float(most)}

    def at_threshold(by: np.ndarray | None) -> float:
        if by is None or not 0 < share < 1:
            return 0.0
        order = np.argsort(-np.asarray(by, dtype=float), kind="stable")
        cut, width = int(z.sum()), max(5, int(_NEAR * len(z)))
        return float(gain[order[max(0, cut - width) : cut + width]].mean())

    edge = at_threshold(score)
    doubt = routed_by_doubt = over_doubt = None
    if confidence is not None:
        doubt = expected_top(np.asarray(confidence, dtype=float), int(z.sum()))
        other = at_threshold(confidence)
        routed_by_doubt = level(psi - doubt * (gain - other) - share * other, share, everything)
        over_doubt = gained((z - share) * (gain - edge) - (doubt - share) * (gain - other))
    return Report(
        model_error=level(psi, 0.0, everything),
        routed=level(psi - z * (gain - edge) - share * edge, share, ~people),
        random=level(psi - share * gain, share, everything),
        confidence=routed_by_doubt,
        gain_over_random=gained((z - share) * (gain - edge)),
        gain_over_confidence=over_doubt,
        share=share,
    )


def expected_top(score: np.ndarray, k: int) -> np.ndarray:
    """P(item is among the k highest) when equal scores are ordered at random, float[n]."""
    n = len(score)
    if k <= 0 or not n:
        return np.zeros(n)
    if k >= n:
        return np.ones(n)
    edge = np.partition(score, n - k)[n - k]
    above, level = score > edge, score == edge
    return above + level * (k - above.sum()) / level.sum()
