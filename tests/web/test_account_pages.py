"""Signing in, out and resetting a password work, in pages a strict CSP allows."""

import re

import pytest
from django.core import mail
from django.urls import reverse

from tests.conftest import PASSWORD

pytestmark = pytest.mark.django_db

INLINE = re.compile(r"<script(?![^>]*\bsrc=)(?![^>]*application/json)[^>]*>|\sstyle=|\son[a-z]+=", re.I)


def page(client, name, *args):
    response = client.get(reverse(name, args=args))
    assert response.status_code == 200
    html = response.content.decode()
    assert not INLINE.search(html)
    assert html.count("<h1") == 1
    return html


@pytest.mark.parametrize("name", ["account_login", "account_signup", "account_reset_password"])
def test_entrance_pages_look_like_the_product(client, name):
    assert 'class="entrance"' in page(client, name)


@pytest.mark.parametrize(
    "name",
    ["account_email", "account_change_password", "account_logout", "mfa_index", "account_reauthenticate"],
)
def test_own_account_pages_look_like_the_product(client, alice, name):
    client.force_login(alice)
    assert 'class="brand"' in page(client, name)


@pytest.mark.parametrize("login", ["alice", "alice@example.org"])
def test_people_sign_in_by_name_or_address(client, alice, login):
    response = client.post(reverse("account_login"), {"login": login, "password": PASSWORD})
    assert response.status_code == 302
    assert client.session["_auth_user_id"] == str(alice.pk)


def test_a_wrong_password_is_explained_and_signs_nobody_in(client, alice):
    response = client.post(reverse("account_login"), {"login": "alice", "password": "wrong"})
    assert response.status_code == 200
    assert 'class="notice notice-error" role="alert"' in response.content.decode()
    assert "_auth_user_id" not in client.session


def test_a_forgotten_password_is_reset_by_mail(client, alice):
    response = client.post(reverse("account_reset_password"), {"email": "alice@example.org"}, follow=True)
    assert "Check your email" in response.content.decode()
    link = re.search(r"https?://[^/]+(/\S+)", mail.outbox[0].body)[1]
    response = client.get(link, follow=True)
    assert "Choose a new password" in response.content.decode()
    new = "a quite different horse"
    response = client.post(response.request["PATH_INFO"], {"password1": new, "password2": new}, follow=True)
    assert "Password changed" in response.content.decode()
    alice.refresh_from_db()
    assert alice.check_password(new)
    assert "This link no longer works" in client.get(link, follow=True).content.decode()


def test_an_unknown_page_says_so_and_carries_the_request_id(client):
    response = client.get("/no/such/page/", headers={"X-Request-ID": "known-to-the-proxy"})
    assert response.status_code == 404
    assert response["X-Request-ID"] == "known-to-the-proxy"
    assert "Page not found" in response.content.decode()
    assert client.get("/no/", headers={"X-Request-ID": "<script>"})["X-Request-ID"] != "<script>"
