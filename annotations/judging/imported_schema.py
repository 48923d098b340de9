"""The questions behind judgments that come in a file: a schema definition that fits them."""

from __future__ import annotations

import re
from collections.abc import Iterable

from annotations.items.readers import JudgmentRecord, Record
from annotations.projects import clashes
from annotations.projects.presets import PRESETS
from annotations.projects.schemas import Definition

MAX_QUESTIONS = 40
NOT_NAME = re.compile(r"[^a-z0-9_]+")
TIES = ["equal_good", "equal_bad", "equal"]
REASON = {"kind": "text", "name": "reason", "label": "Reason", "required": False}
UNPARSED = {"value": "unparsed", "label": "The answer could not be read"}


class Shape:
    """What the judgments seen so far hold: aspects compared, attributes scored with their scales, responses."""

    def __init__(self) -> None:
        self.aspects: dict[str, int] = {}
        self.scales: dict[str, tuple[float | None, float | None]] = {}
        self.fewest = 8
        self.most = 1

    def add(self, n_responses: int, judgments: Iterable[JudgmentRecord]) -> None:
        """Take in one item's judgments."""
        if n_responses > self.most:
            self.most = n_responses
        if n_responses < self.fewest:
            self.fewest = n_responses
        aspects, scales = self.aspects, self.scales
        for judgment in judgments:
            for c in judgment.comparisons:
                strength = c.scale_max or 1
                if aspects.get(c.aspect, 0) < strength:
                    aspects[c.aspect] = strength
            for s in judgment.scores:
                scale = (s.scale_min, s.scale_max)
                if scales.get(s.attribute) != scale:
                    known = scales.get(s.attribute, scale)
                    scales[s.attribute] = (_wider(known[0], scale[0], min), _wider(known[1], scale[1], max))

    def imported_definition(self) -> dict:
        """A definition of optional questions that fits everything seen: all ties, every attribute's scale.

        A scale that a rating question cannot have (open, not of whole numbers, or over 100 wide) stands as a text
        question: the scores themselves carry their scale. At most 39 names; beyond, scores stand alone.
        """
        questions = [REASON]
        taken = {"reason"}
        for aspect, strength in sorted(self.aspects.items()):
            questions.append(
                _question("comparison", _free(aspect, taken), aspect, scale_max=strength, ties=TIES)
            )
        for attribute, scale in sorted(self.scales.items()):
            questions.append(_score_question(attribute, scale, taken))
        least = 2 if self.aspects else 1
        return {
            "title": "Imported judgments",
            "responses": {"min": least, "max": 2 if self.most <= 2 else 8},
            "questions": questions[1:MAX_QUESTIONS] + questions[:1],
            "cannot_judge": [*_default_reasons(), UNPARSED],
        }

    def design(self) -> dict:
        """A definition to ask people about such items: a preset for pairs, ratings from the attributes seen."""
        ratings = []
        taken = {"reason", *clashes.RESERVED} | {_name(aspect) for aspect in self.aspects}
        for attribute, scale in sorted(self.scales.items()):
            question = _score_question(attribute, scale, taken)
            if question["kind"] == "rating" and -clashes.LARGEST <= scale[0] <= scale[1] <= clashes.LARGEST:
                ratings.append({**question, "required": True})
        if not ratings:
            key = (
                "ratings"
                if self.most < 2 or self.fewest < 2
                else "strength7"
                if self.most == 2
                else "ranking"
            )
            return PRESETS[key]
        questions = [*PRESETS["strength7"]["questions"][:1]] if self.aspects and self.fewest >= 2 else []
        return {
            "title": "Ratings",
            "responses": {"min": min(self.fewest, self.most), "max": self.most},
            "questions": [*questions, *ratings[: MAX_QUESTIONS - 2], REASON],
        }


def shape_of(records: Iterable[Record]) -> Shape:
    """The shape of these records' items and judgments."""
    shape = Shape()
    for record in records:
        shape.add(len(record.responses), record.judgments)
    return shape


def _wider(a: float | None, b: float | None, pick) -> float | None:
    return None if a is None or b is None else pick(a, b)


def _name(words: str) -> str:
    """A question's name made from an attribute's: `Aspect coverage` becomes `aspect_coverage`."""
    name = NOT_NAME.sub("_", words.lower()).strip("_")[:56]
    return name if name[:1].isalpha() else f"q_{name}".rstrip("_")


def _free(words: str, taken: set[str]) -> str:
    base = name = _name(words)
    number = 1
    while name in taken:
        number += 1
        name = f"{base}_{number}"
    taken.add(name)
    return name


def _question(kind: str, name: str, label: str, **fields) -> dict:
    return {"kind": kind, "name": name, "label": label, "required": False, **fields}


def _score_question(attribute: str, scale: tuple, taken: set[str]) -> dict:
    low, high = scale
    name = _free(attribute, taken)
    if attribute == "rank" and low in (None, 1):
        return _question("ranking", name, attribute)
    if attribute == "thumb" and low in (None, 0) and high in (None, 1):
        return _question("thumb", name, attribute)
    if None not in scale and low == int(low) and high == int(high) and 1 <= high - low <= 100:
        return _question("rating", name, attribute, min=int(low), max=int(high))
    words = " to ".join("…" if bound is None else f"{bound:g}" for bound in scale)
    return _question("text", name, attribute, help=f"A number, {words}.")


def _default_reasons() -> list[dict]:
    return [option.model_dump() for option in Definition.model_fields["cannot_judge"].default]
