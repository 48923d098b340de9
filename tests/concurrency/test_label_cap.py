"""The cap of human labels binds whatever runs at once: held when leased, used when answered, free when given back."""

from __future__ import annotations

import random
import uuid
from datetime import timedelta

import pytest
from django.db import IntegrityError, connections, transaction
from django.db.models import Sum
from django.utils import timezone

from annotations.items.models import Item
from annotations.judging import assigning, label_cap, queue, verify
from annotations.judging.models import Assignment, Judgment, LabelCap
from annotations.judging.submit import submit
from app.accounts.models import AuditEvent
from tests.concurrency.test_queue import (  # noqa: F401
    _late_answer,
    assert_counters_are_true,
    at_once,
    given,
    people,
    raised,
    write,
)

pytestmark = pytest.mark.django_db(transaction=True)


def numbers(project) -> tuple[int, int, int]:
    cap = label_cap.of(project)
    return cap.held, cap.given, cap.beyond


def test_eight_people_never_get_more_than_the_cap(project, make_item, people):  # noqa: F811
    for n in range(40):
        make_item(prompt=f"Question {n}")
    crowd = people(8)
    label_cap.set_cap(project=project, cap=21, actor=None)

    def drain(person):
        while (assignment := queue.next_assignment(person)) is not None:
            write(person, assignment)

    assert raised(at_once([lambda person=person: drain(person) for person in crowd])) == []
    assert Judgment.objects.count() == 21
    assert numbers(project) == (0, 21, 0)
    assert_counters_are_true(project)


@pytest.mark.parametrize("seed", range(2))
def test_any_mixture_holds_what_is_out_and_never_passes_the_cap(
    project,
    make_item,
    people,  # noqa: F811
    seed,
):
    for n in range(30):
        make_item(prompt=f"Question {n}", wanted=2)
    crowd = people(8)
    label_cap.set_cap(project=project, cap=18, actor=None)

    def work(person, own_seed):
        own, stale = random.Random(own_seed), []
        for _ in range(14):
            act = own.random()
            if act < 0.15:
                queue.expire_leases(now=timezone.now() + timedelta(hours=own.choice([-1, 2])))
                continue
            assignment = queue.next_assignment(person)
            if assignment is None:
                continue
            if act < 0.3:
                queue.release(assignment_id=assignment.pk, annotator=person)
                stale.append(assignment)
            elif act < 0.4 and stale:
                _late_answer(person, own.choice(stale))
            else:
                outcome = own.choices(["answered", "cannot_judge", "skipped", "flagged"], [6, 1, 2, 1])[0]
                _late_answer(person, assignment, given(outcome))

    found = at_once([lambda p=p, s=s: work(p, s) for s, p in enumerate(crowd, start=8 * seed)])
    assert raised(found) == []
    cap = label_cap.of(project)
    answers = Judgment.objects.filter(is_current=True, outcome__in=["answered", "cannot_judge"]).count()
    assert cap.given + cap.beyond == answers
    assert cap.held == Item.objects.aggregate(n=Sum("n_leased"))["n"]
    assert cap.held + cap.given <= 18
    assert_counters_are_true(project)
    assert list(verify.verify_counts(project=project)) == []


def test_a_place_given_back_or_expired_is_given_out_again(project, make_item, people):  # noqa: F811
    for n in range(3):
        make_item(prompt=f"Question {n}")
    ann, ben = people(2)
    label_cap.set_cap(project=project, cap=1, actor=None)
    first = queue.next_assignment(ann)
    assert first is not None
    assert queue.next_assignment(ben) is None
    ben.project.refresh_from_db()
    assert label_cap.stop(ben).reason == "labels"
    queue.release(assignment_id=first.pk, annotator=ann)
    second = queue.next_assignment(ben)
    assert second is not None
    assert queue.next_assignment(ann) is None
    Assignment.objects.filter(pk=second.pk).update(expires_at=timezone.now() - timedelta(minutes=1))
    third = queue.next_assignment(ann)  # the sweep frees it first
    write(ann, third)
    assert numbers(project) == (0, 1, 0)
    write(ben, second)  # late work is kept, and counted beside
    assert numbers(project) == (0, 1, 1)
    assert queue.next_assignment(ann) is None


def test_skips_give_the_label_back_and_corrections_count_once(project, make_item, people):  # noqa: F811
    for n in range(3):
        make_item(prompt=f"Question {n}")
    [ann] = people(1)
    label_cap.set_cap(project=project, cap=2, actor=None)
    write(ann, queue.next_assignment(ann), given("skipped"))
    assert numbers(project) == (0, 0, 0)
    held = queue.next_assignment(ann)
    made = write(ann, held).judgment
    submit(
        annotator=ann, item_id=held.item_id, schema_id=project.schema_id, uuid=uuid.uuid4(),
        answer=given("cannot_judge"), origin="page", supersedes=made.uuid,
    )  # fmt: skip
    assert numbers(project) == (0, 1, 0)


def test_items_given_by_hand_hold_a_label(project, make_item, people):  # noqa: F811
    items = [make_item(prompt=f"Question {n}") for n in range(3)]
    [ann] = people(1)
    label_cap.set_cap(project=project, cap=2, actor=None)
    pairs = [assigning.Pair(n, item.pk, ann.pk) for n, item in enumerate(items)]
    report = assigning.assign(project=project, pairs=pairs, actor=None)
    assert (report.assigned, [r.message for r in report.refused]) == (
        2,
        ["The project's cap of human labels leaves none to give out."],
    )
    assert numbers(project) == (2, 0, 0)
    write(ann, queue.next_assignment(ann))
    assert numbers(project) == (1, 1, 0)
    rest = Assignment.objects.select_related("annotator", "item__project").get(state="reserved")
    assigning.unassign(assignment=rest, actor=None)
    assert numbers(project) == (0, 1, 0)


def test_a_first_cap_counts_what_is_there_and_cannot_be_below_it(project, make_item, people, alice):  # noqa: F811
    for n in range(4):
        make_item(prompt=f"Question {n}")
    ann, ben = people(2)
    write(ann, queue.next_assignment(ann))
    queue.next_assignment(ben)
    with pytest.raises(label_cap.TooLow, match="2 labels are given or held"):
        label_cap.set_cap(project=project, cap=1, actor=alice)
    assert label_cap.of(project) is None
    label_cap.set_cap(project=project, cap=3, actor=alice)
    assert numbers(project) == (1, 1, 0)
    with pytest.raises(IntegrityError), transaction.atomic():
        LabelCap.objects.filter(project=project).update(held=5)
    label_cap.set_cap(project=project, cap=None, actor=alice)
    assert [e.detail for e in AuditEvent.objects.filter(action="budget.labels_changed").order_by("pk")] == [
        {"before": None, "after": 3},
        {"before": 3, "after": None},
    ]
    write(ben, Assignment.objects.get(state="leased"))
    connections.close_all()
