"""Pay from the project's account: held ahead, never beyond the cap, nothing lost and nothing paid twice."""

from __future__ import annotations

import contextlib
import random
import threading
from datetime import timedelta
from decimal import Decimal

import pytest
from django.db import connection
from django.db.models import F, Sum
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from annotations.judging.models import Assignment, Judgment
from annotations.people import pay
from annotations.people.models import PayLine, Wage
from annotations.projects import rules
from annotations.projects.models import Annotator, Membership
from app.accounts.models import AuditEvent
from app.ledger.models import Account, Reservation
from tests.conftest import make_user
from tests.people.study import answer_next

pytestmark = pytest.mark.django_db


class Person:
    """Somebody who judges through the pages."""

    def __init__(self, project, user):
        self.client, self.slug, self.user = Client(), project.slug, user
        self.client.force_login(user)

    def next(self):
        return self.client.get(reverse("work:judge", args=[self.slug]))

    @property
    def annotator(self):
        return Annotator.objects.select_related("project").get(user=self.user)


def fund(project, cap: str) -> Account:
    account = Account.objects.create(name="Pairs", cap_micros=int(Decimal(cap) * 1_000_000))
    project.account_id = account.pk
    project.save(update_fields=["account_id"])
    return account


def by_item(project, rate="0.50"):
    rules.change(project=project, pay=rules.Pay(unit="item", rate=Decimal(rate), floor_per_hour=Decimal(12)))


@pytest.fixture
def items(make_item):
    return [make_item(prompt=f"Question {n}?", external_id=f"i{n}", wanted=2) for n in range(30)]


def spent_and_held(account):
    account.refresh_from_db()
    return account.spent, account.held


def test_money_is_held_ahead_reckoned_and_freed(project, items, bob):
    account = fund(project, "100")
    by_item(project)
    person = Person(project, bob)
    for _ in range(3):
        assert answer_next(person).status_code in {200, 302}
    person.next()
    assert spent_and_held(account) == (0, Decimal("5"))  # ten items ahead
    later = timezone.now() + timedelta(minutes=16)
    assert pay.settle_idle(project, now=later) == 0  # an item is in their hands
    Assignment.objects.filter(state="leased").update(state="released")
    assert pay.settle_idle(project, now=timezone.now()) == 0  # they judged just now
    assert pay.settle_idle(project, now=later) == 1
    assert spent_and_held(account) == (Decimal("1.5"), 0)
    assert pay.settle_idle(project, now=later) == 0
    line = PayLine.objects.get()
    assert (line.items, line.active_ms, line.earned_micros, line.paid_micros) == (
        3,
        90_000,
        1_500_000,
        1_500_000,
    )
    assert (line.unit, line.rate) == ("item", Decimal("0.5"))


def test_the_hold_is_renewed_while_somebody_works(project, items, bob):
    account = fund(project, "100")
    by_item(project)
    person = Person(project, bob)
    for _ in range(12):
        answer_next(person)
    spent, held = spent_and_held(account)
    assert (spent, held) == (Decimal("5"), Decimal("5"))
    assert pay.accrued(person.annotator).micros == 1_000_000


def test_by_the_hour_with_each_items_time_capped(project, items, bob):
    account = fund(project, "100")
    rules.change(project=project, pay=rules.Pay(unit="hour", rate=Decimal(12), longest_item_minutes=2))
    person = Person(project, bob)
    answer_next(person, active_ms=30_000)
    answer_next(person, active_ms=3_000_000)
    pay.settle(annotator_id=person.annotator.pk)
    assert spent_and_held(account)[0] == Decimal("0.1") + Decimal("0.4")


def test_without_money_no_item_is_given_out_and_the_page_says_why(project, items, bob):
    account = fund(project, "1.20")
    by_item(project)
    person = Person(project, bob)
    given = 0
    while answer_next(person) is not None:
        given += 1
    assert given == 2
    page = person.next().content.decode()
    assert "No money is left for further work" in page
    assert Assignment.objects.filter(state="leased").count() == 0
    client = Client()
    from knox.models import AuthToken

    _, token = AuthToken.objects.create(user=bob)
    answer = client.post(reverse("api:next", args=["pairs"]), headers={"Authorization": f"Token {token}"})
    assert (answer.status_code, answer.json()["title"]) == (409, "No money is left for further work")
    assert spent_and_held(account) == (Decimal("1.0"), 0)
    Account.objects.filter(pk=account.pk).update(cap_micros=5_000_000)
    assert answer_next(person) is not None


