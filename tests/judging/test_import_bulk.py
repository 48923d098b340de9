"""The bulk path stores and counts exactly what the single path does."""

from __future__ import annotations

import uuid
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from annotations.items import bulk_insert
from annotations.items.content import content_hash
from annotations.items.models import Item, Response
from annotations.judging import bulk, bulk_rows
from annotations.judging.answers import Answer, Call, ComparisonAnswer, InvalidAnswer, ScoreAnswer
from annotations.judging.models import Comparison, Judgment, LMCall, Score
from annotations.judging.submit import Conflict, submit
from annotations.projects import schemas
from annotations.projects.models import Annotator, Project
from tests.judging.import_state import assert_counted_right, state

pytestmark = pytest.mark.django_db

DEFINITION = {
    "questions": [
        {
            "kind": "comparison",
            "name": "overall",
            "label": "Which?",
            "scale_max": 3,
            "ties": ["equal", "equal_bad"],
            "required": False,
        },
        {"kind": "rating", "name": "quality", "label": "Quality", "min": 0, "max": 4, "required": False},
        {"kind": "text", "name": "note", "label": "Note"},
        {"kind": "text", "name": "reason", "label": "Why?"},
    ]
}
texts = st.text(st.characters(blacklist_categories=("Cs",), blacklist_characters="\x00"), max_size=12)
comparisons = st.one_of(
    st.builds(
        lambda n: ComparisonAnswer(0, 1, "overall", n, 3), st.integers(-4, 4)
    ),  # 0 and ±4 are off the scale
    st.builds(
        lambda tie: ComparisonAnswer(0, 1, "overall", None, None, tie),
        st.sampled_from(["equal", "equal_bad"]),
    ),
)
scores = st.builds(
    lambda a, b: (ScoreAnswer(0, "quality", a, 0, 4), ScoreAnswer(1, "quality", b, 0, 4)),
    st.integers(0, 4),
    st.integers(0, 5),
)
calls = st.builds(
    Call,
    order=st.sampled_from(["ab", "ba", ""]),
    label=st.sampled_from(["a", "b", "tie", ""]),
    raw=texts,
    meta=st.dictionaries(texts, texts, max_size=2),
    tokens_in=st.none() | st.integers(0, 2**31 - 1),
)
answered = st.builds(
    Answer,
    comparisons=st.lists(comparisons, max_size=1).map(tuple),
    scores=st.just(()) | scores,
    answers=st.fixed_dictionaries({}, optional={"note": texts}),
    reason=texts,
    probability=st.none() | st.floats(0, 1),
    order_consistent=st.sampled_from([None, True, False]),
    presented_order=st.sampled_from(["", "01", "10"]),
    active_ms=st.none() | st.integers(0, 2**31 - 1),
    meta=st.dictionaries(texts, st.none() | texts | st.integers(-5, 5), max_size=2),
    calls=st.lists(calls, max_size=2).map(tuple),
)
unanswered = st.sampled_from(
    [
        Answer(outcome="skipped", answers={"skip": "not_now"}),
        Answer(outcome="flagged", answers={"flag": "harmful"}),
        Answer(outcome="cannot_judge", answers={"cannot_judge": "other"}),
    ]
)
item_and_annotator = st.tuples(st.integers(0, 2), st.integers(0, 2))  # the last annotator is a model
given_judgments = st.lists(
    st.tuples(item_and_annotator, answered | unanswered, st.sampled_from([1.0, 0.25]), st.uuids(version=4)),
    max_size=8,
    unique_by=lambda one: one[-1],
)


def world():
    """A project with three items, two people and a model."""
    project = Project.objects.create(slug="world", name="World")
    schemas.use_schema(project=project, schema=schemas.add_schema(project=project, definition=DEFINITION))
    annotators = [
        Annotator.objects.create(project=project, kind=kind, name=name)
        for kind, name in (("human", "ann"), ("human", "ben"), ("lm", "m"))
    ]
    items = []
    for n in range(3):
        item = Item.objects.create(
            project=project,
            external_id=str(n),
            prompt="p",
            content_hash=content_hash("p", "", ["x", str(n)]),
            n_responses=2,
            order_key=n,
            wanted=2,
            open_slots=2,
        )
        Response.objects.bulk_create(
            Response(item=item, index=i, text=t) for i, t in enumerate(["x", str(n)])
        )
        items.append(item)
    return project, annotators, items


def one_by_one(judgments):
    project, annotators, items = world()
    for (i, a), answer, propensity, key in judgments:
        with suppress(InvalidAnswer, Conflict):
            submit(
                annotator=annotators[a],
                item_id=items[i].pk,
                schema_id=project.schema_id,
                uuid=key,
                answer=answer,
                origin="import",
                propensity=propensity,
            )
    return state(project)


def entry(project, annotator, item, answer, key, **fields):
    return bulk.Entry(key.hex, item.pk, annotator.pk, annotator.kind, project.schema_id, answer, **fields)


def write(project, entries):
    fresh: set[int] = set()
    checked = bulk.check_batch(
        project_id=project.pk,
        entries=entries,
        n_responses=dict(Item.objects.values_list("pk", "n_responses")),
        fresh=fresh,
    )
    bulk.write_batch(project_id=project.pk, checked=checked, fresh=fresh, now=timezone.now())
    return checked


