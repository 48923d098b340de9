"""Pushing an export to a hub: what arrives, what is refused, and that the token is nowhere."""

from __future__ import annotations

import builtins
import hashlib
import json
import threading

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import connection
from rest_framework.test import APIClient

from annotations.datasets import export, hub
from annotations.datasets.models import HubPush
from annotations.datasets.snapshots import freeze_now
from annotations.projects.models import Membership, Project
from app.accounts.models import AuditEvent
from app.jobs import runner
from app.jobs.models import Job
from tests.conftest import make_user

from . import scripted_hub

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning"),  # huggingface_hub's own call
]

TOKEN = "hf_a-token-that-must-not-be-seen"
NAME = "our-lab/politeness"


@pytest.fixture
def there(settings, monkeypatch):
    """A hub, and a site that may write to it."""
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.setattr(hub, "WAITS", (0.0, 0.0, 0.0))
    with scripted_hub.serving(TOKEN) as serving:
        settings.HF_TOKEN, settings.HF_ENDPOINT = TOKEN, serving.url
        yield serving


@pytest.fixture
def made(project, judged, alice):
    """An export with these options, written."""

    def make(format="trl_preference", container="parquet", project=project, **options):
        started, _ = export.start_export(
            snapshot=freeze_now(project=project, actor=alice),
            actor=alice,
            format=format,
            container=container,
            options=options,
        )
        runner.run(started.job_id)
        started.refresh_from_db()
        return started

    return make


@pytest.fixture
def api(alice):
    client = APIClient()
    client.force_authenticate(alice)
    return client


def address(row):
    return f"/api/v1/projects/{row.snapshot.project.slug}/snapshots/{row.snapshot.public_id}/exports/{row.pk}/pushes"


def pushed(api, row, **body):
    sent = api.post(address(row), {"repository": NAME, **body}, format="json")
    assert sent.status_code == 202, sent.content
    return runner.run(sent.json()["id"])


def on_disk(row):
    folder = export.folder_of(row)
    names = [entry["path"] for entry in row.manifest["files"]] + ["manifest.json"]
    return {name: (folder / name).read_bytes() for name in names}


def everything_kept() -> str:
    """All that the database keeps of pushes, as text."""
    rows = [*Job.objects.values(), *HubPush.objects.values(), *AuditEvent.objects.values()]
    return json.dumps(rows, default=str)


def test_the_same_bytes_arrive_and_a_second_push_makes_no_commit(there, made, api, caplog):
    row = made(licence="cc-by-4.0", pii="report")
    job = pushed(api, row)
    assert job.state == "succeeded", job.error
    repo = there.repos[NAME]
    assert repo.private
    assert {name: data for name, data in repo.files.items() if name != ".gitattributes"} == on_disk(row)
    assert "\nlicense: cc-by-4.0\n" in repo.files["README.md"].decode()
    assert job.result == {
        "repository": NAME, "url": f"{there.url}/datasets/{NAME}", "commit": repo.commits[-1],
        "changed": True, "public": False,
    }  # fmt: skip
    stored = there.count("PUT /store/")
    assert stored == sum(scripted_hub.big(name) for name in repo.files) > 0

    again = pushed(api, row)
    assert (again.state, again.result["changed"], again.result["commit"]) == (
        "succeeded",
        False,
        repo.commits[-1],
    )
    assert len(repo.commits) == 2
    assert there.count("PUT /store/") == stored
    assert [found["changed"] for found in api.get(address(row)).json()["results"]] == [False, True]

    assert {auth for _, path, auth in there.asked if not path.startswith("/store/")} == {f"Bearer {TOKEN}"}
    assert TOKEN not in everything_kept() + caplog.text
    assert (
        list(AuditEvent.objects.filter(action="export.pushed").values_list("detail", flat=True))
        == [{"repository": NAME, "public": False, "format": "trl_preference"}] * 2
    )


def test_another_export_replaces_the_files_and_nobody_elses(there, made, api):
    pushed(api, made())
    other = made("native", "jsonl.gz")
    assert pushed(api, other).state == "succeeded"
    repo = there.repos[NAME]
    assert set(repo.files) - {".gitattributes"} == set(on_disk(other))

    there.repos["our-lab/diary"] = scripted_hub.Repo(private=True, files={"diary.txt": b"Dear"})
    job = pushed(api, other, repository="our-lab/diary")
    assert (job.state, "holds something else" in job.error) == ("failed", True)
    strange = json.dumps({"plumbline_export": 1, "frozen": {"project": "another-site"}}).encode()
    there.repos["our-lab/theirs"] = scripted_hub.Repo(private=True, files={"manifest.json": strange})
    job = pushed(api, other, repository="our-lab/theirs")
    assert (job.state, "holds something else" in job.error) == ("failed", True)
    assert there.repos["our-lab/diary"].files == {"diary.txt": b"Dear"}
    assert there.repos["our-lab/theirs"].files == {"manifest.json": strange}


