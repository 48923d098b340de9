"""Choosing what the queue asks, and the project's settings: the checked acts behind the pages."""

from __future__ import annotations

from decimal import Decimal

from django.db import transaction
from django.utils import timezone

from app.accounts import audit
from app.accounts.models import User
from app.ledger import ledger
from app.ledger.models import Account

from . import schemas, setup
from .models import Guideline, Project, TaskSchema

SETTINGS = ["name", "description", "overlap", "lease_minutes", "edit_minutes", "status", "human_cost"]


@transaction.atomic
def add_version(*, project: Project, definition: dict, actor: User) -> TaskSchema:
    """Add a schema version and log it. Raises pydantic.ValidationError; see `schemas.add_schema`."""
    before = TaskSchema.objects.filter(project=project).count()
    schema = schemas.add_schema(project=project, definition=definition, actor=actor)
    if TaskSchema.objects.filter(project=project).count() > before:
        audit.record(actor=actor, action="schema.added", scope=project.slug, target=schema.label)
    return schema


@transaction.atomic
def ask_version(*, project: Project, schema: TaskSchema, actor: User) -> Project:
    """Make the queue ask this version from now on, and log it."""
    before = project.schema.label if project.schema else ""
    schemas.use_schema(project=project, schema=schema)
    audit.record(actor=actor, action="schema.used", scope=project.slug, target=schema.label, before=before)
    return project


@transaction.atomic
def write_guidelines(*, project: Project, text: str, actor: User) -> Guideline:
    """Add a version of the guidelines and log it; the text of the latest version adds nothing."""
    latest = Guideline.objects.filter(project=project).order_by("-number").first()
    guideline = setup.add_guideline(project=project, text=text, actor=actor)
    if latest is None or guideline.pk != latest.pk:
        audit.record(
            actor=actor, action="guideline.added", scope=project.slug, target=f"version {guideline.number}"
        )
    return guideline


@transaction.atomic
def change_settings(*, project: Project, values: dict, cap: Decimal | None, actor: User) -> list[str]:
    """Write the project's settings and its budget cap; returns the names of what changed.

    Raises ledger.BudgetExceeded for a cap below what is spent and held; nothing is written then.
    """
    changed = [name for name in SETTINGS if getattr(project, name) != values[name]]
    before = {name: str(getattr(project, name)) for name in changed}
    for name in changed:
        setattr(project, name, values[name])
    if changed:
        if "status" in changed:
            project.archived_at = timezone.now() if project.status == Project.Status.ARCHIVED else None
        project.save(update_fields=[*changed, "archived_at"])
    if cap is not None and project.account_id is not None:
        account = Account.objects.get(pk=project.account_id)
        if account.cap != cap:
            before["cap"] = str(account.cap)
            ledger.set_cap(account=account, cap=cap)
            changed = [*changed, "cap"]
    if changed:
        audit.record(
            actor=actor,
            action="project.settings_changed",
            scope=project.slug,
            target=project.name,
            changed=", ".join(changed),
            before=", ".join(f"{name}: {value[:80]}" for name, value in before.items()),
        )
    return changed
