"""Asking items again after a breaking change of the task: how many, at what cost, and the job that opens them.

Old judgments stay current and in every export, with their version. An item judged under a version whose answers may
not hold any more is asked of further people: those who judged it keep their one judgment of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from django.db import transaction
from django.db.models import Count, Exists, F, IntegerField, OuterRef, Q, QuerySet, Subquery, Sum, Value
from django.db.models.functions import Coalesce, Greatest

from annotations.items.models import Item
from annotations.items.routes import restart_queue, want_more
from annotations.projects import changes, design, schemas
from annotations.projects.models import Annotator, Project, TaskSchema
from app.accounts import audit
from app.jobs import runner
from app.jobs.models import Job

from .counters import ANSWERS
from .models import Judgment

AT_ONCE = 1000
MOST_PEOPLE = 50


@dataclass(frozen=True, slots=True)
class Preview:
    """What asking again would do. `cost` is in the project's currency at its pay of one judgment."""

    items: int
    judgments: int
    cost: Decimal
    judged: int
    """Items with a current judgment of a person under a version whose answers may not hold."""


def versions_that_break(project: Project, schema: TaskSchema) -> list[int]:
    """Keys of the designed versions whose answers may not hold under `schema`."""
    after = schemas.load(schema.pk)[1]
    others = TaskSchema.objects.filter(project=project, origin=TaskSchema.Origin.DESIGNED).exclude(
        pk=schema.pk
    )
    return [
        pk
        for pk in others.order_by("pk").values_list("pk", flat=True)
        if changes.is_breaking(schemas.load(pk)[1], after)
    ]


def _people(**where) -> QuerySet[Judgment]:
    return Judgment.objects.filter(
        is_current=True, annotator__kind=Annotator.Kind.HUMAN, outcome__in=ANSWERS, **where
    )


def _judged_items(project: Project, broken: list[int]) -> QuerySet[Item]:
    """Items people may judge that have a person's current judgment under one of these versions."""
    return Item.objects.filter(
        Exists(_people(item=OuterRef("pk"), schema__in=broken)),
        project=project,
        purpose=Item.Purpose.DATA,
        withdrawn_at__isnull=True,
        route__in=[Item.Route.HUMAN, Item.Route.BOTH],
    )


def _to_raise(project: Project, broken: list[int], people: int) -> QuerySet[Item]:
    """Those that need more people than they want now, with `target`: the number that gives `people` judgments that
    hold."""
    holding = (
        _people(item=OuterRef("pk"))
        .exclude(schema__in=broken)
        .exclude(schema__origin=TaskSchema.Origin.IMPORTED)
        .order_by()
        .values("item")
        .annotate(n=Count("pk"))
        .values("n")
    )
    held = Coalesce(Subquery(holding, output_field=IntegerField()), Value(0))
    missing = Greatest(Value(people) - held, Value(0), output_field=IntegerField())
    items = _judged_items(project, broken).annotate(target=F("n_human") + missing)
    return items.filter(Q(target__gt=F("wanted")))


def preview(*, project: Project, schema: TaskSchema, people: int) -> Preview:
    """What `ask_again` with these arguments would do; three queries."""
    broken = versions_that_break(project, schema)
    if not broken:
        return Preview(0, 0, Decimal(0), 0)
    judged = _judged_items(project, broken).count()
    found = _to_raise(project, broken, people).aggregate(
        items=Count("pk"), judgments=Sum(F("target") - F("wanted"))
    )
    judgments = found["judgments"] or 0
    return Preview(found["items"], judgments, judgments * project.human_cost, judged)


def any_judged(project: Project, schema: TaskSchema) -> bool:
    """Whether a person's judgment stands under a version whose answers may not hold under `schema`."""
    broken = versions_that_break(project, schema)
    return bool(broken) and _judged_items(project, broken).exists()


@transaction.atomic
def start(*, project: Project, schema: TaskSchema, people: int, actor, result_url: str = "") -> Job:
    """Ask `schema` from now on, and start the job that asks items judged before again, of `people` each.

    Raises ValueError for a number of people that is not 1 to 50.
    """
    if not 1 <= people <= MOST_PEOPLE:
        raise ValueError(f"people: {people}, expected 1 to {MOST_PEOPLE}")
    if project.schema_id != schema.pk:
        design.ask_version(project=project, schema=schema, actor=actor)
    audit.record(
        actor=actor, action="items.asked_again", scope=project.slug, target=schema.label, people=people
    )
    return runner.start(
        kind="judging.ask_again",
        title=f"Ask items again under {schema.label}",
        args={"project_id": project.pk, "schema_id": schema.pk, "people": people},
        scope=project.slug,
        actor=actor,
        result_url=result_url,
    )


def ask_again(*, project: Project, schema: TaskSchema, people: int, progress=None) -> int:
    """Raise `wanted` of the items judged under versions that `schema` breaks; returns how many items it opened.

    A thousand items a transaction under their locks; doing it again changes nothing more.
    """
    broken = versions_that_break(project, schema)
    if not broken:
        return 0
    opened = done = after = 0
    items = _to_raise(project, broken, people).order_by("pk")
    while rows := dict(items.filter(pk__gt=after).values_list("pk", "target")[:AT_ONCE]):
        opened += want_more(project=project, wanted=rows)
        after, done = max(rows), done + len(rows)
        if progress is not None:
            progress(done)
    restart_queue(project)
    return opened
