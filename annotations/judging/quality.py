"""How well people judge: gold, consistency, speed, monotony. Read from checks and the latest judgments."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from datetime import datetime
from itertools import groupby

from django.db.models import Count, Q

from annotations.projects import rules, schemas
from annotations.projects.models import Annotator, Project

from .counters import ANSWERS
from .intervals import wilson
from .models import Check, Comparison, Judgment

WINDOW = 20_000
MOST_PEOPLE = 500
LONG_RUN = 12  # the same displayed answer so many times in a row is worth a look
FEW = 20
SAME_SHARE = 0.9
FAST_SHARE = 0.1


@dataclass(slots=True)
class PersonQuality:
    """One person's numbers. Estimates are `{"value", "lo", "hi", "n"}`, None where there is nothing to count.

    Speed, runs and sides are of the project's latest 20,000 judgments.
    """

    annotator: Annotator
    gold: dict | None = None
    repeats: dict | None = None
    test: dict | None = None
    fast: dict | None = None
    left: dict | None = None
    """Of preferences for a side, how many were for what stood left."""
    run: int = 0
    """The longest row of the same answer as displayed, in the question asked first."""
    same: dict | None = None
    """The share of the most frequent displayed answer."""
    aside: int = 0
    """Judgments in quarantine."""
    last_at: datetime | None = None
    flags: list[str] = field(default_factory=list)


def people_quality(project: Project) -> list[PersonQuality]:
    """The people of the project who have judged or may judge, those with flags first, then by name."""
    people = Annotator.objects.filter(project=project, kind=Annotator.Kind.HUMAN)
    people = people.filter(Q(user__isnull=False) | Q(n_judged__gt=0) | Q(quarantined_at__isnull=False))
    found = {
        a.pk: PersonQuality(a) for a in people.select_related("user", "project").order_by("pk")[:MOST_PEOPLE]
    }
    _add_checks(project, found)
    _add_speed(project, found)
    _add_monotony(project, found)
    quarantined = Judgment.objects.filter(
        annotator__in=[pk for pk, row in found.items() if row.annotator.quarantined_at],
        aside=Judgment.Aside.QUARANTINE,
    )
    for pk, n in quarantined.order_by().values_list("annotator").annotate(n=Count("pk")):
        found[pk].aside = n
    for row in found.values():
        row.flags = flags_of(row)
    return sorted(found.values(), key=lambda row: (not row.flags, row.annotator.name.lower()))


def _add_checks(project: Project, found: dict[int, PersonQuality]) -> None:
    rows = Check.objects.filter(annotator__project=project).order_by()
    for pk, kind, n, right in rows.values_list("annotator", "kind").annotate(
        n=Count("pk"), right=Count("pk", filter=Q(passed=True))
    ):
        name = {"gold": "gold", "repeat": "repeats", "qualification": "test"}.get(kind)
        if pk in found and name:
            setattr(found[pk], name, wilson(right, n))


def _window(project: Project):
    """The project's latest judgments that people gave here."""
    oldest = (
        Judgment.objects.filter(project=project)
        .order_by("-pk")
        .values_list("pk", flat=True)[WINDOW - 1 : WINDOW]
    )
    here = [Judgment.Origin.PAGE, Judgment.Origin.API]
    rows = Judgment.objects.filter(project=project, origin__in=here, annotator__kind=Annotator.Kind.HUMAN)
    edge = oldest.first()
    return rows if edge is None else rows.filter(pk__gte=edge)


def _add_speed(project: Project, found: dict[int, PersonQuality]) -> None:
    timed = (project.rules.get("gates") or {}).get("fastest_ms", 0)
    rows = _window(project).filter(outcome__in=ANSWERS).order_by().values_list("annotator")
    last = dict(_window(project).order_by("pk").values_list("annotator", "received_at"))
    for pk, at in last.items():
        if pk in found:
            found[pk].last_at = at
    if not timed:
        return
    for pk, n, fast in rows.annotate(n=Count("pk"), fast=Count("pk", filter=Q(meta__fast=True))):
        if pk in found:
            found[pk].fast = wilson(fast, n)


def _add_monotony(project: Project, found: dict[int, PersonQuality]) -> None:
    aspect = first_aspect(project)
    if aspect is None:
        return
    rows = (
        Comparison.objects.filter(judgment__in=_window(project), aspect=aspect, first=0, second=1)
        .order_by("judgment_id")
        .values_list("judgment__annotator", "judgment__presented_order", "preference", "tie")
    )
    said: dict[int, list[object]] = defaultdict(list)
    for pk, order, preference, tie in rows:
        turned = order.index("0") > order.index("1") if "0" in order and "1" in order else False
        said[pk].append(tie if preference is None else (-preference if turned else preference))
    for pk, answers in said.items():
        if pk not in found:
            continue
        row = found[pk]
        row.run = max(len(list(group)) for _, group in groupby(answers))
        row.same = wilson(Counter(answers).most_common(1)[0][1], len(answers))
        sides = [answer for answer in answers if isinstance(answer, int)]
        row.left = wilson(sum(side < 0 for side in sides), len(sides))


def first_aspect(project: Project) -> str | None:
    """The name of the comparison asked first, None where the project compares nothing."""
    if project.schema_id is None:
        return None
    comparisons = schemas.load(project.schema_id)[1].of_kind("comparison")
    return comparisons[0].name if comparisons else None


def flags_of(row: PersonQuality) -> list[str]:
    """What is worth a look, in words. A flag is no verdict: slow is not bad, and some batches do have one answer."""
    marks = rules.of(row.annotator.project).gates
    flags = []
    if row.gold and marks.pause_below_gold and row.gold["hi"] < marks.pause_below_gold:
        flags.append("Gold below the mark")
    if row.repeats and marks.pause_below_consistency and row.repeats["hi"] < marks.pause_below_consistency:
        flags.append("Inconsistent")
    if row.fast and row.fast["lo"] > FAST_SHARE / 2 and row.fast["value"] >= FAST_SHARE:
        flags.append("Too fast")
    if row.run >= LONG_RUN:
        flags.append(f"Same answer {row.run} times in a row")
    elif row.same and row.same["n"] >= FEW and row.same["value"] >= SAME_SHARE:
        flags.append("Nearly always the same answer")
    if row.left and row.left["n"] >= FEW and (row.left["lo"] > 0.6 or row.left["hi"] < 0.4):
        flags.append("Prefers one side")
    return flags
