"""Offline baselines: rules that judge without any model, so that a project has something to beat.

A baseline is not a language model. Pages name it as a baseline, and it is left out of routing as soon as a real
model has judged.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from annotations.judging.answers import Answer, ComparisonAnswer

LONGER_WINS = "longer_wins"
NAMES = {LONGER_WINS: "Longer response wins (baseline)"}
EXPLANATIONS = {LONGER_WINS: "Prefers the response with more characters. A rule, not a language model."}


def longer_probability(first: int, second: int) -> float:
    """P(second better) from two lengths in characters: sigma(2 ln(second / first)) = b^2 / (a^2 + b^2).

    A squashed log length ratio: 0.5 for equal lengths, 0.8 for twice as long. It is not calibrated; it only
    grades how clear the rule's own verdict is.
    """
    if first == second:
        return 0.5
    if not first or not second:
        return float(second > first)
    return 1 / (1 + math.exp(-2 * math.log(second / first)))


def judge(rule: str, texts: Sequence[str], *, aspect: str = "overall") -> Answer:
    """The rule's answer to an item with these response texts (the first two are compared).

    The verdict is +-1 of 1, a tie for equal lengths; the order shown cannot matter, so it is order-consistent.
    Raises KeyError for an unknown rule, ValueError for fewer than two texts.
    """
    if rule != LONGER_WINS:
        raise KeyError(rule)
    if len(texts) < 2:
        raise ValueError("a comparison needs two responses")
    first, second = len(texts[0]), len(texts[1])
    if first == second:
        verdict = ComparisonAnswer(0, 1, aspect, tie="equal")
    else:
        verdict = ComparisonAnswer(0, 1, aspect, preference=1 if second > first else -1, scale_max=1)
    return Answer(
        comparisons=(verdict,),
        probability=longer_probability(first, second),
        order_consistent=True,
        meta={"rule": rule, "characters": [first, second]},
    )


def definition(aspect: str) -> dict:
    """The task a baseline answers: one comparison on a scale of one, ties allowed, and nothing else."""
    return {
        "title": "Comparison only",
        "questions": [
            {
                "kind": "comparison",
                "name": aspect,
                "label": "Which response is better?",
                "scale_max": 1,
                "ties": ["equal"],
            }
        ],
    }
