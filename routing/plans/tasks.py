"""Jobs of routing plans."""

from __future__ import annotations

from app.jobs.runner import JobContext, JobFailed, handler

from .draft import PlanError, build_plan
from .models import RoutingPlan


@handler("plans.draft")
def draft(job: JobContext, *, plan_id: int) -> dict:
    """Decide every item of the plan; runs again from the top after a crash."""
    plan = RoutingPlan.objects.select_related("project").filter(pk=plan_id).first()
    if plan is None:
        raise JobFailed("This plan is gone.")

    def report(done: int, total: int, message: str) -> None:
        job.report(done=done, total=total, message=message)

    try:
        build_plan(plan, report)
    except PlanError as error:
        raise JobFailed(str(error))
    return {"plan": plan.number, "people": plan.summary.get("people"), "items": plan.summary.get("items")}
