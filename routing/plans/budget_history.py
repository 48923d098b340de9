"""What was done to a project's budget, in words: the audit log's entries as the budget page tells them."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

from annotations.analysis.figures import counted
from app.accounts.models import AuditEvent
from app.web.shares import percent

RULES = {
    "alerts": "Warnings",
    "mail": "E-mail at warnings",
    "plans_by": "Who may put plans in force",
    "runs_by": "Who may start models",
    "gpu_hour": "Price of a GPU hour",
    "people": "Most items a plan sends to people",
    "experts": "Most items a plan sends to experts",
    "models": "Most items a model judges",
}


def _count(n: int | None, none: str = "no limit") -> str:
    return none if n is None else f"{n:,}"


def _money(event: AuditEvent) -> str:
    before, after = (f"{Decimal(event.detail[key]):,.2f}" for key in ("before", "after"))
    return f"Cap of money: {before} → {after} {event.detail['currency']}"


def _labels(event: AuditEvent) -> str:
    before, after = (_count(event.detail[key], "no cap") for key in ("before", "after"))
    return f"Cap of human labels: {before} → {after}"


def _rule(name: str, value: Any) -> str:
    if name == "alerts":
        return ", ".join(map(percent, value)) or "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if name in ("plans_by", "runs_by"):
        return "owners" if value == "owner" else "researchers and owners"
    if isinstance(value, dict):
        return counted(len(value), "limit") if value else "no limit"
    return _count(value) if name == "people" else str(value)


def _rules(event: AuditEvent) -> str:
    before, after = event.detail["before"], event.detail["after"]
    names = [*filter(after.__contains__, RULES), *(name for name in after if name not in RULES)]
    return "; ".join(
        f"{RULES.get(name, name)}: {_rule(name, before[name])} → {_rule(name, after[name])}" for name in names
    )


def _plan(event: AuditEvent) -> str:
    items, judgments = event.detail.get("items") or 0, event.detail.get("judgments") or 0
    return (
        f"{event.target.capitalize()} put in force: {counted(items, 'item')} routed, "
        f"{counted(judgments, 'judgment')} left to people"
    )


def _run(event: AuditEvent) -> str:
    most = []
    if limit := event.detail.get("limit"):
        most.append(f"at most {counted(limit, 'item')}")
    if cap := event.detail.get("cap"):
        most.append(f"at most {Decimal(cap):,.2f}")
    return f"{event.target} started" + (f": {', '.join(most)}" if most else "")


WORDS: dict[str, Callable[[AuditEvent], str]] = {
    "budget.money_changed": _money,
    "budget.labels_changed": _labels,
    "budget.rules_changed": _rules,
    "plan.applied": _plan,
    "lm_run.started": _run,
}


def changes_of(scope: str, most: int) -> list[tuple[str, AuditEvent]]:
    """(what happened, the audit log's entry) of the latest changes to the project with this slug, the newest first."""
    found = (
        AuditEvent.objects.filter(scope=scope, action__in=WORDS)
        .select_related("actor")
        .order_by("-pk")[:most]
    )
    return [(WORDS[event.action](event), event) for event in found]
