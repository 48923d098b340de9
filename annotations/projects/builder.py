"""The task designer's form: a design as form fields and back, and the acts of its buttons. Pure.

What stands in the form may be unfinished; it is a plain dict in the form of a definition, and `designs.check` says
what is still wrong. Field names, `i` being a question's place:

    title, layout, responses-min, responses-max
    q, once a question, in order: i     q-i-KEY: a field of question i; lists one a line     q-i-was: its name before
    q-i-v, q-i-l: options, value and label by row           r-skip-v, r-skip-l: reasons to skip, and so on
    q-i-when, q-i-when-op, q-i-when-values, q-i-when-number: its condition
"""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping, Sequence

from pydantic import TypeAdapter, ValidationError

from .clashes import REASONS, Path
from .schemas import Definition, Question

Values = Mapping[str, Sequence[str]]
KINDS = {
    "comparison": "Comparison of two responses",
    "rating": "Rating of each response",
    "ranking": "Ranking",
    "thumb": "Thumbs up or down",
    "choice": "Choice from options",
    "text": "Text",
    "span": "Marked parts of a response",
    "rewrite": "Rewrite of a response",
}
NEW: dict[str, dict] = {
    "comparison": {
        "label": "Which response is better?", "scale_max": 3, "ties": ["equal"],
        "words": ["slightly better", "better", "much better"],
    },
    "rating": {"label": "Quality", "min": 1, "max": 5},
    "ranking": {"label": "Order the responses, best first", "ties": True},
    "thumb": {"label": "Good or bad?"},
    "choice": {"label": "How sure are you?", "options": [{"value": "sure", "label": "Sure"}, {"value": "unsure", "label": "Unsure"}]},
    "text": {"label": "Why?", "required": False},
    "span": {"label": "Mark what is false", "required": False, "options": [{"value": "false", "label": "This is false"}], "note": True},
    "rewrite": {"label": "Rewrite the best response", "required": False, "of": "best"},
}  # fmt: skip
NAMES = {"comparison": "overall", "rating": "quality", "ranking": "rank", "thumb": "thumb", "text": "reason"}
NUMBERS = {"scale_max", "min", "max", "min_chars", "max_chars"}
CHECKS = {"required", "multiple", "per_response", "note"}
LISTS = {"words", "chips"}
FIELDS = {
    "comparison": ("scale_max", "ties", "words"),
    "rating": ("min", "max", "words"),
    "ranking": ("ties",),
    "thumb": (),
    "choice": ("multiple", "per_response"),
    "text": ("min_chars", "max_chars", "chips", "per_response"),
    "span": ("note",),
    "rewrite": ("of",),
}
WITH_OPTIONS = {"choice", "span"}
MOST_QUESTIONS = 40
_WHOLE = re.compile(r"-?[0-9]{1,9}")
_NOT_NAME = re.compile(r"[^a-z0-9]+")
_QUESTION = TypeAdapter(Question)


# --- Between the form and a definition ----------------------------------------------------------------------


def read(values: Values) -> dict:
    """The design in the posted fields, unfinished as it may be. Takes any fields."""
    questions = [
        _read_question(values, place) for place in list(dict.fromkeys(values.get("q", ())))[:MOST_QUESTIONS]
    ]
    renamed = {}
    for question, was in questions:
        if was and was != question["name"]:
            renamed[was] = question["name"]
    names: set[str] = set()
    for question, _ in questions:
        if not question["name"]:
            question["name"] = _free(question["label"], names, NAMES.get(question["kind"], "question"))
        names.add(question["name"])
        when = question.get("when")
        if when and when["question"] in renamed:
            when["question"] = renamed[when["question"]]
    return {
        "title": _one(values, "title"),
        "responses": {"min": _number(values, "responses-min"), "max": _number(values, "responses-max")},
        "layout": _one(values, "layout") or "columns",
        "questions": [question for question, _ in questions],
        **{key: _options(values, f"r-{key}") for key in REASONS},
    }


