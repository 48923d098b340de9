"""What the server does so that nothing typed is lost: drafts of leases that ran out, and whose session it is."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from django.utils import timezone

from annotations.judging import queue
from annotations.judging.models import Assignment, Judgment

from .test_page import DRAFT, HTMX, JUDGE, SUBMIT, filled, post

pytestmark = pytest.mark.django_db


def drafted(page: str) -> str:
    return re.search(r'data-drafted="(\d+)"', page)[1]


def test_a_draft_is_answered_with_the_servers_time_of_it(bob_client, make_item):
    make_item()
    data = filled(bob_client.get(JUDGE).content.decode(), x__reason="Half a tho")
    answer = bob_client.post(DRAFT, data)
    assert answer.status_code == 204
    stored = Assignment.objects.get()
    assert answer["X-Drafted"] == str(int(stored.drafted_at.timestamp() * 1000))
    assert drafted(bob_client.get(JUDGE).content.decode()) == answer["X-Drafted"]


def test_a_draft_outlives_its_lease_and_comes_back_with_the_item(bob_client, make_item):
    make_item("Come back")
    data = filled(bob_client.get(JUDGE).content.decode(), x__reason="Half a tho")
    Assignment.objects.update(expires_at=timezone.now() - timedelta(minutes=1))
    assert queue.expire_leases() == 1
    answer = bob_client.post(DRAFT, data)
    assert answer.status_code == 409
    assert answer["X-Drafted"]
    assert "you can still submit" in answer.content.decode()
    assert Assignment.objects.get().state == "expired"
    page = bob_client.get(JUDGE).content.decode()
    assert "Half a tho</textarea>" in page
    assert drafted(page) == answer["X-Drafted"]
    assert Assignment.objects.get().state == "leased"


def test_an_item_that_is_answered_keeps_no_draft(bob_client, make_item):
    make_item()
    data = filled(bob_client.get(JUDGE).content.decode())
    assert post(bob_client, data).status_code == 200
    answer = bob_client.post(DRAFT, {**data, "x-reason": "An old tab"})
    assert answer.status_code == 409
    assert "X-Drafted" not in answer
    assert Assignment.objects.get().draft is None


def test_a_page_of_somebody_else_is_told_so_and_stores_nothing(bob, alice_client, bob_client, make_item):
    make_item()
    data = filled(bob_client.get(JUDGE).content.decode())
    before = Assignment.objects.count()
    for send in (
        lambda: alice_client.get(JUDGE, HTTP_X_PERSON=str(bob.pk), **HTMX),
        lambda: alice_client.post(DRAFT, data, HTTP_X_PERSON=str(bob.pk)),
        lambda: alice_client.post(SUBMIT, data, HTTP_X_PERSON=str(bob.pk), **HTMX),
        lambda: alice_client.post(SUBMIT, data, HTTP_X_PERSON="x' OR 1=1", **HTMX),
    ):
        answer = send()
        assert (answer.status_code, answer["X-Signed-Out"]) == (403, "other")
    assert Judgment.objects.count() == 0
    assert Assignment.objects.count() == before
    assert Assignment.objects.get().draft is None
    assert post(bob_client, data, HTTP_X_PERSON=str(bob.pk)).status_code == 200
    assert Judgment.objects.get().annotator.user == bob


def test_an_undo_is_possible_even_where_corrections_are_off(bob_client, project, make_item):
    project.edit_minutes = 0
    project.save()
    make_item()
    post(bob_client, filled(bob_client.get(JUDGE).content.decode()))
    first = Judgment.objects.get()
    undo = f"/work/pairs/history/{first.uuid}/"
    assert 'name="supersedes"' in bob_client.get(undo).content.decode()
    Judgment.objects.update(created_at=timezone.now() - timedelta(minutes=3))
    assert "this one can only be read" in bob_client.get(undo).content.decode()
