"""What is wrong between the parts of a definition that are right each by itself; pure, with a path for each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from . import conditions

if TYPE_CHECKING:
    from .schemas import Definition

Path = tuple[str | int, ...]
KEYS = 9  # digits 1 to 9 choose an answer of a row
LARGEST = 9999  # what the page reads as a rating
RESERVED = ("cannot_judge", "skip", "flag", "source_meta")
REASONS = ("cannot_judge", "skip", "flag")


def contradictions(definition: Definition) -> Iterator[tuple[Path, str]]:
    """What no version may hold, designed or made from a file."""
    names = [question.name for question in definition.questions]
    kinds = [question.kind for question in definition.questions]
    if "comparison" in kinds and definition.responses.min < 2:
        yield ("responses", "min"), "a comparison needs at least two responses"
    if definition.responses.min > definition.responses.max:
        yield ("responses", "max"), "expected min <= max"
    for place, question in enumerate(definition.questions):
        here: Path = ("questions", place)
        earlier = definition.questions[:place]
        if question.name in names[:place]:
            yield (*here, "name"), f"the name {question.name!r} is used twice"
        if question.kind in {"ranking", "thumb"} and question.kind in kinds[:place]:
            yield (*here, "kind"), f"expected at most one {question.kind} question"
        if question.name == "reason" and getattr(question, "per_response", False):
            yield (*here, "per_response"), "'reason' is one text; name one per response otherwise"
        if question.kind == "text" and question.min_chars > question.max_chars:
            yield (*here, "min_chars"), f"expected at most max_chars, {question.max_chars}"
        for at, tie in _twice(getattr(question, "ties", ()) if question.kind == "comparison" else ()):
            yield (*here, "ties", at), f"{tie!r} stands there twice"
        for at, value in _twice(option.value for option in getattr(question, "options", ())):
            yield (*here, "options", at, "value"), f"the value {value!r} is used twice"
        if question.when is not None:
            source = next((q for q in earlier if q.name == question.when.question), None)
            for key, message in _misfits(question.when, source):
                yield (*here, "when", key), message
    for key in REASONS:
        for at, value in _twice(option.value for option in getattr(definition, key)):
            yield (key, at, "value"), f"the value {value!r} is used twice"


def _twice(values: Iterable[str]) -> Iterator[tuple[int, str]]:
    seen: set[str] = set()
    for at, value in enumerate(values):
        if value in seen:
            yield at, value
        seen.add(value)


def _misfits(when, source) -> Iterator[tuple[str, str]]:
    """Why a condition cannot be asked of the question it names."""
    if source is None:
        yield "question", f"{when.question!r} is not asked before this question"
        return
    if when.op == "is":
        possible = conditions.possible_words(source)
        if not possible:
            yield "op", f"a {source.kind} question can only be asked whether it is answered"
        elif unknown := [value for value in when.values if value not in possible]:
            expected = ", ".join(possible[:12]) + (", …" if len(possible) > 12 else "")
            yield (
                "values",
                f"{unknown[0]!r}: {when.question!r} has no such answer; expected some of {expected}",
            )
    elif when.op in {"at_least", "at_most"}:
        bounds = conditions.possible_numbers(source)
        if bounds is None:
            yield "op", f"a {source.kind} question has no number to compare"
        elif not bounds[0] <= when.number <= bounds[1]:
            yield "number", f"{when.number}: expected {bounds[0]} to {bounds[1]}"


def key_clashes(definition: Definition) -> Iterator[tuple[Path, str]]:
    """What a design may not ask although it could be stored: answers that share a key, names that are taken.

    A comparison's answers, a span's labels and the reasons to skip, flag or not judge are chosen by the digits 1 to
    9; a tenth would have none. Options of a choice beyond the ninth are reached by arrows.
    """
    for place, question in enumerate(definition.questions):
        here: Path = ("questions", place)
        if question.name in RESERVED:
            yield (*here, "name"), f"the name {question.name!r} is taken; choose another one"
        if question.name == "reason" and question.kind != "text":
            yield (*here, "name"), "the name 'reason' is kept for the text question"
        if question.kind == "comparison":
            n = 2 * question.scale_max + len(question.ties)
            if n > KEYS:
                yield (
                    (*here, "ties"),
                    f"{n} answers in a row, and keys 1 to {KEYS}: take away {_ties(n - KEYS)}, or ask a strength less",
                )
        if question.kind == "rating" and not -LARGEST <= question.min <= question.max <= LARGEST:
            yield (*here, "max"), f"expected values from -{LARGEST} to {LARGEST}"
        if question.kind == "span" and len(question.options) > KEYS:
            yield (*here, "options"), f"{len(question.options)} labels, and keys 1 to {KEYS}: take some away"
    for key in REASONS:
        if len(getattr(definition, key)) > KEYS:
            yield (key,), f"{len(getattr(definition, key))} reasons, and keys 1 to {KEYS}: take some away"


def _ties(n: int) -> str:
    return "a tie" if n == 1 else f"{n} ties"
