"""Where a request leads that has no page: a button's address that is opened, a form sent after the session ended."""

from __future__ import annotations

import json

import pytest
from django.test import Client
from django.urls import reverse

from app.jobs import runner
from app.jobs.models import Job

pytestmark = pytest.mark.django_db
PAGE = "/p/pairs/people/?sort=name"


@pytest.fixture
def cancel(project, alice):
    job = runner.start(kind="x", title="Judge", args={}, scope=project.slug, actor=alice)
    return reverse("jobs:cancel", args=[job.pk])


def test_a_buttons_address_opened_by_itself_shows_a_page_and_does_nothing(alice_client, cancel):
    page = alice_client.get(cancel)
    assert (page.status_code, page["Allow"]) == (405, "POST")
    text = page.content.decode()
    assert "Nothing to open here" in text
    assert f'href="{cancel.removesuffix("cancel/")}"' in text  # the page that has the button
    assert Job.objects.get().state == "queued"
    assert alice_client.get(cancel, headers={"Accept": "application/json"}).status_code == 405
    assert alice_client.put(cancel).content == b""  # no browser does
    api = alice_client.get("/api/v1/nothing-there/")
    assert "Nothing to open here" not in api.content.decode()


def test_a_form_sent_after_the_session_ended_leads_back_to_its_page(cancel):
    signed_out = Client()
    sent = signed_out.post(cancel, headers={"Referer": f"http://testserver{PAGE}#members"})
    assert sent["Location"] == "/accounts/login/?next=/p/pairs/people/%3Fsort%3Dname"
    opened = signed_out.get(PAGE, headers={"Referer": "http://testserver/p/pairs/"})
    assert opened["Location"] == "/accounts/login/?next=/p/pairs/people/%3Fsort%3Dname"
    for foreign in ("https://evil.example/", "//evil.example/x", "javascript:alert(1)", ""):
        sent = signed_out.post(cancel, headers={"Referer": foreign})
        assert sent["Location"] == f"/accounts/login/?next={cancel}"  # which shows a page too
    assert Job.objects.get().state == "queued"


def test_htmx_is_told_so_and_draws_no_sign_in_page_over_what_is_typed(cancel):
    signed_out, htmx = Client(), {"HX-Request": "true", "HX-Current-URL": f"http://testserver{PAGE}"}
    sent = signed_out.post(cancel, headers=htmx)
    assert (sent.status_code, sent["X-Signed-Out"]) == (403, "1")
    asked = signed_out.get(cancel.replace("cancel", "progress"), headers=htmx)
    assert (asked.status_code, asked["HX-Reswap"], asked.content) == (286, "none", b"")
    assert "session has ended" in json.loads(asked["HX-Trigger"])["toast"]["text"]
    assert Job.objects.get().state == "queued"
