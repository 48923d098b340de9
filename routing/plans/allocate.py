"""Who judges what for a budget: a uniform audit sample first, then the highest scores until the budget is spent.

Pure and in whole numbers: costs and budgets are counts of items or millionths of a currency, so that nothing is
overspent by rounding.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal

import numpy as np
from scipy.special import ndtr


@dataclass(frozen=True)
class Allocation:
    """One allocation over n items.

    chosen, audit: bool[n], sent to people by score and by the audit draw (never both); propensity: float[n], the
    probability over the draw that a person was to judge the item; priority: int[n], higher is judged earlier, 0
    where no person is asked; threshold: lowest score chosen, None if none was; spent: int <= budget.
    """

    chosen: np.ndarray
    audit: np.ndarray
    propensity: np.ndarray
    priority: np.ndarray
    threshold: float | None
    spent: int

    @property
    def people(self) -> np.ndarray:
        """Items that people judge: chosen or audited, bool[n]."""
        return self.chosen | self.audit


def share_of(share: float, n: int) -> int:
    """Items in a share of n, rounded down; exact for shares as people write them (0.29 of 100 is 29)."""
    return int(Decimal(str(share)) * n)


def audit_size(share: float, n: int) -> int:
    """Audits wanted of n items, rounded to the nearest."""
    return int((Decimal(str(share)) * n).to_integral_value(rounding=ROUND_HALF_UP))


def allocate(
    *, score: np.ndarray, cost: np.ndarray, budget: int, audit_share: float, seed: int
) -> Allocation:
    """Choose who judges each of n items.

    score float[n]; cost int[n] >= 0, what people cost for the item in the unit of `budget`. Audits are drawn first
    as a simple random sample of fixed size: the size whose dearest possible draw the budget still pays, so that
    every item has the same chance whatever it costs. Once the whole audit share is affordable, the rest of the
    budget goes down the scores and stops at the first item it cannot pay; equal scores stand in random order. With
    one seed, a larger budget sends a superset of the items to people. Raises ValueError for a negative cost or
    budget, or a share outside [0, 1].
    """
    score, cost = np.asarray(score, dtype=np.float64), np.asarray(cost, dtype=np.int64)
    if budget < 0 or (len(cost) and cost.min() < 0):
        raise ValueError("expected budget and costs of at least 0")
    if not 0 <= audit_share <= 1:
        raise ValueError(f"audit share {audit_share}: expected 0 to 1")
    n = len(score)
    rng = np.random.default_rng(seed)
    draw, toss = rng.permutation(n), rng.permutation(n)
    wanted = audit_size(audit_share, n)
    dearest = np.cumsum(np.sort(cost)[::-1])
    size = min(wanted, int(np.searchsorted(dearest, budget, side="right")))
    audit = np.zeros(n, dtype=bool)
    audit[draw[:size]] = True
    order = np.lexsort((toss, -score))
    rest = order[~audit[order]]
    affordable = 0
    if size == wanted:
        running = cost[audit].sum() + np.cumsum(cost[rest])
        affordable = int(np.searchsorted(running, budget, side="right"))
    picked = rest[:affordable]
    chosen = np.zeros(n, dtype=bool)
    chosen[picked] = True
    return Allocation(
        chosen=chosen,
        audit=audit,
        propensity=propensities(score, cost, order, budget, size, size == wanted),
        priority=_priorities(picked, draw[:size], n),
        threshold=float(score[picked].min()) if affordable else None,
        spent=int(cost[chosen | audit].sum()),
    )


def propensities(
    score: np.ndarray, cost: np.ndarray, order: np.ndarray, budget: int, size: int, by_score: bool
) -> np.ndarray:
    """P(a person judges the item) over the audit draw and the order of equal scores, float[n].

    An item that is not audited is chosen if the costs down to and including it, plus the audits below it, fit the
    budget. The number of audits below is hypergeometric, which is exact where all items cost the same; else the
    cost of the audits below is taken as normal with the mean and variance of a simple random sample (and the
    continuity correction of its lattice). Items with
    equal scores share the mean. So it is 1 well above the threshold, the audit share well below it, and falls from
    one to the other over the few ranks that the draw decides.
    """
    n = len(score)
    if not n:
        return np.zeros(0)
    share = size / n
    if not by_score:
        return np.full(n, share)
    ranked = cost[order]
    through = np.cumsum(ranked)
    if n == 1 or not size:
        passes = (through <= budget).astype(float)
    elif ranked.min() == ranked.max():
        each, rank = int(ranked[0]), np.arange(1, n + 1)
        room = budget // each - rank if each else np.full(n, n)
        passes = np.where(room >= size, 1.0, 0.0)
        edge = (room >= 0) & (room < size)
        from scipy.stats import hypergeom  # heavy, and only a plan being drawn needs it

        passes[edge] = hypergeom.cdf(room[edge], n - 1, n - rank[edge], size)
    else:
        others = n - 1
        below = through[-1] - through
        squares = np.cumsum((ranked.astype(float) ** 2)[::-1])[::-1] - ranked.astype(float) ** 2
        mean = below / others
        spread = np.maximum(squares / others - mean**2, 0) * others / max(others - 1, 1)
        sd = np.sqrt(size * max(0.0, 1 - size / others) * spread)
        lattice = int(np.gcd.reduce(ranked))
        room = budget - through - size * mean + lattice / 2
        safe = np.where(sd > 0, sd, 1.0)
        passes = np.where(sd > 0, ndtr(room / safe), room >= 0)
        passes[through + below <= budget] = 1.0
        passes[through > budget] = 0.0
    values = share + (1 - share) * passes
    blocks = np.flatnonzero(np.r_[True, np.diff(score[order]) != 0])
    sizes = np.diff(np.r_[blocks, n])
    result = np.empty(n)
    result[order] = np.repeat(np.add.reduceat(values, blocks) / sizes, sizes)
    return np.clip(result, 0.0, 1.0)


def _priorities(picked: np.ndarray, audits: np.ndarray, n: int) -> np.ndarray:
    """Queue priorities: by score, the audits spread evenly between, so that they are measured from the start."""
    ids = np.concatenate([picked, audits])
    at = np.concatenate([(np.arange(len(part)) + 0.5) / max(len(part), 1) for part in (picked, audits)])
    priority = np.zeros(n, dtype=np.int64)
    priority[ids[np.argsort(at, kind="stable")]] = np.arange(len(ids), 0, -1)
    return priority
