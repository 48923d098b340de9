"""Keys: encrypted at rest, write-only, sent to no other address, and in no byte that anybody can read."""

from __future__ import annotations

import io
import json
import logging

import pytest
from django.apps import apps
from django.core import serializers
from django.test import Client
from django.urls import reverse

from annotations.judging.models import Judgment
from annotations.lm import client, endpoints, engine, runs, vault
from annotations.lm.models import Endpoint, EndpointModel
from app.accounts.models import AuditEvent
from app.jobs import runner
from app.jobs.models import Job
from tests.api.conftest import token_client
from tests.lm.asked import KEY

pytestmark = pytest.mark.django_db

VALUES = {
    "name": "Own",
    "base_url": "http://127.0.0.1:9/v1",
    "secret_env": "",
    "currency": "EUR",
    "requests_per_minute": None,
    "concurrency": 2,
    "timeout_seconds": 5,
    "max_attempts": 2,
    "is_shared": True,
    "is_enabled": True,
}


def save(secret=None, endpoint=None, **values):
    offers = [endpoints.Offer("m")]
    return endpoints.save_endpoint(
        values={**VALUES, **values}, models=offers, secret=secret, actor=None, endpoint=endpoint
    )


def everything_stored() -> str:
    """Every row of every table, as text."""
    return "".join(
        serializers.serialize("json", model.objects.all())
        for model in apps.get_models()
        if model._meta.managed
    )


def leaks(text: str) -> bool:
    return KEY in text or KEY[3:] in text or KEY[:14] in text


def test_a_key_is_in_no_page_resource_row_or_log_line(
    admin, endpoint, project, make_item, lm_annotator, alice, caplog, monkeypatch
):
    make_item("Say hello.", ("good", "bad"))
    caplog.set_level(logging.DEBUG)
    root, researcher = Client(), Client()
    root.force_login(admin)
    researcher.force_login(alice)
    seen = io.StringIO()

    for model in ("bad-key", "redirect", "obedient"):
        detail = lm_annotator(model)
        runner.run(runs.start(detail=detail, actor=alice).job_id)
        for where in ("detail", "list"):
            args = ["pairs", detail.pk] if where == "detail" else ["pairs"]
            seen.write(researcher.get(reverse(f"lm:{where}", args=args)).content.decode())
        seen.write(researcher.get(reverse("lm:new", args=["pairs"]), {"like": detail.pk}).content.decode())
    assert Judgment.objects.count() == 1
    failed = Job.objects.filter(state="failed")
    assert failed.count() == 2
    for job in Job.objects.all():
        seen.write(researcher.get(reverse("jobs:detail", args=[job.pk])).content.decode())
        seen.write(token_client(alice).get(f"/api/v1/jobs/{job.pk}").content.decode())
    for path in (
        reverse("lm:endpoints"),
        reverse("lm:endpoint", args=[endpoint.pk]),
        "/system/audit/",
        "/admin/",
        "/system/health/",
    ):
        seen.write(root.get(path).content.decode())
    seen.write(root.post(reverse("lm:endpoint_try", args=[endpoint.pk]), follow=True).content.decode())
    wrong = {**VALUES, "name": "", "requests_per_minute": "", "secret": KEY, "models": "x"}
    seen.write(root.post(reverse("lm:endpoint_new"), wrong).content.decode())  # a form that comes back
    api = token_client(admin)
    for path in (
        "/api/v1/endpoints",
        f"/api/v1/endpoints/{endpoint.pk}",
        "/api/v1/projects/pairs/lm-annotators",
    ):
        seen.write(api.get(path).content.decode())
    body = {**VALUES, "name": "Second", "key": KEY, "models": [{"name": "m"}]}
    made = api.post("/api/v1/endpoints", body, format="json")
    assert made.status_code == 201, made.content
    assert made.json()["has_key"] is True
    seen.write(made.content.decode())
    seen.write(json.dumps(list(AuditEvent.objects.values("action", "target", "detail"))))
    seen.write(everything_stored())
    seen.write(caplog.text)
    seen.write(repr(endpoints.target_of(endpoint, "obedient")))
    assert "Incorrect API key provided: Bearer [key]" in seen.getvalue()
    assert "Scripted" in seen.getvalue()
    assert not leaks(seen.getvalue())
    assert vault.secret_of(Endpoint.objects.get(pk=endpoint.pk)) == KEY  # and it was there all the time


def test_a_stored_key_stays_with_its_address(endpoint):
    def change(**values):
        kept = {name: getattr(endpoint, name) for name in endpoints.FIELDS}
        return endpoints.save_endpoint(
            values={**kept, **values},
            models=[endpoints.Offer("m")],
            secret=None,
            actor=None,
            endpoint=endpoint,
        )

    before = Endpoint.objects.values().get()
    with pytest.raises(endpoints.BadEndpoint, match="enter the key again"):
        change(base_url="http://127.0.0.1:1/v1")
    assert Endpoint.objects.values().get() == before
    assert vault.secret_of(change(base_url=endpoint.base_url + "/other")) == KEY
    moved = change(secret_env="LM_TEST_KEY", base_url="http://127.0.0.1:1/v1")
    assert (moved.secret_box, moved.secret_env) == (
        "",
        "LM_TEST_KEY",
    )  # a named variable replaces the stored key


