"""Who may see, freeze, export and fetch; what a hostile file name gets."""

from __future__ import annotations

import hashlib
from urllib.parse import urlsplit

import pytest
import time_machine
from django.test import Client
from django.urls import reverse

from annotations.datasets import downloads, export
from annotations.datasets.models import Export, Snapshot
from annotations.datasets.snapshots import freeze_now
from app.accounts.models import AuditEvent
from app.jobs import runner
from app.jobs.models import Job

pytestmark = pytest.mark.django_db

LIST = "/p/pairs/datasets/"


@pytest.fixture
def exported(project, judged, alice):
    snapshot = freeze_now(project=project, actor=alice)
    started, _ = export.start_export(snapshot=snapshot, actor=alice, format="native", container="jsonl")
    runner.run(started.job_id)
    started.refresh_from_db()
    return started


def a_file(exported):
    return next(entry for entry in exported.manifest["files"] if entry["split"])


def address(exported, name):
    return f"/p/pairs/datasets/files/{exported.pk}/{name}"


def test_from_an_empty_page_to_files(alice_client, judged):
    page = alice_client.get(LIST)
    assert (page.status_code, "No snapshot yet" in page.content.decode()) == (200, True)
    assert alice_client.get(f"{LIST}new/").status_code == 200
    made = alice_client.post(f"{LIST}new/", {"note": "First", "kinds": ["human"], "only_judged": "on"})
    snapshot = Snapshot.objects.get()
    assert made.url == f"{LIST}1/"
    assert (snapshot.query, snapshot.note) == ({"kinds": ["human"], "only_judged": True}, "First")
    assert "waiting for a worker" in alice_client.get(made.url).content.decode()
    assert runner.run(snapshot.job_id).state == "succeeded"

    sent = alice_client.post(f"{LIST}1/export/", {"format": "trl_preference", "container": "parquet"})
    assert sent.url == f"{LIST}1/"
    started = Export.objects.get()
    assert started.options == {
        "style": "conversational",
        "aspect": "overall",
        "method": "majority",
        "judged_by": "final",
        "prompt": "explicit",
        "ties": "drop",
        "near_duplicates": "keep",
        "columns": "usual",
    }
    assert runner.run(started.job_id).state == "succeeded"
    shown = alice_client.get(f"{LIST}1/").content.decode()
    snapshot.refresh_from_db()
    assert snapshot.sha256 in shown
    assert "3 items and 9 judgments: 9 by people." in " ".join(shown.split())
    for entry in Export.objects.get().manifest["files"]:
        assert entry["path"] in shown
        assert entry["sha256"] in shown
    assert "TRL preference, Parquet" in alice_client.get(LIST).content.decode()


def test_a_wrong_choice_is_explained_beside_the_form(alice_client, project, judged):
    freeze_now(project=project)
    answer = alice_client.post(f"{LIST}1/export/", {"format": "csv", "container": "parquet"})
    assert answer.status_code == 400
    assert "csv is written as csv, csv.gz" in answer.content.decode()
    assert not Export.objects.exists()
    assert alice_client.post(f"{LIST}new/", {"kinds": ["martian"]}).status_code == 400
    assert alice_client.get(f"{LIST}?cursor=x").status_code == 400
    assert alice_client.get(f"{LIST}99/").status_code == 404


def test_annotators_and_outsiders_see_and_make_nothing(exported, bob_client, charlie_client):
    name = a_file(exported)["path"]
    pages = [LIST, f"{LIST}new/", f"{LIST}1/", address(exported, name)]
    acts = [f"{LIST}new/", f"{LIST}1/export/", f"/p/pairs/datasets/links/{exported.pk}/{name}"]
    before = (
        Snapshot.objects.count(),
        Export.objects.count(),
        Job.objects.count(),
        AuditEvent.objects.count(),
    )
    for client, status in ((bob_client, 403), (charlie_client, 404), (Client(), 302)):
        assert {client.get(page).status_code for page in pages} == {status}
        answers = {client.post(act, {"format": "csv", "container": "csv"}).status_code for act in acts}
        assert answers == {status}
    after = (
        Snapshot.objects.count(),
        Export.objects.count(),
        Job.objects.count(),
        AuditEvent.objects.count(),
    )
    assert after == before


