"""Draft, apply, replace, discard: routes, money and the queue."""

from __future__ import annotations

import json
import uuid
from decimal import Decimal
from functools import partial

import pytest
from django.core.management import CommandError, call_command

from annotations.items.models import Item
from annotations.judging import queue
from annotations.judging.answers import Answer, ComparisonAnswer
from annotations.judging.submit import submit
from annotations.projects.models import Project
from app.accounts.models import AuditEvent
from app.jobs import runner
from app.jobs.models import Job
from app.ledger.ledger import BudgetExceeded
from app.ledger.models import Account
from routing.plans import apply as applying
from routing.plans import build, effect, words
from routing.plans.apply import apply_plan, drop_plan
from routing.plans.budget import Budget, parse_budget
from routing.plans.draft import PlanError, draft_plan
from routing.plans.models import Decision, RoutingPlan
from tests.threads import at_once

pytestmark = pytest.mark.django_db


def fund(project, cap="100", each="0.5"):
    account = Account.objects.create(name=project.name, cap_micros=int(Decimal(cap) * 1_000_000))
    Project.objects.filter(pk=project.pk).update(account_id=account.pk, human_cost=Decimal(each))
    project.refresh_from_db()
    return account


def make(project, budget="0.25", **options):
    options.setdefault("seed", 5)
    plan = draft_plan(
        project=project, budget=parse_budget(budget, currency="EUR"), in_background=False, **options
    )
    return build.build_plan(plan)


def judge_next(annotator):
    """Lease and answer the person's next item; returns it, None when the queue is empty."""
    lease = queue.next_assignment(annotator)
    if lease is None:
        return None
    submit(
        annotator=annotator,
        item_id=lease.item_id,
        schema_id=annotator.project.schema_id,
        uuid=uuid.uuid4(),
        answer=Answer(comparisons=(ComparisonAnswer(0, 1, preference=1, scale_max=1),)),
        origin="page",
        assignment_id=lease.pk,
    )
    return lease.item_id


@pytest.fixture
def pairs(plain_project, make_item, judge):
    """Twenty items; the model is surer of each than of the one before, and has not judged the first two."""
    items = [make_item(f"prompt {i}") for i in range(20)]
    for i, item in enumerate(items[2:]):
        judge("m", "lm", item, "b", probability=0.5 + i / 40)
    return items


def test_real_pairs_make_a_draft_that_changes_nothing(plain_project, real_pairs):
    before = list(Item.objects.order_by("pk").values())
    plan = draft_plan(project=plain_project, budget=Budget(share=0.25), seed=5)
    assert (plan.number, plan.state) == (1, "building")
    job = runner.run(Job.objects.get().pk)
    assert (job.state, job.result) == ("succeeded", {"plan": 1, "people": 15, "items": 60})
    plan.refresh_from_db()
    done = plan.summary
    assert (plan.state, done["people"], done["audits"], done["chosen"], done["lm"]) == (
        "draft",
        15,
        3,
        12,
        45,
    )
    assert done["judged_already"] == 15
    assert done["judgments"] == 0
    assert words.sentence(plan) == "Plan 1 would send 15 of 60 items to people; 4 of them are audits."
    rows = list(plan.decisions.order_by("-score"))
    assert len(rows) == 60
    by_score = [row for row in rows if row.route == "human"]
    assert min(row.score for row in by_score) == plan.threshold
    assert all(row.score <= plan.threshold for row in rows if row.route == "lm")
    # a model without a verdict or contradicting itself is among the reasons of what goes to people
    codes = {reason["code"] for row in by_score for reason in row.reasons}
    assert codes & {"no_verdict", "contradicts_itself", "others_disagree", "unsure"}
    assert sum(done["histogram"]["people"]) + sum(done["histogram"]["lm"]) == 60
    assert list(Item.objects.order_by("pk").values()) == before


def test_the_job_may_run_again_from_the_top(plain_project, pairs, monkeypatch):
    plan = draft_plan(project=plain_project, budget=Budget(share=0.5), seed=1)
    monkeypatch.setattr(build, "WRITE", 5)
    calls = []

    def die(done, total, message):
        calls.append(done)
        if len(calls) == 4:
            raise RuntimeError("killed")

    with pytest.raises(RuntimeError):
        build.build_plan(plan, die)
    assert 0 < plan.decisions.count() < 20
    runner.run(Job.objects.get().pk)
    plan.refresh_from_db()
    assert (plan.state, plan.decisions.count()) == ("draft", 20)


