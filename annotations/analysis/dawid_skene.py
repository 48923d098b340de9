"""Dawid & Skene (1979): everybody's confusion matrix and every unit's true class, by EM. Pure.

Own and vectorised: both steps are one product of a sparse units x (annotators · classes) matrix with a thin dense one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from .patterns import Labels

TOLERANCE = 1e-6
ITERATIONS = 100
SMOOTHING = 0.01  # pseudo-votes per cell, so that nothing is impossible


@dataclass(frozen=True)
class Truth:
    """posterior float64[n_units, K] (NaN rows for units without votes); confusion float64[A, K, K] = P(says | truth);
    prior float64[K]; iterations; change: the last change of the posterior's mean; converged."""

    posterior: np.ndarray
    confusion: np.ndarray
    prior: np.ndarray
    iterations: int
    change: float
    converged: bool

    def accuracy(self) -> np.ndarray:
        """P(right) of each annotator over classes as frequent as in the data, float64[A]."""
        return np.einsum("akk,k->a", self.confusion, self.prior)


def fit(
    labels: Labels,
    n_annotators: int,
    *,
    iterations: int = ITERATIONS,
    tolerance: float = TOLERANCE,
    smoothing: float = SMOOTHING,
) -> Truth:
    """EM from the vote shares; ends when posteriors move less than `tolerance` on average."""
    k = len(labels.levels)
    share = np.bincount(
        labels.unit.astype(np.int64) * k + labels.value, minlength=labels.n_units * k
    ).reshape(labels.n_units, k)
    judged = share.sum(axis=1) > 0
    share = share[judged].astype(np.float64)
    row = (np.cumsum(judged) - 1)[labels.unit]  # only units with votes take part
    cell = labels.annotator.astype(np.int32) * np.int32(k) + labels.value
    shape = (len(share), n_annotators * k)
    votes = sparse.csr_matrix((np.ones(len(labels)), (row.astype(np.int32), cell)), shape=shape)
    back = votes.T.tocsr()
    posterior = share / share.sum(axis=1, keepdims=True)
    confusion, prior = np.zeros((n_annotators, k, k)), np.full(k, 1 / max(k, 1))
    done, change = 0, np.inf
    while done < iterations and change > tolerance and k > 1:
        done += 1
        confusion, prior = _maximise(back, posterior, n_annotators, smoothing)
        new = votes @ np.log(confusion).transpose(0, 2, 1).reshape(n_annotators * k, k)
        new += np.log(prior)
        new -= _largest(new)
        np.exp(new, out=new)
        new /= new @ np.ones((k, 1))
        posterior -= new
        change = float(np.abs(posterior, out=posterior).sum() / max(1, len(new)))
        posterior = new
    confusion, prior = _maximise(back, posterior, n_annotators, smoothing)
    whole = np.full((labels.n_units, k), np.nan)
    whole[judged] = posterior
    return Truth(whole, confusion, prior, done, change if np.isfinite(change) else 0.0, change <= tolerance)


def _maximise(back, posterior, n_annotators: int, smoothing: float) -> tuple[np.ndarray, np.ndarray]:
    """(confusion [A, truth, said], prior) from posteriors."""
    k = posterior.shape[1]
    said = (back @ posterior).reshape(n_annotators, k, k)  # [A, said, truth]
    confusion = said.transpose(0, 2, 1) + smoothing
    confusion /= confusion.sum(axis=2, keepdims=True)
    total = posterior.sum(axis=0) + smoothing
    return confusion, total / total.sum()


def _largest(rows: np.ndarray) -> np.ndarray:
    """The largest of each row, [n, 1]: column by column, since reducing short rows is slow."""
    found = rows[:, 0].copy()
    for column in range(1, rows.shape[1]):
        np.maximum(found, rows[:, column], out=found)
    return found[:, None]
