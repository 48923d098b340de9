"""How unsure the language models are of each item: signals from their judgments, one score, and its reasons.

Pure: arrays in, frozen dataclass out. With the models' judgments of an item,

    margin   u = 1 - |2 p - 1|                         p = mean P(second better), ties 0.5
    swap     s = share of judgments whose two orders contradict each other, of those shown in both orders
    dissent  d = entropy of the models' verdicts (first, tie, second) / ln 3
    null     z = share of judgments without a verdict
    score      = (u + s + d + z) / 4

each signal in [0, 1] with the same weight, 0 where it is not known. An item on which no model gave a verdict scores
1, above every other: only a person can judge it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from annotations.lm.statistics import NONE, entropy, votes

SIGNALS = ("margin", "swap", "dissent", "null")


@dataclass(frozen=True)
class Signals:
    """Per item: `judged` models, `verdicts` of them, mean `probability` (NaN without verdicts), signals in [0, 1]."""

    judged: np.ndarray
    verdicts: np.ndarray
    probability: np.ndarray
    margin: np.ndarray
    swap: np.ndarray
    dissent: np.ndarray
    null: np.ndarray

    def score(self) -> np.ndarray:
        """The combined score of each item, float[n] in [0, 1]; higher means less sure."""
        combined = (self.margin + self.swap + self.dissent + self.null) / len(SIGNALS)
        return np.where(self.verdicts == 0, 1.0, combined)

    def reasons(self, i: int) -> list[dict]:
        """Why item `i` scores what it scores: [{"code", "value"}], strongest first, signals of 0 left out."""
        if not self.verdicts[i]:
            return [{"code": "null" if self.judged[i] else "unjudged", "value": 1.0}]
        found = [(name, float(getattr(self, name)[i])) for name in SIGNALS]
        found = sorted((pair for pair in found if pair[1] > 0), key=lambda pair: -pair[1])
        return [
            {
                "code": name,
                "value": round(float(self.probability[i]) if name == "margin" else value, 4),
            }
            for name, value in found
        ]


def signals(
    place: np.ndarray, verdict: np.ndarray, probability: np.ndarray, consistent: np.ndarray, n_items: int
) -> Signals:
    """Signals of `n_items` items from the models' judgments, one entry each.

    place int[m]: item of the judgment; verdict int8[m]: -1, 0, 1 or `NONE`; probability float[m]: P(second better)
    or NaN; consistent int8[m]: 1, 0, or -1 where only one order is known.
    """

    def count(mask: np.ndarray) -> np.ndarray:
        return np.bincount(place[mask], minlength=n_items)

    def share(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
        return np.divide(part, whole, out=np.zeros(n_items), where=whole > 0)

    given, known = verdict != NONE, ~np.isnan(probability) & (verdict != NONE)
    judged, told = count(np.ones(len(place), dtype=bool)), count(known)
    total = np.bincount(place[known], weights=probability[known], minlength=n_items)
    p = np.divide(total, told, out=np.full(n_items, np.nan), where=told > 0)
    return Signals(
        judged=judged,
        verdicts=count(given),
        probability=p,
        margin=np.nan_to_num(1 - np.abs(2 * p - 1), nan=0.0),
        swap=share(count(consistent == 0), count(consistent >= 0)),
        dissent=entropy(votes(place, verdict, n_items)),
        null=share(count(~given), judged),
    )


def concatenate(parts: list[Signals]) -> Signals:
    """The signals of several batches as one."""
    return Signals(
        *(
            np.concatenate([getattr(part, name) for part in parts]) if parts else np.zeros(0)
            for name in Signals.__dataclass_fields__
        )
    )


def in_words(reason: dict) -> str:
    """One reason as a person reads it."""
    code, value = reason["code"], reason["value"]
    return {
        "unjudged": "no model has judged it",
        "null": f"{value:.0%} of the models' answers give no verdict",
        "swap": f"the two orders contradict each other in {value:.0%} of the answers",
        "dissent": f"the models disagree with each other (entropy {value:.2f} of 1)",
        "margin": f"mean P(second better) {value:.2f}",
    }.get(code, code)
