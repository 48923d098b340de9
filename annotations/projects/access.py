"""Who may do what in a project: one guard per noun, outsiders get 404."""

from __future__ import annotations

from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest

from app.web.prepared import Prepared

from .models import Annotator, Membership, Project

ORDER = [
    Membership.Role.ANNOTATOR,
    Membership.Role.REVIEWER,
    Membership.Role.RESEARCHER,
    Membership.Role.OWNER,
]
RANK = {role: place for place, role in enumerate(ORDER)}


def role_in(user, project: Project) -> str | None:
    """The person's role in the project, `owner` for site admins, None for outsiders."""
    if not user.is_authenticated:
        return None
    if user.is_staff:
        return Membership.Role.OWNER
    return Membership.objects.filter(project=project, user=user).values_list("role", flat=True).first()


def project_for(request: HttpRequest, slug: str, *, at_least: str = Membership.Role.RESEARCHER) -> Project:
    """The project with this slug, with `project.role` set, for a member whose role is `at_least` this.

    Raises Http404 for outsiders and unknown slugs, PermissionDenied (403) for members below the role.
    """

    project = Project.objects.filter(slug=slug).first()
    role = role_in(request.user, project) if project else None
    if role is None:
        raise Http404("No such project.")
    if RANK[role] < RANK[at_least]:
        raise PermissionDenied(f"This page needs the role {at_least}; yours is {role}.")
    project.role = role
    return project


def require(project: Project, at_least: str, what: str) -> None:
    """Raise PermissionDenied (403) unless the member's role is `at_least` this; `what` says what for.

    For what a project's own rules keep to owners, such as committing money. `project.role` is set.
    """
    if RANK[project.role] < RANK[at_least]:
        raise PermissionDenied(f"{what} is kept to {at_least}s in this project; your role is {project.role}.")


def projects_of(user):
    """Projects the person is a member of; all of them for site admins."""
    if user.is_staff:
        return Project.objects.all()
    return Project.objects.filter(memberships__user=user)


_MEMBERS_ANNOTATOR = Prepared(
    lambda slug, user: Annotator.objects.select_related("project").filter(
        project__slug=slug,
        project__deleted_at=None,
        user_id=user,
        project__memberships__user_id=user,
    )[:1],
    slug=str,
)


def only_judges(user) -> bool:
    """Whether the person belongs to projects and is an annotator in each: there is nothing for them to run."""
    if user.is_staff:
        return False
    roles = Membership.objects.filter(user=user, project__deleted_at=None).order_by()
    return set(roles.values_list("role", flat=True).distinct()) == {Membership.Role.ANNOTATOR}


def annotator_for(user, slug: str) -> Annotator:
    """The person's Annotator in the project (with `.project` loaded), made at the first visit.

    Raises Http404 for people who are not members.
    """
    known = _MEMBERS_ANNOTATOR.first(slug=slug, user=user.pk)
    if known is not None:
        return known
    memberships = Membership.objects.select_related("project")
    membership = memberships.filter(project__slug=slug, project__deleted_at=None, user=user).first()
    if membership is None:
        raise Http404("No such project.")
    return reviewer_for(user, membership.project)


def reviewer_for(user, project: Project) -> Annotator:
    """The person's Annotator in the project, made if there is none; the caller has checked their role."""
    annotator, _ = Annotator.objects.get_or_create(
        project=project,
        user=user,
        defaults={"kind": Annotator.Kind.HUMAN, "name": _free_name(project, user.username)},
    )
    return annotator


def _free_name(project: Project, wish: str) -> str:
    taken = set(
        Annotator.objects.filter(
            project=project, kind=Annotator.Kind.HUMAN, name__startswith=wish
        ).values_list("name", flat=True)
    )
    name, number = wish, 1
    while name in taken:
        number += 1
        name = f"{wish} ({number})"
    return name


def job_scopes(user) -> list[str]:
    """Slugs of the projects whose jobs the person may see: all but those where they only annotate."""
    return list(
        Membership.objects.filter(user=user, project__deleted_at=None)
        .exclude(role=Membership.Role.ANNOTATOR)
        .values_list("project__slug", flat=True)
    )
