"""Marked parts, rewrites and answers for each response: checked against the very text, kept and shown in words."""

from __future__ import annotations

import json
import uuid

import pytest

from annotations.judging import forms, labels, pages
from annotations.judging.answers import Answer, ComparisonAnswer, InvalidAnswer, ScoreAnswer
from annotations.judging.item_queries import judgments_of
from annotations.judging.models import Judgment
from annotations.judging.submit import submit
from annotations.projects import schemas
from app.web.rendering import plain_text, render_markdown

QUESTIONS = [
    {"kind": "comparison", "name": "overall", "label": "Which?", "scale_max": 4, "required": False},
    {
        "kind": "span", "name": "parts", "label": "False parts",
        "options": [{"value": "wrong", "label": "It is false"}, {"value": "rude", "label": "It is rude"}],
    },
    {"kind": "rewrite", "name": "better", "label": "Better text"},
    {
        "kind": "choice", "name": "faults", "label": "Faults", "multiple": True, "per_response": True,
        "required": False, "options": [{"value": "long", "label": "Too long"}, {"value": "off", "label": "Off topic"}],
    },
    {"kind": "text", "name": "notes", "label": "Notes", "per_response": True},
]  # fmt: skip
TEXTS = ("The *moon* is 🧀 &\n\n```\nprint(1)\n```", "It is rock.")


@pytest.fixture
def asking(project):
    """The project asks QUESTIONS."""
    schema = schemas.add_schema(project=project, definition={"questions": QUESTIONS})
    schemas.use_schema(project=project, schema=schema)
    return schemas.load(schema.pk)


def part(response, start, end, quote, label="wrong", **note):
    return {"response": response, "start": start, "end": end, "quote": quote, "label": label, **note}


def test_the_text_that_offsets_count_is_what_a_browser_would_say():
    assert plain_text(render_markdown(TEXTS[0])) == "The moon is 🧀 &\nprint(1)\n\n"
    assert plain_text("<pre>\none\r\ntwo</pre><p>a&lt;b<br>c &amp;amp;</p>") == "one\ntwoa<bc &amp;"
    assert plain_text("<pre><code>\nx</code></pre>") == "\nx"
    assert plain_text(render_markdown("Then $x<y$.")) == "Then x<y.\n"


@pytest.mark.parametrize(
    ("answers", "message"),
    [
        ({"parts": [part(0, 12, 13, "🧀")]}, None),
        ({"parts": [part(0, 4, 8, "moon", note="not at all"), part(0, 0, 8, "The moon")]}, None),
        ({"parts": [part(0, 12, 14, "🧀")]}, "the quote is not what stands there"),
        ({"parts": [part(1, 0, 99, "It is rock.")]}, "ends at 99: the response has 12 characters"),
        ({"parts": [part(1, 3, 3, "is")]}, "expected 0 <= start < end"),
        ({"parts": [part(2, 0, 2, "It")]}, "response 2: the item has 2"),
        ({"parts": [part(1, 0, 2, "It", "silly")]}, "'silly': expected one of the labels"),
        ({"parts": [part(1, 0, 2, "It")] * 2}, "part 2: marked twice with the same label"),
        ({"parts": [part(1, 0, 2, "It", note="x" * 2001)]}, "note of at most 2,000"),
        ({"parts": [part(1, 0, 2, "It", colour="red")]}, "expected response, start, end"),
        ({"parts": [part(1, 0, 1, "I")] * 201}, "201 marked parts; at most 200"),
        ({"parts": [part(1, 0, 2, "I\0")]}, "holds a NUL character"),
        ({"better": {"response": 1, "text": "It is rock and dust."}}, None),
        ({"better": {"response": 0, "text": "x"}}, "a response you did not prefer"),
        ({"better": {"response": 1, "text": " "}}, "write the better text"),
        ({"better": {"response": True, "text": "x"}}, "the item has 2"),
        ({"faults": [["long"], []], "notes": ["", "short"]}, None),
        ({"faults": [["long"], [], []]}, "expected a list of 2"),
        ({"faults": [["long", "long"], []]}, "chosen twice"),
        ({"faults": ["long", []]}, "expected some of the options"),
        ({"notes": ["", None, "x"]}, "expected a list of 2"),
    ],
)
def test_answers_are_held_against_what_was_shown(asking, annotator, make_item, answers, message):
    item = make_item(responses=TEXTS)
    answer = Answer(comparisons=(ComparisonAnswer(0, 1, "overall", 4, 4),), answers=answers)
    given = {
        "annotator": annotator, "item_id": item.pk, "schema_id": asking[0].pk, "uuid": uuid.uuid4(),
        "answer": answer, "origin": Judgment.Origin.PAGE,
    }  # fmt: skip
    if message is None:
        assert submit(**given).judgment.answers == answers
        return
    with pytest.raises(InvalidAnswer) as refused:
        submit(**given)
    assert message in str(refused.value)
    assert {error.field for error in refused.value.errors} <= {*answers, "answers"}
    assert Judgment.objects.count() == 0


