"""The end of a project: deleted at once, brought back within 30 days, then gone with everything it holds.

Deleting hides a project from every page, command and sweep (`Project.objects`) and stops its work; nothing is lost
yet. `purge` then deletes rows and files for good. It finds the rows by the models' own foreign keys, so that a new
table needs no line here; rooms that keep files register what removes them.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from functools import lru_cache
from graphlib import CycleError, TopologicalSorter

from django.apps import apps
from django.db import models, transaction
from django.db.models import Q
from django.utils import timezone

from app.accounts import audit
from app.accounts.models import User
from app.jobs import runner
from app.jobs.models import Job
from app.webhooks.models import Webhook

from .models import Membership, Project

UNDO = timedelta(days=30)
AT_ONCE = 500
Progress = Callable[[str, int], None]
_file_removers: list[Callable[[Project], None]] = []


class StillLive(ValueError):
    """Only a project that is deleted, and whose time for an undo is over, can be purged."""


def remove_files_with(remove: Callable[[Project], None]) -> Callable[[Project], None]:
    """Register what removes a room's files of a project; it is called before the rows go, and again after a crash."""
    if remove not in _file_removers:
        _file_removers.append(remove)
    return remove


def gone_at(project: Project) -> datetime:
    """When a deleted project goes for good."""
    return project.deleted_at + UNDO


def deleted_projects(user: User) -> models.QuerySet[Project]:
    """Deleted projects the person may bring back: those they own; all of them for site admins. Latest first."""
    rows = Project.everything.exclude(deleted_at=None).order_by("-deleted_at", "-pk")
    if user.is_staff:
        return rows
    return rows.filter(memberships__user=user, memberships__role=Membership.Role.OWNER)


def delete_project(*, project: Project, actor: User) -> Project:
    """Hide the project from everybody, archive it, and stop its jobs; it can be brought back for 30 days."""
    with transaction.atomic():
        project = Project.objects.select_for_update().get(pk=project.pk)
        project.deleted_at = timezone.now()
        project.archived_at = project.archived_at or project.deleted_at
        project.status = Project.Status.ARCHIVED
        project.save(update_fields=["deleted_at", "archived_at", "status"])
        audit.record(actor=actor, action="project.deleted", scope=project.slug, target=project.name)
    for job in Job.objects.filter(scope=project.slug, state__in=[Job.State.QUEUED, Job.State.RUNNING]):
        runner.cancel(job)
    return project


@transaction.atomic
def restore_project(*, project: Project, actor: User) -> Project:
    """Bring a deleted project back, archived: nobody is given an item until somebody says so."""
    project = Project.everything.select_for_update().get(pk=project.pk)
    if project.deleted_at is not None:
        project.deleted_at = None
        project.save(update_fields=["deleted_at"])
        audit.record(actor=actor, action="project.restored", scope=project.slug, target=project.name)
    return project


def due(now: datetime | None = None) -> models.QuerySet[Project]:
    """Deleted projects whose time for an undo is over."""
    return Project.everything.filter(deleted_at__lte=(now or timezone.now()) - UNDO).order_by("pk")


def start_purges() -> int:
    """Start the purge of every project that is due and has none under way; returns how many."""
    started = 0
    for project in due():
        live = Job.objects.filter(kind="projects.purge", args__project_id=project.pk).filter(
            state__in=[Job.State.QUEUED, Job.State.RUNNING]
        )
        if not live.exists():
            args = {"project_id": project.pk}
            runner.start(kind="projects.purge", title=f"Delete {project.slug} for good", args=args)
            started += 1
    return started


