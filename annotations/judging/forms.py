"""Between the page and an Answer: what is posted stands in displayed order, what is stored in canonical order.

Field names of the page, `name` being the question's and `p` a response's place on the page, from 0:

    c-name     comparison: -3 … 3, negative = the response further left is better; or a tie's name
    r-name-p   rating            k-name-p   place in a ranking, 1 = best            t-name-p   thumb, 1 or 0
    o-name     choice, repeated where several may be chosen                         x-name     text
    o-name-p   choice for each response                                             x-name-p   text for each response
    h-name     marked parts: JSON [{"place", "start", "end", "quote", "label", "note"}]
    w-name     rewritten text    w-name-of  the place of the response it starts from
    outcome    `answered`, or `skipped:reason`, `flagged:reason`, `cannot_judge:reason`, with note-outcome
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

from django.utils.translation import gettext as _

from annotations.projects import conditions
from annotations.projects.schemas import Definition
from app.web.numbers import grouped

from . import free_answers, timing
from .answers import (
    OUTCOME_REASON,
    SCORED,
    Answer,
    ComparisonAnswer,
    FieldError,
    InvalidAnswer,
    ScoreAnswer,
    storable,
)

PREFIX = {
    "comparison": "c", "rating": "r", "ranking": "k", "thumb": "t", "choice": "o", "text": "x", "span": "h",
    "rewrite": "w",
}  # fmt: skip
PER_RESPONSE = SCORED
REASON_KEY = OUTCOME_REASON
SPAN_PARTS = ("start", "end", "quote", "label", "note")
LONGEST_JSON = 1_000_000  # characters of all marked parts of one question
_WHOLE = re.compile(r"-?[0-9]{1,4}")
_QUESTION_FIELD = re.compile(r"([crktoxhw])-([a-z][a-z0-9_]*?)(?:-([0-9]|of))?")

Values = Mapping[str, Sequence[str]]


def compared_places(presented_order: str) -> tuple[int, int]:
    """Where on the page the two compared responses (canonical 0 and 1) stand, left first."""
    places = sorted((presented_order.index("0"), presented_order.index("1")))
    return places[0], places[1]


def _turned(presented_order: str) -> int:
    """1 where the canonically first of the two compared responses stands left, else -1."""
    return 1 if presented_order.index("0") < presented_order.index("1") else -1


def to_answer(definition: Definition, values: Values, presented_order: str, n_responses: int) -> Answer:
    """The posted values as an Answer in canonical order; `values` maps field names to lists of texts.

    Raises InvalidAnswer naming every field that cannot be read; whether the answer fits the schema is for
    `answers.check` to say.
    """
    errors: list[FieldError] = []
    outcome, _colon, code = _one(values, "outcome", errors, "answered").partition(":")
    common = {"presented_order": presented_order, **timing.read(values, n_responses)}
    reason = _reason(definition, values, errors)
    if outcome in REASON_KEY:
        note = _text(values, f"note-{outcome}", outcome, errors)
        _raise(errors)
        return Answer(
            outcome=outcome,
            answers={REASON_KEY[outcome]: code[:64]},
            reason="\n\n".join(part for part in (note, reason) if part),
            **common,
        )
    comparisons: list[ComparisonAnswer] = []
    scores: list[ScoreAnswer] = []
    answers: dict = {}
    back = free_answers.inverse([int(index) for index in presented_order])
    _refuse_unknown(definition, values, n_responses, errors)
    for question in definition.questions:
        name, kind = question.name, question.kind
        if kind == "comparison":
            comparisons += _comparison(question, values, presented_order, errors)
        elif kind in PER_RESPONSE:
            scores += _scores(question, values, presented_order, n_responses, errors)
        elif name != "reason" or kind != "text":
            shown = read_free(question, values, n_responses, errors)
            if shown is not None:
                answers[name] = free_answers.rearranged(question, shown, back)
    answer = Answer(
        outcome=outcome,
        comparisons=tuple(comparisons),
        scores=tuple(sorted(scores, key=lambda score: (score.attribute, score.response))),
        answers=answers,
        reason=reason,
        **common,
    )
    asked = conditions.asked(definition, answer)
    dropped = {question.name for question in definition.questions} - asked
    _raise([error for error in errors if error.field not in dropped])
    return _without(answer, dropped) if dropped else answer


def _without(answer: Answer, dropped: set[str]) -> Answer:
    """The answer without what was entered for questions that turned out not to be asked."""
    return replace(
        answer,
        comparisons=tuple(c for c in answer.comparisons if c.aspect not in dropped),
        scores=tuple(s for s in answer.scores if s.attribute not in dropped),
        answers={name: value for name, value in answer.answers.items() if name not in dropped},
        reason="" if "reason" in dropped else answer.reason,
    )


def to_values(definition: Definition, answer: Answer, presented_order: str) -> dict[str, list[str]]:
    """What the page would have posted for this Answer: the inverse of `to_answer`, to fill the page with it."""
    values: dict[str, list[str]] = {}
    for c in answer.comparisons:
        if c.tie is not None:
            values[f"c-{c.aspect}"] = [c.tie]
        elif c.preference is not None:
            values[f"c-{c.aspect}"] = [str(c.preference * _turned(presented_order))]
    questions = {question.name: question for question in definition.questions}
    for s in answer.scores:
        prefix = PREFIX[questions[s.attribute].kind if s.attribute in questions else "rating"]
        values[f"{prefix}-{s.attribute}-{presented_order.index(str(s.response))}"] = [f"{s.value:g}"]
    order = [int(index) for index in presented_order]
    for name, value in answer.answers.items():
        question = questions.get(name)
        # What a file brought may not fit the question; such an answer is shown elsewhere and cannot be edited here.
        if question is not None and not free_answers.problems(question, value, len(order)):
            values |= write_free(question, free_answers.rearranged(question, value, order))
    if answer.reason:
        values["x-reason"] = [answer.reason]
    return values


def draft_of(definition: Definition, values: Values, n_responses: int) -> dict[str, list[str]]:
    """The part of the posted values that is an unfinished answer, to be kept with the lease.

    Raises InvalidAnswer for a text that cannot be stored or is far too long.
    """
    known = _known_fields(definition, n_responses) | set(timing.KEPT_IN_DRAFTS)
    kept = {key: [str(part) for part in parts][:50] for key, parts in values.items() if key in known}
    errors: list[FieldError] = []
    for key, parts in kept.items():
        longest = LONGEST_JSON if key.startswith("h-") else 200_000
        if any(len(part) > longest for part in parts):
            errors.append(
                FieldError(
                    key,
                    _("longer than {most} characters; it is not kept as a draft").format(
                        most=grouped(longest)
                    ),
                )
            )
        if not all(storable(part) for part in parts):
            errors.append(FieldError(key, _("holds a NUL character or half a surrogate pair; remove it")))
    _raise(errors)
    return {key: parts for key, parts in kept.items() if any(parts)}


def _raise(errors: list[FieldError]) -> None:
    if errors:
        raise InvalidAnswer(errors)


def _one(values: Values, key: str, errors: list[FieldError], default: str = "", name: str = "") -> str:
    given = [value for value in values.get(key, ()) if value != ""]
    if len(given) > 1:
        errors.append(FieldError(name or key, _("answered twice; choose one")))
    return given[0] if given else default


def _whole(values: Values, key: str, name: str, errors: list[FieldError]) -> int | None:
    given = _one(values, key, errors, name=name)
    if not given:
        return None
    if not _WHOLE.fullmatch(given):
        errors.append(FieldError(name, _("{given}: expected a whole number").format(given=repr(given[:40]))))
        return None
    return int(given)


def _text(values: Values, key: str, name: str, errors: list[FieldError]) -> str:
    text = _one(values, key, errors, name=name).replace("\r\n", "\n")
    if not storable(text):
        errors.append(FieldError(name, _("holds a NUL character or half a surrogate pair; remove it")))
    return text if text.strip() else ""


def _reason(definition: Definition, values: Values, errors: list[FieldError]) -> str:
    asked = any(question.kind == "text" and question.name == "reason" for question in definition.questions)
    return _text(values, "x-reason", "reason", errors) if asked else ""


def _known_fields(definition: Definition, n_responses: int) -> set[str]:
    known = set()
    for question in definition.questions:
        field = f"{PREFIX[question.kind]}-{question.name}"
        if question.kind in PER_RESPONSE or getattr(question, "per_response", False):
            known |= {f"{field}-{place}" for place in range(n_responses)}
        else:
            known |= {field, f"{field}-of"} if question.kind == "rewrite" else {field}
    return known


def _refuse_unknown(
    definition: Definition, values: Values, n_responses: int, errors: list[FieldError]
) -> None:
    known = _known_fields(definition, n_responses)
    for key in values:
        if key not in known and (match := _QUESTION_FIELD.fullmatch(key)):
            errors.append(FieldError(match[2], _("this project asks no such question")))


def read_free(question, values: Values, n_responses: int, errors: list[FieldError]):
    """The posted value of a choice, text, span or rewrite by displayed place, or None where nothing was said."""
    field, name = f"{PREFIX[question.kind]}-{question.name}", question.name
    if question.kind == "span":
        return _spans(_one(values, field, errors, name=name), name, n_responses, errors)
    if question.kind == "rewrite":
        text = _text(values, field, name, errors)
        place = _whole(values, f"{field}-of", name, errors)
        if not text:
            return None
        if place is None or not 0 <= place < n_responses:
            errors.append(FieldError(name, _("choose the response you start from")))
            return None
        return {"response": place, "text": text}

    def read(key: str):
        if question.kind == "choice":
            return _choice(question, values, key, errors)
        return _text(values, key, name, errors)

    if not question.per_response:
        return read(field) or None
    parts = [read(f"{field}-{place}") for place in range(n_responses)]
    return parts if any(parts) else None


def write_free(question, value) -> dict[str, list[str]]:
    """The form fields of a value by displayed place; the inverse of `read_free`."""
    field = f"{PREFIX[question.kind]}-{question.name}"
    if question.kind == "span":
        spans = [
            {"place": span["response"], **{key: span.get(key, "") for key in SPAN_PARTS}} for span in value
        ]
        return {field: [json.dumps(spans, ensure_ascii=False)]}
    if question.kind == "rewrite":
        return {field: [value["text"]], f"{field}-of": [str(value["response"])]}
    parts = (
        {f"{field}-{place}": part for place, part in enumerate(value)}
        if question.per_response
        else {field: value}
    )
    return {key: list(part) if isinstance(part, list) else [part] for key, part in parts.items() if part}


def _choice(question, values: Values, key: str, errors: list[FieldError]) -> str | list[str]:
    chosen = [value for value in values.get(key, ()) if value]
    if question.multiple:
        return chosen
    if len(chosen) > 1:
        errors.append(FieldError(question.name, _("choose one, not several")))
    return chosen[0] if chosen else ""


def _spans(text: str, name: str, n_responses: int, errors: list[FieldError]) -> list[dict] | None:
    """Marked parts from the page's JSON, sorted; only their form is checked here."""
    if not text:
        return None
    try:
        given = json.loads(text) if len(text) <= LONGEST_JSON else None
    except (ValueError, RecursionError):
        given = None
    if not isinstance(given, list) or not all(_is_span(part, n_responses) for part in given):
        errors.append(FieldError(name, _("the marked parts could not be read; mark them again")))
        return None
    if not all(storable(part[key]) for part in given for key in ("quote", "label", "note") if key in part):
        errors.append(FieldError(name, _("holds a NUL character or half a surrogate pair; remove it")))
        return None
    spans = [{"response": part["place"], **{key: part.get(key, "") for key in SPAN_PARTS}} for part in given]
    return free_answers.sorted_spans(spans) or None


