"""How a reward goes with what people rated: correlations by attribute, and where higher scores stop helping."""

from __future__ import annotations

from typing import Any

import numpy as np

from routing.rewards.data import Ratings
from routing.rewards.evaluate import Estimate, _Sums

MIN_RATED = 50


def against_ratings(model: Any, ratings: Ratings, *, seed: int, n_boot: int = 1000) -> dict[str, Any]:
    """Return {"correlation": {attribute: est}, "between": {a: {b: r}}, "saturation": … or None}.

    `correlation` is Pearson's of the score with each attribute over held-out responses, intervals over prompt
    groups; `between` that of the attributes among themselves, where a response has both.
    """
    names = sorted(set(ratings.attribute))
    scores = model.score(ratings.prompts, ratings.texts, ratings.dataset) if len(ratings) else np.zeros(0)
    correlation: dict[str, Estimate] = {}
    columns: dict[str, dict[tuple[str, int], float]] = {}
    for name in names:
        at = np.flatnonzero([attribute == name for attribute in ratings.attribute])
        table = _Sums([ratings.group[i] for i in at])
        table.correlation("r", scores[at], ratings.value[at])
        correlation[name] = table.estimates(seed, n_boot)["r"]
        columns[name] = {(ratings.item_ids[i], int(ratings.response[i])): float(ratings.value[i]) for i in at}
    between = {a: {b: _pearson(columns[a], columns[b]) for b in names} for a in names}
    primary = ratings.primary() if len(ratings) else ratings
    at_primary = model.score(primary.prompts, primary.texts, primary.dataset) if len(primary) else np.zeros(0)
    return {
        "correlation": correlation,
        "between": between,
        "saturation": saturation(at_primary, primary.value),
    }


def _pearson(first: dict, second: dict) -> float | None:
    shared = sorted(set(first) & set(second))
    x, y = np.array([first[k] for k in shared]), np.array([second[k] for k in shared])
    if len(shared) < 3 or x.std() < 1e-12 or y.std() < 1e-12:
        return None
    return float(np.corrcoef(x, y)[0, 1])


def saturation(score: np.ndarray, rating: np.ndarray, n_bins: int = 10) -> dict[str, Any] | None:
    """Where higher scores stop going with higher ratings, from bins of equal count; None below 50 ratings.

    The cap is the lowest bin whose mean rating is within two standard errors of the highest (Moskovitz et al.
    2023, arXiv:2310.04373, find that point by search in RL). Returns {"cap", "bins": [{"score", "rating", "se", "n"}]}.
    """
    score, rating = np.asarray(score, float), np.asarray(rating, float)
    if len(score) < MIN_RATED:
        return None
    bins = []
    for chunk in np.array_split(np.argsort(score, kind="stable"), n_bins):
        spread = float(rating[chunk].std(ddof=1) / len(chunk) ** 0.5)
        found = {"score": float(score[chunk].mean()), "rating": float(rating[chunk].mean())}
        bins.append({**found, "se": spread, "n": len(chunk)})
    top = max(bins, key=lambda b: b["rating"])
    near = [b for b in bins if b["rating"] >= top["rating"] - 2.0 * np.hypot(b["se"], top["se"])]
    return {"cap": min(b["score"] for b in near), "bins": bins}
