"""One's own figures, the file with everything, and erasure by both policies."""

from __future__ import annotations

import json
import uuid
from decimal import Decimal

import pytest
from django.core.management import CommandError, call_command
from django.db.models import Q
from django.test import Client
from django.urls import reverse
from knox.models import AuthToken

from annotations.items.models import Item
from annotations.judging import log
from annotations.judging.models import Assignment, Check, Comparison, Judgment, Review, Score
from annotations.judging.verify import verify_counts
from annotations.people import erase, pay
from annotations.people.models import Consent, Participant, PayLine, Place
from annotations.projects import rules
from annotations.projects.models import Annotator, Membership
from app.accounts import audit
from app.accounts.models import AuditEvent, User
from app.jobs import runner
from app.jobs.models import Job
from app.ledger.models import Account
from tests.conftest import PASSWORD
from tests.people.study import Browser, answer_next, open_study

pytestmark = pytest.mark.django_db


@pytest.fixture
def worked(project, make_item, bob, bob_client, annotator):
    """Bob has judged three items, corrected one, skipped one, drafted one, agreed to the consent, and was paid."""
    for n in range(6):
        make_item(prompt=f"Question {n}?", external_id=f"i{n}", wanted=2)
    account = Account.objects.create(name="Pairs", cap_micros=100_000_000)
    project.account_id = account.pk
    project.save(update_fields=["account_id"])
    rules.change(
        project=project, entry=rules.Entry(consent="Yes?"), pay=rules.Pay(unit="item", rate=Decimal(1))
    )
    from annotations.people import consent

    annotator.project.refresh_from_db()
    consent.give(annotator=annotator, sha256=consent.digest("Yes?"))
    browser = Browser(project, 1)
    browser.client = bob_client
    for _ in range(3):
        answer_next(browser)
    answer_next(browser, outcome="skipped")
    first = Judgment.objects.order_by("pk").first()
    page = bob_client.get(reverse("work:correct", args=["pairs", first.uuid])).content.decode()
    _correct(bob_client, page, first)
    browser.next()
    Assignment.objects.filter(state="leased").update(draft={"t-x": ["half a thought"]})
    Judgment.objects.filter(pk=first.pk).update(reason="because")
    assert Judgment.objects.filter(supersedes=first).count() == 1
    return browser


def _correct(client, page, first):
    import re

    data = {
        "uuid": str(uuid.uuid4()), "supersedes": str(first.uuid), "outcome": "answered",
        "active_ms": "5000", "wall_ms": "5000", "assignment": "", "schema": str(first.schema_id),
    }  # fmt: skip
    for name, value in re.findall(r'<input[^>]*type="radio"[^>]*name="([^"]+)"[^>]*value="([^"]+)"', page):
        if not name.startswith(("note", "reason", "outcome")):
            data[name] = value  # the last option of each question
    assert client.post(reverse("work:submit", args=["pairs"]), data).status_code == 302


def figures(client):
    return " ".join(client.get(reverse("people:my_data")).content.decode().split())


def test_own_figures(worked, bob_client, annotator):
    for n in range(5):
        judgment = Judgment.objects.filter(outcome="answered").first()
        extra = Judgment.objects.create(
            uuid=uuid.uuid4(), project=annotator.project, item=judgment.item, annotator=annotator,
            schema=judgment.schema, outcome="answered", origin="page", is_current=False, aside="repeat",
            occasion=n + 1, created_at=judgment.created_at,
        )  # fmt: skip
        Check.objects.create(judgment=extra, annotator=annotator, kind="repeat", passed=n > 0)
    page = figures(bob_client)
    assert '<td data-label="Same answer again" class="num">4 of 5</td>' in page
    assert '<td data-label="Judged" class="num">8</td>' in page
    assert '<td data-label="Skipped" class="num">1</td>' in page
    assert '<td data-label="Earned" class="num">8.00</td>' in page


