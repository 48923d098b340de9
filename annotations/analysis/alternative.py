"""The alternative annotator test: may this model stand in for a person? (Calderon, Reichart & Dror 2025). Pure.

Each person is left out in turn: does the model agree with the remaining people as well as that person does, within
`epsilon`? One-sided t-tests, Benjamini-Yekutieli over people; the model passes if it wins against at least half.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import stats

from .patterns import Labels

EPSILON, LEVEL = 0.2, 0.05
FEWEST_ITEMS, FEWEST_PEOPLE = 30, 3


@dataclass(frozen=True)
class AltTest:
    """winning_rate ω: share of people the model may replace; advantage ρ: mean probability that it does as well.

    passes: ω >= 0.5; None with `undefined` where there is too little to test. people: how many were tested.
    """

    passes: bool | None
    winning_rate: float | None
    advantage: float | None
    people: int
    undefined: str = ""


def alt_test(
    labels: Labels, model: np.ndarray, *, epsilon: float = EPSILON, level: float = LEVEL,
    fewest_items: int = FEWEST_ITEMS,
) -> AltTest:  # fmt: skip
    """Test the model whose labels are marked in `model` bool[n] against the other labels, which people gave."""
    k = len(labels.levels)
    people = labels.only(~model)
    counts = np.zeros((labels.n_units, k), dtype=np.int64)
    np.add.at(counts, (people.unit, people.value), 1)
    said = np.full(labels.n_units, -1, dtype=np.int64)
    said[labels.unit[model]] = labels.value[model]
    others = counts.sum(axis=1)[people.unit] - 1
    usable = (others >= 1) & (said[people.unit] >= 0)
    unit, value, others = people.unit[usable], people.value[usable].astype(np.int64), others[usable]
    with_model = counts[unit, said[unit]] - (said[unit] == value)
    with_person = counts[unit, value] - 1
    gap = (with_person >= with_model).astype(float) - (with_model >= with_person)
    as_good = (with_model >= with_person).astype(float)
    p_values, advantages = [], []
    who = people.annotator[usable]
    for code in np.unique(who):
        mine = who == code
        n = int(mine.sum())
        if n < fewest_items:
            continue
        d = gap[mine]
        spread = d.std(ddof=1)
        if spread == 0:
            p_values.append(0.0 if d.mean() < epsilon else 1.0)
        else:
            p_values.append(float(stats.t.cdf((d.mean() - epsilon) / (spread / np.sqrt(n)), n - 1)))
        advantages.append(float(as_good[mine].mean()))
    m = len(p_values)
    if m < FEWEST_PEOPLE:
        reason = (
            f"it needs {FEWEST_PEOPLE} people with {fewest_items} items that the model and somebody else judged too; "
            f"there are {m}"
        )
        return AltTest(None, None, None, m, reason)
    rate = float(np.mean(reject(np.array(p_values), level)))
    return AltTest(rate >= 0.5, rate, float(np.mean(advantages)), m)


def reject(p_values: np.ndarray, level: float) -> np.ndarray:
    """Which hypotheses Benjamini & Yekutieli's (2001) procedure rejects, bool[m]."""
    m = len(p_values)
    order = np.argsort(p_values)
    bounds = level * np.arange(1, m + 1) / (m * (1 / np.arange(1, m + 1)).sum())
    below = np.flatnonzero(p_values[order] <= bounds)
    found = np.zeros(m, dtype=bool)
    if len(below):
        found[order[: below[-1] + 1]] = True
    return found
