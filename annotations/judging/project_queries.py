"""The list of projects a person sees, with how far each is."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.db.models import Count

from annotations.projects.access import projects_of
from annotations.projects.models import Membership, Project

from .progress import Progress, progress_of, with_last_judged

SHOWN = 200


@dataclass(frozen=True, slots=True)
class Card:
    """One project in the list; `role` is the person's own, or `site admin`."""

    project: Project
    role: str
    people: int
    progress: Progress
    active_at: datetime


def projects_for(user) -> list[Card]:
    """The person's projects (all for site admins), those with the latest activity first, archived ones last."""
    roles = dict(Membership.objects.filter(user=user).values_list("project_id", "role"))
    projects = list(with_last_judged(projects_of(user)).order_by("-pk")[:SHOWN])
    people = dict(
        Membership.objects.filter(project__in=projects)
        .order_by()
        .values_list("project_id")
        .annotate(n=Count("pk"))
    )
    judging = [project for project in projects if roles.get(project.pk) != Membership.Role.ANNOTATOR]
    progress = progress_of(judging)
    cards = [
        Card(
            project,
            roles.get(project.pk, "site admin"),
            people.get(project.pk, 0),
            progress.get(project.pk, Progress()),
            project.last_judged_at or project.created_at,
        )
        for project in projects
    ]
    cards.sort(key=lambda card: card.active_at, reverse=True)
    cards.sort(key=lambda card: card.project.status == Project.Status.ARCHIVED)
    return cards
