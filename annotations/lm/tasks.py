"""Jobs of LM annotators."""

from __future__ import annotations

from app.jobs.runner import JobContext, JobFailed, handler

from .annotate import CannotAnnotate, annotate
from .models import LMAnnotator


@handler("lm.annotate")
def run_annotator(job: JobContext, *, annotator_id: int, limit: int | None = None) -> dict:
    """Judge what this annotator has not judged; stops between transactions when cancelled."""
    detail = (
        LMAnnotator.objects.select_related("annotator__project").filter(annotator_id=annotator_id).first()
    )
    if detail is None:
        raise JobFailed("This annotator is gone.")

    def report(done: int, total: int) -> None:
        job.report(done=done, total=total, message=f"{done} of {total} items judged")

    try:
        return annotate(detail=detail, limit=limit, report=report)
    except CannotAnnotate as error:
        raise JobFailed(str(error))
