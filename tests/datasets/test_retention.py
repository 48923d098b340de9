"""What is old goes by itself: files of exports, which can be written again, and what jobs logged."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

from annotations.datasets import export, removal
from annotations.datasets.models import Export
from annotations.datasets.snapshots import NotReady, freeze_now
from annotations.judging import jobs as imports
from annotations.people import erase
from annotations.projects.models import Annotator
from app.accounts.models import User
from app.jobs import retention, runner
from app.jobs.models import Job
from tests.conftest import make_user
from tests.datasets.test_export import tree

pytestmark = pytest.mark.django_db


def test_old_exports_lose_their_files_and_can_be_written_again_alike(
    project, judged, alice, alice_client, settings
):
    snapshot = freeze_now(project=project)
    made = {}
    for format in ("native", "csv"):
        row, _ = export.start_export(snapshot=snapshot, actor=alice, format=format)
        runner.run(row.job_id)
        made[format] = row.pk
    old, young = Export.objects.get(pk=made["native"]), Export.objects.get(pk=made["csv"])
    before = tree(export.folder_of(old))
    Export.objects.filter(pk=old.pk).update(created_at=timezone.now() - timedelta(days=181))
    settings.EXPORT_KEEP_DAYS = 0
    assert removal.remove_old_exports() == 0
    settings.EXPORT_KEEP_DAYS = 180
    assert (removal.remove_old_exports(), removal.remove_old_exports()) == (1, 0)
    old.refresh_from_db()
    assert (old.state, old.manifest["snapshot"], export.folder_of(old).exists()) == (
        "removed",
        snapshot.public_id,
        False,
    )
    assert export.folder_of(young).exists()
    page = alice_client.get(reverse("datasets:detail", args=["pairs", snapshot.number])).content.decode()
    assert "removed after 180 days" in page
    assert (
        alice_client.get(reverse("datasets:download", args=["pairs", old.pk, "README.md"])).status_code == 404
    )
    again, created = export.start_export(snapshot=snapshot, actor=alice, format="native")
    runner.run(again.job_id)
    assert created
    assert tree(export.folder_of(again)) == before


def test_a_removal_that_was_killed_goes_on(project, judged, alice):
    row, _ = export.start_export(snapshot=freeze_now(project=project), actor=alice, format="csv")
    runner.run(row.job_id)
    Export.objects.filter(pk=row.pk).update(state=Export.State.REMOVED)  # killed before its files went
    assert removal.remove_old_exports() == 1
    assert not export.folder_of(row).exists()


def test_who_is_erased_stands_in_no_export_not_even_in_one_being_written(
    project, judged, alice, alice_client, settings
):
    bea = make_user("bea")
    Annotator.objects.filter(name="Bea").update(user=bea)
    snapshot = freeze_now(project=project)

    def begun(**options):
        return export.start_export(snapshot=snapshot, actor=alice, format="native", options=options)[0]

    plain, named, half = (
        export.build(begun()),
        export.build(begun(annotators="name")),
        begun(annotators="name"),
    )
    assert b"Bea" in b"".join(tree(export.folder_of(named)).values())
    with pytest.raises(NotReady, match="Start the export again"):
        export.build(
            half, report=lambda done, total: User.objects.filter(pk=bea.pk).exists() and erase.erase(user=bea)
        )
    assert {row.pk: row.state for row in Export.objects.all()} == {
        plain.pk: "ready", named.pk: "removed", half.pk: "removed",
    }  # fmt: skip
    assert (export.folder_of(named).exists(), export.folder_of(half).exists()) == (False, False)
    where = reverse("datasets:download", args=["pairs", named.pk, "README.md"])
    assert alice_client.get(where).status_code == 404
    export.build(begun(annotators="name"))
    kept = [path for path in settings.MEDIA_ROOT.rglob("*") if path.is_file()]
    assert not [path for path in kept if b'"Bea"' in path.read_bytes()]
    assert len(kept) > 6


def test_finished_jobs_forget_their_logs_and_keep_their_results(alice, settings):
    old = timezone.now() - timedelta(days=200)
    common = {"kind": "k", "title": "t", "log": "row 7: jo@example.org", "events": [{"loss": 1}]}
    done = Job.objects.create(**common, state="succeeded", finished_at=old, result={"n": 1})
    recent = Job.objects.create(**common, state="failed", finished_at=timezone.now())
    running = Job.objects.create(**common, state="running")
    settings.JOB_LOG_KEEP_DAYS = 0
    assert retention.forget_logs() == 0
    settings.JOB_LOG_KEEP_DAYS = 180
    assert (retention.forget_logs(), retention.forget_logs()) == (1, 0)
    done.refresh_from_db()
    assert (done.log, done.events, done.result) == ("", [], {"n": 1})
    for kept in (recent, running):
        kept.refresh_from_db()
        assert (kept.log, kept.events) == (common["log"], common["events"])


def test_old_imports_lose_the_lists_of_their_bad_rows(project, alice_client, tmp_path, settings):
    lines = (
        '{"id": "a", "prompt": "p", "response_a": "x", "response_b": "y"}',
        '{"id": "jo@example.org", "prompt": 1}',
    )
    (tmp_path / "rows.jsonl").write_text("\n".join(lines))
    made = {}
    for name in ("old", "recent", "failed"):
        made[name] = imports.start_import_job(project=project, path=tmp_path / "rows.jsonl")
        runner.run(made[name].pk)
    Job.objects.filter(pk=made["failed"].pk).update(
        state="failed", result=None
    )  # its list lies there all the same
    for name in ("old", "failed"):
        Job.objects.filter(pk=made[name].pk).update(finished_at=timezone.now() - timedelta(days=181))
    settings.JOB_LOG_KEEP_DAYS = 0
    assert imports.forget_bad_rows() == 0
    settings.JOB_LOG_KEEP_DAYS = 180
    assert (imports.forget_bad_rows(), imports.forget_bad_rows()) == (2, 0)
    lists = settings.MEDIA_ROOT / "imports"
    assert [path.name for path in lists.iterdir()] == [f"{made['recent'].pk}.jsonl"]
    old = Job.objects.get(pk=made["old"].pk)
    assert (old.result["invalid"], old.result["errors_total"], old.result["errors"]) == (1, 1, [])
    page = alice_client.get(reverse("items:import_errors", args=["pairs", old.pk]))
    assert b"jo@" not in b"".join(page.streaming_content)
    assert (
        "the list was removed" in alice_client.get(reverse("items:import", args=["pairs"])).content.decode()
    )
