"""One's own pages, tokens, the audit log, sign-in and the first admin."""

from __future__ import annotations

import pytest
from django.core.management import call_command
from django.urls import reverse
from knox.models import AuthToken

from app.accounts import audit
from app.accounts.models import AuditEvent, User
from tests.conftest import PASSWORD

pytestmark = pytest.mark.django_db


def test_a_token_is_shown_once_stored_hashed_and_revocable(bob_client, bob):
    page = bob_client.post(reverse("accounts:tokens"), {"name": "notebook", "days": 30})
    token = AuthToken.objects.get(user=bob)
    secret = page.context["secret"]
    assert secret.encode() in page.content
    assert secret not in (token.digest, token.token_key)
    assert secret.encode() not in bob_client.get(reverse("accounts:tokens")).content
    assert bob_client.post(reverse("accounts:token_revoke", args=[token.token_key])).status_code == 302
    assert AuthToken.objects.count() == 0


def test_nobody_revokes_anothers_token(bob, charlie_client):
    token, _ = AuthToken.objects.create(user=bob)
    assert charlie_client.post(reverse("accounts:token_revoke", args=[token.token_key])).status_code == 404
    assert AuthToken.objects.count() == 1


def test_the_audit_log_shows_a_projects_acts_to_its_owner_only(alice_client, charlie_client, project, alice):
    audit.record(actor=alice, action="plan.applied", scope=project.slug, target="plan 1", items=3)
    assert b"plan.applied" in alice_client.get(reverse("accounts:audit")).content
    assert b"plan.applied" not in charlie_client.get(reverse("accounts:audit")).content


def test_sign_in_by_name_or_address_and_a_wrong_password(client, bob):
    for login in ("bob", "bob@example.org"):
        page = client.post(reverse("account_login"), {"login": login, "password": PASSWORD})
        assert (page.status_code, page.url) == (302, "/")
        client.post(reverse("account_logout"))
    assert b"autofocus" in client.get(reverse("account_login")).content
    page = client.post(reverse("account_login"), {"login": "bob", "password": "wrong"})
    assert page.status_code == 200
    assert "_auth_user_id" not in client.session


def test_a_forgotten_password_is_reset_by_mail(client, bob, mailoutbox):
    client.post(reverse("account_reset_password"), {"email": bob.email})
    assert mailoutbox[0].to == [bob.email]
    link = next(line for line in mailoutbox[0].body.splitlines() if "/password/reset/key/" in line)
    form = client.get(link[link.index("/accounts") :].strip(), follow=True)
    done = client.post(
        form.request["PATH_INFO"], {"password1": "a much better phrase", "password2": "a much better phrase"}
    )
    assert done.status_code == 302
    assert User.objects.get(pk=bob.pk).check_password("a much better phrase")


def test_sign_up_needs_an_invitation(client):
    assert "invitation" in client.get(reverse("account_signup")).content.decode()
    client.post(
        reverse("account_signup"),
        {
            "email": "x@example.org",
            "username": "x",
            "password1": "a fine phrase 1",
            "password2": "a fine phrase 1",
        },
    )
    assert User.objects.count() == 0


def test_the_first_admin_comes_from_the_environment_once(monkeypatch, capsys):
    monkeypatch.setenv("ADMIN_USERNAME", "root")
    monkeypatch.setenv("ADMIN_PASSWORD", "a long enough phrase")
    call_command("create_admin", "--noinput")
    call_command("create_admin", "--noinput")
    admin = User.objects.get()
    assert (admin.username, admin.is_staff, admin.check_password("a long enough phrase")) == (
        "root",
        True,
        True,
    )
    assert AuditEvent.objects.count() == 1
    assert "exists already" in capsys.readouterr().out
