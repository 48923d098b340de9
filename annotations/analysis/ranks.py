"""Uncertainty of ratings: cluster sandwich, simultaneous differences, sets of ranks. Pure.

Rank sets: Mogstad, Romano, Shaikh & Wilhelm 2024 (*Inference for Ranks*): a player's rank lies between 1 + those surely
better and M - those surely worse, "surely" by differences that hold for all pairs at once. So the best of many equals is
not called the best.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from scipy import sparse, stats

from .bradley_terry import Counts, Fit, bread, scores

DRAWS = 4000
MANY = 250  # players beyond which the simultaneous quantile is Šidák's bound instead of a simulation
FEW_PEOPLE = 8
NOTHING = 1e-12  # a variance that is none


@dataclass(frozen=True)
class Spread:
    """covariance float64[M, M] of the ratings; df: clusters less one; clusters: what they were; unknown bool[M]: players
    whose votes are all on one item, which says nothing of how others would have gone."""  # fmt: skip

    covariance: np.ndarray
    df: int
    clusters: str
    unknown: np.ndarray

    @property
    def errors(self) -> np.ndarray:
        return np.sqrt(np.clip(np.diag(self.covariance), 0, None))

    def half(self, code: int) -> float | None:
        """Half the width of a player's 95 % interval; None where the spread is unknown."""
        if self.unknown[code]:
            return None
        return float(stats.t.ppf(0.975, self.df) * self.errors[code])

    def among(self, players: np.ndarray) -> Spread:
        """Of these players alone."""
        covariance = self.covariance[np.ix_(players, players)]
        return Spread(covariance, self.df, self.clusters, self.unknown[players])


def widened(
    spread: Spread,
    first: np.ndarray,
    second: np.ndarray,
    item: np.ndarray,
    alone: Callable[[np.ndarray], np.ndarray],
    by_item: np.ndarray | None = None,
) -> Spread:
    """The spread where two-way clusters say least: never below that over items, `by_item` float64[M], and where the votes
    leave none at all (all tied, every item split alike) `alone(items)`: the variance of one independent vote per item, from
    the number of items of each player."""  # fmt: skip
    m = len(spread.covariance)
    more = np.zeros(m) if by_item is None else np.clip(by_item - np.diag(spread.covariance), 0, None)
    unknown = on_one(first, second, item, m)
    none = ~unknown & (np.diag(spread.covariance) + more <= NOTHING)
    if none.any():
        pairs = np.unique(
            np.concatenate([first, second]).astype(np.int64)
            + m * np.concatenate([item, item]).astype(np.int64)
        )
        items = np.bincount(pairs % m, minlength=m)
        more[none] = alone(np.maximum(items, 1))[none]
    return replace(spread, covariance=spread.covariance + np.diag(more), unknown=unknown)


def on_one(first: np.ndarray, second: np.ndarray, item: np.ndarray, m: int) -> np.ndarray:
    """Which players have all their votes on one item, or none at all, bool[M]."""
    last = np.zeros(m, dtype=item.dtype)
    last[first], last[second] = item, item
    several = np.zeros(m, dtype=bool)
    for player in (first, second):
        several[player[item != last[player]]] = True
    return ~several


def clustered(
    fitted: Fit,
    first: np.ndarray,
    second: np.ndarray,
    verdict: np.ndarray,
    *,
    item: np.ndarray,
    annotator: np.ndarray | None = None,
) -> Spread:
    """Sandwich covariance with votes clustered by item and, where `annotator` is given, by annotator.

    Meat: items + annotators - both (Cameron, Gelbach & Miller 2011), negative eigenvalues set to 0. Arrays int[n] as
    given to `bradley_terry.count`.
    """
    m = fitted.counts.players
    vote = _vote_scores(fitted, first, second, verdict)
    parts = [_meat(vote, first, second, item, m)]
    groups = [int((np.bincount(item) > 0).sum())]
    clusters, by_item = "items", None
    if annotator is not None:
        parts.append(_meat(vote, first, second, annotator, m))
        groups.append(int((np.bincount(annotator) > 0).sum()))
        clusters = "items and annotators"
    meat = sum(part * g / max(g - 1, 1) for part, g in zip(parts, groups, strict=True))
    if annotator is not None:
        key = item.astype(np.int64) * (int(annotator.max(initial=0)) + 1) + annotator
        _, both = np.unique(key, return_inverse=True)
        meat = meat - _meat(vote, first, second, both, m)
    inverse = bread(fitted)
    covariance = (inverse @ meat @ inverse)[:m, :m]
    values, vectors = np.linalg.eigh((covariance + covariance.T) / 2)
    covariance = (vectors * np.clip(values, 0, None)) @ vectors.T
    if annotator is not None:
        by_item = np.diag(inverse @ parts[0] @ inverse)[:m] * groups[0] / max(groups[0] - 1, 1)
    votes = of_counts(fitted.counts)
    return widened(
        Spread(covariance, max(1, min(groups) - 1), clusters, np.zeros(m, dtype=bool)),
        first, second, item, lambda items: np.diag(inverse)[:m] * votes / items, by_item,
    )  # fmt: skip


