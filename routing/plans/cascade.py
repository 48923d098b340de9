"""A second, dearer model as a queue between the first one's label and a person: cheap model → strong model → human.

Its gain on an item is e - s: the predicted error of the label that stands, less that of the strong model, both cross-fitted
by prompt from the same labels of people. Its price is what an item cost it so far; an item it has judged costs nothing more.
`allocation` then weighs it against people by the Lagrangian rule.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

import numpy as np
from django.db.models import Count, F, Sum

from annotations.analysis import held_out
from annotations.analysis.majority import NONE
from annotations.judging.models import LMCall
from annotations.lm import annotate, runs, verdicts
from annotations.lm.models import LMAnnotator
from annotations.projects import rules
from app.jobs import runner
from app.jobs.models import Job
from app.ledger.ledger import to_micros
from app.ledger.models import MICROS, Account
from routing.predict import label_error

from . import policies, reading
from .models import Decision, RoutingPlan

KIND = "plans.ask_second"
LEAST = 20  # items that people and the strong model judged, before anything is said of it


@dataclass(frozen=True)
class Offer:
    """What the strong model offers for n items.

    Attributes:
        annotator_id, name: which. queue: its name in decisions. gain: float[n], labels put right per item.
        cost: int[n], millionths, 0 where it has judged. judged, eligible: bool[n]. capacity: items at most, -1 for no limit.
        n: labels it is known from; error: the share of them that it has wrong, an estimate.
    """

    annotator_id: int
    name: str
    gain: np.ndarray
    cost: np.ndarray
    judged: np.ndarray
    eligible: np.ndarray
    capacity: int
    n: int
    error: dict

    @property
    def queue(self) -> str:
        return queue_of(self.annotator_id)


def queue_of(annotator_id: int) -> str:
    """The queue's name in decisions."""
    return f"lm:{annotator_id}"


def detail_of(plan: RoutingPlan) -> LMAnnotator | None:
    """The plan's strong model, if it asks for one that is still there."""
    chosen = plan.parameters.get("second")
    pk = (
        LMAnnotator.objects.filter(annotator_id=chosen).values_list("pk", flat=True).first()
        if chosen
        else None
    )
    return runs.find(pk) if pk else None


def offer(plan: RoutingPlan, known: reading.Known, scores: policies.Scores) -> tuple[Offer | None, str]:
    """The strong model's offer, or None and why it takes no part, in words (empty where no plan asks for one)."""
    detail = detail_of(plan)
    if detail is None:
        return None, ""
    name = detail.annotator.name
    if not scores.is_gain or scores.prediction is None:
        return None, (
            f"{name} takes no part: only the default order reckons what a label gains, and another order decides here"
        )
    try:
        runs.check(detail)
    except annotate.CannotAnnotate as error:
        return None, f"{name} takes no part: {error}"
    pool = known.pool
    mine, has = _verdicts(plan, detail, known.ids)
    labels = np.where(
        has & ~np.isnan(pool.labels()) & (pool.truth != NONE), (mine != pool.truth).astype(float), np.nan
    )
    seen = ~np.isnan(labels)
    n = int(seen.sum())
    if n < LEAST:
        return None, (
            f"{name} takes no part: {n} items are judged by it and by people, and at least {LEAST} are needed. Let it "
            "judge some of those that people judged"
        )
    found = label_error.predict(pool.design(), labels, pool.group, propensity=pool.propensity, seed=plan.seed)
    most = rules.of(plan.project).budget.models.get(str(detail.annotator_id))
    return Offer(
        annotator_id=detail.annotator_id,
        name=name,
        gain=scores.prediction.mean - found.mean,
        cost=np.where(has, 0, price_of(detail)).astype(np.int64),
        judged=has,
        eligible=~known.injected,
        capacity=-1 if most is None else max(0, most - detail.annotator.n_judged),
        n=n,
        error=held_out.share(labels[seen], pool.group[seen]),
    ), ""


def _verdicts(plan: RoutingPlan, detail: LMAnnotator, ids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(verdict int8[n], whether it judged the item bool[n]) of the strong model."""
    verdict, has = np.full(len(ids), NONE, dtype=np.int8), np.zeros(len(ids), dtype=bool)
    aspect = verdicts.main_aspect(plan.project)
    if aspect is None:
        return verdict, has
    for batch in verdicts.iter_verdicts(
        plan.project, aspect=aspect, annotators=[detail.annotator_id], humans=False
    ):
        place = np.searchsorted(ids, batch.item_ids[batch.place])
        verdict[place], has[place] = batch.verdict, True
    return verdict, has


def price_of(detail: LMAnnotator) -> int:
    """Millionths that an item costs: the mean of what it judged for money (what was imported says nothing of the price), else
    the estimate of a run."""
    priced = LMCall.objects.filter(annotator=detail.annotator, cost_micros__isnull=False)
    found = priced.aggregate(paid=Sum("cost_micros"), judged=Count("judgment", distinct=True))
    if found["judged"] and found["paid"]:
        return -(-found["paid"] // found["judged"])
    said = runs.estimate(detail)
    return to_micros(Decimal(said["cost"])) // said["items"] if said["items"] else 0


# --- In force -----------------------------------------------------------------------------------------------
def ask(plan: RoutingPlan, *, most: int, actor=None) -> None:
    """Start the run that asks the strong model about the items a plan gives it, for `most` millionths at most.

    Called in the transaction that puts the plan in force; the job starts when it commits.
    """
    second = plan.summary.get("second") or {}
    if not second.get("to_ask"):
        return
    account = Account.objects.create(
        name=f"{plan.project.slug}: plan {plan.number}, {second['name']}"[:200],
        currency=plan.currency,
        cap_micros=most,
    )
    job = runner.start(
        kind=KIND,
        title=f"Plan {plan.number}: ask {second['name']}",
        args={"plan_id": plan.pk, "account_id": str(account.pk)},
        scope=plan.project.slug,
        queue="gpu" if detail_of(plan).backend == LMAnnotator.Backend.LOCAL else "default",
        actor=actor,
    )
    plan.summary = {
        **plan.summary,
        "second": {
            **second,
            "job_id": str(job.pk),
            "account_id": str(account.pk),
            "most": str(Decimal(most) / MICROS),
        },
    }
    plan.save(update_fields=["summary"])


def stop(plan: RoutingPlan) -> None:
    """Let a plan that is replaced ask its strong model nothing more: what calls under way hold is all they may take.

    So what it has spent and holds now, which `pacing` takes off its successor's budget, does not grow behind its back.
    """
    account = (plan.summary.get("second") or {}).get("account_id")
    if account:
        Account.objects.filter(pk=account).update(cap_micros=F("spent_micros") + F("held_micros"))
    job = job_of(plan)
    if job is not None:
        runner.cancel(job)


def job_of(plan: RoutingPlan) -> Job | None:
    """The job that asks the strong model for this plan."""
    pk = (plan.summary.get("second") or {}).get("job_id")
    return Job.objects.filter(pk=pk).first() if pk else None


def run(plan: RoutingPlan, *, owner: str, account_id: str, report) -> dict:
    """Ask it; as `runs.run`, over this plan's items only. Raises CannotAnnotate, engine.RunFailed."""
    detail = detail_of(plan)
    if detail is None:
        raise annotate.CannotAnnotate("The second model is gone.")
    items = Decision.objects.filter(plan=plan, queue=queue_of(detail.annotator_id)).values("item_id")
    return runs.run(detail=detail, owner=owner, account_id=account_id, only=items, report=report)
