"""Losses of reward models: pure functions over arrays that return a value and its gradient.

Throughout, `delta` = r(second) - r(first) is a margin in logits, so P(second better) = σ(delta);
`target` is that probability as people judged it (0, ½ for a tie, 1, or any share of votes).
Every value is a weighted mean, Σ w·ℓ / Σ w, and every gradient is that of the value.

Sources: Bradley & Terry (1952); masked regression and scaled Bradley-Terry as in HelpSteer2-Preference,
Wang et al. (2024), arXiv:2410.01257; soft labels from votes with a Beta(λ, λ) prior.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from scipy.special import expit

STRENGTH_MAP = {1: 1.0, 2: 2.0, 3: 3.0}


def masked_mse(prediction: np.ndarray, value: np.ndarray, mask: np.ndarray) -> tuple[float, np.ndarray]:
    """Mean squared error over the entries where `mask` is true.

    Σ mask·(r - y)² / Σ mask; arrays of one shape (rows, attributes). Masked-out values may be NaN.
    Returns (0, zeros) when nothing is unmasked.
    """
    mask = np.asarray(mask, dtype=bool)
    error = np.where(mask, np.asarray(prediction) - np.where(mask, value, 0.0), 0.0)
    count = max(int(mask.sum()), 1)
    return float(np.sum(error**2) / count), 2.0 * error / count


def soft_bradley_terry(
    delta: np.ndarray, target: np.ndarray, weight: np.ndarray | None = None
) -> tuple[float, np.ndarray]:
    """Cross-entropy of σ(delta) against a probability `target` that the second response is better.

    ℓ = -t·log σ(d) - (1 - t)·log σ(-d) = softplus(d) - t·d. With t in {0, 1} this is Bradley-Terry,
    with t = ½ the symmetric tie loss ½[softplus(d) + softplus(-d)]. Raises ValueError for targets outside
    [0, 1] and for weights that are negative or sum to zero.
    """
    delta = np.asarray(delta, dtype=float)
    target = np.asarray(target, dtype=float)
    weight = np.ones_like(delta) if weight is None else np.asarray(weight, dtype=float)
    if np.any((target < 0) | (target > 1)):
        raise ValueError("targets must lie in [0, 1]")
    total = weight.sum()
    if np.any(weight < 0) or not total > 0:
        raise ValueError("weights must be non-negative and not all zero")
    loss = np.logaddexp(0.0, delta) - target * delta
    return float(np.dot(weight, loss) / total), weight * (expit(delta) - target) / total


def bradley_terry(
    delta: np.ndarray, sign: np.ndarray, weight: np.ndarray | None = None
) -> tuple[float, np.ndarray]:
    """Bradley-Terry negative log-likelihood softplus(-y·d) for decided pairs.

    `sign` y is +1 where the second response is better and -1 where the first is.
    """
    sign = np.asarray(sign)
    if not np.all(np.abs(sign) == 1):
        raise ValueError("signs must be +1 or -1; ties belong to tie_loss")
    return soft_bradley_terry(delta, (sign + 1) / 2, weight)


def scaled_bradley_terry(
    delta: np.ndarray,
    sign: np.ndarray,
    strength: np.ndarray,
    weight: np.ndarray | None = None,
    strength_map: Mapping[int, float] = STRENGTH_MAP,
) -> tuple[float, np.ndarray]:
    """Bradley-Terry where a pair counts m(strength) times: w·m·softplus(-y·d), over Σ w·m.

    (HelpSteer2-Preference's scaled BT; INF-ORM maps the strengths to 1, 3, 10 instead.)
    """
    scale = strength_weights(strength, strength_map)
    return bradley_terry(
        delta,
        sign,
        scale if weight is None else scale * np.asarray(weight, dtype=float),
    )


def tie_loss(delta: np.ndarray, weight: np.ndarray | None = None) -> tuple[float, np.ndarray]:
    """Loss of pairs judged equal, as the soft label ½: ½[softplus(d) + softplus(-d)], least at d = 0."""
    return soft_bradley_terry(delta, np.full(np.shape(delta), 0.5), weight)


def strength_weights(strength: np.ndarray, strength_map: Mapping[int, float] = STRENGTH_MAP) -> np.ndarray:
    """Map the levels of preference strength to multipliers; raise ValueError for a level without one."""
    levels, inverse = np.unique(np.asarray(strength, dtype=int), return_inverse=True)
    unknown = [int(level) for level in levels if int(level) not in strength_map]
    if unknown:
        raise ValueError(f"no weight for preference strength {unknown[0]}")
    return np.array([strength_map[int(level)] for level in levels], dtype=float)[inverse]


def soft_labels(votes: np.ndarray, smoothing: float = 1.0) -> np.ndarray:
    """Posterior mean probability that the second response is better, from raw votes.

    α = (second + ½·tie + λ) / (n + 2λ); `votes` has columns (first, tie, second), shape (n, 3).
    λ = `smoothing` = 1 is Laplace's rule; a row without votes gives ½ (λ > 0).
    """
    votes = np.asarray(votes, dtype=float)
    if votes.ndim != 2 or votes.shape[1] != 3 or np.any(votes < 0):
        raise ValueError("votes must be non-negative counts with columns (first, tie, second)")
    if not smoothing > 0:
        raise ValueError("smoothing must be positive")
    return (votes[:, 2] + 0.5 * votes[:, 1] + smoothing) / (votes.sum(axis=1) + 2.0 * smoothing)
