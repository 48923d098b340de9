"""Estimates that combine a few people's labels with many of a model's. Pure.

PPI++ (Angelopoulos, Duchi & Zrnic 2023) for labels at random, AIPW (Robins, Rotnitzky & Zhao 1994) where items were
routed with known probabilities.
"""

from __future__ import annotations

import math

import numpy as np

from annotations.judging.intervals import Z95, wilson

from .means import NOTHING

FLOOR = 0.05  # propensities below are taken as this; routing should not draw with less
FEWEST = 20


def ppi_mean(y: np.ndarray, f: np.ndarray, f_rest: np.ndarray, *, weight: float | None = None) -> dict | None:
    """Mean of people's labels over all items: y, f float[n] people's and the model's on items at random, f_rest
    float[N] the model's on the others. `weight` λ in [0, 1]: None chooses the one with least variance.

    Returns {"value", "lo", "hi", "n", "n_model", "weight"}; None below 20 labels (the interval is a normal one).
    """
    y, f, f_rest = (np.asarray(x, dtype=np.float64) for x in (y, f, f_rest))
    n, rest = len(y), len(f_rest)
    if n < FEWEST:
        return None
    if weight is None:
        spread = float(np.concatenate([f, f_rest]).var())
        ratio = n / rest if rest else math.inf
        shared = float(np.cov(y, f)[0, 1])
        weight = 0.0 if spread < 1e-12 or not rest else min(1.0, max(0.0, shared / ((1 + ratio) * spread)))
    lam = weight if rest else 0.0
    value = (lam * f_rest.mean() if rest else 0.0) + float((y - lam * f).mean())
    variance = (lam**2 * f_rest.var(ddof=1) / rest if rest > 1 else 0.0) + (y - lam * f).var(ddof=1) / n
    return {**_bounds(float(value), float(variance), n), "n_model": rest, "weight": float(lam)}


def aipw_mean(
    y: np.ndarray, f: np.ndarray, labelled: np.ndarray, propensity: np.ndarray, *, floor: float = FLOOR
) -> dict | None:
    """Mean over N routed items: f + labelled (y - f) / propensity; y is read only where `labelled`.

    propensity float[N] = probability with which the item was sent to people. Values below `floor` are raised to it,
    which biases; `clipped` counts them. None below 20 labels.
    """
    labelled = np.asarray(labelled, dtype=bool)
    if labelled.sum() < FEWEST:
        return None
    pi = np.maximum(np.asarray(propensity, dtype=np.float64), floor)
    f = np.asarray(f, dtype=np.float64)
    term = f + np.where(labelled, np.where(labelled, y, 0.0) - f, 0.0) / pi
    n = len(term)
    clipped = int((np.asarray(propensity)[labelled] < floor).sum())
    found = _bounds(float(term.mean()), float(term.var(ddof=1)) / n, int(labelled.sum()))
    return {**found, "n_model": n, "clipped": clipped}


def _bounds(value: float, variance: float, n: int) -> dict:
    """The normal interval; where nothing differs, Wilson's of a share over the n labels, and of another mean none."""
    if variance > NOTHING:
        half = Z95 * math.sqrt(variance)
        return {"value": value, "lo": value - half, "hi": value + half, "n": n}
    share = wilson(value * n, n) if 0 <= value <= 1 else None
    return {"value": value, "lo": share and share["lo"], "hi": share and share["hi"], "n": n}
