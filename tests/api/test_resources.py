"""Projects, items, judgments, jobs and imports: what is answered, exactly."""

from __future__ import annotations

import json

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from annotations.items.models import Item
from annotations.judging import tasks  # noqa: F401 - registers the import's handler
from annotations.projects.models import Membership, Project
from app.accounts.models import AuditEvent
from app.jobs import runner
from app.jobs.models import Job

PROBLEM = "application/problem+json"


def test_projects_are_those_one_is_a_member_of(alice_api, bob_api, charlie_api, project):
    assert charlie_api.get("/api/v1/projects").json() == {"results": [], "next": None}
    [mine] = bob_api.get("/api/v1/projects").json()["results"]
    assert (mine["slug"], mine["role"]) == ("pairs", "annotator")
    whole = alice_api.get("/api/v1/projects/pairs").json()
    assert set(whole) == {
        "slug", "name", "description", "status", "role", "created_at", "task", "guideline_version", "settings",
    }  # fmt: skip
    assert whole["settings"] == {
        "overlap": 1, "lease_minutes": 30, "edit_minutes": 60, "human_cost": "0.0000", "seed": 7,
    }  # fmt: skip
    assert whole["task"]["version"] == "v1"
    assert bob_api.get("/api/v1/projects/pairs").json()["settings"] is None


def test_a_project_is_made_from_a_preset(charlie_api, charlie):
    made = charlie_api.post(
        "/api/v1/projects",
        {
            "name": "Näher",
            "preset": "ranking",
            "overlap": 3,
            "guidelines": "Rank.",
            "cap": "25.50",
            "seed": 11,
        },
        format="json",
    )
    assert (made.status_code, made["Location"]) == (201, "/api/v1/projects/naher")
    assert made.json()["guideline_version"] == 1
    project = Project.objects.get(slug="naher")
    assert (project.overlap, project.seed, project.created_by) == (3, 11, charlie)
    assert Membership.objects.get(project=project).role == "owner"
    assert AuditEvent.objects.get(action="project.created").scope == "naher"


def test_a_project_is_made_from_a_definition(charlie_api):
    definition = {"questions": [{"kind": "thumb", "name": "good", "label": "Good?"}]}
    made = charlie_api.post("/api/v1/projects", {"name": "Own", "definition": definition}, format="json")
    assert made.status_code == 201
    assert made.json()["task"]["definition"]["questions"][0]["name"] == "good"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"name": "X"}, "preset"),
        ({"name": "X", "preset": "nope"}, "preset"),
        ({"name": "X", "preset": "ranking", "definition": {}}, "preset"),
        ({"name": "", "preset": "ranking"}, "name"),
        ({"name": 5, "preset": "ranking"}, "name"),
        ({"name": "X\x00", "preset": "ranking"}, "name"),
        ({"name": "X", "preset": "ranking", "slug": "Not a slug"}, "slug"),
        ({"name": "X", "preset": "ranking", "cap": "NaN"}, "cap"),
        ({"name": "X", "preset": "ranking", "overlap": 0}, "overlap"),
        ({"name": "X", "definition": {}}, "definition.questions"),
        ({"name": "X", "definition": {"questions": []}}, "definition.questions"),
        ({"name": "X", "definition": {"title": "a\x00b"}}, "definition"),
        ({"name": "X", "definition": [1]}, "definition"),
        (
            {"name": "X", "definition": {"questions": [{"kind": "rating", "name": "a", "label": "A", "min": 0, "max": 0}]}},
            "definition.questions.0.max",
        ),
    ],
    ids=lambda value: ascii(value)[:50],
)  # fmt: skip
def test_projects_that_make_no_sense_are_refused(charlie_api, body, field):
    refused = charlie_api.post("/api/v1/projects", body, format="json")
    assert (refused.status_code, refused["Content-Type"]) == (400, PROBLEM)
    assert field in {error["field"] for error in refused.json()["errors"]}
    assert Project.objects.count() == 0


def test_a_taken_slug_is_a_conflict(charlie_api, project):
    body = {"name": "Other", "slug": "pairs", "preset": "ranking"}
    refused = charlie_api.post("/api/v1/projects", body, format="json")
    assert (refused.status_code, refused.json()["title"]) == (409, "The slug is taken")
    assert Project.objects.count() == 1


