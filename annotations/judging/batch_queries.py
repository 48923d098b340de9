"""What the pages of batches and of work given by hand read."""

from __future__ import annotations

from dataclasses import dataclass

from django.db.models import Count, F, Q

from annotations.items.models import Batch, Item
from annotations.projects.models import Annotator, Project

PEOPLE_SHOWN = 500


@dataclass(frozen=True, slots=True)
class BatchRow:
    """A batch (None: items without one) with counts of its items; withdrawn ones and gates are left out."""

    batch: Batch | None
    n: int = 0
    complete: int = 0


def batches_of(project: Project) -> list[BatchRow]:
    """The project's batches in the order they were made, then the items without one; two queries."""
    items = Item.objects.filter(
        project=project, purpose=Item.Purpose.DATA, withdrawn_at__isnull=True
    ).exclude(route=Item.Route.LM)
    counted = {
        row["batch"]: row
        for row in items.order_by()
        .values("batch")
        .annotate(
            n=Count("pk"),
            complete=Count("pk", filter=Q(n_human__gte=F("wanted"))),
        )
    }
    found = []
    for batch in [*Batch.objects.filter(project=project).order_by("pk"), None]:
        row = counted.get(batch and batch.pk, {"n": 0, "complete": 0})
        found.append(BatchRow(batch, row["n"], row["complete"]))
    return found


def people_with_tags(project: Project) -> list[Annotator]:
    """The people who can be given items here, by name, at most 500."""
    people = Annotator.objects.filter(project=project, kind=Annotator.Kind.HUMAN, user__isnull=False).exclude(
        status=Annotator.Status.REMOVED
    )
    return list(people.select_related("user").order_by("name", "pk")[:PEOPLE_SHOWN])
