"""How much one person may judge: in all, and a day. A limit never takes away what is held already."""

from __future__ import annotations

from dataclasses import dataclass

from django.db.models import Q
from django.utils import timezone
from django.utils.translation import ngettext

from annotations.projects import rules
from annotations.projects.models import Annotator
from app.web.numbers import grouped

from . import gates
from .counters import ANSWERS
from .models import Judgment


@dataclass(frozen=True, slots=True)
class Limit:
    """The limit a person has reached: `per_day` (until midnight UTC) or `per_person`."""

    kind: str
    allowed: int

    @property
    def sentence(self) -> str:
        if self.kind == "per_day":
            return ngettext(
                "You have judged {n} item today, the most this project takes in a day.",
                "You have judged {n} items today, the most this project takes in a day.",
                self.allowed,
            ).format(n=grouped(self.allowed))
        return ngettext(
            "You have judged {n} item, the most this project takes from one person.",
            "You have judged {n} items, the most this project takes from one person.",
            self.allowed,
        ).format(n=grouped(self.allowed))


def reached(annotator: Annotator) -> Limit | None:
    """The limit that keeps this person from another item; costs nothing where the project has no rules."""
    if not annotator.project.rules:
        return None
    limits = rules.of(annotator.project).limits
    if limits.per_person is not None and annotator.n_judged >= limits.per_person:
        return Limit("per_person", limits.per_person)
    if limits.per_day is not None and judged_today(annotator) >= limits.per_day:
        return Limit("per_day", limits.per_day)
    return None


def judged_today(annotator: Annotator) -> int:
    """Current judgments with an answer that the person gave here since midnight UTC; files may bring more."""
    midnight = timezone.now().replace(hour=0, minute=0, second=0, microsecond=0)
    today = Judgment.objects.filter(annotator=annotator, outcome__in=ANSWERS, created_at__gte=midnight)
    latest = Q(is_current=True)
    if gates.has_gates(annotator.project):
        latest |= Q(aside__in=gates.HIDDEN, superseded_by=None)  # a count that stands still would show a gate
    return today.filter(latest).exclude(origin=Judgment.Origin.IMPORT).count()
