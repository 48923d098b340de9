"""How well a reward model will do, from the tags of what people judged in its training mix (HyPER, arXiv:2410.19133).

A *mix* sends a set of items to people and leaves the rest to the model; v_t counts its items with tag t. From runs (mix →
performance) a regression predicts the performance of other mixes. Three regressions:

- `BayesianMixes`, ours: ridge by evidence on the share of items sent and, per tag, the surplus over what a random mix of
  that size would hold (so tags do not stand for the budget), with predictive intervals; it refuses to extrapolate beyond
  the budgets it saw;
- `LinearMixes` and `QuadraticMixes`, the paper's, for comparison: least squares on raw counts, the quadratic one on all
  products of two counts, by minimum norm where there are more columns than runs. Neither has an uncertainty.

Candidates are drawn as in the paper's algorithm 1 (whole tags in random order until the budget is full), on bit sets.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from annotations.analysis import held_out

_BLOCK = 256


@dataclass(frozen=True)
class Mixes:
    """Attributes: sent bool[k, n], the items each mix sends to people; counts float32[k, t]; budget int[k]; n items."""

    sent: np.ndarray
    counts: np.ndarray
    budget: np.ndarray
    n: int


class TagSets:
    """Tags of n items as bit sets (t × n / 8 bytes) beside a float32 matrix for counting."""

    def __init__(self, tags: np.ndarray) -> None:
        tags = np.asarray(tags) != 0
        self.n, self.t = tags.shape
        self.words = -(-self.n // 64)
        padded = np.zeros((self.t, self.words * 64), dtype=bool)
        padded[:, : self.n] = tags.T
        self.bits = np.packbits(padded, axis=1, bitorder="little").view(np.uint64)
        self.matrix = tags.astype(np.float32)
        self.prevalence = tags.mean(axis=0)

    def unpack(self, bits: np.ndarray) -> np.ndarray:
        """bool[..., n] of bit sets uint64[..., words]."""
        flat = np.unpackbits(np.ascontiguousarray(bits).view(np.uint8), axis=-1, bitorder="little")
        return flat[..., : self.n].view(bool)

    def count(self, sent: np.ndarray) -> np.ndarray:
        """v of each mix, float32[k, t], of sent bool[k, n]; in blocks, so memory is bounded by n × 256 floats."""
        result = np.empty((len(sent), self.t), dtype=np.float32)
        for start in range(0, len(sent), _BLOCK):
            block = sent[start : start + _BLOCK].astype(np.float32)
            result[start : start + _BLOCK] = block @ self.matrix
        return result


def draw(sets: TagSets, k: int, *, seed: int, budget: int | None = None) -> Mixes:
    """k candidate mixes of `budget` items each, or of budgets drawn uniformly from 1 to n.

    Tags are taken in random order, each with all its items that are not in yet; the tag that overfills is cut at random,
    and items without tags come last. Raises ValueError for a budget outside 1..n.
    """
    n = sets.n
    if budget is not None and not 1 <= budget <= n:
        raise ValueError(f"budget {budget}: expected 1 to {n} items")
    rng = np.random.default_rng(seed)
    budgets = np.full(k, budget) if budget is not None else rng.integers(1, n + 1, size=k)
    rows = np.zeros((k, sets.words), dtype=np.uint64)
    every = np.zeros(sets.words * 64, dtype=bool)
    every[:n] = True
    everything = np.packbits(every, bitorder="little").view(np.uint64)
    for row, size in zip(rows, budgets, strict=True):
        have = 0
        for tag in (*rng.permutation(sets.t), None):
            fresh = (everything if tag is None else sets.bits[tag]) & ~row
            gained = int(np.bitwise_count(fresh).sum())
            if have + gained >= size:
                items = np.flatnonzero(sets.unpack(fresh))
                cut = np.zeros(sets.words * 64, dtype=bool)
                cut[rng.choice(items, size - have, replace=False)] = True
                row |= np.packbits(cut, bitorder="little").view(np.uint64)
                break
            row |= fresh
            have += gained
    sent = sets.unpack(rows)
    return Mixes(sent, sets.count(sent), budgets, n)


def ridge_runs(
    phi: np.ndarray,
    human: np.ndarray,
    model: np.ndarray,
    sent: np.ndarray,
    held_phi: np.ndarray,
    held_truth: np.ndarray,
    *,
    penalty: float = 10.0,
) -> np.ndarray:
    """Held-out pair accuracy of one ridge reward model per mix, float[k]: all mixes share one factorisation.

    phi float[n, d] = φ(second) - φ(first), human and model int8[n] in -1, 0, 1 (others count 0), sent bool[k, n];
    held_truth int8[m]: ties are left out.
    """
    people, lm = (np.where(np.abs(v) <= 1, v, 0).astype(float) for v in (human, model))
    targets = np.where(sent, people, lm)
    weights = np.linalg.solve(phi.T @ phi + penalty * np.eye(phi.shape[1]), phi.T @ targets.T)
    decided = np.abs(held_truth) == 1
    margin = held_phi[decided] @ weights
    return (0.5 + 0.5 * np.sign(margin) * held_truth[decided][:, None]).mean(axis=0)


@dataclass(frozen=True)
class BayesianMixes:
    """Ridge by evidence on budget and surplus of tags.

    Attributes:
        weights: float[t], effect on performance of a tag's surplus, as a share of all items; 0 for tags that never vary.
        skill: {"n", "rmse", "spearman", "coverage"}: five-fold, of the predictions and their 95 % intervals; all but
            n are estimates, over runs.
        low, high: budgets (shares of items) seen in training; outside, `predict` raises ValueError.
    """

    weights: np.ndarray
    skill: dict
    low: float
    high: float
    _prevalence: np.ndarray
    _model: object
    _mean: np.ndarray
    _scale: np.ndarray

    def predict(self, counts: np.ndarray, budget: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray]:
        """Mean and standard deviation of the performance of mixes, float[k] each."""
        share = np.asarray(budget) / n
        if (share < self.low - 1e-9).any() or (share > self.high + 1e-9).any():
            raise ValueError(
                f"budgets outside {100 * self.low:.0f} to {100 * self.high:.0f} % of the items were never tried"
            )
        return self._model.predict(
            (_surplus(counts, budget, n, self._prevalence) - self._mean) / self._scale, return_std=True
        )

    def gains(self, tags: np.ndarray) -> np.ndarray:
        """What sending each item adds, up to a constant and a factor that all items share: w · x_i, float[n]."""
        return tags @ self.weights


def _surplus(counts: np.ndarray, budget: np.ndarray, n: int, prevalence: np.ndarray) -> np.ndarray:
    share = np.asarray(budget, dtype=float) / n
    return np.column_stack([share, counts / n - share[:, None] * prevalence])


def fit_bayesian(
    counts: np.ndarray,
    budget: np.ndarray,
    n: int,
    performance: np.ndarray,
    prevalence: np.ndarray,
    *,
    folds: int = 5,
) -> BayesianMixes:
    """Fit on runs; prevalence float[t]: each tag's share of the n items; no `skill` without folds.

    Raises ValueError below 20 runs.
    """
    if len(performance) < 20:
        raise ValueError(f"{len(performance)} reward-model runs: expected at least 20")
    X = _surplus(counts, budget, n, prevalence)
    mean, scale = X.mean(axis=0), X.std(axis=0)
    scale = np.where(scale > 1e-9, scale, np.inf)
    X = (X - mean) / scale
    model = _bayesian_ridge(X, performance)
    skill = _mix_skill(X, performance, folds) if folds else {}
    share = np.asarray(budget) / n
    return BayesianMixes(
        model.coef_[1:] / scale[1:],
        skill,
        float(share.min()),
        float(share.max()),
        prevalence,
        model,
        mean,
        scale,
    )


def _mix_skill(X: np.ndarray, performance: np.ndarray, folds: int) -> dict:
    """Held-out quality of predictions and of their 95 % intervals."""
    held, sd = np.empty(len(X)), np.empty(len(X))
    fold = np.arange(len(X)) % folds
    for f in range(folds):
        part = _bayesian_ridge(X[fold != f], performance[fold != f])
        held[fold == f], sd[fold == f] = part.predict(X[fold == f], return_std=True)
    residual = performance - held
    return {
        "n": len(X),
        "rmse": held_out.root_mean_square(residual),
        "spearman": held_out.rank_correlation(held, performance),
        "coverage": held_out.share(np.abs(residual) <= 1.96 * sd, np.arange(len(X))),
    }


def _bayesian_ridge(X: np.ndarray, y: np.ndarray):
    from sklearn.linear_model import BayesianRidge  # heavy, and web processes never fit

    return BayesianRidge().fit(X, y)


@dataclass(frozen=True)
class LinearMixes:
    """The paper's linear regression on raw counts: `weights` float[t]."""

    weights: np.ndarray

    def gains(self, tags: np.ndarray) -> np.ndarray:
        """w · x_i of each item, float[n]."""
        return tags @ self.weights


