"""Idempotency-Key, ETags, If-Match, narrow tokens and bulk rows: what scripts rely on when things go wrong."""

from __future__ import annotations

import json
import time
from datetime import timedelta
from functools import partial

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.utils import timezone
from rest_framework.test import APIClient

from annotations.datasets.models import Snapshot
from annotations.items.batches import create_batch
from annotations.items.models import Batch, Item
from app.accounts.models import TokenLabel
from app.accounts.tokens import make_token
from app.jobs import runner
from app.jobs.models import Job
from app.web import conditional, idempotency
from app.web.models import IdempotentAnswer
from tests.threads import at_once

pytestmark = pytest.mark.django_db
P = "/api/v1/projects/pairs"


def post(api, path, body, key, **more):
    return api.post(path, body, format="json", headers={"Idempotency-Key": key}, **more)


# --- Idempotency-Key ----------------------------------------------------------------------------------------
def test_a_post_sent_twice_acts_once_and_is_answered_alike(alice_api, researcher_api):
    first = post(alice_api, f"{P}/snapshots", {"note": "a"}, "k1")
    again = post(alice_api, f"{P}/snapshots", {"note": "a"}, "k1")
    assert (first.status_code, again.status_code) == (202, 202)
    assert (again.json(), again["Location"]) == (first.json(), first["Location"])
    assert ("Idempotent-Replayed" in first, again["Idempotent-Replayed"]) == (False, "true")
    assert Snapshot.objects.count() == 1
    assert post(alice_api, f"{P}/snapshots", {"note": "a"}, "k2").status_code == 202
    assert post(researcher_api, f"{P}/snapshots", {"note": "a"}, "k1").status_code == 202, (
        "a key is one person's"
    )
    assert Snapshot.objects.count() == 3


def test_a_key_is_for_one_request(alice_api, project):
    post(alice_api, f"{P}/batches", {"name": "a"}, "k1")
    for path, body in ((f"{P}/batches", {"name": "b"}), (f"{P}/snapshots", {"name": "a"})):
        refused = post(alice_api, path, body, "k1")
        assert (refused.status_code, refused["Content-Type"]) == (422, "application/problem+json")
    assert (Batch.objects.count(), Snapshot.objects.count()) == (1, 0)
    for key in ("", "ü", "x" * 201):
        assert post(alice_api, f"{P}/batches", {"name": "c"}, key).status_code == 400
    assert Batch.objects.count() == 1


def test_what_was_refused_frees_its_key(alice_api, project):
    assert post(alice_api, f"{P}/batches", {"name": ""}, "k").status_code == 400
    assert not IdempotentAnswer.objects.exists()
    assert post(alice_api, f"{P}/batches", {"name": "b"}, "k").status_code == 201


def test_files_count_by_their_bytes(alice_api, project):
    def send(data: bytes, key="f"):
        file = SimpleUploadedFile("a.jsonl", data)
        return alice_api.post(
            f"{P}/imports", {"file": file}, format="multipart", headers={"Idempotency-Key": key}
        )

    row = b'{"id": "1", "prompt": "x", "responses": [{"text": "y"}]}\n'
    assert send(row).json()["id"] == send(row).json()["id"]
    assert send(row.replace(b"y", b"z")).status_code == 422
    assert Job.objects.count() == 1


def test_a_table_comes_in_by_a_mapping_that_was_saved(alice_api, project):
    columns = {"frage": "prompt", "one": "response_1", "two": "response_2"}
    assert (
        alice_api.post(
            f"{P}/mappings", {"name": "m", "columns": {"q": "nonsense"}}, format="json"
        ).status_code
        == 400
    )
    assert (
        alice_api.post(f"{P}/mappings", {"name": "m", "columns": {"q": "prompt"}}, format="json").status_code
        == 201
    )
    saved = alice_api.post(f"{P}/mappings", {"name": "m", "columns": columns}, format="json")
    assert (saved.status_code, saved.json()["columns"]) == (200, columns)
    assert [one["name"] for one in alice_api.get(f"{P}/mappings").json()["results"]] == ["m"]

    def send(**fields):
        data = b'{"frage": "Q?", "one": "a", "two": "b", "else": 1}\n'
        return alice_api.post(
            f"{P}/imports", {"file": SimpleUploadedFile("a.jsonl", data), **fields}, format="multipart"
        )

    assert send().status_code == 400
    assert [
        send(**wrong).status_code
        for wrong in ({"saved_mapping": "x"}, {"saved_mapping": "m", "mapping": "{}"})
    ] == [400, 400]
    for fields in ({"saved_mapping": "m"}, {"mapping": json.dumps(columns)}):
        job = send(**fields)
        assert job.status_code == 202, job.content
        ran = runner.run(job.json()["id"])
        assert (ran.state, ran.result["new"] + ran.result["duplicate"]) == ("succeeded", 1)
    assert [item.prompt for item in Item.objects.all()] == ["Q?"]


