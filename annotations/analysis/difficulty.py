"""Two-parameter item response theory: how hard items are, how able who is tested (Easy2Hard-Bench's difficulty). Pure.

P(right) = 1 / (1 + exp(-a_i (θ_j - b_i))), θ ~ N(0, 1), b ~ N(0, 2²), ln a ~ N(0, 0.5²): maximum a posteriori by
alternating damped Newton steps, all items (then all takers) at once.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

SD_B, SD_A = 2.0, 0.5
ROUNDS = 80


@dataclass(frozen=True)
class Difficulty:
    """difficulty b, its standard error, quantile in (0, 1], discrimination a: float64[items]; ability θ: [takers]."""

    difficulty: np.ndarray
    error: np.ndarray
    quantile: np.ndarray
    discrimination: np.ndarray
    ability: np.ndarray


def fit(item: np.ndarray, taker: np.ndarray, right: np.ndarray, n_items: int, n_takers: int) -> Difficulty:
    """From who (`taker` int[n]) answered what (`item` int[n]) rightly (`right` in [0, 1], float[n])."""
    y = np.asarray(right, dtype=np.float64)
    n_of = np.bincount(item, minlength=n_items)
    share = (np.bincount(item, y, n_items) + 0.5) / (n_of + 1)
    skill = (np.bincount(taker, y, n_takers) + 0.5) / (np.bincount(taker, minlength=n_takers) + 1)
    theta = np.log(skill / (1 - skill))
    theta = (theta - theta.mean()) / (theta.std() or 1.0)
    b, log_a = -np.log(share / (1 - share)), np.zeros(n_items)

    def slopes():
        a = np.exp(log_a)
        p = 1 / (1 + np.exp(-a[item] * (theta[taker] - b[item])))
        return a, y - p, p * (1 - p)

    for _ in range(ROUNDS):
        before = b.copy()
        a, slope, weight = slopes()
        gradient = np.bincount(taker, a[item] * slope, n_takers) - theta
        theta = theta + np.clip(gradient / (np.bincount(taker, a[item] ** 2 * weight, n_takers) + 1), -1, 1)
        # The prior of θ fixes the scale; only the common shift is free.
        centre = theta.mean()
        theta, b = theta - centre, b - centre
        a, slope, weight = slopes()
        # Newton in (b, ln a) of each item with the expected information.
        gap = theta[taker] - b[item]
        g_b = -np.bincount(item, a[item] * slope, n_items) - b / SD_B**2
        g_a = np.bincount(item, a[item] * gap * slope, n_items) - log_a / SD_A**2
        h_bb = np.bincount(item, a[item] ** 2 * weight, n_items) + 1 / SD_B**2
        h_aa = np.bincount(item, (a[item] * gap) ** 2 * weight, n_items) + 1 / SD_A**2
        h_ab = -np.bincount(item, a[item] ** 2 * gap * weight, n_items)
        det = h_bb * h_aa - h_ab**2
        b = b + np.clip((h_aa * g_b - h_ab * g_a) / det, -1, 1)
        log_a = log_a + np.clip((h_bb * g_a - h_ab * g_b) / det, -0.5, 0.5)
        if np.abs(b - before).max(initial=0.0) < 1e-5:
            break
    a, _, weight = slopes()
    information = np.bincount(item, a[item] ** 2 * weight, n_items) + 1 / SD_B**2
    seen = n_of > 0
    b = np.where(seen, b, np.nan)
    quantile = np.full(n_items, np.nan)
    if seen.any():
        quantile[seen] = (b[seen].argsort().argsort() + 1) / seen.sum()
    return Difficulty(b, np.where(seen, 1 / np.sqrt(information), np.nan), quantile, a, theta)
