"""Bradley-Terry ratings with the form of the responses held equal (LMArena's style control). Pure.

logit P(first wins) = θ_first - θ_second + x β, x the differences (a - b) / (a + b + 1) of words, headings, list items
and bold spans, each divided by its standard deviation; ties count half. β says how much form pays by itself.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse, stats

from .bradley_terry import count, rateable
from .ranks import NOTHING, Spread, widened
from .style import BOLD, HEADINGS, LIST_ITEMS, NAMES, WORDS

COVARIATES = (WORDS, HEADINGS, LIST_ITEMS, BOLD)
STEPS = 40


@dataclass(frozen=True)
class Styled:
    """theta float64[M], NaN where unrated; effects {style name: estimate or None}; spread: of theta."""

    theta: np.ndarray
    spread: Spread
    effects: dict[str, dict | None]
    reasons: dict[str, str]


def differences(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """(a - b) / (a + b + 1) of style counts float[n, F] of the two responses."""
    a, b = first.astype(np.float64), second.astype(np.float64)
    return (a - b) / (a + b + 1)


def fit(
    first: np.ndarray,
    second: np.ndarray,
    verdict: np.ndarray,
    x: np.ndarray,
    players: int,
    *,
    item: np.ndarray,
    annotator: np.ndarray | None = None,
) -> Styled:
    """Fit ratings and style effects; x float64[n, 4] are raw `differences` in the order of COVARIATES.

    A covariate that never differs has no effect to estimate and is left out, with the reason.
    """
    counts = count(first, second, verdict, players)
    rated, _ = rateable(counts)
    keep = rated[first] & rated[second]
    first, second, verdict, x, item = first[keep], second[keep], verdict[keep], x[keep], item[keep]
    annotator = annotator[keep] if annotator is not None else None
    names = [NAMES[c] for c in COVARIATES]
    scale = x.std(axis=0) if len(x) else np.zeros(len(COVARIATES))
    used = np.flatnonzero(scale > 1e-9)
    reasons = {names[i]: "the responses never differ in it" for i in range(len(names)) if i not in used}
    z = x[:, used] / scale[used]
    m, f = players, len(used)
    y = (1.0 - verdict) / 2
    place = np.flatnonzero(np.concatenate([rated, np.ones(f, dtype=bool)]))
    k = int(rated.sum())
    beta, theta = np.zeros(f), np.zeros(m)
    design = sparse.csr_matrix(
        (
            np.concatenate([np.ones(len(y)), -np.ones(len(y))]),
            (np.tile(np.arange(len(y)), 2), np.concatenate([first, second])),
        ),
        shape=(len(y), m),
    )
    matrix = np.eye(m + f)
    for _ in range(STEPS):
        p = 1 / (1 + np.exp(-(theta[first] - theta[second] + z @ beta)))
        slope, weight = y - p, p * (1 - p)
        gradient = np.concatenate([design.T @ slope, z.T @ slope])
        pair = np.bincount(first.astype(np.int64) * m + second, weight, m * m).reshape(m, m)
        pair = pair + pair.T
        matrix = np.zeros((m + f, m + f))
        matrix[:m, :m] = np.diag(pair.sum(axis=1)) - pair
        matrix[:m, m:] = design.T @ (weight[:, None] * z)
        matrix[m:, :m] = matrix[:m, m:].T
        matrix[m:, m:] = z.T @ (weight[:, None] * z)
        matrix[:m, :m] += 1.0 / max(k, 1)
        # Where form and player go together exactly, only their sum is known; the ridge splits it.
        matrix[m:, m:] += 1e-6 * np.eye(f)
        step = np.zeros(m + f)
        step[place] = np.linalg.solve(matrix[np.ix_(place, place)], gradient[place])
        step *= min(1.0, 4.0 / max(np.abs(step).max(initial=0.0), 1e-300))
        theta, beta = theta + step[:m], beta + step[m:]
        if np.abs(step).max(initial=0.0) < 1e-9:
            break
    inverse = np.zeros((m + f, m + f))
    if len(place):
        inverse[np.ix_(place, place)] = np.linalg.inv(matrix[np.ix_(place, place)])
    p = 1 / (1 + np.exp(-(theta[first] - theta[second] + z @ beta)))
    score = sparse.hstack([design, sparse.csr_matrix(z)]).tocsr().multiply((y - p)[:, None]).tocsr()
    covariance, df, clusters = _sandwich(inverse, score, item, annotator)
    theta = np.where(rated, theta - theta[rated].mean() if k else theta, np.nan)
    centre = np.eye(m) - np.outer(np.ones(m), rated / max(k, 1))
    alone = np.diag(centre @ inverse[:m, :m] @ centre.T) * np.bincount(np.r_[first, second], minlength=m)
    spread = Spread(centre @ covariance[:m, :m] @ centre.T, df, clusters, np.zeros(m, dtype=bool))
    spread = widened(spread, first, second, item, lambda items: alone / items)
    effects: dict[str, dict | None] = dict.fromkeys(names)
    quantile = float(stats.t.ppf(0.975, df))
    for column, which in enumerate(used):
        variance, value = float(covariance[m + column, m + column]), float(beta[column])
        half = quantile * variance**0.5 if variance > NOTHING else None
        bounds = {"lo": None, "hi": None} if half is None else {"lo": value - half, "hi": value + half}
        effects[names[which]] = {"value": value, **bounds, "n": len(y)}
    return Styled(theta, spread, effects, reasons)


def _sandwich(inverse, score, item, annotator) -> tuple[np.ndarray, int, str]:
    def meat(codes):
        found, place = np.unique(codes, return_inverse=True)
        g = len(found)
        groups = sparse.csr_matrix(
            (np.ones(len(place)), (place, np.arange(len(place)))), shape=(g, len(place))
        )
        summed = groups @ score
        return np.asarray((summed.T @ summed).todense()), g

    found, g = meat(item)
    total, smallest, clusters = found * g / max(g - 1, 1), g, "items"
    if annotator is not None:
        by_person, people = meat(annotator)
        both, _ = meat(item.astype(np.int64) * (int(annotator.max(initial=0)) + 1) + annotator)
        total = total + by_person * people / max(people - 1, 1) - both
        smallest, clusters = min(g, people), "items and annotators"
    covariance = inverse @ total @ inverse
    values, vectors = np.linalg.eigh((covariance + covariance.T) / 2)
    return (vectors * np.clip(values, 0, None)) @ vectors.T, max(1, smallest - 1), clusters
