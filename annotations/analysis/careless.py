"""Bradley-Terry ratings when some annotators click at random (a two-part mixture). Pure.

P(vote) = q_a p + (1 - q_a) / 2 for annotator a, as CrowdBT (Chen et al. 2013) without adversaries; EM with a Beta(4, 1)
prior on q. Ties say nothing about care and count half.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .bradley_terry import Fit, fit, of_table

ROUNDS = 60


@dataclass(frozen=True)
class Careful:
    """fit: ratings from votes weighted by care; care float64[A]: share of votes given with care, NaN without votes."""

    fit: Fit
    care: np.ndarray


def fit_careful(
    first: np.ndarray,
    second: np.ndarray,
    verdict: np.ndarray,
    annotator: np.ndarray,
    players: int,
    annotators: int,
) -> Careful:
    """Ratings and everybody's care from codes int[n]; verdict -1 first won, 0 tie, 1 second won."""
    decided = verdict != 0
    a, b, who = first[decided], second[decided], annotator[decided]
    won = verdict[decided] < 0
    n = np.bincount(who, minlength=annotators)
    care, weight = np.full(annotators, 0.8), np.ones(len(a))
    cell = (first.astype(np.int64) * players + second) * 3 + verdict + 1
    fitted: Fit | None = None
    for _ in range(ROUNDS):
        weights = np.ones(len(verdict))
        weights[decided] = weight
        table = np.bincount(cell, weights, 3 * players * players).reshape(players, players, 3)
        start = None if fitted is None else (fitted.theta, 0.0)
        fitted = fit(of_table(table), start=start)
        theta = np.nan_to_num(fitted.theta)
        p = 1 / (1 + np.exp(np.where(won, -1, 1) * (theta[a] - theta[b])))
        q = care[who]
        weight = q * p / (q * p + (1 - q) / 2)
        new = (np.bincount(who, weight, annotators) + 4) / (n + 5)
        moved = np.abs(new - care).max(initial=0.0)
        care = new
        if moved < 1e-5:
            break
    return Careful(fitted, np.where(n > 0, care, np.nan))
