"""Celery entry points and job handlers of projects."""

from __future__ import annotations

from celery import shared_task

from app.jobs.runner import JobContext, JobFailed, handler

from . import lifecycle
from .models import Project


@shared_task(name="projects.purge_due")
def purge_due() -> None:
    """Start deleting for good what nobody brought back in time."""
    lifecycle.start_purges()


@handler("projects.purge")
def purge(job: JobContext, *, project_id: int) -> dict:
    """Delete one project for good."""
    project = Project.everything.filter(pk=project_id).first()
    if project is None:
        return {"rows": 0}
    try:
        rows = lifecycle.purge(
            project=project,
            progress=lambda name, done: job.report(done, None, f"{name}: {done:,} rows deleted"),
        )
    except lifecycle.StillLive as error:
        raise JobFailed(str(error)) from None
    return {"rows": rows}
