"""Cheap model → strong model → human: the optimum on planted truth, and a plan that asks the strong model what it is worth."""

from __future__ import annotations

import contextlib
import json
import re
from decimal import Decimal
from types import SimpleNamespace

import numpy as np
import pytest
from django.db import connection
from django.urls import reverse
from scipy.special import expit

from annotations.datasets import aggregate
from annotations.datasets.export import write_export
from annotations.datasets.rows import Query, item_rows, last_judgment
from annotations.datasets.snapshots import freeze_now
from annotations.items.models import Item
from annotations.judging.models import Judgment, LMCall
from annotations.lm.engine import OutOfMoney
from annotations.lm.models import Endpoint, LMAnnotator
from annotations.projects.models import Annotator
from app.jobs import runner
from app.jobs.models import Job
from app.ledger.models import Account
from app.web.numbers import money
from routing.plans import build, cascade, deciding, outlook, pacing, policies, worth
from routing.plans import tasks as plan_tasks  # noqa: F401 - registers handlers
from routing.plans.allocation import allocate
from routing.plans.apply import apply_plan
from routing.plans.budget import Budget
from routing.plans.draft import PlanError, default_annotators, draft_plan
from routing.plans.models import RoutingPlan
from routing.predict import label_error

N = 12_000


# --- Planted truth ------------------------------------------------------------------------------------------
def planted(seed=0):
    """Errors of a cheap model, of a strong one and of people; labels of 2,500 items, and what is predicted from them."""
    from tests.plans.test_planted import world

    pool, e, _ = world(seed, n=N, labels=2500)
    X = pool.text
    strong = expit(-2.2 + 1.1 * X[:, 2] + 0.4 * X[:, 0])  # wrong elsewhere than the cheap one
    rng = np.random.default_rng(seed + 1)
    wrong = np.where(np.isnan(pool.error), np.nan, (rng.random(N) < strong).astype(float))
    predicted = label_error.predict(pool.design(), pool.labels(), pool.group).mean
    second = label_error.predict(pool.design(), wrong, pool.group).mean
    return pool, e, strong, predicted, second


class Known(SimpleNamespace):
    """What a decision reads of a project's items."""

    def __len__(self) -> int:
        return len(self.pool)


@pytest.mark.parametrize(("price", "h"), [(60, 0.02), (60, 0.15), (400, 0.05)])
def test_the_cascade_is_within_five_percent_of_the_optimum_at_every_budget(price, h):
    """Through the plan's own allocation; a person costs 1,000. The optimum knows every error rate."""
    pool, e, strong, predicted, second = planted()
    cost, n = np.full(N, 1000), len(pool)
    nobody = np.zeros(n, dtype=bool)
    known = Known(
        pool=pool, injected=nobody, planned=nobody, audit=nobody, judged=np.zeros(n), route=np.full(n, "human"),
        propensity=np.ones(n),
    )  # fmt: skip
    offer = cascade.Offer(1, "strong", predicted - second, np.full(n, price), nobody, ~nobody, -1, 2500, 0.1)
    scores = policies.Scores(predicted - h, True, lambda i: [])
    plan = SimpleNamespace(follows_id=None, audit_share=0.05, seed=3, overlap=1)
    for share in (0.08, 0.15, 0.3, 0.6, 1.0):
        money = int(share * 1000 * n)
        found = deciding.decide(plan, known, scores, cost, money, np.array([-1]), None, offer)
        audits = found.people & ~found.chosen
        spent = 1000 * int(found.people.sum()) + price * int(found.second.sum())
        assert spent <= money
        assert not (found.second & found.chosen).any()
        assert (found.propensity[found.second] < 1).all()
        assert (found.propensity >= 0.05 - 1e-9).all()
        gain = (e - h)[found.chosen].sum() + (e - strong)[found.second].sum()
        ideal = allocate(
            gain=np.column_stack([e - h, e - strong]), cost=np.array([1000, price]),
            budget=money - 1000 * int(audits.sum()), people=np.array([True, False]), audit_share=0.0,
        )  # fmt: skip
        assert gain >= 0.95 * ideal.value, (share, gain / ideal.value)
        alone = deciding.decide(plan, known, scores, cost, money, np.array([-1]), None)
        assert gain > (e - h)[alone.chosen].sum()  # the queue in between is worth its price


