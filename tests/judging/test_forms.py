"""Between page and answer: whatever side a response stands on, the same opinion is stored."""

from __future__ import annotations

from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from annotations.judging import forms
from annotations.judging.answers import Answer, ComparisonAnswer, InvalidAnswer, ScoreAnswer, check
from annotations.projects.schemas import Definition

TEXT = st.text(
    st.characters(blacklist_categories=["Cs"], blacklist_characters="\x00\r"), min_size=1, max_size=40
).filter(str.strip)


@st.composite
def definitions(draw):
    questions = [
        {
            "kind": "comparison", "name": f"aspect{i}", "label": "Which?", "scale_max": draw(st.integers(1, 3)),
            "ties": ["equal", "equal_good", "equal_bad"],
        }
        for i in range(draw(st.integers(0, 2)))
    ]  # fmt: skip
    low = draw(st.integers(-3, 2))
    questions.append(
        {
            "kind": "rating",
            "name": "quality",
            "label": "Quality",
            "min": low,
            "max": low + draw(st.integers(1, 9)),
        }
    )
    questions.append({"kind": "ranking", "name": "rank", "label": "Order"})
    questions.append({"kind": "thumb", "name": "thumb", "label": "Good?"})
    options = [{"value": v, "label": v} for v in ("one", "two", "three")]
    questions.append({"kind": "choice", "name": "sure", "label": "Sure?", "options": options})
    questions.append(
        {
            "kind": "choice",
            "name": "tags",
            "label": "Tags",
            "options": options,
            "multiple": True,
            "required": False,
        }
    )
    questions.append({"kind": "text", "name": "fix", "label": "Fix"})
    questions.append({"kind": "text", "name": "reason", "label": "Why?"})
    return Definition.model_validate({"responses": {"min": 2, "max": 8}, "questions": questions})


@st.composite
def answered(draw):
    """A definition, a number of responses, and a valid answer in canonical order."""
    definition = draw(definitions())
    n = draw(st.integers(2, 8))
    comparisons, scores, answers, reason = [], [], {}, ""
    for q in definition.questions:
        if q.kind == "comparison":
            tie = draw(st.sampled_from([None, *q.ties]))
            strength = draw(st.integers(1, q.scale_max)) * draw(st.sampled_from([-1, 1]))
            comparisons.append(
                ComparisonAnswer(0, 1, q.name, tie=tie)
                if tie
                else ComparisonAnswer(0, 1, q.name, strength, q.scale_max)
            )
        elif q.kind == "ranking":
            places = draw(st.lists(st.integers(1, n), min_size=n, max_size=n))
            ranks = [1 + sum(other < place for other in places) for place in places]
            scores += [ScoreAnswer(i, q.name, rank, 1, n) for i, rank in enumerate(ranks)]
        elif q.kind in {"rating", "thumb"}:
            low, high = (q.min, q.max) if q.kind == "rating" else (0, 1)
            scores += [ScoreAnswer(i, q.name, draw(st.integers(low, high)), low, high) for i in range(n)]
        elif q.kind == "choice" and q.multiple:
            if chosen := draw(st.lists(st.sampled_from([o.value for o in q.options]), unique=True)):
                answers[q.name] = chosen
        elif q.kind == "choice":
            answers[q.name] = draw(st.sampled_from([o.value for o in q.options]))
        elif q.name == "reason":
            reason = draw(st.just("") | TEXT)
        elif text := draw(st.just("") | TEXT):
            answers[q.name] = text
    scores.sort(key=lambda score: (score.attribute, score.response))
    return (
        definition,
        n,
        Answer(comparisons=tuple(comparisons), scores=tuple(scores), answers=answers, reason=reason),
    )


def shown(n):
    return st.permutations(range(n)).map(lambda order: "".join(map(str, order)))


@given(st.data())
def test_the_stored_answer_does_not_depend_on_the_side_shown(data):
    definition, n, answer = data.draw(answered())
    for order in (data.draw(shown(n)), data.draw(shown(n))):
        values = forms.to_values(definition, answer, order)
        read = forms.to_answer(definition, values, order, n)
        assert (read.comparisons, read.scores, read.answers, read.reason) == (
            answer.comparisons,
            answer.scores,
            answer.answers,
            answer.reason,
        )
        check(definition, read, n)


@pytest.mark.parametrize("order", ["".join(p) for p in permutations("012")])
def test_choosing_the_left_one_prefers_the_response_that_stands_left(order):
    definition = Definition.model_validate(
        {
            "responses": {"min": 2, "max": 3},
            "questions": [{"kind": "comparison", "name": "overall", "label": "Which?"}],
        }
    )
    left, right = forms.compared_places(order)
    assert {order[left], order[right]} == {"0", "1"}
    answer = forms.to_answer(definition, {"c-overall": ["-3"]}, order, 3)
    assert answer.comparisons[0].preference == (-3 if order[left] == "0" else 3)


@given(st.data())
def test_reading_a_form_answers_or_names_the_fields_and_nothing_else(data):
    """Total over every form: an Answer, or InvalidAnswer with a field and a message."""
    definition, n, answer = data.draw(answered())
    order = data.draw(shown(n))
    values = forms.to_values(definition, answer, order)
    keys = [*values, "outcome", "c-overall", "r-quality-9", "active_ms", "viewport", "x-reason", "k-rank-0"]
    wild = st.text(max_size=12) | st.sampled_from(["99", "-0", "1e9", "equal", "skipped:x", "٣", "\x00"])
    for _ in range(data.draw(st.integers(1, 4))):
        values[data.draw(st.sampled_from(keys))] = data.draw(st.lists(wild, max_size=3))
    for read in (
        lambda: check(definition, forms.to_answer(definition, values, order, n), n),
        lambda: forms.draft_of(definition, values, n),
    ):
        errors = []
        try:
            read()
        except InvalidAnswer as error:
            errors = error.errors
        assert all(each.field and each.message for each in errors)


def test_places_with_ties_become_ranks_that_share_the_lowest():
    definition = Definition.model_validate(
        {
            "responses": {"min": 2, "max": 8},
            "questions": [{"kind": "ranking", "name": "rank", "label": "Order"}],
        }
    )
    values = {f"k-rank-{place}": [value] for place, value in enumerate(["2", "1", "1", "4"])}
    answer = forms.to_answer(definition, values, "3210", 4)
    assert {s.response: s.value for s in answer.scores} == {3: 3, 2: 1, 1: 1, 0: 4}
