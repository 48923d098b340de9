"""Pairwise criteria: verdicts of both orders, scores with abstention, voting, the choice of a set. Pure.

Verdicts are canonical codes, int8: FIRST, TIE, SECOND; NA where the criterion does not apply; ERROR where no verdict
could be had. Truth is FIRST or SECOND. A tie and an abstention are worth one half, an error nothing, and each stays
in the denominator: a criterion that applied once and was right once is not perfect.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from scipy import optimize

from annotations.analysis.folds import grouped_folds

from . import evidence

FIRST, TIE, SECOND, NA, ERROR = -1, 0, 1, 8, 9
WEIGH_FROM = 100  # decided pairs from which votes are weighed; below, one criterion one vote
FDR = 0.1
REDUNDANT = 0.9
SHARED = 30
PENALTY = 1.0  # L2 on log-odds, per set
MAX_WEIGHT = 3.0
HIGH, LOW = 0.75, 0.5  # CritiQ's bounds of keeping and replacing, applied to bounds instead of points
GREEDY_SET = 12


def both_orders(forward: np.ndarray, backward: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Canonical verdicts of the two orders as one, and whether they agree: int8[n], int8[n] (1, 0, -1 undefined).

    Disagreement is a tie. Consistency is undefined where neither order decided or one failed.
    """
    f, b = np.asarray(forward, dtype=np.int8), np.asarray(backward, dtype=np.int8)
    verdict = np.where(f == b, f, TIE).astype(np.int8)
    verdict[(f == NA) ^ (b == NA)] = TIE
    verdict[(f == ERROR) | (b == ERROR)] = ERROR
    decided = np.isin(f, (FIRST, SECOND)) | np.isin(b, (FIRST, SECOND))
    consistent = np.where(decided & (verdict != ERROR), (f == b).astype(np.int8), -1).astype(np.int8)
    return verdict, consistent


@dataclass(frozen=True)
class Score:
    """How one column of verdicts stands to the truth on n pairs. Estimates carry n and a Wilson interval."""

    n: int
    decided: int
    correct: int
    ties: int
    na: int
    errors: int
    accuracy: dict | None = field(default=None)  # correct / decided
    coverage: dict | None = field(default=None)  # decided / n
    worth: dict | None = field(default=None)  # (correct + half of ties and abstentions) / n

    @property
    def points(self) -> float:
        return self.correct + (self.ties + self.na) / 2


def score(verdict: np.ndarray, truth: np.ndarray) -> Score:
    """Score verdicts against the truth of the same pairs."""
    v, y = np.asarray(verdict), np.asarray(truth)
    n = len(v)
    decided = np.isin(v, (FIRST, SECOND))
    d, c = int(decided.sum()), int((decided & (v == y)).sum())
    ties, na, errors = (int((v == code).sum()) for code in (TIE, NA, ERROR))
    return Score(
        n, d, c, ties, na, errors,
        evidence.share(c, d), evidence.share(d, n), evidence.share(c + (ties + na) / 2, n),
    )  # fmt: skip


