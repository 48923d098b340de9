"""An Answer in words, a line for each question."""

from __future__ import annotations

from django.utils.translation import gettext, gettext_lazy

from annotations.projects.schemas import Definition
from annotations.projects.wording import TIES, strength_words

from .answers import Answer
from .labels import LETTERS

OUTCOMES = {
    "cannot_judge": gettext_lazy("Cannot be judged"),
    "skipped": gettext_lazy("Skipped"),
    "flagged": gettext_lazy("Flagged"),
}


def in_words(definition: Definition, answer: Answer, order: str = "") -> list[str]:
    """What the answer says: comparisons, scores and choices. Letters stand as the responses do in `order`, that of
    a person's own page; by default as they are stored."""
    if answer.outcome != "answered":
        return [str(OUTCOMES[answer.outcome])]
    places = {int(index): place for place, index in enumerate(order)}
    letter = {n: LETTERS[places.get(n, n)] for n in range(8)}
    alone = len(order) == 1
    asked = {question.name: question for question in definition.questions}
    lines = []
    for c in answer.comparisons:
        question = asked.get(c.aspect)
        if c.preference is None:
            words = TIES.get(c.tie or "equal", "equal")
        else:
            better = letter[c.first if c.preference < 0 else c.second]
            words = gettext("{letter} is {better}").format(
                letter=better, better=strength_words(question, abs(c.preference))
            )
        lines.append(f"{_label(question, c.aspect)}: {words}")
    values: dict[str, list[tuple[str, str]]] = {}
    for s in answer.scores:
        values.setdefault(s.attribute, []).append((letter[s.response], f"{s.value:g}"))
    for name, value in answer.answers.items():
        question = asked.get(name)
        if question is None or question.kind != "choice":
            continue
        words = {option.value: option.label for option in question.options}
        if question.per_response and isinstance(value, list):
            values[name] = [(letter[n], _choice(words, part)) for n, part in enumerate(value) if part]
        else:
            lines.append(f"{_label(question, name)}: {_choice(words, value)}")
    for name, given in values.items():
        each = ", ".join(value if alone else f"{place} {value}" for place, value in sorted(given))
        lines.append(f"{_label(asked.get(name), name)}: {each}")
    return lines


def _choice(words: dict[str, str], value: object) -> str:
    parts = value if isinstance(value, list) else [value]
    return " + ".join(words.get(part, part) for part in parts if isinstance(part, str))


def _label(question, name: str) -> str:
    return (question.label if question else name.replace("_", " ").capitalize()).rstrip("?:. ")
