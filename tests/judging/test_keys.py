"""The page of one's own keys, and what the judging page is told of them."""

from __future__ import annotations

import html
import json
import re

import pytest

from annotations.projects import keymap

pytestmark = pytest.mark.django_db


def keys_of(client) -> dict:
    page = client.get("/work/pairs/").content.decode()
    return json.loads(re.search(r'<script id="keymap" type="application/json">(.*?)</script>', page)[1])


def form(**changes: str) -> dict[str, str]:
    usual = {f"key-{name}": key for name, key in keymap.DEFAULTS.items() if name != "digits"}
    return usual | {"key-digits": "on"} | {f"key-{name}": key for name, key in changes.items()}


def test_the_judging_page_gets_the_persons_own_keys(bob, bob_client, alice_client, make_item):
    make_item()
    assert keys_of(bob_client) == keymap.DEFAULTS
    bob.preferences = {"theme": "dark"}
    bob.save()
    answer = bob_client.post("/me/keys/", form(tie="y", flag=""))
    assert (answer.status_code, answer["Location"]) == (302, "/me/keys/")
    bob.refresh_from_db()
    assert bob.preferences == {"theme": "dark", "keys": {"tie": "y", "flag": ""}}
    assert keys_of(bob_client) == {**keymap.DEFAULTS, "tie": "y", "flag": ""}
    assert keys_of(alice_client) == keymap.DEFAULTS
    page = bob_client.get("/work/pairs/").content.decode()
    assert "<dt><kbd>y</kbd></dt><dd>Tie</dd>" in page
    assert "Flag, then a number" not in page


def test_a_clash_is_refused_beside_both_fields_and_nothing_is_kept(bob, bob_client):
    answer = bob_client.post("/me/keys/", form(tie="s"))
    assert answer.status_code == 400
    page = html.unescape(answer.content.decode())
    assert page.count("S is also the key of") == 2
    assert "S is also the key of “Tie”" in page
    bob.refresh_from_db()
    assert bob.preferences == {}


def test_the_usual_keys_come_back(bob, bob_client):
    bob_client.post("/me/keys/", form(tie="y") | {"key-submit": "ArrowRight", "key-right": "Enter"})
    bob.refresh_from_db()
    assert bob.preferences["keys"] == {"tie": "y", "submit": "ArrowRight", "right": "Enter"}
    bob_client.post("/me/keys/", {"reset": "1", "key-tie": "y"})
    bob.refresh_from_db()
    assert bob.preferences == {}


def test_all_keys_can_be_switched_off(bob, bob_client, make_item):
    make_item()
    bob_client.post("/me/keys/", {f"key-{name}": "" for name in keymap.DEFAULTS if name != "digits"})
    assert set(keys_of(bob_client).values()) == {""}
    assert "All your keys are switched off." in bob_client.get("/work/pairs/").content.decode()


def test_strangers_are_sent_to_the_sign_in_page(client, db):
    for answer in (client.get("/me/keys/"), client.post("/me/keys/", form(tie="y"))):
        assert (answer.status_code, answer["Location"]) == (302, "/accounts/login/?next=/me/keys/")
