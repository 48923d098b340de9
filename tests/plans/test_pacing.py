"""A budget over time: items come in, people judge, plans follow each other; the money is spent to the end and not beyond."""

from __future__ import annotations

from decimal import Decimal

import pytest

from annotations.items.models import Item
from annotations.judging.models import Judgment
from annotations.projects.models import Project
from app.ledger.models import Account
from routing.plans import build, online, pacing
from routing.plans.apply import apply_plan, earned
from routing.plans.budget import Budget
from routing.plans.draft import draft_plan

pytestmark = pytest.mark.django_db
STAGES, EACH_STAGE, MONEY = 5, 24, 36


@pytest.mark.parametrize("lazy", [False, True])
def test_money_lasts_for_all_expected_items_and_none_is_left(
    plain_project, make_item, judge, monkeypatch, lazy
):
    """A judgment costs 1; 36 are to last for 120 items. `lazy`: people judge nothing in the second stage."""
    account = Account.objects.create(name="money", cap_micros=MONEY * 1_000_000)
    Project.objects.filter(pk=plain_project.pk).update(account_id=account.pk, human_cost=Decimal(1))
    plain_project.refresh_from_db()
    monkeypatch.setattr(online, "NEW_ITEMS", 1)
    plan = None
    for stage in range(STAGES):
        for i in range(stage * EACH_STAGE, (stage + 1) * EACH_STAGE):
            item = make_item(f"prompt {i}", (f"{i} a", f"{i} b"), external_id=f"s{i}")
            judge("m", "lm", item, "b", probability=0.6 if i % 3 == 0 else 0.95)
        if plan is None:
            plan = draft_plan(
                project=plain_project, budget=Budget(money=Decimal(MONEY), currency="EUR"), policy="lm_confidence",
                expected_items=STAGES * EACH_STAGE, online=True, overlap=1, seed=1, in_background=False,
            )  # fmt: skip
        else:
            plan = online.succeed(plan, in_background=False)
        build.build_plan(plan)
        plan = apply_plan(plan=plan)
        n = (stage + 1) * EACH_STAGE
        given = Judgment.objects.filter(annotator__kind="human").count()
        assert pacing.paid(plan, 1_000_000) == given * 1_000_000
        assert given + plan.summary["judgments"] <= MONEY * n / (STAGES * EACH_STAGE)
        assert (
            given + plan.summary["judgments"] >= int(MONEY * n / (STAGES * EACH_STAGE)) - 1
        )  # and little less
        account.refresh_from_db()
        assert account.spent_micros + account.held_micros <= account.cap_micros
        if not (lazy and stage == 1):
            for item in Item.objects.filter(route__in=["human", "both"], n_human=0).order_by("-priority"):
                judge("ann", "human", item, "b")
    given = Judgment.objects.filter(annotator__kind="human").count()
    assert MONEY - 1 <= given <= MONEY
    account.refresh_from_db()
    assert earned(plan) > 0
    assert account.held_micros + account.spent_micros <= MONEY * 1_000_000
    audits = Item.objects.filter(is_audit=True).count()
    assert audits >= 0.05 * STAGES * EACH_STAGE
