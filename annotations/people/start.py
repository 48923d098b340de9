"""The start page of people who judge: what is left, what it brought, and why something is stopped."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from django.utils.translation import gettext, gettext_lazy

from annotations.judging import limits, nothing_left, pages
from annotations.judging.limits import judged_today
from annotations.projects import access
from annotations.projects.models import Annotator, Membership, Project
from app.accounts.models import User
from app.ledger.models import Account

from . import pay, places, wages
from .models import Place

STOPPED = {
    "paused": (gettext_lazy("Paused"), gettext_lazy("Nothing new is given out at the moment.")),
    "person_paused": (gettext_lazy("Paused for you"), gettext_lazy("Ask the people who run the project.")),
    "not_qualified": (
        gettext_lazy("Not qualified"),
        gettext_lazy("You did not pass the test of this project."),
    ),
    "budget": (
        gettext_lazy("No money left"),
        gettext_lazy("The budget does not cover further work at the moment."),
    ),
}


@dataclass(frozen=True, slots=True)
class Row:
    """One project of a person. `stopped` is (a word, why) where no item is given out, `nothing` why none is left."""

    project: Project
    annotator: Annotator
    role: str
    manages: bool
    any_left: bool
    left: str
    nothing: str
    today: int
    total: int
    stopped: tuple[str, str] | None
    place: Place | None
    pay: wages.Pay | None
    currency: str

    @property
    def money(self) -> Decimal:
        """Earned so far, what is not reckoned yet included."""
        return self.pay.in_all if self.pay else Decimal(0)

    @property
    def may_judge(self) -> bool:
        return self.any_left and self.stopped is None and (self.place is None or self.place.state == "active")


def rows_of(user: User) -> list[Row]:
    """The person's projects by name; archived ones and those they were taken out of are left out."""
    memberships = (
        Membership.objects.filter(user=user, project__deleted_at=None)
        .exclude(project__status=Project.Status.ARCHIVED)
        .select_related("project")
        .order_by("project__name", "pk")
    )
    mine = {a.project_id: a for a in Annotator.objects.filter(user=user).select_related("project")}
    rows = []
    for membership in memberships:
        annotator = mine.get(membership.project_id)
        if annotator is None:
            annotator = access.annotator_for(user, membership.project.slug)
        if annotator.status != Annotator.Status.REMOVED:
            rows.append(_row(membership, annotator))
    return rows


def _row(membership: Membership, annotator: Annotator) -> Row:
    project = annotator.project
    tariff = pay.tariff_of(project)
    account = Account.objects.filter(pk=project.account_id).first() if tariff else None
    paid = wages.pay_of(annotator) if tariff or annotator.pay_lines.exists() else None
    left = pages.left_for(annotator)
    return Row(
        project=project,
        annotator=annotator,
        role=membership.get_role_display(),
        manages=access.RANK[membership.role] >= access.RANK[Membership.Role.REVIEWER],
        any_left=left > 0,
        left=pages.left_words(annotator, left),
        nothing="" if left else str(nothing_left.reason(annotator).title),
        today=judged_today(annotator),
        total=pages.judged_in_all(annotator),
        stopped=_stopped(annotator, account, tariff, paid),
        place=places.latest(annotator) if project.rules else None,
        pay=paid,
        currency=account.currency if account else "",
    )


def _stopped(annotator: Annotator, account: Account | None, tariff, paid) -> tuple[str, str] | None:
    found = pages.why_stopped(annotator)
    if found:
        word, why = STOPPED.get(found["state"], STOPPED["paused"])
        return word, found.get("message") or why
    if limit := limits.reached(annotator):
        word = gettext("That is all for today") if limit.kind == "per_day" else gettext("Your part is done")
        return word, limit.sentence
    if tariff and account and account.left * 1_000_000 < tariff.most_micros:
        wage = getattr(annotator, "wage", None)
        if wage is None or wage.hold_id is None:
            return STOPPED["budget"]
    return None
