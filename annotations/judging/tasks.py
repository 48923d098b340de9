"""Celery entry points and job handlers of judging."""

from __future__ import annotations

from celery import shared_task

from annotations.items import prerender, readers
from annotations.projects.models import Project
from app.jobs.runner import JobContext, JobFailed, handler

from . import importing, jobs, queue


@shared_task(name="judging.expire_leases")
def expire_leases() -> None:
    """End leases that ran out and reopen their slots."""
    queue.expire_leases()


@handler("judging.import")
def import_file(
    job: JobContext, *, project_id: int, path: str, format: str | None, mapping: dict | None, options: dict
) -> dict:
    """Import one stored file; a cancel takes hold between two batches, and what is in by then stays."""
    project = Project.objects.filter(pk=project_id).first()
    if project is None:
        raise JobFailed("The project is gone.")
    file, errors = jobs.stored_paths(path, job.job.pk)
    try:
        total = jobs.count_rows(file)
        report = importing.import_records(
            project=project,
            records=readers.read(file, format or None, mapping or None),
            origin_label=file.name,
            options=importing.ImportOptions(**options, report_path=str(errors)),
            progress=lambda done: job.report(done, total and max(total, done), "Importing"),
        )
    except readers.UnknownFormat as error:
        raise JobFailed(str(error)) from None
    if report.new or report.updated:
        prerender.start_rendering(project=project, actor=job.job.created_by)
    return report.as_dict()