def purge(*, project: Project, progress: Progress | None = None, now: datetime | None = None) -> int:
    """Delete the project with all its rows, files and jobs; returns how many rows. Raises StillLive.

    Idempotent: after a crash it goes on where it stopped, and the project's own row goes last. The audit log and
    the account's books stay.
    """
    if project.deleted_at is None or gone_at(project) > (now or timezone.now()):
        raise StillLive(f"{project.slug} is not due to be deleted for good.")
    for remove in _file_removers:
        remove(project)
    Project.everything.filter(pk=project.pk).update(schema=None)
    done = 0
    owned, loose = _owned()
    for model, where, field in loose:
        rows = model._base_manager.filter(where(project.pk))
        rows.exclude(**{field: None}).update(**{field: None})
    for model, where in owned:
        done += _delete(
            model, where(project.pk), lambda n, name=model._meta.label: progress and progress(name, n)
        )
    with transaction.atomic():
        Job.objects.filter(scope=project.slug).delete()
        Webhook.objects.filter(scope=project.slug).delete()
        Project.everything.filter(pk=project.pk).delete()
        audit.record(actor=None, action="project.purged", scope=project.slug, target=project.name, rows=done)
    return done + 1


def _delete(model: type[models.Model], where: Q, progress: Callable[[int], object]) -> int:
    rows = model._base_manager.filter(where)
    for field in _self_references(model):
        rows.exclude(**{field.name: None}).update(**{field.name: None})
    done = 0
    while True:
        ids = list(rows.order_by("-pk").values_list("pk", flat=True)[:AT_ONCE])
        if not ids:
            return done
        with transaction.atomic():
            batch = model._base_manager.filter(pk__in=ids)
            batch._raw_delete(batch.db)
        done += len(ids)
        progress(done)


def _foreign_keys(model: type[models.Model]) -> list[models.ForeignKey]:
    return [field for field in model._meta.concrete_fields if isinstance(field, models.ForeignKey)]


def _self_references(model: type[models.Model]) -> list[models.ForeignKey]:
    return [field for field in _foreign_keys(model) if field.related_model is model]


@lru_cache(maxsize=1)
def _owned() -> tuple[list[tuple], list[tuple]]:
    """Every model whose rows belong to a project, dependents first, with the filter that finds them by the
    project's key: [(model, filter)]; and what must be emptied before, where models point at one another:
    [(model, filter, field)].

    A row belongs to the project that its foreign keys lead to. A key that may be empty counts only where no other
    leads there; then all of those are followed.
    """
    every = [m for m in apps.get_models(include_auto_created=True) if m._meta.managed and not m._meta.proxy]
    paths: dict[type[models.Model], list[str]] = {Project: [""]}
    for optional in (False, True):
        changed = True
        while changed:
            changed = False
            for model in every:
                if model in paths:
                    continue
                keys = [f for f in _foreign_keys(model) if f.related_model in paths and f.null == optional]
                keys = keys if optional else keys[:1]
                found = [
                    f"{f.name}__{path}".removesuffix("__") for f in keys for path in paths[f.related_model]
                ]
                if found:
                    paths[model], changed = found, True
    paths.pop(Project)
    graph: dict[type[models.Model], set] = {model: set() for model in paths}
    for other in paths:
        for field in _foreign_keys(other):
            if field.related_model in paths and field.related_model is not other:
                graph[field.related_model].add(other)
    loose: list[tuple[type[models.Model], str]] = []
    while True:
        try:
            order = list(TopologicalSorter(graph).static_order())
            break
        except CycleError as error:
            ring = set(error.args[1])
            found = [
                (model, field)
                for model in ring
                for field in _foreign_keys(model)
                if field.null
                and field.related_model in ring
                and model in graph[field.related_model]
                and all(f.null for f in _foreign_keys(model) if f.related_model is field.related_model)
            ]
            if not found:
                raise
            for model, field in found:
                graph[field.related_model].discard(model)
                loose.append((model, field.name))

    def where(model: type[models.Model]) -> Callable[[int], Q]:
        def of(pk: int) -> Q:
            found = Q()
            for path in paths[model]:
                found |= Q(**{path: pk})
            return found

        return of

    return (
        [(model, where(model)) for model in order],
        [(model, where(model), field) for model, field in loose],
    )
