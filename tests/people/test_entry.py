"""Consent, open addresses, open sign-up, invitations by e-mail, and the page that decides between them."""

from __future__ import annotations

import pytest
from django.test import Client
from django.urls import reverse

from annotations.people import consent
from annotations.people.models import Consent, ConsentText
from annotations.projects import rules
from annotations.projects.models import Membership
from app.accounts.models import User
from tests.people.study import Browser, answer_next

pytestmark = pytest.mark.django_db

NEW = {
    "email": "eve@example.org",
    "username": "eve",
    "password1": "a fine phrase 1",
    "password2": "a fine phrase 1",
}


def set_entry(project, **changes):
    rules.change(project=project, entry=rules.Entry(**changes))


def judge(client):
    return client.get(reverse("work:judge", args=["pairs"]))


def test_consent_comes_first_is_stored_by_wording_and_asked_again_when_it_changes(
    project, make_item, bob_client, annotator
):
    make_item()
    set_entry(project, consent="You take part **freely**. <script>alert(1)</script>")
    page = judge(bob_client).content.decode()
    assert "You take part <strong>freely</strong>." in page
    assert "<script>alert(1)" not in page
    assert 'id="answer"' not in page
    digest = consent.digest(rules.of(project).entry.consent)
    bob_client.post(reverse("people:consent", args=["pairs", "0" * 64]))  # a wording that was never shown
    assert Consent.objects.count() == 0
    for _ in range(2):
        bob_client.post(reverse("people:consent", args=["pairs", digest]))
    stored = Consent.objects.get()
    assert (stored.annotator, stored.text.text) == (annotator, rules.of(project).entry.consent)
    assert 'id="answer"' in judge(bob_client).content.decode()
    set_entry(project, consent="You take part freely and are paid.")
    assert "Before you begin" in judge(bob_client).content.decode()
    bob_client.post(reverse("people:consent", args=["pairs", digest]))  # the old page, still open
    assert Consent.objects.count() == 1
    assert ConsentText.objects.count() == 1


def test_consent_is_nobodys_but_the_members(project, charlie_client):
    set_entry(project, consent="Yes?")
    digest = consent.digest("Yes?")
    assert charlie_client.post(reverse("people:consent", args=["pairs", digest])).status_code == 404
    assert Client().post(reverse("people:consent", args=["pairs", digest])).status_code == 302
    assert Consent.objects.count() == 0


def test_an_open_address_lets_anybody_make_an_account_and_join(project, make_item):
    make_item()
    set_entry(project, mode="open_link")
    client, address = Client(), reverse("people:join_open", args=["pairs"])
    page = client.get(address).content.decode()
    assert reverse("account_signup") in page
    made = client.post(reverse("account_signup") + f"?next={address}", NEW)
    assert made.status_code == 302
    assert client.post(address).url == reverse("work:judge", args=["pairs"])
    user = User.objects.get(username="eve")
    assert Membership.objects.get(user=user).role == "annotator"
    assert client.post(address).status_code == 302  # again changes nothing
    assert Membership.objects.filter(project=project).count() == 3


@pytest.mark.parametrize("mode", ["invitation", "prolific"])
def test_a_closed_address_is_not_there_and_opens_no_sign_up(project, mode, charlie_client):
    set_entry(project, mode=mode)
    address = reverse("people:join_open", args=["pairs"])
    stranger = Client()
    assert stranger.get(address).status_code == 404
    assert charlie_client.post(address).status_code == 404
    stranger.post(reverse("account_signup"), NEW)
    assert not User.objects.filter(username="eve").exists()
    assert Membership.objects.filter(project=project).count() == 2


def test_a_paused_project_takes_nobody_in_and_members_keep_their_role(project, alice_client, charlie_client):
    set_entry(project, mode="open_link")
    alice_client.post(reverse("people:join_open", args=["pairs"]))
    assert Membership.objects.get(project=project, user__username="alice").role == "owner"
    project.status = "paused"
    project.save()
    assert charlie_client.post(reverse("people:join_open", args=["pairs"])).status_code == 404