def test_an_export_is_fetched_through_its_own_project_only(exported, alice_client, alice):
    from annotations.projects import presets, setup

    setup.create_project(name="Other", owner=alice, definition=presets.PRESETS["strength7"], slug="other")
    name = a_file(exported)["path"]
    assert alice_client.get(f"/p/other/datasets/files/{exported.pk}/{name}").status_code == 404


def test_a_download_is_the_file_and_goes_on_where_it_stopped(exported, alice_client):
    entry = a_file(exported)
    url = address(exported, entry["path"])
    whole = alice_client.get(url)
    content = b"".join(whole.streaming_content)
    assert hashlib.sha256(content).hexdigest() == entry["sha256"]
    assert (whole["Accept-Ranges"], whole["ETag"]) == ("bytes", f'"{entry["sha256"]}"')
    assert "attachment" in whole["Content-Disposition"]
    half = len(content) // 2
    for asked, part, words in (
        (f"bytes={half}-", content[half:], f"bytes {half}-{len(content) - 1}/{len(content)}"),
        ("bytes=0-9", content[:10], f"bytes 0-9/{len(content)}"),
        ("bytes=-5", content[-5:], f"bytes {len(content) - 5}-{len(content) - 1}/{len(content)}"),
        (f"bytes=3-{10**9}", content[3:], f"bytes 3-{len(content) - 1}/{len(content)}"),
    ):
        answer = alice_client.get(url, headers={"Range": asked})
        assert (answer.status_code, answer["Content-Range"]) == (206, words)
        assert b"".join(answer.streaming_content) == part
        assert int(answer["Content-Length"]) == len(part)
    for asked in (f"bytes={len(content)}-", "bytes=9-3", "bytes=-0"):
        refused = alice_client.get(url, headers={"Range": asked})
        assert (refused.status_code, refused["Content-Range"]) == (416, f"bytes */{len(content)}")
    huge = alice_client.get(url, headers={"Range": f"bytes={'9' * 5000}-"})  # more digits than Python reads
    assert (huge.status_code, b"".join(huge.streaming_content)) == (200, content)
    changed = alice_client.get(url, headers={"Range": "bytes=5-", "If-Range": '"other"'})
    assert (changed.status_code, b"".join(changed.streaming_content)) == (200, content)
    assert alice_client.get(url, headers={"If-None-Match": whole["ETag"]}).status_code == 304


@pytest.mark.parametrize(
    "name",
    [
        "../../../../plumbline.sqlite3",
        "..%2f..%2fmanifest.json",
        "data/../manifest.json",
        "/etc/passwd",
        "data",
        "data/",
        "data//train-00000-of-00001.jsonl",
        "%00",
        "data\\train-00000-of-00001.jsonl",
        "rows.jsonl.gz",
    ],
)
def test_only_listed_names_are_served(exported, alice_client, name):
    (export.folder_of(exported) / "rows.jsonl.gz").write_bytes(b"not listed")
    answer = alice_client.get(address(exported, name))
    assert answer.status_code == 404
    assert export.file_of(exported, name) is None
    signed = reverse("datasets:shared", args=[downloads.sign(exported.pk, name)])
    assert Client().get(signed).status_code == 404


def test_a_link_works_for_a_day_without_signing_in(exported, alice_client):
    entry = a_file(exported)
    page = alice_client.post(f"/p/pairs/datasets/links/{exported.pk}/{entry['path']}")
    link = urlsplit(page.context["address"]).path
    assert (
        b"".join(Client().get(link).streaming_content)
        == (export.folder_of(exported) / entry["path"]).read_bytes()
    )
    event = AuditEvent.objects.get(action="export.linked")
    assert (event.actor.username, event.detail["file"]) == ("alice", entry["path"])
    assert Client().get(link[:-3] + "xx/").status_code == 400
    with time_machine.travel("2100-01-01"):
        late = Client().get(link)
    assert (late.status_code, "expired" in late.content.decode()) == (400, True)


def test_a_link_is_made_for_listed_files_only(exported, alice_client):
    assert alice_client.post(f"/p/pairs/datasets/links/{exported.pk}/../secret").status_code == 404
    assert not AuditEvent.objects.filter(action="export.linked").exists()
