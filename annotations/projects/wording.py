"""A schema's questions in words, for people who choose or check what is asked."""

from __future__ import annotations

from dataclasses import dataclass

from django.utils.translation import gettext, gettext_lazy

from .schemas import Definition

TIES = {
    "equal": gettext_lazy("about equal"),
    "equal_good": gettext_lazy("both good"),
    "equal_bad": gettext_lazy("both bad"),
}


@dataclass(frozen=True, slots=True)
class QuestionWords:
    """One question as a person would read it."""

    label: str
    answers: str
    help: str
    required: bool
    when: str = ""
    """In which case it is asked, empty where always: `if “Which is better?” is answered`."""


def responses_words(definition: Definition) -> str:
    """How many responses an item may have: `2 responses`, `1 to 8 responses`."""
    low, high = definition.responses.min, definition.responses.max
    if low == high:
        return "1 response" if low == 1 else f"{low} responses"
    return f"{low} to {high} responses"


def question_words(definition: Definition) -> list[QuestionWords]:
    """Every question with its answers in words, in the order it is asked."""
    return [
        QuestionWords(
            question.label,
            _answers(question),
            question.help,
            question.required,
            condition_words(definition, question.when),
        )
        for question in definition.questions
    ]


def condition_words(definition: Definition, when) -> str:
    """In which case a question is asked: `if “Which is better?” is “A better” or “about equal”`; empty = always."""
    if when is None:
        return ""
    source = next(question for question in definition.questions if question.name == when.question)
    said = f"if “{source.label}”"
    if when.op == "answered":
        return f"{said} is answered"
    if when.op == "is":
        return f"{said} is {' or '.join(f'“{answer_words(source, value)}”' for value in when.values)}"
    unit = f" ({strength_words(source, when.number)})" if source.kind == "comparison" and source.words else ""
    verb = "is at least" if when.op == "at_least" else "is at most"
    what = "the strength of " if source.kind == "comparison" else ""
    return f"if {what}“{source.label}” {verb} {when.number}{unit}"


def answer_words(question, value: str) -> str:
    """What a value that a condition may ask for is called: `first response better`, `about equal`, an option."""
    if question.kind == "comparison":
        sides = {"first": "the first is better", "second": "the second is better"}
        return str(TIES.get(value) or sides.get(value, value))
    if question.kind == "thumb":
        return {"1": "good", "0": "bad"}.get(value, value)
    return {option.value: option.label for option in getattr(question, "options", ())}.get(value, value)


def strength_words(question, strength: int) -> str:
    """What a strength of 1..scale_max is called: `much better`."""
    if question is not None and question.words and 1 <= strength <= len(question.words):
        return question.words[strength - 1]
    return gettext("better")


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
        return " · ".join([*left, *(str(TIES[tie]) for tie in question.ties), *right])
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
        options = f"any of: {options}" if question.multiple else options
        return f"each response: {options}" if question.per_response else options
    if kind == "span":
        labels = " · ".join(option.label for option in question.options)
        return f"parts of a response marked as: {labels}" + (", with a note" if question.note else "")
    if kind == "rewrite":
        return (
            "a better text, from the best response"
            if question.of == "best"
            else "a better text, from any response"
        )
    parts = ["free text"]
    if question.chips:
        parts.append("with chips " + ", ".join(question.chips))
    if question.min_chars:
        parts.append(f"at least {question.min_chars} characters")
    words = ", ".join(parts)
    return f"each response: {words}" if question.per_response else words
