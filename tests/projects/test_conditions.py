"""Which questions are asked, and which definitions contradict themselves: every complaint has its place."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from annotations.judging.answers import Answer, ComparisonAnswer, InvalidAnswer, ScoreAnswer, check
from annotations.projects.conditions import asked
from annotations.projects.schemas import Definition, errors_by_path

WHICH = {"kind": "comparison", "name": "overall", "label": "Which?", "ties": ["equal"]}
QUALITY = {"kind": "rating", "name": "quality", "label": "Quality", "min": 0, "max": 4}
FAULTS = {
    "kind": "choice", "name": "faults", "label": "Faults", "multiple": True, "per_response": True,
    "options": [{"value": "wrong", "label": "Wrong"}, {"value": "rude", "label": "Rude"}],
}  # fmt: skip
SPANS = {"kind": "span", "name": "parts", "label": "Mark", "options": [{"value": "wrong", "label": "Wrong"}]}
WHY = {"kind": "text", "name": "why", "label": "Why?", "required": True}


def define(*questions):
    return Definition.model_validate({"questions": questions})


def preferring(strength, scale_max=3):
    return Answer(comparisons=(ComparisonAnswer(0, 1, "overall", strength, scale_max),))


TIED = Answer(comparisons=(ComparisonAnswer(0, 1, "overall", tie="equal"),))
RATED = Answer(scores=(ScoreAnswer(0, "quality", 4, 0, 4), ScoreAnswer(1, "quality", 1, 0, 4)))
MARKED = Answer(
    answers={"parts": [{"response": 1, "start": 0, "end": 1, "quote": "x", "label": "wrong", "note": ""}]}
)


@pytest.mark.parametrize(
    ("source", "when", "fitting", "unfitting"),
    [
        (WHICH, {}, [preferring(1), TIED], [Answer()]),
        (WHICH, {"op": "at_least", "number": 2}, [preferring(-2), preferring(3)], [preferring(-1), TIED, Answer()]),
        (WHICH, {"op": "at_most", "number": 1}, [preferring(-1), TIED], [preferring(2), Answer()]),
        (WHICH, {"op": "is", "values": ["equal"]}, [TIED], [preferring(1), Answer()]),
        (WHICH, {"op": "is", "values": ["first", "equal"]}, [TIED, preferring(-3)], [preferring(3)]),
        (QUALITY, {"op": "at_least", "number": 4}, [RATED], [Answer()]),
        (QUALITY, {"op": "at_most", "number": 1}, [RATED], [Answer()]),
        (QUALITY, {"op": "is", "values": ["1"]}, [RATED], [Answer()]),
        (QUALITY, {"op": "is", "values": ["2"]}, [], [RATED]),
        (
            FAULTS,
            {"op": "is", "values": ["rude"]},
            [Answer(answers={"faults": [[], ["wrong", "rude"]]})],
            [Answer(answers={"faults": [["wrong"], []]}), Answer(answers={"faults": "x"}), Answer()],
        ),
        (SPANS, {"op": "is", "values": ["wrong"]}, [MARKED], [Answer(answers={"parts": []}), Answer()]),
        (SPANS, {}, [MARKED], [Answer(answers={"parts": [{}]})]),
        ({**WHY, "name": "reason"}, {}, [Answer(reason="So")], [Answer(reason=" \n")]),
    ],
)  # fmt: skip
def test_a_question_is_asked_where_its_condition_holds(source, when, fitting, unfitting):
    definition = define(source, {**WHY, "when": {"question": source["name"], **when}})
    assert [asked(definition, answer) for answer in fitting] == [{source["name"], "why"}] * len(fitting)
    assert [asked(definition, answer) for answer in unfitting] == [{source["name"]}] * len(unfitting)


def test_conditions_chain_and_what_is_not_asked_may_not_be_answered():
    definition = define(
        WHICH,
        {**WHY, "when": {"question": "overall", "op": "at_least", "number": 2}},
        {**WHY, "name": "more", "when": {"question": "why"}},
    )
    check(definition, preferring(1), 2)  # `why` is required, and not asked
    with pytest.raises(InvalidAnswer) as missing:
        check(definition, preferring(2), 2)
    assert [(e.field, e.message) for e in missing.value.errors] == [("why", "answer this question")]
    weak = Answer(comparisons=preferring(1).comparisons, answers={"why": "a", "more": "b"})
    assert asked(definition, weak) == {"overall"}  # `why` was answered, but it is not asked
    with pytest.raises(InvalidAnswer) as extra:
        check(definition, weak, 2)
    assert [e.field for e in extra.value.errors] == ["why", "more"]


@pytest.mark.parametrize(
    ("definition", "errors"),
    [
        ({"questions": [WHICH], "responses": {"min": 1}}, {"responses.min": "at least two"}),
        ({"questions": [QUALITY], "responses": {"min": 3}}, {"responses.max": "min <= max"}),
        ({"questions": [QUALITY, QUALITY]}, {"questions.1.name": "used twice"}),
        ({"questions": [{**QUALITY, "max": 0}]}, {"questions.0.max": "min + 1"}),
        ({"questions": [{**QUALITY, "words": ["a"]}]}, {"questions.0.words": "expected 5"}),
        ({"questions": [{**WHICH, "words": ["a"], "label": " "}, {**QUALITY, "label": "\0"}]},
         {"questions.0.label": "write something", "questions.1.label": "NUL"}),
        ({"questions": [{**WHICH, "ties": ["equal", "equal"]}]}, {"questions.0.ties.1": "twice"}),
        ({"questions": [{**WHICH, "scale_max": 5}]}, {"questions.0.scale_max": "1, 2, 3 or 4"}),
        ({"questions": [{**FAULTS, "options": FAULTS["options"] * 2}]},
         {"questions.0.options.2.value": "twice", "questions.0.options.3.value": "twice"}),
        ({"questions": [WHY, {**WHY, "name": "b", "when": {"question": "c"}}]},
         {"questions.1.when.question": "not asked before"}),
        ({"questions": [WHY, {**WHY, "name": "b", "when": {"question": "why", "op": "is", "values": ["x"]}}]},
         {"questions.1.when.op": "whether it is answered"}),
        ({"questions": [WHICH, {**WHY, "when": {"question": "overall", "op": "is", "values": ["left"]}}]},
         {"questions.1.when.values": "first, second, equal"}),
        ({"questions": [WHICH, {**WHY, "when": {"question": "overall", "op": "at_least", "number": 4}}]},
         {"questions.1.when.number": "expected 0 to 3"}),
        ({"questions": [WHICH, {**WHY, "when": {"question": "overall", "op": "at_least"}}]},
         {"questions.1.when.number": "whole number"}),
        ({"questions": [{**WHY, "name": "reason", "per_response": True}]},
         {"questions.0.per_response": "one text"}),
        ({"questions": [WHY], "skip": [{"value": "a", "label": "A"}] * 2}, {"skip.1.value": "twice"}),
        ({"questions": [{"kind": "dance", "name": "a", "label": "A"}]}, {"questions.0": "kind"}),
        ({"questions": []}, {"questions": "expected at least 1"}),
    ],
)  # fmt: skip
def test_a_definition_that_contradicts_itself_says_where(definition, errors):
    with pytest.raises(ValidationError) as raised:
        Definition.model_validate(definition)
    found = {".".join(map(str, path)): words for path, words in errors_by_path(raised.value)}
    assert found.keys() == errors.keys()
    assert all(part in found[path] for path, part in errors.items())
