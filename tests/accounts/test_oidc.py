"""Sign-in through an organisation's OpenID Connect server, against a real one on this machine."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from allauth.socialaccount.models import SocialAccount
from django.test import Client
from django.urls import reverse

from app.accounts.models import User
from tests.accounts.oidc_server import CLIENT, SECRET, OidcServer
from tests.conftest import PASSWORD

pytestmark = pytest.mark.django_db


@pytest.fixture(scope="module")
def _running():
    server = OidcServer()
    yield server
    server.stop()


@pytest.fixture
def server(_running, settings):
    _running.__dict__.update(
        claims={
            "sub": "u1",
            "email": "dora@example.org",
            "email_verified": True,
            "preferred_username": "dora",
        },
        audience=CLIENT,
    )
    settings.OIDC_SERVER_URL = _running.url
    settings.OIDC_NAME = "Example University"
    app = {
        "provider_id": "oidc", "name": "Example University", "client_id": CLIENT, "secret": SECRET,
        "settings": {"server_url": _running.url, "oauth_pkce_enabled": True},
    }  # fmt: skip
    settings.SOCIALACCOUNT_PROVIDERS = {"openid_connect": {"OAUTH_PKCE_ENABLED": True, "APPS": [app]}}
    settings.ALLOW_SIGNUP = True
    return _running


def come(server, client=None, *, process=""):
    """Press the button, sign in there, come back; returns the answer to the callback."""
    client = client or Client()
    begin = client.post(
        reverse("openid_connect_login", args=["oidc"]) + (f"?process={process}" if process else "")
    )
    assert begin.status_code == 302
    assert begin.url.startswith(f"{server.url}/authorization?")
    back = client.get(reverse("openid_connect_callback", args=["oidc"]), server.authorise(begin.url))
    return client, back


def test_a_new_person_comes_in_and_again(server):
    page = Client().get(reverse("account_login")).content.decode()
    assert "Sign in with Example University" in page
    client, back = come(server)
    assert (back.status_code, back.url) == (302, "/")
    user = User.objects.get()
    assert (user.username, user.email, user.has_usable_password()) == ("dora", "dora@example.org", False)
    assert client.session["_auth_user_id"] == str(user.pk)
    again, _ = come(server)
    assert again.session["_auth_user_id"] == str(user.pk)
    assert (User.objects.count(), SocialAccount.objects.count()) == (1, 1)


def test_there_is_no_button_and_no_provider_without_settings(client):
    assert b"organisation" not in client.get(reverse("account_login")).content
    assert client.post(reverse("openid_connect_login", args=["oidc"])).status_code == 404


@pytest.mark.parametrize("verified", [True, False, "false", None])
def test_an_account_is_never_found_by_its_address(server, bob, verified):
    """Somebody at the server who says they are bob@example.org does not become our Bob."""
    server.claims = {
        "sub": "evil",
        "email": bob.email,
        "email_verified": verified,
        "preferred_username": "bob",
    }
    client, back = come(server)
    assert client.session.get("_auth_user_id") != str(bob.pk)
    assert not SocialAccount.objects.filter(user=bob).exists()
    assert back.status_code == 302
    assert User.objects.filter(email__iexact=bob.email).count() == 1


def test_somebody_with_an_account_connects_it_after_signing_in(server, bob):
    client = Client()
    client.post(reverse("account_login"), {"login": "bob", "password": PASSWORD})
    come(server, client, process="connect")
    assert SocialAccount.objects.get().user == bob
    other, _ = come(server)
    assert other.session["_auth_user_id"] == str(bob.pk)
    assert client.get(reverse("socialaccount_connections")).status_code == 200


def test_only_verified_addresses_of_the_listed_domains_come_in(server, settings):
    settings.ALLOW_SIGNUP = False
    settings.OIDC_EMAIL_DOMAINS = ["example.org"]
    for email, verified in (
        ("x@example.com", True),
        ("x@example.org", False),
        ("x@example.org", "true"),
        ("x@notexample.org", True),
        ("x@example.org@evil.com", True),
        ("", True),
    ):
        server.claims = {"sub": email or "none", "email": email, "email_verified": verified}
        client, back = come(server)
        assert back.status_code == 403, (email, verified)
        assert "This account is not let in" in back.content.decode()
        assert "_auth_user_id" not in client.session
    assert User.objects.count() == 0
    server.claims = {"sub": "ok", "email": "x@EXAMPLE.org", "email_verified": True}
    _, back = come(server)
    assert back.status_code == 302
    assert User.objects.count() == 1


def test_without_domains_sign_up_needs_an_invitation_like_everywhere(server, settings):
    settings.ALLOW_SIGNUP = False
    _, back = come(server)
    assert "Invitation needed" in back.content.decode()
    assert User.objects.count() == 0


def test_a_wrong_audience_a_foreign_state_and_a_used_code_sign_nobody_in(server):
    server.audience = "another-client"
    client, back = come(server)
    assert "Sign-in did not work" in back.content.decode()
    server.audience = CLIENT
    callback = reverse("openid_connect_callback", args=["oidc"])
    begin = Client().post(reverse("openid_connect_login", args=["oidc"]))
    brought = server.authorise(begin.url)
    stranger = Client()  # an attacker's address opened in somebody's browser
    stranger.get(callback, brought)
    assert "_auth_user_id" not in stranger.session
    client, _ = come(server)
    user = client.session["_auth_user_id"]
    replay = Client()
    replay.post(reverse("openid_connect_login", args=["oidc"]))
    replay.get(callback, {"code": "used-or-made-up", "state": "x"})
    assert "_auth_user_id" not in replay.session
    assert User.objects.count() == 1
    assert user == str(User.objects.get().pk)


def test_half_a_configuration_stops_the_start():
    environment = {
        **os.environ,
        "SECRET_KEY": "x",
        "OIDC_SERVER_URL": "https://login.example.org",
        "ENV_FILE": os.devnull,
    }
    code = "import app.settings"
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=120
    )
    assert done.returncode != 0
    assert "OIDC_SERVER_URL needs OIDC_CLIENT_ID" in done.stderr