def test_open_projects_stand_on_the_start_page_of_everybody_but_guests(project, make_item, charlie_client):
    make_item()
    set_entry(project, mode="open")
    assert "Open to everybody here" in charlie_client.get("/work/").content.decode()
    set_entry(project, mode="prolific", completion_code="X")
    assert "Open to everybody here" not in charlie_client.get("/work/").content.decode()
    guest = Browser(project, 1)
    guest.enter()
    from annotations.projects import setup

    other = setup.create_project(name="Other", owner=None, definition=project.schema.definition)
    set_entry(other, mode="open")
    assert "Other" not in guest.client.get("/work/").content.decode()
    assert guest.client.post(reverse("people:join_open", args=[other.slug])).status_code == 404


def test_the_page_of_ways_in_saves_and_names_what_is_wrong(project, alice_client):
    address = reverse("people:entry", args=["pairs"])
    good = {
        "mode": "prolific", "completion_code": "C1", "items_per_place": "5", "places": "20",
        "study_ids": "st1\nst2", "consent": "Agree?", "completion_url": "https://example.org/?c={code}",
        "person_parameter": "", "study_parameter": "", "session_parameter": "sid", "erase": "delete",
    }  # fmt: skip
    assert alice_client.post(address, good).status_code == 302
    project.refresh_from_db()
    entry = rules.of(project).entry
    assert rules.of(project).privacy.erase == "delete"
    assert (entry.study_ids, entry.session_parameter, entry.person_parameter) == (
        ("st1", "st2"), "sid", "PROLIFIC_PID",
    )  # fmt: skip
    page = alice_client.get(address).content.decode()
    assert "/join/prolific/pairs/?PROLIFIC_PID={{%PROLIFIC_PID%}}" in page
    before = project.rules
    for bad, field in (
        ({"completion_code": "<b>"}, "completion_code"),
        ({"completion_code": ""}, "completion_code"),
        ({"completion_url": "javascript:alert(1)"}, "completion_url"),
        ({"session_parameter": "a b"}, "session_parameter"),
        ({"study_ids": "ü"}, "study_ids"),
        ({"items_per_place": "0"}, "items_per_place"),
        ({"mode": "anything"}, "mode"),
        ({"erase": "never"}, "erase"),
        ({"consent": "a\0b"}, "consent"),
    ):
        answer = alice_client.post(address, {**good, **bad})
        assert answer.status_code == 400, bad
        assert field in answer.context["form"].errors, bad
        project.refresh_from_db()
        assert project.rules == before


def test_an_invitation_goes_out_by_mail_and_works_once(project, alice_client, mailoutbox):
    alice_client.post(
        reverse("projects:invite", args=["pairs"]), {"role": "annotator", "emails": "eve@example.org"}
    )
    assert mailoutbox[0].to == ["eve@example.org"]
    link = next(line for line in mailoutbox[0].body.splitlines() if "/join/" in line)
    path = link[link.index("/join/") :]
    client = Client()
    client.get(path)
    client.post(reverse("account_signup"), NEW)
    assert client.post(path).status_code == 302
    assert Membership.objects.filter(project=project, user__username="eve", role="annotator").exists()
    assert Client().get(path).status_code == 410


def test_the_start_page_says_what_is_left_and_why_something_is_stopped(
    project, make_item, annotator, bob_client
):
    for n in range(3):
        make_item(prompt=f"Question {n}?", external_id=f"i{n}")
    browser = Browser(project, 1)
    browser.client = bob_client
    answer_next(browser)
    assert "2 left for you" in " ".join(bob_client.get("/work/").content.decode().split())
    annotator.status, annotator.note = "paused", "Please read section 3 again. <b>"
    annotator.save()
    page = bob_client.get("/work/").content.decode()
    assert "Please read section 3 again. &lt;b&gt;" in page
    assert 'class="btn btn-primary" href="/work/pairs/"' not in page