def test_public_is_an_owners_explicit_choice_with_a_licence(there, made, api, project):
    plain, named = made(), made("native", "jsonl", annotators="name", licence="mit")
    licensed = made("native", "jsonl", licence="mit")

    def refused(row, field, words, **body):
        said = api.post(
            address(row), {"repository": NAME, "public": True, "sure": True, **body}, format="json"
        )
        [error] = said.json()["errors"]
        assert (said.status_code, error["field"], words in error["message"]) == (400, field, True)

    refused(plain, "public", "states no licence")
    refused(named, "public", "names people")
    refused(licensed, "sure", "looked", sure=False)
    refused(licensed, "repository", "owner/name", repository="../admin")
    researcher = make_user("researcher")
    Membership.objects.create(project=project, user=researcher, role=Membership.Role.RESEARCHER)
    as_researcher = APIClient()
    as_researcher.force_authenticate(researcher)
    sent = as_researcher.post(
        address(licensed), {"repository": NAME, "public": True, "sure": True}, format="json"
    )
    assert sent.status_code == 403
    assert (HubPush.objects.count(), there.asked) == (0, [])

    assert pushed(as_researcher, licensed).state == "succeeded"
    assert there.repos[NAME].private
    assert pushed(api, licensed, public=True, sure=True).state == "succeeded"
    assert not there.repos[NAME].private
    job = pushed(api, plain)  # meant for few eyes
    assert (job.state, "is public on the hub" in job.error) == ("failed", True)
    assert len(there.repos[NAME].commits) == 2


def test_a_repository_belongs_to_one_project(there, made, api, alice, project):
    pushed(api, made())
    other = Project.objects.create(slug="other", name="Other", created_by=alice)
    Membership.objects.create(project=other, user=alice, role=Membership.Role.OWNER)
    row = made("native", "jsonl", project=other)
    said = api.post(address(row), {"repository": NAME.upper()}, format="json")
    assert (said.status_code, said.json()["errors"][0]["field"]) == (400, "repository")


def test_a_refused_token_is_said_and_not_repeated(there, made, api, settings, caplog):
    settings.HF_TOKEN = "hf_wrong"
    job = pushed(api, made())
    assert (job.state, job.error) == (
        "failed",
        "The hub refused this site's token. Whoever runs the site puts one in HF_TOKEN that may write.",
    )
    assert there.repos == {}
    assert "hf_wrong" not in everything_kept() + caplog.text


def test_what_the_hub_stumbles_over_is_tried_again(there, made, api):
    there.fail += [["/commit/", 502, 1], ["/api/repos/create", 503, 2], [NAME, 429, 1], ["/settings", 500, 1]]
    row = made(licence="mit")
    job = pushed(api, row, public=True, sure=True)
    assert job.state == "succeeded", job.error
    assert (len(there.repos[NAME].commits), there.repos[NAME].private) == (2, False)

    there.fail[:] = [["/commit/", 503, 9]]
    other = made("native", "jsonl")
    there.repos[NAME].private = True
    job = pushed(api, other)
    assert (job.state, job.error) == ("failed", "The hub answered 503 4 times. Try again later.")
    there.fail[:] = [["/commit/", 418, 1]]
    runner.retry(job)
    job = runner.run(job.pk)
    assert (job.state, job.error[:20]) == ("failed", "The hub answered 418")
    assert TOKEN not in everything_kept()
    runner.retry(job)
    assert runner.run(job.pk).state == "succeeded"
    assert len(there.repos[NAME].commits) == 3


def test_nobody_there(there, made, api, settings):
    settings.HF_ENDPOINT = "http://127.0.0.1:9"
    job = pushed(api, made())
    assert (job.state, "cannot be reached" in job.error) == ("failed", True)


def test_files_that_changed_on_the_disk_are_not_sent(there, made, api):
    row = made()
    (export.folder_of(row) / "README.md").write_text("another")
    job = pushed(api, row)
    assert (job.state, "README.md is not what was exported" in job.error) == ("failed", True)
    assert there.asked == []


def test_a_push_that_is_tried_again_waits_for_the_one_that_runs(there, made, api):
    first = made()
    there.fail += [["/commit/", 418, 1]]
    failed = pushed(api, first)
    assert failed.state == "failed"
    second = made("native", "jsonl")
    sent = api.post(address(second), {"repository": NAME}, format="json").json()["id"]
    other = runner.claim(sent, "another worker")
    runner.retry(failed)
    again = runner.run(failed.pk)
    assert (again.state, f"Another push to {NAME} is running" in again.error) == ("failed", True)
    assert len(there.repos[NAME].commits) == 1  # the one that made the repository
    Job.objects.filter(pk=other.pk).update(state="succeeded")
    runner.retry(again)
    assert runner.run(again.pk).state == "succeeded"


