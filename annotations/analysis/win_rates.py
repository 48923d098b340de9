"""Win rates of models, with sets of ranks that hold at once and bounds that may be watched. Pure.

A win rate weighs the opponents a model happened to meet; Bradley-Terry ratings do not. What may be watched is a confidence
sequence (Robbins 1970's normal mixture) over items: it holds at every moment, so one may look after every vote and stop.
"""

from __future__ import annotations

import math

import numpy as np
from scipy import sparse

from .ranks import Spread, rank_sets, widened

PRIOR = 25.0  # items: where the sequence is narrowest


def rates(
    names: tuple[str, ...],
    first: np.ndarray,
    second: np.ndarray,
    verdict: np.ndarray,
    *,
    item: np.ndarray,
    annotator: np.ndarray | None = None,
    seed: int = 0,
) -> list[dict]:
    """One row per model compared, the best first: name, rate, anytime, rank_lo, rank_hi; a tie counts half.

    Arrays int[n] as given to `bradley_terry.count`; intervals are clustered as the ratings' are.
    """
    m = len(names)
    score = (1 - verdict.astype(np.float64)) / 2
    n = np.bincount(first, minlength=m) + np.bincount(second, minlength=m)
    played = np.flatnonzero(n)
    won = np.bincount(first, score, m) + np.bincount(second, 1 - score, m)
    rate = np.divide(won, n, out=np.zeros(m), where=n > 0)
    spread = _spread(first, second, score, rate, n, item, annotator)
    low, high = rank_sets(rate[played], spread.among(played), seed=seed)
    watched = _watched(first, second, score, item, m)
    rows = []
    for place, code in enumerate(played):
        value, half = float(rate[code]), spread.half(code)
        rows.append(
            {
                "name": names[code],
                "rate": {
                    "value": value,
                    "lo": None if half is None else max(0.0, value - half),
                    "hi": None if half is None else min(1.0, value + half),
                    "n": int(n[code]),
                },
                "anytime": watched[code],
                "rank_lo": int(low[place]),
                "rank_hi": int(high[place]),
            }
        )
    return sorted(rows, key=lambda row: (-row["rate"]["value"], row["name"]))


def _spread(first, second, score, rate, n, item, annotator) -> Spread:
    """Covariance of the win rates: items + annotators - both, as `ranks.clustered`."""
    m = len(n)
    values = np.concatenate(
        [
            (score - rate[first]) / np.maximum(n, 1)[first],
            (1 - score - rate[second]) / np.maximum(n, 1)[second],
        ]
    )
    players = np.concatenate([first, second])

    def meat(codes: np.ndarray) -> tuple[np.ndarray, int]:
        table = sparse.csr_matrix(
            (values, (np.concatenate([codes, codes]), players)), shape=(int(codes.max()) + 1, m)
        )
        groups = int((np.bincount(codes) > 0).sum())
        return np.asarray((table.T @ table).todense()) * groups / max(groups - 1, 1), groups

    found, groups = meat(item)
    by_item, clusters = np.diag(found), "items"
    if annotator is not None:
        other, people = meat(annotator)
        _, both = np.unique(
            item.astype(np.int64) * (int(annotator.max()) + 1) + annotator, return_inverse=True
        )
        found, groups, clusters = found + other - meat(both)[0], min(groups, people), "items and annotators"
    weights, vectors = np.linalg.eigh((found + found.T) / 2)
    covariance = (vectors * np.clip(weights, 0, None)) @ vectors.T

    def alone(
        items: np.ndarray,
    ) -> np.ndarray:  # of a share with two successes and two failures beside (Agresti & Coull)
        share = (rate * items + 2) / (items + 4)
        return share * (1 - share) / (items + 4)

    spread = Spread(covariance, max(1, groups - 1), clusters, np.zeros(m, dtype=bool))
    return widened(spread, first, second, item, alone, by_item)


def _watched(first, second, score, item, m: int) -> list[dict | None]:
    """Each model's bounds over the items it was compared on, every item's votes averaged first."""
    player = np.concatenate([first, second]).astype(np.int64)
    key = np.concatenate([item, item]).astype(np.int64) * m + player
    pairs, place = np.unique(key, return_inverse=True)
    share = np.bincount(place, np.concatenate([score, 1 - score])) / np.bincount(place)
    who = (pairs % m).astype(np.int64)
    total, items = np.bincount(who, share, m), np.bincount(who, minlength=m)
    return [anytime(float(total[code]), int(items[code])) for code in range(m)]


def anytime(total: float, n: int, *, level: float = 0.05, prior: float = PRIOR) -> dict | None:
    """Mean of values in [0, 1] so far (sum `total` of n) with bounds that hold at every n at once.

    |S - n mu| <= sqrt((V + r) ln((V + r) / (r level^2))), V = n / 4, r = `prior`.
    """
    if n < 1:
        return None
    v = n / 4
    half = math.sqrt((v + prior) * math.log((v + prior) / (prior * level**2))) / n
    value = total / n
    return {"value": value, "lo": max(0.0, value - half), "hi": min(1.0, value + half), "n": n}
