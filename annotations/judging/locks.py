"""Every locking query of this room; inside a transaction only. Order: annotators, items, assignments, by primary key.

On PostgreSQL these take row locks; on SQLite the IMMEDIATE transaction is the lock and they are plain reads.
"""

from __future__ import annotations

from functools import cache

from django.db import connection
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.db.transaction import TransactionManagementError

from annotations.items.models import Item
from annotations.projects.models import Annotator
from app.web.prepared import Prepared

from .models import Assignment, Judgment

IMPORT_LOCK = 7301  # the class of our advisory locks; the project's id is the object
HELD = [Assignment.State.LEASED, Assignment.State.SUBMITTED, Assignment.State.SKIPPED]


_ANNOTATOR = Prepared(
    lambda pk: Annotator.objects.select_for_update(of=("self",)).select_related("project").filter(pk=pk)
)
_ITEM = Prepared(lambda pk: Item.objects.select_for_update().filter(pk=pk))


def lock_annotator(annotator_id: int) -> Annotator:
    """Lock one annotator: serialises everything one person does, in however many tabs."""
    _require_transaction()
    found = _ANNOTATOR.first(pk=annotator_id)
    if found is None:
        raise Annotator.DoesNotExist(f"annotator {annotator_id}")
    return found


def _require_transaction() -> None:
    """Prepared statements skip the ORM's own check that a lock is taken inside a transaction."""
    if not connection.in_atomic_block:
        raise TransactionManagementError("A lock outlives its statement only inside a transaction.")


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
    _require_transaction()
    found = _ITEM.first(pk=item_id)
    if found is None:
        raise Item.DoesNotExist(f"item {item_id}")
    return found


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
    _require_transaction()
    if wait and connection.features.has_select_for_update_skip_locked:
        items = _open_items(annotator.pk, annotator.project_id)
        if after is not None:
            items = _beyond(items, *after)
        first = list(items.values_list("pk", flat=True)[:limit])
        locked = items.filter(pk__in=first).order_by("pk").select_for_update()
        return sorted(locked, key=lambda item: (-item.priority, item.order_key))
    values = {"annotator": annotator.pk, "project": annotator.project_id}
    if after is None:
        return _candidates(limit).rows(**values)
    return _candidates_after(limit).rows(**values, priority=after[0], key=after[1])


def _open_items(annotator: int, project: int) -> QuerySet:
    """Items of the project with a free slot that this annotator neither holds nor has judged, in queue order."""
    mine = Assignment.objects.filter(item=OuterRef("pk"), annotator=annotator, state__in=HELD)
    judged = Judgment.objects.filter(item=OuterRef("pk"), annotator=annotator, is_current=True)
    items = Item.objects.filter(project_id=project, open_slots__gt=0)
    return items.filter(~Exists(mine), ~Exists(judged)).order_by("-priority", "order_key")


def _beyond(items: QuerySet, priority: int, key: int) -> QuerySet:
    """Those that stand after this place in the queue."""
    return items.filter(priority__lte=priority).filter(Q(priority__lt=priority) | Q(order_key__gt=key))


@cache
def _candidates(limit: int) -> Prepared:
    return Prepared(lambda annotator, project: _skipping(_open_items(annotator, project))[:limit])


@cache
def _candidates_after(limit: int) -> Prepared:
    return Prepared(
        lambda annotator, project, priority, key: _skipping(
            _beyond(_open_items(annotator, project), priority, key)
        )[:limit]
    )


def _skipping(items: QuerySet) -> QuerySet:
    """Locked, passing over what others hold; on SQLite the IMMEDIATE transaction is the lock."""
    if connection.features.has_select_for_update_skip_locked:
        return items.select_for_update(skip_locked=True)
    return items


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