def test_an_unknown_fate_is_told_and_forgotten_after_a_day(alice_api, project):
    post(alice_api, f"{P}/batches", {"name": "a"}, "k")
    IdempotentAnswer.objects.update(status=None)
    assert "few seconds" in post(alice_api, f"{P}/batches", {"name": "a"}, "k").json()["detail"]
    IdempotentAnswer.objects.update(created_at=timezone.now() - timedelta(minutes=5))
    told = post(alice_api, f"{P}/batches", {"name": "a"}, "k")
    assert (told.status_code, "stopped" in told.json()["detail"]) == (409, True)
    IdempotentAnswer.objects.update(created_at=timezone.now() - timedelta(days=2))
    assert idempotency.forget_old() == 1


@pytest.mark.django_db(transaction=True)
@pytest.mark.smoke
def test_the_same_post_at_once_acts_once(alice, project):
    from tests.api.conftest import token_client

    api = token_client(alice)

    def send() -> int:
        client = APIClient()
        client.credentials(**api._credentials)
        return post(client, f"{P}/batches", {"name": "a"}, "k").status_code

    codes = at_once([send] * 6)
    assert set(codes) <= {201, 409}
    assert 201 in codes
    assert Batch.objects.count() == 1


# --- ETags --------------------------------------------------------------------------------------------------
def test_what_one_has_is_not_sent_again(alice_api, project):
    first = alice_api.get(P)
    etag = first["ETag"]
    same = alice_api.get(P, headers={"If-None-Match": etag})
    assert (same.status_code, same.content, same["ETag"]) == (304, b"", etag)
    alice_api.patch(P, {"name": "Other"}, format="json")
    changed = alice_api.get(P, headers={"If-None-Match": etag})
    assert (changed.status_code, changed.json()["name"]) == (200, "Other")
    assert "ETag" not in alice_api.get(f"{P}/none")


def test_a_change_to_what_has_changed_is_refused(alice, alice_api, project):
    batch = create_batch(project=project, actor=alice, name="a")
    path = f"{P}/batches/{batch.pk}"
    etag = alice_api.get(path)["ETag"]
    done = alice_api.patch(path, {"weight": 3}, format="json", headers={"If-Match": etag})
    assert (done.status_code, done.json()["weight"]) == (200, 3)
    late = alice_api.patch(path, {"weight": 5}, format="json", headers={"If-Match": etag})
    assert (late.status_code, late["Content-Type"]) == (412, "application/problem+json")
    assert alice_api.delete(path, headers={"If-Match": etag}).status_code == 412
    assert Batch.objects.get().weight == 3
    assert alice_api.delete(path, headers={"If-Match": alice_api.get(path)["ETag"]}).status_code == 204


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(("method", "made"), [("patch", 200), ("post", 201)])
def test_of_several_changes_to_one_version_one_is_made(method, made, alice, project, monkeypatch):
    from tests.api.conftest import token_client

    batch = create_batch(project=project, actor=alice, name="a")
    path = f"{P}/batches/{batch.pk}" if method == "patch" else f"{P}/batches"
    api = token_client(alice)
    etag = api.get(path)["ETag"]
    look = conditional.check_if_match

    def look_and_wait(*args, **kwargs) -> None:
        look(*args, **kwargs)
        time.sleep(0.1)  # everybody has time to look before anybody writes

    monkeypatch.setattr(conditional, "check_if_match", look_and_wait)

    def send(weight: int) -> int:
        client = APIClient()
        client.credentials(**api._credentials)
        headers = {"If-Match": etag} | ({"Idempotency-Key": f"key {weight}"} if method == "post" else {})
        body = {"weight": weight} | ({"name": f"b {weight}"} if method == "post" else {})
        return getattr(client, method)(path, body, format="json", headers=headers).status_code

    weights = range(2, 6)
    codes = dict(zip(weights, at_once(partial(send, weight) for weight in weights), strict=True))
    assert sorted(codes.values()) == [made, 412, 412, 412]
    assert codes[Batch.objects.latest("pk").weight] == made
    assert Batch.objects.count() == (1 if method == "patch" else 2)
    assert IdempotentAnswer.objects.count() == (
        0 if method == "patch" else 1
    )  # who was refused may use the key again


