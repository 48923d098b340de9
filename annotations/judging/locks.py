"""Every locking query of this room. Order: annotator, then items by primary key; inside a transaction only.

On PostgreSQL these take row locks; on SQLite the IMMEDIATE transaction is the lock and they are plain reads.
"""

from __future__ import annotations

from django.db import connection
from django.db.models import Exists, OuterRef, Q

from annotations.items.models import Item
from annotations.projects.models import Annotator

from .models import Assignment, Judgment

HELD = [Assignment.State.LEASED, Assignment.State.SUBMITTED, Assignment.State.SKIPPED]


def lock_annotator(annotator_id: int) -> Annotator:
    """Lock one annotator: serialises everything one person does, in however many tabs."""
    return Annotator.objects.select_for_update(of=("self",)).select_related("project").get(pk=annotator_id)


def lock_item(item_id: int) -> Item:
    """Lock one item. Raises Item.DoesNotExist."""
    return Item.objects.select_for_update().get(pk=item_id)


def lock_items(item_ids) -> dict[int, Item]:
    """Lock these items in primary-key order; returns them by id."""
    return {item.pk: item for item in Item.objects.select_for_update().filter(pk__in=item_ids).order_by("pk")}


def lock_candidates(
    annotator: Annotator, *, limit: int, after: tuple[int, int] | None, wait: bool
) -> list[Item]:
    """Lock up to `limit` items this annotator could judge next, in queue order, after a (priority, key) if given.

    Items that another transaction is claiming are passed over, unless `wait`. Caller holds the annotator's lock.
    """
    mine = Assignment.objects.filter(item=OuterRef("pk"), annotator=annotator, state__in=HELD)
    judged = Judgment.objects.filter(item=OuterRef("pk"), annotator=annotator, is_current=True)
    items = Item.objects.filter(project_id=annotator.project_id, open_slots__gt=0)
    if after is not None:
        priority, key = after
        items = items.filter(priority__lte=priority).filter(Q(priority__lt=priority) | Q(order_key__gt=key))
    items = items.filter(~Exists(mine), ~Exists(judged)).order_by("-priority", "order_key")
    if connection.features.has_select_for_update_skip_locked and not wait:
        items = items.select_for_update(skip_locked=True)
    else:
        items = items.select_for_update()
    return list(items[:limit])


def lock_assignment(assignment_id: int) -> Assignment:
    """Lock one assignment. Caller holds its annotator's lock. Raises Assignment.DoesNotExist."""
    return Assignment.objects.select_for_update().get(pk=assignment_id)


def lock_expired(now, *, project_id: int | None, limit: int) -> list[Assignment]:
    """Lock leases that ran out before `now`, in item order; those being submitted right now are passed over."""
    leases = Assignment.objects.filter(state=Assignment.State.LEASED, expires_at__lt=now)
    if project_id is not None:
        leases = leases.filter(item__project_id=project_id)
    return list(
        leases.select_for_update(
            skip_locked=connection.features.has_select_for_update_skip_locked, of=("self",)
        ).order_by("item_id", "pk")[:limit]
    )
