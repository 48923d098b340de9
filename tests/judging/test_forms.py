"""Between page and answer: whatever side a response stands on, the same opinion is stored."""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from annotations.judging import forms
from annotations.judging.answers import Answer, ComparisonAnswer, InvalidAnswer, ScoreAnswer, check
from annotations.judging.free_answers import best_responses, sorted_spans
from annotations.projects import conditions
from annotations.projects.conditions import holds, possible_numbers, possible_words
from annotations.projects.schemas import Definition

ANY_SPEED = settings(
    max_examples=60, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large], deadline=None
)

TEXT = st.text(
    st.characters(blacklist_categories=["Cs"], blacklist_characters="\x00\r"), min_size=1, max_size=40
).filter(str.strip)


OPTIONS = [{"value": v, "label": v} for v in ("one", "two", "three")]


@st.composite
def definitions(draw):
    """Every kind of question in any order; some are asked only after an answer to an earlier one."""
    low = draw(st.integers(-3, 2))
    questions = [
        {
            "kind": "comparison", "name": f"aspect{i}", "label": "Which?", "scale_max": draw(st.integers(1, 4)),
            "ties": draw(st.sampled_from([[], ["equal"], ["equal", "equal_good", "equal_bad"]])),
        }
        for i in range(draw(st.integers(0, 2)))
    ] + [
        {"kind": "rating", "name": "quality", "label": "Quality", "min": low, "max": low + draw(st.integers(1, 9))},
        {"kind": "ranking", "name": "rank", "label": "Order"},
        {"kind": "thumb", "name": "thumb", "label": "Good?"},
        {"kind": "choice", "name": "sure", "label": "Sure?", "options": OPTIONS},
        {"kind": "choice", "name": "tags", "label": "Tags", "options": OPTIONS, "multiple": True, "required": False},
        {"kind": "choice", "name": "fault", "label": "Fault", "options": OPTIONS, "per_response": True},
        {
            "kind": "choice", "name": "faults", "label": "Faults", "options": OPTIONS, "per_response": True,
            "multiple": True, "required": False,
        },
        {"kind": "text", "name": "fix", "label": "Fix"},
        {"kind": "text", "name": "notes", "label": "Notes", "per_response": True},
        {"kind": "text", "name": "reason", "label": "Why?"},
        {"kind": "span", "name": "false_parts", "label": "False", "options": OPTIONS},
        {"kind": "rewrite", "name": "better", "label": "Better", "of": draw(st.sampled_from(["best", "any"]))},
    ]  # fmt: skip
    questions = draw(st.permutations(questions))
    for place in range(1, len(questions)):
        if draw(st.integers(0, 3)) == 0:
            source = questions[draw(st.integers(0, place - 1))]
            questions[place] = {**questions[place], "when": draw(conditions_on(source))}
    return Definition.model_validate({"responses": {"min": 2, "max": 8}, "questions": questions})


def conditions_on(source):
    """Any condition that the question allows."""
    plain = {key: value for key, value in source.items() if key != "when"}
    parsed = Definition.model_validate({"questions": [plain]}).questions[0]
    ways = [st.just({"question": parsed.name})]
    if words := possible_words(parsed):
        values = st.lists(st.sampled_from(words), min_size=1, max_size=3)
        ways.append(st.builds(lambda v: {"question": parsed.name, "op": "is", "values": v}, values))
    if bounds := possible_numbers(parsed):
        ways.append(
            st.builds(
                lambda op, n: {"question": parsed.name, "op": op, "number": n},
                st.sampled_from(["at_least", "at_most"]),
                st.integers(*bounds),
            )
        )
    return st.one_of(ways)


def spans_of(n):
    """Marked parts of any of n texts, in reading order, none twice."""
    one = st.builds(
        lambda response, start, quote, label, note: {
            "response": response, "start": start, "end": start + len(quote), "quote": quote, "label": label,
            "note": note,
        },
        st.integers(0, n - 1), st.integers(0, 5), TEXT, st.sampled_from(["one", "two"]), st.just("") | TEXT,
    )  # fmt: skip
    return st.lists(
        one, max_size=3, unique_by=lambda s: (s["response"], s["start"], s["end"], s["label"])
    ).map(sorted_spans)


