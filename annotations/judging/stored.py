"""A stored judgment as the Answer it was."""

from __future__ import annotations

from .answers import Answer, ComparisonAnswer, ScoreAnswer
from .models import Judgment


def answer_of(judgment: Judgment) -> Answer:
    """The stored judgment as an Answer, in canonical order; comparisons and scores in the order they were asked."""
    return Answer(
        outcome=judgment.outcome,
        comparisons=tuple(
            ComparisonAnswer(c.first, c.second, c.aspect, c.preference, c.scale_max, c.tie)
            for c in sorted(judgment.comparisons.all(), key=lambda row: row.pk)
        ),
        scores=tuple(
            ScoreAnswer(s.response, s.attribute, s.value, s.scale_min, s.scale_max)
            for s in sorted(judgment.scores.all(), key=lambda row: row.pk)
        ),
        answers=judgment.answers,
        reason=judgment.reason,
        presented_order=judgment.presented_order,
    )
