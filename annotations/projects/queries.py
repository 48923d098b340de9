"""What the pages of a project read: its people, invitations, versions."""

from __future__ import annotations

from dataclasses import dataclass

from django.db.models import Count, Q
from django.utils import timezone

from .models import Annotator, Guideline, Invitation, Membership, Project, TaskSchema

PEOPLE_SHOWN = 500


@dataclass(frozen=True, slots=True)
class Member:
    """A membership with the person's annotator, if they have judged or opened the judging page."""

    membership: Membership
    annotator: Annotator | None


def members_of(project: Project) -> list[Member]:
    """The project's members, owners first, each with their annotator."""
    rows = list(
        Membership.objects.filter(project=project).select_related("user").order_by("created_at", "pk")
    )
    annotators = {row.user_id: row for row in Annotator.objects.filter(project=project, user__isnull=False)}
    place = {role: number for number, role in enumerate(Membership.Role.values)}
    rows.sort(key=lambda row: place[row.role])
    return [Member(row, annotators.get(row.user_id)) for row in rows]


def annotators_without_members(project: Project) -> list[Annotator]:
    """People whose judgments came from files, and people who left; the busiest first, at most 500."""
    present = Membership.objects.filter(project=project).values("user_id")
    return list(
        Annotator.objects.filter(project=project, kind=Annotator.Kind.HUMAN)
        .filter(Q(user__isnull=True) | ~Q(user_id__in=present))
        .order_by("-n_judged", "name")[:PEOPLE_SHOWN]
    )


def count_annotators_without_members(project: Project) -> int:
    present = Membership.objects.filter(project=project).values("user_id")
    return (
        Annotator.objects.filter(project=project, kind=Annotator.Kind.HUMAN)
        .filter(Q(user__isnull=True) | ~Q(user_id__in=present))
        .count()
    )


def open_invitations(project: Project) -> list[Invitation]:
    """Invitations that still work, newest first."""
    return list(
        Invitation.objects.filter(
            project=project, revoked_at__isnull=True, uses_left__gt=0, expires_at__gt=timezone.now()
        )
        .select_related("created_by")
        .order_by("-pk")[:PEOPLE_SHOWN]
    )


def schema_versions(project: Project) -> list[TaskSchema]:
    """The versions of the task schema, newest first."""
    return list(
        TaskSchema.objects.filter(project=project).select_related("created_by").order_by("-number")[:200]
    )


def guideline_versions(project: Project) -> list[Guideline]:
    """The versions of the guidelines, newest first, each with `n_read`: how many annotators acknowledged it."""
    return list(
        Guideline.objects.filter(project=project)
        .select_related("created_by")
        .annotate(n_read=Count("acknowledgements"))
        .order_by("-number")[:200]
    )
