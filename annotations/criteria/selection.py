"""Choosing assertions that agree with graded responses: EvalGen's measures, a small set, honest estimates. Pure.

M is int8[n, k]: 1 the candidate passes the response, 0 it fails it, ERROR it could not be run. y is bool[n]: the person
called it good. An error is wrong on either side: it catches no bad response and fails a good one; it never leaves a
denominator. A set fails a response if any of its members does.

Definitions: EvalGen (arXiv 2404.12272), section 5; the integer program: SPADE (arXiv 2401.03038). What is shown of a choice is cross-fitted: the choice itself
repeated in every fold.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import optimize, sparse

from annotations.analysis.folds import grouped_folds

from .evidence import share
from .pairs import ERROR

LEAST = 5  # good and bad responses needed before anything is shown
MAX_FFR = 0.25
COVERAGE = 0.9  # SPADE's share of bad responses that a set must catch
LEAVE_ONE_OUT_BELOW = 25
FOLDS = 10
DRAWS = 1000


@dataclass(frozen=True)
class Alignment:
    """coverage: share of bad responses caught; ffr: share of good ones failed; value: F1 of coverage and 1 - ffr.

    Each an estimate with its own n, or None with `missing` saying what is needed.
    """

    coverage: dict | None
    ffr: dict | None
    value: dict | None
    mcc: float | None
    kappa: float | None
    caught: int
    missed: int
    false_failures: int
    passed: int
    missing: str = ""


def fails(M: np.ndarray, y: np.ndarray) -> np.ndarray:
    """What counts as failed: bool[n, k]; an error goes against the candidate."""
    M = np.asarray(M)
    return np.where(M == ERROR, np.asarray(y, dtype=bool)[:, None], M == 0)


def credit(
    M: np.ndarray, y: np.ndarray, criterion: np.ndarray, blamed: Sequence[frozenset[int] | None]
) -> np.ndarray:
    """The matrix in which nobody is credited for failing a bad response for something that is not wrong with it.

    blamed: for each response the criteria that people failed it on; None where nobody graded it by criteria. A candidate
    that fails a bad response whose blame lies elsewhere counts as passing it.
    """
    M = np.asarray(M).copy()
    for i, guilty in enumerate(blamed):
        if guilty is not None and not y[i]:
            elsewhere = np.array([c not in guilty for c in criterion], dtype=bool)
            M[i, elsewhere & (M[i] == 0)] = 1
    return M


def harmonic(coverage: float, ffr: float) -> float:
    total = coverage + 1 - ffr
    return 2 * coverage * (1 - ffr) / total if total > 0 else 0.0


def align(failed: np.ndarray, y: np.ndarray, *, groups: np.ndarray | None = None, seed: int = 0) -> Alignment:
    """How one column of failures, bool[n], stands to the grades; refuses below LEAST good or bad responses."""
    failed, good = np.asarray(failed, dtype=bool), np.asarray(y, dtype=bool)
    tp, fn = int((failed & ~good).sum()), int((~failed & ~good).sum())
    fp, tn = int((failed & good).sum()), int((~failed & good).sum())
    counts = (tp, fn, fp, tn)
    missing = needed(tp + fn, fp + tn)
    if missing:
        return Alignment(None, None, None, None, None, *counts, missing)
    cov, ffr = tp / (tp + fn), fp / (fp + tn)
    lo, hi = _bootstrap(failed, good, np.arange(len(good)) if groups is None else groups, seed)
    value = {"value": harmonic(cov, ffr), "lo": lo, "hi": hi, "n": len(good)}
    return Alignment(
        share(tp, tp + fn), share(fp, fp + tn), value, matthews(*counts), cohen(*counts), *counts
    )


def needed(bad: int, good: int) -> str:
    """What must be graded before anything may be shown; empty if enough was."""
    parts = [
        f"{LEAST - n} more {word} example{'s' if LEAST - n > 1 else ''}"
        for n, word in ((bad, "bad"), (good, "good"))
        if n < LEAST
    ]
    return f"need {' and '.join(parts)}" if parts else ""


def matthews(tp: int, fn: int, fp: int, tn: int) -> float | None:
    """Matthews correlation; None where a margin is empty."""
    below = math.sqrt((tp + fp) * (tp + fn) * (tn + fp) * (tn + fn))
    return (tp * tn - fp * fn) / below if below else None


def cohen(tp: int, fn: int, fp: int, tn: int) -> float | None:
    """Cohen's kappa; None where it is undefined."""
    below = (tp + fp) * (fp + tn) + (tp + fn) * (fn + tn)
    return 2 * (tp * tn - fp * fn) / below if below else None


