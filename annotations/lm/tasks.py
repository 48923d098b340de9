"""Jobs of LM annotators."""

from __future__ import annotations

from app.jobs.runner import JobContext, JobFailed, handler

from . import canaries, runs
from .annotate import CannotAnnotate
from .engine import RunFailed
from .models import LMAnnotator


def _detail(annotator_id: int) -> LMAnnotator:
    pk = LMAnnotator.objects.filter(annotator_id=annotator_id).values_list("pk", flat=True).first()
    detail = runs.find(pk) if pk else None
    if detail is None:
        raise JobFailed("This annotator is gone.")
    return detail


@handler(runs.KIND)
def run_annotator(
    job: JobContext,
    *,
    annotator_id: int,
    limit: int | None = None,
    upto: int | None = None,
    again_until: int | None = None,
    account_id: str | None = None,
    run_id: int | None = None,
) -> dict:
    """Judge what this annotator has not judged; stops between calls when cancelled and keeps what was paid."""
    detail = _detail(annotator_id)

    def report(done: int, total: int, words: str) -> None:
        job.report(done=done, total=total, message=words or f"{done} of {total} items judged")

    try:
        return runs.run(
            detail=detail,
            owner=f"{job.job.pk}:{job.job.fence}",
            limit=limit,
            upto=upto,
            again_until=again_until,
            account_id=account_id,
            report=report,
        )
    except (CannotAnnotate, RunFailed) as error:
        raise JobFailed(str(error))


@handler(canaries.KIND)
def run_canaries(job: JobContext, *, annotator_id: int) -> dict:
    """Ask this annotator about tampered items."""
    detail = _detail(annotator_id)

    def report(done: int, total: int, words: str) -> None:
        job.report(done=done, total=total, message=words)

    try:
        return canaries.run(detail=detail, owner=f"{job.job.pk}:{job.job.fence}", report=report)
    except (CannotAnnotate, RunFailed) as error:
        raise JobFailed(str(error))