def _is_span(part: object, n_responses: int) -> bool:
    return (
        isinstance(part, dict)
        and part.keys() <= {"place", "start", "end", "quote", "label", "note"}
        and all(type(part.get(key)) is int for key in ("place", "start", "end"))
        and 0 <= part["place"] < n_responses
        and all(isinstance(part.get(key), str) for key in ("quote", "label"))
        and isinstance(part.get("note", ""), str)
    )


def _comparison(question, values: Values, presented_order: str, errors: list[FieldError]) -> list:
    field = f"c-{question.name}"
    given = _one(values, field, errors, name=question.name)
    if given.startswith("equal"):
        return [ComparisonAnswer(0, 1, question.name, tie=given[:10])]
    strength = _whole(values, field, question.name, [])
    if strength is None:
        if given:
            errors.append(
                FieldError(
                    question.name,
                    _("{given}: choose one of the given answers").format(given=repr(given[:40])),
                )
            )
        return []
    return [
        ComparisonAnswer(0, 1, question.name, strength * _turned(presented_order), question.scale_max),
    ]


def _scores(question, values: Values, presented_order: str, n: int, errors: list[FieldError]) -> list:
    field = f"{PREFIX[question.kind]}-{question.name}"
    given = {
        int(index): value
        for place, index in enumerate(presented_order)
        if (value := _whole(values, f"{field}-{place}", question.name, errors)) is not None
    }
    low, high = {
        "rating": lambda: (question.min, question.max),
        "ranking": lambda: (1, n),
        "thumb": lambda: (0, 1),
    }[question.kind]()
    if question.kind == "ranking" and len(given) == n and all(low <= rank <= high for rank in given.values()):
        # People give places (1, 1, 2); ties share the lowest rank and the next follows after them (1, 1, 3).
        given = {index: 1 + sum(other < rank for other in given.values()) for index, rank in given.items()}
    return [ScoreAnswer(index, question.name, value, low, high) for index, value in given.items()]
