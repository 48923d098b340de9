"""Long work on items."""

from __future__ import annotations

from annotations.projects.models import Project
from app.jobs.runner import JobContext, JobFailed, handler

from . import prerender


@handler("items.render")
def render(job: JobContext, *, project_id: int) -> dict:
    """Render every text of the project into the cache."""
    project = Project.objects.filter(pk=project_id).first()
    if project is None:
        raise JobFailed("The project is gone.")
    made = prerender.render_items(project=project, progress=job.report)
    return {"rendered": made}
