"""Expected answers of gate items: their JSON form, and whether an answer fits one.

The JSON form is that of a judgment in the native JSONL, with only what is expected:

    {"outcome": "answered", "comparisons": [{"first", "second", "aspect", "preference", "scale_max", "tie"}],
     "scores": [{"response", "attribute", "value", "scale": [low, high]}], "answers": {name: value}}
"""

from __future__ import annotations

from dataclasses import dataclass

from .answers import Answer, ComparisonAnswer, FieldError, InvalidAnswer, ScoreAnswer

KEYS = {"outcome", "comparisons", "scores", "answers"}


@dataclass(frozen=True, slots=True)
class Tolerance:
    """How exactly an expectation must be met."""

    strength_within: int | None = None
    """Steps a preference may differ; None = the same side is enough."""
    score_within: int = 1
    """Steps a score may differ."""
    unordered: frozenset[str] = frozenset()
    """Choices of several, for which the order of what is chosen says nothing."""


def to_json(answer: Answer) -> dict:
    """The answer in the JSON form; free texts, marked spans and rewrites are nothing to expect and are left out."""
    return {
        "outcome": answer.outcome,
        "comparisons": [
            {
                "first": c.first,
                "second": c.second,
                "aspect": c.aspect,
                "preference": c.preference,
                "scale_max": c.scale_max,
                "tie": c.tie,
            }
            for c in answer.comparisons
        ],
        "scores": [
            {
                "response": s.response,
                "attribute": s.attribute,
                "value": s.value,
                "scale": [s.scale_min, s.scale_max],
            }
            for s in answer.scores
        ],
        "answers": dict(answer.answers),
    }


def from_json(value: object) -> Answer:
    """The Answer of the JSON form. Raises InvalidAnswer where it is not of that form."""
    errors: list[FieldError] = []
    if not isinstance(value, dict):
        raise InvalidAnswer([FieldError("answer", "expected an object")])
    errors += [
        FieldError(str(key)[:60], f"unknown; expected some of {', '.join(sorted(KEYS))}")
        for key in value
        if key not in KEYS
    ]
    comparisons, scores = [], []
    for row in _rows(value, "comparisons", errors):
        try:
            comparisons.append(
                ComparisonAnswer(
                    int(row.get("first", 0)),
                    int(row.get("second", 1)),
                    str(row.get("aspect", "overall")),
                    None if row.get("preference") is None else int(row["preference"]),
                    None if row.get("scale_max") is None else int(row["scale_max"]),
                    row.get("tie"),
                )
            )
        except (TypeError, ValueError, OverflowError):
            errors.append(FieldError("comparisons", "expected whole numbers"))
    for row in _rows(value, "scores", errors):
        try:
            low, high = row.get("scale") or (None, None)
            scores.append(
                ScoreAnswer(int(row["response"]), str(row["attribute"]), float(row["value"]), low, high)
            )
        except (KeyError, TypeError, ValueError, OverflowError):
            errors.append(FieldError("scores", "expected a response, an attribute and a value each"))
    answers = value.get("answers", {})
    if not isinstance(answers, dict):
        errors.append(FieldError("answers", "expected an object"))
    outcome = value.get("outcome", "answered")
    if outcome not in {"answered", "cannot_judge"}:
        errors.append(FieldError("outcome", "expected answered or cannot_judge"))
    if not errors and outcome == "answered" and not (comparisons or scores or answers):
        errors.append(FieldError("answer", "expects nothing; say at least one answer"))
    if errors:
        raise InvalidAnswer(errors)
    return Answer(outcome=outcome, comparisons=tuple(comparisons), scores=tuple(scores), answers=answers)


def _rows(value: dict, key: str, errors: list[FieldError]) -> list[dict]:
    rows = value.get(key, [])
    if not isinstance(rows, list) or len(rows) > 100 or not all(isinstance(row, dict) for row in rows):
        errors.append(FieldError(key, "expected a list of at most 100 objects"))
        return []
    return rows


def fits(expected: Answer, given: Answer, tolerance: Tolerance) -> bool:
    """Whether `given` says what is expected, within the tolerance; both in canonical order.

    Only what is expected is compared. Where sides are enough, a tie fits a tie of any kind. An expected choice
    must be chosen; of an expected choice of several, exactly these.
    """
    if given.outcome != expected.outcome:
        return False
    if expected.outcome != "answered":
        return True
    said = {(c.first, c.second, c.aspect): c for c in given.comparisons}
    for wanted in expected.comparisons:
        got = said.get((wanted.first, wanted.second, wanted.aspect))
        if got is None or not _same_comparison(wanted, got, tolerance.strength_within):
            return False
    scored = {(s.response, s.attribute): s.value for s in given.scores}
    for wanted in expected.scores:
        value = scored.get((wanted.response, wanted.attribute))
        if value is None or abs(value - wanted.value) > tolerance.score_within:
            return False
    return all(
        _same(value, given.answers.get(name), name in tolerance.unordered)
        for name, value in expected.answers.items()
    )


def _same_comparison(wanted: ComparisonAnswer, got: ComparisonAnswer, within: int | None) -> bool:
    a, b = wanted.preference or 0, got.preference or 0
    if within is None:
        return (a > 0) - (a < 0) == (b > 0) - (b < 0)
    if within == 0 and (wanted.tie or got.tie):
        return wanted.tie == got.tie
    return abs(a - b) <= within


def _same(wanted: object, got: object, unordered: bool) -> bool:
    if unordered and isinstance(wanted, list) and isinstance(got, list):
        return sorted(map(str, wanted)) == sorted(map(str, got))
    return wanted == got


def fits_any(accepted: list[Answer], given: Answer, tolerance: Tolerance) -> bool:
    """Whether the answer fits one of those that are accepted."""
    return any(fits(each, given, tolerance) for each in accepted)


def consistent(first: Answer, again: Answer) -> bool:
    """Whether a person said the same twice: the same side in the first comparison asked, and where there is none,
    every score within one step."""
    if first.outcome != again.outcome:
        return False
    if first.comparisons:
        wanted = Answer(comparisons=first.comparisons[:1])
    else:
        wanted = Answer(scores=first.scores)
    return fits(wanted, again, Tolerance())