# --- A plan -------------------------------------------------------------------------------------------------
@pytest.fixture
def cascading(plain_project, make_item, judge, lm_annotator, asker, funded):
    """160 items: the cheap model errs on a third, the strong one never; people and it have judged the first 48."""
    account = funded("50")
    plain_project.refresh_from_db()
    plain_project.human_cost = Decimal("0.20")
    plain_project.save(update_fields=["human_cost"])
    items = []
    for i in range(160):
        item = make_item(f"prompt {i}", (f"plain {i}", f"good answer {i}"), external_id=f"c{i}")
        judge("cheap", "lm", item, "a" if i % 3 == 0 else "b", probability=0.45 if i % 3 == 0 else 0.95)
        if i < 48:
            judge("ann", "human", item, "b")
        items.append(item)
    strong = lm_annotator("obedient", name="strong")
    asker(strong, limit=48)
    return items, strong, account


def draft(project, strong, money="6", **options):
    models = [row for row in default_annotators(project) if row.annotator.name == "cheap"]
    plan = draft_plan(
        project=project, budget=Budget(money=Decimal(money), currency="EUR"), annotators=models, second=strong,
        seed=4, in_background=False, **options,
    )  # fmt: skip
    return build.build_plan(plan)


@pytest.mark.django_db
def test_a_plan_asks_the_strong_model_where_it_gains_most_for_the_money_and_no_further(
    plain_project, cascading, judge, alice_client, scripted
):
    items, strong, _ = cascading
    plan = draft(plain_project, strong, overlap=1)
    second = plan.summary["second"]
    mine = plan.decisions.filter(queue=f"lm:{strong.annotator_id}")
    assert second["items"] == mine.count() > 30
    assert second["to_ask"] == mine.filter(item__in=items[48:]).count() > 20
    wrong = {item.pk for i, item in enumerate(items) if i % 3 == 0}
    assert (
        set(mine.values_list("item_id", flat=True)) <= wrong
    )  # where the cheap one is right there is no gain
    assert set(mine.values_list("route", flat=True)) <= {"lm", "both"}
    assert not mine.filter(accepted=True).exists()
    page = alice_client.get(reverse("plans:detail", args=["pairs", plan.number])).content.decode()
    assert "To ask" in page
    assert f"{second['to_ask']} items, about {money(second['cost'])} EUR" in page

    before = len(scripted.requests)
    plan = apply_plan(plan=plan)
    job = Job.objects.get(kind=cascade.KIND)
    runner.run(job.pk)
    job.refresh_from_db()
    assert (job.state, job.result["judged"], job.result["left"]) == ("succeeded", second["to_ask"], 0)
    assert (
        len(scripted.requests) - before == 2 * second["to_ask"]
    )  # both orders, of these items and no others
    judged = Judgment.objects.filter(annotator=strong.annotator, is_current=True, item__in=items[48:])
    assert set(judged.values_list("item_id", flat=True)) == set(
        mine.filter(item__in=items[48:]).values_list("item_id", flat=True)
    )
    page = alice_client.get(reverse("plans:detail", args=["pairs", plan.number])).content.decode()
    plan.refresh_from_db()
    assert f", at most {money(plan.summary['second']['most'])} EUR" in page
    assert "part and that of strong are each measured by audits" in page
    own = Account.objects.get(pk=job.args["account_id"])
    assert (own.held_micros, own.spent_micros <= own.cap_micros) == (0, True)
    held = Decimal(plan.summary["cost"])
    assert held + Decimal(own.cap_micros) / 1_000_000 <= plan.budget_money
    assert Item.objects.filter(pk__in=mine.values("item_id"), route="human").count() == 0
    assert set(Item.objects.filter(label_by=strong.annotator).values_list("pk", flat=True)) == set(
        mine.values_list("item_id", flat=True)
    )
    labels = {}
    for row in item_rows(
        plain_project, Query(), cutoff=last_judgment(plain_project, connection), reader=connection
    ):
        for label in aggregate.label_pairs(row.native):
            labels[row.native["plumbline"]["item"]] = (label.kind, label.verdict)
    alone = mine.filter(is_audit=False, item__n_human=0).values_list("item_id", flat=True)
    assert {labels[pk] for pk in alone} == {("lm", "second")}  # the strong one's word, and no tie of two

    audited = [row.item for row in mine.filter(is_audit=True, item__in=items[48:]).select_related("item")]
    for item in items[48:]:
        if plan.decisions.get(item=item).route != "lm":
            judge("ann", "human", item, "b")
    found = worth.measure(plan)["second"]
    if len(audited) >= 5:
        assert (found["value"], found["n"] >= len(audited)) == (1.0, True)


def test_judgments_that_cost_nothing_say_nothing_of_the_price(cascading):
    _, strong, _ = cascading
    price = cascade.price_of(strong)
    assert price > 0
    half = Judgment.objects.filter(annotator=strong.annotator).order_by("pk").values("pk")[:24]
    LMCall.objects.filter(judgment__in=[row["pk"] for row in half]).update(cost_micros=None)  # as if imported
    assert cascade.price_of(strong) == pytest.approx(price, rel=0.1)


