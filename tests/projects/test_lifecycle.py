"""The end of a project: hidden at once, brought back within 30 days, then gone with everything it holds."""

from __future__ import annotations

import uuid
from datetime import timedelta
from pathlib import Path

import pytest
from django.apps import apps
from django.conf import settings
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection, models
from django.utils import timezone

from annotations.datasets.export import build, start_export
from annotations.datasets.snapshots import freeze_now
from annotations.items.models import Item
from annotations.judging import importing, log, queue, uploads
from annotations.judging.models import Judgment, Seal
from annotations.people import erase
from annotations.projects import lifecycle, rules, setup
from annotations.projects.access import annotator_for
from annotations.projects.models import Annotator, Membership, Project
from app.accounts.models import AuditEvent
from app.jobs import runner
from app.jobs.models import Job
from app.webhooks.models import Webhook
from tests.api.conftest import token_client
from tests.datasets.conftest import asking, give, judged  # noqa: F401 - fixtures
from tests.items.test_media import picture, upload
from tests.people.study import Browser, answer_next, open_study

pytestmark = pytest.mark.django_db
P = "/api/v1/projects/pairs"


@pytest.fixture
def full(project, alice, alice_client, judged, annotator):  # noqa: F811
    """A project with judgments of every kind, a panel, an image, an import, a snapshot, an export and a plan."""
    from routing.plans.budget import Budget
    from routing.plans.draft import draft_plan

    upload(alice_client, picture())
    open_study(project, items_per_place=1)
    browser = Browser(project, 1)
    browser.enter()
    answer_next(browser)
    draft = uploads.new_draft(project.slug)
    uploads.store_file(
        draft, SimpleUploadedFile("a.jsonl", b'{"id": "1", "prompt": "x", "chosen": "y", "rejected": "z"}\n')
    )
    job = importing.start_import_job(
        project=project, path=draft.path.relative_to(settings.MEDIA_ROOT), actor=alice
    )
    assert runner.run(job.pk).state == "succeeded"
    log.seal(project_id=project.pk, bound=Judgment.objects.last().pk)
    made, _ = start_export(snapshot=freeze_now(project=project, actor=alice), actor=alice, format="native")
    build(made)
    runner.run(draft_plan(project=project, budget=Budget(share=0.5), policy="random", actor=alice).job_id)
    setup.invite(project=project, role="annotator", actor=alice)
    Webhook.objects.create(scope="pairs", url="https://example.org/", events=["none"])
    return project


def rows() -> dict[str, int]:
    """How many rows each table holds."""
    every = apps.get_models(include_auto_created=True)
    return {model._meta.label: model._base_manager.count() for model in every if model._meta.managed}


def files() -> set[str]:
    return {str(path) for path in Path(settings.MEDIA_ROOT).rglob("*") if path.is_file()}


def test_a_deleted_project_is_there_for_nobody_and_comes_back_whole(
    full, alice, alice_client, bob, bob_client, admin, django_capture_on_commit_callbacks
):
    waiting = runner.start(kind="none.such", title="Work", args={}, scope="pairs", actor=alice)
    before, kept = rows(), files()
    page = alice_client.get("/p/pairs/settings/").content.decode()
    assert "/p/pairs/settings/delete/" in page
    assert bob_client.post("/p/pairs/settings/delete/", {"confirm": "pairs"}).status_code == 403
    refused = alice_client.post("/p/pairs/settings/delete/", {"confirm": "Pairs"})
    assert (refused.status_code, "Type pairs" in refused.content.decode()) == (400, True)
    assert Project.objects.filter(slug="pairs").exists()
    done = alice_client.post("/p/pairs/settings/delete/", {"confirm": "pairs"}, follow=True)
    assert "Bring back" in done.content.decode()
    assert Job.objects.get(pk=waiting.pk).state == "cancelled"

    owner, judge, root = token_client(alice), token_client(bob), token_client(admin)
    for api in (owner, judge, root):
        for method, path in (("get", P), ("post", f"{P}/next"), ("get", f"{P}/judgments"), ("patch", P)):
            assert getattr(api, method)(path).status_code == 404, path
        assert api.get("/api/v1/projects").json()["results"] == []
    for client in (alice_client, bob_client):
        assert client.get("/p/pairs/").status_code == client.get("/work/pairs/").status_code == 404
    assert "Pairs" not in bob_client.get("/work/").content.decode()
    assert setup.free_slug("pairs") == "pairs-2"
    assert judge.post(f"{P}/restore").status_code == 404
    assert judge.get("/api/v1/deleted-projects").json()["results"] == []
    [row] = owner.get("/api/v1/deleted-projects").json()["results"]
    assert row["slug"] == "pairs"

    assert owner.post(f"{P}/restore").json()["status"] == "archived"
    assert (files(), Project.objects.get().pk) == (kept, full.pk)
    changed = {"accounts.AuditEvent", "knox.AuthToken", "django.Session", "sessions.Session"}
    after = rows()
    assert {name: n for name, n in after.items() if name not in changed} == {
        name: n for name, n in before.items() if name not in changed
    }
    assert queue.next_assignment(annotator_for(bob, "pairs")) is None
    assert owner.patch(P, {"status": "active"}, format="json").json()["status"] == "active"
    assert queue.next_assignment(annotator_for(bob, "pairs")) is not None