@pytest.mark.django_db(transaction=True)
def test_a_push_is_cancelled_while_a_file_is_sent_and_goes_on_when_retried(there, made, api):
    row = made()
    sent = api.post(address(row), {"repository": NAME}, format="json").json()
    there.go_on = threading.Event()
    same = api.post(address(row), {"repository": NAME}, format="json").json()
    assert same["id"] == sent["id"]
    busy = api.post(address(made("csv", "csv")), {"repository": NAME}, format="json")
    assert (busy.status_code, "Another push" in busy.json()["detail"]) == (409, True)

    def cancel():
        there.when_stored.wait(30)
        runner.cancel(Job.objects.get(pk=sent["id"]))
        connection.close()
        there.go_on.set()

    other = threading.Thread(target=cancel)
    other.start()
    job = runner.run(sent["id"])
    other.join()
    assert (job.state, len(there.repos[NAME].commits)) == ("cancelled", 1)
    runner.retry(job)
    job = runner.run(job.pk)
    assert (job.state, len(there.repos[NAME].commits)) == ("succeeded", 2)


def test_without_a_token_or_the_package_it_says_so(made, api, settings, monkeypatch, alice_client, there):
    row = made()
    page = f"/p/pairs/datasets/exports/{row.pk}/push/"
    settings.HF_TOKEN = ""
    said = api.post(address(row), {"repository": NAME}, format="json")
    assert (said.status_code, said["Content-Type"]) == (409, "application/problem+json")
    assert "HF_TOKEN" in said.json()["detail"]
    shown = alice_client.get(page).content.decode()
    assert ("No token for a hub is set" in shown, '<button class="btn btn-primary">Push' in shown) == (
        True,
        False,
    )
    settings.HF_TOKEN = TOKEN
    monkeypatch.setattr(hub, "find_spec", lambda name: None)
    said = api.post(address(row), {"repository": NAME}, format="json")
    assert (said.status_code, "requirements-train.txt" in said.json()["detail"]) == (409, True)
    assert "requirements-train.txt" in alice_client.get(page).content.decode()
    assert HubPush.objects.count() == 0


def test_the_pages_work_without_the_package(made, alice_client, monkeypatch, there):
    row = made()
    real = builtins.__import__

    def importing(name, *args, **kwargs):
        assert not name.startswith("huggingface_hub")
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", importing)
    assert alice_client.get(f"/p/pairs/datasets/exports/{row.pk}/push/").status_code == 200


def test_the_page_says_what_is_sent_and_what_was(there, made, alice_client, bob_client, charlie_client):
    row = made(licence="cc-by-4.0", pii="report")
    page = f"/p/pairs/datasets/exports/{row.pk}/push/"
    assert page in alice_client.get(f"/p/pairs/datasets/{row.snapshot.number}/").content.decode()
    shown = " ".join(alice_client.get(page).content.decode().split())
    for words in (
        "<dt>Licence</dt><dd>CC BY 4.0</dd>",
        "Under pseudonyms",
        "Looked for, none found",
        there.url,
    ):
        assert words in shown
    unsure = alice_client.post(page, {"repository": NAME, "public": "1"})
    assert (unsure.status_code, "Say that you looked" in unsure.content.decode()) == (400, True)
    assert HubPush.objects.count() == 0
    sent = alice_client.post(page, {"repository": NAME, "public": ""})
    assert sent.url == page
    runner.run(HubPush.objects.get().job_id)
    shown = alice_client.get(page).content.decode()
    assert f"{there.url}/datasets/{NAME}" in shown
    assert TOKEN not in shown
    assert bob_client.post(page, {"repository": NAME}).status_code == 403
    assert charlie_client.post(page, {"repository": NAME}).status_code == 404
    assert HubPush.objects.count() == 1


def test_the_command_pushes_what_it_wrote(there, project, judged, tmp_path, capsys):
    asked = {"format": "native", "out": tmp_path / "out", "push": NAME}
    with pytest.raises(CommandError, match="states no licence"):
        call_command("export_dataset", "pairs", **{**asked, "public": True})
    assert (list(tmp_path.iterdir()), there.asked) == ([], [])
    call_command("export_dataset", "pairs", "--json", **asked)
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert told["pushed"]["commit"] == there.repos[NAME].commits[-1]
    for file in told["files"]:
        path = file["path"].removeprefix(f"{tmp_path / 'out'}/")
        assert hashlib.sha256(there.repos[NAME].files[path]).hexdigest() == file["sha256"]
    assert AuditEvent.objects.filter(action="export.pushed").count() == 1
