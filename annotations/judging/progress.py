"""How far projects are: counts over items, kept for a while where counting is slow, and judgments a day."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta

from django.core.cache import cache
from django.db.models import Count, F, OuterRef, Q, Subquery, Sum
from django.db.models.functions import TruncDate
from django.utils import timezone

from annotations.items.models import Item
from annotations.projects.models import Annotator, Project
from app.web.plots import Plot, Point, Series, line_plot

from .models import Judgment

DAYS = 30
LATEST = 20_000
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
    keys = {f"progress:{pk}": pk for pk in ids}
    found = {keys[key]: value for key, value in cache.get_many(keys).items()}
    missing = [pk for pk in ids if pk not in found]
    if missing:
        began = time.monotonic()
        fresh = _count(missing)
        _keep({f"progress:{pk}": value for pk, value in fresh.items()}, time.monotonic() - began)
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
        Item.objects.filter(project_id__in=project_ids)
        .order_by()
        .values("project_id", "route")
        .annotate(
            live=Count("pk", filter=live),
            complete=Count("pk", filter=live & enough),
            touched=Count("pk", filter=live & touched & ~enough),
            withdrawn=Count("pk", filter=~live),
            flagged=Count("pk", filter=live & Q(n_flagged__gt=0)),
            audits=Count("pk", filter=live & Q(is_audit=True)),
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


def judgments_a_day(project: Project, *, today: date | None = None) -> Plot | None:
    """Judgments given in the last 30 days, by people and by models; imported ones are left out.

    Looks at the latest 20,000 judgments at most, so it costs the same at any size. None if there are none.
    """
    today = today or timezone.now().date()
    key = f"judgments-a-day:{project.pk}:{today}"
    plot = cache.get(key)
    if plot is None:
        began = time.monotonic()
        plot = _draw_judgments_a_day(project, today)
        _keep({key: plot}, time.monotonic() - began)
    return plot


def _draw_judgments_a_day(project: Project, today: date) -> Plot | None:
    first = today - timedelta(days=DAYS - 1)
    ids = Judgment.objects.filter(project=project).order_by("-pk").values_list("pk", flat=True)
    oldest = ids[LATEST - 1 : LATEST].first()
    since = datetime.combine(first, datetime.min.time(), tzinfo=UTC)
    judgments = Judgment.objects.filter(project=project, created_at__gte=since)
    if oldest is not None:
        judgments = judgments.filter(pk__gte=oldest)
    counts: dict[tuple[bool, date], int] = {}
    for row in (
        judgments.exclude(origin=Judgment.Origin.IMPORT)
        .order_by()
        .annotate(day=TruncDate("created_at"))
        .values("day", "annotator__kind")
        .annotate(n=Count("pk"))
    ):
        key = (row["annotator__kind"] == Annotator.Kind.HUMAN, row["day"])
        counts[key] = counts.get(key, 0) + row["n"]
    if not counts:
        return None
    days = [first + timedelta(days=number) for number in range(DAYS)]
    series = [
        Series(label, [Point(-(today - day).days, counts.get((human, day), 0)) for day in days], kind)
        for label, human, kind in (("People", True, "human"), ("Models", False, "lm"))
        if any(key[0] == human for key in counts)
    ]
    limit = f" Counted over the latest {LATEST:,} judgments only." if oldest is not None else ""
    plot = line_plot(
        series,
        title="Judgments a day",
        x_label="Days from today",
        y_label="Judgments",
        y_range=(0, max(4, *counts.values())),
        caption=f"Given here in the last {DAYS} days; imported judgments are not counted.{limit}",
        height=260,
    )
    columns = [{"label": "Day", "numeric": False}] + [
        {"label": label, "numeric": True} for label in ("People", "Models")
    ]
    table = [
        [f"{day:%Y-%m-%d}", f"{counts.get((True, day), 0):,}", f"{counts.get((False, day), 0):,}"]
        for day in reversed(days)
    ]
    return replace(plot, columns=columns, rows=table)
