"""Put a plan in force, replace the one before, or discard a draft. Every locking query of this room is here."""

from __future__ import annotations

from decimal import Decimal

from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from annotations.items.models import Item
from annotations.items.routes import RouteSetting, set_routes
from annotations.judging.counters import ANSWERS
from annotations.judging.models import Judgment
from annotations.projects.models import Annotator, Project
from app.accounts import audit
from app.ledger import ledger
from app.ledger.ledger import to_micros
from app.ledger.models import MICROS, Account, Reservation

from . import cascade, pacing
from .budget import in_words
from .draft import PlanError, job_of
from .models import Decision, RoutingPlan

SENT_TO_PEOPLE = [Item.Route.HUMAN, Item.Route.BOTH]


@transaction.atomic
def apply_plan(*, plan: RoutingPlan, actor=None) -> RoutingPlan:
    """Set the routes of every item the draft decided, and hold its money; the plan before is replaced.

    Takes the project's lock, then the plans', the project's account's, then the items' in order of id. One transaction:
    with any error nothing changes. A plan in force stays as it is. The judgments still needed are counted again, since people
    may have judged since the draft was made; the amount held is never above the plan's budget in money. Raises
    PlanError, or ledger.BudgetExceeded if the project's account does not have the amount.
    """
    project = Project.objects.select_for_update().get(pk=plan.project_id)
    plans = {
        each.pk: each
        for each in RoutingPlan.objects.select_for_update().filter(project=project).order_by("pk")
        if each.pk == plan.pk or each.state == RoutingPlan.State.APPLIED
    }
    plan = plans[plan.pk]
    if plan.state == plan.State.APPLIED:
        return plan
    if plan.state != plan.State.DRAFT:
        raise PlanError(
            f"Plan {plan.number} is {plan.get_state_display().lower()}; only a draft can be applied."
        )
    # A call of a model holds money in the project's account, then in its run's: so does this.
    Account.objects.select_for_update().filter(pk=project.account_id).first()
    for other in plans.values():
        if other.pk != plan.pk:
            _replace(other)
    settings, judgments = _settings(plan)
    plan.reservation_id, left = _hold(plan, project, judgments)
    plan.state, plan.applied_at = plan.State.APPLIED, timezone.now()
    plan.save(update_fields=["state", "applied_at", "reservation_id"])
    changed = set_routes(project=project, settings=settings, ref=f"plan:{plan.number}")
    cascade.ask(plan, most=left, actor=actor)
    audit.record(
        actor=actor,
        action="plan.applied",
        scope=project.slug,
        target=str(plan),
        items=changed,
        people=plan.summary.get("people"),
        judgments=judgments,
    )
    return plan


def _settings(plan: RoutingPlan) -> tuple[list[RouteSetting], int]:
    """The route of each decided item, and how many judgments people still have to give."""
    rows = (
        Decision.objects.filter(plan=plan, item__withdrawn_at__isnull=True)
        .order_by("item_id")
        .values_list("item_id", "route", "propensity", "is_audit", "priority", "queue", "item__n_human")
    )
    second = (plan.summary.get("second") or {}).get("id")
    strong = cascade.queue_of(second) if second else None
    kept = Annotator.objects.filter(project=plan.project_id, pk=(plan.summary.get("final") or {}).get("id"))
    final = kept.values_list("pk", flat=True).first()
    settings, judgments = [], 0
    for item_id, route, propensity, is_audit, priority, queue, judged in rows.iterator(chunk_size=5000):
        settings.append(
            RouteSetting(
                item_id,
                route,
                propensity,
                is_audit,
                priority,
                wanted=max(plan.overlap, judged),
                label_by=second if strong and queue == strong else final,
                label_fallback=final if strong and queue == strong else None,
            )
        )
        if route != Item.Route.LM:
            judgments += max(0, plan.overlap - judged)
    return settings, judgments


