"""Jobs of routing plans."""

from __future__ import annotations

from celery import shared_task

from annotations.lm.annotate import CannotAnnotate
from annotations.lm.engine import OutOfMoney, RunFailed
from app.jobs.runner import JobContext, JobFailed, handler
from app.ledger.ledger import BudgetExceeded

from . import cascade, gpu, online, refit, worth
from .apply import apply_plan
from .build import build_plan
from .draft import PlanError
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


@shared_task(name="plans.charge_gpu")
def charge_gpu() -> None:
    """Charge the GPU jobs that ended."""
    gpu.charge_all()


@handler(online.KIND)
def follow(job: JobContext, *, plan_id: int) -> dict:
    """Fill the successor of a plan that keeps up, and put it in force if its predecessor still is."""
    result = draft(job, plan_id=plan_id)
    plan = RoutingPlan.objects.select_related("project", "follows").get(pk=plan_id)
    if plan.follows is None or plan.follows.state != RoutingPlan.State.APPLIED:
        return {**result, "applied": False}
    try:
        apply_plan(plan=plan)
    except (PlanError, BudgetExceeded) as error:
        raise JobFailed(str(error)) from None
    return {**result, "applied": True}


@handler(cascade.KIND)
def ask_second(job: JobContext, *, plan_id: int, account_id: str) -> dict:
    """Ask the plan's strong model about the items it is given; where the plan's money ends, the rest keep the first label."""
    plan = RoutingPlan.objects.select_related("project").filter(pk=plan_id).first()
    if plan is None or plan.state != RoutingPlan.State.APPLIED:
        raise JobFailed("This plan is not in force any more.")
    try:
        return cascade.run(
            plan,
            owner=f"{job.job.pk}:{job.job.fence}",
            account_id=account_id,
            report=lambda done, total, words: job.report(done=done, total=total, message=words),
        )
    except OutOfMoney as error:
        return {"plan": plan.number, "stopped": str(error)}
    except (CannotAnnotate, RunFailed) as error:
        raise JobFailed(str(error)) from None


@handler(worth.KIND)
def measure(job: JobContext, *, plan_id: int) -> dict:
    """Measure what routing is worth, from the audits that are judged."""
    plan = RoutingPlan.objects.select_related("project").filter(pk=plan_id).first()
    if plan is None:
        raise JobFailed("This plan is gone.")
    found = worth.measure(plan)
    return {"plan": plan.number, "judged": found["judged"], "audits": found["audits"]}


@handler(refit.KIND)
def refit_predictor(job: JobContext, *, refit_id: int) -> dict:
    """Fit the predictor of errors anew with a promoted model's margins, and propose a plan."""
    return refit.perform(job, refit_id)


@shared_task(name="plans.keep_up")
def keep_up() -> None:
    """Start the successor of plans that keep up, and the refit of what was promoted, where one is due."""
    online.start_due()
    refit.start_due()
