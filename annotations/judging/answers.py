"""What an annotator answers, as plain values, and the check of it against a schema's definition."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from annotations.projects.schemas import Definition

MAX_REASON = 100_000
OUTCOMES = ("answered", "cannot_judge", "skipped", "flagged")
TIES = ("equal_good", "equal_bad", "equal")


@dataclass(frozen=True, slots=True)
class ComparisonAnswer:
    """`first < second` in canonical order; exactly one of `preference` (non-zero) and `tie`."""

    first: int
    second: int
    aspect: str = "overall"
    preference: int | None = None
    scale_max: int | None = None
    tie: str | None = None


@dataclass(frozen=True, slots=True)
class ScoreAnswer:
    """A value of one attribute for one response, on a scale whose bounds may be None."""

    response: int
    attribute: str
    value: float
    scale_min: float | None = None
    scale_max: float | None = None


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a model behind an answer; see `LMCall`."""

    order: str = ""
    label: str = ""
    raw: str = ""
    reason: str = ""
    meta: dict = field(default_factory=dict)
    prompt_hash: str = ""
    tokens_in: int | None = None
    tokens_out: int | None = None
    cost_micros: int | None = None
    latency_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """One annotator's whole answer to one item, in canonical order."""

    outcome: str = "answered"
    comparisons: tuple[ComparisonAnswer, ...] = ()
    scores: tuple[ScoreAnswer, ...] = ()
    answers: dict = field(default_factory=dict)
    reason: str = ""
    probability: float | None = None
    order_consistent: bool | None = None
    presented_order: str = ""
    active_ms: int | None = None
    wall_ms: int | None = None
    meta: dict = field(default_factory=dict)
    calls: tuple[Call, ...] = ()


@dataclass(frozen=True, slots=True)
class FieldError:
    field: str
    message: str


class InvalidAnswer(ValueError):
    """The answer does not fit the schema; `errors` says which field and what was expected."""

    def __init__(self, errors: list[FieldError]):
        super().__init__("; ".join(f"{error.field}: {error.message}" for error in errors))
        self.errors = errors


def storable(text: str) -> bool:
    """Whether the databases can hold this text: no NUL, no lone surrogate."""
    if "\x00" in text:
        return False
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _unstorable(value: object, depth: int = 0) -> str | None:
    """The first reason why a JSON value cannot be stored, or None."""
    kind = type(value)
    if kind is str:
        return None if storable(value) else "holds a NUL character or half a surrogate pair"
    if kind is int or kind is bool or value is None:
        return None
    if kind is float:
        return None if math.isfinite(value) else "holds a number that is not finite"
    if depth > 20:
        return "is nested deeper than 20 levels"
    parts = value
    if isinstance(value, dict):
        parts = [*map(str, value), *value.values()]
    if isinstance(parts, (list, tuple)):
        for part in parts:
            found = _unstorable(part, depth + 1)
            if found:
                return found
    return None


def check_shape(answer: Answer, n_responses: int) -> list[FieldError]:
    """What is wrong with an answer whatever the schema asks: indices, signs, scales, storable text."""
    errors: list[FieldError] = []
    if answer.outcome not in OUTCOMES:
        errors.append(FieldError("outcome", f"{answer.outcome!r}: expected one of {', '.join(OUTCOMES)}"))
    if len(answer.reason) > MAX_REASON:
        errors.append(
            FieldError("reason", f"{len(answer.reason):,} characters; at most {MAX_REASON:,} are stored")
        )
    if not storable(answer.reason):
        errors.append(FieldError("reason", "holds a NUL character or half a surrogate pair; remove it"))
    found = _unstorable(answer.answers)
    if found:
        errors.append(FieldError("answers", found))
    if answer.probability is not None and not 0 <= answer.probability <= 1:
        errors.append(FieldError("probability", f"{answer.probability}: expected 0 to 1"))
    if answer.presented_order and sorted(answer.presented_order) != [str(i) for i in range(n_responses)]:
        errors.append(FieldError("presented_order", f"{answer.presented_order!r}: expected each index once"))
    seen: set[tuple] = set()
    for c in answer.comparisons:
        where = c.aspect
        if not 0 <= c.first < c.second < n_responses:
            errors.append(
                FieldError(where, f"responses {c.first} and {c.second}: expected 0 <= first < second")
            )
        if (c.preference is None) == (c.tie is None):
            errors.append(FieldError(where, "expected a preference or a tie, and not both"))
        elif c.tie is not None and c.tie not in TIES:
            errors.append(FieldError(where, f"tie {c.tie!r}: expected one of {', '.join(TIES)}"))
        elif c.preference is not None and (
            c.scale_max not in (1, 2, 3) or c.preference == 0 or abs(c.preference) > c.scale_max
        ):
            errors.append(
                FieldError(where, f"{c.preference}: expected a strength from 1 to {c.scale_max}, either sign")
            )
        if (c.first, c.second, c.aspect) in seen:
            errors.append(FieldError(where, "answered twice"))
        seen.add((c.first, c.second, c.aspect))
    for s in answer.scores:
        if not 0 <= s.response < n_responses:
            errors.append(FieldError(s.attribute, f"response {s.response}: the item has {n_responses}"))
        if isinstance(s.value, bool) or not math.isfinite(s.value):
            errors.append(FieldError(s.attribute, f"{s.value!r}: expected a number"))
        elif (s.scale_min is not None and s.value < s.scale_min) or (
            s.scale_max is not None and s.value > s.scale_max
        ):
            low, high = ("…" if bound is None else f"{bound:g}" for bound in (s.scale_min, s.scale_max))
            errors.append(FieldError(s.attribute, f"{s.value:g}: expected {low} to {high}"))
        if (s.response, s.attribute) in seen:
            errors.append(FieldError(s.attribute, f"response {s.response} was scored twice"))
        seen.add((s.response, s.attribute))
    return errors


