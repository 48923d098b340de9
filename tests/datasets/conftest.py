"""A project in which every kind of judgment was given."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime

import pytest

from annotations.datasets import tasks  # noqa: F401 - registers the handlers, as a worker does
from annotations.judging.answers import Answer, Call, ComparisonAnswer, ScoreAnswer
from annotations.judging.models import Score
from annotations.judging.submit import submit
from annotations.projects import schemas, setup
from annotations.projects.models import Annotator

EVERYTHING = {
    "title": "Everything",
    "responses": {"min": 2, "max": 3},
    "questions": [
        {
            "kind": "comparison",
            "name": "overall",
            "label": "Better?",
            "ties": ["equal", "equal_bad"],
            "required": False,
        },
        {"kind": "rating", "name": "helpfulness", "label": "Helpful?", "min": 0, "max": 4, "required": False},
        {"kind": "ranking", "name": "rank", "label": "Rank", "required": False},
        {"kind": "thumb", "name": "thumb", "label": "Good?", "required": False},
        {
            "kind": "choice",
            "name": "confidence",
            "label": "Sure?",
            "options": [{"value": "low", "label": "Low"}, {"value": "high", "label": "High"}],
            "required": False,
        },
        {"kind": "text", "name": "reason", "label": "Why?"},
    ],
}
WHEN = datetime(2026, 3, 1, 9, 30, tzinfo=UTC)


def prefer(preference, **fields):
    return Answer(comparisons=(ComparisonAnswer(0, 1, "overall", preference, 3),), **fields)


def tie(kind="equal", **fields):
    return Answer(comparisons=(ComparisonAnswer(0, 1, "overall", tie=kind),), **fields)


def scores(attribute, *values, low=None, high=None):
    return Answer(scores=tuple(ScoreAnswer(i, attribute, v, low, high) for i, v in enumerate(values)))


@pytest.fixture
def asking(project):
    """The project, asking everything, with guidelines."""
    setup.add_guideline(project=project, text="Prefer the kinder one.")
    return schemas.use_schema(
        project=project, schema=schemas.add_schema(project=project, definition=EVERYTHING)
    )


@pytest.fixture
def give(asking):
    """Store an answer of a named annotator."""

    def store(name, item, answer, *, kind="human", number=None, supersedes=None):
        annotator, _ = Annotator.objects.get_or_create(
            project=asking,
            kind=kind,
            name=name,
            defaults={"pseudonym": uuid.uuid5(uuid.NAMESPACE_OID, name)},
        )
        return submit(
            annotator=annotator,
            item_id=item.pk,
            schema_id=asking.schema_id,
            guideline_id=asking.guidelines.get().pk if kind == "human" else None,
            uuid=uuid.UUID(int=number) if number else uuid.uuid4(),
            answer=answer,
            origin="api",
            supersedes=supersedes,
            created_at=WHEN,
        ).judgment

    return store


@pytest.fixture
def judged(asking, give, make_item):
    """Five items with every kind of judgment; returns them."""
    pair = make_item("Say hello.", ("Hello.", "Go away."), external_id="pair", source="tests", wanted=3)
    chat = make_item(
        [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "שלום? 🙂"}],
        ("Hi.", "Hm.", "Ho."),
        external_id="chat",
        context="A chat.",
        meta={"tags": ["a", {"deep": None}], "n": 0.5},
    )
    tied = make_item("Tie?", ("Yes.", "No."), external_id="tied")
    plain = make_item("No id", ("One.", "Two."))
    untouched = make_item("Nobody came.", ("One.", "Two."), external_id="untouched")
    confident = Answer(
        comparisons=(ComparisonAnswer(0, 1, "overall", -2, 3),),
        scores=(ScoreAnswer(0, "helpfulness", 4, 0, 4), ScoreAnswer(1, "helpfulness", 1, 0, 4)),
        answers={"confidence": "high"},
        reason="=It says “hello”.\nKinder.",
        presented_order="10",
        active_ms=41_200,
        wall_ms=58_000,
    )
    first = give("Bea", pair, confident, number=1)
    give("Bea", pair, prefer(-3, reason="Much."), number=2, supersedes=first.uuid)
    give("Cem", pair, prefer(-1), number=3)
    give("Dana", pair, tie("equal_bad"), number=4)
    give(
        "judge-1",
        pair,
        Answer(
            comparisons=(ComparisonAnswer(0, 1, tie="equal"),),
            probability=0.5,
            order_consistent=False,
            calls=(
                Call("ab", "a", "A is better", "Shorter.", {"temperature": 0.5}),
                Call("ba", "b", "B", "", {}, "ab" * 32, 120, 8, 350, 900),
            ),
        ),
        kind="lm",
        number=5,
    )
    give("Bea", chat, scores("rank", 2, 1, 3), number=6)
    give("Cem", chat, scores("thumb", 1, 0, 1), number=7)
    give("Dana", chat, Answer(outcome="cannot_judge", answers={"cannot_judge": "lacks_knowledge"}), number=8)
    rated = give("rm-1", chat, scores("helpfulness", 4, 0, 1, low=0, high=4), kind="reward_model", number=9)
    Score.objects.filter(judgment=rated, response=2).update(value=1.25)  # reward models do not rate in steps
    give("Bea", tied, tie(), number=10)
    give("Cem", tied, Answer(outcome="flagged", answers={"flag": "broken"}, reason="Empty?"), number=11)
    give("judge-1", plain, prefer(2, probability=0.9), kind="lm", number=12)
    return pair, chat, tied, plain, untouched