def test_the_file_holds_everything_of_ones_own_and_nothing_of_others(worked, bob_client, alice, project):
    AuthToken.objects.create(user=User.objects.get(username="bob"))
    answer = bob_client.get(reverse("people:export_data"))
    assert answer.streaming
    told = json.loads(b"".join(answer))
    assert told["account"]["username"] == "bob"
    assert "password" not in json.dumps(told["account"])
    assert [row["project"] for row in told["memberships"]] == ["pairs"]
    assert told["consents"][0]["text"] == "Yes?"
    assert told["drafts"][0]["draft"] == {"t-x": ["half a thought"]}
    assert len(told["judgments"]) == 5
    assert [row["is_current"] for row in told["judgments"]] == [False, True, True, True, True]
    assert told["judgments"][4]["supersedes"] == told["judgments"][0]["id"]
    assert told["judgments"][0]["comparisons"]
    assert "model-0" not in json.dumps(told)
    assert "aside" not in json.dumps(told)
    other = Client()
    other.force_login(alice)
    assert json.loads(b"".join(other.get(reverse("people:export_data"))))["judgments"] == []
    assert Client().get(reverse("people:export_data")).status_code == 302


def test_the_file_takes_a_steady_number_of_queries(worked, bob, django_assert_max_num_queries):
    from annotations.people import own_data

    with django_assert_max_num_queries(30):
        "".join(own_data.export(bob))


def test_erasing_needs_the_name_typed(worked, bob_client, bob):
    for typed in ("", "alice", "BOB"):
        refused = bob_client.post(reverse("people:erase_me"), {"confirm": typed})
        assert refused.status_code == 400
        assert b"Type bob" in refused.content
    bob.refresh_from_db()
    assert bob.is_active
    assert Job.objects.count() == 0


def test_the_only_owner_and_the_only_admin_cannot_go(project, alice, alice_client, admin):
    refused = alice_client.post(reverse("people:erase_me"), {"confirm": "alice"})
    assert refused.status_code == 400
    assert "Make somebody else an owner first: Pairs" in refused.content.decode()
    with pytest.raises(erase.CannotErase):
        erase.erase(user=admin)
    assert User.objects.filter(is_active=True).count() == 3


def traces(word: str) -> list[str]:
    """Every text column of every table that still holds the word."""
    from django.apps import apps
    from django.db import models

    found = []
    for model in apps.get_models():
        for field in model._meta.concrete_fields:
            if isinstance(field, (models.CharField, models.TextField, models.JSONField)):
                rows = model.objects.values_list(field.name, flat=True)
                if any(word in json.dumps(value, default=str) for value in rows):
                    found.append(f"{model.__name__}.{field.name}")
    return found


@pytest.mark.parametrize("policy", ["pseudonym", "delete"])
def test_erasure_by_the_projects_policy(worked, bob_client, bob, project, policy, annotator, alice):
    project.refresh_from_db()
    rules.change(project=project, privacy=rules.Privacy(erase=policy))
    AuthToken.objects.create(user=bob)
    audit.record(actor=bob, action="member.joined", scope="pairs", target="bob", name="bob")
    second = Client()
    second.post(reverse("account_login"), {"login": "bob", "password": PASSWORD})
    old = annotator.pseudonym
    assert bob_client.post(reverse("people:erase_me"), {"confirm": "bob"}).status_code == 200
    # At once: nothing of the account works any more.
    assert second.get("/work/").status_code == 302
    assert AuthToken.objects.count() == 0
    assert Client().post(reverse("account_login"), {"login": "bob", "password": PASSWORD}).status_code == 200
    runner.run(Job.objects.get().pk)
    assert Job.objects.get().state == "succeeded"
    assert not User.objects.filter(username="bob").exists()
    gone = Annotator.objects.get(pk=annotator.pk)
    assert (gone.user_id, gone.status, gone.pseudonym == old) == (None, "removed", False)
    assert gone.name.startswith("erased ")
    assert "bob" not in gone.name
    assert Consent.objects.count() == 0
    assert not Assignment.objects.filter(draft__isnull=False).exists()
    assert not Assignment.objects.filter(state="leased").exists()
    assert traces("bob") == []
    assert list(verify_counts(project=project)) == []
    # The books are whole: three items were earned and paid, and nothing stays held.
    account = Account.objects.get()
    assert (account.spent_micros, account.held_micros) == (3_000_000, 0)
    assert sum(PayLine.objects.values_list("paid_micros", flat=True)) == 3_000_000
    if policy == "pseudonym":
        assert Judgment.objects.count() == 5
        assert Judgment.objects.filter(is_current=True).count() == 4
        assert Judgment.objects.exclude(supersedes=None).count() == 1
        assert sum(Item.objects.values_list("n_human", flat=True)) == 3
    else:
        assert (Judgment.objects.count(), Comparison.objects.count(), Score.objects.count()) == (0, 0, 0)
        assert sum(Item.objects.values_list("open_slots", flat=True)) == 12
        assert (gone.n_judged, gone.n_forward, gone.n_reversed) == (0, 0, 0)
    runner.run(Job.objects.get().pk)  # sent again by a sweeper: nothing to do
    assert AuditEvent.objects.filter(action="person.erased").count() == 1