def _vote_scores(fitted: Fit, first, second, verdict) -> tuple[np.ndarray, np.ndarray]:
    """Each vote's derivatives by (θ_first - θ_second) as named, and by eta."""
    s, s_eta = scores(fitted)
    m = fitted.counts.players
    table = np.zeros((2, m, m, 3))  # by verdict -1, 0, 1
    a, b = fitted.counts.first, fitted.counts.second
    table[0, a, b] = s[:, [0, 2, 1]]
    table[0, b, a] = -s[:, [1, 2, 0]]
    table[1, a, b] = s_eta[:, [0, 2, 1]]
    table[1, b, a] = s_eta[:, [1, 2, 0]]
    place = verdict.astype(np.int64) + 1
    return table[0, first, second, place], table[1, first, second, place]


def _meat(vote, first, second, cluster, m: int) -> np.ndarray:
    s, s_eta = vote
    n = int(cluster.max(initial=-1)) + 1
    with_eta = bool(s_eta.any())
    if not with_eta:
        # Most often every vote of an item is on one pair: then an item's sum is one number.
        pair = first.astype(np.int64) * m + second
        of_cluster = np.zeros(n, dtype=np.int64)
        of_cluster[cluster] = pair
        if (of_cluster[cluster] == pair).all():
            sums = np.bincount(cluster, s, n) ** 2
            square = np.bincount(of_cluster, sums, m * m).reshape(m, m)
            square = square + square.T
            meat = np.zeros((m + 1, m + 1))
            meat[:m, :m] = np.diag(square.sum(axis=1)) - square
            return meat
    rows = np.concatenate([cluster, cluster, cluster] if with_eta else [cluster, cluster])
    columns = np.concatenate([first, second, np.full(len(s), m)] if with_eta else [first, second])
    values = np.concatenate([s, -s, s_eta] if with_eta else [s, -s])
    summed = sparse.csr_matrix((values, (rows, columns)), shape=(n, m + 1))
    return np.asarray((summed.T @ summed).todense())


def critical(spread: Spread, rated: np.ndarray, *, level: float = 0.95, seed: int = 0) -> float:
    """How many standard errors all differences of two ratings lie within at once, with probability `level`."""
    k = int(rated.sum())
    if k < 2:
        return float(stats.t.ppf(0.5 + level / 2, spread.df))
    if k > MANY:
        alone = level ** (2 / (k * (k - 1)))
        return float(stats.t.ppf(0.5 + alone / 2, spread.df))
    covariance = spread.covariance[np.ix_(rated, rated)]
    error = _difference_errors(covariance)
    rng = np.random.default_rng(seed)
    values, vectors = np.linalg.eigh(covariance)
    root = vectors * np.sqrt(np.clip(values, 0, None))
    widest = []
    for _ in range(max(1, DRAWS // 500)):
        z = rng.standard_normal((500, k)) @ root.T
        z /= np.sqrt(rng.chisquare(spread.df, 500) / spread.df)[:, None]
        gaps = np.abs(z[:, :, None] - z[:, None, :])
        widest.append((gaps / np.where(error > 0, error, np.inf)).max(axis=(1, 2)))
    return float(np.quantile(np.concatenate(widest), level))


def _difference_errors(covariance: np.ndarray) -> np.ndarray:
    v = np.diag(covariance)
    return np.sqrt(np.clip(v[:, None] + v[None, :] - 2 * covariance, 0, None))


def rank_sets(theta: np.ndarray, spread: Spread, *, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """(lowest, highest rank) int[M] of each player, all right at once with 95 %; players without a rating or bounds may
    be anywhere."""  # fmt: skip
    rated = np.isfinite(theta) & ~spread.unknown
    m, k = len(theta), int(rated.sum())
    low, high = np.ones(m, dtype=int), np.full(m, m, dtype=int)
    if k:
        c = critical(spread, rated, seed=seed)
        error = _difference_errors(spread.covariance[np.ix_(rated, rated)])
        gap = theta[rated][:, None] - theta[rated][None, :]
        beats = gap > c * error
        np.fill_diagonal(beats, False)
        low[rated] = 1 + beats.sum(axis=0)
        high[rated] = m - beats.sum(axis=1)
    return low, high


def significant(theta: np.ndarray, spread: Spread, *, seed: int = 0) -> np.ndarray:
    """int8[M, M]: 1 where the row is surely better than the column, -1 surely worse, 0 not told apart."""
    rated = np.isfinite(theta) & ~spread.unknown
    found = np.zeros((len(theta), len(theta)), dtype=np.int8)
    if rated.sum() >= 2:
        c = critical(spread, rated, seed=seed)
        error = _difference_errors(spread.covariance[np.ix_(rated, rated)])
        gap = theta[rated][:, None] - theta[rated][None, :]
        found[np.ix_(rated, rated)] = np.sign(gap) * (np.abs(gap) > c * error)
    return found


def of_counts(counts: Counts) -> np.ndarray:
    """Comparisons of each player, int64[M]."""
    n = counts.n.sum(axis=1)
    total = np.bincount(counts.first, n, counts.players) + np.bincount(counts.second, n, counts.players)
    return total.astype(np.int64)
