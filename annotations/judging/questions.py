"""The answer bar of the judging page: the questions of a schema version as the template draws them."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import lru_cache

from django.template import Context
from django.template.loader import get_template
from django.utils.safestring import SafeString
from django.utils.translation import get_language, gettext, gettext_lazy, pgettext_lazy

from annotations.projects import keymap, schemas
from annotations.projects.schemas import Definition

from . import forms
from .answers import FieldError

LETTERS = "ABCDEFGH"
TIE_WORDS = {
    "equal": gettext_lazy("about equal"),
    "equal_good": gettext_lazy("both good"),
    "equal_bad": gettext_lazy("both bad"),
}
STRENGTH_WORDS = {
    1: (gettext_lazy("better"),),
    2: (gettext_lazy("slightly better"), gettext_lazy("better")),
    3: (gettext_lazy("slightly better"), gettext_lazy("better"), gettext_lazy("much better")),
    4: (
        gettext_lazy("negligibly better"),
        gettext_lazy("slightly better"),
        gettext_lazy("better"),
        gettext_lazy("significantly better"),
    ),
}
OUTCOMES = (  # outcome, action of its key, word, title of its box
    ("skipped", "skip", pgettext_lazy("judging", "Skip"), gettext_lazy("Skip this item, because")),
    ("flagged", "flag", pgettext_lazy("judging", "Flag"), gettext_lazy("Flag this item as")),
    (
        "cannot_judge",
        "cannot_judge",
        gettext_lazy("Cannot judge"),
        gettext_lazy("This cannot be judged, because"),
    ),
)

WIDEST_ROW = 11  # values of a rating shown as buttons; a longer scale is typed
SIDES = {True: {"first": "left", "second": "right"}, False: {"first": "right", "second": "left"}}


@dataclass(frozen=True, slots=True)
class Layout:
    """How the responses stand: how many, where the two compared ones are, and whether canonical 0 is the left."""

    n: int
    left: int
    right: int
    straight: bool


@dataclass(slots=True)
class _Given:
    """What the person entered and what is wrong with it, by question."""

    values: forms.Values
    errors: dict[str, list[str]] = field(default_factory=dict)

    def one(self, key: str, default: str = "") -> str:
        return (self.values.get(key) or [default])[0]

    def has(self, key: str, value: object) -> bool:
        return str(value) in self.values.get(key, ())


@lru_cache(maxsize=32)
def _template(name: str):
    return get_template(name).template


def render(name: str, context: dict) -> str:
    """Render a template of the judging page, without context processors."""
    return _template(name).render(Context(context))


def layout_of(presented_order: str) -> Layout:
    """The layout of responses shown in this order."""
    n = len(presented_order)
    left, right = forms.compared_places(presented_order) if n > 1 else (0, 0)
    return Layout(n, left, right, n < 2 or presented_order.index("0") == left)


def blank_questions(schema_id: int, presented_order: str) -> SafeString:
    """The answer bar with nothing filled in: the same for every item of a schema version, so made once."""
    layout = layout_of(presented_order)
    return _blank(schema_id, layout, get_language())


@lru_cache(maxsize=512)
def _blank(schema_id: int, layout: Layout, language: str) -> SafeString:
    return _questions(schemas.load(schema_id)[1], layout, {}, ())


def questions_html(
    schema_id: int, presented_order: str, values: forms.Values, errors: tuple[FieldError, ...]
) -> SafeString:
    """The answer bar filled with `values`, each error beside its question."""
    return _questions(schemas.load(schema_id)[1], layout_of(presented_order), values, errors)


def review_html(
    schema_id: int, n: int, values: forms.Values, errors: tuple[FieldError, ...]
) -> tuple[SafeString, dict | None]:
    """The questions for a reviewer, responses in stored order, and the box of "cannot judge" where there is one."""
    context = _context(schemas.load(schema_id)[1], Layout(n, 0, min(1, n - 1), True), values, errors)
    cannot = next((box for box in context["outcomes"] if box["value"] == "cannot_judge"), None)
    return SafeString(render("judging/fields.html", context)), cannot


def preview_html(definition: Definition, n: int) -> SafeString:
    """The answer bar that a definition would have for `n` responses, for the people who write it."""
    return _questions(definition, Layout(n, 0, min(1, n - 1), True), {}, ())


def _questions(definition: Definition, layout: Layout, values: forms.Values, errors) -> SafeString:
    return SafeString(render("judging/questions.html", _context(definition, layout, values, errors)))


def _context(definition: Definition, layout: Layout, values: forms.Values, errors) -> dict:
    given = _Given(values)
    for error in errors:
        given.errors.setdefault(error.field, []).append(str(error.message))
    rows = [_question(question, layout, given) for question in definition.questions]
    outcomes = [
        {
            "value": value,
            "action": action,
            "key": keymap.shown(keymap.DEFAULTS[action]),
            "word": word,
            "title": title,
            "note": given.one(f"note-{value}"),
            "options": [
                {"value": option.value, "label": option.label, "key": place}
                for place, option in enumerate(options, start=1)
            ],
        }
        for (value, action, word, title), options in zip(
            OUTCOMES, (definition.skip, definition.flag, definition.cannot_judge), strict=True
        )
        if options
    ]
    spans = [row for row in rows if row["kind"] == "span"]
    number = 0
    for row in spans:
        for option in row["options"]:
            number += 1
            option["key"] = number if number < 10 else ""
    return {
        "questions": rows,
        "outcomes": outcomes,
        "spans": spans,
        "other_errors": [message for messages in given.errors.values() for message in messages],
    }


def _question(question, layout: Layout, given: _Given) -> dict:
    kind = question.kind
    name = f"{forms.PREFIX[kind]}-{question.name}"
    row: dict = {
        "kind": kind,
        "name": question.name,
        "field": name,
        "label": question.label,
        "help": question.help,
        "required": question.required,
        "error": "; ".join(given.errors.pop(question.name, [])),
        "when": _when(question.when, layout),
        "per_response": getattr(question, "per_response", False),
    }
    return row | _DRAWN[kind](question, layout, given, name)


def _when(condition, layout: Layout) -> str:
    """The question's condition as the page's script reads it, sides as they are shown; empty where it has none."""
    if condition is None:
        return ""
    sides = SIDES[layout.straight]
    values = [sides.get(value, value) for value in condition.values]
    return json.dumps({**condition.model_dump(), "values": values}, ensure_ascii=False)


def _comparison(question, layout: Layout, given: _Given, name: str) -> dict:
    options = _strengths(question, LETTERS[layout.left], LETTERS[layout.right])
    for option in options:
        option["checked"] = given.has(name, option["value"])
    return {
        "options": options,
        "wide": len(options) > 7,
        "n_ties": len(question.ties),
        "steps": question.scale_max,
    }


def _scores(question, layout: Layout, given: _Given, name: str) -> dict:
    options = _places(question, layout.n)
    row: dict = {"typed": question.kind == "rating" and len(options) > WIDEST_ROW}
    if question.kind == "rating":
        row["low"], row["high"] = question.min, question.max
        if question.words:
            row["ends"] = f"{question.min} = {question.words[0]}, {question.max} = {question.words[-1]}"
    if question.kind == "ranking":
        row["ties"] = question.ties
    row["rows"] = [
        {
            "letter": _letter(place, layout),
            "place": place,
            "field": f"{name}-{place}",
            "value": given.one(f"{name}-{place}"),
            "options": [
                {**option, "checked": given.has(f"{name}-{place}", option["value"])} for option in options
            ],
        }
        for place in range(layout.n)
    ]
    return row


def _letter(place: int, layout: Layout) -> str:
    """What the response is called beside its answer: nothing where it is the only one."""
    return LETTERS[place] if layout.n > 1 else ""


def _choice(question, layout: Layout, given: _Given, name: str) -> dict:
    def options(key: str) -> list[dict]:
        return [
            {
                "value": option.value,
                "words": option.label,
                "key": number if number < 10 else "",
                "checked": given.has(key, option.value),
            }
            for number, option in enumerate(question.options, start=1)
        ]

    row: dict = {"multiple": question.multiple}
    if not question.per_response:
        return row | {"options": options(name)}
    return row | {
        "rows": [
            {
                "letter": _letter(place, layout),
                "field": f"{name}-{place}",
                "options": options(f"{name}-{place}"),
            }
            for place in range(layout.n)
        ]
    }


def _text(question, layout: Layout, given: _Given, name: str) -> dict:
    row = {"chips": question.chips, "min_chars": question.min_chars, "max_chars": question.max_chars}
    if not question.per_response:
        return row | {"value": given.one(name)}
    return row | {
        "rows": [
            {
                "letter": _letter(place, layout),
                "field": f"{name}-{place}",
                "value": given.one(f"{name}-{place}"),
            }
            for place in range(layout.n)
        ]
    }


def _span(question, layout: Layout, given: _Given, name: str) -> dict:
    return {
        "value": given.one(name),
        "note": question.note,
        "options": [{"value": option.value, "label": option.label} for option in question.options],
    }


def _rewrite(question, layout: Layout, given: _Given, name: str) -> dict:
    return {
        "of": question.of,
        "value": given.one(name),
        "options": [
            {"value": place, "words": LETTERS[place], "checked": given.has(f"{name}-of", place)}
            for place in range(layout.n)
        ],
    }


_DRAWN = {
    "comparison": _comparison,
    "rating": _scores,
    "ranking": _scores,
    "thumb": _scores,
    "choice": _choice,
    "text": _text,
    "span": _span,
    "rewrite": _rewrite,
}


def _strengths(question, left: str, right: str) -> list[dict]:
    """From "A much better" through the ties to "B much better"; values as the page posts them."""
    words = question.words or STRENGTH_WORDS[question.scale_max]
    options = [
        {"value": -strength, "side": left, "words": words[strength - 1], "part": "left"}
        for strength in range(question.scale_max, 0, -1)
    ]
    options += [{"value": tie, "side": "", "words": TIE_WORDS[tie], "part": "tie"} for tie in question.ties]
    options += [
        {"value": strength, "side": right, "words": words[strength - 1], "part": "right"}
        for strength in range(1, question.scale_max + 1)
    ]
    keys = "1234567890"
    return [{**option, "key": keys[place : place + 1]} for place, option in enumerate(options)]


def _places(question, n: int) -> list[dict]:
    if question.kind == "thumb":
        return [
            {"value": 1, "words": gettext("Good"), "key": 1},
            {"value": 0, "words": gettext("Bad"), "key": 2},
        ]
    if question.kind == "ranking":
        return [{"value": place, "words": str(place), "key": place} for place in range(1, n + 1)]
    values = range(question.min, question.max + 1)
    spoken = question.words or [""] * len(values)
    return [
        {"value": value, "words": str(value), "spoken": word, "key": value if 0 <= value <= 9 else ""}
        for value, word in zip(values, spoken, strict=True)
    ]