def in_batches(judgments, cut):
    project, annotators, items = world()
    for part in (judgments[:cut], judgments[cut:]):
        write(
            project,
            [
                entry(project, annotators[a], items[i], answer, key, propensity=propensity)
                for (i, a), answer, propensity, key in part
            ],
        )
    assert_counted_right(project)
    return state(project)


def rolled_back(do, *args):
    with transaction.atomic():
        result = do(*args)
        transaction.set_rollback(True)
    return result


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(judgments=given_judgments, cut=st.integers(0, 8))
def test_bulk_rows_and_counters_equal_those_of_submit(judgments, cut):
    """One after another, and in two batches: the same rows, refusals and counters.

    The judgments carry no times and name no corrections, on which the two paths differ by design.
    """
    expected = rolled_back(one_by_one, judgments)
    got = rolled_back(in_batches, judgments, cut)
    for kind in expected:
        assert got[kind] == expected[kind], kind


def test_every_column_reads_back_as_it_was_given():
    project, annotators, items = world()
    at = datetime(2026, 1, 31, 23, 59, 59, 999999, tzinfo=UTC)
    key = uuid.uuid4()
    answer = Answer(
        comparisons=(ComparisonAnswer(0, 1, "overall", -3, 3),),
        scores=(ScoreAnswer(0, "quality", 2.5, None, 4),),
        answers={"ü": ["\U0001f642", 1.5, None, True, {"\t\\n": "\n"}]},
        reason="tab\tback\\slash \\N new\nline \u2028 'quote' \"",
        probability=1 / 3,
        order_consistent=False,
        presented_order="10",
        active_ms=1,
        wall_ms=2**31 - 1,
        meta={"k": "v"},
        calls=(Call("ab", "a", "raw", "why", {"m": 1}, "hash", 1, 2, 2**40, 3),),
    )
    write(project, [entry(project, annotators[2], items[0], answer, key, propensity=0.1, created_at=at)])
    stored = Judgment.objects.get()
    assert (stored.uuid, stored.created_at, stored.propensity, stored.probability) == (key, at, 0.1, 1 / 3)
    assert (stored.answers, stored.reason, stored.meta) == (answer.answers, answer.reason, {"k": "v"})
    assert (stored.order_consistent, stored.is_current, stored.presented_order) == (False, True, "10")
    assert (stored.active_ms, stored.wall_ms, stored.supersedes) == (1, 2**31 - 1, None)
    assert timezone.now() - stored.received_at < timedelta(minutes=1)
    assert LMCall.objects.values_list("cost_micros", "meta", "label", "prompt_hash").get() == (
        2**40,
        {"m": 1},
        "a",
        "hash",
    )
    assert Score.objects.values_list("value", "scale_min", "scale_max").get() == (2.5, None, 4.0)


def test_keys_come_in_blocks_that_nobody_else_gets():
    project, *_ = world()
    with transaction.atomic():
        block = list(bulk_insert.allocate(Annotator, 3))
        names = ("id", *bulk_columns(Annotator))
        row = dict(Annotator.objects.values(*names).first())
        rows = [
            tuple(
                {
                    **row,
                    "id": pk,
                    "name": f"new {pk}",
                    "meta": "{}",
                    "tags": "[]",
                    "pseudonym": uuid.uuid4().hex,
                    "created_at": bulk_insert.moment_form()(row["created_at"]),
                }.values()
            )
            for pk in block
        ]
        bulk_insert.insert(Annotator, names, rows)
    assert len(set(block)) == 3
    later = Annotator.objects.create(project=project, kind="human", name="later")
    assert later.pk > max(block)


def bulk_columns(model):
    return [field.attname for field in model._meta.concrete_fields if not field.primary_key]


def test_the_tables_own_rules_hold_for_bulk_rows():
    project, annotators, items = world()
    write(project, [entry(project, annotators[0], items[0], Answer(), uuid.uuid4())])
    judgment = Judgment.objects.get()
    for bad in ((judgment.pk, 1, 0, "overall", -1, 3, None), (judgment.pk, 0, 1, "overall", 9, 3, None)):
        with pytest.raises(IntegrityError), transaction.atomic():
            bulk_insert.insert(Comparison, bulk_rows.COMPARISON, [bad])
    with pytest.raises(ValueError, match="scale_max"):
        bulk_insert.insert(Comparison, bulk_rows.COMPARISON[:5], [])
    assert Comparison.objects.count() == 0


def test_the_same_uuid_again_is_one_judgment_and_of_another_item_is_refused():
    project, annotators, items = world()
    key = uuid.uuid4()
    first = write(project, [entry(project, annotators[0], items[0], Answer(), key)] * 2)
    again = write(
        project,
        [
            entry(project, annotators[0], items[0], Answer(reason="other"), key),
            entry(project, annotators[0], items[1], Answer(), key),
        ],
    )
    assert (len(first.accepted), first.known) == (1, 1)
    assert (len(again.accepted), again.known, [e.field for _, e in again.refused]) == (0, 1, ["id"])
    assert Item.objects.get(external_id="1").n_human == 0
