"""Verdicts of people and models in the platform's signs.

Negative preference = first response better; P = P(second better), ties counted half.
"""

from collections.abc import Sequence
from math import prod
from typing import NamedTuple

from .checks import Bad, shown
from .records import CallRecord, ComparisonRecord, JudgmentRecord

PREFERENCES = {"a": -1, "b": 1}
VERDICTS = {
    "a": (ComparisonRecord(0, 1, "overall", -1, 1, None),),
    "b": (ComparisonRecord(0, 1, "overall", 1, 1, None),),
    "tie": (ComparisonRecord(0, 1, "overall", None, None, "equal"),),
}
UNPARSED = {"cannot_judge": "unparsed"}


class Merged(NamedTuple):
    """What several calls of one model on one pair say together."""

    outcome: str
    preference: int | None
    tie: str | None
    probability: float | None
    order_consistent: bool | None


def merge_calls(calls: Sequence[CallRecord]) -> Merged:
    """One verdict from a model's calls in both orders, or in one, or sampled several times.

    Calls without a label do not vote. Within an order the verdict is the sign of its mean (a = 0,
    tie = 1/2, b = 1). Both orders agree: that verdict, P the mean of the orders' means. They
    disagree: tie `equal`, P = 1/2, not order-consistent. One order only: its verdict, and nothing
    is known of consistency. No label at all: `cannot_judge`.
    """
    votes: dict[str, list[int]] = {}  # order -> [sum of (label b: 1, label a: -1), n]
    for call in calls:
        if call.label is not None:
            tally = votes.setdefault(call.order, [0, 0])
            tally[0] += PREFERENCES.get(call.label, 0)
            tally[1] += 1
    if not votes:
        return Merged("cannot_judge", None, None, None, None)
    consistent = None
    if "ab" in votes and "ba" in votes:
        consistent = sign(votes["ab"][0]) == sign(votes["ba"][0])
        if not consistent:
            return Merged("answered", None, "equal", 0.5, False)
    # Whole numbers: a sum of quotients has a sign that depends on their sequence.
    shared = prod(n for _, n in votes.values())
    lean = sum(total * (shared // n) for total, n in votes.values())
    verdict, probability = sign(lean), (lean / (shared * len(votes)) + 1) / 2
    return Merged("answered", verdict or None, None if verdict else "equal", probability, consistent)


def sign(value: float) -> int:
    return (value > 0) - (value < 0)


def label_of(value, field: str = "label") -> str | None:
    """A pair's label: a, b, tie, or null for an answer nobody could parse."""
    if value is None or (type(value) is str and value in VERDICTS):
        return value
    raise Bad(field, f"expected a, b, tie or null, found {shown(value)}")


def numbered_label(value, field: str) -> str | None:
    """A numbered verdict: 1, 2, 0 or tie, as number or text; `garbage` and null are unparsed."""
    if value is None:
        return None
    word = str(value)[:20].strip().lower() if type(value) in (int, str) else ""
    if word in NUMBERED:
        return NUMBERED[word]
    raise Bad(field, f"expected 1, 2, 0 (tie), garbage or null, found {shown(value)}")


NUMBERED = {"1": "a", "2": "b", "0": "tie", "tie": "tie", "garbage": None}


def labelled(label: str | None, annotator: str, reason: str = "", **more) -> JudgmentRecord:
    """A person's judgment of a pair from a label; null is `cannot_judge`, reason `unparsed`."""
    if label is None:
        answers = {**more.pop("answers", {}), **UNPARSED}
        return JudgmentRecord(annotator, outcome="cannot_judge", answers=answers, reason=reason, **more)
    return JudgmentRecord(annotator, comparisons=VERDICTS[label], reason=reason, **more)


def strength(value: int, annotator: str, reason: str = "") -> JudgmentRecord:
    """A HelpSteer2 strength: -3..3 (negative = first better), 0 is `equal`, -100 is not valid."""
    if value == -100:
        answers = {"cannot_judge": "not_valid"}
        return JudgmentRecord(annotator, outcome="cannot_judge", answers=answers, reason=reason)
    if value == 0:
        return JudgmentRecord(annotator, comparisons=VERDICTS["tie"], reason=reason)
    comparison = ComparisonRecord(0, 1, "overall", value, 3, None)
    return JudgmentRecord(annotator, comparisons=(comparison,), reason=reason)


def model_judgment(annotator: str, calls: Sequence[CallRecord]) -> JudgmentRecord:
    """One judgment of a language model from all its calls on one pair."""
    outcome, preference, tie, probability, consistent = merge_calls(calls)
    label = None if outcome != "answered" else "tie" if tie else "a" if preference < 0 else "b"
    return JudgmentRecord(
        annotator,
        kind="lm",
        outcome=outcome,
        comparisons=VERDICTS[label] if label else (),
        answers={} if label else dict(UNPARSED),
        reason=next((call.reason for call in calls if call.reason and call.label == label), ""),
        probability=probability,
        order_consistent=consistent,
        calls=tuple(calls),
    )
