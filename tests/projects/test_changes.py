"""What differs between two versions of a task, and that answers outlive every change not called breaking."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from annotations.judging.answers import check
from annotations.projects import conditions
from annotations.projects.changes import changes, is_breaking
from annotations.projects.presets import PRESETS
from annotations.projects.schemas import Definition
from tests.judging.test_forms import answered

WHICH = {
    "kind": "comparison",
    "name": "overall",
    "label": "Which?",
    "words": ["a", "b", "c"],
    "ties": ["equal"],
}
QUALITY = {"kind": "rating", "name": "quality", "label": "Quality", "min": 0, "max": 4}
TAGS = {
    "kind": "choice", "name": "tags", "label": "Tags",
    "options": [{"value": "one", "label": "One"}, {"value": "two", "label": "Two"}],
}  # fmt: skip
WHY = {"kind": "text", "name": "why", "label": "Why?"}
THREE = [*TAGS["options"], {"value": "three", "label": "Three"}]
STRONG = {"question": "overall", "op": "at_least", "number": 2}


def define(*questions, **more):
    return Definition.model_validate({"questions": questions, **more})


@pytest.mark.parametrize(
    ("before", "after", "words", "breaking"),
    [
        (WHICH, {**WHICH, "label": "Which one?"}, "“Which one?” was “Which?”.", False),
        (WHICH, {**WHICH, "words": []}, "“Which?”: the strengths are called otherwise.", False),
        (WHICH, {**WHICH, "scale_max": 2, "words": []}, "“Which?” has 2 strengths instead of 3.", True),
        (WHICH, {**WHICH, "ties": []}, "“Which?”: “about equal” cannot be answered any more.", True),
        ({**WHICH, "ties": []}, WHICH, "“Which?”: “about equal” can be answered now.", False),
        (QUALITY, {**QUALITY, "max": 5}, "“Quality” goes from 0 to 5 instead of 0 to 4.", True),
        (QUALITY, {**QUALITY, "required": False}, "“Quality” is optional now.", False),
        (WHY, {**WHY, "required": True}, "“Why?” is required now.", True),
        (WHY, {**WHY, "min_chars": 5}, "“Why?”: 5 to 20,000 characters now.", True),
        (WHY, {**WHY, "per_response": True}, "“Why?” is asked of each response now.", True),
        (TAGS, {**TAGS, "options": THREE}, "“Tags”: “Three” can be chosen now.", False),
        ({**TAGS, "options": THREE}, TAGS, "“Tags”: “Three” cannot be chosen any more.", True),
        (TAGS, {**TAGS, "multiple": True}, "“Tags”: several options may be chosen now.", True),
        (TAGS, {**TAGS, "options": TAGS["options"][::-1]}, "“Tags”: the options stand in another order.", False),
        (WHY, {**TAGS, "name": "why", "label": "Why?"}, "“Why?” is a choice question instead of a text question.", True),
    ],
)  # fmt: skip
def test_a_change_of_a_question_is_said_in_words(before, after, words, breaking):
    found = changes(define(before), define(after))
    assert [(change.words, change.breaking) for change in found] == [(words, breaking)]


def test_questions_come_go_move_and_depend():
    before, after = (
        define(WHICH, QUALITY),
        define(QUALITY, WHICH, {**WHY, "when": STRONG}, {**TAGS, "required": True}),
    )
    assert [(c.words, c.breaking, c.question) for c in changes(before, after)] == [
        ("New question, optional: “Why?”.", False, "why"),
        ("New question, required: “Tags”.", True, "tags"),
        ("The questions stand in another order.", False, ""),
    ]
    later = define(WHICH, WHY, title="Two", responses={"min": 2, "max": 4}, layout="stacked", skip=[])
    assert [(c.words, c.breaking) for c in changes(after, later)] == [
        ("The title is “Two” instead of “”.", False),
        ("Responses stand below each other.", False),
        ("For items with 2 to 4 responses instead of 2 responses.", False),
        ("Reasons to skip: “Not now” cannot be chosen any more.", False),
        ("Reasons to skip: “Not a language I read” cannot be chosen any more.", False),
        ("Reasons to skip: “I would rather not judge this” cannot be chosen any more.", False),
        ("“Why?” is asked always instead of if the strength of “Which?” is at least 2 (b).", False),
        ("No longer asked: “Quality”. Its answers stay.", False),
        ("No longer asked: “Tags”. Its answers stay.", False),
    ]
    rewrite = {"kind": "rewrite", "name": "better", "label": "Better"}
    assert not is_breaking(define(QUALITY, WHY), define(WHY))
    assert is_breaking(define(QUALITY, rewrite), define(rewrite))
    assert changes(later, later) == []


@pytest.mark.parametrize("key", PRESETS)
def test_a_preset_differs_from_itself_in_nothing(key):
    definition = Definition.model_validate(PRESETS[key])
    assert changes(definition, definition) == []


CHANGE = {
    "label": st.just("Else"), "required": st.booleans(), "scale_max": st.integers(1, 4),
    "ties": st.sampled_from([(), ("equal",), ("equal", "equal_bad")]), "min": st.integers(-3, 2),
    "max": st.integers(1, 9), "multiple": st.booleans(), "per_response": st.booleans(), "note": st.booleans(),
    "min_chars": st.integers(0, 3), "max_chars": st.integers(5, 30_000), "of": st.sampled_from(["best", "any"]),
    "options": st.permutations([{"value": v, "label": v} for v in ("one", "two", "three", "four")]).map(lambda o: o[:3]),
    "when": st.none(),
}  # fmt: skip


@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large],
)
@given(st.data())
def test_without_a_breaking_change_old_answers_still_hold(data):
    """Whatever changes: if nothing is called breaking, the answer to what is still asked passes the new check."""
    before, n, answer = data.draw(answered())
    questions = before.model_dump(mode="json")["questions"]
    if data.draw(st.booleans()):
        questions = [q for q in questions if data.draw(st.integers(0, 6))]
        questions = data.draw(st.permutations(questions)) if data.draw(st.booleans()) else questions
    for question in questions:
        for key in sorted(CHANGE.keys() & question.keys()):
            if data.draw(st.integers(0, 15)) == 0:
                question[key] = data.draw(CHANGE[key])
        if "ties" in question and question["kind"] == "ranking":
            question["ties"] = bool(question["ties"])
    assume(questions)
    try:
        after = Definition.model_validate({"responses": {"min": 2, "max": 8}, "questions": questions})
    except ValueError:
        assume(False)
    assume(not is_breaking(before, after))
    known = {question.name for question in after.questions}

    def only(names):
        return replace(
            answer,
            comparisons=tuple(c for c in answer.comparisons if c.aspect in names),
            scores=tuple(s for s in answer.scores if s.attribute in names),
            answers={name: value for name, value in answer.answers.items() if name in names},
            reason=answer.reason if "reason" in names else "",
        )

    check(after, only(conditions.asked(after, only(known))), n)
