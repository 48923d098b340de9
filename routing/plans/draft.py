"""Make a plan: propose an allocation for a budget, without changing where anything goes."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable
from decimal import Decimal

import numpy as np
from django.db import IntegrityError, transaction
from django.db.models import Max
from django.urls import reverse

from annotations.items.models import Item
from annotations.judging.models import Judgment
from annotations.lm import registry, verdicts
from annotations.lm.models import LMAnnotator
from annotations.projects.models import Annotator, Project
from app.accounts import audit
from app.jobs import runner
from app.jobs.models import Job
from app.ledger.ledger import to_micros
from app.ledger.models import MICROS, Account

from . import allocate, uncertainty
from .budget import Budget
from .models import Decision, RoutingPlan

POLICIES = {
    "lm_uncertainty": "Where the models are unsure",
    "random": "At random (the yardstick)",
}
WRITE = 2000
BINS = 20
PACE_SAMPLE = 1000
Report = Callable[[int, int, str], None]


class PlanError(Exception):
    """The plan cannot be made, applied or discarded; the text says why and what to do."""


def silent(done: int, total: int, message: str) -> None:
    """The report of nobody."""


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
    policy: str = "lm_uncertainty",
    audit_share: float = 0.05,
    overlap: int | None = None,
    seed: int | None = None,
    annotators: Iterable[LMAnnotator] | None = None,
    actor=None,
    in_background: bool = True,
) -> RoutingPlan:
    """Write a plan in state `building` and start the Job that fills it (or leave that to `build_plan`).

    A seed not given is drawn and stored. Raises PlanError if the budget is money and judgments have no price.
    """
    if policy not in POLICIES:
        raise PlanError(f"{policy!r}: no such policy. There are: {', '.join(POLICIES)}.")
    if budget.money is not None and not project.human_cost:
        raise PlanError(
            "A budget in money needs the cost of one human judgment, and this project has none. "
            "Set it in the project, or give the budget as a share of items."
        )
    overlap = project.overlap if overlap is None else overlap
    if not 1 <= overlap <= 100:
        raise PlanError(f"{overlap} people per item: expected 1 to 100.")
    if seed is not None and seed < 0:
        raise PlanError(f"Seed {seed}: expected a whole number of at least 0.")
    chosen = default_annotators(project) if annotators is None else list(annotators)
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


def build_plan(plan: RoutingPlan, report: Report = silent) -> RoutingPlan:
    """Decide every item of a plan in state `building` or `failed`; the plan becomes a draft.

    Starts over from the top if it was interrupted. Memory: a few hundred bytes per item, no texts. `report` is called
    between batches and may raise to stop. Raises PlanError, which marks the plan failed.
    """
    if plan.state not in {plan.State.BUILDING, plan.State.FAILED}:
        return plan
    RoutingPlan.objects.filter(pk=plan.pk).update(state=plan.State.BUILDING)
    try:
        _build(plan, report)
    except (PlanError, runner.JobCancelled) as error:
        message = str(error) if isinstance(error, PlanError) else "It was cancelled."
        plan.state, plan.summary = plan.State.FAILED, {**plan.summary, "error": message}
        plan.save(update_fields=["state", "summary"])
        raise
    return plan


def _build(plan: RoutingPlan, report: Report) -> None:
    Decision.objects.filter(plan=plan).delete()
    project = plan.project
    total = Item.objects.filter(project=project, withdrawn_at__isnull=True).count()
    report(0, 2 * total, "Reading the models' judgments")
    ids, judged_by_people, found = _read(plan, total, report)
    n = len(ids)
    if not n:
        raise PlanError("The project has no items to route.")
    needed = np.maximum(0, plan.overlap - judged_by_people)
    each = to_micros(Decimal(project.human_cost))
    if plan.budget_share is not None:
        cost, budget = np.ones(n, dtype=np.int64), allocate.share_of(plan.budget_share, n)
        if not budget:
            raise PlanError(f"{plan.budget_share:.3g} of {n} items is less than one item. Raise the budget.")
    else:
        cost, budget = needed * each, to_micros(plan.budget_money)
    score = found.score() if plan.policy == "lm_uncertainty" else np.zeros(n)
    result = allocate.allocate(
        score=score, cost=cost, budget=budget, audit_share=plan.audit_share, seed=plan.seed
    )
    if not result.people.any():
        raise PlanError("The budget does not pay for a single judgment. Raise it.")
    _write(plan, ids, score, result, found, report)
    summary = _summary(plan, score, result, found, needed, each)
    plan.state, plan.threshold, plan.summary = plan.State.DRAFT, result.threshold, summary
    RoutingPlan.objects.filter(pk=plan.pk, state=plan.State.BUILDING).update(
        state=plan.state, threshold=plan.threshold, summary=summary
    )


def _read(
    plan: RoutingPlan, total: int, report: Report
) -> tuple[np.ndarray, np.ndarray, uncertainty.Signals]:
    """Ids int64[n], people who judged each int64[n], and the models' signals, over items not withdrawn."""
    project = plan.project
    aspect = verdicts.main_aspect(project)
    models = [row["id"] for row in plan.summary.get("annotators", [])] if aspect else []
    ids, people, parts, done = [], [], [], 0
    for batch in verdicts.iter_verdicts(project, aspect=aspect or "overall", annotators=models, humans=False):
        ids.append(batch.item_ids)
        counts = dict(
            Item.objects.filter(
                project=project, pk__gte=int(batch.item_ids[0]), pk__lte=int(batch.item_ids[-1])
            ).values_list("pk", "n_human")
        )
        people.append(np.array([counts.get(int(pk), 0) for pk in batch.item_ids], dtype=np.int64))
        parts.append(
            uncertainty.signals(
                batch.place, batch.verdict, batch.probability, batch.consistent, len(batch.item_ids)
            )
        )
        done += len(batch.item_ids)
        report(min(done, total), 2 * total, "Reading the models' judgments")
    empty = np.zeros(0, dtype=np.int64)
    return (
        np.concatenate(ids) if ids else empty,
        np.concatenate(people) if people else empty,
        uncertainty.concatenate(parts),
    )


