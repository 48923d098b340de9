"""Bootstrap intervals of ratings: items drawn with replacement, all draws fitted at once. Pure.

The votes of an item on one pair of players stay together. Items with the same votes on the same pair are one pattern, and a draw is
multinomial over patterns, so a thousand draws cost the same for any number of votes.
"""

from __future__ import annotations

import numpy as np
from scipy import sparse

from .bradley_terry import TIE, WIN, Fit

AT_ONCE = 250
STEPS = 6


def bootstrap(
    fitted: Fit,
    first: np.ndarray,
    second: np.ndarray,
    verdict: np.ndarray,
    *,
    item: np.ndarray,
    draws: int = 1000,
    seed: int = 0,
) -> np.ndarray:
    """Ratings of `draws` samples of as many items, float64[draws, M], NaN where the fit has none (ties as half a win).

    Arrays int[n] as given to `bradley_terry.count`. Every draw starts from the full fit and takes Newton's steps.
    """
    m = fitted.counts.players
    found = np.full((draws, m), np.nan)
    inside = fitted.rated[first] & fitted.rated[second]
    if not inside.any():
        return found
    pair, n, times = _patterns(first[inside], second[inside], verdict[inside], item[inside], m)
    pairs, column = np.unique(pair, return_inverse=True)
    a, b = pairs // m, pairs % m
    shape = (len(pairs), len(pair))
    won = sparse.csr_matrix((n[:, WIN] + n[:, TIE] / 2, (column, np.arange(len(pair)))), shape=shape)
    played = sparse.csr_matrix((n.sum(axis=1), (column, np.arange(len(pair)))), shape=shape)
    rated = np.flatnonzero(fitted.rated)
    place = np.full(m, -1)
    place[rated] = np.arange(len(rated))
    rng = np.random.default_rng(seed)
    total = int(times.sum())
    for start in range(0, draws, AT_ONCE):
        size = min(AT_ONCE, draws - start)
        drawn = rng.multinomial(total, times / total, size=size).T
        found[start : start + size, rated] = _fit_all(
            (won @ drawn).T, (played @ drawn).T, place[a], place[b], fitted.theta[rated]
        )
    return found


def percentiles(draws: np.ndarray, level: float = 0.95) -> tuple[np.ndarray, np.ndarray]:
    """(low, high) float64[M] of the draws; NaN for players without ratings."""
    known = np.isfinite(draws).all(axis=0)
    low, high = np.full(draws.shape[1], np.nan), np.full(draws.shape[1], np.nan)
    tail = (1 - level) / 2
    if known.any():
        low[known], high[known] = np.quantile(draws[:, known], [tail, 1 - tail], axis=0)
    return low, high


def _patterns(first, second, verdict, item, m: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(pair code low · m + high, votes [U, 3] for low, for high, tied, how many items have them) of each pattern."""
    turned = first > second
    pair = np.where(turned, second, first).astype(np.int64) * m + np.where(turned, first, second)
    said = np.where(turned, -verdict.astype(np.int64), verdict)
    outcome = np.where(said < 0, 0, np.where(said > 0, 1, 2))
    keys, unit = np.unique(item.astype(np.int64) * (m * m) + pair, return_inverse=True)
    n = np.bincount(unit * 3 + outcome, minlength=3 * len(keys)).reshape(-1, 3)
    base = int(n.max()) + 1
    codes, times = np.unique(
        ((keys % (m * m) * base + n[:, 0]) * base + n[:, 1]) * base + n[:, 2], return_counts=True
    )
    votes = np.stack([codes // base**2 % base, codes // base % base, codes % base], axis=1)
    return codes // base**3, votes.astype(float), times


def _fit_all(
    won: np.ndarray, played: np.ndarray, a: np.ndarray, b: np.ndarray, start: np.ndarray
) -> np.ndarray:
    """Newton on all draws at once; won, played float64[draws, pairs], a, b places of the pairs' players."""
    draws, k = len(won), len(start)
    sign = np.zeros((len(a), k))
    sign[np.arange(len(a)), a], sign[np.arange(len(a)), b] = 1, -1
    theta = np.tile(start, (draws, 1))
    for _ in range(STEPS):
        p = 1 / (1 + np.exp(theta[:, b] - theta[:, a]))
        gradient = (won - played * p) @ sign
        weight = played * p * (1 - p)
        matrix = np.full((draws, k, k), 1.0 / k)
        matrix[:, a, b] -= weight
        matrix[:, b, a] -= weight
        # Some draws may lose all votes between two groups; a touch of ridge keeps them finite.
        matrix[:, np.arange(k), np.arange(k)] += weight @ np.abs(sign) + 1e-9
        step = np.linalg.solve(matrix, gradient[:, :, None])[:, :, 0]
        theta += np.clip(step, -4, 4)
        if np.abs(step).max() < 1e-6:
            break
    return theta - theta.mean(axis=1, keepdims=True)
