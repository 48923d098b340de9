"""How well a model's verdicts stand beside people's: pure functions over arrays.

Verdicts are coded -1 (first response better), 0 (tie), 1 (second better) and `NONE` (no verdict: the judgment is
`cannot_judge`). An estimate is `{"value", "lo", "hi", "n"}` with a 95 % interval, or None where it is undefined.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

FIRST, TIE, SECOND, NONE = -1, 0, 1, 9
WORDS = ("First better", "Tie", "Second better")
Z95 = 1.959963984540054
BINS = 10


def wilson(successes: int, n: int) -> dict | None:
    """Share `successes / n` with Wilson's score interval at 95 % (Wilson 1927); None where n is 0."""
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


def majority(place: np.ndarray, verdict: np.ndarray, n_items: int) -> np.ndarray:
    """Each item's most frequent verdict among people, int8[n_items]; `NONE` where nobody gave one.

    `place` int[m] says which item each of the `verdict` int8[m] belongs to. A draw between verdicts is a tie.
    """
    counts = votes(place, verdict, n_items)
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


@dataclass
class Tally:
    """What is counted of one model over batches of items; `report` makes estimates of it.

    `confusion[h, m]` counts items by people's majority h and the model's verdict m (first, tie, second).
    """

    judged: int = 0
    nulls: int = 0
    both_orders: int = 0
    consistent: int = 0
    graded: bool = False
    confusion: np.ndarray = field(default_factory=lambda: np.zeros((3, 3), dtype=np.int64))
    bin_n: np.ndarray = field(default_factory=lambda: np.zeros(BINS, dtype=np.int64))
    bin_predicted: np.ndarray = field(default_factory=lambda: np.zeros(BINS))
    bin_second: np.ndarray = field(default_factory=lambda: np.zeros(BINS, dtype=np.int64))

    def add(
        self, verdict: np.ndarray, people: np.ndarray, probability: np.ndarray, consistent: np.ndarray
    ) -> None:
        """Count one batch: the model's verdict int8[n], people's majority int8[n] on the same items,
        P(second better) float[n] with NaN where not given, and order consistency int8[n] (1, 0, -1 unknown).
        """
        self.judged += len(verdict)
        self.nulls += int((verdict == NONE).sum())
        self.both_orders += int((consistent >= 0).sum())
        self.consistent += int((consistent == 1).sum())
        known = ~np.isnan(probability)
        self.graded |= bool((known & ~np.isin(probability, (0.0, 0.5, 1.0))).any())
        both = (verdict != NONE) & (people != NONE)
        np.add.at(self.confusion, (people[both] + 1, verdict[both] + 1), 1)
        decided = known & np.isin(people, (FIRST, SECOND))
        p = probability[decided]
        bins = np.minimum((p * BINS).astype(np.int64), BINS - 1)
        self.bin_n += np.bincount(bins, minlength=BINS)
        self.bin_predicted += np.bincount(bins, weights=p, minlength=BINS)
        self.bin_second += np.bincount(bins[people[decided] == SECOND], minlength=BINS)

    @property
    def agreement(self) -> dict | None:
        """Share of items on which the model's verdict is people's majority, three classes."""
        return wilson(int(np.trace(self.confusion)), int(self.confusion.sum()))

    @property
    def agreement_decided(self) -> dict | None:
        """The same where people decided for one response; a model's tie is a miss there."""
        decided = self.confusion[[0, 2]]
        return wilson(int(decided[0, 0] + decided[1, 2]), int(decided.sum()))

    @property
    def consistency(self) -> dict | None:
        """Share of the items judged in both orders on which both orders agree."""
        return wilson(self.consistent, self.both_orders)

    def calibration(self) -> list[tuple[float, dict]]:
        """(mean predicted P(second better), observed share) of each bin that holds an item people decided."""
        return [
            (self.bin_predicted[i] / self.bin_n[i], wilson(int(self.bin_second[i]), int(self.bin_n[i])))
            for i in range(BINS)
            if self.bin_n[i]
        ]


def first_shown(calls: dict[int, dict[str, str]]) -> dict | None:
    """Share of contradicting pairs of calls in which the model took the response shown first, both times.

    `calls` maps a judgment to {"ab": label, "ba": label}, labels canonical. Pairs with a tie or without one of
    the orders say nothing about a side and are left out. 0.5 would be no pull to a side; None without pairs.
    """
    first = [c["ab"] == "a" for c in calls.values() if {c.get("ab"), c.get("ba")} == {"a", "b"}]
    return wilson(sum(first), len(first))
