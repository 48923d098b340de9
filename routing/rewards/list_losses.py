"""Losses of reward models on rankings and thumbs, and the weights of several objectives. Pure functions.

Lists are padded: `scores`, `rank` and `mask` are (n, K); masked-out entries are ignored. Values are weighted
means over lists (or thumbs), and gradients are those of the value.

Sources: Plackett (1975), Luce (1959), ties after Breslow (1974); LiPO-λ, Liu et al. (2024), arXiv:2402.01878;
BCO, Jung et al. (2024), arXiv:2404.04656; MORE, Zeng et al. (2023), arXiv:2312.07401, with the minimum-norm
point after Frank & Wolfe (1956) as in MGDA, Désidéri (2012).
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from scipy.special import expit

BCO_CLAMP = (0.5, 10.0)
MORE_DECAY = 0.99
_NEVER = -1e30


def plackett_luce(
    scores: np.ndarray, rank: np.ndarray, mask: np.ndarray, weight: np.ndarray | None = None
) -> tuple[float, np.ndarray]:
    """Negative log-likelihood of the rankings, Σ_k [logsumexp over j ranked no better than k of s_j - s_k].

    `rank` 1 is best; tied responses share a rank, and each then competes with all that are not ahead of it
    (Breslow). For two responses this is Bradley-Terry.
    """
    scores, rank, mask = np.asarray(scores, dtype=float), np.asarray(rank), np.asarray(mask, dtype=bool)
    weight, total = _list_weights(weight, len(scores))
    # risk[n, k, j]: j is still to be chosen when k is
    risk = mask[:, :, None] & mask[:, None, :] & (rank[:, None, :] >= rank[:, :, None])
    inside = np.where(risk, scores[:, None, :], _NEVER)
    top = inside.max(axis=2, keepdims=True)
    shares = np.where(risk, np.exp(inside - top), 0.0)
    norm = shares.sum(axis=2, keepdims=True)
    logsum = (top + np.log(np.where(norm > 0, norm, 1.0)))[:, :, 0]
    loss = np.where(mask, logsum - scores, 0.0).sum(axis=1)
    chosen = np.divide(shares, norm, out=np.zeros_like(shares), where=norm > 0)
    gradient = chosen.sum(axis=1) - mask
    return float(np.dot(weight, loss) / total), weight[:, None] * gradient / total


def lipo_lambda(
    scores: np.ndarray, gain: np.ndarray, mask: np.ndarray, weight: np.ndarray | None = None
) -> tuple[float, np.ndarray]:
    """LiPO-λ: Σ over ψ_i > ψ_j of Δ_ij·softplus(s_j - s_i), over Σ Δ_ij of all lists.

    Δ_ij = |2^ψ_i - 2^ψ_j|·|1/log(1+τ_i) - 1/log(1+τ_j)|, τ the place by the current scores; Δ is a weight and
    is not differentiated, as in the paper. `gain` ψ lies in [0, 1] (`list_gains`). Dividing by Σ Δ makes a list
    of two exactly Bradley-Terry.
    """
    delta, total = lipo_weights(scores, gain, mask, weight)
    scores = np.asarray(scores, dtype=float)
    if not total > 0:
        return 0.0, np.zeros_like(scores)
    short = scores[:, None, :] - scores[:, :, None]  # s_j - s_i at [i, j]
    slope = delta * expit(short) / total
    value = float(np.sum(delta * np.logaddexp(0.0, short)) / total)
    return value, slope.sum(axis=1) - slope.sum(axis=2)


def lipo_weights(
    scores: np.ndarray, gain: np.ndarray, mask: np.ndarray, weight: np.ndarray | None = None
) -> tuple[np.ndarray, float]:
    """Return (Δ of shape (n, K, K), zero but where i is better than j; their sum), weights included."""
    scores, gain, mask = np.asarray(scores, dtype=float), np.asarray(gain, float), np.asarray(mask, bool)
    weight, _ = _list_weights(weight, len(scores))
    order = np.argsort(-np.where(mask, scores, -np.inf), axis=1, kind="stable")
    place = np.empty_like(order)
    np.put_along_axis(place, order, np.broadcast_to(np.arange(1, scores.shape[1] + 1), order.shape), axis=1)
    merit, discount = 2.0**gain, 1.0 / np.log1p(place)
    better = mask[:, :, None] & mask[:, None, :] & (gain[:, :, None] > gain[:, None, :])
    delta = np.abs(merit[:, :, None] - merit[:, None, :]) * np.abs(
        discount[:, :, None] - discount[:, None, :]
    )
    delta = np.where(better, delta, 0.0) * weight[:, None, None]
    return delta, float(delta.sum())


def list_gains(rank: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Return ψ = share of the other responses that one beats, ties half; (n, K) in [0, 1]."""
    rank, mask = np.asarray(rank), np.asarray(mask, dtype=bool)
    both = mask[:, :, None] & mask[:, None, :]
    beats = np.where(
        both, (rank[:, :, None] < rank[:, None, :]) + 0.5 * (rank[:, :, None] == rank[:, None, :]), 0
    )
    others = np.maximum(mask.sum(axis=1) - 1, 1)[:, None]
    return np.where(mask, (beats.sum(axis=2) - 0.5) / others, 0.0)