@pytest.mark.parametrize(
    "address",
    [
        "ftp://127.0.0.1/v1",
        "file:///etc/passwd",
        "http://169.254.169.254/latest",
        "http://[fe80::1]/v1",
        "http://0.0.0.0/v1",
        "https://user:pass@127.0.0.1/v1",
        "http://",
        "http://127.0.0.1:99999/v1",
        "http://127.0.0.1/v1?key=1",
        "nonsense",
    ],
)
def test_addresses_that_no_model_is_served_at_are_refused(address):
    with pytest.raises(endpoints.BadEndpoint) as refused:
        save(base_url=address)
    assert refused.value.field == "base_url"
    assert Endpoint.objects.count() == 0


@pytest.mark.parametrize("name", ["SECRET_KEY", "DATABASE_URL", "PATH", "lm_key", "LM KEY", "X_KEY"])
def test_only_variables_meant_for_it_can_be_named(name):
    with pytest.raises(endpoints.BadEndpoint) as refused:
        save(secret_env=name)
    assert refused.value.field == "secret_env"
    assert Endpoint.objects.count() == 0


def test_a_key_from_the_environment_is_read_when_it_is_needed(monkeypatch):
    endpoint = save(secret_env="LM_TEST_KEY")
    with pytest.raises(vault.NoSecret, match="LM_TEST_KEY is not set"):
        vault.secret_of(endpoint)
    monkeypatch.setenv("LM_TEST_KEY", KEY)
    assert vault.secret_of(endpoint) == KEY
    assert KEY not in everything_stored()


def test_another_secret_key_cannot_open_it_and_a_fallback_can(endpoint, settings):
    old = settings.SECRET_KEY
    settings.SECRET_KEY = "another one"
    with pytest.raises(vault.NoSecret, match="enter it again"):
        vault.secret_of(endpoint)
    settings.SECRET_KEY_FALLBACKS = [old]
    assert vault.secret_of(endpoint) == KEY


def test_a_redirect_is_not_followed_and_a_huge_reply_is_cut_off(endpoint, scripted):
    call = client.Call(
        messages=({"role": "system", "content": "s"}, {"role": "user", "content": "u"}),
        schema={},
        max_tokens=16,
    )
    with pytest.raises(client.CallFailed) as failed:
        client.complete(endpoints.target_of(endpoint, "redirect"), call)
    assert failed.value.kind == "fatal"
    assert len(scripted.requests) == 1


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "3"}, 3.0),
        ({"retry-after-ms": "250"}, 0.25),
        ({"retry-after": "Wed, 21 Oct 2065 07:28:00 GMT"}, client.LONGEST_WAIT),
        ({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}, 0.0),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "-5"}, 0.0),
        ({}, None),
    ],
)
def test_retry_after_is_understood(headers, seconds):
    assert client._retry_after(headers) == seconds


def test_the_backoff_grows_has_jitter_and_honours_the_server():
    import random

    rng = random.Random(1)
    waits = [[engine.backoff(attempt, None, rng) for _ in range(400)] for attempt in range(1, 9)]
    assert [max(w) <= min(60, 0.5 * 2**a) for a, w in enumerate(waits, 1)] == [True] * 8
    means = [sum(w) / len(w) for w in waits]
    assert means == sorted(means)
    assert len(set(waits[0])) > 390
    assert min(engine.backoff(1, 7.0, rng) for _ in range(100)) >= 7.0


def test_models_are_read_line_by_line():
    read = endpoints.parse_models("a\nb 0.15 0.6\n\n")
    assert [(o.name, str(o.input_price), str(o.output_price)) for o in read] == [
        ("a", "0", "0"),
        ("b", "0.15", "0.6"),
    ]
    for text, words in (
        ("a 1", "Line 1: expected a name alone"),
        ("a\nb x y", "Line 2: x and y"),
        ("a -1 2", "Line 1"),
        ("a nan 2", "Line 1"),
        ("a\na", "stands twice"),
        ("", "at least one"),
    ):
        with pytest.raises(endpoints.BadEndpoint, match=words):
            endpoints.parse_models(text)


def test_switched_off_or_unshared_endpoints_are_not_used(endpoint, project, lm_annotator, make_item):
    make_item()
    detail = lm_annotator()
    for change in ({"is_enabled": False}, {"is_enabled": True, "is_shared": False}):
        Endpoint.objects.update(**change)
        with pytest.raises(runs.CannotAnnotate, match="may not use"):
            runs.start(detail=detail)
    endpoint.projects.add(project)
    assert runs.start(detail=detail).pk
    assert EndpointModel.objects.filter(endpoint__in=endpoints.usable(project)).exists()