def test_the_queue_obeys_an_applied_plan(plain_project, pairs, annotator, alice):
    plan = make(plain_project, "0.5", audit_share=0.1)
    new = Item.objects.get(pk=pairs[0].pk)
    apply_plan(plan=plan, actor=alice)

    routes = dict(Item.objects.values_list("pk", "route"))
    assert sorted(routes.values()) == ["both"] * 2 + ["human"] * 8 + ["lm"] * 10
    assert set(Item.objects.filter(route="lm").values_list("open_slots", flat=True)) == {0}
    assert set(Item.objects.values_list("route_ref", flat=True)) == {"plan:1"}
    assert Item.objects.get(pk=new.pk).human_propensity == 1.0
    assert AuditEvent.objects.filter(action="plan.applied", actor=alice).count() == 1

    order = list(
        Item.objects.filter(route__in=["human", "both"]).order_by("-priority").values_list("pk", flat=True)
    )
    leased = []
    while (item_id := judge_next(annotator)) is not None:
        leased.append(item_id)
    assert leased == order
    assert len(leased) == 10
    assert effect.progress(plan) == effect.Progress(judged=10, wanted=10, audits_judged=3, audits=3)
    ((name, tally),) = effect.audit_tallies(plan)
    assert (name, tally.agreement["n"]) == ("m", tally.judged)
    # the model's judgments keep propensity 1, people's carry the plan's
    stated = dict(plan.decisions.values_list("item_id", "propensity"))
    assert {j.item_id: j.propensity for j in annotator.judgments.all()} == {
        item_id: stated[item_id] for item_id in leased
    }


def test_wanted_is_respected_and_what_was_judged_counts(plain_project, pairs, annotator, judge):
    for item in pairs[:4]:
        judge("old one", "human", item, "a")
        judge("old two", "human", item, "a")
    plan = make(plain_project, "1", overlap=2)
    assert plan.summary["judgments"] == 2 * 16
    apply_plan(plan=plan)
    assert list(Item.objects.order_by("pk").values_list("wanted", "open_slots"))[3:5] == [(2, 0), (2, 2)]
    while judge_next(annotator) is not None:
        pass
    assert annotator.judgments.count() == 16
    assert effect.progress(plan).judged == 8 + 16


def test_applying_twice_is_harmless_and_money_is_held_once(plain_project, pairs):
    account = fund(plain_project)
    plan = make(plain_project, "0.5", audit_share=0.1)
    assert (
        words.sentence(plan)
        == "Plan 1 would send 10 of 20 items to people for 5.00 EUR; 3 of them are audits."
    )
    first = apply_plan(plan=plan)
    again = apply_plan(plan=RoutingPlan.objects.get())
    assert (first.applied_at, first.reservation_id) == (again.applied_at, again.reservation_id)
    account.refresh_from_db()
    assert (account.held, account.spent) == (5, 0)
    assert AuditEvent.objects.filter(action="plan.applied").count() == 1


def test_the_next_plan_pays_what_was_earned_and_frees_the_rest(plain_project, pairs, annotator):
    account = fund(plain_project, cap="6")
    first = make(plain_project, "0.5", audit_share=0.1)
    first = apply_plan(plan=first)
    for _ in range(3):
        judge_next(annotator)
    assert applying.earned(first) == 3
    second = make(plain_project, "4.50EUR")
    assert (second.summary["judgments"], second.summary["cost"]) == (9, "4.5")
    apply_plan(plan=second)
    first.refresh_from_db()
    account.refresh_from_db()
    assert (first.state, account.spent, account.held, account.left) == (
        "replaced",
        Decimal("1.5"),
        Decimal("4.5"),
        0,
    )


def test_a_plan_beyond_the_account_changes_nothing(plain_project, pairs):
    account = fund(plain_project, cap="3")
    apply_plan(plan=make(plain_project, "0.25"))
    before = list(Item.objects.order_by("pk").values())
    plan = make(plain_project, "1")
    with pytest.raises(BudgetExceeded, match=r"10\.00 EUR asked for, 3\.00 EUR left of 3\.00 EUR"):
        apply_plan(plan=plan)
    account.refresh_from_db()
    assert account.held == Decimal("2.5")
    assert list(RoutingPlan.objects.order_by("number").values_list("state", flat=True)) == [
        "applied",
        "draft",
    ]
    assert list(Item.objects.order_by("pk").values()) == before


