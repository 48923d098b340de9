"""What an annotator answers, as plain values, and the check of it against a schema's definition."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from django.utils.translation import gettext as _

from annotations.projects import conditions
from annotations.projects.schemas import Definition
from app.web.numbers import grouped

from . import free_answers
from .free_answers import TextOf

MAX_REASON = 100_000
OUTCOMES = ("answered", "cannot_judge", "skipped", "flagged")
TIES = ("equal_good", "equal_bad", "equal")
SCORED = frozenset(("rating", "ranking", "thumb"))
OUTCOME_REASON = {"cannot_judge": "cannot_judge", "skipped": "skip", "flagged": "flag"}


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
        return None if storable(value) else _("holds a NUL character or half a surrogate pair")
    if kind is int or kind is bool or value is None:
        return None
    if kind is float:
        return None if math.isfinite(value) else _("holds a number that is not finite")
    if depth > 20:
        return _("is nested deeper than 20 levels")
    if isinstance(value, dict):
        if not storable("".join(map(str, value))):
            return _("holds a NUL character or half a surrogate pair")
        parts = value.values()
    elif isinstance(value, (list, tuple)):
        parts = value
    else:
        return None
    for part in parts:
        found = _unstorable(part, depth + 1)
        if found:
            return found
    return None


def check_shape(answer: Answer, n_responses: int) -> list[FieldError]:
    """What is wrong with an answer whatever the schema asks: indices, signs, scales, storable text."""
    errors: list[FieldError] = []
    if answer.outcome not in OUTCOMES:
        errors.append(
            FieldError(
                "outcome",
                _("{given}: expected one of {allowed}").format(
                    given=repr(answer.outcome), allowed=", ".join(OUTCOMES)
                ),
            )
        )
    if len(answer.reason) > MAX_REASON:
        errors.append(
            FieldError(
                "reason",
                _("{n} characters; at most {most} are stored").format(
                    n=grouped(len(answer.reason)), most=grouped(MAX_REASON)
                ),
            )
        )
    if not storable(answer.reason):
        errors.append(FieldError("reason", _("holds a NUL character or half a surrogate pair; remove it")))
    found = _unstorable(answer.answers) if answer.answers else None
    if found:
        errors.append(FieldError("answers", found))
    if answer.probability is not None and not 0 <= answer.probability <= 1:
        errors.append(
            FieldError("probability", _("{given}: expected 0 to 1").format(given=answer.probability))
        )
    if answer.presented_order and sorted(answer.presented_order) != [str(i) for i in range(n_responses)]:
        errors.append(
            FieldError(
                "presented_order",
                _("{given}: expected each index once").format(given=repr(answer.presented_order)),
            )
        )
    seen: set[tuple] = set()
    for c in answer.comparisons:
        where = c.aspect
        if not 0 <= c.first < c.second < n_responses:
            errors.append(
                FieldError(
                    where,
                    _("responses {first} and {second}: expected 0 <= first < second").format(
                        first=c.first, second=c.second
                    ),
                )
            )
        if (c.preference is None) == (c.tie is None):
            errors.append(FieldError(where, _("expected a preference or a tie, and not both")))
        elif c.tie is not None and c.tie not in TIES:
            errors.append(
                FieldError(
                    where,
                    _("tie {given}: expected one of {allowed}").format(
                        given=repr(c.tie), allowed=", ".join(TIES)
                    ),
                )
            )
        elif c.preference is not None and (
            c.scale_max not in (1, 2, 3, 4) or c.preference == 0 or abs(c.preference) > c.scale_max
        ):
            errors.append(
                FieldError(
                    where,
                    _("{given}: expected a strength from 1 to {most}, either sign").format(
                        given=c.preference, most=c.scale_max
                    ),
                )
            )
        if (c.first, c.second, c.aspect) in seen:
            errors.append(FieldError(where, _("answered twice")))
        seen.add((c.first, c.second, c.aspect))
    for s in answer.scores:
        if not 0 <= s.response < n_responses:
            errors.append(
                FieldError(
                    s.attribute,
                    _("response {given}: the item has {n}").format(given=s.response, n=n_responses),
                )
            )
        if isinstance(s.value, bool) or not math.isfinite(s.value):
            errors.append(
                FieldError(s.attribute, _("{given}: expected a number").format(given=repr(s.value)))
            )
        elif (s.scale_min is not None and s.value < s.scale_min) or (
            s.scale_max is not None and s.value > s.scale_max
        ):
            low, high = ("…" if bound is None else f"{bound:g}" for bound in (s.scale_min, s.scale_max))
            errors.append(
                FieldError(
                    s.attribute,
                    _("{given}: expected {low} to {high}").format(given=f"{s.value:g}", low=low, high=high),
                )
            )
        if (s.response, s.attribute) in seen:
            errors.append(
                FieldError(s.attribute, _("response {given} was scored twice").format(given=s.response))
            )
        seen.add((s.response, s.attribute))
    return errors


def check_against(
    definition: Definition, answer: Answer, n_responses: int, text_of: TextOf | None = None
) -> list[FieldError]:
    """What is wrong with an answer under this definition: unknown names, missing or partial answers.

    Questions whose condition does not hold are not asked, and the answer may hold nothing for them.
    """
    errors: list[FieldError] = []
    questions = {question.name: question for question in definition.questions}
    comparisons = {c.aspect: c for c in answer.comparisons}
    scores: dict[str, dict[int, ScoreAnswer]] = {}
    for s in answer.scores:
        scores.setdefault(s.attribute, {})[s.response] = s
    for name in comparisons:
        if name not in questions or questions[name].kind != "comparison":
            errors.append(FieldError(name, _("this project asks no such comparison")))
    for name in scores:
        if name not in questions or questions[name].kind not in SCORED:
            errors.append(FieldError(name, _("this project asks for no such attribute")))
    reason_key = OUTCOME_REASON.get(answer.outcome)
    for name in answer.answers:
        if name == reason_key:
            continue
        if reason_key is not None and name in questions:
            errors.append(FieldError(name, _("only an answered judgment carries answers")))
        elif name not in questions or questions[name].kind not in free_answers.KINDS or name == "reason":
            errors.append(FieldError(name, _("this project asks no such question")))
    if reason_key is not None:
        code = answer.answers.get(reason_key)
        if not isinstance(code, str) or code not in {o.value for o in getattr(definition, reason_key)}:
            errors.append(
                FieldError(
                    reason_key,
                    _("{given}: choose one of the given reasons").format(given=repr(str(code)[:64])),
                )
            )
        if answer.comparisons or answer.scores:
            errors.append(FieldError("outcome", _("only an answered judgment carries preferences or scores")))
        return errors
    asked = conditions.asked(definition, answer)
    for question in definition.questions:
        if question.name in asked:
            errors += _check_question(question, comparisons, scores, answer, n_responses, text_of)
        elif (
            question.name in comparisons
            or question.name in scores
            or free_answers.is_given(_free_value(question, answer))
        ):
            errors.append(
                FieldError(question.name, _("this question is not asked after the answers before it"))
            )
    errors += _check_rewrites(definition, answer, n_responses) if not errors else []
    return errors


def _free_value(question, answer: Answer) -> object:
    """The stored value of a choice, text, span or rewrite; the text named `reason` has a column of its own."""
    if question.name == "reason" and question.kind == "text":
        return answer.reason
    return answer.answers.get(question.name)


def _check_question(
    question, comparisons, scores, answer: Answer, n_responses: int, text_of: TextOf | None
) -> list[FieldError]:
    name, kind = question.name, question.kind
    if kind == "comparison":
        given = comparisons.get(name)
        if given is None:
            return [FieldError(name, _("choose one"))] if question.required else []
        if given.tie is not None and given.tie not in question.ties:
            return [
                FieldError(name, _("{given}: this question has no such answer").format(given=repr(given.tie)))
            ]
        if given.preference is not None and given.scale_max != question.scale_max:
            return [
                FieldError(
                    name,
                    _("scale {given}: expected {expected}").format(
                        given=given.scale_max, expected=question.scale_max
                    ),
                )
            ]
        return []
    if kind in SCORED:
        given = scores.get(name, {})
        if not given:
            if not question.required:
                return []
            wanted = (
                _("put the responses in order, or confirm the order shown")
                if kind == "ranking"
                else _("rate every response")
            )
            return [FieldError(name, wanted)]
        if len(given) != n_responses:
            return [
                FieldError(
                    name,
                    _("{n} of {all} responses: answer for every one").format(n=len(given), all=n_responses),
                )
            ]
        low, high = {
            "rating": lambda: (question.min, question.max),
            "ranking": lambda: (1, n_responses),
            "thumb": lambda: (0, 1),
        }[kind]()
        errors = [
            FieldError(
                name,
                _("{given}: expected a whole number from {low} to {high}").format(
                    given=f"{s.value:g}", low=low, high=high
                ),
            )
            for s in given.values()
            if not low <= s.value <= high or s.value != int(s.value)
        ]
        if kind == "ranking" and not errors:
            errors = _check_ranks(question, sorted(int(s.value) for s in given.values()))
        return errors
    value = _free_value(question, answer)
    return [FieldError(name, words) for words in free_answers.problems(question, value, n_responses, text_of)]


def _check_rewrites(definition: Definition, answer: Answer, n_responses: int) -> list[FieldError]:
    """A rewrite of the best response starts from one that the answer itself says may be the best."""
    errors = []
    for question in definition.questions:
        value = answer.answers.get(question.name)
        if question.kind != "rewrite" or question.of != "best" or not isinstance(value, dict):
            continue
        if value["response"] not in free_answers.best_responses(definition, answer, n_responses):
            errors.append(
                FieldError(
                    question.name, _("starts from a response you did not prefer; rewrite the preferred one")
                )
            )
    return errors


def _check_ranks(question, ranks: list[int]) -> list[FieldError]:
    """Ranks share the lowest place on a tie: 1, 1, 3 is right and 1, 1, 2 is not."""
    expected = [sum(other < rank for other in ranks) + 1 for rank in ranks]
    if ranks != expected:
        return [
            FieldError(
                question.name,
                _("{given}: tied responses share the lowest place, as in 1, 1, 3").format(given=ranks),
            )
        ]
    if not question.ties and len(set(ranks)) != len(ranks):
        return [FieldError(question.name, _("ties are not allowed here"))]
    return []


def check(definition: Definition, answer: Answer, n_responses: int, text_of: TextOf | None = None) -> None:
    """Raise InvalidAnswer if the answer does not fit an item of `n_responses` under this definition.

    `text_of` gives a response's text as people see it; without it, marked parts are not held against the texts.
    """
    errors = check_shape(answer, n_responses)
    if not errors:
        errors = check_against(definition, answer, n_responses, text_of)
    if errors:
        raise InvalidAnswer(errors)