def _bootstrap(failed, good, groups, seed: int) -> tuple[float, float]:
    """Percentile interval of the alignment over whole prompt groups drawn again."""
    _, codes = np.unique(np.asarray(groups), return_inverse=True)
    counts = np.zeros((codes.max() + 1, 4))
    np.add.at(counts, (codes, np.where(good, 2, 0) + np.where(failed, 0, 1)), 1)  # tp, fn, fp, tn
    drawn = np.random.default_rng(seed).integers(0, len(counts), size=(DRAWS, len(counts)))
    tp, fn, fp, tn = counts[drawn].sum(axis=1).T
    ok = (tp + fn > 0) & (fp + tn > 0)
    cov = np.divide(tp, tp + fn, out=np.zeros(DRAWS), where=ok)
    kept = np.divide(tn, fp + tn, out=np.zeros(DRAWS), where=ok)
    below = cov + kept
    values = np.divide(2 * cov * kept, below, out=np.zeros(DRAWS), where=below > 0)[ok]
    lo, hi = np.percentile(values, [2.5, 97.5]) if len(values) else (0.0, 1.0)
    return float(lo), float(hi)


# --- Choosing -----------------------------------------------------------------------------------------------
def best_of_each(M: np.ndarray, y: np.ndarray, criterion: np.ndarray, max_ffr: float = MAX_FFR) -> list[int]:
    """For each criterion its candidate with the highest coverage among those within the false failure rate; ties go to
    the lower rate, then to the first. A criterion without any such candidate has none."""
    failed, good = fails(M, y), np.asarray(y, dtype=bool)
    if good.all() or not good.any():
        return []
    cov, ffr = failed[~good].mean(axis=0), failed[good].mean(axis=0)
    found = []
    for c in dict.fromkeys(np.asarray(criterion).tolist()):
        allowed = [j for j in np.flatnonzero(np.asarray(criterion) == c) if ffr[j] <= max_ffr and cov[j] > 0]
        if allowed:
            found.append(int(min(allowed, key=lambda j: (-cov[j], ffr[j], j))))
    return found


def minimal_set(M: np.ndarray, y: np.ndarray, of: list[int], max_ffr: float = MAX_FFR) -> list[int]:
    """Greedy: add what raises the alignment most while the set stays within the false failure rate; stop at no gain."""
    failed, good = fails(M, y), np.asarray(y, dtype=bool)
    if good.all() or not good.any():
        return []
    chosen: list[int] = []
    together, reached = np.zeros(len(good), dtype=bool), 0.0
    while True:
        best, gain = None, reached
        for j in of:
            if j in chosen:
                continue
            f = together | failed[:, j]
            ffr = float(f[good].mean())
            value = harmonic(float(f[~good].mean()), ffr)
            if ffr <= max_ffr and value > gain + 1e-12:
                best, gain = j, value
        if best is None:
            return sorted(chosen)
        chosen.append(best)
        together |= failed[:, best]
        reached = gain


def smallest_set(
    M: np.ndarray, y: np.ndarray, of: list[int], *, coverage: float = COVERAGE, max_ffr: float = MAX_FFR
) -> list[int] | None:
    """SPADE's integer program: as few candidates as reach the coverage within the false failure rate; None if none do.

    Variables: chosen x_j, bad response caught u_i, good response failed z_i.
    """
    failed, good = fails(M, y)[:, of], np.asarray(y, dtype=bool)
    bad, ok = np.flatnonzero(~good), np.flatnonzero(good)
    k, b, g = len(of), len(bad), len(ok)
    if not k or not b:
        return None
    rows = sparse.lil_matrix((b + g * k + 2, k + b + g))
    low, high = [], []
    for i, item in enumerate(bad):  # u_i <= sum of x_j that fail it
        rows[i, :k] = failed[item].astype(float)
        rows[i, k + i] = -1
        low.append(0.0)
        high.append(np.inf)
    r = b
    for i, item in enumerate(ok):  # z_i >= x_j that fails it
        for j in range(k):
            if failed[item, j]:
                rows[r, k + b + i] = 1
                rows[r, j] = -1
            low.append(0.0)
            high.append(np.inf)
            r += 1
    rows[r, k : k + b] = 1
    low.append(math.ceil(coverage * b - 1e-9))
    high.append(np.inf)
    rows[r + 1, k + b :] = 1
    low.append(0.0)
    high.append(math.floor(max_ffr * g + 1e-9))
    cost = np.concatenate([np.ones(k), np.zeros(b + g)])
    solved = optimize.milp(
        cost,
        constraints=optimize.LinearConstraint(rows.tocsc(), low, high),
        integrality=np.ones(k + b + g),
        bounds=optimize.Bounds(0, 1),
    )
    if not solved.success:
        return None
    return [of[j] for j in range(k) if solved.x[j] > 0.5]


