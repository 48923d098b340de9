"""Mappings of a table's columns to roles, kept under a name so that the next file of the same kind needs none."""

from __future__ import annotations

from collections.abc import Iterable

from django.db import transaction
from django.db.models import Case, QuerySet, Value, When

from annotations.projects.models import Membership, Project
from app.accounts import audit

from .models import SavedMapping
from .readers.tables import ROLE

MAX_COLUMNS = 500
MAX_NAME = 120
RESEARCHERS = (Membership.Role.RESEARCHER, Membership.Role.OWNER)


class BadMapping(ValueError):
    """A name or a mapping that cannot be kept; the text says why."""


def save_mapping(*, project: Project, name: str, columns: dict[str, str], actor) -> tuple[SavedMapping, bool]:
    """Keep {column: role} under the name, in place of what had it; returns it, and whether the name is new.

    Raises BadMapping.
    """
    name = name.strip()
    if not name or len(name) > MAX_NAME:
        raise BadMapping(f"expected a name of at most {MAX_NAME} characters")
    if not columns or len(columns) > MAX_COLUMNS:
        raise BadMapping(f"expected 1 to {MAX_COLUMNS} columns")
    for column, role in columns.items():
        if not ROLE.fullmatch(role or "ignore"):
            raise BadMapping(f"expected a role for column {column[:80]!r}, found {role[:80]!r}")
    with transaction.atomic():
        saved, made = SavedMapping.objects.update_or_create(
            project=project, name=name, defaults={"columns": columns, "saved_by": actor}
        )
        audit.record(actor=actor, action="mapping.saved", scope=project.slug, target=name)
    return saved, made


def delete_mapping(*, saved: SavedMapping, actor) -> None:
    """Forget a mapping; imports that used it keep what they were told."""
    with transaction.atomic():
        audit.record(actor=actor, action="mapping.deleted", scope=saved.project.slug, target=saved.name)
        saved.delete()


def offered_to(user, project: Project | None) -> QuerySet[SavedMapping]:
    """What the person may choose: mappings of the project, then those of others where they are researchers."""
    rows = SavedMapping.objects.filter(project__deleted_at=None).select_related("project")
    if not user.is_staff:
        rows = rows.filter(project__memberships__user=user, project__memberships__role__in=RESEARCHERS)
    others = Case(When(project=project, then=0), default=1) if project is not None else Value(0)
    return rows.order_by(others, "project__name", "name", "pk")


def fitted(saved: SavedMapping, columns: Iterable[str]) -> dict[str, str]:
    """The mapping for a file with these columns; columns it does not know stay out of it."""
    return {column: saved.columns[column] for column in columns if column in saved.columns}
