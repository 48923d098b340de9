"""Intervals for what was measured on data held out: shares, AUC, calibration error; rows of a group dependent. Pure.

All are cluster sandwiches, so they cost one pass over the rows and no resampling. A share or an AUC takes Wilson's interval
at its effective number of observations, value (1 - value) / variance (Korn and Graubard 1998; for the AUC the variance of
its placements summed by group, DeLong et al. 1988, Obuchowski 1997), with t for z. It stays inside [0, 1], and where
nothing varies (0 of n, n of n, all ranked right) the groups themselves are the observations: never of width zero.

An estimate is `{"value", "lo", "hi", "n"}`; where none can be given the missing numbers are None and `reason` says why.
They are conditional on the predictions: what another fit would have said is not in them.
"""

from __future__ import annotations

import numpy as np
from scipy.special import stdtrit
from scipy.stats import rankdata

from annotations.judging.intervals import Z95, wilson

MIN_GROUPS = 5
TOO_FEW = f"fewer than {MIN_GROUPS} prompt groups: an interval would mean nothing"
DRAWS = 4000


def share(values: np.ndarray, group: np.ndarray) -> dict:
    """Mean of values float[n] in [0, 1], rows of a group (int[n]) dependent."""
    values = np.asarray(values, dtype=float)
    n = len(values)
    if not n:
        return _none(0, "nothing was judged")
    sums, groups = _by_group(values - values.mean(), group)
    return _wilson(float(values.mean()), n, float(sums @ sums) / n**2, groups, groups)


def bounds_of_flat_share(value: float, groups: int) -> tuple[float, float]:
    """(lo, hi) of a share that is the same in each of `groups` groups."""
    found = wilson(value * groups, groups)
    return found["lo"], found["hi"]


def bounds_of_no_difference(groups: int) -> tuple[float, float]:
    """(lo, hi) of a mean difference between two labels, both right or both wrong in each of `groups` groups."""
    most = bounds_of_flat_share(0.0, groups)[1]
    return -most, most


def rank_correlation(a: np.ndarray, b: np.ndarray) -> dict:
    """Spearman's, of independent pairs float[n] each; Fisher's z with the variance of Fieller et al. (1957)."""
    n, ranks = len(a), [rankdata(np.asarray(column, dtype=float)) for column in (a, b)]
    if n < 10 or not all(np.ptp(rank) for rank in ranks):
        return _none(n, "fewer than 10 pairs" if n < 10 else "nothing varies")
    value = float(np.corrcoef(*ranks)[0, 1])
    z, half = np.arctanh(np.clip(value, -1 + 1e-9, 1 - 1e-9)), Z95 * np.sqrt(1.06 / (n - 3))
    return {"value": value, "lo": float(np.tanh(z - half)), "hi": float(np.tanh(z + half)), "n": n}


def root_mean_square(residual: np.ndarray) -> dict:
    """Of independent residuals float[n]; the mean square is taken as log-normal."""
    square, n = np.asarray(residual, dtype=float) ** 2, len(residual)
    value = float(np.sqrt(square.mean())) if n else 0.0
    if n < 10 or not value:
        return {
            "value": value,
            "lo": None,
            "hi": None,
            "n": n,
            "reason": "too few residuals, or none differs from 0",
        }
    factor = float(np.exp(Z95 * square.std(ddof=1) / (square.mean() * np.sqrt(n)) / 2))
    return {"value": value, "lo": value / factor, "hi": value * factor, "n": n}


def auc(y: np.ndarray, score: np.ndarray, group: np.ndarray, weight: np.ndarray | None = None) -> dict:
    """P(the score of an error exceeds that of a right label), ties half.

    y float[n] in [0, 1] splits a row between the two kinds; score, weight float[n]; group int[n].
    """
    y, n = np.asarray(y, dtype=float), len(y)
    w = np.ones(n) if weight is None else np.asarray(weight, dtype=float)
    bad, good = w * y, w * (1 - y)
    if not bad.sum() > 0 or not good.sum() > 0:
        return _none(n, f"{'no error' if not bad.sum() > 0 else 'nothing but errors'} among {n} labels")
    _, code = np.unique(score, return_inverse=True)
    bads, goods = np.bincount(code, weights=bad), np.bincount(code, weights=good)
    below = (np.cumsum(goods) - goods / 2) / goods.sum()
    above = (bads.sum() - np.cumsum(bads) + bads / 2) / bads.sum()
    value = float(bads @ below / bads.sum())
    placed = bad * (below[code] - value) / bad.sum() + good * (above[code] - value) / good.sum()
    sums, _ = _by_group(placed, group)
    kinds = [len(np.unique(np.asarray(group)[part > 0])) for part in (bad, good)]
    return _wilson(min(1.0, value), n, float(sums @ sums), min(kinds), min(kinds))