def test_items_page_by_page_with_filters_and_sparse_fields(alice_api, make_item):
    for number in range(5):
        make_item(f"Prompt {number}", external_id=f"x{number}", source="a" if number % 2 else "b")
    Item.objects.filter(external_id="x3").update(route="lm", open_slots=0)
    seen, cursor = [], ""
    while cursor is not None:
        page = alice_api.get(
            "/api/v1/projects/pairs/items", {"size": 2, "cursor": cursor} if cursor else {"size": 2}
        )
        seen += [item["external_id"] for item in page.json()["results"]]
        cursor = page.json()["next"]
    assert seen == ["x0", "x1", "x2", "x3", "x4"]

    def listed(**query):
        answer = alice_api.get("/api/v1/projects/pairs/items", {"fields": "external_id", **query})
        return [item.pop("external_id") for item in answer.json()["results"] if set(item) == {"external_id"}]

    assert listed(route="lm") == ["x3"]
    assert listed(source="a") == ["x1", "x3"]
    assert listed(state="open") == ["x0", "x1", "x2", "x4"]
    assert listed(state="complete") == []


@pytest.mark.parametrize(
    "query",
    ["size=0", "size=201", "size=x", "cursor=!!", "fields=colour", "route=moon", "state=odd", "source=%00"],
)
def test_addresses_that_make_no_sense_are_refused(alice_api, project, query):
    refused = alice_api.get(f"/api/v1/projects/pairs/items?{query}")
    assert (refused.status_code, refused["Content-Type"]) == (400, PROBLEM)
    assert refused.json()["errors"][0]["field"] == query.split("=")[0]


def test_an_item_shows_everything_to_who_may_see_it(alice_api, bob_api, make_item, answer):
    item = make_item(meta={"k": 1})
    shown = bob_api.post("/api/v1/projects/pairs/next").json()
    bob_api.post("/api/v1/projects/pairs/judgments", answer(shown["assignment"]), format="json")
    whole = alice_api.get(f"/api/v1/projects/pairs/items/{item.pk}").json()
    assert (whole["id"], whole["n_human"], whole["open_slots"], whole["meta"]) == (
        str(item.pk),
        1,
        0,
        {"k": 1},
    )
    assert [r["model"] for r in whole["responses"]] == ["model-0", "model-1"]
    [judgment] = whole["judgments"]
    assert (judgment["order"], judgment["annotator"]["name"], judgment["calls"]) == ("canonical", "bob", [])
    left = "Hello." if judgment["presented_order"] == [0, 1] else "Go away."
    assert shown["responses"][0]["text"] == left
    assert judgment["comparisons"][0]["preference"] == (-2 if left == "Hello." else 2)
    assert alice_api.get(f"/api/v1/projects/pairs/items/{item.pk}?fields=id,source").json() == {
        "id": str(item.pk), "source": "",
    }  # fmt: skip
    for pk in (item.pk + 1, 10**30):
        assert alice_api.get(f"/api/v1/projects/pairs/items/{pk}").status_code == 404


def test_judgments_are_filtered(alice_api, bob_api, make_item, answer, annotator):
    items = [make_item(f"P{n}") for n in range(3)]
    for _ in items:
        shown = bob_api.post("/api/v1/projects/pairs/next").json()
        bob_api.post("/api/v1/projects/pairs/judgments", answer(shown["assignment"]), format="json")

    def count(**query):
        return len(alice_api.get("/api/v1/projects/pairs/judgments", query).json()["results"])

    assert [
        count(), count(kind="human"), count(kind="lm"), count(outcome="skipped"), count(current="true"),
        count(current="false"), count(annotator=annotator.pk), count(annotator=10**17), count(item=items[0].pk),
    ] == [3, 3, 0, 0, 3, 0, 3, 0, 1]  # fmt: skip


