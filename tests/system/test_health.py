"""Health, readiness and metrics: for machines without a session, in words for admins."""

from __future__ import annotations

import pytest
from django.urls import reverse

from app.jobs import runner

pytestmark = pytest.mark.django_db


def test_health_and_readiness(client):
    assert client.get("/healthz").content == b"ok\n"
    ready = client.get("/readyz")
    assert ready.status_code == 200
    assert ready.json()["database"]["state"] == "ok"


def test_metrics_need_the_token(client, settings, project, annotator, make_item):
    make_item()
    runner.start(kind="x", title="X", args={})
    settings.METRICS_TOKEN = "s3cret"
    assert client.get("/metrics").status_code == 403
    assert client.get("/metrics", headers={"Authorization": "Bearer wrong"}).status_code == 403
    text = client.get("/metrics", headers={"Authorization": "Bearer s3cret"}).content.decode()
    assert 'plumbline_jobs{kind="x",state="queued"} 1.0' in text
    assert 'plumbline_judgments{kind="human"} 0.0' in text


def test_the_health_page_is_for_admins(client, admin, bob_client):
    assert bob_client.get(reverse("health")).status_code == 302
    client.force_login(admin)
    assert b"No worker has answered" in client.get(reverse("health")).content
    runner.beat("w", "default", 1)
    assert b"Everything answers" in client.get(reverse("health")).content
