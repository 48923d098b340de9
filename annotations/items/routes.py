"""The only writer of an item's route, propensity, audit mark, priority, number of people wanted and models whose label stands."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from django.db import connection, transaction
from django.db.models import Case, F, Q, SmallIntegerField, Value, When
from django.db.models.functions import Cast, Greatest, Least

from annotations.projects.models import Project

from .models import Item

BATCH = 1000
FIELDS = [
    "route",
    "route_ref",
    "human_propensity",
    "is_audit",
    "priority",
    "wanted",
    "label_by_id",
    "label_fallback_id",
]


@dataclass(frozen=True, slots=True)
class RouteSetting:
    """Who one item is sent to. `human_propensity`: probability, in [0, 1], that a person was to judge it; `label_by`: id of
    the annotator, a model, whose label stands where no person judges; `label_fallback`: of the one whose does where that gave none."""

    item_id: int
    route: str
    human_propensity: float = 1.0
    is_audit: bool = False
    priority: int = 0
    wanted: int = 1
    label_by: int | None = None
    label_fallback: int | None = None


def slots_expressions(*, humans: int = 0, leases: int = 0, experts: int = 0, wanted: int = 0) -> dict:
    """What `update` takes to set `open_slots` and `expert_slots`, after these changes made by the same UPDATE.

    `humans`, `leases`, `experts` and `wanted` are what it adds to n_human, n_leased, n_expert and wanted.
    """
    asked = F("wanted") + wanted if wanted else F("wanted")
    free = asked - F("n_human") - F("n_leased") - (humans + leases)
    for_experts = Least(F("experts_wanted"), asked) - F("n_expert") - experts
    return {
        "open_slots": _while_open(free - Greatest(for_experts, Value(0))),
        "expert_slots": _while_open(Least(for_experts, free)),
    }


def _while_open(free) -> Case:
    """`free`, at least 0, while people may judge the item; else 0."""
    return Case(
        When(
            Q(route__in=[Item.Route.HUMAN, Item.Route.BOTH])
            & Q(withdrawn_at__isnull=True)
            & Q(purpose=Item.Purpose.DATA),
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
        items.update(**slots_expressions())
        changed += len(known)
    restart_queue(project)
    return changed


def _write(settings: list[RouteSetting], ref: str) -> None:
    """Write the columns of items locked by the caller, by one prepared UPDATE.

    100,000 items take seconds so; bulk_update needed six minutes, during which SQLite lets nobody else write.
    """
    table = connection.ops.quote_name(Item._meta.db_table)
    columns = ", ".join(f"{connection.ops.quote_name(name)} = %s" for name in FIELDS)
    rows = [
        (
            s.route, ref, float(s.human_propensity), s.is_audit, s.priority, s.wanted, s.label_by,
            s.label_fallback, s.item_id,
        )
        for s in settings
    ]  # fmt: skip
    with connection.cursor() as cursor:
        cursor.executemany(f"UPDATE {table} SET {columns} WHERE id = %s", rows)  # noqa: S608  fixed names


@transaction.atomic
def set_priorities(*, project: Project, priorities: dict[int, int]) -> int:
    """Set the places in the queue of these items of the project, {id: priority}; returns how many it set.

    Routes, propensities and who put the item there stay; an item that a plan or a person put in place meanwhile is left alone.
    Takes row locks on the items in primary-key order; queue cursors start over.
    """
    ids, n = sorted(priorities), 0
    for start in range(0, len(ids), BATCH):
        items = Item.objects.filter(project=project, pk__in=ids[start : start + BATCH], route_ref="")
        known = list(items.order_by("pk").select_for_update().values_list("pk", flat=True))
        for priority in sorted({priorities[pk] for pk in known}):
            some = [pk for pk in known if priorities[pk] == priority]
            n += Item.objects.filter(pk__in=some).update(priority=priority)
    if n:
        restart_queue(project)
    return n


def want_another(item_id: int) -> None:
    """Ask one more person than before. Caller holds the item's lock."""
    Item.objects.filter(pk=item_id).update(wanted=F("wanted") + 1, **slots_expressions(wanted=1))


@transaction.atomic
def want_more(*, project: Project, wanted: dict[int, int]) -> int:
    """Raise the number of people wanted for these items of the project, {id: number}; returns how many it raised.

    A lower number changes nothing. Takes row locks on the items in primary-key order. Whoever is done with the
    last batch calls `restart_queue`, since items behind the cursors opened again.
    """
    items = Item.objects.filter(project=project, pk__in=list(wanted))
    locked = dict(items.order_by("pk").select_for_update().values_list("pk", "wanted"))
    raised = {pk: wanted[pk] for pk, now in locked.items() if wanted[pk] > now}
    for number in sorted(set(raised.values())):
        chunk = Item.objects.filter(pk__in=[pk for pk, new in raised.items() if new == number])
        chunk.update(wanted=number)
        chunk.update(**slots_expressions())
    return len(raised)


def restart_queue(project: Project) -> None:
    """Let everybody's walk through the queue begin again."""
    Project.objects.filter(pk=project.pk).update(queue_epoch=F("queue_epoch") + 1)
