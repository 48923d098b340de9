"""The task designer's form as its template draws it. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from . import builder, conditions, wording
from .clashes import REASONS

OPS = {
    "answered": "is answered",
    "is": "is one of",
    "at_least": "is at least",
    "at_most": "is at most",
}
TIES = {"equal": "About equal", "equal_good": "Both good", "equal_bad": "Both bad"}
REASON_WORDS = {
    "cannot_judge": "Reasons why an item cannot be judged",
    "skip": "Reasons to skip an item",
    "flag": "Reasons to flag an item",
}
Errors = Mapping[str, list[str]]


def form_of(
    content: dict, *, errors: Errors | None = None, opened: Collection[str] = (), focus: str = ""
) -> dict:
    """The context of `projects/builder_form.html` for an unfinished design.

    `opened` are the places (as texts) of the questions that stand unfolded; those with errors do anyway.
    """
    errors = errors or {}
    questions = content["questions"]
    rows = [_question(questions, place, errors, opened, focus) for place in range(len(questions))]
    known = {f"{row['at']}-{key}" for row in rows for key in row["error"]}
    known |= {"title", "layout", "responses", "questions", *(f"r-{key}" for key in REASONS)}
    return {
        "content": content,
        "rows": rows,
        "full": len(questions) >= builder.MOST_QUESTIONS,
        "kinds": builder.KINDS,
        "reasons": [
            {
                "words": REASON_WORDS[key],
                "options": _options(f"r-{key}", key, content[key]),
                "errors": errors.get(f"r-{key}", []),
                "open": f"r-{key}" in errors or focus.startswith(f"r-{key}-"),
            }
            for key in ("cannot_judge", "skip", "flag")
        ],
        "error": {key: errors.get(key, []) for key in ("title", "layout", "responses", "questions")},
        "other_errors": [words for field, found in errors.items() if field not in known for words in found],
        "n_errors": sum(map(len, errors.values())),
        "focus": focus,
    }


def _question(questions: list[dict], place: int, errors: Errors, opened: Collection[str], focus: str) -> dict:
    content = questions[place]
    at = f"q-{place}"
    error = {
        field.removeprefix(f"{at}-"): found for field, found in errors.items() if field.startswith(f"{at}-")
    }
    acted = (focus.startswith(f"{at}-") and not focus.endswith(("-up", "-down"))) or focus.startswith(
        f"{at}-option"
    )
    return {
        "at": at,
        "place": place,
        "number": place + 1,
        "content": content,
        "kind_words": builder.KINDS[content["kind"]],
        "first": place == 0,
        "last": place == len(questions) - 1,
        "open": bool(error) or acted or str(place) in opened,
        "error": error,
        "ties": [
            {"value": tie, "words": words, "checked": tie in content["ties"]} for tie, words in TIES.items()
        ]
        if content["kind"] == "comparison"
        else [],
        "strengths": (1, 2, 3, 4),
        "lines": {key: "\n".join(content.get(key) or ()) for key in builder.LISTS},
        "options": _options(at, str(place), content.get("options", []))
        if content["kind"] in builder.WITH_OPTIONS
        else None,
        "when": _when(questions, place),
    }


def _options(at: str, where: str, options: list[dict]) -> dict:
    return {
        "at": at,
        "where": where,
        "rows": [
            {**option, "place": place, "first": place == 0, "last": place == len(options) - 1}
            for place, option in enumerate(options)
        ],
    }


def _when(questions: list[dict], place: int) -> dict:
    """What the condition of a question can be, and is."""
    given = questions[place].get("when") or {}
    chosen = given.get("question", "")
    sources = [
        {"name": question["name"], "words": f"{number}. {question['label'] or question['name']}"}
        for number, question in enumerate(questions[:place], start=1)
    ]
    if chosen and chosen not in {source["name"] for source in sources}:
        sources.append({"name": chosen, "words": f"{chosen} (not asked before)"})
    source = next((question for question in questions[:place] if question["name"] == chosen), None)
    parsed = builder.parsed_question(source) if source else None
    words = conditions.possible_words(parsed) if parsed else tuple(given.get("values") or ())
    bounds = conditions.possible_numbers(parsed) if parsed else None
    ops = ["answered", *(["is"] if words else []), *(["at_least", "at_most"] if bounds else [])]
    op = given.get("op", "answered")
    picked = given.get("values") or ()
    values = [
        {
            "value": word,
            "words": wording.answer_words(parsed, word) if parsed else word,
            "checked": word in picked,
        }
        for word in dict.fromkeys([*words, *picked])
    ]
    return {
        "sources": sources,
        "chosen": chosen,
        "op": op,
        "ops": [{"op": each, "words": OPS[each]} for each in dict.fromkeys([*ops, op]) if each in OPS],
        "values": values if op == "is" else [],
        "number": given.get("number"),
        "bounds": bounds,
        "strength": parsed is not None and parsed.kind == "comparison" and op in {"at_least", "at_most"},
    }
