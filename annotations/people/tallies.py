"""Judgments by annotator and day, counted once and kept, so that pictures cost the same at any size.

Reading = what is tallied + what came since, which is little. A judgment's id is given out before its transaction
ends, so ids may appear below a higher one for as long as a transaction lasts: only what arrived two minutes ago is
tallied. An import that holds a transaction open longer than that is left out of these counts by nature.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from django.db import transaction
from django.db.models import Count, Max, Q, Sum
from django.db.models.functions import TruncDate
from django.utils import timezone

from annotations.judging.counters import ANSWERS
from annotations.judging.models import Judgment
from annotations.projects.models import Annotator, Project

from .models import Tally, TallyMark

LAG = timedelta(minutes=2)
AT_ONCE = 20_000
FEW = 5_000  # so many may wait before a page tallies them itself


@dataclass(slots=True)
class Given:
    """What was given: all judgments, answers, answers with a known time, that time, and when the last came."""

    given: int = 0
    answered: int = 0
    timed: int = 0
    active_ms: int = 0
    last_at: datetime | None = None

    def add(self, given: int, answered: int, timed: int, active_ms: int, last_at: datetime | None) -> None:
        self.given += given
        self.answered += answered
        self.timed += timed
        self.active_ms += active_ms
        if last_at is not None and (self.last_at is None or last_at > self.last_at):
            self.last_at = last_at


def _rows(project: Project, after: int, upto: int | None = None) -> Iterable[tuple]:
    """(annotator, day, given, answered, timed, active_ms, last_at) of judgments with after < id <= upto."""
    found = Judgment.objects.filter(project=project, pk__gt=after).exclude(origin=Judgment.Origin.IMPORT)
    if upto is not None:
        found = found.filter(pk__lte=upto)
    answered = Q(outcome__in=ANSWERS)
    return (
        found.order_by()
        .annotate(day=TruncDate("created_at"))
        .values_list("annotator_id", "day")
        .annotate(
            n=Count("pk"),
            answered=Count("pk", filter=answered),
            timed=Count("pk", filter=answered & Q(active_ms__gt=0)),
            ms=Sum("active_ms", default=0),
            last=Max("created_at"),
        )
    )


def through(project: Project) -> int:
    return TallyMark.objects.filter(project=project).values_list("through", flat=True).first() or 0


@transaction.atomic
def catch_up(*, project: Project, now: datetime | None = None) -> int:
    """Tally up to 20,000 judgments that are not yet; returns how many ids it passed. Takes the project's mark."""
    now = now or timezone.now()
    TallyMark.objects.get_or_create(project=project)
    mark = TallyMark.objects.select_for_update().get(project=project)
    waiting = Judgment.objects.filter(project=project, pk__gt=mark.through)
    ids = waiting.order_by("pk").values_list("pk", flat=True)
    upto = ids[AT_ONCE - 1 : AT_ONCE].first() or ids.last()
    if upto is None:
        return 0
    fresh = (
        waiting.filter(pk__lte=upto, received_at__gt=now - LAG)
        .order_by("pk")
        .values_list("pk", flat=True)
        .first()
    )
    if fresh is not None:
        upto = ids.filter(pk__lt=fresh).last()
        if upto is None:
            return 0
    groups = list(_rows(project, mark.through, upto))
    known = {
        (row.annotator_id, row.day): row
        for row in Tally.objects.filter(
            annotator__in={group[0] for group in groups}, day__in={g[1] for g in groups}
        )
    }
    new, changed, passed = [], [], 0
    for annotator, day, n, answered, timed, ms, last in groups:
        passed += n
        row = known.get((annotator, day))
        if row is None:
            row = Tally(project=project, annotator_id=annotator, day=day, last_at=last)
            new.append(row)
        else:
            changed.append(row)
        row.given += n
        row.answered += answered
        row.timed += timed
        row.active_ms += ms
        row.last_at = max(row.last_at, last)
    Tally.objects.bulk_create(new, batch_size=500)
    Tally.objects.bulk_update(changed, ["given", "answered", "timed", "active_ms", "last_at"], batch_size=200)
    mark.through = upto
    mark.save()
    return passed or 1


def catch_up_all() -> None:
    """The periodic job: tally what came in, project by project."""
    for project in Project.objects.exclude(status=Project.Status.ARCHIVED).order_by("pk"):
        while catch_up(project=project):
            pass


def catch_up_if_much(project: Project) -> None:
    """Tally in passing where so much waits that a page would be slow without."""
    after = through(project)
    if (
        Judgment.objects.filter(project=project, pk__gt=after)
        .order_by("pk")
        .values("pk")[FEW : FEW + 1]
        .exists()
    ):
        catch_up(project=project)


def by_day(project: Project, *, since: date) -> dict[tuple[str, date], Given]:
    """What was given each day from `since` on, by the kind of annotator: {(kind, day): Given}."""
    found: dict[tuple[str, date], Given] = {}
    stored = Tally.objects.filter(project=project, day__gte=since).values_list("annotator__kind", "day")
    sums = stored.annotate(
        n=Sum("given"), a=Sum("answered"), t=Sum("timed"), ms=Sum("active_ms"), last=Max("last_at")
    )
    for kind, day, *values in sums.order_by():
        found.setdefault((kind, day), Given()).add(*values)
    fresh = list(_rows(project, through(project)))
    kinds = dict(project.annotators.filter(pk__in={row[0] for row in fresh}).values_list("pk", "kind"))
    for annotator, day, *values in fresh:
        if day >= since:
            found.setdefault((kinds[annotator], day), Given()).add(*values)
    return found


def answered(days: dict[tuple[str, date], Given]) -> dict[date, int]:
    """People's answers by day, from what `by_day` gave."""
    human = Annotator.Kind.HUMAN.value
    return {day: given.answered for (kind, day), given in days.items() if kind == human}


def by_person(project: Project) -> dict[int, Given]:
    """What each annotator gave in all, by the annotator's id."""
    found: dict[int, Given] = {}
    stored = Tally.objects.filter(project=project).values_list("annotator_id")
    sums = stored.annotate(
        n=Sum("given"), a=Sum("answered"), t=Sum("timed"), ms=Sum("active_ms"), last=Max("last_at")
    )
    for annotator, *values in sums.order_by():
        found.setdefault(annotator, Given()).add(*values)
    for annotator, _day, *values in _rows(project, through(project)):
        found.setdefault(annotator, Given()).add(*values)
    return found