@pytest.mark.parametrize("body", ['{"name": "a", "name": "b"}', '{"name": "a", "rules": {"x": 1, "x": 2}}'])
def test_a_key_that_stands_twice_is_refused_by_name(alice_api, project, body):
    twice = "name" if "rules" not in body else "x"
    answer = alice_api.post(f"{P}/batches", body, content_type="application/json")
    assert answer.status_code == 400
    assert f"the key '{twice}' stands twice" in answer.json()["detail"]
    assert Batch.objects.count() == 0


# --- Tokens -------------------------------------------------------------------------------------------------
def narrow(user, **limits) -> APIClient:
    _, secret = make_token(user=user, name="narrow", days=1, **limits)
    api = APIClient()
    api.credentials(HTTP_AUTHORIZATION=f"Token {secret}")
    return api


def test_a_token_may_be_made_to_read_only(alice, project):
    api = narrow(alice, read_only=True)
    assert api.get(P).status_code == 200
    refused = api.post(f"{P}/batches", {"name": "a"}, format="json")
    assert (refused.status_code, refused.json()["detail"]) == (403, "This token may only read.")
    assert not Batch.objects.exists()


def test_a_token_may_be_for_one_project(alice, alice_api, project):
    alice_api.post(
        "/api/v1/projects", {"name": "Two", "slug": "two", "preset": "preference_ratings"}, format="json"
    )
    api = narrow(alice, project="pairs")
    job = api.post(f"{P}/snapshots", {}, format="json").json()["id"]
    other = alice_api.post("/api/v1/projects/two/snapshots", {}, format="json").json()["id"]
    assert [api.get(f"/api/v1/jobs/{pk}").status_code for pk in (job, other)] == [200, 403]
    assert (api.get(P).status_code, api.get("/api/v1/projects/two").status_code) == (200, 404)
    assert {api.get(f"/api/v1/{path}").status_code for path in ("projects", "jobs", "endpoints")} == {403}


def test_the_page_makes_narrow_tokens(alice_client, project):
    page = alice_client.post("/me/tokens/", {"name": "n", "days": 3, "read_only": "on", "project": "pairs"})
    assert "only reads" in page.content.decode()
    assert TokenLabel.objects.values_list("read_only", "project").get() == (True, "pairs")
    assert alice_client.post("/me/tokens/", {"name": "n", "days": 3, "project": "other"}).status_code == 400


# --- Bulk ---------------------------------------------------------------------------------------------------
def test_rows_go_in_and_bad_ones_are_named(alice_api, project):
    rows = [
        {"id": "a", "prompt": "Hi", "chosen": "x", "rejected": "y"},
        {"id": "b", "prompt": 5, "responses": [{"text": "z"}]},
        "no object",
        {"id": "c", "prompt": "\ud800", "responses": [{"text": "z"}]},
        {
            "id": "d",
            "prompt": "Ho",
            "response_a": "x",
            "response_b": "y",
            "human": [{"annotator": "p", "label": "q"}],
        },
    ]
    body = json.dumps({"items": rows, "wanted": 3})
    told = alice_api.post(f"{P}/items", body, content_type="application/json").json()
    assert (told["new"], told["invalid"]) == (2, 4)
    assert [(e["row"], e["field"]) for e in told["errors"]] == [
        (2, "prompt"), (3, ""), (4, "prompt"), (5, "human[0].label"),
    ]  # fmt: skip
    assert dict(Item.objects.values_list("external_id", "wanted")) == {"a": 3, "d": 3}
    again = alice_api.post(f"{P}/items", {"items": rows[:1]}, format="json").json()
    assert (again["new"], again["duplicate"], Item.objects.count()) == (0, 1, 2)
    for body in ({"items": []}, {"items": [{}] * 501}, {"items": 3}, {}):
        assert alice_api.post(f"{P}/items", body, format="json").status_code == 400