def _read_question(values: Values, place: str) -> tuple[dict, str]:
    """One question and the name it had when the form was drawn."""
    at = f"q-{place}"
    kind = _one(values, f"{at}-kind")
    kind = kind if kind in KINDS else "text"
    question: dict = {
        "kind": kind,
        "name": _one(values, f"{at}-name").strip(),
        "label": _one(values, f"{at}-label").strip(),
        "help": _one(values, f"{at}-help").strip(),
        "required": bool(_one(values, f"{at}-required")),
    }
    for key in FIELDS[kind]:
        if key == "ties":
            question[key] = (
                list(values.get(f"{at}-ties", ()))
                if kind == "comparison"
                else bool(_one(values, f"{at}-ties"))
            )
        elif key in NUMBERS:
            number = _number(values, f"{at}-{key}")
            if number is not None or key not in {"min_chars", "max_chars"}:
                question[key] = number
        elif key in CHECKS:
            question[key] = bool(_one(values, f"{at}-{key}"))
        elif key in LISTS:
            question[key] = [
                line.strip() for line in _one(values, f"{at}-{key}").splitlines() if line.strip()
            ]
        else:
            question[key] = _one(values, f"{at}-{key}")
    if kind in WITH_OPTIONS:
        question["options"] = _options(values, at)
    if source := _one(values, f"{at}-when"):
        op = _one(values, f"{at}-when-op") or "answered"
        when: dict = {"question": source, "op": op}
        if op == "is":
            when["values"] = list(values.get(f"{at}-when-values", ()))
        elif op in {"at_least", "at_most"}:
            when["number"] = _number(values, f"{at}-when-number")
        question["when"] = when
    return question, _one(values, f"{at}-was")


def _options(values: Values, at: str) -> list[dict]:
    """Options by row; rows with nothing in them are left out, missing values are made from the labels."""
    labels = values.get(f"{at}-l", ())
    given = [*values.get(f"{at}-v", ()), *[""] * len(labels)]
    rows = [(value.strip(), label.strip()) for value, label in zip(given, labels, strict=False)]
    rows = [(value, label) for value, label in rows if value or label]
    taken = {value for value, _ in rows if value}
    found = []
    for value, label in rows:
        value = value or _free(label, taken, "option")
        taken.add(value)
        found.append({"value": value, "label": label})
    return found


def _one(values: Values, key: str) -> str:
    given = values.get(key, ())
    return given[-1] if given else ""


def _number(values: Values, key: str) -> int | str | None:
    """A whole number, None where nothing was written, else what was written."""
    text = _one(values, key).strip()
    return int(text) if _WHOLE.fullmatch(text) else (text or None)


def _free(label: str, taken: set[str], otherwise: str) -> str:
    """A name made from a label that is not taken: `Too long` becomes `too_long`."""
    name = _NOT_NAME.sub("_", label.lower()).strip("_")[:40].rstrip("_")
    base = name = name if name[:1].isalpha() else otherwise
    number = 1
    while name in taken:
        number += 1
        name = f"{base}_{number}"
    return name


def unfinished(definition: Definition) -> dict:
    """A definition as the form holds it."""
    return definition.model_dump(mode="json")


# --- The acts of its buttons --------------------------------------------------------------------------------