def calibration_error(
    y: np.ndarray, p: np.ndarray, group: np.ndarray, weight: np.ndarray | None = None, *, bins: int = 10
) -> dict:
    """Expected calibration error of p float[n] in `bins` bins of equal frequency; y float[n] in [0, 1]."""
    y, n = np.asarray(y, dtype=float), len(y)
    w = np.ones(n) if weight is None else np.asarray(weight, dtype=float)
    if not n or not w.sum() > 0:
        return _none(0, "nothing was judged")
    _, code = np.unique(group, return_inverse=True)
    bins, groups = min(bins, n), int(code.max()) + 1
    place = np.empty(n, dtype=np.int64)
    place[np.argsort(p, kind="stable")] = np.arange(n) * bins // n
    gaps = np.bincount(code * bins + place, weights=w * (y - p), minlength=groups * bins)
    gaps, size = gaps.reshape(groups, bins), np.bincount(code, weights=w, minlength=groups)
    value = float(np.abs(gaps.sum(axis=0)).sum() / w.sum())
    if groups < MIN_GROUPS:
        return {"value": value, "lo": None, "hi": None, "n": n, "reason": TOO_FEW}
    lo, hi = gap_bounds(gaps, size)
    return {"value": value, "lo": lo, "hi": hi, "n": n}


def gap_bounds(gaps: np.ndarray, size: np.ndarray) -> tuple[float, float]:
    """(lo, hi) of Σ_b |Σ_g gaps| / Σ size, for gaps float[groups, bins] and size float[groups] summed by group.

    The estimate is biased upwards: noise has no sign, so a bootstrap of it lies above it, and may leave it out. With
    gaps ĝ = δ + ε, ε normal with the covariance of the groups, Σ|ĝ| - Σ|δ| is at most Σ|ε|, and Σ|δ| - Σ|ĝ| at most
    the sum of -ε under the signs of δ, which are unknown: the widest choice is taken. Hence the 97.5 % points of both.
    """
    groups, bins = gaps.shape
    total, whole = float(size.sum()), gaps.sum(axis=0)
    apart = (gaps - size[:, None] * (whole / total)) / total
    covariance = apart.T @ apart * groups / max(groups - 1, 1)
    value = float(np.abs(whole).sum() / total)
    noise = np.random.default_rng(0).multivariate_normal(np.zeros(bins), covariance, DRAWS, method="eigh")
    down = float(np.quantile(np.abs(noise).sum(axis=1), 0.975))
    t = float(stdtrit(max(groups - 1, 1), 0.975))
    up = t * float(np.sqrt(max(0.0, _widest(covariance))))
    return max(0.0, value - down * t / Z95), min(1.0, value + up)


def _widest(covariance: np.ndarray) -> float:
    """The largest variance of a sum of the columns under any signs, climbed to from the signs of each eigenvector."""
    best = 0.0
    for start in np.linalg.eigh(covariance)[1].T:
        signs = np.where(start < 0, -1.0, 1.0)
        while True:
            pull = covariance @ signs
            rise = np.diag(covariance) - signs * pull  # a quarter of what turning each sign adds
            k = int(np.argmax(rise))
            if rise[k] <= 1e-15:
                break
            signs[k] = -signs[k]
        best = max(best, float(signs @ pull))
    return best


def _by_group(values: np.ndarray, group: np.ndarray) -> tuple[np.ndarray, int]:
    """(sums by group, scaled so that their squares add up to a variance; number of groups)."""
    _, code = np.unique(group, return_inverse=True)
    groups = int(code.max(initial=-1)) + 1
    return np.bincount(code, weights=values, minlength=groups) * np.sqrt(groups / max(groups - 1, 1)), groups


def _wilson(value: float, n: int, variance: float, flat: int, clusters: int) -> dict:
    """Wilson's interval at the effective number of observations: `flat` of them where nothing varies."""
    if clusters < MIN_GROUPS:
        return {"value": value, "lo": None, "hi": None, "n": n, "reason": TOO_FEW}
    if variance > 1e-16 and 0 < value < 1:
        t = float(stdtrit(clusters - 1, 0.975))
        effective = min(value * (1 - value) / variance, n) * (Z95 / t) ** 2
    else:
        effective = float(flat)
    found = wilson(value * effective, max(effective, 1.0))  # type: ignore[arg-type]
    return {**found, "value": value, "lo": min(value, found["lo"]), "hi": max(value, found["hi"]), "n": n}


def _none(n: int, reason: str) -> dict:
    return {"value": None, "lo": None, "hi": None, "n": n, "reason": reason}
