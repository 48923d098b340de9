"""Ridge logistic regression with weights, offsets and a Laplace posterior: the work-horse of the predictors.

minimises  Σ w_i [log(1 + exp(η_i)) - y_i η_i] + ½ Σ_j λ_j β_j²,   η = offset + α + Xβ,

by Newton's method with step halving; y may be a share in [0, 1]. The posterior is N(β̂, H⁻¹), H the Hessian at the
minimum (Laplace). Pure numpy; several penalties are fitted side by side from one design.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import expit

_STEPS = 30
_TOLERANCE = 1e-7
_BLOCK = 65_536
_FREE = 1e-4  # the intercept's penalty: keeps a fit on one class finite


@dataclass(frozen=True)
class Fit:
    """A fitted model: `beta` float[d + 1], the intercept first, and `covariance` float[d + 1, d + 1]."""

    beta: np.ndarray
    covariance: np.ndarray

    def logit(self, X: np.ndarray, offset: np.ndarray | float = 0.0) -> np.ndarray:
        """η of each row of X float[n, d]."""
        weights = self.beta[1:].astype(X.dtype, copy=False)
        return self.beta[0] + (X @ weights).astype(np.float64) + offset

    def sd(self, X: np.ndarray) -> np.ndarray:
        """Posterior standard deviation of η, float[n]."""
        variance = np.empty(len(X))
        for start in range(0, len(X), _BLOCK):  # a block at a time: a million rows need no second matrix
            part = X[start : start + _BLOCK].astype(np.float64)
            full = np.column_stack([np.ones(len(part)), part])
            variance[start : start + _BLOCK] = np.einsum("ij,ij->i", full @ self.covariance, full)
        return np.sqrt(np.maximum(variance, 0.0))


def fit(
    X: np.ndarray,
    y: np.ndarray,
    penalty: np.ndarray,
    *,
    weight: np.ndarray | None = None,
    offset: np.ndarray | float = 0.0,
) -> Fit:
    """Fit one model. X float[n, d], y float[n] in [0, 1], penalty float[d] > 0. Raises ValueError without rows."""
    n, d = X.shape
    if not n:
        raise ValueError("a logistic fit needs at least one row")
    weight = np.ones(n) if weight is None else np.asarray(weight, dtype=float)
    full = np.column_stack([np.ones(n), X])
    ridge = np.r_[_FREE * n, penalty] + 1e-9
    mean = np.clip(np.average(y, weights=weight), 0.02, 0.98)
    beta = np.zeros(d + 1)
    beta[0] = np.log(mean / (1 - mean)) if np.ndim(offset) == 0 else 0.0
    centre = np.zeros(d + 1)
    centre[0] = beta[0]

    def loss(b: np.ndarray) -> float:
        eta = full @ b + offset
        return float(weight @ (np.logaddexp(0.0, eta) - y * eta) + 0.5 * ridge @ (b - centre) ** 2)

    now = loss(beta)
    for _ in range(_STEPS):
        p = expit(full @ beta + offset)
        gradient = full.T @ (weight * (p - y)) + ridge * (beta - centre)
        hessian = (full.T * (weight * p * (1 - p))) @ full
        hessian[np.diag_indices(d + 1)] += ridge
        step = np.linalg.solve(hessian, gradient)
        size = 1.0
        while size > 1e-3 and (then := loss(beta - size * step)) > now + 1e-12:
            size /= 2
        if size <= 1e-3:
            break
        beta = beta - size * step
        if now - then < _TOLERANCE * (1 + abs(now)):
            break
        now = then
    p = expit(full @ beta + offset)
    hessian = (full.T * (weight * p * (1 - p))) @ full
    hessian[np.diag_indices(d + 1)] += ridge
    return Fit(beta, np.linalg.inv(hessian))
