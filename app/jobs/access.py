"""Who may see and steer a job: site admins, and who may see the project it works for; its maker, if it works for none."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from django.db.models import Q
from django.http import Http404

from .models import Job

_scope_readers: list[Callable[[object], Iterable[str]]] = []


def register_scopes(reader: Callable[[object], Iterable[str]]) -> None:
    """Let the room that knows projects say which slugs a person may see the jobs of.

    Jobs stand on the ground floor and know a project only as an opaque scope.
    """
    if reader not in _scope_readers:
        _scope_readers.append(reader)


def scopes_of(user) -> set[str]:
    """Slugs of the projects whose jobs and acts this person may see."""
    return {scope for reader in _scope_readers for scope in reader(user)}


def visible_jobs(user):
    """The jobs this person may see: all for site admins, else those of their projects, and their own that belong to none.

    Who made a job of a project and left it, or only judges there now, sees it no more: it names models and can be tried again.
    """
    if not user.is_authenticated:
        return Job.objects.none()
    if user.is_staff:
        return Job.objects.all()
    return Job.objects.filter(Q(created_by=user, scope="") | Q(scope__in=scopes_of(user)))


def job_for(user, pk) -> Job:
    """The job, for somebody who may see it. Raises Http404 for everybody else."""
    job = visible_jobs(user).select_related("created_by").filter(pk=pk).first()
    if job is None:
        raise Http404("No such job.")
    return job
