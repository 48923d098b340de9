"""Taking an item out of the work, and putting it back. Its judgments stay."""

from __future__ import annotations

from django.db import transaction
from django.utils import timezone

from annotations.items.models import Item
from annotations.items.routes import RouteSetting, set_routes, slots_expressions
from app.accounts import audit
from app.accounts.models import User

from . import locks, queue
from .models import Assignment


class AuditItem(ValueError):
    """An audit item's route is drawn by lot; choosing it by hand would bend the yardstick."""

    def __init__(self):
        super().__init__(
            "This item is part of the audit, which is drawn by lot. Its route cannot be set by hand."
        )


def set_withdrawn(*, item: Item, withdrawn: bool, actor: User) -> Item:
    """Withdraw or restore an item; live leases on a withdrawn item end. Takes the item's lock.

    After the first transaction the item has no open slot, so nobody can lease it while leases are given back.
    """
    with transaction.atomic():
        item = locks.lock_item(item.pk)
        if (item.withdrawn_at is not None) == withdrawn:
            return item
        item.withdrawn_at, item.withdrawn_for = timezone.now() if withdrawn else None, ""
        item.save(update_fields=["withdrawn_at", "withdrawn_for"])
        Item.objects.filter(pk=item.pk).update(**slots_expressions())
        audit.record(
            actor=actor,
            action="item.withdrawn" if withdrawn else "item.restored",
            scope=item.project.slug,
            target=str(item),
            item=item.pk,
        )
    if withdrawn:
        live = [Assignment.State.LEASED, Assignment.State.RESERVED]
        for lease in Assignment.objects.filter(item=item, state__in=live).select_related("annotator"):
            queue.release(assignment_id=lease.pk, annotator=lease.annotator, for_good=True)
    item.refresh_from_db()
    return item


@transaction.atomic
def route_by_hand(*, item: Item, route: str, wanted: int, priority: int, actor: User) -> Item:
    """Send one item to people, models or both, by a person's decision; whose label stands stays. Raises AuditItem, ValueError.

    A choice by hand is no draw: `human_propensity` becomes 1 if people judge it, else 0.
    """
    if route not in Item.Route.values:
        raise ValueError(f"route {route!r}: expected one of {', '.join(Item.Route.values)}")
    item = locks.lock_item(item.pk)
    if item.is_audit:
        raise AuditItem
    setting = RouteSetting(
        item_id=item.pk,
        route=route,
        human_propensity=0.0 if route == Item.Route.LM else 1.0,
        priority=priority,
        wanted=wanted,
        label_by=item.label_by_id,
        label_fallback=item.label_fallback_id,
    )
    set_routes(project=item.project, settings=[setting], ref=f"admin:{actor.username}")
    audit.record(
        actor=actor,
        action="item.routed",
        scope=item.project.slug,
        target=str(item),
        item=item.pk,
        before=f"{item.route}, {item.wanted} wanted, priority {item.priority}",
        after=f"{route}, {wanted} wanted, priority {priority}",
    )
    item.refresh_from_db()
    return item
