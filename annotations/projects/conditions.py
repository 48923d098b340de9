"""Which questions are asked: conditions on earlier answers, evaluated in order. Pure; the page's script mirrors it.

An answer is anything with `comparisons`, `scores`, `answers` and `reason` as in `judging.answers.Answer`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from .schemas import Condition, Definition, Question


class Answered(Protocol):
    """What is read of an answer; everything in canonical order."""

    comparisons: tuple
    scores: tuple
    answers: dict
    reason: str


@dataclass(frozen=True, slots=True)
class Given:
    """What a condition can look at in one answer: its values as texts, and its numbers."""

    words: tuple[str, ...] = ()
    numbers: tuple[float, ...] = ()


def asked(definition: Definition, answer: Answered) -> frozenset[str]:
    """The names of the questions that are asked of somebody who answered so.

    A question whose condition names one that is not asked is not asked either.
    """
    questions = definition.questions
    if all(question.when is None for question in questions):
        return frozenset(question.name for question in questions)
    by_name = {question.name: question for question in questions}
    found: set[str] = set()
    for question in questions:
        when = question.when
        if when is None or (when.question in found and holds(when, given(by_name[when.question], answer))):
            found.add(question.name)
    return frozenset(found)


def holds(condition: Condition, answer: Given | None) -> bool:
    """Whether the answer to the condition's question fits it; None = not answered, which fits nothing."""
    if answer is None:
        return False
    if condition.op == "answered":
        return True
    if condition.op == "is":
        return any(word in condition.values for word in answer.words)
    if condition.op == "at_least":
        return any(number >= condition.number for number in answer.numbers)
    return any(number <= condition.number for number in answer.numbers)


def given(question: Question, answer: Answered) -> Given | None:
    """What was answered to the question, or None. Takes any answer, also one that does not fit the question."""
    name, kind = question.name, question.kind
    if kind == "comparison":
        for c in answer.comparisons:
            if c.aspect == name and c.tie is not None:
                return Given((c.tie,), (0,))
            if c.aspect == name and c.preference is not None:
                return Given(("first" if c.preference < 0 else "second",), (abs(c.preference),))
        return None
    if kind in {"rating", "ranking", "thumb"}:
        numbers = tuple(s.value for s in answer.scores if s.attribute == name)
        return Given(tuple(f"{number:g}" for number in numbers), numbers) if numbers else None
    if name == "reason" and kind == "text":
        return Given() if answer.reason.strip() else None
    words = tuple(_texts(answer.answers.get(name), {"choice": None, "span": "label"}.get(kind, "text")))
    if not any(word.strip() for word in words):
        return None
    return Given(() if kind in {"text", "rewrite"} else words)


def _texts(value: object, key: str | None, depth: int = 0):
    """The texts in a stored answer: itself, those in its lists, and those under `key` of its objects."""
    if isinstance(value, str):
        if value:
            yield value
    elif isinstance(value, dict) and key is not None:
        yield from _texts(value.get(key), None, depth + 1)
    elif isinstance(value, (list, tuple)) and depth < 3:
        for part in value:
            yield from _texts(part, key, depth + 1)


def possible_words(question: Question) -> tuple[str, ...]:
    """What `is` can ask of a question's answer; empty where it can ask nothing."""
    kind = question.kind
    if kind == "comparison":
        return ("first", "second", *question.ties)
    if kind == "rating":
        return tuple(str(value) for value in range(question.min, question.max + 1))
    if kind == "thumb":
        return ("0", "1")
    if kind == "ranking":
        return tuple(str(place) for place in range(1, 9))
    if kind in {"choice", "span"}:
        return tuple(option.value for option in question.options)
    return ()


def possible_numbers(question: Question) -> tuple[int, int] | None:
    """The lowest and highest number `at_least` and `at_most` can compare with, or None where there is none."""
    return {
        "comparison": lambda: (0 if question.ties else 1, question.scale_max),
        "rating": lambda: (question.min, question.max),
        "ranking": lambda: (1, 8),
        "thumb": lambda: (0, 1),
    }.get(question.kind, lambda: None)()