def test_a_reviewers_final_answer_stays_under_a_pseudonym(worked, bob, project):
    project.refresh_from_db()
    rules.change(project=project, privacy=rules.Privacy(erase="delete"))
    final = Judgment.objects.exclude(supersedes=None).get()
    Review.objects.create(project=project, item=final.item, reviewer=bob, judgment=final)
    log.seal(project_id=project.pk, bound=Judgment.objects.last().pk)
    done = erase.erase(user=bob)
    assert (done.deleted, done.kept_for_review, done.pseudonymised) == (3, 2, 2)
    assert set(Judgment.objects.values_list("pk", flat=True)) == {final.pk, final.supersedes_id}
    assert list(verify_counts(project=project)) == []
    report = log.verify(project=project)
    assert (report.judgments, report.erased) == (5, 3)
    changed = [problem.judgment for problem in report.problems]
    assert changed == [str(final.supersedes.uuid)], "only the one whose reason the fixture put in by hand"


def test_a_guests_ids_of_the_panel_go_too(project, make_item):
    for n in range(4):
        make_item(prompt=f"Question {n}?", external_id=f"i{n}")
    open_study(project, items_per_place=2)
    browser = Browser(project, 7)
    browser.enter()
    answer_next(browser)
    user = User.objects.get(is_guest=True)
    assert browser.client.get(reverse("people:my_data")).status_code == 200
    browser.client.post(reverse("people:erase_me"), {"confirm": user.username})
    runner.run(Job.objects.get().pk)
    assert traces(browser.ids["PROLIFIC_PID"]) == []
    assert traces("session-7") == []
    assert (Participant.objects.count(), Place.objects.count()) == (1, 1)
    assert list(verify_counts(project=project)) == []
    again = Browser(project, 7)
    assert again.enter().status_code == 302  # a stranger to us now
    assert Participant.objects.count() == 2


def test_the_command_tells_first_and_does_it_with_yes(worked, bob, capsys):
    call_command("purge_person", "bob", "--json")
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert told == {"erased": False, "policies": {"pairs": "pseudonym"}, "snapshots": 0}
    assert User.objects.filter(username="bob", is_active=True).exists()
    call_command("purge_person", "bob", "--yes", "--json")
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (told["erased"], told["pseudonymised"], told["deleted"]) == (True, 5, 0)
    assert not User.objects.filter(username="bob").exists()
    for name in ("bob", "nobody", "alice"):
        with pytest.raises(CommandError):
            call_command("purge_person", name, "--yes")
    assert Membership.objects.filter(user__username="alice").exists()
    assert not Annotator.objects.filter(Q(name="bob")).exists()
    assert pay.Wage.objects.get().hold is None
