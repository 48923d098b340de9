"""How long an item is held: for projects that ask for it, by how long people have lately needed."""

from __future__ import annotations

import math

from annotations.projects import rules
from annotations.projects.models import Annotator, Project

from .counters import ANSWERS
from .models import Judgment

LATEST = 1000
FEWEST = 50
SHORTEST, LONGEST = 5, 240  # minutes


def lease_minutes(active_ms: list[int]) -> int | None:
    """Twice the 99th percentile of the active time, in whole minutes from 5 to 240; None for fewer than 50 times.

    Twice, since people pause and active time does not count that; a saved draft prolongs the lease anyway.
    """
    if len(active_ms) < FEWEST:
        return None
    ordered = sorted(active_ms)
    p99 = ordered[min(len(ordered) - 1, math.ceil(0.99 * len(ordered)) - 1)]
    return min(LONGEST, max(SHORTEST, math.ceil(2 * p99 / 60_000)))


def adapt_leases() -> int:
    """Set `lease_minutes` of active projects with `limits.adaptive_lease`; returns how many changed.

    Runs beside the work, every few minutes, so that claims only read the project's column. Looks at the latest
    1,000 answers of people given here.
    """
    changed = 0
    for project in Project.objects.filter(status=Project.Status.ACTIVE).exclude(rules={}):
        if not rules.of(project).limits.adaptive_lease:
            continue
        latest = (
            Judgment.objects.filter(
                project=project,
                annotator__kind=Annotator.Kind.HUMAN,
                outcome__in=ANSWERS,
                active_ms__isnull=False,
            )
            .exclude(origin=Judgment.Origin.IMPORT)
            .order_by("-pk")
        )
        minutes = lease_minutes(list(latest.values_list("active_ms", flat=True)[:LATEST]))
        if minutes is not None and minutes != project.lease_minutes:
            Project.objects.filter(pk=project.pk).update(lease_minutes=minutes)
            changed += 1
    return changed
