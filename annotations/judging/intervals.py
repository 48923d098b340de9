"""Estimates with 95 % intervals, `{"value", "lo", "hi", "n"}`; pure, no Django."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

Z95 = 1.959963984540054


def wilson(successes: float, n: int) -> dict | None:
    """Share `successes / n` with Wilson's score interval (Wilson 1927); None where n is 0. An expected number of
    successes need not be whole."""
    if n < 1:
        return None
    share, z2 = successes / n, Z95 * Z95
    centre = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = Z95 * math.sqrt(share * (1 - share) / n + z2 / (4 * n * n)) / (1 + z2 / n)
    return {
        "value": share,
        "lo": 0.0 if successes == 0 else max(0.0, centre - half),
        "hi": 1.0 if successes == n else min(1.0, centre + half),
        "n": n,
    }


def draws_of_groups(n_groups: int, *, draws: int, seed: int) -> np.ndarray:
    """Which groups each bootstrap draw takes: int[draws, n_groups], uniformly with replacement."""
    return np.random.default_rng(seed).integers(0, n_groups, size=(draws, n_groups))


def clustered(
    groups: list[np.ndarray], statistic: Callable[[np.ndarray], float], *, draws: int = 500, seed: int = 0
) -> tuple[dict | None, np.ndarray]:
    """A statistic of all values, and its distribution when whole groups are drawn again (cluster bootstrap).

    `groups`: the values of each person. Returns the estimate with the percentile interval, without bounds below
    two groups, None without values; and the draws, NaN where a draw has none.
    """
    groups = [np.asarray(group, dtype=float) for group in groups if len(group)]
    if not groups:
        return None, np.full(draws, np.nan)
    together = np.concatenate(groups)
    found = {"value": float(statistic(together)), "lo": None, "hi": None, "n": int(together.size)}
    if len(groups) < 2:
        return found, np.full(draws, np.nan)
    taken = draws_of_groups(len(groups), draws=draws, seed=seed)
    values = np.array([statistic(np.concatenate([groups[g] for g in row])) for row in taken])
    found["lo"], found["hi"] = (float(x) for x in np.percentile(values, [2.5, 97.5]))
    return found, values


def difference(first: tuple[dict | None, np.ndarray], other: tuple[dict | None, np.ndarray]) -> dict | None:
    """`other` minus `first`, from two `clustered` results of separate people; None where either is undefined."""
    (a, a_draws), (b, b_draws) = first, other
    if a is None or b is None:
        return None
    found = {"value": b["value"] - a["value"], "lo": None, "hi": None, "n": a["n"] + b["n"]}
    apart = b_draws - a_draws
    if np.isfinite(apart).all():
        found["lo"], found["hi"] = (float(x) for x in np.percentile(apart, [2.5, 97.5]))
    return found
