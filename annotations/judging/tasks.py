"""Celery entry points and job handlers of judging."""

from __future__ import annotations

from celery import shared_task

from annotations.items import batches, prerender, readers
from annotations.items.models import Batch
from annotations.projects.models import Project, TaskSchema
from app.jobs.runner import JobContext, JobFailed, handler

from . import asking_again, assigning, identity_rules, importing, jobs, leases, log, moving, queue


@shared_task(name="judging.expire_leases")
def expire_leases() -> None:
    """End leases that ran out and reopen their places, also those kept for people who are gone."""
    queue.expire_leases()
    assigning.release_of_removed()


@shared_task(name="judging.adapt_leases")
def adapt_leases() -> None:
    """Set how long items are held by how long people need, where a project asks for it."""
    leases.adapt_leases()


@shared_task(name="judging.seal_log")
def seal_log() -> None:
    """Bind new judgments into the log's chain."""
    log.seal_all()


@shared_task(name="judging.forget_bad_rows")
def forget_bad_rows() -> None:
    """Remove the lists of bad rows of old imports."""
    jobs.forget_bad_rows()


@handler("items.follow_batch")
def follow_batch(job: JobContext, *, batch_id: int, before: int) -> dict:
    """Give the items of a large batch its number of people and of experts."""
    batch = Batch.objects.filter(pk=batch_id).select_related("project").first()
    if batch is None:
        raise JobFailed("The batch is gone.")
    total = batch.items.count()
    done = batches.bring_in_line(
        batch=batch, before=before, progress=lambda n: job.report(n, max(n, total), "Items")
    )
    return {"items": done}


@handler("items.follow_overlap")
def follow_overlap(job: JobContext, *, project_id: int, before: int) -> dict:
    """Give the items that follow the project's number of people the new one."""
    project = Project.objects.filter(pk=project_id).first()
    if project is None:
        raise JobFailed("The project is gone.")
    total = batches.following(project, before).count()
    done = batches.bring_project_in_line(
        project=project, before=before, progress=lambda n: job.report(n, max(n, total), "Items")
    )
    return {"items": done}


@handler("items.move")
def move_items(job: JobContext, *, project_id: int, wish: dict, batch_id: int | None) -> dict:
    """Move the items that fit the filters into a batch, or out of every batch."""
    project = Project.objects.filter(pk=project_id).first()
    batch = Batch.objects.filter(pk=batch_id, project=project_id).first()
    if project is None or (batch is None and batch_id is not None):
        raise JobFailed("The project or the batch is gone.")
    total = project.items.count()
    moved = moving.move_now(
        project=project,
        wish=wish,
        batch=batch,
        progress=lambda n: job.report(n, max(n, total), "Items looked at"),
    )
    return {"moved": moved}


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
    job.report(message=f"{report.new:,} new, {report.updated:,} updated, {report.judgments:,} judgments")
    return report.as_dict()


@handler("judging.identity")
def look_for_names(job: JobContext, *, project_id: int) -> dict:
    """Apply the project's rule for responses that name their model to every item; done again it changes nothing."""
    project = Project.objects.filter(pk=project_id).first()
    if project is None:
        raise JobFailed("The project is gone.")
    return identity_rules.apply_to_project(
        project=project, progress=lambda done, total: job.report(done, total, "Looking through items")
    )


@handler("judging.ask_again")
def ask_again(job: JobContext, *, project_id: int, schema_id: int, people: int) -> dict:
    """Ask items again that were judged under versions a newer one breaks; a cancel keeps what is opened by then."""
    schema = TaskSchema.objects.select_related("project").filter(pk=schema_id, project=project_id).first()
    if schema is None:
        raise JobFailed("The version is gone.")
    total = asking_again.preview(project=schema.project, schema=schema, people=people).items
    opened = asking_again.ask_again(
        project=schema.project,
        schema=schema,
        people=people,
        progress=lambda done: job.report(done, max(total, done), "Opening items"),
    )
    return {"items": opened}