def _route(result: allocate.Allocation, i: int) -> str:
    if result.audit[i]:
        return Item.Route.BOTH
    return Item.Route.HUMAN if result.chosen[i] else Item.Route.LM


def _write(
    plan: RoutingPlan,
    ids: np.ndarray,
    score: np.ndarray,
    result: allocate.Allocation,
    found: uncertainty.Signals,
    report: Report,
) -> None:
    """Insert the decisions, in transactions of `WRITE`."""
    n, by_score = len(ids), plan.policy == "lm_uncertainty"
    for start in range(0, n, WRITE):
        Decision.objects.bulk_create(
            [
                Decision(
                    plan=plan,
                    item_id=int(ids[i]),
                    route=_route(result, i),
                    is_audit=bool(result.audit[i]),
                    score=float(score[i]),
                    propensity=float(result.propensity[i]),
                    priority=int(result.priority[i]),
                    reasons=found.reasons(i) if by_score else [],
                )
                for i in range(start, min(start + WRITE, n))
            ],
            batch_size=500,
        )
        report(n + min(start + WRITE, n), 2 * n, "Writing the decisions")


def _summary(
    plan: RoutingPlan,
    score: np.ndarray,
    result: allocate.Allocation,
    found: uncertainty.Signals,
    needed: np.ndarray,
    each: int,
) -> dict:
    """What the plan would do, in numbers: counts, judgments still to be given, their cost, the time they take."""
    people = result.people
    judgments = int(needed[people].sum())
    edges = np.linspace(0, 1, BINS + 1)
    pace = sorted(
        Judgment.objects.filter(
            project=plan.project,
            annotator__kind=Annotator.Kind.HUMAN,
            active_ms__isnull=False,
            is_current=True,
        )
        .order_by("-id")
        .values_list("active_ms", flat=True)[:PACE_SAMPLE]
    )
    return {
        **{key: value for key, value in plan.summary.items() if key == "annotators"},
        "items": len(score),
        "people": int(people.sum()),
        "chosen": int(result.chosen.sum()),
        "audits": int(result.audit.sum()),
        "audits_wanted": allocate.audit_size(plan.audit_share, len(score)),
        "lm": int((~people).sum()),
        "unlabelled": int((~people & (found.verdicts == 0)).sum()),
        "unjudged": int((found.verdicts == 0).sum()),
        "judged_already": int((people & (needed == 0)).sum()),
        "judgments": judgments,
        "cost_each": str(Decimal(each) / MICROS),
        "cost": str(Decimal(judgments * each) / MICROS),
        "pace_ms": float(np.median(pace)) if pace else None,
        "pace_n": len(pace),
        "histogram": {
            "people": np.histogram(score[people], edges)[0].tolist(),
            "lm": np.histogram(score[~people], edges)[0].tolist(),
        },
    }


def job_of(plan: RoutingPlan) -> Job | None:
    """The Job that fills the plan, if it was made in the background."""
    return Job.objects.filter(pk=plan.job_id).first() if plan.job_id else None
