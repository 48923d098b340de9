"""A plan that keeps up: new items are routed, what people said is learnt, and a model that changed is trusted anew.

Looked at every minute for plans in force that ask for it. A successor is drafted with the same policy, budget, seed of
audits and parameters, takes over the audits and the judged items (see `build`), and is put in force by a job.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from annotations.items.models import Item
from annotations.judging.models import Judgment
from annotations.lm.models import LMAnnotator
from annotations.projects.models import Annotator
from app.accounts import audit
from app.jobs import runner
from app.jobs.models import Job

from . import cascade
from .budget import Budget
from .draft import PlanError, draft_plan
from .models import Decision, RoutingPlan

KIND = "plans.follow"
REFIT = 200  # new judgments of people
REFIT_SHARE = 0.1  # or so large a part of those learnt from, if that is more
NEW_ITEMS = 50


def newer_version(plan: RoutingPlan) -> LMAnnotator | None:
    """The annotator that replaces the plan's model: the same model with a later version of its prompt, or, where the
    model is paused or gone, whatever else has judged. Its trust starts anew: it is held against the audits itself."""
    final = (plan.summary.get("final") or {}).get("id")
    if final is None:
        return None
    rows = LMAnnotator.objects.filter(
        annotator__project=plan.project_id,
        annotator__status=Annotator.Status.ACTIVE,
        annotator__n_judged__gt=0,
    ).select_related("annotator", "prompt")
    mine = LMAnnotator.objects.select_related("annotator", "prompt").filter(annotator_id=final).first()
    others = [row for row in rows if row.annotator_id != final and not row.is_baseline]
    if mine is None or mine.annotator.status != Annotator.Status.ACTIVE:
        return max(others, key=lambda row: row.annotator.n_judged, default=None)
    later = [
        row
        for row in others
        if row.model == mine.model and row.created_at > mine.created_at and row.prompt_hash != mine.prompt_hash
        and row.annotator.n_judged >= mine.annotator.n_judged
    ]  # fmt: skip
    return max(later, key=lambda row: row.created_at, default=None)


def why_refit(plan: RoutingPlan, after: datetime | None = None) -> str:
    """Why a successor is due, in words; empty where none is. With `after`, only what came in since then counts."""
    newer = newer_version(plan)
    if newer is not None and (after is None or newer.created_at > after):
        return f"{newer.annotator.name} has replaced {plan.summary['final']['name']}: trust starts anew"
    unrouted = Item.objects.filter(
        project=plan.project_id, purpose=Item.Purpose.DATA, withdrawn_at__isnull=True
    ).exclude(route_ref=f"plan:{plan.number}")
    unrouted = unrouted.filter(pk__gt=_last_item(plan))
    if after is not None:
        unrouted = unrouted.filter(created_at__gt=after)
    new = unrouted.order_by("pk")[:NEW_ITEMS].count()
    if new >= NEW_ITEMS:
        return f"{new} or more new items are not routed yet"
    judgments = Judgment.objects.filter(
        project=plan.project_id,
        annotator__kind=Annotator.Kind.HUMAN,
        is_current=True,
        pk__gt=plan.summary.get("judged_through", 0),
    )
    if after is not None:
        judgments = judgments.filter(received_at__gt=after)
    since = judgments.count()
    learnt = (plan.summary.get("prediction") or {}).get("n", 0)
    if since >= max(REFIT, REFIT_SHARE * learnt):
        return f"{since:,} judgments came in since it was made"
    return ""


def _last_item(plan: RoutingPlan) -> int:
    return (
        Decision.objects.filter(plan=plan).order_by("-item_id").values_list("item_id", flat=True).first() or 0
    )


def tried(plan: RoutingPlan) -> RoutingPlan | None:
    """The latest successor that a job made or makes for this plan."""
    jobs = Job.objects.filter(kind=KIND, scope=plan.project.slug).values("pk")
    return RoutingPlan.objects.filter(follows=plan, job_id__in=jobs).order_by("-pk").first()


def due() -> list[RoutingPlan]:
    """Plans in force that keep up, whose successor is due and not being made. Where one was made and could not be put in
    force, the next is due when as much has come in since as made that one due, and not every minute."""
    found = []
    plans = RoutingPlan.objects.filter(
        state=RoutingPlan.State.APPLIED, parameters__online=True, project__status="active"
    ).select_related("project")
    for plan in plans.order_by("pk"):
        busy = RoutingPlan.objects.filter(follows=plan, state=RoutingPlan.State.BUILDING).exists()
        last = tried(plan)
        if not busy and why_refit(plan, last and last.created_at):
            found.append(plan)
    return found


def start_due() -> int:
    """The periodic job: start a successor where one is due; returns how many."""
    return sum(succeed(plan) is not None for plan in due())


def succeed(plan: RoutingPlan, *, in_background: bool = True) -> RoutingPlan | None:
    """Draft the successor of a plan in force; a job then puts it in force. None if it cannot be made now."""
    why, newer = why_refit(plan), newer_version(plan)
    ids = [row["id"] for row in plan.summary.get("annotators", [])]
    if newer is not None:
        final = plan.summary["final"]["id"]
        ids = [newer.annotator_id, *(pk for pk in ids if pk not in {final, newer.annotator_id})]
    rows = LMAnnotator.objects.filter(annotator_id__in=ids).select_related("annotator")
    try:
        made = draft_successor(plan, rows, online=True, in_background=False)
    except PlanError:
        return None
    audit.record(
        actor=None,
        action="plan.followed",
        scope=plan.project.slug,
        target=str(made),
        before=plan.number,
        why=why,
    )
    if in_background:
        job = runner.start(
            kind=KIND,
            title=f"Plan {made.number}: follow plan {plan.number}",
            args={"plan_id": made.pk},
            scope=plan.project.slug,
        )
        RoutingPlan.objects.filter(pk=made.pk).update(job_id=job.pk)
    return made


def draft_successor(
    plan: RoutingPlan, annotators: Iterable[LMAnnotator] | None = None, **more
) -> RoutingPlan:
    """Draft a plan with the same policy, budget and parameters, which takes over the audits and judged items.

    `annotators`: the models it reads, the plan's own by default; `more` as `draft_plan` takes. Raises PlanError.
    """
    if annotators is None:
        ids = [row["id"] for row in plan.summary.get("annotators", [])]
        annotators = LMAnnotator.objects.filter(annotator_id__in=ids).select_related("annotator")
    return draft_plan(
        project=plan.project,
        budget=Budget(plan.budget_share, plan.budget_money, plan.currency if plan.budget_money else ""),
        policy=plan.policy,
        audit_share=plan.audit_share,
        overlap=plan.overlap,
        seed=plan.seed + 1,
        annotators=list(annotators),
        second=cascade.detail_of(plan),
        alpha=plan.parameters.get("alpha", 0.1),
        expected_items=plan.parameters.get("expected_items"),
        follows=plan,
        **more,
    )
