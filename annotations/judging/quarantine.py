"""Keeping a person's judgments out of the data, in one act, and putting them back."""

from __future__ import annotations

from collections import defaultdict

from django.db import transaction
from django.db.models import Exists, F, OuterRef
from django.utils import timezone

from annotations.projects.models import Annotator, Project
from app.accounts import audit
from app.accounts.models import User

from . import counters, locks
from .models import Assignment, Judgment

AT_ONCE = 300


def quarantine(*, annotator: Annotator, actor: User, reason: str = "") -> int:
    """Pause the person and keep every judgment of theirs out of the data; returns how many are kept aside.

    From the first transaction on nothing they send counts, so that work on its way is caught too. Then judgments
    follow in batches under the locks of the person and the items; slots reopen, so that others judge again. Done
    again after a crash, it goes on where it stopped.
    """
    with transaction.atomic():
        locks.lock_import(annotator.project_id)  # an import that read before this one must have ended
        person = locks.lock_annotator(annotator.pk)
        fresh = person.quarantined_at is None
        if fresh:
            person.quarantined_at, person.status = timezone.now(), Annotator.Status.PAUSED
            person.save(update_fields=["quarantined_at", "status"])
            audit.record(
                actor=actor,
                action="annotator.quarantined",
                scope=person.project.slug,
                target=person.name,
                judged=person.n_judged,
                reason=reason[:300],
            )
    moved = 0
    while n := _move(annotator.pk, into=True):
        moved += n
    _ask_again(annotator.project_id)
    return moved


def restore(*, annotator: Annotator, actor: User) -> int:
    """Count the person's judgments as data again; returns how many. They stay paused until somebody resumes them.

    A judgment stays aside where the person has another current one of the item.
    """
    with transaction.atomic():
        person = locks.lock_annotator(annotator.pk)
        if person.quarantined_at is not None:
            person.quarantined_at = None
            person.save(update_fields=["quarantined_at"])
            audit.record(
                actor=actor,
                action="annotator.quarantine_lifted",
                scope=person.project.slug,
                target=person.name,
            )
    moved = 0
    while n := _move(annotator.pk, into=False):
        moved += n
    return moved


@transaction.atomic
def _move(annotator_id: int, *, into: bool) -> int:
    """Move one batch of the person's judgments into quarantine or out of it; 0 when none is left to move."""
    person = locks.lock_annotator(annotator_id)
    if (person.quarantined_at is not None) != into:
        return 0  # somebody decided otherwise meanwhile
    mine = Judgment.objects.filter(annotator=person)
    if into:
        mine = mine.filter(is_current=True)
    else:
        other = Judgment.objects.filter(item=OuterRef("item"), annotator=person, is_current=True)
        mine = mine.filter(aside=Judgment.Aside.QUARANTINE, superseded_by=None).filter(~Exists(other))
    rows = list(mine.order_by("item_id", "pk").values_list("pk", "item_id", "outcome")[:AT_ONCE])
    if not rows:
        return 0
    items = [item for _, item, _ in rows]
    locks.lock_items(items)
    shown = {
        item: counters.presented(order) + counters.Change(experts=int(expert))
        for item, order, expert in Assignment.objects.filter(
            annotator=person,
            item__in=items,
            occasion=0,
            purpose=Assignment.Purpose.DATA,
            state=Assignment.State.SUBMITTED,
        ).values_list("item_id", "presented_order", "expert")
    }
    by_change: dict[counters.Change, list[int]] = defaultdict(list)
    judged, turned = 0, counters.Change()
    for _, item, outcome in rows:
        change = counters.counts_of(person.kind, outcome)
        if outcome in counters.ANSWERS:
            judged += 1
            side = shown.get(item, counters.Change())
            change, turned = change + side, turned + side
        by_change[-change if into else change].append(item)
    Judgment.objects.filter(pk__in=[pk for pk, _, _ in rows]).update(
        is_current=not into, aside=Judgment.Aside.QUARANTINE if into else Judgment.Aside.NO
    )
    for change, ids in by_change.items():
        counters.apply(ids, change)
    counters.count_for_annotator(
        person, judged=-judged if into else judged, turned=-turned if into else turned
    )
    return len(rows)


def _ask_again(project_id: int) -> None:
    """Let everybody walk the queue from its start: items behind them are open again."""
    Project.objects.filter(pk=project_id).update(queue_epoch=F("queue_epoch") + 1)
