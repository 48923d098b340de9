"""The one write path: what is stored, counted, refused."""

from __future__ import annotations

import uuid

import pytest

from annotations.items.models import Item
from annotations.judging import queue
from annotations.judging.answers import Answer, ComparisonAnswer, InvalidAnswer, ScoreAnswer
from annotations.judging.models import Assignment, Comparison, Judgment, Score
from annotations.judging.submit import Conflict, submit

pytestmark = pytest.mark.django_db


def answer(preference=-2, **fields):
    ratings = [("helpfulness", 0, 4), ("helpfulness", 1, 1), ("correctness", 0, 3), ("correctness", 1, 2)]
    return Answer(
        comparisons=(ComparisonAnswer(0, 1, "overall", preference, 3),),
        scores=tuple(ScoreAnswer(r, a, v, 0, 4) for a, r, v in ratings),
        **fields,
    )


def give(project, annotator, item, given, **fields):
    fields.setdefault("uuid", uuid.uuid4())
    return submit(
        annotator=annotator,
        item_id=item.pk,
        schema_id=project.schema_id,
        answer=given,
        origin="page",
        **fields,
    )


def test_a_judgment_is_stored_with_its_rows_and_counters(project, annotator, make_item):
    item = make_item(wanted=2)
    lease = queue.next_assignment(annotator)
    assert lease.item_id == item.pk
    assert Item.objects.get().open_slots == 1

    stored = give(project, annotator, item, answer(reason="Kinder."), assignment_id=lease.pk)

    assert stored.created
    judgment = Judgment.objects.get()
    assert (judgment.outcome, judgment.reason, judgment.presented_order) == (
        "answered",
        "Kinder.",
        lease.presented_order,
    )
    assert list(
        Comparison.objects.values_list("first", "second", "aspect", "preference", "scale_max", "tie")
    ) == [(0, 1, "overall", -2, 3, None)]
    assert Score.objects.count() == 4
    item.refresh_from_db()
    annotator.refresh_from_db()
    assert (item.n_human, item.n_leased, item.open_slots) == (1, 0, 1)
    assert (annotator.n_judged, Assignment.objects.get().state) == (1, "submitted")


def test_the_same_uuid_again_is_one_judgment(project, annotator, make_item):
    item, key = make_item(), uuid.uuid4()
    first = give(project, annotator, item, answer(), uuid=key)
    again = give(project, annotator, item, answer(preference=3), uuid=key)
    assert (first.created, again.created) == (True, False)
    assert again.judgment.pk == first.judgment.pk
    assert Comparison.objects.get().preference == -2
    assert Item.objects.get().n_human == 1


def test_a_second_judgment_needs_to_say_what_it_corrects(project, annotator, make_item):
    item = make_item()
    first = give(project, annotator, item, answer())
    with pytest.raises(Conflict):
        give(project, annotator, item, answer(preference=1))
    assert Judgment.objects.count() == 1

    second = give(project, annotator, item, answer(preference=1), supersedes=first.judgment.uuid)

    assert Judgment.objects.get(is_current=True).pk == second.judgment.pk
    assert Judgment.objects.count() == 2
    assert Item.objects.get().n_human == 1


@pytest.mark.parametrize(
    ("given", "field"),
    [
        (answer(preference=4), "overall"),
        (answer(preference=0), "overall"),
        (Answer(), "overall"),
        (answer(reason="nul \x00"), "reason"),
        (answer(reason="half \ud800"), "reason"),
        (answer(reason="x" * 10_000_000), "reason"),
        (answer(answers={"mood": "good"}), "mood"),
        (
            Answer(comparisons=answer().comparisons, scores=(ScoreAnswer(0, "helpfulness", 99, 0, 100),)),
            "helpfulness",
        ),
        (Answer(comparisons=answer().comparisons, scores=(ScoreAnswer(0, "kindness", 1, 0, 4),)), "kindness"),
        (Answer(outcome="skipped", answers={"skip": "bored"}), "skip"),
        (answer(presented_order="00"), "presented_order"),
        (Answer(outcome="loved"), "outcome"),
    ],
)
def test_an_answer_that_does_not_fit_is_refused_and_changes_nothing(
    project, annotator, make_item, given, field
):
    item = make_item()
    with pytest.raises(InvalidAnswer) as refused:
        give(project, annotator, item, given)
    assert field in {error.field for error in refused.value.errors}
    assert Judgment.objects.count() == 0
    assert Item.objects.get().n_human == 0


def test_a_skipped_item_goes_to_others_and_not_back(project, annotator, make_item, alice):
    from annotations.projects.access import annotator_for

    item = make_item()
    lease = queue.next_assignment(annotator)
    give(
        project,
        annotator,
        item,
        Answer(outcome="skipped", answers={"skip": "not_now"}),
        assignment_id=lease.pk,
    )
    item.refresh_from_db()
    assert (item.n_human, item.n_skipped, item.open_slots, item.n_forward + item.n_reversed) == (0, 1, 1, 0)
    assert queue.next_assignment(annotator) is None
    assert queue.next_assignment(annotator_for(alice, project.slug)).item_id == item.pk


def test_an_expired_lease_reopens_its_slot_and_a_late_answer_is_kept(project, annotator, make_item, alice):
    from datetime import timedelta

    from django.utils import timezone

    from annotations.projects.access import annotator_for

    item = make_item()
    lease = queue.next_assignment(annotator)
    assert queue.next_assignment(annotator_for(alice, project.slug)) is None
    later = timezone.now() + timedelta(hours=2)
    assert queue.next_assignment(annotator_for(alice, project.slug), now=later).item_id == item.pk

    late = give(project, annotator, item, answer(), assignment_id=lease.pk)

    assert late.judgment.meta == {"late": True}
    item.refresh_from_db()
    assert (item.n_human, item.n_leased, item.open_slots) == (1, 1, 0)