def check_against(definition: Definition, answer: Answer, n_responses: int) -> list[FieldError]:
    """What is wrong with an answer under this definition: unknown names, missing or partial answers."""
    errors: list[FieldError] = []
    asked = {question.name: question for question in definition.questions}
    comparisons = {c.aspect: c for c in answer.comparisons}
    scores: dict[str, dict[int, ScoreAnswer]] = {}
    for s in answer.scores:
        scores.setdefault(s.attribute, {})[s.response] = s
    for name in comparisons:
        if name not in asked or asked[name].kind != "comparison":
            errors.append(FieldError(name, "this project asks no such comparison"))
    for name in scores:
        if name not in asked or asked[name].kind not in {"rating", "ranking", "thumb"}:
            errors.append(FieldError(name, "this project asks for no such attribute"))
    for name in answer.answers:
        if name in asked and asked[name].kind in {"choice", "text"}:
            continue
        if name in {"cannot_judge", "skip", "flag"}:
            continue
        errors.append(FieldError(name, "this project asks no such question"))
    if answer.outcome != "answered":
        key = {"cannot_judge": "cannot_judge", "skipped": "skip", "flagged": "flag"}[answer.outcome]
        code = answer.answers.get(key)
        if code not in {option.value for option in getattr(definition, key)}:
            errors.append(FieldError(key, f"{code!r}: choose one of the given reasons"))
        if answer.comparisons or answer.scores:
            errors.append(FieldError("outcome", "only an answered judgment carries preferences or scores"))
        return errors
    for question in definition.questions:
        errors += _check_question(question, comparisons, scores, answer, n_responses)
    return errors


def _check_question(question, comparisons, scores, answer: Answer, n_responses: int) -> list[FieldError]:
    name, kind = question.name, question.kind
    if kind == "comparison":
        given = comparisons.get(name)
        if given is None:
            return [FieldError(name, "choose one")] if question.required else []
        if given.tie is not None and given.tie not in question.ties:
            return [FieldError(name, f"{given.tie!r}: this question has no such answer")]
        if given.preference is not None and given.scale_max != question.scale_max:
            return [FieldError(name, f"scale {given.scale_max}: expected {question.scale_max}")]
        return []
    if kind in {"rating", "ranking", "thumb"}:
        given = scores.get(name, {})
        if not given:
            return [FieldError(name, "rate every response")] if question.required else []
        if len(given) != n_responses:
            return [FieldError(name, f"{len(given)} of {n_responses} responses: answer for every one")]
        low, high = {
            "rating": lambda: (question.min, question.max),
            "ranking": lambda: (1, n_responses),
            "thumb": lambda: (0, 1),
        }[kind]()
        errors = [
            FieldError(name, f"{s.value:g}: expected a whole number from {low} to {high}")
            for s in given.values()
            if not low <= s.value <= high or s.value != int(s.value)
        ]
        if kind == "ranking" and not errors:
            errors = _check_ranks(question, sorted(int(s.value) for s in given.values()))
        return errors
    value = answer.reason if name == "reason" and kind == "text" else answer.answers.get(name)
    if value in (None, "", []):
        return [FieldError(name, "answer this question")] if question.required else []
    if kind == "text":
        if not isinstance(value, str):
            return [FieldError(name, "expected a text")]
        if not question.min_chars <= len(value) <= question.max_chars:
            return [
                FieldError(
                    name, f"{len(value)} characters: expected {question.min_chars} to {question.max_chars}"
                )
            ]
        return []
    chosen = value if isinstance(value, list) else [value]
    options = {option.value for option in question.options}
    if (isinstance(value, list) and not question.multiple) or not all(
        isinstance(part, str) and part in options for part in chosen
    ):
        return [
            FieldError(name, f"{value!r}: expected {'some' if question.multiple else 'one'} of the options")
        ]
    return []


def _check_ranks(question, ranks: list[int]) -> list[FieldError]:
    """Ranks share the lowest place on a tie: 1, 1, 3 is right and 1, 1, 2 is not."""
    expected = [sum(other < rank for other in ranks) + 1 for rank in ranks]
    if ranks != expected:
        return [FieldError(question.name, f"{ranks}: tied responses share the lowest place, as in 1, 1, 3")]
    if not question.ties and len(set(ranks)) != len(ranks):
        return [FieldError(question.name, "ties are not allowed here")]
    return []


def check(definition: Definition, answer: Answer, n_responses: int) -> None:
    """Raise InvalidAnswer if the answer does not fit an item of `n_responses` under this definition."""
    errors = check_shape(answer, n_responses)
    if not errors:
        errors = check_against(definition, answer, n_responses)
    if errors:
        raise InvalidAnswer(errors)