def act(content: dict, action: str) -> tuple[dict, str]:
    """The content after a button was pressed, and the id of the field that the person should be at now.

    `add:KIND`, `up:I`, `down:I`, `copy:I`, `remove:I` of question I; `option:AT`, `option_up:AT:J` and so on of row J
    of the options at AT: a question's place, or `skip`, `flag`, `cannot_judge`. Anything else changes nothing.
    """
    content = copy.deepcopy(content)
    verb, *operands = action.split(":")
    questions = content["questions"]
    if verb == "add" and operands and operands[0] in KINDS and len(questions) < MOST_QUESTIONS:
        questions.append(_new_question(operands[0], {question["name"] for question in questions}))
        return content, f"q-{len(questions) - 1}-label"
    if verb.startswith("option") and operands:
        return content, _act_on_options(content, verb, operands)
    place = int(operands[0]) if operands and operands[0].isdecimal() and len(operands[0]) < 4 else -1
    if not 0 <= place < len(questions):
        return content, ""
    if verb == "remove":
        del questions[place]
        return content, f"q-{min(place, len(questions) - 1)}-label" if questions else "add-comparison"
    if verb == "copy" and len(questions) < MOST_QUESTIONS:
        again = copy.deepcopy(questions[place])
        again["name"] = _free(again["name"], {question["name"] for question in questions}, "question")
        questions.insert(place + 1, again)
        return content, f"q-{place + 1}-label"
    if verb in {"up", "down"}:
        to = place + (1 if verb == "down" else -1)
        if 0 <= to < len(questions):
            questions[place], questions[to] = questions[to], questions[place]
            return content, f"q-{to}-{verb}"
        return content, f"q-{place}-{verb}"
    return content, ""


def _new_question(kind: str, taken: set[str]) -> dict:
    content = copy.deepcopy(NEW[kind])
    wish = NAMES.get(kind) or _free(content["label"], set(), kind)
    return {"kind": kind, "required": True, "help": "", **content, "name": _free(wish, taken, kind)}


def _act_on_options(content: dict, verb: str, operands: list[str]) -> str:
    """Change a list of options in place; returns the id of the field to be at."""
    where, row = operands[0], operands[1] if len(operands) > 1 else ""
    if where in REASONS:
        options, at = content[where], f"r-{where}"
    elif where.isdecimal() and len(where) < 4 and int(where) < len(content["questions"]):
        options, at = content["questions"][int(where)].setdefault("options", []), f"q-{int(where)}"
    else:
        return ""
    if verb == "option":
        options.append({"value": "", "label": ""})
        return f"{at}-l-{len(options) - 1}"
    if not (row.isdecimal() and len(row) < 4 and int(row) < len(options)):
        return ""
    place = int(row)
    if verb == "option_remove":
        del options[place]
        return f"{at}-l-{min(place, len(options) - 1)}" if options else f"{at}-option"
    to = place + {"option_down": 1, "option_up": -1}.get(verb, 0)
    if 0 <= to < len(options):
        options[place], options[to] = options[to], options[place]
        place = to
    return f"{at}-{verb}-{place}"


# --- Errors -------------------------------------------------------------------------------------------------


def errors_by_field(errors: Sequence[tuple[Path, str]]) -> dict[str, list[str]]:
    """Errors of a design by the field of the form that they stand beside; `` for those of the whole design."""
    found: dict[str, list[str]] = {}
    for path, words in errors:
        field, said = _field_of(path)
        found.setdefault(field, []).append(f"{said}{words}")
    return found


def _field_of(path: Path) -> tuple[str, str]:
    """The field for a path, and what to say before the message."""
    if len(path) > 1 and path[0] == "questions":
        at, rest = f"q-{path[1]}", path[2:]
        if not rest:
            return f"{at}-label", ""
        if rest[0] == "options":
            return f"{at}-options", f"row {rest[1] + 1}: " if len(rest) > 1 else ""
        if rest[0] in LISTS:
            return f"{at}-{rest[0]}", f"line {rest[1] + 1}: " if len(rest) > 1 else ""
        return f"{at}-{rest[0]}", ""
    if path and path[0] in REASONS:
        return f"r-{path[0]}", f"row {path[1] + 1}: " if len(path) > 1 else ""
    if path and path[0] == "responses":
        return "responses", ""
    return str(path[0]) if path and path[0] in {"title", "layout", "questions"} else "", ""


def parsed_question(content: dict) -> Question | None:
    """The question without its condition where it is right by itself, else None."""
    try:
        return _QUESTION.validate_python({key: value for key, value in content.items() if key != "when"})
    except ValidationError:
        return None
