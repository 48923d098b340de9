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
    labels: Labels, n_annotators: int, *, iterations: int = ITERATIONS, tolerance: float = TOLERANCE
) -> Truth:
    """EM from the vote shares; ends when posteriors move less than `tolerance` on average."""
    k = len(labels.levels)
    cell = labels.annotator.astype(np.int64) * k + labels.value
    votes = sparse.csr_matrix(
        (np.ones(len(labels)), (labels.unit, cell)), shape=(labels.n_units, n_annotators * k)
    )
    back = votes.T.tocsr()
    share = np.zeros((labels.n_units, k))
    np.add.at(share, (labels.unit, labels.value), 1.0)
    n = share.sum(axis=1)
    judged = n > 0
    posterior = np.divide(share, n[:, None], out=np.zeros_like(share), where=judged[:, None])
    confusion, prior = np.zeros((n_annotators, k, k)), np.full(k, 1 / max(k, 1))
    done, change = 0, np.inf
    while done < iterations and change > tolerance and k > 1:
        done += 1
        confusion, prior = _maximise(back, posterior, judged, n_annotators, k)
        logs = np.log(confusion).transpose(0, 2, 1).reshape(n_annotators * k, k)
        new = votes @ logs
        new += np.log(prior)
        new -= new.max(axis=1, keepdims=True)
        np.exp(new, out=new)
        new /= new.sum(axis=1, keepdims=True)
        change = float(np.abs(new[judged] - posterior[judged]).sum() / max(1, judged.sum()))
        posterior = new
    confusion, prior = _maximise(back, posterior, judged, n_annotators, k)
    posterior = np.where(judged[:, None], posterior, np.nan)
    return Truth(
        posterior, confusion, prior, done, change if np.isfinite(change) else 0.0, change <= tolerance
    )


def _maximise(back, posterior, judged, n_annotators: int, k: int) -> tuple[np.ndarray, np.ndarray]:
    """(confusion [A, truth, said], prior) from posteriors."""
    said = (back @ np.where(judged[:, None], posterior, 0.0)).reshape(n_annotators, k, k)  # [A, said, truth]
    confusion = said.transpose(0, 2, 1) + SMOOTHING
    confusion /= confusion.sum(axis=2, keepdims=True)
    total = posterior[judged].sum(axis=0) + SMOOTHING
    return confusion, total / total.sum()
