"""Every locking query of this room; inside a transaction only. Order: annotators, items, assignments, by primary key.

On PostgreSQL these take row locks; on SQLite the IMMEDIATE transaction is the lock and they are plain reads.
"""

from __future__ import annotations

from functools import cache, partial

from django.db import connection
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.db.transaction import TransactionManagementError

from annotations.items.models import Batch, Item
from annotations.projects.models import Annotator, Project
from app.web.prepared import Prepared

from .models import Assignment, Judgment
from .pools import Part

IMPORT_LOCK = 7301  # the class of our advisory locks; the project's id is the object
HELD = [
    Assignment.State.LEASED,
    Assignment.State.RESERVED,
    Assignment.State.SUBMITTED,
    Assignment.State.SKIPPED,
]


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


def lock_project(project_id: int) -> Project:
    """Lock a project's row. Not while items are locked: who sets routes locks items first."""
    return Project.objects.select_for_update().get(pk=project_id)


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


# --- Items that a person could be given ---------------------------------------------------------------------


def lock_candidates(
    annotator: Annotator, part: Part, *, limit: int, after: tuple[int, int] | None
) -> list[Item]:
    """Lock up to `limit` items of this part that the person could judge next, in queue order, after a
    (priority, key) if given.

    Items that another transaction is claiming are passed over. Caller holds the annotator's lock.
    """
    _require_transaction()
    values = _values(annotator, part)
    if after is None:
        return _candidates(part.expert, part.batch is not None, limit).rows(**values)
    statement = _candidates_after(part.expert, part.batch is not None, limit)
    return statement.rows(**values, priority=after[0], key=after[1])


def wait_for_candidates(annotator: Annotator, part: Part, *, limit: int) -> list[Item]:
    """Lock the first of the part's queue, waiting for who holds them, in primary-key order like everywhere.

    Caller holds the annotator's lock. On SQLite nobody else can hold them, and this finds what was found before.
    """
    _require_transaction()
    if not connection.features.has_select_for_update_skip_locked:
        return []
    items = open_items(annotator.pk, annotator.project_id, part)
    first = list(items.values_list("pk", flat=True)[:limit])
    if not first:
        return []
    locked = items.filter(pk__in=first).order_by("pk").select_for_update()
    return sorted(locked, key=lambda item: (-item.priority, item.order_key))


def lock_in_range(
    annotator: Annotator, part: Part, *, priority: int, low: int, high: int, back: bool, limit: int
) -> list[Item]:
    """Like `lock_candidates`, for one priority and keys from `low` to `high`, from the end if `back`."""
    _require_transaction()
    statement = _candidates_in(part.expert, part.batch is not None, back, limit)
    return statement.rows(**_values(annotator, part), priority=priority, low=low, high=high)


def lock_these(annotator: Annotator, part: Part, item_ids: list[int]) -> list[Item]:
    """Those of these items that are still open to the person, locked, in the given order; claimed ones passed over."""
    _require_transaction()
    items = _skipping(open_items(annotator.pk, annotator.project_id, part).filter(pk__in=item_ids))
    found = {item.pk: item for item in items}
    return [found[pk] for pk in item_ids if pk in found]


def keys_left(annotator: Annotator, part: Part, *, priority: int, limit: int) -> list[tuple[int, int]]:
    """(id, order_key) of items of one priority that are open to the person, not locked, at most `limit`."""
    statement = _keys(part.expert, part.batch is not None, limit)
    return statement.rows(**_values(annotator, part), priority=priority)


def top_priority(annotator: Annotator, part: Part, *, below: int | None) -> int | None:
    """The highest priority with an item open to the person, or the highest below `below`; None if there is none."""
    items = open_items(annotator.pk, annotator.project_id, part).values_list("priority", flat=True)
    if below is not None:
        items = items.filter(priority__lt=below)
    return next(iter(items[:1]), None)


def parts_with_open_items(project: int, parts: list[Part]) -> list[Part]:
    """Those of the parts that have an open item for anybody; one index probe each, in one query."""
    found: dict[bool, set[int]] = {}
    for expert in {part.expert for part in parts}:
        slots = {"expert_slots__gt": 0} if expert else {"open_slots__gt": 0}
        items = Item.objects.filter(project_id=project, batch=OuterRef("pk"), **slots)
        batches = Batch.objects.filter(pk__in=[part.batch for part in parts if part.expert == expert])
        found[expert] = set(batches.filter(Exists(items)).values_list("pk", flat=True))
    return [part for part in parts if part.batch is None or part.batch in found[part.expert]]


def _values(annotator: Annotator, part: Part) -> dict[str, int]:
    values = {"annotator": annotator.pk, "project": annotator.project_id}
    return values if part.batch is None else {**values, "batch": part.batch}


def open_items(annotator: int, project: int, part: Part) -> QuerySet:
    """Items of the part with a place for this annotator, which they neither hold nor have judged, in queue order."""
    return _open(annotator, project, part.batch, part.expert)


def _open(annotator: int, project: int, batch: int | None, expert: bool) -> QuerySet:
    mine = Assignment.objects.filter(item=OuterRef("pk"), annotator=annotator, state__in=HELD)
    judged = Judgment.objects.filter(item=OuterRef("pk"), annotator=annotator, is_current=True)
    slots = {"expert_slots__gt": 0} if expert else {"open_slots__gt": 0}
    items = Item.objects.filter(project_id=project, batch_id=batch, **slots)
    # The batch stands in the order so that PostgreSQL reads `batch IS NULL` in the order of the index.
    return items.filter(~Exists(mine), ~Exists(judged)).order_by("batch_id", "-priority", "order_key")


def _statement(batched: bool, build) -> Prepared:
    """`build(batch, annotator, project, …)` as a statement; without a batch it takes one value less."""
    return Prepared(build if batched else partial(build, None))


@cache
def _candidates(expert: bool, batched: bool, limit: int) -> Prepared:
    return _statement(
        batched,
        lambda batch, annotator, project: _skipping(_open(annotator, project, batch, expert))[:limit],
    )


@cache
def _candidates_after(expert: bool, batched: bool, limit: int) -> Prepared:
    def build(batch, annotator, project, priority, key):
        items = _open(annotator, project, batch, expert).filter(priority__lte=priority)
        return _skipping(items.filter(Q(priority__lt=priority) | Q(order_key__gt=key)))[:limit]

    return _statement(batched, build)


@cache
def _candidates_in(expert: bool, batched: bool, back: bool, limit: int) -> Prepared:
    def build(batch, annotator, project, priority, low, high):
        items = _open(annotator, project, batch, expert)
        items = items.filter(priority=priority, order_key__gte=low, order_key__lte=high)
        return _skipping(items.order_by("-order_key" if back else "order_key"))[:limit]

    return _statement(batched, build)


@cache
def _keys(expert: bool, batched: bool, limit: int) -> Prepared:
    def build(batch, annotator, project, priority):
        items = _open(annotator, project, batch, expert).filter(priority=priority)
        return items.values_list("pk", "order_key")[:limit]

    return _statement(batched, build)


def _skipping(items: QuerySet) -> QuerySet:
    """Locked, passing over what others hold; on SQLite the IMMEDIATE transaction is the lock."""
    if connection.features.has_select_for_update_skip_locked:
        return items.select_for_update(skip_locked=True)
    return items


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
