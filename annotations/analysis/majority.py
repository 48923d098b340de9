"""What most annotators of an item say. Pure.

Verdicts are coded -1 (first response better), 0 (tie), 1 (second better) and `NONE` (no verdict).
"""

from __future__ import annotations

import math

import numpy as np

FIRST, TIE, SECOND, NONE = -1, 0, 1, 9


def majority(place: np.ndarray, verdict: np.ndarray, n_items: int) -> np.ndarray:
    """Each item's most frequent verdict among people, int8[n_items]; `NONE` where nobody gave one.

    `place` int[m] says which item each of the `verdict` int8[m] belongs to. A draw between verdicts is a tie.
    """
    return of_counts(votes(place, verdict, n_items))


def of_counts(counts: np.ndarray) -> np.ndarray:
    """The same from votes per item for first, tie and second, int[n, 3]."""
    top = counts.max(axis=1, initial=0)
    alone = (counts == top[:, None]).sum(axis=1) == 1
    result = np.where(alone, counts.argmax(axis=1) - 1, TIE).astype(np.int8)
    result[top == 0] = NONE
    return result


def votes(place: np.ndarray, verdict: np.ndarray, n_items: int) -> np.ndarray:
    """Votes per item for first, tie and second: int64[n_items, 3]; `NONE` counts for nothing."""
    given = verdict != NONE
    cell = place[given].astype(np.int64) * 3 + (verdict[given].astype(np.int64) + 1)
    return np.bincount(cell, minlength=3 * n_items).reshape(n_items, 3)


def entropy(counts: np.ndarray) -> np.ndarray:
    """Normalised vote entropy per row of int[n, 3], in [0, 1]: 0 all agree, 1 an even split; 0 without votes."""
    total = counts.sum(axis=1, keepdims=True)
    share = np.divide(counts, total, out=np.zeros(counts.shape), where=total > 0)
    logs = np.log(share, out=np.zeros(counts.shape), where=share > 0)
    return np.clip(-(share * logs).sum(axis=1) / math.log(3), 0.0, 1.0)