def bco(
    reward: np.ndarray, up: np.ndarray, shift: float, weight: np.ndarray | None = None
) -> tuple[float, np.ndarray]:
    """Binary classifier loss of thumbs: softplus(-(r - δ)) for up, softplus(r - δ) for down.

    `shift` δ is the running mean of all rewards (`RunningMean`), a constant here. Weights of thumbs down may
    carry the density ratio (`density_ratio`).
    """
    reward, up = np.asarray(reward, dtype=float), np.asarray(up, dtype=bool)
    weight, total = _list_weights(weight, len(reward))
    sign = np.where(up, 1.0, -1.0)
    short = -sign * (reward - shift)
    return float(np.dot(weight, np.logaddexp(0.0, short)) / total), -weight * sign * expit(short) / total


def density_ratio(p_desirable: np.ndarray) -> np.ndarray:
    """Weight of an undesirable row: p / (1 - p) within [0.5, 10], p = P(its prompt is of the desirable set)."""
    p = np.clip(np.asarray(p_desirable, dtype=float), 0.0, 1.0 - 1e-9)
    return np.clip(p / (1.0 - p), *BCO_CLAMP)


@dataclass
class RunningMean:
    """Mean of all rewards seen; part of a checkpoint, so that a resumed run goes on with the same shift."""

    mean: float = 0.0
    count: float = 0.0

    def update(self, rewards: np.ndarray) -> float:
        """Take in a batch; return the mean afterwards."""
        rewards = np.asarray(rewards, dtype=float).ravel()
        if rewards.size:
            self.count += rewards.size
            self.mean += float(rewards.sum() - rewards.size * self.mean) / self.count
        return self.mean


def min_norm_weights(gradients: np.ndarray, steps: int = 250) -> np.ndarray:
    """Return λ on the simplex that minimises |Σ λ_k g_k|², for rows g_k (K, d), by Frank-Wolfe."""
    gram = np.asarray(gradients, dtype=float) @ np.asarray(gradients, dtype=float).T
    weights = np.full(len(gram), 1.0 / len(gram))
    for _ in range(steps):
        slope = gram @ weights
        direction = -weights
        direction[int(np.argmin(slope))] += 1.0
        curvature = float(direction @ gram @ direction)
        descent = -float(direction @ slope)
        if descent <= 1e-12 or curvature <= 0:
            break
        weights = weights + min(1.0, descent / curvature) * direction
    return weights


@dataclass
class MoreWeights:
    """MORE: weights of K data sources such that no source's gradient of the reward head is worked against.

    Gradients are normalised and smoothed, g ← α·g + (1 - α)·∇, before the minimum-norm point is taken.
    """

    decay: float = MORE_DECAY
    state: dict[str, np.ndarray] = field(default_factory=dict)

    def update(self, gradients: dict[str, np.ndarray]) -> dict[str, float]:
        """Take in this step's head gradient of each source present; return K·λ_k, of mean 1 over them."""
        for name, gradient in gradients.items():
            unit = np.ravel(np.asarray(gradient, dtype=float))
            unit = unit / max(float(np.linalg.norm(unit)), 1e-12)
            before = self.state.get(name)
            self.state[name] = unit if before is None else self.decay * before + (1.0 - self.decay) * unit
        names = sorted(gradients)
        found = min_norm_weights(np.stack([self.state[name] for name in names])) if names else []
        return {name: float(len(names) * share) for name, share in zip(names, found, strict=True)}


def _list_weights(weight: np.ndarray | None, n: int) -> tuple[np.ndarray, float]:
    weight = np.ones(n) if weight is None else np.asarray(weight, dtype=float)
    total = float(weight.sum())
    if np.any(weight < 0) or not total > 0:
        raise ValueError("weights must be non-negative and not all zero")
    return weight, total