def fit_linear(counts: np.ndarray, performance: np.ndarray) -> LinearMixes:
    """Least squares with an intercept, by minimum norm."""
    centred = counts - counts.mean(axis=0)
    weights, *_ = np.linalg.lstsq(centred.astype(float), performance - performance.mean(), rcond=None)
    return LinearMixes(weights)


@dataclass(frozen=True)
class QuadraticMixes:
    """The paper's quadratic regression on raw counts, in its dual: runs float[k, t] and their coefficients float[k]."""

    runs: np.ndarray
    dual: np.ndarray

    def gains(self, tags: np.ndarray) -> np.ndarray:
        """Prediction for the single item minus that for nothing, float[n], as the paper scores instances."""
        return (_products(np.asarray(tags, dtype=float), self.runs) - 1.0) @ self.dual


def _products(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Inner products of [1, u_i, u_i u_j (i ≤ j)] without writing these columns out."""
    dot = a @ b.T
    return 1.0 + dot + (dot**2 + (a**2) @ (b**2).T) / 2


def fit_quadratic(counts: np.ndarray, performance: np.ndarray) -> QuadraticMixes:
    """Least squares on all products of two counts, with an intercept, by minimum norm."""
    runs = np.asarray(counts, dtype=float)
    k = len(runs)
    centre = np.eye(k) - 1.0 / k
    gram = centre @ _products(runs, runs) @ centre
    dual = centre @ (np.linalg.pinv(gram, rcond=1e-12, hermitian=True) @ (performance - performance.mean()))
    return QuadraticMixes(runs, dual)


def paper_skill(kind: str, counts: np.ndarray, performance: np.ndarray, folds: int = 5) -> dict:
    """Held-out quality of the paper's regressions, `linear` or `quadratic`: {"n", "rmse", "spearman"}, the last two
    estimates over runs; their predictions have no intervals."""
    counts = np.asarray(counts, dtype=float)
    held, fold = np.empty(len(counts)), np.arange(len(counts)) % folds
    for f in range(folds):
        mine, rest = counts[fold == f], counts[fold != f]
        y = performance[fold != f]
        if kind == "linear":
            held[fold == f] = y.mean() + (mine - rest.mean(axis=0)) @ fit_linear(rest, y).weights
        else:
            model = fit_quadratic(rest, y)
            level = y.mean() - (_products(rest, rest) @ model.dual).mean()
            held[fold == f] = level + _products(mine, rest) @ model.dual
    return {
        "n": len(counts),
        "rmse": held_out.root_mean_square(performance - held),
        "spearman": held_out.rank_correlation(held, performance),
    }


def best_of(model: BayesianMixes, candidates: Mixes, k: int = 10) -> Sequence[int]:
    """The k candidates with the highest predicted performance, best first (the paper's `simulated` search)."""
    mean, _ = model.predict(candidates.counts, candidates.budget, candidates.n)
    return np.argsort(-mean, kind="stable")[:k].tolist()
