"""A project's budget: what it shows, who may change it, warnings told once, GPU hours charged under the cap."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest
from django.core import mail
from django.urls import reverse
from django.utils import timezone

from annotations.judging import label_cap
from annotations.lm import registry, runs
from annotations.people import alerts
from annotations.people.models import BudgetAlert, PayLine
from annotations.projects import rules
from annotations.projects.models import Annotator
from app.accounts import audit
from app.accounts.models import AuditEvent
from app.jobs.models import Job
from app.ledger import ledger
from app.ledger.models import Account, Reservation
from app.web.shares import percent
from routing.plans import gpu, spending
from routing.plans.models import GpuCharge

pytestmark = pytest.mark.django_db
NOW = timezone.now


@pytest.fixture
def account(project):
    found = Account.objects.create(name="Pairs", cap_micros=100_000_000)
    project.account_id = found.pk
    project.save(update_fields=["account_id"])
    return found


def spend(account, amount, purpose="pay", days_ago=0):
    held = ledger.reserve(account_id=account.pk, amount=Decimal(amount), purpose=purpose)
    ledger.settle(reservation=held, amount=Decimal(amount))
    Reservation.objects.filter(pk=held.pk).update(closed_at=NOW() - timedelta(days=days_ago))


def test_the_page_says_what_is_left_how_long_and_for_what(project, account, alice_client, annotator):
    for day in range(1, 11):
        spend(account, "5", days_ago=day)
    spend(account, "1.25", "lm.call")
    ledger.reserve(account_id=account.pk, amount=Decimal("10"), purpose="pay")
    PayLine.objects.create(
        annotator=annotator, kind="work", earned_micros=50_000_000, paid_micros=50_000_000, items=40
    )
    label_cap.set_cap(project=project, cap=200, actor=None)
    page = alice_client.get(reverse("plans:budget", args=[project.slug]))
    html = page.content.decode()
    assert "38.75 of 100.00 EUR are left, and 200 of 200 human labels are left." in html
    assert page.context["budget"].by_purpose == [
        ("Pay of people", Decimal(50), Decimal(10)),
        ("Calls of models", Decimal("1.25"), Decimal(0)),
    ]
    [money, labels] = page.context["budget"].burn
    # 5 a day on ten of ten days, so the pace is known exactly: 48.75 unspent / 5
    assert money.days == {"value": 9.75, "lo": 9.75, "hi": 9.75, "n": 10}
    assert labels.days is None
    assert "pace" in labels.sentence
    assert [(line.kind, line.name, line.amount, line.n) for line in page.context["budget"].lines] == [
        ("human", annotator.name, Decimal(50), 40)
    ]
    assert "61 % of the budget is used" in html


def test_only_owners_change_it_and_every_change_is_logged(
    project, account, alice_client, bob_client, charlie_client
):
    url = reverse("plans:budget_change", args=[project.slug])
    values = {"money": "50", "labels": "30", "alerts": "60 %, 0.9", "mail": "on", "plans_by": "owner",
              "runs_by": "owner", "gpu_hour": "2.5", "people": ""}  # fmt: skip
    assert bob_client.post(url, values).status_code == 403
    assert charlie_client.post(url, values).status_code == 404
    assert AuditEvent.objects.filter(action__startswith="budget").count() == 0
    assert alice_client.post(url, values).status_code == 302
    account.refresh_from_db()
    assert account.cap == 50
    assert label_cap.of(project).cap == 30
    project.refresh_from_db()
    assert rules.of(project).budget == rules.Budget(
        alerts=(0.6, 0.9), plans_by="owner", runs_by="owner", gpu_hour=Decimal("2.5")
    )
    logged = (
        AuditEvent.objects.filter(action__startswith="budget").order_by("pk").values_list("action", flat=True)
    )
    assert list(logged) == ["budget.money_changed", "budget.labels_changed", "budget.rules_changed"]
    told = [
        words
        for words, _ in alice_client.get(reverse("plans:budget", args=[project.slug])).context["changes"]
    ]
    assert told == [
        f"Warnings: {percent(0.5)}, {percent(0.8)}, {percent(0.95)} → {percent(0.6)}, {percent(0.9)}; "
        "Who may put plans in force: researchers and owners → owners; "
        "Who may start models: researchers and owners → owners; Price of a GPU hour: 0 → 2.5",
        "Cap of human labels: no cap → 30",
        "Cap of money: 100.00 → 50.00 EUR",
    ]
    spend(account, "20")
    refused = alice_client.post(url, {**values, "money": "10"})
    assert refused.status_code == 422
    assert "20.00 EUR are spent or held: give at least that." in refused.content.decode()
    wrong = alice_client.post(url, {**values, "alerts": "half"})
    assert "expected a share such as 80 %" in wrong.content.decode()
    account.refresh_from_db()
    assert account.cap == 50


def test_what_is_kept_to_owners_is_refused_to_researchers(project, account, bob_client, bob):
    project.memberships.filter(user=bob).update(role="researcher")
    detail = registry.add_baseline(project=project)
    run = reverse("lm:run", args=[project.slug, detail.pk])
    rules.change(project=project, budget=rules.Budget(runs_by="owner", plans_by="owner"))
    assert bob_client.post(run).status_code == 403
    assert Job.objects.count() == 0
    assert bob_client.post(reverse("plans:apply", args=[project.slug, 1])).status_code == 403
    rules.change(project=project, budget=rules.Budget())
    assert bob_client.post(run).status_code == 302
    assert Job.objects.count() == 1
    audit.record(
        actor=bob,
        action="plan.applied",
        scope=project.slug,
        target="plan 2",
        items=1412,
        people=30,
        judgments=1,
    )
    page = bob_client.get(reverse("plans:budget", args=[project.slug]))
    assert [words for words, _ in page.context["changes"]] == [
        "Plan 2 put in force: 1,412 items routed, 1 judgment left to people",
        f"{detail.annotator.name} started",
    ]


def test_a_model_judges_no_more_than_its_limit(project, make_item):
    for n in range(5):
        make_item(prompt=f"Question {n}")
    detail = registry.add_baseline(project=project)
    rules.change(project=project, budget=rules.Budget(models={str(detail.annotator_id): 3}))
    detail.annotator.project.refresh_from_db()
    assert runs.bounded(detail, None) == 3
    assert runs.bounded(detail, 2) == 2
    Annotator.objects.filter(pk=detail.annotator_id).update(n_judged=3)
    with pytest.raises(runs.CannotAnnotate, match="has judged 3 items, and the project's budget gives it 3"):
        runs.bounded(detail, None)


def test_each_threshold_is_told_once_for_a_cap(project, account, alice, alice_client):
    alice.email = "alice@example.org"
    alice.save()
    assert alerts.raise_all() == 0
    spend(account, "85")
    assert alerts.raise_all() == 1  # 50 % was passed too; the highest is told
    assert alerts.raise_all() == 0
    assert [(m.to, m.subject) for m in mail.outbox] == [(["alice@example.org"], "Budget of Pairs: 85 % used")]
    assert "85.00 of 100.00 EUR are spent or held" in mail.outbox[0].body
    label_cap.set_cap(project=project, cap=1, actor=None)
    assert "85 % of the budget is used" in alice_client.get(f"/p/{project.slug}/budget/").content.decode()
    ledger.set_cap(account=account, cap=Decimal(90))
    rules.change(project=project, budget=rules.Budget(mail=False))
    assert alerts.raise_all() == 1  # another cap is another warning
    assert len(mail.outbox) == 1
    assert BudgetAlert.objects.count() == 2


def test_gpu_jobs_are_charged_once_and_never_beyond_the_cap(project, account):
    rules.change(project=project, budget=rules.Budget(gpu_hour=Decimal("36")))
    for seconds in (3600, 7200):
        Job.objects.create(
            kind="lm.annotate", title=f"{seconds} s", scope=project.slug, queue="gpu", state="done",
            started_at=NOW() - timedelta(seconds=seconds), finished_at=NOW(),
        )  # fmt: skip
    Job.objects.create(kind="x", title="cpu", scope=project.slug, started_at=NOW(), finished_at=NOW())
    assert gpu.charge(project) == 1  # 36 fits under 100, 72 more does not
    assert gpu.charge(project) == 0
    account.refresh_from_db()
    assert Decimal("35.9") < account.spent < Decimal("36.1")
    owed = [line for line in spending.budget_of(project).lines if line.owed]
    assert [line.name for line in owed] == ["7200 s"]
    ledger.set_cap(account=account, cap=Decimal(200))
    assert gpu.charge_all() == 1
    assert GpuCharge.objects.filter(paid=True).count() == 2


def test_site_admins_see_all_budgets_and_nobody_else(project, account, alice_client, admin_client):
    assert alice_client.get(reverse("plans:budgets")).status_code == 403
    spend(account, "60")
    html = admin_client.get(reverse("plans:budgets")).content.decode()
    assert "1 project passed a warning." in html
    assert "60.00 of 100.00 EUR are spent or held" in html


def test_the_api_reads_and_changes_it(project, account, alice_client, bob_client):
    url = f"/api/v1/projects/{project.slug}/budget"
    assert bob_client.get(url).status_code == 403
    made = alice_client.patch(
        url, {"labels_cap": 7, "experts": {"medicine": 4}, "money_cap": "80"}, content_type="application/json"
    )
    assert made.status_code == 200, made.content
    body = alice_client.get(url).json()
    assert (body["labels_cap"], body["labels_given"], body["money_cap"]) == (7, 0, "80.000000")
    assert body["rules"]["experts"] == {"medicine": 4}
    assert [q["key"] for q in body["queues"]] == ["people", "expert:medicine"]
    bad = alice_client.patch(url, {"alerts": [0.9, 0.5]}, content_type="application/json")
    assert bad.status_code == 400
    lifted = alice_client.patch(url, {"labels_cap": None}, content_type="application/json")
    assert lifted.json()["labels_cap"] is None
    project.refresh_from_db()
    assert project.counts_labels is False
