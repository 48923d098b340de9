"""What the pages about pay read: everybody's sums, one person's statement."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal

from django.db.models import Q

from annotations.projects import rules
from annotations.projects.models import Annotator, Project
from app.ledger.models import MICROS

from . import pay
from .earnings import HOUR_MS, Earned
from .models import PayLine, Wage

PEOPLE_SHOWN = 500


@dataclass(frozen=True, slots=True)
class Pay:
    """One person's pay in a project. Money in the project's currency; `accrued` is not reckoned yet."""

    annotator: Annotator
    items: int
    active_ms: int
    earned: Decimal
    accrued: Decimal
    paid: Decimal
    owed: Decimal
    bonus: Decimal
    floor: Decimal

    @property
    def hours(self) -> float:
        return self.active_ms / HOUR_MS

    @property
    def in_all(self) -> Decimal:
        """Earned, what is not reckoned yet included."""
        return self.earned + self.accrued

    @property
    def rate(self) -> Decimal | None:
        """Earned by work, bonuses included, an hour of active time; None below a minute of it."""
        if self.active_ms < 60_000:
            return None
        return ((self.earned + self.accrued) * HOUR_MS / self.active_ms).quantize(Decimal("0.01"))

    @property
    def below_floor(self) -> bool:
        return self.rate is not None and self.rate < self.floor


def _money(micros: int) -> Decimal:
    return Decimal(micros) / MICROS


def pay_of(annotator: Annotator) -> Pay:
    """One person's sums; `annotator.project` is loaded."""
    sums = pay.totals(annotator)
    ahead = pay.accrued(annotator)
    owed = Wage.objects.filter(annotator=annotator).values_list("owed_micros", flat=True).first() or 0
    return Pay(
        annotator=annotator,
        items=sums["items"] + ahead.items,
        active_ms=sums["active_ms"] + ahead.active_ms,
        earned=_money(sums["earned"]),
        accrued=_money(ahead.micros),
        paid=_money(sums["paid"]),
        owed=_money(owed),
        bonus=_money(sums["bonus"]),
        floor=rules.of(annotator.project).pay.floor_per_hour,
    )


def everybody(project: Project) -> Iterator[Pay]:
    """Everybody who works here or was paid here, by name."""
    people = Annotator.objects.filter(project=project, kind=Annotator.Kind.HUMAN)
    people = people.filter(Q(user__isnull=False, n_judged__gt=0) | Q(wage__isnull=False)).distinct()
    for annotator in people.select_related("project").order_by("name", "pk").iterator(200):
        yield pay_of(annotator)


def lines_of(annotator: Annotator) -> list[PayLine]:
    """The lines of a statement, newest first; at most 500."""
    return list(PayLine.objects.filter(annotator=annotator).order_by("-pk")[:PEOPLE_SHOWN])


def statement_rows(annotator: Annotator) -> Iterator[list]:
    """The rows of a statement's CSV, oldest first, ending with what is not reckoned yet."""
    for line in PayLine.objects.filter(annotator=annotator).order_by("pk").iterator(500):
        yield [
            line.created_at.isoformat(), line.kind, line.items, line.active_ms, line.unit, line.rate,
            _money(line.earned_micros), _money(line.paid_micros), line.note,
        ]  # fmt: skip
    ahead: Earned = pay.accrued(annotator)
    if ahead.micros or ahead.items:
        yield ["", "not reckoned yet", ahead.items, ahead.active_ms, "", "", _money(ahead.micros), "", ""]
