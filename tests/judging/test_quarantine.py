"""Quarantine of a person's judgments: kept, out of the data, judged again by others, and back again."""

from __future__ import annotations

import itertools
import threading
import time
import uuid

import pytest
from django.db import connections

from annotations.items.models import Item
from annotations.judging import counters, quarantine, queue
from annotations.judging.models import Assignment, Judgment
from annotations.judging.submit import Conflict, submit
from annotations.judging.verify import verify_counts
from annotations.projects import people
from annotations.projects.access import annotator_for
from annotations.projects.models import Annotator, Membership
from app.accounts.models import AuditEvent
from tests.conftest import make_user
from tests.judging.gated import give, says, work
from tests.judging.test_submit import Answer

SKIP = Answer(outcome="skipped", answers={"skip": "not_now"})
FLAG = Answer(outcome="flagged", answers={"flag": "broken"})


def wrong(project):
    return [(d.kind, d.id, d.counter, d.stored, d.counted) for d in verify_counts(project=project)]


@pytest.fixture
def busy(project, make_item, annotator):
    """Bob answered four items, skipped one, flagged one, corrected one, and holds another."""
    for k in range(8):
        make_item(prompt=f"work {k}")
    answers = iter([says(2), says(-1), SKIP, says(1), FLAG, says(3)])
    done = work(annotator, 6, lambda _: next(answers))
    submit(
        annotator=annotator,
        item_id=done[0].item_id,
        schema_id=project.schema_id,
        uuid=uuid.uuid4(),
        answer=says(-3),
        origin="page",
        supersedes=done[0].uuid,
    )
    held = queue.next_assignment(annotator)
    return done, held


@pytest.mark.django_db
def test_everything_is_kept_out_judged_again_and_put_back(project, annotator, alice, busy):
    done, _ = busy
    other = annotator_for(alice, project.slug)
    before = sorted(Judgment.objects.values_list("pk", "outcome", "answers", "created_at"))
    items = list(
        Item.objects.order_by("pk").values_list(
            "pk", "n_human", "n_skipped", "n_flagged", "n_forward", "open_slots"
        )
    )

    assert quarantine.quarantine(annotator=annotator, actor=alice, reason="clicks at random") == 6

    assert sorted(Judgment.objects.values_list("pk", "outcome", "answers", "created_at")) == before
    assert not Judgment.objects.filter(is_current=True).exists()
    assert Judgment.objects.filter(aside="quarantine").count() == 6
    annotator.refresh_from_db()
    assert (annotator.n_judged, annotator.status) == (0, "paused")
    assert not Item.objects.exclude(n_human=0, n_skipped=0, n_flagged=0).exists()
    assert wrong(project) == []
    assert queue.next_assignment(annotator) is None
    answered = {done[0].item_id, done[1].item_id, done[3].item_id, done[5].item_id}
    assert {j.item_id for j in work(other, 8)} >= answered
    assert wrong(project) == []

    assert quarantine.restore(annotator=annotator, actor=alice) == 6
    assert wrong(project) == []
    annotator.refresh_from_db()
    assert (annotator.n_judged, annotator.status) == (4, "paused")
    mine = dict(Item.objects.values_list("pk", "n_human"))
    assert all(mine[pk] == 2 for pk in answered)
    assert [row[2:4] for row in items] == list(
        Item.objects.order_by("pk").values_list("n_skipped", "n_flagged")
    )
    events = AuditEvent.objects.filter(action__startswith="annotator.quar").order_by("pk")
    assert [e.action for e in events] == ["annotator.quarantined", "annotator.quarantine_lifted"]
    assert events[0].detail["reason"] == "clicks at random"


@pytest.mark.django_db
def test_what_is_sent_after_it_is_kept_aside_too(project, annotator, alice, busy):
    done, held = busy
    quarantine.quarantine(annotator=annotator, actor=alice)
    late = give(annotator, held, says(1))
    assert (late.aside, late.is_current) == ("quarantine", False)
    assert Item.objects.get(pk=held.item_id).open_slots == 1
    with pytest.raises(Conflict):
        give(annotator, Assignment.objects.get(item=done[1].item_id), says(1))
    with pytest.raises(people.Quarantined):
        people.set_paused(annotator=annotator, paused=False, actor=alice)
    assert Annotator.objects.get(pk=annotator.pk).status == "paused"
    assert wrong(project) == []
    assert quarantine.restore(annotator=annotator, actor=alice) == 7
    assert wrong(project) == []


