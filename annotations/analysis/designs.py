"""Which comparisons to ask for, at an equal budget: how far ratings end from a planted truth under each design. Pure.

The truth is a fit's ratings and tie parameter (Davidson); votes are drawn from it, fitted, and held against it.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy import stats

from . import bradley_terry, means

Games = tuple[np.ndarray, np.ndarray, np.ndarray]
RUNS = 20
MOST = 20_000  # comparisons; beyond, designs differ by less than anybody sees
NAMES = {
    "random": "Random pairs",
    "tournament": "A bracket per prompt",
    "anchor": "Everybody with one anchor",
}


def compare(theta: np.ndarray, eta: float, budget: int, *, runs: int = RUNS, seed: int = 0) -> list[dict]:
    """One row per design: design, comparisons, error (root mean square of the ratings' errors), order (Spearman's ρ with the
    truth), both as estimates over runs, and `against_random`, the paired difference of the errors.

    theta float64[M] finite, M >= 3; eta: ln ν, -inf for no ties; budget: comparisons, rounded up to whole brackets.
    """
    m = len(theta)
    theta = theta - theta.mean()
    prompts = max(1, -(-min(budget, MOST) // (m - 1)))
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in DESIGNS}
    for run in range(runs):
        for place, (name, design) in enumerate(DESIGNS.items()):
            rng = np.random.default_rng((seed, run, place))
            table = np.zeros((m, m, 3))
            first, second, verdict = design(theta, eta, prompts, rng)
            np.add.at(table, (first, second, verdict + 1), 1)
            table[:, :, 1] += 0.05 * (1 - np.eye(m))  # a weak start, the same for all, keeps everybody rated
            fitted = bradley_terry.fit(bradley_terry.of_table(table), ties="davidson")
            error = float(np.sqrt(np.mean((fitted.theta - theta) ** 2)))
            found[name].append((error, float(stats.spearmanr(fitted.theta, theta).statistic)))
    base = np.array([error for error, _ in found["random"]])
    rows = []
    for name, pairs in found.items():
        errors, orders = np.array(pairs).T
        rows.append(
            {
                "design": name,
                "comparisons": prompts * (m - 1),
                "error": means.mean(errors, bounds=(0.0, np.inf)),
                "order": means.mean(orders, bounds=(-1.0, 1.0)),
                "against_random": None if name == "random" else means.paired(base, errors),
            }
        )
    return rows


def drawn(theta: np.ndarray, eta: float, first: np.ndarray, second: np.ndarray, rng) -> np.ndarray:
    """Verdicts -1, 0, 1 of these games under Davidson's model."""
    half = (theta[first] - theta[second]) / 2
    win, loss = np.exp(half), np.exp(-half)
    u = rng.random(len(first)) * (win + loss + np.exp(eta))
    return np.where(u < win, -1, np.where(u < win + loss, 1, 0)).astype(np.int8)


def random_pairs(theta: np.ndarray, eta: float, prompts: int, rng) -> Games:
    """As many pairs of two different models as brackets have matches."""
    m, n = len(theta), prompts * (len(theta) - 1)
    first = rng.integers(0, m, n)
    second = (first + rng.integers(1, m, n)) % m
    return first, second, drawn(theta, eta, first, second, rng)


def brackets(theta: np.ndarray, eta: float, prompts: int, rng) -> Games:
    """A single-elimination bracket per prompt, all prompts' rounds at once; of a tie the one drawn earlier goes on."""
    m = len(theta)
    alive = rng.permuted(np.tile(np.arange(m), (prompts, 1)), axis=1)
    parts = []
    while alive.shape[1] > 1:
        even = alive.shape[1] - alive.shape[1] % 2
        one, two = alive[:, 0:even:2], alive[:, 1:even:2]
        verdict = drawn(theta, eta, one.ravel(), two.ravel(), rng)
        parts.append((one.ravel(), two.ravel(), verdict))
        on = np.where(verdict.reshape(one.shape) > 0, two, one)
        alive = np.concatenate([on, alive[:, even:]], axis=1)
    first, second, verdict = (np.concatenate(column) for column in zip(*parts, strict=True))
    return first, second, verdict


def anchored(theta: np.ndarray, eta: float, prompts: int, rng) -> Games:
    """Every model against the middle one, once a prompt."""
    m = len(theta)
    anchor = int(np.argsort(theta)[m // 2])
    others = np.delete(np.arange(m), anchor)
    first = np.tile(others, prompts)
    second = np.full(len(first), anchor)
    return first, second, drawn(theta, eta, first, second, rng)


DESIGNS: dict[str, Callable[[np.ndarray, float, int, np.random.Generator], Games]] = {
    "random": random_pairs,
    "tournament": brackets,
    "anchor": anchored,
}
