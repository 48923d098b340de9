"""Who may push an export to a hub, and how: the rules before, the Job, and what became of it."""

from __future__ import annotations

import re

from django.db import transaction
from django.db.models import Q
from django.urls import reverse

from annotations.projects.access import require
from annotations.projects.models import Project
from app.accounts import audit
from app.jobs import runner
from app.jobs.models import Job

from . import export as exports
from . import hub
from .card import named
from .licences import LICENCES
from .models import Export, HubPush

REPOSITORY = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*/[A-Za-z0-9][A-Za-z0-9._-]*")
LONGEST = 96


class BadPush(ValueError):
    """What was asked for cannot be pushed; `field` names what to change, and the text says how."""

    def __init__(self, field: str, message: str) -> None:
        self.field = field
        super().__init__(message)


class Busy(Exception):
    """The export is not ready, or something else stands or runs in the way; the text says what."""


def check_repository(repository: str) -> str:
    """The name, as hubs allow it. Raises BadPush."""
    owner, _, name = repository.partition("/")
    fits = REPOSITORY.fullmatch(repository) and len(repository) <= LONGEST
    if not fits or any(
        part.endswith((".", "-", ".git")) or ".." in part or "--" in part for part in (owner, name)
    ):
        raise BadPush(
            "repository",
            f"{repository[:LONGEST]!r}: expected owner/name, of letters, digits, '-', '_' and '.', at most {LONGEST} characters.",
        )
    return repository


def check_public(manifest: dict) -> None:
    """Raises BadPush where an export may not be made public: it names people, or states no licence."""
    if named(manifest):
        raise BadPush(
            "public", "This export names people. Only an export under pseudonyms can be made public."
        )
    if manifest["options"].get("licence") not in LICENCES:
        raise BadPush(
            "public", "This export states no licence. Export it again with one, then make that public."
        )


def start_push(*, export: Export, actor, role: str, repository: str, public: bool, sure: bool) -> HubPush:
    """Start pushing an export; returns the row with its Job, the running one if it does the same.

    `role` is the person's in the project: making public is kept to owners, and needs `sure`. Raises NotSetUp, BadPush,
    Busy, PermissionDenied.
    """
    hub.check_set_up()
    check_repository(repository)
    project = export.snapshot.project
    if export.state != Export.State.READY:
        raise Busy(f"The export is {export.get_state_display().lower()}, not ready.")
    if public:
        project.role = role
        require(project, "owner", "Making data public")
        check_public(export.manifest)
        if not sure:
            raise BadPush("sure", "Say that you looked at what becomes public.")
    with transaction.atomic():
        Project.objects.select_for_update().get(pk=project.pk)  # one decision at a time
        same = HubPush.objects.filter(repository__iexact=repository)
        if same.exclude(export__snapshot__project=project).exists():
            raise BadPush("repository", f"{repository} is not free. Choose another name.")
        live = Job.objects.filter(
            pk__in=same.values("job_id"), state__in=[Job.State.QUEUED, Job.State.RUNNING]
        )
        for push in same.filter(job_id__in=live.values("pk")):
            if (push.export_id, push.public) == (export.pk, public):
                return push
            raise Busy(f"Another push to {repository} is running. Wait for its end, or cancel it.")
        push = HubPush.objects.create(
            export=export,
            repository=repository,
            public=public,
            created_by=actor if actor is not None and actor.is_authenticated else None,
        )
        job = runner.start(
            kind="datasets.push",
            title=f"Push snapshot {export.snapshot.number} to {repository}",
            args={"push_id": push.pk},
            scope=project.slug,
            actor=actor,
            result_url=reverse("datasets:push", args=[project.slug, export.pk]),
        )
        push.job_id = job.pk
        push.save(update_fields=["job_id"])
        record(
            actor=actor, snapshot=export.snapshot, repository=repository, public=public, format=export.format
        )
    return push


def record(*, actor, snapshot, repository: str, public: bool, format: str) -> None:
    """Write into the audit log that data is sent to a hub."""
    audit.record(
        actor=actor,
        action="export.pushed",
        scope=snapshot.project.slug,
        target=snapshot.public_id,
        repository=repository,
        public=public,
        format=format,
    )


def push(row: HubPush, *, report: hub.Report | None = None) -> HubPush:
    """Send what the row says, again from the start after a crash, and keep where it stands. Raises as `push_folder`, or Busy.

    A Job that is tried again passed no check of `start_push`: of two that run for one repository the later refuses.
    """
    export = row.export
    export.refresh_from_db()
    if export.state != Export.State.READY:
        raise Busy(
            f"The export's files are {export.get_state_display().lower()}. Export again, then push that."
        )
    _check_first(row)
    done = hub.push_folder(
        folder=exports.folder_of(export), repository=row.repository, public=row.public, report=report
    )
    row.url, row.commit, row.changed = done.url, done.commit, done.changed
    row.save(update_fields=["url", "commit", "changed"])
    return row


def _check_first(row: HubPush) -> None:
    """Raises Busy where another push to the repository began to run before this one's Job."""
    mine = Job.objects.filter(pk=row.job_id).first()
    if mine is None:
        return
    others = HubPush.objects.filter(repository__iexact=row.repository).exclude(pk=row.pk)
    running = Job.objects.filter(pk__in=others.values("job_id"), state=Job.State.RUNNING)
    before = Q(started_at__lt=mine.started_at) | Q(started_at=mine.started_at, pk__lt=mine.pk)
    if running.filter(before).exists():
        raise Busy(
            f"Another push to {row.repository} is running. Wait for its end, or cancel it; then run this again."
        )
