"""The second factor: setting an authenticator app up, signing in with it and with a recovery code."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import struct
import time

import pytest
from django.test import Client
from django.urls import reverse

from tests.conftest import PASSWORD

pytestmark = pytest.mark.django_db

INLINE = re.compile(r"<script(?![^>]*\bsrc=)(?![^>]*application/json)[^>]*>|\sstyle=|\son[a-z]+=", re.I)


def code_of(secret: str, shift: int = 0) -> str:
    """RFC 6238 with SHA-1, six digits and 30 seconds, written out here as an independent reference."""
    key = base64.b32decode(secret + "=" * (-len(secret) % 8))
    mac = hmac.new(key, struct.pack(">Q", int(time.time()) // 30 + shift), hashlib.sha1).digest()
    at = mac[-1] & 15
    return f"{(struct.unpack('>I', mac[at : at + 4])[0] & 0x7FFFFFFF) % 1_000_000:06d}"


def sign_in(client):
    return client.post(reverse("account_login"), {"login": "bob", "password": PASSWORD})


def confirm(client):
    """Type the password once more, as changes of the second factor ask."""
    assert client.post(reverse("account_reauthenticate"), {"password": PASSWORD}).status_code == 302


def look(client, address):
    page = client.get(address)
    assert page.status_code == 200, address
    html = page.content.decode()
    assert not INLINE.search(html), address
    assert html.count("<h1") == 1
    return html


@pytest.fixture
def enrolled(bob):
    """(secret, recovery codes) of Bob, set up through the pages."""
    client = Client()
    sign_in(client)
    assert client.get(reverse("mfa_activate_totp")).url.startswith(reverse("account_reauthenticate"))
    confirm(client)
    html = look(client, reverse("mfa_activate_totp"))
    secret = re.search(r"\b[A-Z2-7]{32}\b", html)[0]
    wrong = client.post(
        reverse("mfa_activate_totp"), {"code": "000000" if code_of(secret) != "000000" else "1"}
    )
    assert wrong.status_code == 200
    assert client.post(reverse("mfa_activate_totp"), {"code": code_of(secret)}).status_code == 302
    codes = re.findall(
        r"\b[0-9a-f]{8}\b|\b\d{4}[- ]?\d{4}\b", look(client, reverse("mfa_view_recovery_codes"))
    )
    assert len(codes) >= 10
    assert look(client, reverse("mfa_index"))
    return secret, codes


def test_the_password_alone_does_not_sign_in(enrolled, bob):
    secret, _ = enrolled
    client = Client()
    answer = sign_in(client)
    assert answer.url.startswith(reverse("mfa_authenticate"))
    assert "_auth_user_id" not in client.session
    look(client, reverse("mfa_authenticate"))
    client.post(
        reverse("mfa_authenticate"), {"code": "000000" if code_of(secret, 1) != "000000" else "111111"}
    )
    assert "_auth_user_id" not in client.session
    assert client.get("/work/").status_code == 302


def test_a_code_of_the_app_signs_in(enrolled, bob):
    from django.core.cache import cache

    cache.clear()  # a code is good once; enrolment used this half minute's
    client = Client()
    sign_in(client)
    client.post(reverse("mfa_authenticate"), {"code": code_of(enrolled[0])})
    assert client.session["_auth_user_id"] == str(bob.pk)


def test_a_recovery_code_signs_in_once(enrolled, bob):
    code = enrolled[1][0]
    first, second = Client(), Client()
    for client in (first, second):
        sign_in(client)
        client.post(reverse("mfa_authenticate"), {"code": code})
    assert first.session["_auth_user_id"] == str(bob.pk)
    assert "_auth_user_id" not in second.session


def test_it_is_turned_off_again(enrolled, bob):
    client = Client()
    sign_in(client)
    client.post(reverse("mfa_authenticate"), {"code": enrolled[1][1]})
    confirm(client)
    look(client, reverse("mfa_deactivate_totp"))
    client.post(reverse("mfa_deactivate_totp"))
    fresh = Client()
    sign_in(fresh)
    assert fresh.session["_auth_user_id"] == str(bob.pk)