@pytest.mark.django_db
def test_the_slider_says_what_the_strong_model_does_and_drafts_with_it(
    plain_project, cascading, alice_client, bob_client
):
    _, strong, _ = cascading
    plan = draft(plain_project, strong, overlap=1, expected_items=320, online=True, audit_share=0.08)
    stored = plan.summary["outlook"]
    assert stored["second"] == "strong"
    assert plan.summary["second"]["items"] > 0
    shares = [point["share"] for point in stored["points"]]
    few, fifth, everything = (stored["points"][shares.index(share)] for share in (0.05, 0.2, 1.0))
    assert few["second_items"] > 30  # where the cheap one errs
    assert few["second_right"] > 0.5 * few["second_items"]
    assert (everything["second_items"], everything["second_micros"]) == (0, 0)
    assert 5 < fifth["second_items"] < few["second_items"]  # people have taken some
    url = reverse("plans:outlook", args=["pairs", plan.number])
    part = alice_client.get(url, {"share": "20"}, HTTP_HX_REQUEST="true").content.decode()
    assert (
        f"strong has the word on {fifth['second_items']:,} more: {fifth['second_to_ask']} to ask, about 0."
        in part
    )
    assert "The label error left counts only what people put right." in part
    assert "only people&#x27;s part is measured here" in part  # under the plot
    assert stored["useful"] == 13 / 160
    assert "people put nothing more right beyond about 8 %" in part
    last = alice_client.get(url, {"share": "100"}, HTTP_HX_REQUEST="true").content.decode()
    assert "strong is given nothing at this share" in last

    again = reverse("plans:again", args=["pairs", plan.number])
    assert bob_client.post(again, {"share": "20"}).status_code in {403, 404}
    assert RoutingPlan.objects.count() == 1
    assert alice_client.post(again, {"share": "20"}).status_code == 302
    made = RoutingPlan.objects.latest("pk")
    same = ("alpha", "expected_items", "online", "second")
    assert {name: made.parameters[name] for name in same} == {name: plan.parameters[name] for name in same}
    assert (made.audit_share, made.overlap, made.seed, made.budget_share) == (0.08, 1, 4, None)
    cost = Decimal(outlook.money_at(fifth)) / 1_000_000
    assert abs(made.budget_money - 2 * cost) < Decimal("0.001")  # half of the 320 items expected are here
    made = build.build_plan(made)
    assert (
        made.summary["people"] == 13
    )  # the audits: where strong is asked, people gain nothing more, as the page said
    assert made.summary["second"]["name"] == "strong"
    spent = Decimal(made.summary["cost"]) + Decimal(made.summary["second"]["cost"])
    assert spent <= cost + Decimal("0.001")


@pytest.mark.django_db
def test_the_money_of_the_plan_is_the_end_of_it(plain_project, cascading, scripted):
    _, strong, _ = cascading
    plan = draft(plain_project, strong, overlap=1)
    plan.summary["second"]["cost"] = "0.001"  # as if it were to cost much less than it does
    plan.save(update_fields=["summary"])
    before = len(scripted.requests)
    apply_plan(plan=plan)
    job = Job.objects.get(kind=cascade.KIND)
    runner.run(job.pk)
    job.refresh_from_db()
    assert job.state == "succeeded"
    assert "budget does not allow" in job.result["stopped"]
    own = Account.objects.get(pk=job.args["account_id"])
    assert (own.cap_micros, own.spent_micros <= 2000, own.held_micros) == (2000, True, 0)
    assert len(scripted.requests) - before <= 2
    words = job.result["stopped"]
    assert ("of 0.0020 EUR" in words, re.findall(r"\d\.\d{5,}0\b", words)) == (True, [])


