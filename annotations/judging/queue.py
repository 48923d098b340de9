"""Who judges what next: leases of items to people, with quota, order, balanced sides, and expiry."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import F
from django.utils import timezone

from annotations.items.models import Item
from annotations.projects.models import Annotator, Project
from app.web.prepared import Prepared, PreparedUpdate

from . import counters, locks
from .models import Assignment

CANDIDATES = 4
MANY_CANDIDATES = 64
MAX_SIDE_IMBALANCE = 2
SWEEP_BATCH = 500


def next_assignment(annotator: Annotator, *, now: datetime | None = None) -> Assignment | None:
    """Lease the next item to this person, or return the live lease they hold; None when nothing is left.

    All tabs of one person share one lease. Takes the annotator's lock, then one item's. An item is leased only
    while `open_slots > 0`, which the same UPDATE lowers: no item goes beyond its quota.
    """
    now = now or timezone.now()
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
    item, order = _pick(annotator)
    if item is None:
        return None
    side = counters.presented(order)
    counters.apply([item.pk], counters.Change(leases=1) + side)
    # The annotator's lock is held: nobody else makes this row.
    assignment = _OF_ITEM.first(annotator=annotator.pk, item=item.pk) or Assignment(
        item=item, annotator=annotator
    )
    assignment.item, assignment.state = item, Assignment.State.LEASED
    assignment.presented_order, assignment.leased_at, assignment.expires_at = order, now, expires
    assignment.save(force_insert=assignment.pk is None)
    _MOVE_CURSOR.run(
        annotator=annotator.pk,
        epoch=project.queue_epoch,
        priority=item.priority,
        key=item.order_key,
        forward=side.forward,
        reversed=side.reversed,
    )
    return assignment


_HELD = Prepared(
    lambda annotator: (
        Assignment.objects.filter(annotator=annotator, state=Assignment.State.LEASED)
        .select_related("item")
        .order_by("-leased_at")[:1]
    )
)
_OF_ITEM = Prepared(lambda annotator, item: Assignment.objects.filter(annotator=annotator, item=item))
_MOVE_CURSOR = PreparedUpdate(
    lambda annotator, epoch, priority, key, forward, reversed: (
        Annotator.objects.filter(pk=annotator),
        {
            "cursor_epoch": epoch,
            "cursor_priority": priority,
            "cursor_key": key,
            "n_forward": F("n_forward") + forward,
            "n_reversed": F("n_reversed") + reversed,
        },
    )
)


def _pick(annotator: Annotator) -> tuple[Item | None, str]:
    """Choose the next item and the order to show it in. Caller holds the annotator's lock.

    Everybody walks the queue in the same order from where they were, so items complete one after another; at the
    end the walk starts over for what was skipped or expired. An item that would push this person's sides out of
    balance is passed over while another is near, and beyond `MAX_SIDE_IMBALANCE` while another is anywhere in the
    next `MANY_CANDIDATES`.
    """
    after = None
    if annotator.cursor_epoch == annotator.project.queue_epoch:
        after = (annotator.cursor_priority, annotator.cursor_key)
    for where, wait in ((after, False), (None, False), (None, True)):
        candidates = locks.lock_candidates(annotator, limit=CANDIDATES, after=where, wait=wait)
        if candidates:
            break
    else:
        return None, ""
    balance = annotator.n_forward - annotator.n_reversed
    found = _balanced(candidates, balance)
    if found is None:
        found = _balanced(
            locks.lock_candidates(annotator, limit=MANY_CANDIDATES, after=None, wait=False), balance
        )
    return found or (candidates[0], presented_order(candidates[0], balance))


def _balanced(candidates: list[Item], balance: int) -> tuple[Item, str] | None:
    """The first candidate, with its order, that leaves the person's sides even; else one that leaves them within
    `MAX_SIDE_IMBALANCE`; else None."""
    ordered = [(item, presented_order(item, balance)) for item in candidates]
    for bound in range(1, MAX_SIDE_IMBALANCE + 1):
        for item, order in ordered:
            side = counters.presented(order)
            if abs(balance + side.forward - side.reversed) <= bound:
                return item, order
    return None


def presented_order(item: Item, balance: int) -> str:
    """The order to show an item's responses in, as canonical indices.

    A pair goes the way it was shown less often; where the item is even, the way that brings the person's own
    `balance` (times in stored order minus times reversed) towards zero, and by the item's random key if that is
    even too. More than two responses rotate, so that each stands first equally often.
    """
    n = item.n_responses
    if n == 1:
        return "0"
    if n > 2:
        turn = (item.n_human + item.n_leased + item.n_skipped + item.order_key) % n
        return "".join(str((turn + place) % n) for place in range(n))
    lean = item.n_forward - item.n_reversed or balance
    if lean:
        return "10" if lean > 0 else "01"
    return "01" if item.order_key % 2 else "10"


@transaction.atomic
def release(*, assignment_id: int, annotator: Annotator) -> bool:
    """Give a lease back unanswered; False if it is not live any more. Takes the annotator's lock."""
    annotator = locks.lock_annotator(annotator.pk)
    assignment = Assignment.objects.filter(
        pk=assignment_id, annotator=annotator, state=Assignment.State.LEASED
    ).first()
    if assignment is None:
        return False
    locks.lock_item(assignment.item_id)
    _end(assignment, Assignment.State.RELEASED)
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


def _end(assignment: Assignment, state: str) -> None:
    """End a live lease; the conditional UPDATE makes sure that its slot is given back once."""
    ended = Assignment.objects.filter(pk=assignment.pk, state=Assignment.State.LEASED).update(state=state)
    if ended:
        side = counters.presented(assignment.presented_order)
        counters.apply([assignment.item_id], counters.Change(leases=-1) + -side)
        Annotator.objects.filter(pk=assignment.annotator_id).update(
            n_forward=F("n_forward") - side.forward, n_reversed=F("n_reversed") - side.reversed
        )