def test_what_others_hold_and_do_not_use_is_freed_for_who_works(project, items, bob):
    account = fund(project, "5")
    by_item(project)
    carol = make_user("carol")
    Membership.objects.create(project=project, user=carol, role="annotator")
    first, second = Person(project, bob), Person(project, carol)
    answer_next(first)
    assert spent_and_held(account) == (0, Decimal("5"))
    assert answer_next(second) is None
    Assignment.objects.filter(annotator=first.annotator).update(state="released")
    old = timezone.now() - timedelta(hours=1)
    Judgment.objects.update(received_at=old)
    Reservation.objects.update(created_at=old)
    assert answer_next(second) is not None
    assert spent_and_held(account) == (
        Decimal("0.5"),
        Decimal("2.5"),
    )  # bob's item paid, five ahead for carol


def test_late_work_is_owed_where_the_budget_is_gone_and_paid_when_it_is_raised(project, items, bob):
    account = fund(project, "0.50")
    by_item(project)
    person = Person(project, bob)
    answer_next(person)
    assert answer_next(person) is None
    item = items[20]
    late = Assignment.objects.create(
        item=item, annotator=person.annotator, state="expired", presented_order="01",
        leased_at=timezone.now(), expires_at=timezone.now(),
    )  # fmt: skip
    Judgment.objects.create(
        uuid="00000000-0000-4000-8000-000000000001", project=project, item=item, annotator=person.annotator,
        schema=project.schema, outcome="answered", origin="page", created_at=timezone.now(), active_ms=5000,
    )  # fmt: skip
    assert late.pk
    pay.settle(annotator_id=person.annotator.pk)
    wage = Wage.objects.get()
    assert (wage.paid_micros, wage.owed_micros) == (500_000, 500_000)
    assert spent_and_held(account) == (Decimal("0.5"), 0)
    Account.objects.filter(pk=account.pk).update(cap_micros=2_000_000)
    pay.settle(annotator_id=person.annotator.pk)
    wage.refresh_from_db()
    assert (wage.paid_micros, wage.owed_micros) == (1_000_000, 0)
    assert PayLine.objects.aggregate(s=Sum("paid_micros"))["s"] == 1_000_000


def test_a_new_rate_holds_from_now_on_and_unpaid_times_stay_unpaid(project, items, bob, alice):
    account = fund(project, "100")
    person = Person(project, bob)
    answer_next(person)
    pay.change_pay(project=project, pay=rules.Pay(unit="item", rate=Decimal("1")), actor=alice)
    answer_next(person)
    project.refresh_from_db()
    pay.change_pay(project=project, pay=rules.Pay(unit="item", rate=Decimal("3")), actor=alice)
    answer_next(person)
    pay.settle(annotator_id=person.annotator.pk)
    assert spent_and_held(account)[0] == Decimal("4")
    assert [(line.items, line.rate) for line in PayLine.objects.order_by("pk")] == [(1, 1), (1, 3)]


def test_projects_that_do_not_pay_are_asked_nothing(project, items, annotator, django_assert_num_queries):
    assert project.rules == {}
    with django_assert_num_queries(0):
        from annotations.people import checks

        assert (checks.place(annotator), checks.consent(annotator), checks.budget(annotator)) == (
            None,
            None,
            None,
        )


