"""Between the page and an Answer: what is posted stands in displayed order, what is stored in canonical order.

Field names of the page, `name` being the question's and `p` a response's place on the page, from 0:

    c-name     comparison: -3 … 3, negative = the response further left is better; or a tie's name
    r-name-p   rating            k-name-p   place in a ranking, 1 = best            t-name-p   thumb, 1 or 0
    o-name     choice, repeated where several may be chosen                         x-name     text
    outcome    `answered`, or `skipped:reason`, `flagged:reason`, `cannot_judge:reason`, with note-outcome
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from annotations.projects.schemas import Definition

from .answers import Answer, ComparisonAnswer, FieldError, InvalidAnswer, ScoreAnswer, storable

PREFIX = {"comparison": "c", "rating": "r", "ranking": "k", "thumb": "t", "choice": "o", "text": "x"}
PER_RESPONSE = {"rating", "ranking", "thumb"}
REASON_KEY = {"cannot_judge": "cannot_judge", "skipped": "skip", "flagged": "flag"}
LONGEST_MS = 7 * 24 * 3600 * 1000
_WHOLE = re.compile(r"-?[0-9]{1,4}")
_QUESTION_FIELD = re.compile(r"([crktox])-([a-z][a-z0-9_]*?)(?:-([0-9]))?")
_VIEWPORT = re.compile(r"[0-9]{2,5}x[0-9]{2,5}")

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
    outcome, _, code = _one(values, "outcome", errors, "answered").partition(":")
    common = {"presented_order": presented_order, **_timing(values)}
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
    _refuse_unknown(definition, values, n_responses, errors)
    for question in definition.questions:
        name, kind = question.name, question.kind
        if kind == "comparison":
            comparisons += _comparison(question, values, presented_order, errors)
        elif kind in PER_RESPONSE:
            scores += _scores(question, values, presented_order, n_responses, errors)
        elif kind == "choice":
            chosen = [value for value in values.get(f"o-{name}", ()) if value]
            if question.multiple and chosen:
                answers[name] = chosen
            elif len(chosen) > 1:
                errors.append(FieldError(name, "choose one, not several"))
            elif chosen:
                answers[name] = chosen[0]
        elif name != "reason" and (text := _text(values, f"x-{name}", name, errors)):
            answers[name] = text
    _raise(errors)
    return Answer(
        outcome=outcome,
        comparisons=tuple(comparisons),
        scores=tuple(sorted(scores, key=lambda score: (score.attribute, score.response))),
        answers=answers,
        reason=reason,
        **common,
    )


def to_values(definition: Definition, answer: Answer, presented_order: str) -> dict[str, list[str]]:
    """What the page would have posted for this Answer: the inverse of `to_answer`, to fill the page with it."""
    values: dict[str, list[str]] = {}
    for c in answer.comparisons:
        if c.tie is not None:
            values[f"c-{c.aspect}"] = [c.tie]
        elif c.preference is not None:
            values[f"c-{c.aspect}"] = [str(c.preference * _turned(presented_order))]
    kinds = {question.name: question.kind for question in definition.questions}
    for s in answer.scores:
        prefix = PREFIX[kinds.get(s.attribute, "rating")]
        values[f"{prefix}-{s.attribute}-{presented_order.index(str(s.response))}"] = [f"{s.value:g}"]
    for name, value in answer.answers.items():
        if kinds.get(name) == "choice":
            values[f"o-{name}"] = list(value) if isinstance(value, list) else [value]
        elif kinds.get(name) == "text":
            values[f"x-{name}"] = [value]
    if answer.reason:
        values["x-reason"] = [answer.reason]
    return values


def draft_of(definition: Definition, values: Values, n_responses: int) -> dict[str, list[str]]:
    """The part of the posted values that is an unfinished answer, to be kept with the lease.

    Raises InvalidAnswer for a text that cannot be stored or is far too long.
    """
    known = _known_fields(definition, n_responses) | {"active_ms", "wall_ms", "n_changes"}
    kept = {key: [str(part) for part in parts][:50] for key, parts in values.items() if key in known}
    errors: list[FieldError] = []
    for key, parts in kept.items():
        if any(len(part) > 200_000 for part in parts):
            errors.append(FieldError(key, "longer than 200,000 characters; it is not kept as a draft"))
        if not all(storable(part) for part in parts):
            errors.append(FieldError(key, "holds a NUL character or half a surrogate pair; remove it"))
    _raise(errors)
    return {key: parts for key, parts in kept.items() if any(parts)}


def _raise(errors: list[FieldError]) -> None:
    if errors:
        raise InvalidAnswer(errors)


def _one(values: Values, key: str, errors: list[FieldError], default: str = "", name: str = "") -> str:
    given = [value for value in values.get(key, ()) if value != ""]
    if len(given) > 1:
        errors.append(FieldError(name or key, "answered twice; choose one"))
    return given[0] if given else default


def _whole(values: Values, key: str, name: str, errors: list[FieldError]) -> int | None:
    given = _one(values, key, errors, name=name)
    if not given:
        return None
    if not _WHOLE.fullmatch(given):
        errors.append(FieldError(name, f"{given[:40]!r}: expected a whole number"))
        return None
    return int(given)


def _text(values: Values, key: str, name: str, errors: list[FieldError]) -> str:
    text = _one(values, key, errors, name=name).replace("\r\n", "\n")
    if not storable(text):
        errors.append(FieldError(name, "holds a NUL character or half a surrogate pair; remove it"))
    return text if text.strip() else ""


def _reason(definition: Definition, values: Values, errors: list[FieldError]) -> str:
    asked = any(question.kind == "text" and question.name == "reason" for question in definition.questions)
    return _text(values, "x-reason", "reason", errors) if asked else ""


def _known_fields(definition: Definition, n_responses: int) -> set[str]:
    known = set()
    for question in definition.questions:
        field = f"{PREFIX[question.kind]}-{question.name}"
        known |= (
            {f"{field}-{place}" for place in range(n_responses)} if question.kind in PER_RESPONSE else {field}
        )
    return known


def _refuse_unknown(
    definition: Definition, values: Values, n_responses: int, errors: list[FieldError]
) -> None:
    known = _known_fields(definition, n_responses)
    for key in values:
        if key not in known and (match := _QUESTION_FIELD.fullmatch(key)):
            errors.append(FieldError(match[2], "this project asks no such question"))


def _comparison(question, values: Values, presented_order: str, errors: list[FieldError]) -> list:
    field = f"c-{question.name}"
    given = _one(values, field, errors, name=question.name)
    if given.startswith("equal"):
        return [ComparisonAnswer(0, 1, question.name, tie=given[:10])]
    strength = _whole(values, field, question.name, [])
    if strength is None:
        if given:
            errors.append(FieldError(question.name, f"{given[:40]!r}: choose one of the given answers"))
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


def _bounded(values: Values, key: str, highest: int) -> int | None:
    """A count the browser reports; None where it is missing or makes no sense, which must not stop anybody."""
    given = (values.get(key) or [""])[0]
    if not re.fullmatch(r"[0-9]{1,12}", given):
        return None
    return min(int(given), highest)


def _timing(values: Values) -> dict:
    active, wall = (_bounded(values, key, LONGEST_MS) for key in ("active_ms", "wall_ms"))
    if active is not None and wall is not None:
        active = min(active, wall)
    meta: dict = {}
    for key, field in (("position_in_session", "position"), ("n_changes", "n_changes")):
        if (count := _bounded(values, field, 100_000)) is not None:
            meta[key] = count
    viewport = (values.get("viewport") or [""])[0]
    if _VIEWPORT.fullmatch(viewport):
        meta["viewport"] = viewport
    return {"active_ms": active, "wall_ms": wall, "meta": meta}
