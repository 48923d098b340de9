"""GLAD (Whitehill, Ruvolo, Wu, Bergsma & Movellan 2009): annotators' ability and units' difficulty together, by EM. Pure.

P(a vote is right) = 1 / (1 + exp(-α_a β_u)) with ability α_a (negative: worse than guessing) and β_u > 0, the inverse of the unit's
difficulty; wrong votes fall on the other classes evenly.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import expit, log_expit

from .patterns import Labels

ITERATIONS = 60
STEPS = 2  # of Newton for the abilities and of scoring for the difficulties, in each round of EM
TOLERANCE = 1e-4
PRIOR = 1.0  # mean and variance of the normal priors on α and ln β, as the authors'


@dataclass(frozen=True)
class Glad:
    """ability float64[A], NaN for annotators without votes; error float64[A] of it, the rest taken as known; ease float64[n_units], β, NaN for units without votes;
    posterior float64[n_units, K] of the true class; iterations; converged."""

    ability: np.ndarray
    error: np.ndarray
    ease: np.ndarray
    posterior: np.ndarray
    iterations: int
    converged: bool


def fit(
    labels: Labels, n_annotators: int, *, iterations: int = ITERATIONS, tolerance: float = TOLERANCE
) -> Glad:
    """EM from the vote shares; classes are equally likely beforehand. Ends when posteriors move less than `tolerance`."""
    k, n, units = len(labels.levels), len(labels), labels.n_units
    who, unit = labels.annotator.astype(np.int64), labels.unit.astype(np.int64)
    place = unit * k + labels.value
    share = np.bincount(place, minlength=units * k).reshape(units, k).astype(float)
    judged = share.sum(axis=1) > 0
    posterior = np.divide(share, share.sum(axis=1)[:, None], out=np.zeros((units, k)), where=judged[:, None])
    ability, log_ease = np.full(n_annotators, PRIOR), np.full(units, PRIOR)
    done, shift = 0, np.inf
    while n and k > 1 and done < iterations and shift > tolerance:
        done += 1
        right = posterior.ravel()[place]
        for _ in range(STEPS):
            ability = ability + _step_ability(ability, np.exp(log_ease)[unit], right, who)
            log_ease = log_ease + _step_ease(log_ease, ability[who], right, unit)
        x = ability[who] * np.exp(log_ease)[unit]
        logs = np.bincount(place, log_expit(x) - log_expit(-x) + np.log(k - 1), units * k).reshape(units, k)
        logs -= logs.max(axis=1, keepdims=True)
        np.exp(logs, out=logs)
        new = logs / logs.sum(axis=1, keepdims=True)
        shift = float(np.abs(new - posterior)[judged].sum() / max(1, judged.sum()))
        posterior = new
    ease = np.exp(log_ease)
    p = expit(ability[who] * ease[unit])
    curvature = np.bincount(who, p * (1 - p) * ease[unit] ** 2, n_annotators) + 1
    answered = (np.bincount(who, minlength=n_annotators) > 0) & (k > 1)
    return Glad(
        np.where(answered, ability, np.nan),
        np.where(answered, curvature**-0.5, np.nan),
        np.where(judged & (k > 1), ease, np.nan),
        np.where(judged[:, None], posterior, np.nan),
        done,
        bool(shift <= tolerance),
    )


def _step_ability(ability, ease, right, who) -> np.ndarray:
    """Newton's step: given the rest, α's objective is a logistic regression's."""
    p = expit(ability[who] * ease)
    gradient = np.bincount(who, (right - p) * ease, len(ability)) - (ability - PRIOR)
    curvature = np.bincount(who, p * (1 - p) * ease**2, len(ability)) + 1
    return np.clip(gradient / curvature, -1, 1)


def _step_ease(log_ease, ability, right, unit) -> np.ndarray:
    """Fisher's scoring step for ln β."""
    x = ability * np.exp(log_ease)[unit]
    p = expit(x)
    gradient = np.bincount(unit, (right - p) * x, len(log_ease)) - (log_ease - PRIOR)
    curvature = np.bincount(unit, p * (1 - p) * x**2, len(log_ease)) + 1
    return np.clip(gradient / curvature, -1, 1)