def test_what_the_page_posts_is_stored_canonically_and_fills_the_page_again(asking):
    _, definition = asking
    spans = [{"place": 0, "start": 3, "end": 5, "quote": "is", "label": "wrong", "note": "no"}]
    posted = {
        "c-overall": ["-1"], "h-parts": [json.dumps(spans)], "w-better": ["Rock.\r\nDust."], "w-better-of": ["0"],
        "o-faults-0": ["off", "long"], "x-notes-1": ["cheese?"],
    }  # fmt: skip
    answer = forms.to_answer(definition, posted, "10", 2)
    assert answer.answers == {
        "parts": [part(1, 3, 5, "is", note="no")],
        "better": {"response": 1, "text": "Rock.\nDust."},
        "faults": [[], ["off", "long"]],
        "notes": ["cheese?", ""],
    }
    again = forms.to_values(definition, answer, "10")
    assert again == {**posted, "w-better": ["Rock.\nDust."]}
    assert forms.draft_of(definition, again, 2) == again


def test_an_item_page_says_the_answers_in_the_words_people_saw(asking, annotator, make_item):
    item = make_item(responses=TEXTS)
    answers = {
        "parts": [part(0, 4, 8, "moon", note="stars")],
        "better": {"response": 1, "text": "Rock."},
        "faults": [["long", "off"], []],
        "notes": ["", "short"],
    }
    submit(
        annotator=annotator, item_id=item.pk, schema_id=asking[0].pk, uuid=uuid.uuid4(),
        answer=Answer(answers=answers), origin=Judgment.Origin.PAGE,
    )  # fmt: skip
    (shown,), _, _ = judgments_of(item)
    assert shown.others == [
        ("False parts", "A “moon”: It is false (stars)"),
        ("Better text", "of B: Rock."),
        ("Faults", "A Too long, Off topic"),
        ("Notes", "B short"),
    ]
    assert labels.answer_words(None, ["x", 1], 2) == "x, 1"
    stored = pages.answer_of(Judgment.objects.get())
    assert stored.answers == answers


def test_a_rewrite_starts_from_what_the_answer_itself_calls_best():
    definition = schemas.Definition.model_validate(
        {
            "responses": {"min": 2, "max": 8},
            "questions": [
                {"kind": "rating", "name": "quality", "label": "Q", "min": 1, "max": 5, "required": False},
                {"kind": "ranking", "name": "rank", "label": "R", "required": False},
                QUESTIONS[2],
            ],
        }
    )
    rated = tuple(ScoreAnswer(i, "quality", value, 1, 5) for i, value in enumerate((5, 5, 1)))
    ranked = tuple(ScoreAnswer(i, "rank", value, 1, 3) for i, value in enumerate((2, 2, 1)))
    best = forms.free_answers.best_responses
    assert best(definition, Answer(), 3) == {0, 1, 2}
    assert best(definition, Answer(scores=rated), 3) == {0, 1}
    assert best(definition, Answer(scores=rated + ranked), 3) == {2}