def choose_smallest(
    M: np.ndarray, y: np.ndarray, criterion: np.ndarray, max_ffr: float = MAX_FFR
) -> list[int]:
    """The whole choice by the integer program, over every candidate; nothing where no set reaches the coverage."""
    return smallest_set(M, y, list(range(M.shape[1])), max_ffr=max_ffr) or []


def choose(M: np.ndarray, y: np.ndarray, criterion: np.ndarray, max_ffr: float = MAX_FFR) -> list[int]:
    """The whole choice: the best candidate of each criterion, then the minimal set of these."""
    return minimal_set(M, y, best_of_each(M, y, criterion, max_ffr), max_ffr)


@dataclass(frozen=True)
class Report:
    """A choice made on all grades, and what may be said of it: cross-fitted only."""

    chosen: list[int]
    cross_fitted: Alignment
    failed: np.ndarray  # out-of-fold verdicts of the set, bool[n]


def report(
    M: np.ndarray,
    y: np.ndarray,
    criterion: np.ndarray,
    groups: np.ndarray,
    *,
    max_ffr: float = MAX_FFR,
    seed: int = 0,
    pick: Callable[..., list[int]] = choose,
) -> Report:
    """Choose on everything; estimate by repeating the choice without each fold (without each group below 25 grades)."""
    good = np.asarray(y, dtype=bool)
    n_groups = len(np.unique(groups))
    folds = n_groups if len(good) < LEAVE_ONE_OUT_BELOW else min(FOLDS, n_groups)
    failed = np.zeros(len(good), dtype=bool)
    if folds > 1:
        fold = grouped_folds(groups, folds, seed)
        for f in np.unique(fold):
            test = fold == f
            columns = pick(M[~test], good[~test], criterion, max_ffr)
            if columns:
                failed[test] = fails(M, good)[test][:, columns].any(axis=1)
    return Report(pick(M, good, criterion, max_ffr), align(failed, good, groups=groups, seed=seed), failed)


# --- What to ask a person next ------------------------------------------------------------------------------
@dataclass(frozen=True)
class Next:
    """An index, why it was taken, and the probability with which a uniform draw took it (None if not drawn so)."""

    index: int
    why: str
    propensity: float | None


def choose_next(
    M: np.ndarray,
    open_: np.ndarray,
    graded: np.ndarray,
    *,
    weights: np.ndarray | None = None,
    n_bad: int = 0,
    seed: int = 0,
) -> Next | None:
    """The next response to show: half where candidates disagree, a fifth likely bad ones while fewer than five are known,
    a fifth at random (the unbiased part), a tenth blind repeats. None if nothing is left.

    open_: bool[n] not graded yet; graded: bool[n] may be repeated.
    """
    rng = np.random.default_rng(seed)
    draw = rng.random()
    left = np.flatnonzero(open_)
    again = np.flatnonzero(graded)
    if draw >= 0.9 and len(again) >= 5:
        return Next(int(rng.choice(again)), "repeat", None)
    if not len(left):
        return None
    if draw >= 0.7 or M.shape[1] == 0:
        return Next(int(rng.choice(left)), "random", 1 / len(left))
    w = np.ones(M.shape[1]) if weights is None else np.asarray(weights, dtype=float)
    ran = M != ERROR
    mass = ran @ w
    bad = np.divide(((M == 0) & ran) @ w, mass, out=np.zeros(len(M)), where=mass > 0)
    if draw >= 0.5 and n_bad < LEAST:
        return Next(_top(bad, left, rng), "likely bad", None)
    safe = np.clip(bad, 1e-12, 1 - 1e-12)
    entropy = -(safe * np.log2(safe) + (1 - safe) * np.log2(1 - safe))
    return Next(_top(entropy, left, rng), "candidates disagree", None)


def _top(values: np.ndarray, left: np.ndarray, rng: np.random.Generator) -> int:
    best = left[values[left] >= values[left].max() - 1e-9]
    return int(rng.choice(best))
