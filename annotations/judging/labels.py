"""What the judgments of an item say together, in words: the people's answer where people judged, else the models'.

A plain majority for reading on a page; statistics and datasets have their own aggregation.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from annotations.projects.wording import TIES, strength_words

from . import free_answers

LETTERS = "ABCDEFGH"


@dataclass(frozen=True, slots=True)
class Vote:
    """One comparison of one judge. `side`: negative = first better, 0 = tie, positive = second better."""

    human: bool
    aspect: str
    first: int
    second: int
    side: int


@dataclass(frozen=True, slots=True)
class Mark:
    """One score of one judge."""

    human: bool
    attribute: str
    response: int
    value: float


@dataclass(frozen=True, slots=True)
class FinalLabel:
    """`by` is `people`, `models`, `review` where a reviewer decided, or empty while nobody judged; `short` fits a
    table cell."""

    by: str = ""
    sentences: tuple[str, ...] = ()
    short: str = ""


def final_label(votes: Iterable[Vote], marks: Iterable[Mark]) -> FinalLabel:
    """The label of one item from its current judgments."""
    votes, marks = list(votes), list(marks)
    human = any(part.human for part in (*votes, *marks))
    votes = [vote for vote in votes if vote.human == human]
    marks = [mark for mark in marks if mark.human == human]
    if not votes and not marks:
        return FinalLabel()
    pairs: dict[tuple[str, int, int], Counter] = {}
    for vote in votes:
        sides = pairs.setdefault((vote.aspect, vote.first, vote.second), Counter())
        sides[(vote.side > 0) - (vote.side < 0)] += 1
    sentences, shorts = [], []
    several = len({key[1:] for key in pairs}) > 1
    for (aspect, first, second), sides in pairs.items():
        words, short = _majority(sides, LETTERS[first], LETTERS[second], several)
        sentences.append(f"{_named(aspect)}: {words}")
        shorts.append(short)
    values: dict[str, dict[int, list[float]]] = {}
    for mark in marks:
        values.setdefault(mark.attribute, {}).setdefault(mark.response, []).append(mark.value)
    for attribute, by_response in values.items():
        means = [
            f"{LETTERS[response]} {sum(given) / len(given):.2g}"
            for response, given in sorted(by_response.items())
        ]
        n = max(len(given) for given in by_response.values())
        mean = "mean " if n > 1 else ""
        sentences.append(f"{_named(attribute)}: {mean}{', '.join(means)} (n {n})")
        shorts.append(" · ".join(means))
    return FinalLabel("people" if human else "models", tuple(sentences), shorts[0])


def _majority(sides: Counter, first: str, second: str, several: bool) -> tuple[str, str]:
    n = sum(sides.values())
    (top, count), *rest = sides.most_common()
    if rest and rest[0][1] == count:
        split = " to ".join(str(sides[side]) for side in (-1, 0, 1) if sides[side])
        return f"no majority between {first} and {second} ({split})", "split"
    if top == 0:
        return f"{first} and {second} are equal ({count} of {n})", f"equal {count}/{n}"
    better, worse = (first, second) if top < 0 else (second, first)
    than = f" than {worse}" if several else ""
    return f"{better} is better{than} ({count} of {n})", f"{better} {count}/{n}"


def _named(name: str) -> str:
    return name.replace("_", " ").capitalize()


def comparison_words(comparison, question) -> str:
    """One comparison in words, with the schema's own words where it has them: `B is much better (2 of 3)`."""
    first, second = LETTERS[comparison.first], LETTERS[comparison.second]
    if comparison.tie is not None:
        return f"{first} and {second}: {TIES[comparison.tie]}"
    better, worse = (first, second) if comparison.preference < 0 else (second, first)
    strength = abs(comparison.preference)
    words = strength_words(question, strength)
    than = "" if {comparison.first, comparison.second} == {0, 1} else f" than {worse}"
    scale = f" ({strength} of {comparison.scale_max})" if comparison.scale_max > 1 else ""
    return f"{better} is {words}{than}{scale}"


def answer_words(question, value: object, n_responses: int) -> str:
    """A choice, text, span or rewrite in words, with the schema's own words where the value fits the question."""
    if question is None or question.kind not in free_answers.KINDS:
        return _plain_words(value)
    if not free_answers.is_given(value):
        return ""
    if free_answers.problems(question, value, n_responses):
        return _plain_words(value)
    labels = {option.value: option.label for option in getattr(question, "options", ())}
    if question.kind == "span":
        return "; ".join(
            f"{LETTERS[span['response']]} “{_short(span['quote'])}”: {labels[span['label']]}"
            + (f" ({span['note']})" if span.get("note") else "")
            for span in value
        )
    if question.kind == "rewrite":
        return f"of {LETTERS[value['response']]}: {value['text']}"
    if not question.per_response:
        return _choice_words(labels, value)
    return "; ".join(
        f"{LETTERS[index]} {_choice_words(labels, part)}" for index, part in enumerate(value) if part
    )


def _choice_words(labels: dict[str, str], value: str | list[str]) -> str:
    parts = value if isinstance(value, list) else [value]
    return ", ".join(labels.get(part, part) for part in parts)


def _plain_words(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _short(text: str, longest: int = 120) -> str:
    line = " ".join(text.split())
    return line if len(line) <= longest else line[: longest - 1].rstrip() + "…"
