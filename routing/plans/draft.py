"""Make a plan: propose an allocation for a budget, without changing where anything goes."""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from decimal import ROUND_CEILING, Decimal

from django.db import IntegrityError, transaction
from django.db.models import Max
from django.urls import reverse

from annotations.lm import registry
from annotations.lm.models import LMAnnotator
from annotations.projects.models import Annotator, Project
from app.accounts import audit
from app.jobs import runner
from app.jobs.models import Job
from app.ledger.models import MICROS, Account
from app.web.shares import percent

from . import cascade, margins, outlook, policies
from .allocation import MIN_AUDIT
from .budget import Budget
from .models import RoutingPlan

POLICIES = {policy.name: policy.title for policy in policies.POLICIES.values()}
TITLES = {"lm_uncertainty": "Where the models are unsure", **POLICIES}  # with what older plans are called
DEFAULT_ALPHA = 0.1


class PlanError(Exception):
    """The plan cannot be made, applied or discarded; the text says why and what to do."""


def currency_of(project: Project) -> str:
    """The currency of the project's account, EUR without one."""
    return Account.objects.filter(pk=project.account_id).values_list("currency", flat=True).first() or "EUR"


def default_annotators(project: Project) -> list[LMAnnotator]:
    """Models whose judgments a plan reads unless told otherwise: all that judged; baselines only if alone."""
    able = [
        row
        for row in registry.lm_annotators(project)
        if row.annotator.n_judged and row.annotator.status == Annotator.Status.ACTIVE
    ]
    return [row for row in able if not row.is_baseline] or able


def draft_plan(
    *,
    project: Project,
    budget: Budget,
    policy: str = policies.DEFAULT,
    audit_share: float = MIN_AUDIT,
    overlap: int | None = None,
    seed: int | None = None,
    annotators: Iterable[LMAnnotator] | None = None,
    second: LMAnnotator | None = None,
    alpha: float = DEFAULT_ALPHA,
    expected_items: int | None = None,
    online: bool = False,
    follows: RoutingPlan | None = None,
    actor=None,
    in_background: bool = True,
) -> RoutingPlan:
    """Write a plan in state `building` and start the Job that fills it (or leave that to `build_plan`).

    A seed not given is drawn and stored. `alpha`: the error rate allowed where a model labels alone;
    `expected_items`: items in all that the budget is to last for, where more are to come; `online`: keep up with new
    items and judgments once it is in force; `second`: a dearer model that items may go to instead of people; `follows`: the plan whose audits and judged items it takes over.
    Raises PlanError if the budget is money and judgments have no price, or for a value out of range.
    """
    if policy not in POLICIES:
        raise PlanError(f"{policy!r}: no such policy. There are: {', '.join(POLICIES)}.")
    if budget.money is not None and not project.human_cost:
        raise PlanError(
            "A budget in money needs the cost of one human judgment, and this project has none. "
            "Set it in the project, or give the budget as a share of items."
        )
    if not MIN_AUDIT <= audit_share <= 1:
        raise PlanError(
            f"An audit share of {audit_share:.3g}: expected {percent(MIN_AUDIT)} to 100 %. Without audits nothing can be "
            "measured, and what was routed cannot be corrected afterwards."
        )
    if not 0 < alpha < 1:
        raise PlanError(f"An error rate of {alpha:.3g}: expected above 0 and below 1.")
    if expected_items is not None and not 1 <= expected_items <= 10**9:
        raise PlanError(f"{expected_items} items expected: give at least 1.")
    overlap = project.overlap if overlap is None else overlap
    if not 1 <= overlap <= 100:
        raise PlanError(f"{overlap} people per item: expected 1 to 100.")
    if seed is not None and seed < 0:
        raise PlanError(f"Seed {seed}: expected a whole number of at least 0.")
    if second is not None and budget.money is None:
        raise PlanError(
            f"{second.annotator.name} is paid by the call, so a plan with it needs a budget in money."
        )
    chosen = default_annotators(project) if annotators is None else list(annotators)
    if second is not None:
        chosen = [row for row in chosen if row.pk != second.pk]
        if not chosen:
            raise PlanError(
                "A second model needs a first one whose labels stand where neither it nor a person judges."
            )
    summary = {"annotators": [{"id": row.annotator_id, "name": row.annotator.name} for row in chosen]}
    for _ in range(5):
        try:
            with transaction.atomic():
                last = RoutingPlan.objects.filter(project=project).aggregate(n=Max("number"))["n"] or 0
                plan = RoutingPlan.objects.create(
                    project=project,
                    number=last + 1,
                    policy=policy,
                    budget_share=budget.share,
                    budget_money=budget.money,
                    currency=currency_of(project),
                    audit_share=audit_share,
                    overlap=overlap,
                    seed=secrets.randbits(31) if seed is None else seed,
                    parameters={
                        "alpha": alpha,
                        "expected_items": expected_items,
                        "online": online,
                        "second": second.annotator_id if second is not None else None,
                        "reward_model": margins.known_of(project),
                        "root": None if follows is None else follows.parameters.get("root") or follows.pk,
                    },
                    follows=follows,
                    summary=summary,
                    created_by=actor,
                )
                audit.record(actor=actor, action="plan.drafted", scope=project.slug, target=str(plan))
                if in_background:
                    _start(plan, actor)
            return plan
        except IntegrityError:
            continue  # somebody else took the number: look again
    raise RuntimeError("could not number the plan after five tries")


def draft_again(*, plan: RoutingPlan, share: float, actor=None) -> RoutingPlan:
    """Draft the same plan with people at `share` of the items, in (0, 1]: models, strong model and settings stay.

    A plan in money stays one in money: what its outlook says that this share costs, spread over the items expected.
    Raises PlanError, as `draft_plan`.
    """
    named = [row["id"] for row in plan.summary.get("annotators", [])]
    options = {name: plan.parameters[name] for name in ("alpha", "online") if name in plan.parameters}
    budget = Budget(share=share)
    point = outlook.at(plan.summary.get("outlook") or {}, share)
    if plan.budget_money is not None and point is not None:
        n, expected = plan.summary["items"], plan.parameters.get("expected_items")
        money = Decimal(outlook.money_at(point)) / MICROS * max(n, expected or n) / n
        budget = Budget(money=money.quantize(Decimal("0.0001"), ROUND_CEILING), currency=plan.currency)
        options |= {"expected_items": expected, "second": cascade.detail_of(plan)}
    return draft_plan(
        project=plan.project,
        budget=budget,
        policy=plan.policy if plan.policy in POLICIES else policies.DEFAULT,
        audit_share=max(plan.audit_share, MIN_AUDIT),
        overlap=plan.overlap,
        seed=plan.seed,
        annotators=LMAnnotator.objects.filter(annotator_id__in=named).select_related("annotator"),
        actor=actor,
        **options,
    )


def _start(plan: RoutingPlan, actor) -> None:
    job = runner.start(
        kind="plans.draft",
        title=f"Plan {plan.number}: decide who judges what",
        args={"plan_id": plan.pk},
        scope=plan.project.slug,
        actor=actor,
        result_url=reverse("plans:detail", args=[plan.project.slug, plan.number]),
    )
    RoutingPlan.objects.filter(pk=plan.pk).update(job_id=job.pk)
    plan.job_id = job.pk


def job_of(plan: RoutingPlan) -> Job | None:
    """The Job that fills the plan, if it was made in the background."""
    return Job.objects.filter(pk=plan.job_id).first() if plan.job_id else None
