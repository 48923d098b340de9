"""A schema's questions in words, for people who choose or check what is asked."""

from __future__ import annotations

from dataclasses import dataclass

from .schemas import Definition

TIES = {"equal": "about equal", "equal_good": "both good", "equal_bad": "both bad"}


@dataclass(frozen=True, slots=True)
class QuestionWords:
    """One question as a person would read it."""

    label: str
    answers: str
    help: str
    required: bool


def responses_words(definition: Definition) -> str:
    """How many responses an item may have: `2 responses`, `1 to 8 responses`."""
    low, high = definition.responses.min, definition.responses.max
    if low == high:
        return "1 response" if low == 1 else f"{low} responses"
    return f"{low} to {high} responses"


def question_words(definition: Definition) -> list[QuestionWords]:
    """Every question with its answers in words, in the order it is asked."""
    return [
        QuestionWords(question.label, _answers(question), question.help, question.required)
        for question in definition.questions
    ]


def strength_words(question, strength: int) -> str:
    """What a strength of 1..scale_max is called: `much better`."""
    if question is not None and question.words and 1 <= strength <= len(question.words):
        return question.words[strength - 1]
    return "better"


def _answers(question) -> str:
    kind = question.kind
    if kind == "comparison":
        strengths = range(question.scale_max, 0, -1)
        if question.words or question.scale_max == 1:
            left = [f"A {strength_words(question, s)}" for s in strengths]
            right = [f"B {strength_words(question, s)}" for s in reversed(strengths)]
        else:
            left = [f"A {s}" for s in strengths]
            right = [f"B {s}" for s in reversed(strengths)]
        return " · ".join([*left, *(TIES[tie] for tie in question.ties), *right])
    if kind == "rating":
        if question.words:
            return "each response: " + " · ".join(question.words)
        return f"each response: {question.min} to {question.max}"
    if kind == "ranking":
        return "best first, ties allowed" if question.ties else "best first, no ties"
    if kind == "thumb":
        return "each response: up or down"
    if kind == "choice":
        options = " · ".join(option.label for option in question.options)
        return f"any of: {options}" if question.multiple else options
    parts = ["free text"]
    if question.chips:
        parts.append("with chips " + ", ".join(question.chips))
    if question.min_chars:
        parts.append(f"at least {question.min_chars} characters")
    return ", ".join(parts)
