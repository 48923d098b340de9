"""Putting a person's judgments aside and reopening their items: kept as rows, no data any more."""

from __future__ import annotations

from django.db import transaction
from django.db.models import F

from annotations.projects.models import Annotator, Project

from . import counters, locks
from .models import Assignment, Judgment


@transaction.atomic
def give_back(*, annotator: Annotator, after: int = 0, until: int | None = None) -> int:
    """Put the person's current judgments with after < id <= until aside; returns how many.

    Counters follow, so that the items are given to others. The person does not get them again. Takes the
    annotator's lock, then the items' in primary-key order.
    """
    locks.lock_annotator(annotator.pk)
    mine = Judgment.objects.filter(annotator=annotator, is_current=True, pk__gt=after)
    if until is not None:
        mine = mine.filter(pk__lte=until)
    rows = list(mine.order_by("item_id").only("pk", "item_id", "outcome", "occasion"))
    locks.lock_items([row.item_id for row in rows])
    shown = {
        item: counters.presented(order) + counters.Change(experts=int(expert))
        for item, order, expert in Assignment.objects.filter(
            annotator=annotator,
            occasion=0,
            purpose=Assignment.Purpose.DATA,
            state=Assignment.State.SUBMITTED,
            item__in=[r.item_id for r in rows],
        ).values_list("item_id", "presented_order", "expert")
    }
    judged, turned = 0, counters.Change()
    for row in rows:
        change = -counters.counts_of(annotator.kind, row.outcome)
        if row.outcome in counters.ANSWERS:
            judged += 1
            side = shown.get(row.item_id, counters.Change())
            change, turned = change + -side, turned + side
        counters.apply([row.item_id], change)
    Judgment.objects.filter(pk__in=[row.pk for row in rows]).update(
        is_current=False, aside=Judgment.Aside.RETURNED
    )
    counters.count_for_annotator(annotator, judged=-judged, turned=-turned)
    # Everybody walks the queue from its start again: items behind them are open.
    Project.objects.filter(pk=annotator.project_id).update(queue_epoch=F("queue_epoch") + 1)
    return len(rows)
