"""Changing a project's budget: caps, warnings, who commits money, what each queue takes. Every change is logged."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from annotations.judging import label_cap
from annotations.projects import rules
from annotations.projects.models import Project
from app.accounts import audit
from app.accounts.models import User
from app.ledger import ledger
from app.ledger.models import Account


class Refused(ValueError):
    """A change that cannot be; `field` names the value at fault. Nothing of it was written."""

    def __init__(self, field: str, message: str):
        super().__init__(message)
        self.field = field


@dataclass(frozen=True)
class Changes:
    """What to set. `money` None: leave it; `labels` None: no cap of labels, `keep_labels`: leave it."""

    rules: rules.Budget
    money: Decimal | None = None
    labels: int | None = None
    keep_labels: bool = False


def change_budget(*, project: Project, changes: Changes, actor: User) -> list[str]:
    """Set caps and rules; returns the names of what changed. Raises Refused for a cap below what is used.

    Each cap changes in a transaction of its own, the money first: what a refused cap follows is written, and named in
    the audit log.
    """
    changed = []
    if changes.money is not None:
        changed += _money(project, changes.money, actor)
    if not changes.keep_labels:
        before = label_cap.of(project)
        try:
            after = label_cap.set_cap(project=project, cap=changes.labels, actor=actor)
        except label_cap.TooLow as error:
            raise Refused("labels", str(error)) from None
        if (before and before.cap) != (after and after.cap):
            changed.append("labels")
    old = rules.of(project).budget
    if changes.rules != old:
        rules.change(project=project, budget=changes.rules)
        before, after = old.model_dump(mode="json"), changes.rules.model_dump(mode="json")
        names = [name for name in after if after[name] != before[name]]
        audit.record(
            actor=actor,
            action="budget.rules_changed",
            scope=project.slug,
            target=project.name,
            before={name: before[name] for name in names},
            after={name: after[name] for name in names},
        )
        changed += names
    return changed


def _money(project: Project, cap: Decimal, actor: User) -> list[str]:
    account = Account.objects.filter(pk=project.account_id).first()
    if account is None:
        raise Refused("money", "This project has no account to cap.")
    before = account.cap
    if cap == before:
        return []
    try:
        ledger.set_cap(account=account, cap=cap)
    except ledger.BudgetExceeded:
        used = account.spent + account.held
        raise Refused(
            "money", f"{used:.2f} {account.currency} are spent or held: give at least that."
        ) from None
    audit.record(
        actor=actor,
        action="budget.money_changed",
        scope=project.slug,
        target=project.name,
        before=str(before),
        after=str(cap),
        currency=account.currency,
    )
    return ["money"]
