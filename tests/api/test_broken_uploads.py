"""The broken and hostile files once more, the way people send them: over the import page and over the API."""

from __future__ import annotations

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import reverse
from django.utils.html import escape

from annotations.items.models import Item, Response
from annotations.judging import tasks  # noqa: F401 - registers the import job
from annotations.judging.models import Comparison, Judgment
from app.jobs import runner
from app.jobs.models import Job
from tests.items.broken_files import LINES, REFUSED

IMPORTS = "/api/v1/projects/pairs/imports"
FILES = {name: data for name, (data, *_) in LINES.items()} | REFUSED


@pytest.fixture(params=FILES)
def name(request) -> str:
    return request.param


def run_and_hold_against_the_tables(name: str) -> Job:
    """Run the import; what it says went in is there, whole, and nothing else."""
    job = runner.run(Job.objects.get(kind="judging.import").pk)
    result = job.result or {}
    assert Item.objects.count() == result.get("new", 0)
    assert Response.objects.count() == sum(Item.objects.values_list("n_responses", flat=True))
    assert Judgment.objects.count() == Comparison.objects.count() == result.get("judgments", 0)
    if job.state == "failed":
        assert 0 < len(job.error) < 500
        assert "Traceback" not in job.error
    else:
        good = LINES[name][1] if name in LINES else 0
        assert (job.state, good if good is not None else result["new"]) == ("succeeded", result["new"])
        assert all(error["line"] >= 1 and 0 < len(error["message"]) < 500 for error in result["errors"])
    return job


def test_the_page_says_what_is_wrong(alice_client, project, name):
    page = reverse("items:import", args=["pairs"])
    posted = alice_client.post(page, {"file": SimpleUploadedFile(name, FILES[name])})
    if posted.status_code == 302:
        check = alice_client.get(posted["Location"])
        assert check.status_code == 200
        posted = alice_client.post(posted["Location"], {"next": "1"})
    if posted.status_code == 302:
        job = run_and_hold_against_the_tables(name)
        result = alice_client.get(page)
        assert result.status_code == 200
        if job.state == "succeeded" and job.result["errors"]:
            report = alice_client.get(reverse("items:import_errors", args=["pairs", job.pk]))
            lines = b"".join(report.streaming_content).decode("utf-8-sig").splitlines()
            assert len(lines) >= 1 + len(job.result["errors"])
    else:
        assert posted.status_code == 400
        assert "<li" in posted.content.decode() or escape(name) in posted.content.decode()
        assert not Job.objects.exists()
        assert not Item.objects.exists()


def test_the_api_says_what_is_wrong(alice_api, project, name):
    sent = alice_api.post(IMPORTS, {"file": SimpleUploadedFile(name, FILES[name])}, format="multipart")
    if sent.status_code == 202:
        run_and_hold_against_the_tables(name)
        assert alice_api.get(sent["Location"]).status_code == 200
    else:
        assert (sent.status_code, sent["Content-Type"]) == (400, "application/problem+json")
        [error] = sent.json()["errors"]
        assert error["field"] in ("file", "format")
        assert 0 < len(error["message"]) < 500
        assert not Job.objects.exists()
        assert not Item.objects.exists()
