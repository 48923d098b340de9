"""Removing frozen datasets and exports from the disk: a project's with the project, exports when they are old or name
somebody who was erased."""

from __future__ import annotations

import shutil
from datetime import datetime, timedelta
from pathlib import Path

from django.conf import settings
from django.utils import timezone

from annotations.projects.models import Project

from .models import Export, Snapshot


def remove_files(project: Project) -> None:
    """Remove the folders of every snapshot of the project and of what was exported from it."""
    for public_id in Snapshot.objects.filter(project=project).values_list("public_id", flat=True):
        for kind in ("snapshots", "exports"):
            shutil.rmtree(Path(settings.MEDIA_ROOT) / kind / public_id, ignore_errors=True)


def remove_old_exports(now: datetime | None = None) -> int:
    """Remove the files of exports made EXPORT_KEEP_DAYS ago; returns of how many. Their manifests stay.

    Nothing is lost: the same export of the snapshot, which is kept, has the same bytes. Done again after a crash it
    removes what was left.
    """
    if not settings.EXPORT_KEEP_DAYS:
        return 0
    oldest = (now or timezone.now()) - timedelta(days=settings.EXPORT_KEEP_DAYS)
    Export.objects.filter(state=Export.State.READY, created_at__lt=oldest).update(state=Export.State.REMOVED)
    return _remove_files()


def remove_named_exports(project: Project) -> None:
    """Remove the project's exports that hold people's names, also those that are being written (`export.build` looks)."""
    named = Export.objects.filter(snapshot__project=project, options__annotators="name")
    for export in named.exclude(state=Export.State.FAILED).order_by("pk"):
        kept = {key: value for key, value in export.manifest.items() if key != "aggregation"}
        Export.objects.filter(pk=export.pk).update(state=Export.State.REMOVED, manifest=kept)
    _remove_files()


def _remove_files() -> int:
    """Remove the files of exports that are to have none; of how many."""
    done = 0
    for export in Export.objects.filter(state=Export.State.REMOVED).exclude(path="").order_by("pk"):
        shutil.rmtree(Path(settings.MEDIA_ROOT) / export.path, ignore_errors=True)
        Export.objects.filter(pk=export.pk).update(path="")
        done += 1
    return done
