"""Means, shares and differences over votes with two-way clustered intervals. Pure.

Votes on one item belong together, and so do votes of one annotator. Variance: Cameron, Gelbach & Miller (2011), items
+ annotators - both, each with G / (G - 1); t quantile with the smaller number of clusters less one.
"""

from __future__ import annotations

import numpy as np
from scipy import stats

from annotations.judging.intervals import wilson

NOTHING = 1e-16  # a variance that is none


def mean(
    values: np.ndarray,
    *,
    item: np.ndarray | None = None,
    annotator: np.ndarray | None = None,
    weights: np.ndarray | None = None,
    bounds: tuple[float, float] = (0.0, 1.0),
) -> dict | None:
    """The (weighted) mean of float[n] as an estimate; None without values, no bounds with a single cluster or where all
    values are alike and no shares.

    `item`, `annotator`: codes of the clusters; a kind left out is not clustered over. n counts values.
    """
    values = np.asarray(values, dtype=np.float64)
    n = len(values)
    if not n:
        return None
    w = np.ones(n) if weights is None else np.asarray(weights, dtype=np.float64)
    total = w.sum()
    if total <= 0:
        return None
    value = float((w * values).sum() / total)
    found = {"value": value, "lo": None, "hi": None, "n": n}
    error = w * (values - value) / total
    variance, df = cluster_variance(error, item=item, annotator=annotator)
    if variance <= NOTHING and bounds == (0.0, 1.0) and (df >= 1 or value in (0.0, 1.0)):
        # Shares without any spread to learn from: Wilson's interval over the smaller cluster count.
        clusters = [len(np.unique(codes)) for codes in (item, annotator) if codes is not None]
        share = wilson(value * min(clusters, default=n), min(clusters, default=n))
        return {**found, "lo": share["lo"], "hi": share["hi"]} if share else found
    if df < 1 or variance <= NOTHING:
        return found
    half = float(stats.t.ppf(0.975, df)) * variance**0.5
    return {**found, "lo": max(bounds[0], value - half), "hi": min(bounds[1], value + half)}


def cluster_variance(
    error: np.ndarray, *, item: np.ndarray | None, annotator: np.ndarray | None
) -> tuple[float, int]:
    """(variance of the sum of `error`, degrees of freedom), clustered by item and by annotator."""
    parts = [_one(error, codes) for codes in (item, annotator) if codes is not None]
    if not parts:
        n = len(error)
        return (float((error**2).sum() * n / max(n - 1, 1)), n - 1)
    df = min(g - 1 for _, g in parts)
    if len(parts) == 1 or df < 1:
        return max(v for v, _ in parts), df
    both = item.astype(np.int64) * (int(annotator.max(initial=0)) + 1) + annotator
    _, code = np.unique(both, return_inverse=True)
    shared, _ = _one(error, code)
    return max(sum(v for v, _ in parts) - shared, *(v for v, _ in parts)), df


def _one(error: np.ndarray, codes: np.ndarray) -> tuple[float, int]:
    sums = np.bincount(codes, weights=error)
    g = int((np.bincount(codes) > 0).sum())
    return float((sums**2).sum()) * g / max(g - 1, 1), g


def paired(
    first: np.ndarray,
    second: np.ndarray,
    *,
    item: np.ndarray | None = None,
    annotator: np.ndarray | None = None,
) -> dict | None:
    """`second` minus `first` of the same rows."""
    return mean(
        np.asarray(second, dtype=float) - np.asarray(first, dtype=float),
        item=item,
        annotator=annotator,
        bounds=(-np.inf, np.inf),
    )


def difference(
    values: np.ndarray,
    later: np.ndarray,
    *,
    item: np.ndarray | None = None,
    annotator: np.ndarray | None = None,
) -> dict | None:
    """Mean of float[n] where `later` bool[n] minus the mean where not; None where one side is empty. n counts values.

    Votes of one cluster on both sides stay together, so a person who judges on both sides is held against themselves.
    """
    values = np.asarray(values, dtype=np.float64)
    n_later = int(later.sum())
    n_before = len(values) - n_later
    if not n_later or not n_before:
        return None
    means_of = float(values[~later].mean()), float(values[later].mean())
    error = np.where(later, (values - means_of[1]) / n_later, -(values - means_of[0]) / n_before)
    found = {"value": means_of[1] - means_of[0], "lo": None, "hi": None, "n": len(values)}
    variance, df = cluster_variance(error, item=item, annotator=annotator)
    if df < 1 or variance <= NOTHING:
        return found
    half = float(stats.t.ppf(0.975, df)) * variance**0.5
    return {**found, "lo": found["value"] - half, "hi": found["value"] + half}
