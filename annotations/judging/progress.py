"""How far projects are: counts over items, kept for a while where counting is slow, and judgments a day."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime

from django.core.cache import cache
from django.db.models import Count, F, OuterRef, Q, Subquery, Sum
from django.utils import timezone

from annotations.items.models import Item
from annotations.projects.models import Annotator, Project

from .models import Judgment

KEPT_FACTOR, KEPT_LONGEST = 30, 900  # a count that took 2 s is kept for 60 s
PEOPLE_ROUTES = (Item.Route.HUMAN, Item.Route.BOTH)


@dataclass(frozen=True, slots=True)
class RouteProgress:
    """Items of one route, withdrawn ones left out.

    `complete`: has the people it wants (route lm: has a model's judgment). `started`: judged, not complete.
    """

    route: str
    label: str
    n: int = 0
    complete: int = 0
    started: int = 0

    @property
    def untouched(self) -> int:
        return self.n - self.complete - self.started


@dataclass(frozen=True, slots=True)
class Progress:
    """Counts over a project's items at one moment."""

    routes: tuple[RouteProgress, ...] = ()
    withdrawn: int = 0
    flagged: int = 0
    audits: int = 0
    votes_left: int = 0
    """Human judgments that are wanted and not given yet."""
    counted_at: datetime = field(default_factory=timezone.now)

    @property
    def n(self) -> int:
        return sum(route.n for route in self.routes)

    @property
    def complete(self) -> int:
        return sum(route.complete for route in self.routes)

    @property
    def percent(self) -> int:
        """Share of items that are complete, in whole per cent; 100 only when all are."""
        return 100 * self.complete // self.n if self.n else 0

    @property
    def for_people(self) -> int:
        return sum(route.n for route in self.routes if route.route in PEOPLE_ROUTES)

    @property
    def for_people_complete(self) -> int:
        return sum(route.complete for route in self.routes if route.route in PEOPLE_ROUTES)


def progress_of(projects: Iterable[Project]) -> dict[int, Progress]:
    """The progress of each project, by its id. Slow counts are kept: `counted_at` says how old they are."""
    ids = [project.pk for project in projects]
    keys = {f"progress-2:{pk}": pk for pk in ids}
    found = {keys[key]: value for key, value in cache.get_many(keys).items()}
    missing = [pk for pk in ids if pk not in found]
    if missing:
        began = time.monotonic()
        fresh = _count(missing)
        _keep({f"progress-2:{pk}": value for pk, value in fresh.items()}, time.monotonic() - began)
        found |= fresh
    return found


def _keep(values: dict, seconds: float) -> None:
    """Keep what took `seconds` to find for 30 times as long; what was quick is found anew each time."""
    keep = min(KEPT_LONGEST, int(KEPT_FACTOR * seconds))
    if keep >= 2:
        cache.set_many(values, keep)


def _count(project_ids: list[int]) -> dict[int, Progress]:
    live = Q(withdrawn_at__isnull=True)
    enough = Q(route=Item.Route.LM, n_lm__gt=0) | (Q(route__in=PEOPLE_ROUTES) & Q(n_human__gte=F("wanted")))
    touched = Q(n_human__gt=0) | Q(n_lm__gt=0, route=Item.Route.BOTH)
    rows = (
        Item.objects.filter(project_id__in=project_ids, purpose=Item.Purpose.DATA)
        .order_by()
        .values("project_id", "route")
        .annotate(
            live=Count("pk", filter=live),
            complete=Count("pk", filter=live & enough),
            touched=Count("pk", filter=live & touched & ~enough),
            withdrawn=Count("pk", filter=~live),
            flagged=Count("pk", filter=live & Q(n_flagged__gt=0)),
            audits=Count("pk", filter=live & Q(is_audit=True)),
            votes_left=Sum(
                F("wanted") - F("n_human"),
                filter=live & Q(route__in=PEOPLE_ROUTES, n_human__lt=F("wanted")),
                default=0,
            ),
        )
    )
    found = {pk: Progress() for pk in project_ids}
    labels = dict(Item.Route.choices)
    for row in sorted(rows, key=lambda row: Item.Route.values.index(row["route"])):
        known = found[row["project_id"]]
        route = RouteProgress(
            row["route"], labels[row["route"]], row["live"], row["complete"], row["touched"]
        )
        found[row["project_id"]] = replace(
            known,
            routes=(*known.routes, route),
            withdrawn=known.withdrawn + row["withdrawn"],
            flagged=known.flagged + row["flagged"],
            audits=known.audits + row["audits"],
            votes_left=known.votes_left + row["votes_left"],
        )
    return found


@dataclass(frozen=True, slots=True)
class Judged:
    """Who judged, and how much: current answers, imported ones included."""

    people: int = 0
    by_people: int = 0
    models: int = 0
    by_models: int = 0


def judged_by(project: Project) -> Judged:
    """Read from the annotators' counters, so it costs what the number of annotators costs."""
    human = Q(kind=Annotator.Kind.HUMAN)
    row = Annotator.objects.filter(project=project, n_judged__gt=0).aggregate(
        people=Count("pk", filter=human),
        by_people=Sum("n_judged", filter=human, default=0),
        models=Count("pk", filter=~human),
        by_models=Sum("n_judged", filter=~human, default=0),
    )
    return Judged(**row)


def with_last_judged(projects):
    """Add `last_judged_at` to a Project queryset: when the newest judgment arrived."""
    newest = Judgment.objects.filter(project=OuterRef("pk")).order_by("-pk").values("received_at")[:1]
    return projects.annotate(last_judged_at=Subquery(newest))


@dataclass(frozen=True, slots=True)
class BatchProgress:
    """Items of one batch that go to people, withdrawn ones left out; `name` is empty for items of no batch."""

    name: str
    n: int
    complete: int
    votes_left: int

    @property
    def share(self) -> float:
        return self.complete / self.n if self.n else 0.0


def batches_of(project: Project) -> list[BatchProgress]:
    """Each batch's progress, by name, items of no batch last; kept like `progress_of`."""
    key = f"batches:{project.pk}"
    found = cache.get(key)
    if found is None:
        began = time.monotonic()
        rows = (
            Item.objects.filter(
                project=project, purpose=Item.Purpose.DATA, withdrawn_at=None, route__in=PEOPLE_ROUTES
            )
            .order_by()
            .values("batch_id")
            .annotate(
                n=Count("pk"),
                complete=Count("pk", filter=Q(n_human__gte=F("wanted"))),
                left=Sum(F("wanted") - F("n_human"), filter=Q(n_human__lt=F("wanted")), default=0),
            )
        )
        names = dict(project.batches.values_list("pk", "name"))
        found = [
            BatchProgress(names.get(row["batch_id"], ""), row["n"], row["complete"], row["left"])
            for row in rows
        ]
        found.sort(key=lambda row: (not row.name, row.name))
        _keep({key: found}, time.monotonic() - began)
    return found
