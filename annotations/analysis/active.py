"""Which comparison to ask for next: so that all ratings become certain soonest, or so that the best is found. Pure.

`next_pairs`: by how much a vote shrinks the ratings' covariance (D-optimal), each pair with the probability of its draw, which
may be stored as propensity. `best_pairs`: two draws of everybody's rating, the best of each meet (Thompson sampling). A share
`explore` is drawn uniformly, so no pair is impossible. Measured in `bench/active_choice.py`; figures in `bench/README.md`.
"""

from __future__ import annotations

import numpy as np

EXPLORE = 0.1


def information(theta: np.ndarray, covariance: np.ndarray) -> np.ndarray:
    """Gain of one vote per pair: p (1 - p) (S_ii + S_jj - 2 S_ij), float64[M, M], 0 on the diagonal."""
    theta = np.nan_to_num(theta)
    p = 1 / (1 + np.exp(theta[None, :] - theta[:, None]))
    v = np.diag(covariance)
    gain = p * (1 - p) * np.clip(v[:, None] + v[None, :] - 2 * covariance, 0, None)
    np.fill_diagonal(gain, 0.0)
    return gain


def next_pairs(
    theta: np.ndarray,
    covariance: np.ndarray,
    n: int,
    *,
    seed: int,
    explore: float = EXPLORE,
    allowed: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """(pairs int64[n, 2], the probability of each draw float64[n]).

    Greedy D-optimal in batch: each chosen pair lowers the covariance (a rank-one update), so a batch spreads out; with
    probability `explore` a uniform pair instead. `allowed` bool[M, M]: the pairs that can be asked (default: all); none, no pairs.
    """
    rng = np.random.default_rng(seed)
    m = len(theta)
    s = covariance.copy()
    upper = np.triu(np.ones((m, m), dtype=bool) if allowed is None else allowed, 1)
    choices = np.argwhere(upper)
    n = n if len(choices) else 0
    pairs, chances = np.zeros((n, 2), dtype=np.int64), np.zeros(n)
    theta = np.nan_to_num(theta)
    for row in range(n):
        gain = np.where(upper, information(theta, s), -1.0)
        best = int(gain.argmax())
        i, j = choices[rng.integers(len(choices))] if rng.random() < explore else divmod(best, m)
        chances[row] = explore / len(choices) + (1 - explore) * ((i, j) == divmod(best, m))
        pairs[row] = i, j
        p = 1 / (1 + np.exp(theta[j] - theta[i]))
        w = p * (1 - p)
        column = s[:, i] - s[:, j]
        s = s - np.outer(column, column) * (w / (1 + w * (column[i] - column[j])))
    return pairs, chances


def best_pairs(
    theta: np.ndarray,
    covariance: np.ndarray,
    n: int,
    *,
    seed: int,
    explore: float = EXPLORE,
    allowed: np.ndarray | None = None,
) -> np.ndarray:
    """Pairs int64[n, 2] of players that may each be the best: the best of one draw of the ratings from their normal
    approximation meets the best other one of a second draw. `allowed` as for `next_pairs`; none, no pairs."""  # fmt: skip
    rng = np.random.default_rng(seed)
    m = len(theta)
    allowed = np.ones((m, m), dtype=bool) if allowed is None else allowed | allowed.T
    allowed = allowed & ~np.eye(m, dtype=bool)
    choices = np.argwhere(np.triu(allowed))
    n = n if len(choices) else 0
    values, vectors = np.linalg.eigh((covariance + covariance.T) / 2)
    root = vectors * np.sqrt(np.clip(values, 0, None))
    draws = np.nan_to_num(theta) + rng.standard_normal((2, n, m)) @ root.T
    first = np.where(allowed.any(axis=1), draws[0], -np.inf).argmax(axis=1)
    second = np.where(allowed[first], draws[1], -np.inf).argmax(axis=1)
    pairs = np.stack([first, second], axis=1)
    if n:
        uniform = rng.random(n) < explore
        pairs[uniform] = choices[rng.integers(len(choices), size=n)][uniform]
    return np.sort(pairs, axis=1)
