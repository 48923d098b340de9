"""Losses of reward models on pairs and ratings: pure functions over arrays that return a value and its gradient.

Throughout, `delta` = r(second) - r(first) is a margin in logits, so P(second better) = σ(delta);
`target` is that probability as people judged it (0, ½ for a tie, 1, or any share of votes).
Every value is a weighted mean, Σ w·ℓ / Σ w, and every gradient is that of the value.
`losses_torch` holds the same functions for tensors; rankings and thumbs are in `list_losses`.

Sources: Bradley & Terry (1952); masked regression and scaled Bradley-Terry as in HelpSteer2-Preference,
Wang et al. (2024), arXiv:2410.01257; ties: Rao & Kupper (1967), JASA 62, eq. 2.5 with ν = ln θ; centring:
Eisenstein et al. (2023), arXiv:2312.09244, eq. 2; soft labels from votes with a Beta(λ, λ) prior.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from scipy.special import expit

STRENGTH_MAP = {1: 1.0, 2: 2.0, 3: 3.0}
STRENGTH_MAPS = {"1-2-3": STRENGTH_MAP, "1-3-10": {1: 1.0, 2: 3.0, 3: 10.0}}
PROPENSITY_CAP = 20.0


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
    if np.any((target < 0) | (target > 1)):
        raise ValueError("targets must lie in [0, 1]")
    weight, total = _weights(weight, delta.shape)
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


def margin_bradley_terry(
    delta: np.ndarray, sign: np.ndarray, margin: np.ndarray, weight: np.ndarray | None = None
) -> tuple[float, np.ndarray]:
    """Bradley-Terry that asks for a lead: softplus(margin - y·d), `margin` in logits, usually the strength.

    With margin 0 this is `bradley_terry`. (Llama 2, arXiv:2307.09288, eq. 2; HelpSteer2-Preference found it
    no better than the plain loss, and worse than the scaled one.)
    """
    delta, sign, margin = (np.asarray(array, dtype=float) for array in (delta, sign, margin))
    if not np.all(np.abs(sign) == 1):
        raise ValueError("signs must be +1 or -1; ties belong to tie_loss")
    weight, total = _weights(weight, delta.shape)
    short = margin - sign * delta
    return float(np.dot(weight, np.logaddexp(0.0, short)) / total), -weight * sign * expit(short) / total


def rao_kupper(
    delta: np.ndarray, outcome: np.ndarray, nu: float, weight: np.ndarray | None = None
) -> tuple[float, np.ndarray, float]:
    """Likelihood with ties: P(second) = σ(d - ν), P(first) = σ(-d - ν), P(tie) the rest, with ν > 0.

    `outcome` is -1, 0 for a tie, or +1. Returns (value, gradient in d, derivative in ν). In closed form
    -log P(tie) = softplus(ν - d) + softplus(ν + d) - log(e^{2ν} - 1).
    """
    if not nu > 0:
        raise ValueError("ν must be positive: at 0 a tie is impossible")
    delta, outcome = np.asarray(delta, dtype=float), np.asarray(outcome)
    if not np.all(np.isin(outcome, (-1, 0, 1))):
        raise ValueError("outcomes must be -1, 0 or +1")
    weight, total = _weights(weight, delta.shape)
    up, down = nu - delta, nu + delta
    second, first = np.logaddexp(0.0, up), np.logaddexp(0.0, down)
    tie = second + first - (2.0 * nu + np.log(-np.expm1(-2.0 * nu)))
    loss = np.where(outcome > 0, second, np.where(outcome < 0, first, tie))
    says_second, says_first = expit(up), expit(down)
    slope = np.where(outcome > 0, -says_second, np.where(outcome < 0, says_first, says_first - says_second))
    in_nu = np.where(outcome > 0, says_second, np.where(outcome < 0, says_first, 0.0))
    in_nu = np.where(outcome == 0, says_first + says_second + 2.0 / np.expm1(-2.0 * nu), in_nu)
    return float(np.dot(weight, loss) / total), weight * slope / total, float(np.dot(weight, in_nu) / total)


def centring(first: np.ndarray, second: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
    """Mean of (r(first) + r(second))², which keeps rewards near 0; returns its gradients in both."""
    both = np.asarray(first, dtype=float) + np.asarray(second, dtype=float)
    gradient = 2.0 * both / max(both.size, 1)
    return float(np.mean(both**2)) if both.size else 0.0, gradient, gradient


def row_weights(
    source: Sequence[str],
    by_source: Mapping[str, float],
    propensity: np.ndarray | None = None,
    cap: float = PROPENSITY_CAP,
) -> np.ndarray:
    """Weight of each row: that of its source (1 if not named), over the propensity of having been judged.

    Inverse propensities (Horvitz & Thompson 1952) are cut at `cap`, so that one row cannot carry a fit. Raises
    ValueError for negative weights and propensities outside (0, 1].
    """
    weight = np.array([float(by_source.get(name, 1.0)) for name in source])
    if np.any(weight < 0):
        raise ValueError("source weights must not be negative")
    if propensity is None:
        return weight
    propensity = np.asarray(propensity, dtype=float)
    if np.any((propensity <= 0) | (propensity > 1)):
        raise ValueError("propensities must lie above 0 and at most at 1")
    return weight * np.minimum(1.0 / propensity, cap)


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


def _weights(weight: np.ndarray | None, shape: tuple[int, ...]) -> tuple[np.ndarray, float]:
    """Return (weights, their sum); raise ValueError for weights that are negative or sum to zero."""
    weight = np.ones(shape) if weight is None else np.asarray(weight, dtype=float)
    total = float(weight.sum())
    if np.any(weight < 0) or not total > 0:
        raise ValueError("weights must be non-negative and not all zero")
    return weight, total
