"""Penalised fits of the linear reward model: ridge on ratings, Bradley-Terry around it, and the choice of λ.

Columns of every matrix are [style | n-grams]; each block has its own penalty. Folds hold whole groups.
Sources of the objectives: see `routing.rewards.linear`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from scipy import optimize, sparse
from scipy.sparse.linalg import lsqr

from routing.features.text import STYLE_NAMES
from routing.rewards.losses import soft_bradley_terry

NGRAM_PENALTIES = (30.0, 3.0, 1.0, 0.3, 0.1, 0.03)
STYLE_PENALTIES = (300.0, 30.0, 3.0, 0.3)
RIDGE_PENALTIES = (100.0, 10.0, 1.0)
N_STYLE = len(STYLE_NAMES)
MAX_PRIOR_SCALE = 50.0

Progress = Callable[[dict[str, Any]], None]


class TrainingCancelled(Exception):
    """Raised inside a fit after `should_cancel` has answered true; nothing was written."""


class Watch:
    """Reports progress and asks whether to stop."""

    def __init__(self, progress: Progress | None, should_cancel: Callable[[], bool] | None) -> None:
        self.progress, self.should_cancel, self.evaluations = progress, should_cancel, 0

    def check(self) -> None:
        """Raise `TrainingCancelled` when asked to stop."""
        if self.should_cancel is not None and self.should_cancel():
            raise TrainingCancelled

    def tick(self) -> None:
        """Count one evaluation of an objective; check at every sixteenth."""
        self.evaluations += 1
        if self.evaluations % 16 == 0:
            self.check()

    def tell(self, stage: str, fraction: float, message: str, **more: Any) -> None:
        """Send one progress event; `more` may hold fold, step and loss."""
        self.check()
        if self.progress is not None:
            event = {"stage": stage, "fold": None, "step": None, "loss": None}
            self.progress({**event, "message": message, "fraction": round(fraction, 4), **more})


@dataclass(frozen=True)
class Choice:
    """Penalties of the two blocks, and whether the ridge weights are the prior mean."""

    style: float
    ngram: float
    prior: bool


DEFAULT_STYLE = 3.0


@dataclass
class PairProblem:
    """Bradley-Terry on feature differences, with what is needed to leave one fold out.

    Attributes:
        delta: φ(second) - φ(first), csr (n, width).
        target: probability that the second is better, (n,).
        weight: training weight (source and strength), (n,).
        eval_weight: weight in the out-of-fold likelihood (source only), (n,).
        fold: fold number per pair, (n,).
        n_folds: number of folds; below two nothing can be chosen.
        ridge: ridge weights without each fold, and last from all ratings; (width,) each.
    """

    delta: sparse.csr_matrix
    target: np.ndarray
    weight: np.ndarray
    eval_weight: np.ndarray
    fold: np.ndarray
    n_folds: int
    ridge: Sequence[np.ndarray]
    watch: Watch
    _training: dict[int | None, tuple[Any, ...]] = field(default_factory=dict)
    _starts: dict[int | None, np.ndarray] = field(default_factory=dict)

    def solve(self, left_out: int | None, choice: Choice, *, final: bool = False) -> tuple[np.ndarray, float]:
        """Return (weights, κ) fitted without fold `left_out` (None: on everything), by L-BFGS.

        Minimises Σ m·ℓ / Σ m + Σ λ_j (w_j - κ·w_ridge,j)² / Σ m in coordinates where λ is the identity.
        Starts from the last solution for the same fold.
        """
        if left_out not in self._training:
            rows = np.arange(len(self.target)) if left_out is None else np.flatnonzero(self.fold != left_out)
            matrix = self.delta[rows]
            self._training[left_out] = (
                matrix,
                matrix.T.tocsr(),
                self.target[rows],
                self.weight[rows],
            )
        matrix, transposed, target, weight = self._training[left_out]
        ridge = self.ridge[-1 if left_out is None else left_out]
        total = weight.sum()
        if not total > 0:
            return np.zeros(matrix.shape[1]), 0.0
        kappa = _prior_scale(matrix @ ridge, target, weight) if choice.prior and np.any(ridge) else 0.0
        mean = kappa * ridge
        root = np.sqrt(_penalty_vector(choice.style, choice.ngram, matrix.shape[1]))

        def objective(deviation: np.ndarray) -> tuple[float, np.ndarray]:
            self.watch.tick()
            loss, gradient = soft_bradley_terry(matrix @ (mean + deviation / root), target, weight)
            return (
                loss + float(deviation @ deviation) / total,
                (transposed @ gradient) / root + 2.0 * deviation / total,
            )

        def report(intermediate_result: optimize.OptimizeResult) -> None:
            report.step += 1  # type: ignore[attr-defined]
            if report.step % 10 == 0:  # type: ignore[attr-defined]
                step, loss = report.step, float(intermediate_result.fun)  # type: ignore[attr-defined]
                self.watch.tell("final", 0.9, "Fitting on all training pairs", step=step, loss=loss)

        report.step = 0  # type: ignore[attr-defined]
        found = optimize.minimize(
            objective,
            (self._starts.get(left_out, mean) - mean) * root,
            jac=True,
            method="L-BFGS-B",
            callback=report if final else None,
            options={
                "maxiter": 1000,
                "gtol": 1e-8 if final else 1e-5,
                "ftol": 1e-13 if final else 1e-8,
            },
        )
        weights = mean + found.x / root
        self._starts[left_out] = weights
        return weights, kappa

    def out_of_fold(self, choice: Choice) -> tuple[float, np.ndarray]:
        """Return (negative log-likelihood, logits) of every pair under the fit without its fold."""
        logits = np.zeros(len(self.target))
        for fold in range(self.n_folds):
            rows = np.flatnonzero(self.fold == fold)
            if len(rows):
                logits[rows] = self.delta[rows] @ self.solve(fold, choice)[0]
        return soft_bradley_terry(logits, self.target, self.eval_weight)[0], logits

    def select(self) -> tuple[Choice, np.ndarray | None, list[dict[str, Any]]]:
        """Choose penalties and prior by out-of-fold likelihood; return (choice, its logits, the table).

        First the n-gram penalty from strong to weak (until two steps in a row are worse), then the style
        penalty, then whether the prior helps. With fewer than two folds: defaults, None and an empty table.
        """
        prior = bool(np.any(self.ridge[-1]))
        if self.n_folds < 2 or len(np.unique(self.fold)) < 2:
            return Choice(DEFAULT_STYLE, DEFAULT_STYLE, prior), None, []
        table: list[dict[str, Any]] = []
        planned = len(NGRAM_PENALTIES) + len(STYLE_PENALTIES) - 1 + prior
        best: tuple[float, Choice, np.ndarray] | None = None

        def attempt(choice: Choice) -> bool:
            nonlocal best
            nll, logits = self.out_of_fold(choice)
            table.append({**asdict(choice), "nll": nll})
            message = f"n-gram penalty {choice.ngram:g}, style penalty {choice.style:g}: loss {nll:.4f}"
            fraction = 0.15 + 0.7 * len(table) / planned
            self.watch.tell("cross-validation", fraction, message, step=len(table), loss=nll)
            if best is None or nll < best[0]:
                best = nll, choice, logits
                return True
            return False

        worse = 0
        for ngram in NGRAM_PENALTIES:
            worse = 0 if attempt(Choice(DEFAULT_STYLE, ngram, prior)) else worse + 1
            if worse == 2:
                break
        assert best is not None
        ngram = best[1].ngram
        for style in STYLE_PENALTIES:
            if style != DEFAULT_STYLE:
                attempt(Choice(style, ngram, prior))
        if prior:
            attempt(Choice(best[1].style, ngram, False))
        return best[1], best[2], table


@dataclass(frozen=True)
class RidgeFits:
    """Ridge weights on ratings.

    Attributes:
        weights: one vector without each fold, and last from all rows.
        residual_sd: out-of-fold root mean squared error, in units of the [0, 1] ratings.
        info: what was chosen, as JSON values.
    """

    weights: list[np.ndarray]
    residual_sd: float
    info: dict[str, Any]


def fit_ridges(
    matrix: sparse.csr_matrix,
    value: np.ndarray,
    weight: np.ndarray,
    fold: np.ndarray,
    n_folds: int,
    watch: Watch,
) -> RidgeFits:
    """Fit min Σ w(y - b - x·β)² + Σ λ_j β_j² without each fold; λ by out-of-fold squared error.

    Where no λ beats predicting the mean, all weights are zero: a prior that knows nothing.
    """
    baseline = _weighted_variance(value, weight)
    best: tuple[float, float, float] | None = None
    present = [k for k in range(n_folds) if np.any(fold == k)]
    if len(present) > 1:
        for ngram in RIDGE_PENALTIES:
            for style in RIDGE_PENALTIES:
                error = 0.0
                for k in present:
                    watch.check()
                    inside, outside = (
                        np.flatnonzero(fold != k),
                        np.flatnonzero(fold == k),
                    )
                    beta, intercept = _ridge(matrix[inside], value[inside], weight[inside], style, ngram)
                    residual = value[outside] - intercept - matrix[outside] @ beta
                    error += float(weight[outside] @ residual**2)
                error /= weight.sum()
                if best is None or error < best[0]:
                    best = error, style, ngram
            watch.tell(
                "ridge",
                0.05 + 0.03 * (1 + RIDGE_PENALTIES.index(ngram)),
                "Fitting ratings",
                loss=best[0],
            )
    else:
        best = baseline, DEFAULT_STYLE, RIDGE_PENALTIES[1]
    assert best is not None
    error, style, ngram = best
    useful = bool(error < baseline) or len(present) <= 1
    weights = []
    for k in [*range(n_folds), None]:
        rows = np.flatnonzero(fold != k) if k is not None else np.arange(len(value))
        if useful and len(rows):
            weights.append(_ridge(matrix[rows], value[rows], weight[rows], style, ngram)[0])
        else:
            weights.append(np.zeros(matrix.shape[1]))
    info = {
        "style": style,
        "ngram": ngram,
        "mse": error,
        "mse_of_mean": baseline,
        "useful": useful,
    }
    return RidgeFits(weights, float(np.sqrt(error)), info)


def grouped_folds(groups: Sequence[str], n_folds: int, seed: int) -> np.ndarray:
    """Deal whole groups into at most `n_folds` folds of nearly equal size; returns fold numbers, int (n,).

    Largest group first into the lightest fold, equal sizes in seeded random order.
    """
    names, inverse, counts = np.unique(np.asarray(groups, dtype=str), return_inverse=True, return_counts=True)
    n_folds = max(1, min(n_folds, len(names)))
    shuffled = np.random.default_rng(seed).permutation(len(names))
    load = np.zeros(n_folds, dtype=int)
    fold_of = np.zeros(len(names), dtype=int)
    for name in shuffled[np.argsort(-counts[shuffled], kind="stable")]:
        fold_of[name] = int(np.argmin(load))
        load[fold_of[name]] += counts[name]
    return fold_of[inverse]


def fit_temperature(logits: np.ndarray, target: np.ndarray, weight: np.ndarray | None = None) -> float:
    """Return T in [0.05, 20] that minimises the cross-entropy of σ(logits / T) against `target`."""

    def nll(log_temperature: float) -> float:
        return soft_bradley_terry(logits / np.exp(log_temperature), target, weight)[0]

    bounds = np.log([0.05, 20.0])
    found = optimize.minimize_scalar(nll, bounds=bounds, method="bounded", options={"xatol": 1e-6})
    return float(np.exp(found.x))


def _penalty_vector(style: float, ngram: float, width: int) -> np.ndarray:
    return np.concatenate([np.full(N_STYLE, style), np.full(width - N_STYLE, ngram)])


def _prior_scale(margin: np.ndarray, target: np.ndarray, weight: np.ndarray) -> float:
    """Return κ in [0, 50] that minimises the Bradley-Terry loss of κ·margin."""
    found = optimize.minimize_scalar(
        lambda kappa: soft_bradley_terry(kappa * margin, target, weight)[0],
        bounds=(0.0, MAX_PRIOR_SCALE), method="bounded", options={"xatol": 1e-6},
    )  # fmt: skip
    return float(found.x)


def _ridge(
    matrix: sparse.csr_matrix,
    value: np.ndarray,
    weight: np.ndarray,
    style: float,
    ngram: float,
) -> tuple[np.ndarray, float]:
    """Return (β, b); b is all but unpenalised, as a column of large scale."""
    scale = 1.0 / np.sqrt(_penalty_vector(style, ngram, matrix.shape[1]))
    mean = float(np.average(value, weights=weight))
    root = np.sqrt(weight)
    system = sparse.hstack(
        [matrix @ sparse.diags(scale), np.full((matrix.shape[0], 1), 30.0)],
        format="csr",
    )
    system = sparse.diags(root) @ system
    solution = lsqr(system, root * (value - mean), damp=1.0, atol=1e-9, btol=1e-9, iter_lim=1000)[0]
    return solution[:-1] * scale, mean + 30.0 * float(solution[-1])


def _weighted_variance(value: np.ndarray, weight: np.ndarray) -> float:
    return float(np.average((value - np.average(value, weights=weight)) ** 2, weights=weight))
