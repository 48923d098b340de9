"""Jobs of datasets: freeze a snapshot, write an export, push it to a hub; and the sweep of old exports."""

from __future__ import annotations

from celery import shared_task

from app.jobs.runner import JobContext, JobFailed, handler

from . import diff, export, hub, pushing, removal, snapshots
from .models import Export, HubPush, Snapshot


@shared_task(name="datasets.remove_old_exports")
def remove_old_exports() -> None:
    """Remove the files of old exports."""
    removal.remove_old_exports()


@handler("datasets.snapshot")
def freeze(job: JobContext, *, snapshot_id: int) -> dict:
    """Write the rows of one snapshot."""
    snapshot = Snapshot.objects.select_related("project").filter(pk=snapshot_id).first()
    if snapshot is None:
        raise JobFailed("This snapshot is gone.")
    snapshot = snapshots.build(
        snapshot, report=lambda done, total: job.report(done, total, f"{done:,} of {total:,} items written")
    )
    return {"snapshot": snapshot.public_id, "sha256": snapshot.sha256, "rows": snapshot.n_items}


@handler("datasets.diff")
def compare(job: JobContext, *, before_id: int, after_id: int) -> dict:
    """Compare two snapshots; the result is what `diff.diff` returns."""
    found = Snapshot.objects.in_bulk([before_id, after_id])
    if len(found) < len({before_id, after_id}):
        raise JobFailed("One of the snapshots is gone.")
    try:
        return diff.diff(
            found[before_id],
            found[after_id],
            report=lambda done, total: job.report(done, total, f"{done:,} of {total:,} items compared"),
        )
    except (diff.NotComparable, snapshots.SnapshotDamaged, snapshots.NotReady) as error:
        raise JobFailed(str(error))


@handler("datasets.export")
def write_export(job: JobContext, *, export_id: int) -> dict:
    """Write the files of one export."""
    found = Export.objects.select_related("snapshot__project").filter(pk=export_id).first()
    if found is None:
        raise JobFailed("This export is gone.")
    try:
        found = export.build(
            found, report=lambda done, total: job.report(done, total, f"{done:,} of {total:,} items read")
        )
    except (snapshots.SnapshotDamaged, snapshots.NotReady) as error:
        raise JobFailed(str(error))
    return {"snapshot": found.snapshot.public_id, "rows": found.rows, "files": len(found.manifest["files"])}


@handler("datasets.push")
def push(job: JobContext, *, push_id: int) -> dict:
    """Push one export to a hub."""
    row = HubPush.objects.select_related("export__snapshot__project").filter(pk=push_id).first()
    if row is None:
        raise JobFailed("This push is gone.")
    try:
        row = pushing.push(row, report=job.report)
    except (hub.NotSetUp, hub.HubRefused, pushing.Busy) as error:
        raise JobFailed(str(error)) from None
    except FileNotFoundError:
        raise JobFailed("The export's files are gone. Export again, then push that.") from None
    return {
        "repository": row.repository,
        "url": row.url,
        "commit": row.commit,
        "changed": row.changed,
        "public": row.public,
    }