def test_an_import_is_a_job(alice_api, project):
    row = {"id": "one", "prompt": "Hi", "responses": [{"text": "a"}, {"text": "b"}]}
    file = SimpleUploadedFile("items.jsonl", (json.dumps(row) + "\n{broken\n").encode())
    started = alice_api.post("/api/v1/projects/pairs/imports", {"file": file}, format="multipart")
    assert started.status_code == 202
    job = started.json()
    assert started["Location"] == f"/api/v1/jobs/{job['id']}"
    assert set(job) == {
        "id", "kind", "title", "project", "state", "done", "total", "fraction", "message", "log", "result", "error",
        "created_at", "started_at", "finished_at", "eta_seconds",
    }  # fmt: skip
    assert (job["state"], job["project"], Item.objects.count()) == ("queued", "pairs", 0)
    runner.run(job["id"])
    done = alice_api.get(started["Location"]).json()
    assert (done["state"], done["fraction"], done["error"]) == ("succeeded", 1.0, "")
    assert {key: done["result"][key] for key in ("new", "updated", "duplicate", "invalid", "judgments")} == {
        "new": 1, "updated": 0, "duplicate": 0, "invalid": 1, "judgments": 0,
    }  # fmt: skip
    assert done["result"]["errors"][0]["line"] == 2
    assert Item.objects.get().external_id == "one"


@pytest.mark.parametrize(
    ("name", "content", "extra", "field"),
    [
        ("a.jsonl", b"", {}, "file"),
        ("a.bin", b"\x00\x01\x02", {}, "file"),
        ("a.jsonl", b'{"colour": 1}\n', {}, "format"),
        ("a.csv", b"q,a\nx,y\n", {"mapping": '{"q": "prompt", "none": "response_1"}'}, "mapping"),
        ("a.csv", b"q,a\nx,y\n", {"mapping": "{"}, "mapping"),
        ("a.csv", b"q,a\nx,y\n", {"mapping": "[1]"}, "mapping"),
        ("a.csv", b"q,a\nx,y\n", {"format": "word"}, "format"),
        ("a.csv", b"q,a\nx,y\n", {"wanted": "-1"}, "wanted"),
    ],
)
def test_files_nobody_can_read_are_refused(alice_api, project, name, content, extra, field):
    body = {"file": SimpleUploadedFile(name, content), **extra}
    refused = alice_api.post("/api/v1/projects/pairs/imports", body, format="multipart")
    assert (refused.status_code, refused["Content-Type"]) == (400, PROBLEM)
    assert field in {error["field"] for error in refused.json()["errors"]}
    assert Job.objects.count() == 0


def test_an_import_needs_a_file_and_a_form(alice_api, project):
    url = "/api/v1/projects/pairs/imports"
    assert alice_api.post(url, {}, format="multipart").json()["errors"][0]["field"] == "file"
    assert alice_api.post(url, {"file": "x"}, format="json").status_code == 415
    cut = alice_api.post(url, b"--x\r\nContent-", content_type="multipart/form-data; boundary=x")
    assert cut.status_code == 400


def test_jobs_are_followed_cancelled_and_retried(alice_api, alice):
    job = runner.start(kind="none.such", title="Work", args={}, actor=alice)
    url = f"/api/v1/jobs/{job.pk}"
    listed = alice_api.get("/api/v1/jobs?state=queued").json()["results"]
    assert [each["id"] for each in listed] == [str(job.pk)]
    assert "log" not in listed[0]
    assert alice_api.post(f"{url}/retry").status_code == 409
    assert alice_api.post(f"{url}/cancel").json()["state"] == "cancelled"
    assert alice_api.post(f"{url}/cancel").status_code == 409
    again = alice_api.post(f"{url}/retry")
    assert (again.status_code, again["Location"], again.json()["state"]) == (202, url, "queued")
    runner.run(job.pk)
    failed = alice_api.get(url).json()
    assert (failed["state"], failed["error"]) == ("failed", "No handler is registered for 'none.such'.")
    actions = AuditEvent.objects.order_by("pk").values_list("action", flat=True)
    assert list(actions) == ["job.cancelled", "job.retried"]


def test_paths_and_methods_that_are_none_answer_in_the_same_form(alice_api, project):
    for method, path, status in (
        ("get", "/api/v1/", 404),
        ("get", "/api/v1/nothing/here", 404),
        ("get", "/api/v1/projects/", 404),
        ("put", "/api/v1/projects/pairs", 405),
        ("options", "/api/v1/projects", 405),
        ("get", "/api/v1/jobs/not-a-uuid", 404),
    ):
        refused = getattr(alice_api, method)(path)
        assert (refused.status_code, refused["Content-Type"]) == (status, PROBLEM), path
        assert refused.json()["status"] == status