@pytest.mark.django_db
def test_an_expert_s_place_is_free_again(project, make_item, annotator, alice):
    item = make_item(wanted=2)
    assignment = queue.next_assignment(annotator)
    Assignment.objects.update(expert=True)
    counters.apply([item.pk], counters.Change(experts=1))
    give(annotator, assignment, says(1))
    assert wrong(project) == []
    quarantine.quarantine(annotator=annotator, actor=alice)
    assert wrong(project) == []
    quarantine.restore(annotator=annotator, actor=alice)
    assert wrong(project) == []


@pytest.mark.django_db
def test_done_twice_or_again_after_a_crash_it_changes_nothing_more(
    project, annotator, alice, busy, monkeypatch
):
    monkeypatch.setattr(quarantine, "AT_ONCE", 2)
    moved = quarantine._move
    calls = []

    def crash(annotator_id, *, into):
        if len(calls) == 1:
            raise RuntimeError("killed")
        calls.append(1)
        return moved(annotator_id, into=into)

    monkeypatch.setattr(quarantine, "_move", crash)
    with pytest.raises(RuntimeError):
        quarantine.quarantine(annotator=annotator, actor=alice)
    assert Judgment.objects.filter(aside="quarantine").count() == 2
    assert wrong(project) == []
    monkeypatch.setattr(quarantine, "_move", moved)
    assert quarantine.quarantine(annotator=annotator, actor=alice) == 4
    assert quarantine.quarantine(annotator=annotator, actor=alice) == 0
    assert AuditEvent.objects.filter(action="annotator.quarantined").count() == 1
    assert wrong(project) == []


@pytest.mark.faults
@pytest.mark.django_db(transaction=True)
def test_quarantine_while_the_crowd_submits(project, make_item, alice):
    """One person is quarantined and restored in the middle of everybody's work; nothing is lost, no counter wrong."""
    for k in range(60):
        make_item(prompt=f"work {k}", wanted=2)
    crowd = []
    for k in range(5):
        user = make_user(f"person-{k}")
        Membership.objects.create(project=project, user=user, role="annotator")
        crowd.append(annotator_for(user, project.slug))
    suspect, errors = crowd[0], []
    stored = [judgment.uuid for judgment in work(suspect, 6)]
    decided = threading.Event()
    ready = threading.Barrier(6)

    def judge(person):
        ready.wait(20)
        for n in itertools.count():
            if n >= 20 and decided.is_set():
                return
            assignment = queue.next_assignment(person)
            if assignment is None:
                time.sleep(0.01)
            else:
                stored.append(give(person, assignment, says(2)).uuid)

    def decide():
        ready.wait(20)
        for _ in range(8):
            time.sleep(0.05)
            quarantine.quarantine(annotator=suspect, actor=alice)
            quarantine.restore(annotator=suspect, actor=alice)
            people.set_paused(
                annotator=Annotator.objects.select_related("project").get(pk=suspect.pk),
                paused=False,
                actor=alice,
            )
        quarantine.quarantine(annotator=suspect, actor=alice)
        decided.set()

    def run(action, *args):
        try:
            action(*args)
        except Exception as error:
            errors.append(error)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=run, args=(judge, person), daemon=True) for person in crowd]
    threads.append(threading.Thread(target=run, args=(decide,), daemon=True))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(150)
    assert not any(thread.is_alive() for thread in threads)
    assert errors == []
    assert set(Judgment.objects.values_list("uuid", flat=True)) == set(stored)
    quarantine.quarantine(annotator=suspect, actor=alice)
    mine = Judgment.objects.filter(annotator=suspect)
    assert mine.count() == mine.filter(aside="quarantine", is_current=False).count() > 0
    assert not Judgment.objects.exclude(annotator=suspect).exclude(aside="", is_current=True).exists()
    assert wrong(project) == []
