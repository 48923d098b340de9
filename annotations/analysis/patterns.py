"""Votes on the same unit gathered into distinct patterns of counts: what agreement is computed from. Pure.

A unit is what several annotators judge: a pair of responses in one aspect, or a response in one attribute. Every
coefficient here depends on a unit only through how many votes each value got, and there are few such patterns, so a
million labels cost as much as a few dozen after one pass of counting.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .votes import HUMAN, LM, Votes


@dataclass(frozen=True)
class Labels:
    """One value per vote. unit int64[n] (0..n_units-1), annotator int32[n], value int16[n] (index of `levels`)."""

    unit: np.ndarray
    annotator: np.ndarray
    value: np.ndarray
    levels: np.ndarray
    """The values in order, float64[K]: what the interval metric measures distances between."""
    n_units: int
    item: np.ndarray
    """Item of each unit, int32[n_units]."""
    at: np.ndarray
    """Seconds since 1970 of each vote, 0 where not known."""

    def __len__(self) -> int:
        return len(self.unit)

    def only(self, rows: np.ndarray) -> Labels:
        """These votes alone; units keep their codes."""
        return Labels(
            self.unit[rows],
            self.annotator[rows],
            self.value[rows],
            self.levels,
            self.n_units,
            self.item,
            self.at[rows],
        )


def of_comparisons(votes: Votes, aspect: int) -> Labels:
    """Verdicts in one aspect as labels first, tie, second; a unit is a pair of responses of an item."""
    c = votes.comparisons
    if len(votes.aspects) > 1:
        c = c[c.aspect == aspect]
    unit, item = _units(c.item, c.first.astype(np.int64) * 8 + c.second)
    return Labels(
        unit, c.annotator, c.verdict.astype(np.int16) + 1, np.array([-1.0, 0, 1]), len(item), item, c.at
    )


def of_scores(votes: Votes, attribute: int) -> Labels:
    """Values in one attribute as labels; a unit is a response."""
    s = votes.scores
    s = s[s.attribute == attribute]
    unit, item = _units(s.item, s.response.astype(np.int64))
    levels, value = np.unique(s.value, return_inverse=True)
    return Labels(unit, s.annotator, value.astype(np.int16), levels.astype(np.float64), len(item), item, s.at)


def _units(item: np.ndarray, part: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Dense codes of (item, part < 64), and the item of each code."""
    found, unit = dense(item.astype(np.int64) * 64 + part)
    return unit, (found // 64).astype(np.int32)


def dense(key: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(the distinct keys in order, each key's place among them) of int64[n] >= 0, as `np.unique` with its inverse."""
    top = int(key.max(initial=-1)) + 1
    if top > 256 * max(len(key), 1024):
        return np.unique(key, return_inverse=True)
    there = np.zeros(top, dtype=bool)  # a table of flags is ten times faster than sorting
    there[key] = True
    found = np.flatnonzero(there)
    codes = np.zeros(top, dtype=np.int32)
    codes[found] = np.arange(len(found), dtype=np.int32)
    return found, codes[key]


@dataclass(frozen=True)
class Patterns:
    """Distinct rows of counts. counts int64[P, W], times int64[P], of_unit int64[n_units] (-1 for no votes)."""

    counts: np.ndarray
    times: np.ndarray
    of_unit: np.ndarray


def gather(unit: np.ndarray, column: np.ndarray, n_units: int, width: int) -> Patterns:
    """Count votes per unit and column (0..width-1) and gather equal rows; units without votes are left out."""
    if n_units * width > 4e8:
        raise MemoryError(f"{n_units:,} units with {width} values: gather them in parts")
    # int32 keys where they fit: half the memory traffic of the one pass that costs something.
    small = n_units * width < 2**31
    cell = unit.astype(np.int32 if small else np.int64, copy=False) * width + column
    table = np.bincount(cell, minlength=n_units * width).reshape(n_units, width)
    base = int(table.max(initial=0)) + 1
    if width * np.log2(base) < 62:
        weights = base ** np.arange(width, dtype=np.int64)
        key = table @ weights
        span = base**width
        if span <= 1 << 22:
            seen = np.bincount(key, minlength=span)
            keys = np.flatnonzero(seen)
            place = np.zeros(span, dtype=np.int64)
            place[keys] = np.arange(len(keys))
            inverse, times = place[key], seen[keys]
        else:
            keys, inverse, times = np.unique(key, return_inverse=True, return_counts=True)
        counts = keys[:, None] // weights % base
    else:
        counts, inverse, times = np.unique(table, axis=0, return_inverse=True, return_counts=True)
        inverse = inverse.reshape(-1)
    empty = counts.sum(axis=1) == 0
    if empty.any():
        kept = ~empty
        renumbered = np.cumsum(kept) - 1
        inverse = np.where(kept[inverse], renumbered[inverse], -1)
        counts, times = counts[kept], times[kept]
    return Patterns(counts.astype(np.int64), times.astype(np.int64), inverse)


def people(votes: Votes, labels: Labels) -> np.ndarray:
    """Which labels people gave, bool[n]."""
    return votes.kinds[labels.annotator] == HUMAN


def models(votes: Votes, labels: Labels) -> np.ndarray:
    """Which labels language models gave, bool[n]."""
    return votes.kinds[labels.annotator] == LM
