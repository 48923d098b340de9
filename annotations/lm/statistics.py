"""How well a model's verdicts stand beside people's: pure functions over arrays.

Verdicts are coded -1 (first response better), 0 (tie), 1 (second better) and `NONE` (no verdict: the judgment is
`cannot_judge`). An estimate is `{"value", "lo", "hi", "n"}` with a 95 % interval, or None where it is undefined.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from annotations.analysis.majority import FIRST, NONE, SECOND
from annotations.judging.intervals import Z95, wilson

WORDS = ("First better", "Tie", "Second better")
BINS = 10


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


@dataclass
class LengthTally:
    """How often the longer response wins, for a model and for people on the same items.

    Only the difference is bias: longer responses may well be better, and people say how much.
    """

    model_n: int = 0
    model_longer: int = 0
    both_n: int = 0
    people_longer: int = 0
    shared_longer: int = 0
    differ: int = 0

    def add(self, verdict: np.ndarray, people: np.ndarray, longer: np.ndarray) -> None:
        """Count one batch: verdicts int8[n], people's majorities int8[n], and which response is longer: -1, 0, 1."""
        told = np.isin(verdict, (FIRST, SECOND)) & (longer != 0)
        self.model_n += int(told.sum())
        self.model_longer += int((verdict[told] == longer[told]).sum())
        both = told & np.isin(people, (FIRST, SECOND))
        model, human = verdict[both] == longer[both], people[both] == longer[both]
        self.both_n += int(both.sum())
        self.shared_longer += int(model.sum())
        self.people_longer += int(human.sum())
        self.differ += int((model != human).sum())

    @property
    def model(self) -> dict | None:
        """Share of the model's decided verdicts that prefer the longer response."""
        return wilson(self.model_longer, self.model_n)

    @property
    def people(self) -> dict | None:
        """The same of people, where both decided."""
        return wilson(self.people_longer, self.both_n)

    @property
    def bias(self) -> dict | None:
        """Model minus people on the items both decided, paired, with the normal interval; None below two items."""
        n = self.both_n
        if n < 2:
            return None
        mean = (self.shared_longer - self.people_longer) / n
        half = Z95 * math.sqrt(max(0.0, self.differ / n - mean * mean) / (n - 1))
        return {"value": mean, "lo": max(-1.0, mean - half), "hi": min(1.0, mean + half), "n": n}


def first_shown(calls: dict[int, dict[str, str]]) -> dict | None:
    """Share of contradicting pairs of calls in which the model took the response shown first, both times.

    `calls` maps a judgment to {"ab": label, "ba": label}, labels canonical. Pairs with a tie or without one of
    the orders say nothing about a side and are left out. 0.5 would be no pull to a side; None without pairs.
    """
    first = [c["ab"] == "a" for c in calls.values() if {c.get("ab"), c.get("ba")} == {"a", "b"}]
    return wilson(sum(first), len(first))
