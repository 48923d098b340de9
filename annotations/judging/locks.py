"""Every locking query of this room; inside a transaction only. Order: annotators, items, assignments, by primary key.

On PostgreSQL these take row locks; on SQLite the IMMEDIATE transaction is the lock and they are plain reads.
"""

from __future__ import annotations

from django.db import connection
from django.db.models import Exists, OuterRef, Q

from annotations.items.models import Item
from annotations.projects.models import Annotator

from .models import Assignment, Judgment

IMPORT_LOCK = 7301  # the class of our advisory locks; the project's id is the object
HELD = [Assignment.State.LEASED, Assignment.State.SUBMITTED, Assignment.State.SKIPPED]


def lock_annotator(annotator_id: int) -> Annotator:
    """Lock one annotator: serialises everything one person does, in however many tabs."""
    return Annotator.objects.select_for_update(of=("self",)).select_related("project").get(pk=annotator_id)


def lock_annotators(annotator_ids) -> None:
    """Lock these annotators in primary-key order; before any item."""
    list(Annotator.objects.select_for_update().filter(pk__in=annotator_ids).order_by("pk").values_list("pk"))


def lock_import(project_id: int) -> None:
    """Let one import at a time write to the project, until the transaction ends; before any other lock."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s, %s)", [IMPORT_LOCK, project_id])


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

    Items that another transaction is claiming are passed over, unless `wait`: then the first of the queue are
    waited for, in primary-key order like everywhere. Caller holds the annotator's lock.
    """
    mine = Assignment.objects.filter(item=OuterRef("pk"), annotator=annotator, state__in=HELD)
    judged = Judgment.objects.filter(item=OuterRef("pk"), annotator=annotator, is_current=True)
    items = Item.objects.filter(project_id=annotator.project_id, open_slots__gt=0)
    items = items.filter(~Exists(mine), ~Exists(judged))
    if after is not None:
        priority, key = after
        items = items.filter(priority__lte=priority).filter(Q(priority__lt=priority) | Q(order_key__gt=key))
    in_queue = items.order_by("-priority", "order_key")
    if not connection.features.has_select_for_update_skip_locked:
        return list(in_queue[:limit])
    if not wait:
        return list(in_queue.select_for_update(skip_locked=True)[:limit])
    first = list(in_queue.values_list("pk", flat=True)[:limit])
    locked = items.filter(pk__in=first).order_by("pk").select_for_update()
    return sorted(locked, key=lambda item: (-item.priority, item.order_key))


def lock_assignment(assignment_id: int) -> Assignment:
    """Lock one assignment. Caller holds its annotator's lock. Raises Assignment.DoesNotExist."""
    return Assignment.objects.select_for_update().get(pk=assignment_id)


def lock_expired(now, *, project_id: int | None, limit: int) -> list[Assignment]:
    """Lock leases that ran out before `now`, after their annotators and items; returns them in item order.

    People who are submitting or claiming right now are passed over: the next sweep sees what is left of theirs.
    """
    leases = Assignment.objects.filter(state=Assignment.State.LEASED, expires_at__lt=now)
    if project_id is not None:
        leases = leases.filter(item__project_id=project_id)
    found = list(leases.order_by("item_id", "pk").values_list("pk", "annotator_id", "item_id")[:limit])
    if not found:
        return []
    people = Annotator.objects.select_for_update(
        skip_locked=connection.features.has_select_for_update_skip_locked
    ).filter(pk__in={person for _, person, _ in found})
    held = set(people.order_by("pk").values_list("pk", flat=True))
    found = [row for row in found if row[1] in held]
    lock_items({item for _, _, item in found})
    return list(
        leases.filter(pk__in=[pk for pk, _, _ in found])
        .select_for_update(of=("self",))
        .order_by("item_id", "pk")
    )