def free_value(draw, q, n):
    """A value of a question of the free kinds, or None where an optional one is left out."""
    values = [o.value for o in q.options] if q.kind == "choice" else []
    chosen = st.sampled_from(values) if values else TEXT
    if q.kind == "choice" and q.multiple:
        chosen = st.lists(st.sampled_from(values), unique=True)
    if q.kind == "span":
        return draw(spans_of(n)) or None
    if q.kind == "rewrite":
        return draw(st.none() | st.fixed_dictionaries({"response": st.integers(0, n - 1), "text": TEXT}))
    if not q.per_response:
        return draw(chosen if q.required else st.none() | chosen) or None
    part = chosen if q.required else st.just([] if q.kind == "choice" else "") | chosen
    value = draw(st.lists(part, min_size=n, max_size=n))
    return value if any(value) else None


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
        elif q.name == "reason":
            reason = draw(st.just("") | TEXT)
        elif (value := free_value(draw, q, n)) is not None:
            answers[q.name] = value
    for q in definition.questions:
        if q.kind == "rewrite" and q.of == "best" and q.name in answers:
            whole = Answer(comparisons=tuple(comparisons), scores=tuple(scores))
            # What is not asked says nothing about which response is best.
            said = only_asked(definition, replace(whole, answers=answers, reason=reason))
            answers[q.name]["response"] = min(best_responses(definition, said, n))
    scores.sort(key=lambda score: (score.attribute, score.response))
    answer = Answer(comparisons=tuple(comparisons), scores=tuple(scores), answers=answers, reason=reason)
    return definition, n, only_asked(definition, answer)


def only_asked(definition, answer):
    """The answer without what no question asked for, found the slow way: question by question."""
    asked = set()
    for question in definition.questions:
        part = keep(answer, asked)
        if question.when is None or (
            question.when.question in asked
            and holds(question.when, given_to(definition, question.when.question, part))
        ):
            asked.add(question.name)
    return keep(answer, asked)


def given_to(definition, name, answer):
    return conditions.given(next(q for q in definition.questions if q.name == name), answer)


def keep(answer, names):
    return replace(
        answer,
        comparisons=tuple(c for c in answer.comparisons if c.aspect in names),
        scores=tuple(s for s in answer.scores if s.attribute in names),
        answers={name: value for name, value in answer.answers.items() if name in names},
        reason=answer.reason if "reason" in names else "",
    )


def shown(n):
    return st.permutations(range(n)).map(lambda order: "".join(map(str, order)))


@ANY_SPEED
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


@ANY_SPEED
@given(st.data())
def test_reading_a_form_answers_or_names_the_fields_and_nothing_else(data):
    """Total over every form: an Answer, or InvalidAnswer with a field and a message."""
    definition, n, answer = data.draw(answered())
    order = data.draw(shown(n))
    values = forms.to_values(definition, answer, order)
    keys = [
        *values, "outcome", "c-overall", "r-quality-9", "active_ms", "viewport", "x-reason", "k-rank-0",
        "h-false_parts", "w-better", "w-better-of", "o-fault-0", "o-faults-7", "x-notes-1", "h-x", "w-x-of",
    ]  # fmt: skip
    wild = st.text(max_size=12) | st.sampled_from(
        ["99", "-0", "1e9", "equal", "skipped:x", "٣", "\x00", "[" * 9999, "[{}]", "{}", "[null]", "0",
         '[{"place": 0, "start": 0, "end": 1e9, "quote": "a", "label": "one"}]',
         '[{"place": 0, "start": 0, "end": 2, "quote": "a\\u0000", "label": "one"}]',
         '[{"place": 9, "start": 0, "end": 1, "quote": "a", "label": "one"}]']
    )  # fmt: skip
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


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.just("one"),
    lambda part: (
        st.lists(part, max_size=3)
        | st.dictionaries(
            st.sampled_from(["response", "start", "end", "quote", "label", "note", "text", "x"]),
            part,
            max_size=6,
        )
    ),
    max_leaves=12,
)


@ANY_SPEED
@given(st.data())
def test_a_check_raises_invalid_answer_or_nothing(data):
    """Whatever JSON stands in `answers`: the check says what is wrong by field and never breaks."""
    definition, n, answer = data.draw(answered())
    names = [q.name for q in definition.questions] + ["skip", "flag", "cannot_judge", "other"]
    answers = {**answer.answers, **data.draw(st.dictionaries(st.sampled_from(names), JSON, max_size=3))}
    changed = replace(
        answer,
        answers=answers,
        outcome=data.draw(st.sampled_from(["answered", "skipped", "flagged", "cannot_judge", "?"])),
        comparisons=answer.comparisons[: data.draw(st.integers(0, 2))],
    )
    errors = []
    try:
        check(definition, changed, n, text_of=lambda index: "abcdefgh")
    except InvalidAnswer as error:
        errors = error.errors
    assert all(each.field and each.message for each in errors)