def test_a_draft_whose_prices_rose_is_refused(plain_project, pairs):
    fund(plain_project)
    plan = make(plain_project, "5EUR")
    assert (plan.summary["people"], plan.summary["cost"]) == (10, "5")
    Project.objects.filter(pk=plain_project.pk).update(human_cost=Decimal("0.6"))
    with pytest.raises(PlanError, match=r"6\.00 EUR, more than its budget of 5\.00 EUR"):
        apply_plan(plan=plan)
    assert not Item.objects.exclude(route="human").exists()


def test_items_that_came_later_keep_their_route(plain_project, pairs, make_item):
    plan = make(plain_project, "0.25")
    late = make_item("late")
    apply_plan(plan=plan)
    late.refresh_from_db()
    assert (late.route, late.route_ref, late.open_slots) == ("human", "", 1)


def test_the_random_policy_is_uniform(plain_project, pairs):
    plan = make(plain_project, "0.25", policy="random")
    assert plan.summary["people"] == 5
    # four by lot, and one audit of the other sixteen: given the lot, each stands with the chance it had
    assert {round(row.propensity, 12) for row in plan.decisions.filter(route="human")} == {1.0}
    assert {round(row.propensity, 12) for row in plan.decisions.exclude(route="human")} == {1 / 16}
    assert {tuple(row.reasons) for row in plan.decisions.all()} == {()}


def test_baselines_are_heard_only_where_no_model_is(plain_project, pairs):
    from annotations.lm import annotate, registry

    detail = registry.add_baseline(project=plain_project)
    annotate.annotate(detail=detail)
    assert [row["name"] for row in make(plain_project).summary["annotators"]] == ["m"]


@pytest.mark.parametrize(
    ("budget", "text"), [("0.01", "less than one item"), ("5EUR", "needs the cost of one human judgment")]
)
def test_a_budget_that_buys_nothing_is_said_so(plain_project, pairs, budget, text):
    with pytest.raises(PlanError, match=text):
        make(plain_project, budget)
    assert not Decision.objects.exists()
    assert not RoutingPlan.objects.exclude(state="failed").exists()


def test_a_discarded_draft_cannot_come_back(plain_project, pairs, alice):
    plan = make(plain_project)
    drop_plan(plan=plan, actor=alice)
    assert (RoutingPlan.objects.get().state, Decision.objects.count()) == ("dropped", 0)
    with pytest.raises(PlanError, match="only a draft"):
        apply_plan(plan=plan)
    applied = make(plain_project)
    assert applied.number == 2
    apply_plan(plan=applied)
    with pytest.raises(PlanError, match="only a draft"):
        drop_plan(plan=applied)
    assert Decision.objects.filter(plan=applied).count() == 20


def test_the_command_drafts_and_applies(plain_project, pairs, capsys):
    fund(plain_project)
    call_command("route", "pairs", "--budget", "4EUR", "--seed", "3", "--json")
    said = json.loads(capsys.readouterr().out.strip().splitlines()[-1])
    assert (said["state"], said["people"], said["audits"], said["cost"], said["seed"]) == (
        "draft",
        8,
        1,
        "4",
        3,
    )
    assert not Item.objects.exclude(route="human").exists()
    call_command("route", "pairs", "--budget", "0.25", "--apply")
    assert capsys.readouterr().out.startswith("Plan 2 sends 5 of 20 items to people for 2.50 EUR;")
    assert Item.objects.filter(route="lm").count() == 15
    for bad in (["--budget", "2"], ["--budget", "3USD"], ["--budget", "0.5", "--annotator", "nobody"]):
        with pytest.raises(CommandError) as error:
            call_command("route", "pairs", *bad)
        assert error.value.returncode == 2


@pytest.mark.django_db(transaction=True)
def test_two_plans_racing_are_never_both_in_force_nor_overspent(plain_project, pairs):
    account = fund(plain_project, cap="7")
    plans = [make(plain_project, "0.6", seed=seed, audit_share=0.1) for seed in range(4)]

    def race(plan):
        apply_plan(plan=RoutingPlan.objects.get(pk=plan.pk))
        return "applied"

    assert at_once(partial(race, plan) for plan in plans) == ["applied"] * 4
    states = sorted(RoutingPlan.objects.values_list("state", flat=True))
    assert states == ["applied", "replaced", "replaced", "replaced"]
    account.refresh_from_db()
    assert (account.held, account.spent) == (6, 0)
    winner = RoutingPlan.objects.get(state="applied")
    assert set(Item.objects.values_list("route_ref", flat=True)) == {f"plan:{winner.number}"}
    assert set(Item.objects.filter(open_slots__gt=0).values_list("pk", flat=True)) == set(
        winner.decisions.exclude(route="lm").values_list("item_id", flat=True)
    )
