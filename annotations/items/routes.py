"""The only writer of an item's route, propensity, audit mark, priority and number of people wanted."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from django.db import connection, transaction
from django.db.models import Case, F, Q, SmallIntegerField, Value, When
from django.db.models.functions import Cast, Greatest

from annotations.projects.models import Project

from .models import Item

BATCH = 1000
FIELDS = ["route", "route_ref", "human_propensity", "is_audit", "priority", "wanted"]


@dataclass(frozen=True, slots=True)
class RouteSetting:
    """Who one item is sent to. `human_propensity`: probability, in [0, 1], that a person was to judge it."""

    item_id: int
    route: str
    human_propensity: float = 1.0
    is_audit: bool = False
    priority: int = 0
    wanted: int = 1


def open_slots_expression(*, humans: int = 0, leases: int = 0):
    """SQL for `open_slots` after adding `humans` to n_human and `leases` to n_leased in the same UPDATE."""
    free = F("wanted") - F("n_human") - F("n_leased") - (humans + leases)
    return Case(
        When(
            Q(route__in=[Item.Route.HUMAN, Item.Route.BOTH]) & Q(withdrawn_at__isnull=True),
            then=Cast(Greatest(free, Value(0)), SmallIntegerField()),
        ),
        default=Value(0),
        output_field=SmallIntegerField(),
    )


@transaction.atomic
def set_routes(*, project: Project, settings: Iterable[RouteSetting], ref: str) -> int:
    """Set the routes of these items of the project and reopen or close their slots; returns how many.

    `ref` names what decided (`plan:3`, `admin:alice`). Takes row locks on the items in primary-key order. Queue
    cursors start over, since priorities changed. Raises ValueError for a propensity outside [0, 1].
    """
    ordered = sorted(settings, key=lambda setting: setting.item_id)
    for setting in ordered:
        if not 0 <= setting.human_propensity <= 1:
            raise ValueError(
                f"item {setting.item_id}: human_propensity {setting.human_propensity}, expected 0 to 1"
            )
    changed = 0
    for start in range(0, len(ordered), BATCH):
        batch = ordered[start : start + BATCH]
        items = Item.objects.filter(project=project, pk__in=[setting.item_id for setting in batch])
        known = set(items.order_by("pk").select_for_update().values_list("pk", flat=True))
        _write([setting for setting in batch if setting.item_id in known], ref[:80])
        items.update(open_slots=open_slots_expression())
        changed += len(known)
    Project.objects.filter(pk=project.pk).update(queue_epoch=F("queue_epoch") + 1)
    return changed


def _write(settings: list[RouteSetting], ref: str) -> None:
    """Write the columns of items locked by the caller, by one prepared UPDATE.

    100,000 items take seconds so; bulk_update needed six minutes, during which SQLite lets nobody else write.
    """
    table = connection.ops.quote_name(Item._meta.db_table)
    columns = ", ".join(f"{connection.ops.quote_name(name)} = %s" for name in FIELDS)
    rows = [
        (s.route, ref, float(s.human_propensity), s.is_audit, s.priority, s.wanted, s.item_id)
        for s in settings
    ]
    with connection.cursor() as cursor:
        cursor.executemany(f"UPDATE {table} SET {columns} WHERE id = %s", rows)  # noqa: S608  fixed names
