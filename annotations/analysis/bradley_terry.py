"""Bradley-Terry ratings with ties, from counts per pair: fitting and incremental refits. Pure.

Ratings are natural log-odds with mean zero: P(i beats j) = 1 / (1 + exp(θ_j - θ_i)) apart from ties. Ties: `half` a win
for each side (as LMArena counts them), `davidson` (Davidson 1970: P(tie) ∝ ν √(π_i π_j)), `rao_kupper` (Rao & Kupper
1967: a threshold κ = e^η). Newton's method on at most M (M - 1) / 2 pairs, so a fit costs the same for any number of
votes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import connected_components

TIES = ("half", "davidson", "rao_kupper")
WIN, LOSS, TIE = range(3)
STEPS = 60
TOLERANCE = 1e-10


@dataclass(frozen=True)
class Counts:
    """Votes per pair of players: first, second int64[P] with first < second; n float64[P, 3] = first won, lost, tied."""

    first: np.ndarray
    second: np.ndarray
    n: np.ndarray
    players: int

    @property
    def total(self) -> float:
        return float(self.n.sum())


def count(first: np.ndarray, second: np.ndarray, verdict: np.ndarray, players: int) -> Counts:
    """Votes per pair from codes int[n] of the two players and verdicts int8[n] (-1 first won, 0 tie, 1 second won)."""
    small = 3 * players * players < 2**31
    code = np.int32 if small else np.int64
    cell = (first.astype(code, copy=False) * code(players) + second) * code(3) + verdict
    cell += code(1)
    table = np.bincount(cell, minlength=3 * players * players).reshape(players, players, 3)
    return of_table(table)


def of_table(table: np.ndarray) -> Counts:
    """From [M, M, 3] = (first named won, tie, second named won) in either order of naming."""
    both = table + table.transpose(1, 0, 2)[:, :, ::-1]
    first, second = np.triu_indices(len(table), 1)
    n = both[first, second][:, [0, 2, 1]].astype(np.float64)
    used = n.sum(axis=1) > 0
    return Counts(first[used], second[used], n[used], len(table))


class Table:
    """Counts that take one vote at a time; `fit` starts from the last fit, so a refit takes a few Newton steps."""

    def __init__(self, players: int, ties: str = "half"):
        self.table = np.zeros((players, players, 3))
        self.ties = ties
        self.last: Fit | None = None

    def add(self, first: int, second: int, verdict: int, times: float = 1.0) -> None:
        """Add a vote: -1 first won, 0 tie, 1 second won; negative `times` takes it back."""
        self.table[first, second, verdict + 1] += times

    def fit(self) -> Fit:
        """The ratings of all votes so far."""
        start = None if self.last is None else (self.last.theta, self.last.eta)
        self.last = fit(of_table(self.table), ties=self.ties, start=start)
        return self.last


@dataclass(frozen=True)
class Fit:
    """Ratings theta float64[M] (mean zero over the players that have one), NaN for players that cannot be rated."""

    theta: np.ndarray
    eta: float
    """Tie parameter: ln ν (davidson) or ln κ (rao_kupper); 0 for half, and where there are no ties or nothing else."""
    information: np.ndarray
    """Observed information of (theta, eta), float64[M + 1, M + 1]; its eta row is 0 for half."""
    rated: np.ndarray
    """bool[M]."""
    reasons: dict[int, str]
    """{player: why it has no rating}."""
    steps: int
    counts: Counts
    ties: str
    """The model fitted: `half` where the one asked for has nothing to learn its parameter from."""


def fit(counts: Counts, *, ties: str = "half", start: tuple[np.ndarray, float] | None = None) -> Fit:
    """Maximum likelihood. Players are rated within the largest group in which each has beaten (or tied) and lost to
    (or tied) the rest, directly or through others: outside it the maximum does not exist (Ford 1957)."""
    if ties not in TIES:
        raise ValueError(f"ties={ties!r}: expected one of {', '.join(TIES)}")
    m = counts.players
    rated, reasons = rateable(counts)
    inside = rated[counts.first] & rated[counts.second]
    a, b, n = counts.first[inside], counts.second[inside], counts.n[inside]
    if not 0 < n[:, TIE].sum() < n.sum():
        ties = "half"  # without ties the models are plain Bradley-Terry; of ties alone their parameter has no maximum
    model = MODELS[ties]
    has_eta = ties != "half"
    theta = np.zeros(m) if start is None else np.nan_to_num(start[0])
    theta = np.where(rated, theta, 0.0)
    eta = start[1] if start is not None and has_eta else _first_eta(n, ties) if has_eta else 0.0
    value, steps = -np.inf, 0
    information = np.zeros((m + 1, m + 1))
    while steps < STEPS:
        steps += 1
        logs, s, s_eta, h, h_eta, h_both = model(theta[a] - theta[b], eta)
        value = float((n * logs).sum())
        gradient = np.zeros(m + 1)
        slope = (n * s).sum(axis=1)
        gradient[:m] = np.bincount(a, slope, m) - np.bincount(b, slope, m)
        gradient[m] = (n * s_eta).sum() if has_eta else 0.0
        information = _information(a, b, n, h, h_eta, h_both, m, has_eta)
        step = _solve(information, gradient, rated, has_eta)
        if np.abs(step).max(initial=0.0) < TOLERANCE:
            break
        scale = min(1.0, 4.0 / max(np.abs(step).max(), 1e-300))
        for _ in range(40):
            new, new_eta = theta + scale * step[:m], eta + scale * step[m]
            if ties == "rao_kupper" and has_eta and new_eta <= 0:
                scale /= 2
                continue
            if float((n * model(new[a] - new[b], new_eta)[0]).sum()) >= value - 1e-9 * abs(value):
                break
            scale /= 2
        theta, eta = new, new_eta
    if rated.any():
        theta = theta - theta[rated].mean()
    return Fit(np.where(rated, theta, np.nan), float(eta), information, rated, reasons, steps, counts, ties)


def rateable(counts: Counts) -> tuple[np.ndarray, dict[int, str]]:
    """(which players a maximum of the likelihood exists for, why the others have none)."""
    m = counts.players
    won = counts.n[:, WIN] + counts.n[:, TIE] > 0
    lost = counts.n[:, LOSS] + counts.n[:, TIE] > 0
    source = np.concatenate([counts.first[won], counts.second[lost]])
    target = np.concatenate([counts.second[won], counts.first[lost]])
    graph = csr_matrix((np.ones(len(source)), (source, target)), shape=(m, m))
    _, strong = connected_components(graph, connection="strong")
    _, weak = connected_components(graph, directed=False)
    votes = np.bincount(counts.first, counts.n.sum(axis=1), m) + np.bincount(
        counts.second, counts.n.sum(axis=1), m
    )
    sizes = np.bincount(strong)
    within = np.bincount(strong, votes)
    best = int(np.lexsort((within, sizes))[-1]) if m else 0
    rated = (strong == best) & (sizes[best] > 1) if m else np.zeros(0, dtype=bool)
    wins = np.bincount(counts.first, counts.n[:, WIN], m) + np.bincount(counts.second, counts.n[:, LOSS], m)
    losses = np.bincount(counts.first, counts.n[:, LOSS], m) + np.bincount(counts.second, counts.n[:, WIN], m)
    reasons = {}
    for player in np.flatnonzero(~rated):
        if not votes[player]:
            reasons[int(player)] = "it was never compared"
        elif rated.any() and weak[player] != weak[np.flatnonzero(rated)[0]]:
            reasons[int(player)] = "it was never compared with the rated ones, directly or through others"
        elif not losses[player] and wins[player]:
            reasons[int(player)] = "it never lost, so its rating has no upper bound"
        elif not wins[player] and losses[player]:
            reasons[int(player)] = "it never won, so its rating has no lower bound"
        else:
            reasons[int(player)] = (
                "it only won or only lost against the rated ones, so its rating has no bound"
            )
    return rated, reasons


def _first_eta(n: np.ndarray, ties: str) -> float:
    share = min(max(n[:, TIE].sum() / max(n.sum(), 1.0), 1e-3), 0.9)
    return float(np.log(2 * share / (1 - share)) if ties == "davidson" else 2 * np.arctanh(share))


def _solve(information: np.ndarray, gradient: np.ndarray, rated: np.ndarray, has_eta: bool) -> np.ndarray:
    used = np.append(rated, has_eta)
    step = np.zeros(len(gradient))
    if not used.any():
        return step
    matrix = information[np.ix_(used, used)].copy()
    k = int(rated.sum())
    matrix[:k, :k] += 1.0 / max(k, 1)  # the likelihood does not see a common shift
    step[used] = np.linalg.solve(matrix, gradient[used])
    return step


def _information(a, b, n, h, h_eta, h_both, m: int, has_eta: bool) -> np.ndarray:
    found = np.zeros((m + 1, m + 1))
    weight = -(n * h).sum(axis=1)
    found[a, b] -= weight
    found[b, a] -= weight
    diagonal = np.bincount(a, weight, m) + np.bincount(b, weight, m)
    found[np.arange(m), np.arange(m)] += diagonal
    if has_eta:
        cross = -(n * h_both).sum(axis=1)
        column = np.bincount(a, cross, m) - np.bincount(b, cross, m)
        found[:m, m] = found[m, :m] = column
        found[m, m] = -(n * h_eta).sum()
    return found


def _half(d: np.ndarray, eta: float):
    """Log-probability and its derivatives by d and eta per pair and outcome, [P, 3] each."""
    p = 1 / (1 + np.exp(-d))
    win, loss = -np.logaddexp(0, -d), -np.logaddexp(0, d)
    zero = np.zeros((len(d), 3))
    h = np.repeat((-p * (1 - p))[:, None], 3, axis=1)
    return (
        np.stack([win, loss, (win + loss) / 2], axis=1),
        np.stack([1 - p, -p, 0.5 - p], axis=1),
        zero,
        h,
        zero,
        zero,
    )


def _davidson(d: np.ndarray, eta: float):
    total = np.logaddexp(np.logaddexp(d / 2, -d / 2), eta)
    logs = np.stack([d / 2 - total, -d / 2 - total, eta - total], axis=1)
    win, loss, tie = np.exp(logs).T
    gap = win - loss
    s = np.stack([(1 - gap) / 2, (-1 - gap) / 2, -gap / 2], axis=1)
    s_eta = np.stack([-tie, -tie, 1 - tie], axis=1)
    h = np.repeat((-(win + loss - gap**2) / 4)[:, None], 3, axis=1)
    h_eta = np.repeat((-tie * (1 - tie))[:, None], 3, axis=1)
    h_both = np.repeat((gap * tie / 2)[:, None], 3, axis=1)
    return logs, s, s_eta, h, h_eta, h_both


def _rao_kupper(d: np.ndarray, eta: float):
    win, loss = -np.logaddexp(0, eta - d), -np.logaddexp(0, eta + d)
    a, b = np.exp(win), np.exp(loss)
    square = np.exp(2 * eta)
    beyond = max(square - 1, 1e-300)
    logs = np.stack([win, loss, np.log(beyond) + win + loss], axis=1)
    s = np.stack([1 - a, b - 1, b - a], axis=1)
    up = 2 * square / beyond
    s_eta = np.stack([a - 1, b - 1, up + a + b - 2], axis=1)
    va, vb = a * (1 - a), b * (1 - b)
    h = np.stack([-va, -vb, -va - vb], axis=1)
    h_eta = np.stack([-va, -vb, -4 * square / beyond**2 - va - vb], axis=1)
    return logs, s, s_eta, h, h_eta, np.stack([va, -vb, va - vb], axis=1)


MODELS: dict[str, Callable] = {"half": _half, "davidson": _davidson, "rao_kupper": _rao_kupper}


def scores(fitted: Fit) -> tuple[np.ndarray, np.ndarray]:
    """Derivatives of a vote's log-likelihood by (θ_first - θ_second) and by eta, [P, 3] each, over `counts`' pairs."""
    c, theta = fitted.counts, np.nan_to_num(fitted.theta)
    _, s, s_eta, *_ = MODELS[fitted.ties](theta[c.first] - theta[c.second], fitted.eta)
    inside = (fitted.rated[c.first] & fitted.rated[c.second])[:, None]
    eta = s_eta if fitted.ties != "half" and c.n[:, TIE].sum() > 0 else np.zeros_like(s)
    return np.where(inside, s, 0.0), np.where(inside, eta, 0.0)


def bread(fitted: Fit) -> np.ndarray:
    """Inverse information in the mean-zero parametrisation, float64[M + 1, M + 1]; rows of unrated players are 0."""
    used = np.append(fitted.rated, fitted.information[-1, -1] > 0)
    found = np.zeros_like(fitted.information)
    if used.any():
        k = int(fitted.rated.sum())
        matrix = fitted.information[np.ix_(used, used)].copy()
        matrix[:k, :k] += 1.0 / max(k, 1)
        inverse = np.linalg.inv(matrix)
        inverse[:k, :k] -= 1.0 / max(k, 1)
        found[np.ix_(used, used)] = inverse
    return found
