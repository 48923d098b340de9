"""Who judges what next: leases of items to people, their quota and expiry. `picking` chooses the item."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import F
from django.utils import timezone

from annotations.projects.models import Annotator, Project
from app.web.prepared import Prepared

from . import arms, counters, gates, label_cap, limits, locks, picking
from .models import Assignment

SWEEP_BATCH = 500


def next_assignment(annotator: Annotator, *, now: datetime | None = None) -> Assignment | None:
    """Lease the next item to this person, or return the live lease they hold; None when nothing is left.

    What a researcher gave them by hand comes first, then the queue (`picking`). None also where `limits.reached`
    says why. All tabs of one person share one lease. Takes the annotator's lock, then one item's. An item is
    leased only while it has a place, which the same UPDATE takes: no item goes beyond its quota.
    """
    now = now or timezone.now()
    if arms.has_arms(annotator.project):
        arms.draw(annotator)
    found = _claim(annotator, now)
    if found is None and expire_leases(project_id=annotator.project_id, now=now):
        found = _claim(annotator, now)
    return found


@transaction.atomic
def _claim(annotator: Annotator, now: datetime) -> Assignment | None:
    annotator = locks.lock_annotator(annotator.pk)
    project = annotator.project
    if annotator.status != Annotator.Status.ACTIVE or project.status != Project.Status.ACTIVE:
        return None
    expires = now + timedelta(minutes=project.lease_minutes)
    held = _HELD.first(annotator=annotator.pk)
    if held is not None:
        held.expires_at = expires
        Assignment.objects.filter(pk=held.pk).update(expires_at=expires)
        return held
    if limits.reached(annotator) is not None:
        return None
    if gates.has_gates(project):
        claimed = gates.claim(annotator, now=now, expires=expires)
        if claimed is not None:
            return claimed.assignment
    if annotator.n_assigned:
        found = _begin_assigned(annotator, now, expires)
        if found is not None:
            return found
    if not label_cap.allows_another(project):
        return None
    picked = picking.pick(annotator)
    if picked is None:
        return None
    item, expert = picked.item, picked.part.expert
    change = counters.Change(leases=1, experts=int(expert)) + counters.presented(picked.order)
    counters.apply([item.pk], change)
    if not label_cap.hold(project):  # somebody took the last label since we looked
        transaction.set_rollback(True)
        return None
    # The annotator's lock is held: nobody else makes this row.
    assignment = _OF_ITEM.first(annotator=annotator.pk, item=item.pk) or Assignment(
        item=item, annotator=annotator
    )
    assignment.item, assignment.state = item, Assignment.State.LEASED
    assignment.purpose, assignment.expert, assignment.by_hand = Assignment.Purpose.DATA, expert, False
    assignment.presented_order, assignment.leased_at, assignment.expires_at = picked.order, now, expires
    assignment.arm = annotator.arm
    assignment.save(force_insert=assignment.pk is None)
    return assignment


def _begin_assigned(annotator: Annotator, now: datetime, expires: datetime) -> Assignment | None:
    """Lease the next item that was given to this person by hand, in the order it was. Its place is taken already.

    Caller holds the annotator's lock; takes the item's.
    """
    waiting = Assignment.objects.filter(
        annotator=annotator, state=Assignment.State.RESERVED, item__withdrawn_at__isnull=True
    )
    assignment = waiting.order_by("leased_at", "pk").first()
    if assignment is None:
        return None
    item = locks.lock_item(assignment.item_id)
    order = picking.presented_order(item, annotator.n_forward - annotator.n_reversed)
    side = counters.presented(order)
    counters.apply([item.pk], side)
    counters.count_for_annotator(annotator, judged=0, turned=side)
    counters.count_assigned(annotator.pk, -1)
    assignment.item, assignment.state = item, Assignment.State.LEASED
    assignment.presented_order, assignment.leased_at, assignment.expires_at = order, now, expires
    assignment.arm = annotator.arm
    assignment.save()
    return assignment


_HELD = Prepared(
    lambda annotator: (
        Assignment.objects.filter(annotator=annotator, state=Assignment.State.LEASED)
        .select_related("item")
        .order_by("-leased_at")[:1]
    )
)
_OF_ITEM = Prepared(
    lambda annotator, item: Assignment.objects.filter(annotator=annotator, item=item, occasion=0)
)


@transaction.atomic
def release(*, assignment_id: int, annotator: Annotator, for_good: bool = False) -> bool:
    """Give a lease back unanswered; False if it is not live any more. Takes the annotator's lock, then the item's.

    `for_good`: also what was given to the person by hand, begun or not, which else stays theirs.
    """
    annotator = locks.lock_annotator(annotator.pk)
    assignment = Assignment.objects.filter(pk=assignment_id, annotator=annotator).first()
    states = [Assignment.State.LEASED, *([Assignment.State.RESERVED] if for_good else [])]
    if assignment is None or assignment.state not in states:
        return False
    locks.lock_item(assignment.item_id)
    if assignment.state == Assignment.State.RESERVED:
        Assignment.objects.filter(pk=assignment.pk).update(state=Assignment.State.RELEASED)
        counters.apply([assignment.item_id], counters.Change(leases=-1, experts=-int(assignment.expert)))
        counters.count_assigned(annotator.pk, -1)
        label_cap.end(annotator.project, freed=1, given=0)
    else:
        _end(assignment, Assignment.State.RELEASED, for_good=for_good)
    return True


def extend(*, assignment_id: int, annotator: Annotator, draft: dict | None = None) -> bool:
    """Prolong a live lease and keep the unfinished answer with it; False if the lease is not live any more."""
    now = timezone.now()
    changes: dict = {"expires_at": now + timedelta(minutes=annotator.project.lease_minutes)}
    if draft is not None:
        changes.update(draft=draft, drafted_at=now)
    return bool(
        Assignment.objects.filter(
            pk=assignment_id, annotator=annotator, state=Assignment.State.LEASED
        ).update(**changes)
    )


def expire_leases(*, project_id: int | None = None, now: datetime | None = None) -> int:
    """End every lease that ran out and reopen its slot; returns how many. A late answer is still accepted."""
    now = now or timezone.now()
    ended = 0
    while True:
        with transaction.atomic():
            expired = locks.lock_expired(now, project_id=project_id, limit=SWEEP_BATCH)
            for assignment in expired:
                _end(assignment, Assignment.State.EXPIRED)
        ended += len(expired)
        if len(expired) < SWEEP_BATCH:
            return ended


def _end(assignment: Assignment, state: str, *, for_good: bool = False) -> None:
    """End a live lease; the conditional UPDATE makes sure that its place is given back once.

    An item that was given by hand stays reserved for the person, unless `for_good`.
    """
    change = -counters.presented(assignment.presented_order)
    if assignment.by_hand and not for_good:
        state = Assignment.State.RESERVED
    else:
        change = change + counters.Change(leases=-1, experts=-int(assignment.expert))
    ended = Assignment.objects.filter(pk=assignment.pk, state=Assignment.State.LEASED).update(state=state)
    if ended and assignment.is_data:
        counters.apply([assignment.item_id], change)
        Annotator.objects.filter(pk=assignment.annotator_id).update(
            n_forward=F("n_forward") + change.forward,
            n_reversed=F("n_reversed") + change.reversed,
            n_assigned=F("n_assigned") + int(state == Assignment.State.RESERVED),
        )
        if change.leases:
            project = Project.objects.only("counts_labels").get(items=assignment.item_id)
            label_cap.end(project, freed=1, given=0)
