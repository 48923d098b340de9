"""Members, roles and invitations: a project keeps an owner, links work once, and everything is logged."""

import re

import pytest
from django.core import mail
from django.test import Client
from django.urls import reverse

from annotations.judging import queue
from annotations.projects import people, setup
from annotations.projects.models import Invitation, Membership
from app.accounts.models import AuditEvent, User

pytestmark = pytest.mark.django_db


def membership(project, user):
    return Membership.objects.get(project=project, user=user)


def test_the_last_owner_can_neither_be_demoted_nor_removed(project, alice, bob, alice_client):
    mine = membership(project, alice)
    response = alice_client.post(
        reverse("projects:change_role", args=["pairs", mine.pk]), {"role": "annotator"}
    )
    assert response.status_code == 400
    assert "only owner" in response.content.decode()
    remove = reverse("projects:remove_member", args=["pairs", mine.pk])
    response = alice_client.post(remove, {"confirm": "alice"})
    assert response.status_code == 400
    assert membership(project, alice).role == "owner"
    assert AuditEvent.objects.count() == 0

    change = reverse("projects:change_role", args=["pairs", membership(project, bob).pk])
    assert alice_client.post(change, {"role": "king"}).status_code == 400
    assert alice_client.post(change, {"role": "owner"}).status_code == 302
    assert alice_client.post(remove, {"confirm": "alice"}).status_code == 302
    assert not Membership.objects.filter(user=alice).exists()
    assert alice_client.get(reverse("projects:people", args=["pairs"])).status_code == 404
    with pytest.raises(people.LastOwner):
        people.remove_member(project=project, membership_id=membership(project, bob).pk, actor=bob)
    assert list(AuditEvent.objects.order_by("pk").values_list("action", "target", "scope")) == [
        ("member.role_changed", "bob", "pairs"),
        ("member.removed", "alice", "pairs"),
    ]


def test_removal_needs_the_name_and_keeps_judgments(project, bob, annotator, alice_client):
    page = reverse("projects:remove_member", args=["pairs", membership(project, bob).pk])
    assert alice_client.post(page, {"confirm": "bo"}).status_code == 400
    assert Membership.objects.filter(user=bob).exists()
    alice_client.post(page, {"confirm": " bob "})
    assert not Membership.objects.filter(user=bob).exists()
    text = alice_client.get(reverse("projects:people", args=["pairs"])).content.decode()
    assert "judgments of 1 person who is not a member" in text


def test_a_paused_person_is_given_nothing(project, make_item, annotator, alice_client):
    make_item()
    page = reverse("projects:pause_annotator", args=["pairs", annotator.pk])
    alice_client.post(page, {"paused": "1"})
    annotator.refresh_from_db()
    assert annotator.status == "paused"
    assert queue.next_assignment(annotator) is None
    alice_client.post(page, {"paused": "0"})
    assert queue.next_assignment(annotator) is not None
    assert list(AuditEvent.objects.order_by("pk").values_list("action", flat=True)) == [
        "annotator.paused",
        "annotator.resumed",
    ]


def test_invitations_are_sent_shown_once_and_revoked(project, alice_client, charlie_client):
    page = reverse("projects:people", args=["pairs"])
    wish = {"role": "reviewer", "emails": "Dora@example.org;dora@example.org", "link_uses": "2"}
    response = alice_client.post(reverse("projects:invite", args=["pairs"]), wish)
    links = re.findall(r'value="(http://[^"]+/join/[^"]+)"', response.content.decode())
    assert len(links) == 1
    (message,) = mail.outbox
    assert message.to == ["dora@example.org"]
    assert "“Pairs”" in message.body
    assert "/join/" in message.body
    assert "/join/" not in alice_client.get(page).content.decode()
    link = Invitation.objects.get(email="")
    assert link.uses_left == 2
    alice_client.post(reverse("projects:revoke_invitation", args=["pairs", link.pk]))
    assert charlie_client.get(links[0]).status_code == 410
    assert charlie_client.post(links[0]).status_code == 410
    assert not Membership.objects.filter(user__username="charlie").exists()
    assert alice_client.post(reverse("projects:invite", args=["pairs"]), {"role": "owner"}).status_code == 400


def test_mail_that_cannot_leave_gives_the_link_to_the_owner(project, alice_client, monkeypatch):
    def refuse(self):
        raise OSError("no mail server")

    monkeypatch.setattr("django.core.mail.EmailMessage.send", refuse)
    wish = {"role": "annotator", "emails": "dora@example.org"}
    page = alice_client.post(reverse("projects:invite", args=["pairs"]), wish).content.decode()
    assert "could not be e-mailed" in page
    assert "/join/" in page


def test_a_site_without_a_mail_server_claims_no_mail_and_shows_the_link(project, alice_client, settings):
    settings.EMAIL_BACKEND = "django.core.mail.backends.console.EmailBackend"
    wish = {"role": "annotator", "emails": "dora@example.org"}
    page = alice_client.post(reverse("projects:invite", args=["pairs"]), wish).content.decode()
    assert "no mail server is set up here" in page
    assert "invitation sent" not in page
    assert page.count("/join/") == 1


def test_a_signed_in_person_joins_once(project, alice, charlie, charlie_client):
    _, token = setup.invite(project=project, role="annotator", actor=alice)
    page = reverse("projects:join", args=[token])
    assert "Join" in charlie_client.get(page).content.decode()
    assert not Membership.objects.filter(user=charlie).exists()  # looking is not joining
    response = charlie_client.post(page)
    assert response["Location"] == reverse("work:judge", args=["pairs"])
    assert membership(project, charlie).role == "annotator"
    response = charlie_client.post(page)
    assert response.status_code == 410
    assert "used already" in response.content.decode()


def test_a_newcomer_makes_an_account_and_comes_back_to_join(project, alice, settings):
    settings.ALLOW_SIGNUP = False
    _, token = setup.invite(project=project, role="researcher", actor=alice)
    page = reverse("projects:join", args=[token])
    visitor = Client()
    signup = reverse("account_signup")
    form = {
        "email": "dora@example.org",
        "username": "dora",
        "password1": "correct horse battery",
        "password2": "correct horse battery",
    }
    visitor.post(signup, form)
    assert not User.objects.filter(username="dora").exists()  # closed without an invitation
    assert visitor.post(page).status_code == 200  # not signed in: nothing to accept yet
    text = visitor.get(page).content.decode()
    assert f"{signup}?next=" in text
    response = visitor.post(signup, form | {"next": page})
    assert (response.status_code, response["Location"]) == (302, page)
    response = visitor.post(page)
    assert response["Location"] == reverse("projects:overview", args=["pairs"])
    assert membership(project, User.objects.get(username="dora")).role == "researcher"


def test_a_wrong_link_says_so(client):
    response = client.get(reverse("projects:join", args=["nonsense"]))
    assert response.status_code == 410
    assert "Ask for a new link" in response.content.decode()
