"""Jobs of features: the project's table of texts, and tags by a language model."""

from __future__ import annotations

from celery import shared_task

from annotations.lm.annotate import CannotAnnotate
from annotations.lm.engine import RunFailed
from annotations.projects.models import Project
from app.jobs.runner import JobContext, JobFailed, handler

from . import filling, tagger
from .models import Tagging


@handler(filling.KIND)
def fill(job: JobContext, *, project_id: int) -> dict:
    """Read the texts that the project's table does not hold yet; what was read before a crash is not read again."""
    project = Project.objects.filter(pk=project_id).first()
    if project is None:
        raise JobFailed("The project is gone.")
    return filling.fill(project, lambda done, total, words: job.report(done=done, total=total, message=words))


@handler(tagger.KIND)
def tag(job: JobContext, *, tagging_id: int, upto: int | None = None, account_id: str | None = None) -> dict:
    """Have the prompts tagged that have no tags yet; stops between calls when cancelled and keeps what was paid."""
    found = Tagging.objects.select_related("project", "annotator", "prompt").filter(pk=tagging_id).first()
    if found is None:
        raise JobFailed("This tagging is gone.")
    try:
        return tagger.run(
            found,
            owner=f"{job.job.pk}:{job.job.fence}",
            upto=upto,
            account_id=account_id,
            report=lambda done, total, words: job.report(done=done, total=total, message=words),
        )
    except (CannotAnnotate, RunFailed) as error:
        raise JobFailed(str(error)) from None


@shared_task(name="features.keep_up")
def keep_up() -> None:
    """Start reading the texts of projects with new items."""
    filling.start_due()