def _hold(plan: RoutingPlan, project: Project, judgments: int):
    """Reserve what the judgments cost; returns the reservation's id, None where they cost nothing, and the millionths of
    the plan's budget that are left for the strong model: at most twice what it is to cost, for prices are means."""
    second = to_micros(2 * Decimal((plan.summary.get("second") or {}).get("cost", "0")))
    amount = project.human_cost * judgments
    before = Decimal(pacing.paid(plan, to_micros(project.human_cost))) / MICROS
    if amount and plan.budget_money is not None and amount + before > plan.budget_money:
        raise PlanError(
            f"Plan {plan.number} would now cost {in_words(amount + before, plan.currency)}, more than its budget of "
            f"{in_words(plan.budget_money, plan.currency)}: prices or judgments changed since it was made. Make a "
            "new plan."
        )
    rest = max(Decimal(0), (plan.budget_money or 0) - amount - before)
    left = min(second, to_micros(rest))
    if not amount:
        return None, left
    if project.account_id is None:
        raise PlanError(
            "Judgments cost money here, but the project has no account to hold it. Set a budget first."
        )
    held = ledger.reserve(
        account_id=project.account_id,
        amount=amount,
        purpose="plan",
        reference=f"{project.slug} plan:{plan.number}",
    )
    return held.pk, left


def earned(plan: RoutingPlan) -> int:
    """Judgments people gave on the plan's items since it was applied; a correction is not a second one."""
    if plan.applied_at is None:
        return 0
    given = Judgment.objects.filter(
        item__in=Decision.objects.filter(plan=plan, route__in=SENT_TO_PEOPLE).values("item_id"),
        annotator__kind=Annotator.Kind.HUMAN,
        outcome__in=ANSWERS,
        received_at__gte=plan.applied_at,
    )
    corrections = Q(supersedes__outcome__in=ANSWERS)
    return given.exclude(corrections).count()


def held_by(plan: RoutingPlan) -> Decimal | None:
    """Money the plan holds now, None if it holds none."""
    reservation = Reservation.objects.filter(pk=plan.reservation_id, state=Reservation.State.HELD).first()
    return Decimal(reservation.amount_micros) / MICROS if reservation else None


def _replace(plan: RoutingPlan) -> None:
    """Take a plan out of force: pay what people earned under it, free the rest, and let its strong model be asked no
    further. Caller holds its lock."""
    reservation = Reservation.objects.filter(pk=plan.reservation_id, state=Reservation.State.HELD).first()
    if reservation is not None:
        held = Decimal(reservation.amount_micros) / MICROS
        each = Decimal(plan.summary.get("cost_each", "0"))
        ledger.settle(reservation=reservation, amount=min(held, each * earned(plan)))
    cascade.stop(plan)
    plan.state = plan.State.REPLACED
    plan.save(update_fields=["state"])


@transaction.atomic
def drop_plan(*, plan: RoutingPlan, actor=None) -> RoutingPlan:
    """Discard a draft, or a plan whose making failed or was cancelled; its decisions are deleted, its number is not.

    Takes the plan's lock. Raises PlanError for a plan that is or was in force, or is still being made.
    """
    plan = RoutingPlan.objects.select_for_update(of=("self",)).select_related("project").get(pk=plan.pk)
    if plan.state == plan.State.DROPPED:
        return plan
    job = job_of(plan)
    stuck = plan.state == plan.State.BUILDING and (job is None or job.is_finished)
    if plan.state not in {plan.State.DRAFT, plan.State.FAILED} and not stuck:
        state = plan.get_state_display().lower()
        raise PlanError(f"Plan {plan.number} is {state}; only a draft can be discarded.")
    Decision.objects.filter(plan=plan).delete()
    plan.state = plan.State.DROPPED
    plan.save(update_fields=["state"])
    audit.record(actor=actor, action="plan.discarded", scope=plan.project.slug, target=str(plan))
    return plan
