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

from routing.features.text import MODEL_STYLE_NAMES
from routing.rewards.losses import soft_bradley_terry
from routing.rewards.terms import Term, TermPart

NGRAM_PENALTIES = (30.0, 3.0, 1.0, 0.3, 0.1, 0.03)
STYLE_PENALTIES = (300.0, 30.0, 3.0, 0.3)
RIDGE_PENALTIES = (100.0, 10.0, 1.0)
N_STYLE = len(MODEL_STYLE_NAMES)
MAX_PRIOR_SCALE = 50.0
EXPO_ALPHAS = (1.0, 1.1, 1.2, 1.3, 1.4, 1.5, 1.6)

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
    """A penalised fit of terms, chosen by how well pairs are predicted that a fold left out.

    Attributes:
        terms: what is minimised (`terms.Term`), usually one term over the pairs.
        delta: φ(second) - φ(first) of the pairs that choose the penalties, csr (n, width).
        target: probability that the second is better, (n,).
        eval_weight: weight in the out-of-fold likelihood (source only), (n,).
        fold: fold number per pair, (n,).
        n_folds: number of folds; below two nothing can be chosen.
        ridge: ridge weights without each fold, and last from all ratings; (width,) each.
    """

    terms: Sequence[Term]
    delta: sparse.csr_matrix
    target: np.ndarray
    eval_weight: np.ndarray
    fold: np.ndarray
    n_folds: int
    ridge: Sequence[np.ndarray]
    watch: Watch
    _training: dict[int | None, list[TermPart]] = field(default_factory=dict)
    _starts: dict[int | None, np.ndarray] = field(default_factory=dict)
    _kappas: dict[int | None, float] = field(default_factory=dict)

    def solve(self, left_out: int | None, choice: Choice, *, final: bool = False) -> tuple[np.ndarray, float]:
        """Return (weights, κ) fitted without fold `left_out` (None: on everything), by L-BFGS.

        Minimises Σ_t share_t·L_t + Σ λ_j (w_j - κ·w_ridge,j)² / Σ m, in coordinates where λ is the identity;
        parameters of the losses themselves (ν of ties) are not penalised. Starts from the last solution for
        the same fold.
        """
        if left_out not in self._training:
            self._training[left_out] = [part for term in self.terms if (part := term.without(left_out))]
        parts = self._training[left_out]
        width = self.delta.shape[1]
        ridge = self.ridge[-1 if left_out is None else left_out]
        total = sum(part.total for part in parts)
        if not total > 0:
            return np.zeros(width), 0.0
        kappa = self._kappa(left_out, ridge) if choice.prior and np.any(ridge) else 0.0
        mean = kappa * ridge
        root = np.sqrt(_penalty_vector(choice.style, choice.ngram, width))
        own = np.cumsum([width, *(len(part.start) for part in parts)])

        def objective(point: np.ndarray) -> tuple[float, np.ndarray]:
            self.watch.tick()
            deviation = point[:width]
            weights = mean + deviation / root
            value, gradient = float(deviation @ deviation) / total, np.zeros(len(point))
            gradient[:width] = 2.0 * deviation / total
            for part, begin, end in zip(parts, own[:-1], own[1:], strict=True):
                loss, slope, inner = part(weights, point[begin:end])
                value += loss
                gradient[:width] += slope / root
                gradient[begin:end] = inner
            return value, gradient

        def report(intermediate_result: optimize.OptimizeResult) -> None:
            report.step += 1  # type: ignore[attr-defined]
            if report.step % 10 == 0:  # type: ignore[attr-defined]
                step, loss = report.step, float(intermediate_result.fun)  # type: ignore[attr-defined]
                self.watch.tell("final", 0.9, "Fitting on all training pairs", step=step, loss=loss)

        report.step = 0  # type: ignore[attr-defined]
        start = (self._starts.get(left_out, mean) - mean) * root
        found = optimize.minimize(
            objective,
            np.concatenate([start, *(part.start for part in parts)]),
            jac=True,
            method="L-BFGS-B",
            callback=report if final else None,
            options={
                "maxiter": 1000,
                "gtol": 1e-8 if final else 1e-5,
                "ftol": 1e-13 if final else 1e-8,
            },
        )
        weights = mean + found.x[:width] / root
        self._starts[left_out] = weights
        return weights, kappa

    def _kappa(self, left_out: int | None, ridge: np.ndarray) -> float:
        """The scale of the ridge weights that predicts the pairs outside the fold best, in [0, 50]."""
        if left_out not in self._kappas:
            rows = (
                np.flatnonzero(self.fold != left_out) if left_out is not None else np.arange(len(self.fold))
            )
            self._kappas[left_out] = _prior_scale(
                self.delta[rows] @ ridge, self.target[rows], self.eval_weight[rows]
            )
        return self._kappas[left_out]

    def out_of_fold(self, choice: Choice, alpha: float = 1.0) -> tuple[float, np.ndarray]:
        """Return (negative log-likelihood, logits) of every pair under the fit without its fold.

        `alpha` stretches the way from the prior to the solution (ExPO, Zheng et al. 2024, arXiv:2404.16792).
        """
        logits = np.zeros(len(self.target))
        for fold in range(self.n_folds):
            rows = np.flatnonzero(self.fold == fold)
            if len(rows):
                weights, kappa = self.solve(fold, choice)
                logits[rows] = self.delta[rows] @ stretched(weights, kappa * self.ridge[fold], alpha)
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

    def extrapolate(self, choice: Choice) -> tuple[float, np.ndarray | None]:
        """Return (α, logits): how far to go from the prior through the solution, by out-of-fold likelihood."""
        if not (choice.prior and np.any(self.ridge[-1])) or len(np.unique(self.fold)) < 2:
            return 1.0, None
        tried = {alpha: self.out_of_fold(choice, alpha) for alpha in EXPO_ALPHAS}
        alpha = min(tried, key=lambda alpha: tried[alpha][0])
        return alpha, tried[alpha][1]


def stretched(weights: np.ndarray, prior: np.ndarray, alpha: float) -> np.ndarray:
    """Return prior + α·(weights - prior)."""
    return weights if alpha == 1.0 else prior + alpha * (weights - prior)


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