def test_statements_and_the_rate_beside_the_floor(
    project, items, bob, alice_client, charlie_client, bob_client
):
    fund(project, "100")
    by_item(project, "0.05")  # 30 s an item: 6 an hour, below the floor of 12
    person = Person(project, bob)
    for _ in range(4):
        answer_next(person)
    pay.settle(annotator_id=person.annotator.pk)
    page = alice_client.get(reverse("people:pay", args=["pairs"])).content.decode()
    assert "6.00" in page
    assert "below 12" in page
    own = bob_client.get(reverse("people:own_statement", args=["pairs"])).content.decode()
    assert "0.20 EUR paid for 4 items" in own
    rows = b"".join(bob_client.get(reverse("people:own_statement", args=["pairs"]) + "?format=csv")).decode()
    assert rows.splitlines()[1].split(",")[1:8] == ["work", "4", "120000", "item", "0.0500", "0.2", "0.2"]
    everyone = b"".join(alice_client.get(reverse("people:pay_csv", args=["pairs"]))).decode().splitlines()
    assert everyone[1].startswith("bob,")
    other = reverse("people:statement", args=["pairs", person.annotator.pk])
    assert alice_client.get(other).status_code == 200
    assert bob_client.get(other).status_code == 403
    assert charlie_client.get(other).status_code == 404
    assert charlie_client.get(reverse("people:own_statement", args=["pairs"])).status_code == 404


def test_a_bonus_comes_from_the_budget_and_no_further(project, annotator, alice_client, bob_client):
    account = fund(project, "5")
    address = reverse("people:bonus", args=["pairs"])
    data = {"annotator": annotator.pk, "amount": "3.00", "note": "Careful reasons"}
    assert bob_client.post(address, data).status_code == 403
    assert (PayLine.objects.count(), spent_and_held(account)) == (0, (0, 0))
    assert alice_client.post(address, data).status_code == 302
    assert spent_and_held(account) == (Decimal(3), 0)
    refused = alice_client.post(address, data)
    assert refused.status_code == 400
    assert "2.00 EUR left" in refused.content.decode()
    for bad in (
        {"amount": "-1"},
        {"amount": "NaN"},
        {"amount": "1e9"},
        {"annotator": "999999"},
        {"note": "\0"},
    ):
        assert alice_client.post(address, {**data, **bad}).status_code == 400
    assert PayLine.objects.count() == 1
    assert AuditEvent.objects.filter(action="bonus.paid").count() == 1
    assert (
        "Careful reasons" in bob_client.get(reverse("people:own_statement", args=["pairs"])).content.decode()
    )


@pytest.mark.django_db(transaction=True)
def test_no_concurrency_overruns_the_cap(project, make_item):
    """Eight people work, are reckoned, get bonuses, and the cap moves, all at once; the sums stay exact."""
    for n in range(60):
        make_item(prompt=f"Question {n}?", external_id=f"i{n}", wanted=8)
    account = fund(project, "20")
    rules.change(project=project, pay=rules.Pay(unit="item", rate=Decimal("0.37")))
    users = [make_user(f"w{n}") for n in range(8)]
    for user in users:
        Membership.objects.create(project=project, user=user, role="annotator")
    people = [Person(project, user) for user in users]
    for person in people:
        person.next()
    dead, overrun = [], []

    def check():
        row = Account.objects.get(pk=account.pk)
        if row.spent + row.held > row.cap:
            overrun.append(row)

    def work(n):
        dice = random.Random(n)
        try:
            for _ in range(14):
                what = dice.random()
                if what < 0.75:
                    answer_next(people[n])
                elif what < 0.9:
                    pay.settle(annotator_id=people[n].annotator.pk)
                else:
                    with contextlib.suppress(pay.ledger.BudgetExceeded):
                        pay.give_bonus(
                            annotator=people[n].annotator, amount=Decimal("0.11"), note="x", actor=users[n]
                        )
                check()
        except Exception as error:
            dead.append(repr(error))
        finally:
            connection.close()

    threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(240)
    assert (dead, overrun) == ([], [])
    Assignment.objects.filter(state="leased").update(state="released")
    for person in people:
        pay.settle(annotator_id=person.annotator.pk)
    account.refresh_from_db()
    paid = PayLine.objects.aggregate(s=Sum("paid_micros"))["s"]
    assert (account.spent_micros, account.held_micros) == (paid, 0)
    assert account.spent <= account.cap
    answered = Judgment.objects.filter(outcome="answered").count()
    assert answered > 20
    earned = PayLine.objects.filter(kind="work").aggregate(s=Sum("earned_micros"))["s"]
    assert earned == answered * 370_000
    assert Wage.objects.aggregate(s=Sum("owed_micros"))["s"] == 0
    assert not PayLine.objects.exclude(earned_micros=F("paid_micros")).exists()
