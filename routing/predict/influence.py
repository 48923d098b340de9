"""What one human label is expected to do for a reward model, from a single fit (influence function, first order).

θ minimises Σ softplus(-y φ·θ) + ½ λ |θ|² on the models' labels, H is its Hessian, g the gradient of the loss on pairs that
people labelled. Replacing the label t ∈ {0, 1} of item i by 1 - t moves θ by H⁻¹ φ_i (1 - 2t) and the validation loss by
gᵀ H⁻¹ φ_i (1 - 2t); a person would do that with probability P = e (1 - h) + (1 - e) h. The gain of asking is

    G_i = -P_i · gᵀ H⁻¹ φ_i (1 - 2 t_i).

A model's tie may go either way, and its first-order expectation is 0. (Koh & Liang 2017, arXiv:1703.04730, eq. 2, for a
changed label instead of a removed point.)
"""

from __future__ import annotations

import numpy as np
from scipy.special import expit

from annotations.analysis.majority import NONE

PENALTY = 5.0
MIN_VALIDATION = 20
_STEPS = 25


def fit(phi: np.ndarray, target: np.ndarray, penalty: float = PENALTY) -> tuple[np.ndarray, np.ndarray]:
    """(θ float[k], H⁻¹ float[k, k]) of a ridge Bradley–Terry fit without intercept; target float[n] in [0, 1]."""
    k = phi.shape[1]
    theta = np.zeros(k)
    for _ in range(_STEPS):
        p = expit(phi @ theta)
        gradient = phi.T @ (p - target) + penalty * theta
        hessian = (phi.T * (p * (1 - p))) @ phi + penalty * np.eye(k)
        step = np.linalg.solve(hessian, gradient)
        theta -= step
        if np.abs(step).max() < 1e-8:
            break
    p = expit(phi @ theta)
    return theta, np.linalg.inv((phi.T * (p * (1 - p))) @ phi + penalty * np.eye(k))


def gains(
    phi: np.ndarray,
    verdict: np.ndarray,
    truth: np.ndarray,
    error: np.ndarray,
    person_error: np.ndarray | float = 0.0,
    *,
    penalty: float = PENALTY,
) -> np.ndarray | None:
    """Expected fall of the validation loss per human label, float[n]; None with too few labelled pairs.

    phi float[n, k] = φ(second) - φ(first); verdict int8[n]: the model's labels; truth int8[n]: people's, `NONE` where
    unknown; error float[n]: P(the model is wrong); person_error: P(a person is wrong). Items without a verdict teach
    nothing now, so any label is new: their gain is the largest of all.
    """
    decided = np.abs(truth) == 1
    if decided.sum() < MIN_VALIDATION:
        return None
    given = verdict != NONE
    theta, inverse = fit(phi[given], (verdict[given] + 1) / 2, penalty)
    margin = phi[decided] @ theta
    side = (truth[decided] + 1) / 2
    g = phi[decided].T @ (expit(margin) - side) / decided.sum()
    h = np.asarray(person_error, dtype=float)
    changes = error * (1 - h) + (1 - error) * h
    # 1 - 2t is -1 for "second better" (t = 1), +1 for "first better", 0 for a tie
    direction = np.where(given, -verdict.astype(float), 0.0)
    gain = -changes * (phi @ (inverse @ g)) * direction
    gain[~given] = gain.max(initial=0.0) + 1e-12
    return gain
