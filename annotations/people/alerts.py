"""Warnings as a project's budget runs low: which thresholds are passed now, and who is told once.

Pages reckon the state anew (`warnings_of`); a periodic task writes each passing down once per cap and e-mails the
owners, if the project's rules say so and the site can send mail.
"""

from __future__ import annotations

from dataclasses import dataclass
from smtplib import SMTPException

import structlog
from django.core.mail import EmailMessage
from django.db import IntegrityError, transaction

from annotations.judging import label_cap
from annotations.projects import rules
from annotations.projects.models import Membership, Project
from app.ledger.models import Account
from app.web.shares import percent

from .models import BudgetAlert

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Use:
    """How much of one cap is used: `used` and `cap` in millionths of the currency, or in labels."""

    what: str
    used: int
    cap: int
    words: str
    """`81.20 of 100.00 EUR are spent or held`, `480 of 500 human labels are given or held`."""

    @property
    def share(self) -> float:
        return self.used / self.cap if self.cap else 1.0


@dataclass(frozen=True, slots=True)
class Warned:
    """The highest threshold that a cap's use has passed."""

    use: Use
    threshold: float

    @property
    def is_out(self) -> bool:
        return self.use.used >= self.use.cap

    @property
    def sentence(self) -> str:
        if self.is_out:
            return f"The budget is used up: {self.use.words}."
        return f"{percent(self.use.share)} of the budget is used: {self.use.words}."


def uses_of(project: Project, account: Account | None = None) -> list[Use]:
    """The project's caps, money first; none where nothing is capped."""
    found = []
    account = account or Account.objects.filter(pk=project.account_id).first()
    if account is not None and account.cap_micros:
        used = account.spent_micros + account.held_micros
        words = f"{account.used:,.2f} of {account.cap:,.2f} {account.currency}"
        found.append(
            Use(BudgetAlert.What.MONEY.value, used, account.cap_micros, f"{words} are spent or held")
        )
    cap = label_cap.of(project) if project.counts_labels else None
    if cap is not None:
        words = f"{cap.used:,} of {cap.cap:,} human labels are given or held"
        found.append(Use(BudgetAlert.What.LABELS.value, cap.used, cap.cap, words))
    return found


def warnings_of(project: Project, account: Account | None = None) -> list[Warned]:
    """The highest threshold passed of each cap; nothing where none is."""
    alerts = rules.of(project).budget.alerts
    found = []
    for use in uses_of(project, account):
        passed = [level for level in alerts if use.share >= level]
        if passed or use.used >= use.cap:
            found.append(Warned(use, max(passed, default=1.0)))
    return found


def raise_alerts(project: Project) -> list[BudgetAlert]:
    """Write down the thresholds passed since the last look, and tell the owners; returns the new ones.

    Only the highest threshold of a cap is told where several were passed at once.
    """
    new = []
    for warned in warnings_of(project):
        try:
            with transaction.atomic():
                alert = BudgetAlert.objects.create(
                    project=project, what=warned.use.what, threshold=warned.threshold, cap=warned.use.cap
                )
        except IntegrityError:
            continue
        if rules.of(project).budget.mail:
            alert.mailed = _tell(project, warned)
            alert.save(update_fields=["mailed"])
        new.append(alert)
    return new


def raise_all() -> int:
    """The periodic job over every project that is not archived; returns how many alerts are new."""
    projects = Project.objects.exclude(status=Project.Status.ARCHIVED).order_by("pk")
    return sum(len(raise_alerts(project)) for project in projects.iterator(chunk_size=200))


def _tell(project: Project, warned: Warned) -> int:
    """E-mail the owners; returns to how many it went. A mail that cannot be sent is no failure: the pages say it."""
    owners = Membership.objects.filter(project=project, role=Membership.Role.OWNER, user__is_active=True)
    sent = 0
    name = " ".join(project.name.split())
    for address in owners.exclude(user__email="").values_list("user__email", flat=True):
        try:
            sent += EmailMessage(
                subject=f"Budget of {name}: {percent(warned.use.share)} used"[:200],
                body=f"{warned.sentence}\n\nProject: {name}\nNothing is spent beyond a cap. Owners change caps and "
                "thresholds on the project's page Budget.\n",
                to=[address],
            ).send()
        except (SMTPException, OSError, ValueError) as error:
            log.warning("budget_alert.not_sent", project=project.slug, error=str(error))
    return sent
