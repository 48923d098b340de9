"""Accuracy against the number of judgments: measured, fitted by a power law, read as "n more for one point".

Models of growing random parts of the training pairs are measured on the same hold-out. The error is fitted by
e(n) = a + b·n^(-c) with a >= 0 (Hestness et al. 2017, arXiv:1712.00409); its interval comes from refitting to
resampled repetitions. What lies beyond the largest n measured is an extrapolation and said to be one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from scipy.optimize import least_squares

from routing.rewards import backends, train
from routing.rewards.prepare import Material, Spec

REPEATS = 3
SMALLEST = 20
STEPS = 5
DRAWS = 200
POINT = 0.01
STOP_FACTOR = 1.0


@dataclass(frozen=True)
class Fit:
    """e(n) = a + b·n^(-c)."""

    a: float
    b: float
    c: float

    def error(self, n: float | np.ndarray) -> float | np.ndarray:
        return self.a + self.b * np.asarray(n, dtype=float) ** -self.c

    def needed_for(self, accuracy: float) -> float | None:
        """How many judgments give this accuracy; None where no number does."""
        room = 1.0 - accuracy - self.a
        if room <= 0 or self.b <= 0:
            return None
        return float((self.b / room) ** (1.0 / self.c))


def fit_power_law(n: np.ndarray, accuracy: np.ndarray) -> Fit:
    """Least squares of e(n) = a + b·n^(-c) with 0 <= a <= .5, b >= 0, .05 <= c <= 2, weights √n."""
    n, error = np.asarray(n, dtype=float), 1.0 - np.asarray(accuracy, dtype=float)
    weight = (n / n.mean()) ** 0.25

    def residuals(p: np.ndarray) -> np.ndarray:
        return weight * (p[0] + p[1] * n ** -p[2] - error)

    best = None
    for c in (0.3, 0.7):
        start = [
            0.5 * float(error.min()),
            max(float(error.max() - error.min()), 1e-3) * float(n.min()) ** c,
            c,
        ]
        bounds = ([0.0, 0.0, 0.05], [0.5, 50.0, 2.0])
        found = least_squares(residuals, np.clip(start, bounds[0], bounds[1]), bounds=bounds)
        if best is None or found.cost < best.cost:
            best = found
    return Fit(*(float(value) for value in best.x))


def sizes_for(n: int, steps: int = STEPS) -> list[int]:
    """Sizes from 20 up to n, evenly spaced in their logarithm; the last is n."""
    if n < 2 * SMALLEST:
        return []
    return sorted({round(size) for size in np.geomspace(max(SMALLEST, n / 16), n, steps)})


def measure(
    material: Material,
    spec: Spec,
    *,
    repeats: int = REPEATS,
    tell: Callable[[int, int, str], None] = lambda done, total, words: None,
) -> list[dict[str, Any]]:
    """Return [{"kind", "size", "n", "seed", "accuracy"}]: human, lm and mixed parts of the training pairs, repeated.

    Whole prompt groups are drawn, so n is about the size that was wanted. The full size is fitted once for each kind. Ratings are left out, so that
    what grows is the number of judged pairs alone.
    """
    source = np.array(material.fit.source, dtype=object)
    kinds = {"mixed": np.ones(len(source), dtype=bool)}
    if len(set(source)) > 1:
        kinds |= {name: source == name for name in ("human", "lm")}
    else:
        kinds = {str(source[0]): kinds["mixed"]} if len(source) else {}
    plan = [
        (kind, size, seed)
        for kind, mask in kinds.items()
        for size in sizes_for(int((mask & material.fit.decided).sum()))
        for seed in range(1 if size == int((mask & material.fit.decided).sum()) else repeats)
    ]
    rows = []
    spec = replace(spec, use_ratings=False)
    for done, (kind, size, seed) in enumerate(plan):
        tell(done, len(plan), f"{kind}: {size:,} pairs, repetition {seed + 1}")
        part = _part(material, kinds[kind], size, seed)
        model = backends.fit(part, spec)
        metrics = train.evaluate(train.margins(model, material.holdout), material.holdout, seed=spec.seed)
        value = metrics["accuracy"]["value"]
        if value is not None:
            n = int(part.fit.decided.sum())
            held = metrics["n"]
            rows.append(
                {"kind": kind, "size": size, "n": n, "seed": seed, "accuracy": value, "n_holdout": held}
            )
    return rows


def _part(material: Material, mask: np.ndarray, size: int, seed: int) -> Material:
    """About `size` decided pairs of the mask, in whole groups, in a seeded order."""
    groups: dict[str, list[int]] = {}
    for i in np.flatnonzero(mask):
        groups.setdefault(material.fit.group[i], []).append(int(i))
    names = sorted(groups)
    chosen: list[int] = []
    count = 0
    for k in np.random.default_rng([seed, size]).permutation(len(names)):
        if count >= size:
            break
        chosen += groups[names[k]]
        count += int(material.fit.decided[groups[names[k]]].sum())
    kept = material.fit.take(np.array(sorted(chosen), dtype=int))
    nothing = np.zeros(0, dtype=int)
    return replace(
        material, fit=kept, ratings=material.ratings.take(nothing), lists=material.lists.take(nothing)
    )


def describe(rows: list[dict[str, Any]], *, seed: int = 0) -> dict[str, Any]:
    """Fit each kind and say what it means: {kind: {"points", "fit", "curve", "more", "ceiling", "advice"}}.

    `points`: mean accuracy of each size with the range of its repetitions, at their mean n. `curve`: fitted accuracy with its interval from
    the least n measured to four times the largest. `more`: judgments beyond those for one point of accuracy,
    as an estimate. Kinds with fewer than three sizes have points only.
    """
    found: dict[str, Any] = {}
    for kind in sorted({row["kind"] for row in rows}):
        mine = [row for row in rows if row["kind"] == kind]
        sizes: dict[int, list[dict[str, Any]]] = {}
        for row in mine:
            sizes.setdefault(row["size"], []).append(row)
        points = [_point(same) for _, same in sorted(sizes.items())]
        found[kind] = {"points": points, "n_holdout": mine[0]["n_holdout"]}
        if len(points) >= 3:
            found[kind] |= _fitted(mine, seed)
    return found


def _point(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """The repetitions of one size as a point of the curve."""
    found = [row["accuracy"] for row in rows]
    n = round(float(np.mean([row["n"] for row in rows])))
    return {"n": n, "value": float(np.mean(found)), "lo": min(found), "hi": max(found), "repeats": len(rows)}


def _fitted(rows: list[dict[str, Any]], seed: int) -> dict[str, Any]:
    n = np.array([row["n"] for row in rows], dtype=float)
    accuracy = np.array([row["accuracy"] for row in rows])
    held = rows[0]["n_holdout"]
    fit, largest = fit_power_law(n, accuracy), float(n.max())
    grid = np.geomspace(n.min(), 4 * largest, 12)
    rng = np.random.default_rng(seed)
    fits = []
    for _ in range(DRAWS):
        picked = rng.integers(0, len(n), len(n))
        if len(set(n[picked])) < 3:
            picked = np.arange(len(n))
        # the hold-out is finite: its noise moves all sizes together, the repetitions' apart
        noise = rng.normal() * float(np.sqrt(accuracy.mean() * (1 - accuracy.mean()) / max(held, 1)))
        fits.append(fit_power_law(n[picked], np.clip(accuracy[picked] + noise, 0.0, 1.0)))
    curves = np.array([1.0 - draw.error(grid) for draw in fits])
    lo, hi = np.percentile(curves, [2.5, 97.5], axis=0)
    curve = [
        {"n": float(at), "value": float(1.0 - fit.error(at)), "lo": float(a), "hi": float(b)}
        for at, a, b in zip(grid, lo, hi, strict=True)
    ]
    now = float(1.0 - fit.error(largest))
    more = _more(fit, now, largest)
    spread = [_more(draw, float(1.0 - draw.error(largest)), largest) for draw in fits]
    finite = [value for value in spread if value is not None]
    reached = len(finite) / len(spread)
    estimate: dict[str, Any] = {"value": more, "lo": None, "hi": None, "n": len(rows)}
    if more is not None and finite:
        estimate["lo"] = float(np.percentile(finite, 2.5))
        estimate["hi"] = float(np.percentile(finite, 97.5)) if reached > 0.975 else None
    stop = more is None or more > STOP_FACTOR * largest
    return {
        "fit": asdict(fit), "curve": curve, "more": estimate, "reached": reached, "stop": stop,
        "largest": int(largest), "advice": _advice(more, estimate, reached, largest, stop),
    }  # fmt: skip


def _more(fit: Fit, now: float, largest: float) -> float | None:
    needed = fit.needed_for(now + POINT)
    return None if needed is None else max(0.0, needed - largest)


def _advice(more: float | None, estimate: dict[str, Any], reached: float, largest: float, stop: bool) -> str:
    if more is None:
        return (
            f"The curve is flat: by this fit no number of further judgments adds one point to what {largest:,.0f} "
            "pairs give. Stop here, or change what is judged."
        )
    upper = f"to {estimate['hi']:,.0f}" if estimate["hi"] is not None else "or, as far as one can tell, never"
    words = f"One more point of accuracy needs about {more:,.0f} more pairs (from {estimate['lo'] or 0:,.0f} {upper})."
    if stop:
        return f"{words} That is more than were judged so far: stopping here is reasonable."
    return f"{words} Judging on pays."