def test_what_nobody_brought_back_is_gone_with_every_row_and_file(full, alice, alice_client, monkeypatch):
    """A second project, filled alike in its main tables, keeps everything."""
    other = Project.objects.create(slug="other", name="Other", created_by=alice)
    Membership.objects.create(project=other, user=alice, role="owner")
    empty = rows()
    lifecycle.delete_project(project=full, actor=alice)
    assert lifecycle.start_purges() == 0
    with pytest.raises(lifecycle.StillLive):
        lifecycle.purge(project=Project.everything.get(slug="pairs"))
    Project.everything.filter(slug="pairs").update(deleted_at=timezone.now() - timedelta(days=31))
    assert (lifecycle.start_purges(), lifecycle.start_purges()) == (1, 0)
    job = Job.objects.get(kind="projects.purge")

    calls = []
    real = lifecycle._delete

    def killed(*args):
        calls.append(args)
        if len(calls) == 20:
            raise KeyboardInterrupt
        return real(*args)

    monkeypatch.setattr(lifecycle, "_delete", killed)
    with pytest.raises(KeyboardInterrupt):
        runner.run(job.pk)
    Job.objects.filter(pk=job.pk).update(state="queued")
    assert runner.run(job.pk).state == "succeeded", Job.objects.get(pk=job.pk).error

    assert list(Project.everything.values_list("slug", flat=True)) == ["other"]
    left = {
        model._meta.label
        for model in apps.get_models(include_auto_created=True)
        if any(isinstance(f, models.ForeignKey) and f.related_model is Project for f in model._meta.fields)
        and model._base_manager.count()
    }
    assert left == {"projects.Membership"}, "of the other project"
    for label in (
        "judging.Judgment",
        "judging.Comparison",
        "judging.Score",
        "judging.LMCall",
        "items.Response",
    ):
        assert apps.get_model(label)._base_manager.count() == 0 < empty[label], label
    assert files() == set()
    assert not Job.objects.filter(scope="pairs").exists()
    assert not Webhook.objects.exists()
    assert AuditEvent.objects.filter(action="project.purged", scope="pairs").count() == 1
    connection.check_constraints()
    assert not Seal.objects.exists()
    assert not Item.objects.exists()


def test_people_are_forgotten_so_long_after_the_end(full, alice, bob, alice_client):
    page = alice_client.get("/p/pairs/people/entry/").content.decode()
    assert "Days people stay known" in page
    rules.change(project=full, privacy=rules.Privacy(keep_people_days=10))
    full.refresh_from_db()
    client = token_client(alice)
    client.patch(P, {"status": "archived"}, format="json")
    now = timezone.now()
    assert erase.forget_due(now + timedelta(days=9)) == 0
    judged_before = Judgment.objects.count()
    known = Annotator.objects.filter(project=full).exclude(user=None).count()
    assert erase.forget_due(now + timedelta(days=11)) == known > 0
    assert erase.forget_due(now + timedelta(days=11)) == 0
    assert not Annotator.objects.filter(project=full, user=bob).exists()
    assert not Annotator.objects.filter(name="bob").exists()
    assert (Judgment.objects.count(), bob.is_active) == (judged_before, True)
    changed = [problem.judgment for problem in log.verify(project=full).problems]
    assert changed == [str(uuid.UUID(int=9))], "only the one whose score the fixture put in by hand"
