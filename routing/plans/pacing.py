"""How much of a plan's money may be spent by now: what is here gets its part of what is expected, less what was paid.

A budget B for N expected items lets B · n / N be spent once n are here. A plan that keeps up is a chain of plans with one
budget, so what people were paid since the first of them, and what its strong model was, is taken off. What one plan leaves,
because nothing more was to gain or nobody judged yet, is there for the next.
"""

from __future__ import annotations

from django.db.models import Q

from annotations.judging.counters import ANSWERS
from annotations.judging.models import Judgment
from annotations.projects.models import Annotator
from app.ledger.ledger import to_micros
from app.ledger.models import Account

from .models import RoutingPlan


def root_of(plan: RoutingPlan) -> int:
    """The first plan of the chain that this one belongs to."""
    return plan.parameters.get("root") or plan.pk


def so_far(plan: RoutingPlan, n: int) -> int:
    """Millionths that may be spent with `n` items here, what was paid included."""
    expected = plan.parameters.get("expected_items") or n
    return to_micros(plan.budget_money) * n // max(n, expected)


def paid(plan: RoutingPlan, each: int) -> int:
    """Millionths paid from the plan's budget by the plans it follows: judgments since the first one, and model calls, those
    under way at what they hold."""
    if plan.follows_id is None:
        return 0
    root = root_of(plan)
    chain = RoutingPlan.objects.filter(Q(pk=root) | Q(parameters__root=root), project=plan.project_id)
    first, accounts = None, []
    for applied_at, summary in chain.exclude(pk=plan.pk).values_list("applied_at", "summary"):
        first = applied_at if first is None or (applied_at and applied_at < first) else first
        accounts.append((summary.get("second") or {}).get("account_id"))
    if first is None:
        return 0
    given = Judgment.objects.filter(
        project=plan.project_id,
        annotator__kind=Annotator.Kind.HUMAN,
        outcome__in=ANSWERS,
        received_at__gte=first,
        item__route_ref__startswith="plan:",
    )
    judgments = given.exclude(supersedes__outcome__in=ANSWERS).count()  # a correction is not a second one
    calls = Account.objects.filter(pk__in=[pk for pk in accounts if pk]).values_list(
        "spent_micros", "held_micros"
    )
    return judgments * each + sum(spent + held for spent, held in calls)