@pytest.mark.django_db
def test_the_first_models_label_is_exported_where_the_strong_one_was_not_asked_or_could_not_answer(
    plain_project, cascading, judge, make_item, alice_client, tmp_path
):
    """`b` is the good answer; of the items that are given to strong, cheap says `a` on every one."""
    items, strong, _ = cascading
    plan = apply_plan(plan=draft(plain_project, strong, overlap=1))
    given = plan.decisions.filter(queue=f"lm:{strong.annotator_id}", is_audit=False, item__in=items[48:])
    unasked, answered, silent, person, by_hand, *_ = [row.item for row in given.select_related("item")]
    for item in items[48:]:
        judge("third", "lm", item, "b")
        judge("fourth", "lm", item, "b")
    judge("strong", "lm", answered, "b")
    judge("strong", "lm", silent, None)
    judge("strong", "lm", person, "a")
    judge("ann", "human", person, "b")
    wish = {"route": "human", "wanted": "1", "priority": "0"}
    assert alice_client.post(reverse("items:route", args=["pairs", by_hand.pk]), wish).status_code == 302
    no_plan = make_item("new", ("plain", "good answer"), external_id="new")
    for name, label in (("cheap", "a"), ("third", "b"), ("fourth", "b")):
        judge(name, "lm", no_plan, label)
    write_export(snapshot=freeze_now(project=plain_project), format="trl_preference", folder=tmp_path / "out")
    rows = [
        json.loads(line)
        for file in (tmp_path / "out").rglob("*.jsonl")
        for line in file.read_text().splitlines()
    ]
    found = {row["id"]: (row["annotator_kind"], row["chosen"][0]["content"].split()[0]) for row in rows}
    assert [found[item.external_id] for item in (unasked, answered, silent, person, by_hand, no_plan)] == [
        ("lm", "plain"), ("lm", "good"), ("lm", "plain"), ("human", "good"), ("lm", "plain"), ("lm", "good"),
    ]  # fmt: skip


@pytest.mark.django_db
def test_a_plan_that_is_replaced_while_it_asks_spends_nothing_behind_its_successors_back(
    plain_project, cascading, scripted
):
    _, strong, _ = cascading
    Endpoint.objects.update(concurrency=2)
    first = apply_plan(plan=draft(plain_project, strong, overlap=1))
    asking = Job.objects.get(kind=cascade.KIND)
    then = {}

    def report(done, total, words):
        """The second plan comes into force while the first one's calls go on: the worker has not looked at its job yet."""
        if then or done < 2:
            return
        second = draft(plain_project, strong, overlap=1, follows=first)
        then["before"] = len(scripted.requests)
        then["paid"] = pacing.paid(second, 200_000)
        then["plan"] = apply_plan(plan=second)

    with contextlib.suppress(OutOfMoney):
        cascade.run(first, owner=f"{asking.pk}:1", account_id=asking.args["account_id"], report=report)
    old = Account.objects.get(pk=asking.args["account_id"])
    asking.refresh_from_db()
    assert (asking.state, old.held_micros, old.spent_micros <= old.cap_micros) == ("cancelled", 0, True)
    assert len(scripted.requests) - then["before"] <= 4  # calls under way, and no others
    new = Account.objects.filter(pk=(then["plan"].summary["second"] or {}).get("account_id")).first()
    calls = old.spent_micros + (new.cap_micros if new else 0)
    promised = Decimal(calls) / 1_000_000 + Decimal(then["plan"].summary["cost"])
    assert old.spent_micros <= then["paid"]
    assert promised <= then["plan"].budget_money


@pytest.mark.django_db
def test_a_strong_model_that_nothing_is_known_of_takes_no_part_and_the_page_says_why(
    plain_project, cascading, lm_annotator, alice_client
):
    _, strong, _ = cascading
    fresh = lm_annotator("longer", name="stranger")
    plan = draft(plain_project, fresh, overlap=1)
    assert plan.summary["second"]["items"] == 0
    page = alice_client.get(reverse("plans:detail", args=["pairs", plan.number])).content.decode()
    assert (
        "stranger takes no part: 0 items are judged by it and by people, and at least 20 are needed." in page
    )
    apply_plan(plan=plan)
    assert not Job.objects.filter(kind=cascade.KIND).exists()
    with pytest.raises(PlanError, match="needs a budget in money"):
        draft_plan(project=plain_project, budget=Budget(share=0.5), second=strong, in_background=False)
    assert RoutingPlan.objects.count() == 1


@pytest.mark.django_db
def test_the_strong_model_is_chosen_in_the_form(plain_project, cascading, alice_client):
    _, strong, _ = cascading
    url = reverse("plans:new", args=["pairs"])
    assert "A stronger model in between" in alice_client.get(url).content.decode()
    cheap = LMAnnotator.objects.filter(annotator=Annotator.objects.get(name="cheap")).first()
    cheap = cheap or next(r for r in default_annotators(plain_project) if r.annotator.name == "cheap")
    form = {
        "budget": "6 EUR", "audit_share": "5 %", "overlap": "1", "policy": "net_gain", "alpha": "10 %",
        "annotators": [cheap.pk], "second": strong.pk,
    }  # fmt: skip
    response = alice_client.post(url, {**form, "budget": "25 %"})
    assert (response.status_code, "needs a budget in money" in response.content.decode()) == (422, True)
    assert alice_client.post(url, form).status_code == 302
    assert RoutingPlan.objects.get().parameters["second"] == strong.annotator_id
