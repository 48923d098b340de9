"""Pages of jobs: who sees which, and what their buttons do."""

from __future__ import annotations

import pytest
from django.urls import reverse

from annotations.projects.models import Membership
from app.jobs import runner
from app.jobs.models import Job

pytestmark = pytest.mark.django_db


def test_a_job_is_seen_by_its_maker_and_its_project_and_nobody_else(
    alice_client, bob_client, charlie_client, project, alice
):
    job = runner.start(kind="x", title="Import pairs.csv", args={}, scope=project.slug, actor=alice)
    page = alice_client.get(reverse("jobs:detail", args=[job.pk]))
    assert page.status_code == 200
    assert b"Import pairs.csv" in page.content
    assert b"Import pairs.csv" in alice_client.get(reverse("jobs:list")).content
    for outsider in (bob_client, charlie_client):
        assert outsider.get(reverse("jobs:detail", args=[job.pk])).status_code == 404
        assert outsider.post(reverse("jobs:cancel", args=[job.pk])).status_code == 404
        assert b"Import pairs.csv" not in outsider.get(reverse("jobs:list")).content
    assert Job.objects.get().state == "queued"

    alice_client.post(reverse("jobs:cancel", args=[job.pk]))
    assert Job.objects.get().state == "cancelled"
    assert alice_client.get(reverse("jobs:progress", args=[job.pk])).status_code == 286


def test_a_job_is_stopped_where_it_is_shown_and_renews_the_page_that_shows_its_result(
    alice_client, project, alice
):
    job = runner.start(kind="x", title="Judge", args={}, scope=project.slug, actor=alice)
    progress, cancel = (reverse(f"jobs:{name}", args=[job.pk]) for name in ("progress", "cancel"))
    part = alice_client.get(f"{progress}?renew=1").content.decode()
    assert f'hx-post="{cancel}?renew=1"' in part
    assert f'hx-get="{progress}?renew=1"' in part
    stopped = alice_client.post(f"{cancel}?renew=1", headers={"HX-Request": "true"})
    assert Job.objects.get().state == "cancelled"
    assert (stopped.status_code, stopped["HX-Refresh"]) == (286, "true")
    assert "<strong>Judge: cancelled.</strong> It had not begun" in stopped.content.decode()
    Job.objects.update(message="Cancelled")  # as one that ran says
    assert "<strong>Judge: cancelled.</strong> </p>" in alice_client.get(progress).content.decode()
    assert "hx-get" not in stopped.content.decode()
    assert "HX-Refresh" not in alice_client.get(progress)


@pytest.mark.parametrize("left", [False, True])
def test_who_made_a_job_and_only_judges_now_or_left_sees_it_no_more(bob_client, project, bob, left):
    """Its title and result name models and what they said, and trying it again spends the project's money."""
    job = runner.start(
        kind="lm.run", title="gpt-9: judge the items left", args={}, scope=project.slug, actor=bob
    )
    own = runner.start(kind="x", title="Of no project", args={}, actor=bob)
    Job.objects.update(state="failed", result={"agreement": 0.9})
    if left:
        Membership.objects.filter(user=bob).delete()
    for name in ("detail", "progress"):
        assert bob_client.get(reverse(f"jobs:{name}", args=[job.pk])).status_code == 404
    assert bob_client.post(reverse("jobs:retry", args=[job.pk])).status_code == 404
    page = bob_client.get(reverse("jobs:list")).content
    assert (b"gpt-9" in page, b"Of no project" in page) == (False, True)
    assert bob_client.post(reverse("jobs:retry", args=[own.pk])).status_code == 302
    assert {row.pk: row.state for row in Job.objects.all()} == {job.pk: "failed", own.pk: "queued"}


def test_workers_are_for_site_admins(client, admin, bob_client):
    runner.beat("embedded@here", "default,gpu", 4711)
    assert bob_client.get(reverse("jobs:workers")).status_code == 302
    client.force_login(admin)
    page = client.get(reverse("jobs:workers"))
    assert b"embedded@here" in page.content
    assert b"1 worker answered" in page.content
