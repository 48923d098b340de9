"""MACE (Hovy, Berg-Kirkpatrick, Vaswani & Hovy 2013): who answers with competence and who spams, by EM. Pure.

A vote is the unit's true class with probability θ_a (the annotator's competence) and otherwise drawn from the annotator's own
habits ξ_a, whatever the unit. A wrong vote is all habit, so one number per annotator and value decides a unit's class: both
steps are one weighted count of the votes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import digamma

from .patterns import Labels

ITERATIONS = 200
TOLERANCE = 1e-4
PRIOR_COMPETENCE = 0.5  # Beta(½, ½), Hovy et al.'s default
PRIOR_HABIT = 10.0  # Dirichlet(10, …), theirs


@dataclass(frozen=True)
class Mace:
    """competence float64[A] in [0, 1], NaN for annotators without votes and where there is one class; habits float64[A, K]; posterior
    float64[n_units, K] of the true class, NaN rows for units without votes; iterations; converged."""

    competence: np.ndarray
    habits: np.ndarray
    posterior: np.ndarray
    iterations: int
    converged: bool


def fit(
    labels: Labels, n_annotators: int, *, iterations: int = ITERATIONS, tolerance: float = TOLERANCE
) -> Mace:
    """Variational EM from the vote shares; classes are equally likely beforehand.

    One start, not the paper's ten at random: the result is the same for everybody who asks. Ends when competences
    move less than `tolerance`.
    """
    k, n = len(labels.levels), len(labels)
    cell = labels.annotator.astype(np.int64) * k + labels.value
    place = labels.unit.astype(np.int64) * k + labels.value
    shape = (labels.n_units, k)
    share = np.bincount(place, minlength=labels.n_units * k).reshape(shape).astype(float)
    total = share.sum(axis=1)
    judged = total > 0
    posterior = np.divide(share, total[:, None], out=np.zeros(shape), where=judged[:, None])
    given = np.bincount(cell, minlength=n_annotators * k).reshape(n_annotators, k)
    votes = given.sum(axis=1)
    competence, shift, done = np.full(n_annotators, 0.5), np.inf, 0
    # Exponentials of expected logarithms, which need not sum to 1: of knowing, of spamming, of each habit.
    known, spam, habit = competence[:, None], competence[:, None], np.full((n_annotators, k), 1 / max(k, 1))
    spammed = np.zeros((n_annotators, k))
    while n and k > 1 and done < iterations and shift > tolerance:
        done += 1
        # Of the votes for the true class, the part that was knowledge and not habit.
        right = np.bincount(cell, posterior.ravel()[place], n_annotators * k).reshape(n_annotators, k)
        knew = right * known / (known + spam * habit)
        spammed = given - knew
        new = (knew.sum(axis=1) + PRIOR_COMPETENCE) / (votes + 2 * PRIOR_COMPETENCE)
        shift, competence = float(np.abs(new - competence).max()), new
        either = np.stack([knew.sum(axis=1), spammed.sum(axis=1)], axis=1)
        known, spam = np.hsplit(_expected(either, PRIOR_COMPETENCE), 2)
        habit = _expected(spammed, PRIOR_HABIT)
        weight = np.log(known + spam * habit) - np.log(spam * habit)
        logs = np.bincount(place, weight.ravel()[cell], labels.n_units * k).reshape(shape)
        logs -= logs.max(axis=1, keepdims=True)
        np.exp(logs, out=logs)
        posterior = logs / logs.sum(axis=1, keepdims=True)
    habits = (spammed + PRIOR_HABIT) / (spammed + PRIOR_HABIT).sum(axis=1, keepdims=True)
    return Mace(
        np.where(votes > 0, competence, np.nan) if k > 1 else np.full(n_annotators, np.nan),
        habits,
        np.where(judged[:, None], posterior, np.nan),
        done,
        bool(shift <= tolerance),
    )


def _expected(counts: np.ndarray, prior: float) -> np.ndarray:
    """exp E[log p] under Dirichlet(counts + prior), by row."""
    return np.exp(digamma(counts + prior) - digamma((counts + prior).sum(axis=1, keepdims=True)))
