"""Jobs of analysis: compute a large project's report."""

from __future__ import annotations

from celery import shared_task

from annotations.projects.models import Project
from app.jobs.runner import JobContext, JobFailed, handler

from . import ordering, reports


@handler(reports.KIND)
def compute(job: JobContext, *, project_id: int, name: str) -> dict:
    """Compute one report and keep it in the cache."""
    project = Project.objects.filter(pk=project_id).first()
    if project is None:
        raise JobFailed("This project is gone.")
    kept = reports.keep(project, name, tick=lambda n: job.report(n, None, f"{n:,} read"))
    return {"report": name, "version": kept["version"]}


@shared_task(name="analysis.order_queues")
def order_queues() -> None:
    """Put at the front of queues what the ranking needs, where a project asks for it."""
    ordering.tick()