def right(verdict: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Half points per pair: float[n] in {0, .5, 1}."""
    v = np.asarray(verdict)
    return np.where(np.isin(v, (TIE, NA)), 0.5, (v == np.asarray(truth)).astype(float))


def compare(
    before: np.ndarray, after: np.ndarray, y: np.ndarray, alpha: float = evidence.ALPHA
) -> evidence.Edit:
    """Exact McNemar of two columns of verdicts on the same pairs, by their half points; equal points differ in neither
    direction."""
    a, b = right(before, y), right(after, y)
    same = (a == b) & (a == 1)
    return evidence.compare_edit((a > b) | same, (b > a) | same, alpha)


# --- Which criteria to keep ---------------------------------------------------------------------------------
def sort_out(V: np.ndarray, y: np.ndarray) -> list[str]:
    """`keep`, `refine` or `replace` for each column of int8[n, k], from what may be said and not from the point value.

    Replace: even the upper bound of its worth is not above LOW plus a little, or it says nothing on 95 %. Keep: right on
    HIGH of what it decides, with the shrunken lower tenth above one half. Everything else deserves a better wording.
    """
    scores = [score(V[:, j], y) for j in range(V.shape[1])]
    shrunken = evidence.shrink([s.points for s in scores], [s.n for s in scores])
    found = []
    for s, lower in zip(scores, shrunken.lower, strict=True):
        accuracy = s.correct / s.decided if s.decided else 0.0
        if s.decided < 0.05 * s.n or (s.accuracy and s.accuracy["value"] <= LOW):
            found.append("replace")
        elif accuracy >= HIGH and lower > LOW and s.decided >= 5:
            found.append("keep")
        else:
            found.append("refine")
    return found


def redundancy(V: np.ndarray) -> np.ndarray:
    """Correlation of the decided votes of each two columns, float[k, k]; 0 on fewer than SHARED shared pairs."""
    X, D = votes(V), np.isin(V, (FIRST, SECOND)).astype(float)
    n = D.T @ D
    with np.errstate(invalid="ignore", divide="ignore"):
        mine, together = (X.T @ D) / n, (X.T @ X) / n
        spread = np.sqrt((1 - mine**2) * (1 - mine.T**2))
        found = np.where(spread > 1e-12, (together - mine * mine.T) / spread, together)
    found = np.where(n >= SHARED, found, 0.0)
    np.fill_diagonal(found, 1.0)
    return found


@dataclass(frozen=True)
class Chosen:
    """A set that votes: columns and their weights (all 1 for a majority vote)."""

    columns: tuple[int, ...]
    weights: tuple[float, ...]

    def margin(self, V: np.ndarray) -> np.ndarray:
        """Weighted votes for the second response less those for the first, float[n]."""
        if not self.columns:
            return np.zeros(len(V))
        return votes(V)[:, list(self.columns)] @ np.asarray(self.weights)

    def verdict(self, V: np.ndarray) -> np.ndarray:
        return np.sign(np.round(self.margin(V), 9)).astype(np.int8)


def votes(V: np.ndarray) -> np.ndarray:
    """Verdicts as votes: -1, 0, 1; who abstains or fails votes 0."""
    return np.where(np.isin(V, (FIRST, SECOND)), V, 0).astype(float)


def choose(V: np.ndarray, y: np.ndarray) -> Chosen:
    """The set to release, by these pairs alone: better than chance by BH at FDR, not redundant, weighed from 100 pairs.

    Everything that selects happens here, so that cross-fitting can repeat it inside every fold.
    """
    n, k = V.shape
    scores = [score(V[:, j], y) for j in range(k)]
    holds = evidence.benjamini_hochberg([evidence.above_chance(s.correct, s.decided) for s in scores], FDR)
    shrunken = evidence.shrink([s.points for s in scores], [s.n for s in scores])
    wanted = [j for j in np.argsort(-shrunken.lower, kind="stable") if holds[j] and shrunken.mean[j] > LOW]
    alike = redundancy(V)
    columns: list[int] = []
    for j in wanted:
        if all(abs(alike[j, i]) <= REDUNDANT for i in columns) and len(columns) < GREEDY_SET:
            columns.append(int(j))
    weights = weigh(V[:, columns], y) if len(columns) > 1 and n >= WEIGH_FROM else np.ones(len(columns))
    return Chosen(tuple(columns), tuple(float(w) for w in weights))


def weigh(V: np.ndarray, y: np.ndarray, penalty: float = PENALTY) -> np.ndarray:
    """Non-negative weights of a logistic vote, shrunk towards their mean, so towards the majority vote: float[k]."""
    X = votes(V)
    t = np.asarray(y, dtype=float)
    k = X.shape[1]

    def loss(w: np.ndarray) -> tuple[float, np.ndarray]:
        z = t * (X @ w)
        centred = w - w.mean()
        value = np.logaddexp(0, -z).sum() + penalty * (centred @ centred) + 0.01 * (w @ w)
        slope = -(X * (t / (1 + np.exp(np.clip(z, -50, 50))))[:, None]).sum(axis=0)
        return value, slope + 2 * penalty * centred + 0.02 * w

    fitted = optimize.minimize(
        loss, np.ones(k), jac=True, method="L-BFGS-B", bounds=[(0.0, MAX_WEIGHT)] * k
    ).x
    return fitted / fitted.max() if fitted.max() > 0 else np.ones(k)


# --- What may be shown --------------------------------------------------------------------------------------
@dataclass(frozen=True)
class CrossFitted:
    """Verdicts of sets that were chosen without the pair they judge, and how often each column was chosen."""

    verdict: np.ndarray
    right: np.ndarray
    estimate: dict | None
    stability: np.ndarray


def cross_fit(
    V: np.ndarray, y: np.ndarray, groups: np.ndarray, *, folds: int = 10, seed: int = 0
) -> CrossFitted:
    """Repeat the whole choice inside every fold of prompt groups; a pair is judged by the set chosen without it."""
    fold = grouped_folds(groups, folds, seed)
    verdict = np.zeros(len(y), dtype=np.int8)
    stability = np.zeros(V.shape[1])
    used = np.unique(fold)
    for f in used:
        test = fold == f
        chosen = choose(V[~test], y[~test]) if (~test).any() else Chosen((), ())
        verdict[test] = chosen.verdict(V[test])
        stability[list(chosen.columns)] += 1
    points = right(verdict, y)
    return CrossFitted(
        verdict, points, evidence.share(float(points.sum()), len(y)), stability / max(len(used), 1)
    )


# --- Trust --------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Trust:
    """Whether a criterion may be trusted, and what is missing."""

    ok: bool
    missing: tuple[str, ...]


def trust(s: Score, consistency: dict | None, *, target: float = 0.6, least: int = 20) -> Trust:
    """Bounds, not points, decide: lower bound above the target, applicable, and of one mind in both orders.

    `s` must be of pairs that selected nothing. `consistency` None: the judge has no orders to contradict.
    """
    missing = []
    if s.decided < least:
        missing.append(f"decides {s.decided} of at least {least} pairs")
    if s.accuracy is None or s.accuracy["lo"] <= target:
        low = f"{s.accuracy['lo']:.2f}" if s.accuracy else "unknown"
        missing.append(f"lower bound {low}, needed above {target:.2f}")
    if not s.n or s.decided < 0.2 * s.n:
        missing.append("applies to less than 20 % of the pairs")
    if s.n and s.errors > 0.05 * s.n:
        missing.append("fails on more than 5 % of the pairs")
    if consistency is not None and consistency["value"] < 0.7:
        missing.append(f"both orders agree on {100 * consistency['value']:.0f} %, needed 70 %")
    return Trust(not missing, tuple(missing))
