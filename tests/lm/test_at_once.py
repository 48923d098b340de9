"""Many workers at once: the cap holds at every moment, every call is made and paid once, every item is judged once."""

from __future__ import annotations

import threading
from collections import Counter

import pytest
from django.db import connections

from annotations.judging.models import Judgment, LMCall
from annotations.lm import claims, engine, runs
from annotations.lm.models import Endpoint, Reply
from app.ledger.models import Account, Reservation
from tests.threads import at_once

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.smoke]
WORKERS = 8


class Watch(threading.Thread):
    """Looks at the account all the time."""

    def __init__(self, account):
        super().__init__(daemon=True)
        self.account, self.done, self.most, self.looked = account, threading.Event(), 0, 0

    def run(self):
        while True:
            row = Account.objects.get(pk=self.account.pk)
            self.most = max(self.most, row.spent_micros + row.held_micros)
            self.looked += 1
            if self.done.wait(0.01):
                break
        connections.close_all()


def billed_by_call(scripted) -> Counter:
    return Counter((r.model, r.data["prompt"], tuple(r.data["responses"].items())) for r in scripted.billed())


@pytest.fixture
def items(make_item, monkeypatch):
    monkeypatch.setattr(engine, "FIRST_BACKOFF", 0.02)
    return [make_item(f"Question {n}", ("good", "bad, because")) for n in range(30)]


def test_eight_workers_share_one_annotators_work_and_pay_each_call_once(
    items, lm_annotator, asker, scripted, project
):
    detail = lm_annotator("429-then-ok")
    account = Account.objects.get(pk=project.account_id)
    watch = Watch(account)
    watch.start()
    found = at_once([lambda n=n: asker(detail, owner=f"worker-{n}:1") for n in range(WORKERS)])
    watch.done.set()
    watch.join(10)
    assert [error for error in found if isinstance(error, Exception)] == []
    assert sum(result["judged"] for result in found) >= 30
    assert Judgment.objects.count() == 30
    assert LMCall.objects.count() == 60
    assert set(billed_by_call(scripted).values()) == {1}
    assert len(scripted.billed()) == 60
    account.refresh_from_db()
    assert (account.held_micros, account.spent_micros) == (0, scripted.billed_micros(2, 8))
    assert watch.looked > 0
    assert scripted.most_under_way <= Endpoint.objects.get().concurrency


def test_eight_workers_never_pass_the_cap_by_a_millionth(
    items, make_item, lm_annotator, asker, scripted, funded
):
    for n in range(60):  # the cap is less than what one of them alone would spend
        make_item(f"Further {n}", ("good", "bad, because"))
    details = [lm_annotator("obedient", instructions=f"Judge, {n}.") for n in range(WORKERS)]
    account = funded("0.09")
    watch = Watch(account)
    watch.start()
    found = at_once([lambda n=n: asker(details[n], owner=f"worker-{n}:1") for n in range(WORKERS)])
    watch.done.set()
    watch.join(10)
    assert {type(each) for each in found} == {engine.OutOfMoney}
    account.refresh_from_db()
    assert watch.most <= account.cap_micros == 90_000
    assert account.held_micros == 0
    assert scripted.billed_micros(2, 8) == account.spent_micros <= 90_000
    assert account.spent_micros > 60_000
    assert Reply.objects.filter(state="done").count() == len(scripted.billed())
    assert not Reply.objects.filter(state="pending").exists()
    assert set(Reservation.objects.values_list("state", flat=True)) <= {"settled", "released"}


def test_one_run_at_a_time_per_annotator_however_many_ask(items, lm_annotator):
    detail = lm_annotator()
    found = at_once([lambda: runs.start(detail=detail) for _ in range(6)])
    refused = [each for each in found if isinstance(each, Exception)]
    assert len(refused) == 5
    assert {type(each) for each in refused} == {runs.AlreadyRunning}


def test_a_dead_workers_calls_are_taken_over_once_and_counted_as_spent(
    items, lm_annotator, asker, scripted, project
):
    """A claim of an earlier attempt of the same job is nobody's at once; another job's only when it ran out."""
    detail = runs.find(lm_annotator().pk)
    plan = runs.plan_of(detail)
    first = next(iter(runs.works(plan, limit=1))).calls[0]
    account = Account.objects.get(pk=project.account_id)

    def claim(owner):
        [outcome] = claims.claim(
            project_id=project.pk,
            endpoint=detail.endpoint_model.endpoint,
            accounts=[account.pk],
            owner=owner,
            wanted=[first.wanted],
        )
        return outcome

    assert isinstance(claim("job-1:1"), claims.Claimed)
    assert isinstance(claim("job-1:1"), claims.Wait)  # its own call is under way
    assert isinstance(claim("job-2:1"), claims.Wait)
    account.refresh_from_db()
    assert (account.held_micros, account.spent_micros) == (first.wanted.worst, 0)
    found = at_once([lambda: claim("job-1:2")] * 6)
    assert sum(isinstance(each, claims.Claimed) for each in found) == 1
    account.refresh_from_db()
    assert (account.held_micros, account.spent_micros) == (first.wanted.worst, first.wanted.worst)
    Reply.objects.update(claimed_until="2020-01-01T00:00:00Z")
    assert asker(detail, owner="job-9:1")["judged"] == 30
    account.refresh_from_db()
    assert account.held_micros == 0
    assert account.spent_micros == scripted.billed_micros(2, 8) + 2 * first.wanted.worst
